// One card of the grid: the small picture, the labels on it, and what it is called. Cards are used again.

import { drawnSomewhere } from "./cards.js";
import { counted, drawn, h, shown, svg } from "./dom.js";
import { imageAddress } from "./route.js";

/** @import { App } from "./app.d.ts" */
/** @import { Card, Label, State } from "./types.d.ts" */

const SINGLE = 60; // labels with an element of their own; the others of a card share one for each look
const LOADING = 5; // pictures under way, which leaves a connection for questions
export const MARKS = /** @type {Record<string, State>} */ ({ t: "todo", l: "labelled", r: "reviewed", x: "rejected" });
export const STATES = /** @type {Record<State, {text: string, icon: string}>} */ ({
  todo: { text: "To do", icon: "M8 3.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9" },
  labelled: { text: "Labelled", icon: "M8 5.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5" },
  reviewed: { text: "Reviewed", icon: "M3.5 8.5l3 3 6-7" },
  rejected: { text: "Rejected", icon: "M4.5 4.5l7 7M11.5 4.5l-7 7" },
});

/** @typedef {ReturnType<typeof createCell>} Cell */

/** @param {App} app @param {ReturnType<typeof createLoader>} loader */
export function createCell(app, loader) {
  const picture = h("img", { alt: "", decoding: "async", draggable: "false" });
  const overlay = svg("svg", { "aria-hidden": "true", class: "labels" });
  const note = h("span", { class: "note" });
  const state = h("span", { class: "state" });
  const folder = h("span", { class: "folder" });
  const base = h("span", { class: "base" });
  const count = h("span", { class: "count" });
  const link = h("a", { class: "card", draggable: "false", tabindex: "-1" },
    h("span", { class: "thumb" }, picture, overlay, note),
    h("span", { class: "caption" }, state, h("bdi", { class: "file" }, folder, base), count));
  const tick = h("input", { type: "checkbox", tabindex: "-1" });
  const root = h("div", { class: "cell", role: "listitem" }, link, tick);
  /** @type {string | null} */
  let source = null;

  /** @param {State | undefined} name */
  function mark(name) {
    if (state.dataset.state === (name ?? "")) return;
    state.dataset.state = name ?? "";
    state.replaceChildren(...(name ? [drawn(STATES[name].icon)] : []));
    state.title = name ? STATES[name].text : "";
  }

  /** @param {string | null} url */
  function load(url) {
    if (url === source) return;
    source = url;
    loader.forget(picture);
    picture.removeAttribute("src");
    if (url !== null) loader.load(picture, url);
  }

  const cell = {
    root,
    link,
    tick,
    number: -1,

    /** Become the card of another image, of which nothing may be known yet but its state. @param {number} number @param {number} place @param {number} of @param {State | undefined} known */
    become(number, place, of, known) {
      root.setAttribute("aria-posinset", String(place + 1));
      root.setAttribute("aria-setsize", String(of));
      if (cell.number === number) return;
      cell.number = number;
      link.dataset.number = tick.dataset.number = String(number);
      delete link.dataset.key;
      link.removeAttribute("href");
      link.setAttribute("aria-label", "Loading");
      tick.setAttribute("aria-label", "Select");
      overlay.replaceChildren();
      folder.textContent = base.textContent = count.textContent = note.textContent = link.title = "";
      load(null);
      mark(known);
    },

    /** @param {Card} card */
    fill(card) {
      const { number, key, version, labels, more, error } = card;
      link.dataset.key = key;
      link.href = imageAddress(key);
      const cut = key.lastIndexOf("/") + 1;
      folder.textContent = shown(key.slice(0, cut));
      base.textContent = shown(key.slice(cut));
      const total = labels.length + more;
      const open = labels.filter((label) => label.status === "suggestion").length;
      count.textContent = total ? counted(total) : "";
      note.textContent = error ? `No picture: ${shown(error)}` : "";
      const words = [shown(key), STATES[card.state]?.text, total === 1 ? "1 label" : `${counted(total)} labels`,
        open && `${open} undecided`, card.split && `split ${shown(card.split)}`, card.tags.length && `tags ${card.tags.map(shown).join(", ")}`,
        card.readonly && `read-only: ${shown(card.readonly)}`, error && "no picture"];
      const told = words.filter(Boolean).join(", ");
      link.setAttribute("aria-label", told);
      link.title = told.replaceAll(", ", "\n");
      tick.setAttribute("aria-label", `Select ${shown(key)}`);
      mark(card.state);
      load(error ? null : app.api.thumbUrl(number, version));
      if (card.width && card.height) overlay.setAttribute("viewBox", `0 0 ${card.width} ${card.height}`);
      overlay.replaceChildren(...(card.width ? drawings(labels, app.colourOf) : []));
    },

    /** @param {boolean} selected @param {boolean} current */
    dress(selected, current) {
      root.classList.toggle("selected", selected);
      tick.checked = selected;
      link.tabIndex = current ? 0 : -1;
    },
  };
  return cell;
}

