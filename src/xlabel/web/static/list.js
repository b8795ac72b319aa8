// The list of an image's labels. Only rows in sight are in the page, so that thousands cost no more than a few.

import * as geometry from "./geometry.js";
import { h, shown } from "./dom.js";

/** @import {Label} from "./types" */
/** @import {Bench} from "./bench.js" */

const ROW = 28; // pixels

/** @param {Bench} bench */
export function createList(bench) {
  const rows = h("div", { class: "rows" });
  const root = h("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": "Labels" }, rows);
  /** @type {Label[]} */
  let labels = [];
  let waiting = 0;

  function draw() {
    waiting = 0;
    const selected = bench.selected;
    const first = Math.max(0, Math.floor(root.scrollTop / ROW) - 2);
    const last = Math.min(labels.length, first + Math.ceil((root.clientHeight || 200) / ROW) + 4);
    rows.style.height = `${labels.length * ROW}px`;
    rows.replaceChildren(...labels.slice(first, last).map((label, i) => row(label, first + i, label.id === selected?.id)));
  }

  /** @param {Label} label @param {number} place @param {boolean} selected */
  function row(label, place, selected) {
    const colour = h("span", { class: "swatch" });
    colour.style.background = bench.app.colourOf(label.category);
    const score = label.score === null || label.score === undefined ? "" : label.score.toFixed(2);
    const kind = geometry.kindOf(label);
    const status = label.status === "suggestion" ? score || "suggestion" : (label.status ?? (kind === "box" ? "" : kind));
    const made = h(
      "div",
      {
        class: `label-row ${label.status ?? "truth"}`,
        role: "option",
        id: `row-${place}`,
        "data-label": label.id,
        "aria-selected": String(selected),
        "aria-setsize": labels.length,
        "aria-posinset": place + 1,
        title: `${kind}${label.status ? `, ${label.status}` : ""}${label.attributes?.comment ? `: ${shown(String(label.attributes.comment))}` : ""}`,
      },
      colour,
      h("bdi", { class: "name" }, label.category ? shown(label.category) : "no category"),
      label.attributes?.comment ? h("span", { class: "noted", "aria-label": "with a comment" }, "\u201d") : null,
      h("span", { class: "muted" }, status),
    );
    made.style.top = `${place * ROW}px`;
    if (selected) root.setAttribute("aria-activedescendant", made.id);
    return made;
  }

  function soon() {
    waiting ||= requestAnimationFrame(draw);
  }

  /** Bring the selected row into sight. */
  function follow() {
    const selected = bench.selected;
    const place = selected ? labels.findIndex(({ id }) => id === selected.id) : -1;
    if (place < 0) root.removeAttribute("aria-activedescendant");
    else if (place * ROW < root.scrollTop) root.scrollTop = place * ROW;
    else if ((place + 1) * ROW > root.scrollTop + root.clientHeight) root.scrollTop = (place + 1) * ROW - root.clientHeight;
    soon();
  }

  root.addEventListener("scroll", soon);
  root.addEventListener("mousedown", (event) => event.preventDefault());
  root.addEventListener("click", ({ target }) => {
    const found = target instanceof Element ? target.closest("[data-label]") : null;
    const label = labels.find(({ id }) => String(id) === found?.getAttribute("data-label"));
    if (label) bench.select(label.id);
  });
  root.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !labels.length) return;
    event.preventDefault();
    const selected = bench.selected;
    const place = selected ? labels.findIndex(({ id }) => id === selected.id) : -1;
    bench.select(labels[Math.max(0, Math.min(labels.length - 1, place + by))].id);
  });
  new ResizeObserver(soon).observe(root);
  bench.on("labels", () => {
    labels = [...bench.labels.values()];
    soon();
  });
  bench.on("image", () => {
    labels = [...bench.labels.values()];
    root.scrollTop = 0;
    soon();
  });
  bench.on("selection", follow);
  return root;
}
