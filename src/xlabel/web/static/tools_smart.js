// Smart select: a click or a box becomes the outline of what is there, by the server's model.

import { aborted } from "./api.js";
import { pathOf } from "./drawing.js";
import { boxOf, inside } from "./geometry.js";
import { naming } from "./tools_draw.js";
import { set } from "./stage.js";
import { svg } from "./dom.js";

/** @import {Segment} from "./types" */
/** @import {Bench} from "./bench.js" */
/** @import {Point} from "./geometry.js" */
/** @import {Tool} from "./tools.js" */

const CLICK = 5; // screen pixels; what is longer is a box

/** @param {Bench} bench @param {SVGGElement} preview @param {() => void} changed @returns {Tool} */
export function createSmart(bench, preview, changed) {
  /** @type {[number, number, boolean][]} */
  let points = [];
  /** @type {[number, number, number, number] | null} */
  let box = null;
  /** @type {Segment | null} */
  let found = null;
  /** @type {AbortController | null} */
  let asking = null;
  let ready = 0; // the image that the model has looked at
  let trouble = "";

  /** The model looks at an image before somebody clicks: that takes longer than the click. */
  async function prepare() {
    const work = bench.work;
    if (!work || ready === work.number + 1) return;
    try {
      await bench.app.api.segment(work.number, [], null);
      ready = work.number + 1;
      trouble = "";
    } catch (error) {
      trouble = error instanceof Error ? error.message : String(error);
    }
    changed();
  }

  async function ask() {
    asking?.abort();
    const [work, control] = [bench.work, new AbortController()];
    if (!work) return;
    asking = control;
    draw();
    try {
      const answer = await bench.app.api.segment(work.number, points, box, control.signal);
      if (asking !== control) return;
      found = answer;
      trouble = answer.polygons?.length ? "" : "Nothing was found there; try another place";
      ready = work.number + 1;
    } catch (error) {
      if (aborted(error) || asking !== control) return;
      trouble = error instanceof Error ? error.message : String(error);
    }
    asking = null;
    draw();
    changed();
  }

  function draw() {
    const colour = bench.app.colourOf(bench.category);
    set(preview, { stroke: colour, fill: colour });
    /** @param {boolean} on */
    const dots = (on) => points.filter((point) => point[2] === on).map(([x, y]) => `M${x} ${y}h0`).join("");
    preview.replaceChildren(
      svg("path", { class: "found", d: (found?.polygons ?? []).map((flat) => pathOf(flat, true)).join(""), "fill-rule": "evenodd" }),
      svg("path", { class: "dots on", d: dots(true) }),
      svg("path", { class: "dots off", d: dots(false) }),
    );
    if (box) preview.append(svg("rect", { class: "asked", x: box[0], y: box[1], width: box[2], height: box[3] }));
  }

  function cancel() {
    asking?.abort();
    [points, box, found, asking, trouble] = [[], null, null, null, ""];
    preview.replaceChildren();
  }

  const busy = () => points.length > 0 || box !== null;

  return {
    name: "sam",
    label: "Smart select",
    icon: "M8 1.500v3M8 11.500v3M1.5 8h3M11.5 8h3M8 8v0",
    taken: () => void prepare(),
    hint() {
      if (trouble) return trouble;
      if (asking) return "Looking\u2026";
      if (found) return "Enter takes it; a click adds to it, Shift and click leaves out";
      return ready === (bench.work?.number ?? -1) + 1 ? `Click a thing, or drag a box around it${naming(bench)}` : "The model looks at the image\u2026";
    },
    down(from, event) {
      const { size, scale } = bench.stage;
      const a = inside(from, size);
      const rect = svg("rect", { class: "asked" });
      /** @param {Point} to */
      const far = (to) => Math.hypot(to.x - from.x, to.y - from.y) * scale > CLICK;
      return {
        move(to) {
          if (!far(to)) return;
          const [x, y, width, height] = boxOf(a, inside(to, size));
          set(rect, { x, y, width, height });
          preview.append(rect);
        },
        up(to) {
          if (far(to)) box = boxOf(a, inside(to, size));
          else points.push([a.x, a.y, !event.shiftKey]);
          void ask();
        },
        cancel: () => rect.remove(),
      };
    },
    busy,
    finish() {
      const polygons = found?.polygons;
      if (!polygons?.length) return;
      cancel();
      bench.add({ polygons }, "Smart select");
    },
    back() {
      points.pop();
      if (busy()) void ask();
      else cancel();
    },
    cancel,
  };
}
