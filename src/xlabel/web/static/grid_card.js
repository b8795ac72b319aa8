// One card of the grid: the small picture, the labels on it, and what it is called. Cards are used again.

import { counted, drawn, h, shown, svg } from "./dom.js";
import { placed } from "./store.js";

/** @import { Cell, MakeCell, MakeLoader } from "./app.d.ts" */
/** @import { Label, State } from "./types.d.ts" */

const SINGLE = 60; // labels with an element of their own; the others of a card share one for each look
const LOADING = 5; // pictures under way, which leaves a connection for questions
export const MARKS = /** @type {Record<string, State>} */ ({ t: "todo", l: "labelled", r: "reviewed", x: "rejected" });
export const STATES = /** @type {Record<State, {text: string, icon: string}>} */ ({
  todo: { text: "To do", icon: "M8 3.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9" },
  labelled: { text: "Labelled", icon: "M8 5.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5" },
  reviewed: { text: "Reviewed", icon: "M3.5 8.5l3 3 6-7" },
  rejected: { text: "Rejected", icon: "M4.5 4.5l7 7M11.5 4.5l-7 7" },
});

/** @type {MakeCell} */
export function createCell({ api, colourOf }, imageAddress, loader) {
  const picture = h("img", { alt: "", decoding: "async", draggable: "false" });
  const overlay = svg("svg", { "aria-hidden": "true", class: "labels" });
  const [note, state, folder, base, count] = ["note", "state", "folder", "base", "count"].map((name) => h("span", { class: name }));
  const link = h("a", { class: "card", draggable: "false" },
    h("span", { class: "thumb" }, picture, overlay, note),
    h("span", { class: "caption" }, state, h("bdi", { class: "file" }, folder, base), count));
  const tick = h("input", { type: "checkbox", tabindex: "-1" });
  const root = h("div", { class: "cell", role: "listitem" }, link, tick);
  let source = "";

  /** @param {State | undefined} name */
  function mark(name) {
    state.dataset.state = name ?? "";
    state.replaceChildren(...(name ? [drawn(STATES[name].icon)] : []));
  }

  /** @param {string} url */
  function load(url) {
    if (url === source) return;
    source = url;
    loader(picture, url);
  }

  /** @type {Cell} */
  const cell = {
    root,
    link,
    number: -1,

    become(number, place, of, known) {
      root.ariaPosInSet = `${place + 1}`;
      root.ariaSetSize = `${of}`;
      if (cell.number === number) return;
      cell.number = number;
      link.dataset.number = `${number}`;
      delete link.dataset.key;
      link.removeAttribute("href");
      link.ariaLabel = tick.ariaLabel = "Loading";
      overlay.replaceChildren();
      for (const part of [folder, base, count, note]) part.textContent = "";
      link.title = "";
      load("");
      mark(known);
    },

    fill(card) {
      if (!card) return;
      const { number, key, version, state, labels, more, error, width, height, split, tags, readonly } = card;
      link.dataset.key = key;
      link.href = imageAddress(key);
      const cut = key.lastIndexOf("/") + 1;
      folder.textContent = shown(key.slice(0, cut));
      base.textContent = shown(key.slice(cut));
      const total = labels.length + more;
      const open = labels.filter((label) => label.status === "suggestion").length;
      count.textContent = total ? counted(total) : "";
      note.textContent = error ? `No picture: ${shown(error)}` : "";
      const words = [shown(key), STATES[state].text, `${counted(total)} label${total === 1 ? "" : "s"}`, open && `${open} undecided`,
        split && `split ${shown(split)}`, tags.length && `tags ${shown(tags.join(", "))}`, readonly && `read-only: ${shown(readonly)}`].filter(Boolean);
      link.ariaLabel = words.join(", ");
      link.title = words.join("\n");
      tick.ariaLabel = `Select ${shown(key)}`;
      mark(state);
      load(error ? "" : api.thumbUrl(number, version));
      overlay.setAttribute("viewBox", `0 0 ${width ?? 1} ${height ?? 1}`);
      overlay.replaceChildren(...drawings(labels, colourOf));
    },

    dress(selected, current) {
      root.classList.toggle("selected", selected);
      tick.checked = selected;
      link.tabIndex = current ? 0 : -1;
    },
  };
  return cell;
}

/** @type {MakeLoader} */
export function createLoader() {
  const waiting = new Map();
  const loading = new Set();

  function more() {
    for (const [picture, url] of waiting) {
      if (loading.size >= LOADING) return;
      waiting.delete(picture);
      loading.add(picture);
      picture.onload = picture.onerror = () => loading.delete(picture) && more();
      picture.src = url;
    }
  }

  return (picture, url) => {
    picture.onload = picture.onerror = null;
    picture.removeAttribute("src");
    waiting.delete(picture);
    if (url) waiting.set(picture, url);
    if (loading.delete(picture) || url) more();
  };
}

/** @param {Label[]} labels @param {(category: string | null | undefined) => string} colourOf */
function drawings(labels, colourOf) {
  const seen = labels.filter((label) => label.status !== "rejected" && placed(label));
  /** @type {Map<string, Label[]>} */
  const looks = new Map();
  for (const label of seen.slice(SINGLE)) {
    const look = `${label.status} ${label.category}`;
    looks.set(look, [...(looks.get(look) ?? []), label]);
  }
  return [...looks.values(), ...seen.slice(0, SINGLE).map((label) => [label])].map((alike) => {
    const [{ id, category, status }] = alike;
    return svg("g", { "data-id": alike.length > 1 ? null : id, "data-category": category ?? "", "data-status": status ?? "" },
      svg("path", { d: alike.map(outline).join(""), stroke: colourOf(category) }));
  });
}

/** Points are lines without length, which round ends make dots. @param {Label} label */
function outline({ bbox, polygons, keypoints, shape }) {
  let d = (polygons ?? []).map((polygon) => `M${polygon}z`).join("");
  if (bbox && !d && shape?.kind !== "oriented_box") d = `M${bbox[0]} ${bbox[1]}h${bbox[2]}v${bbox[3]}h${-bbox[2]}z`;
  (keypoints ?? []).forEach((seen, at, all) => at % 3 === 2 && seen && (d += `M${all[at - 2]} ${all[at - 1]}h0`));
  if (shape?.kind === "oriented_box") d += `M${shape.corners}z`;
  else if (shape?.kind === "polyline") d += `M${shape.points}`;
  else if (shape?.kind === "points") shape.points.forEach((y, at, all) => at % 2 && (d += `M${all[at - 1]} ${y}h0`));
  else if (shape) d += `M${shape.x - shape.radius} ${shape.y}a${shape.radius} ${shape.radius} 0 1 0 ${2 * shape.radius} 0a${shape.radius} ${shape.radius} 0 1 0 ${-2 * shape.radius} 0`;
  return d;
}
