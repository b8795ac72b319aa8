// The brush for masks: it paints, and with Alt or as an eraser it takes away.

import * as geometry from "./geometry.js";
import * as masks from "./masks.js";
import { button, h, svg } from "./dom.js";
import { pathOf } from "./drawing.js";
import { set } from "./stage.js";

/** @import {Label} from "./types" */
/** @import {Bench} from "./bench.js" */
/** @import {Point} from "./geometry.js" */
/** @import {Tool} from "./tools.js" */

/** @param {Bench} bench @param {SVGGElement} preview @returns {Tool} */
export function createBrush(bench, preview) {
  let erasing = false;
  const size = h("input", { id: "brush-size", type: "range", min: "1", max: "100", value: "16", "aria-label": "Brush size" });
  const eraser = button({
    label: "Eraser",
    text: "Eraser",
    "aria-pressed": "false",
    onclick() {
      erasing = !erasing;
      eraser.setAttribute("aria-pressed", String(erasing));
    },
  });
  const ring = svg("circle", { class: "ring" });

  const radius = () => Number(size.value) / 2 / bench.stage.scale;

  return {
    name: "brush",
    label: "Brush",
    icon: "M13.5 2.5L7 9M7 9c-3-1-3 3-5 3.5 2 2.5 6.5 1.5 5-3.500z",
    options: h("div", { class: "options" }, eraser, h("label", { for: "brush-size" }, "Brush"), size),
    hint() {
      const label = bench.selected;
      const what = label?.mask ? "Paint into the mask of the selected label" : "Paint a new mask";
      return `${what}; Alt erases`;
    },
    hover(p, event) {
      if (!p) return preview.replaceChildren();
      if (ring.parentNode !== preview) preview.replaceChildren(ring);
      ring.classList.toggle("erasing", erasing || event.altKey);
      set(ring, { cx: p.x, cy: p.y, r: radius() });
    },
    down(from, event) {
      const out = erasing || event.altKey;
      const held = bench.selected;
      const label = held?.mask ? held : null;
      if (out && !label) {
        bench.app.announce("Select a mask to erase from");
        return null;
      }
      const r = radius();
      const way = [from];
      const trace = svg("path", { class: out ? "trace erasing" : "trace", "stroke-width": 2 * r });
      const colour = bench.app.colourOf(label ? label.category : bench.category);
      set(preview, { stroke: colour, fill: colour });
      preview.replaceChildren(trace);
      const draw = () => set(trace, { d: `${pathOf(way.flatMap(({ x, y }) => [x, y]), false)}h0` });
      draw();
      return {
        move(p) {
          way.push(p);
          draw();
        },
        up() {
          preview.replaceChildren();
          painted(bench, label, way, r, out ? 0 : 1);
        },
        cancel: () => preview.replaceChildren(),
      };
    },
  };
}

/** @param {Bench} bench @param {Label | null} label @param {Point[]} way @param {number} radius @param {0 | 1} value */
function painted(bench, label, way, radius, value) {
  const { width, height } = bench.stage.size;
  const old = label?.mask ?? null;
  const bitmap = old ? masks.toBitmap(old) : masks.emptyBitmap(width, height);
  way.forEach((p, i) => masks.stroke(bitmap, way[Math.max(0, i - 1)], p, radius, value));
  const mask = masks.fromBitmap(bitmap, old !== null && typeof old.counts !== "string");
  const bounds = masks.bounds(mask);
  if (!label || !old) {
    if (bounds) bench.add({ mask }, "Mask");
  } else if (!bounds) {
    bench.commit("Erase the mask", [{ id: label.id, before: label, after: null }]);
  } else {
    const next = geometry.followed({ ...label, mask }, masks.bounds(old), bounds);
    bench.commit(value ? "Paint" : "Erase", [bench.corrected(label, next)]);
  }
}