/** Loads few pictures at a time, the last that were asked for first. */
export function createLoader() {
  /** @type {Map<HTMLImageElement, string>} */
  const waiting = new Map();
  /** @type {Set<HTMLImageElement>} */
  const loading = new Set();

  function more() {
    for (const [picture, url] of waiting) {
      if (loading.size >= LOADING) return;
      waiting.delete(picture);
      loading.add(picture);
      const done = () => {
        loading.delete(picture);
        more();
      };
      picture.onload = picture.onerror = done;
      picture.src = url;
    }
  }

  return {
    /** @param {HTMLImageElement} picture @param {string} url */
    load(picture, url) {
      waiting.set(picture, url);
      more();
    },
    /** @param {HTMLImageElement} picture */
    forget(picture) {
      waiting.delete(picture);
      if (loading.delete(picture)) queueMicrotask(more);
      picture.onload = picture.onerror = null;
    },
  };
}

/** @param {Label[]} labels @param {App["colourOf"]} colourOf */
function drawings(labels, colourOf) {
  const seen = labels.filter((label) => label.status !== "rejected" && drawnSomewhere(label));
  const single = seen.slice(0, SINGLE).map((label) => svg("g",
    { "data-id": label.id, "data-category": label.category ?? "", "data-status": label.status ?? "" },
    line(path(label), colourOf(label.category), label.status)));
  /** @type {Map<string, string>} */
  const shared = new Map();
  for (const label of seen.slice(SINGLE)) {
    const look = `${colourOf(label.category)} ${label.status ?? ""}`;
    shared.set(look, (shared.get(look) ?? "") + path(label));
  }
  const others = [...shared].map(([look, d]) => line(d, look.split(" ")[0], look.split(" ")[1]));
  return [...others, ...single];
}

/** @param {string} d @param {string} colour @param {string | null | undefined} status */
function line(d, colour, status) {
  return svg("path", { d, stroke: colour, class: status === "suggestion" ? "suggestion" : null });
}

/** A label's outline; points are lines without length, which round ends make dots. @param {Label} label */
function path({ bbox, polygons, keypoints, shape }) {
  let d = "";
  if (polygons?.length) d += polygons.map((polygon) => ring(polygon)).join("");
  else if (bbox && !(shape?.kind === "oriented_box")) d += `M${bbox[0]} ${bbox[1]}h${bbox[2]}v${bbox[3]}h${-bbox[2]}z`;
  for (let at = 0; at + 2 < (keypoints?.length ?? 0); at += 3)
    if (keypoints?.[at + 2]) d += dot(keypoints[at], keypoints[at + 1]);
  if (shape?.kind === "oriented_box") d += ring(shape.corners);
  if (shape?.kind === "polyline") d += ring(shape.points).slice(0, -1);
  if (shape?.kind === "points") for (let at = 0; at + 1 < shape.points.length; at += 2) d += dot(shape.points[at], shape.points[at + 1]);
  if (shape?.kind === "circle") {
    const { x, y, radius: r } = shape;
    d += `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  }
  return d;
}

/** @param {number} x @param {number} y */
function dot(x, y) {
  return `M${x} ${y}h0`;
}

/** @param {number[]} points */
function ring(points) {
  return `M${points.join(" ")}z`;
}
