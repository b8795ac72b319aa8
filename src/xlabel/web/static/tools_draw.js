// Tools that draw new labels.

import * as geometry from "./geometry.js";
import * as masks from "./masks.js";
import { bonesOf, dotsOf, pathOf, set } from "./stage.js";
import { button, h, shown, svg } from "./dom.js";

const CLOSE = 10; // screen pixels around a polygon's first point that close it

/** @param {Bench} bench @param {string} text */
const naming = ({ category }, text) => `${text} (${category ? shown(category) : "name a category at the right"})`;

/** Show something in the colour that it will have. @param {Bench} bench @param {SVGGElement} preview @param {Label | null} label @param {SVGElement[]} nodes */
function show(bench, preview, label, ...nodes) {
  const colour = bench.app.colourOf((label ?? bench).category);
  set(preview, { stroke: colour, fill: colour });
  preview.replaceChildren(...nodes);
}

/** @param {string} kind @param {string} d */
const path = (kind, d) => svg("path", { class: kind, d, "fill-rule": "evenodd" });

/** A box is dragged from a place. @type {(bench: Bench, preview: SVGGElement, from: Point, done: (a: Point, b: Point) => void) => Gesture} */
const dragged = (bench, preview, from, done) => {
  const { size } = bench.stage;
  const a = geometry.inside(from, size);
  const rect = svg("rect", { class: "asked" });
  preview.append(rect);
  return {
    move(to) {
      const [x, y, width, height] = geometry.boxOf(a, geometry.inside(to, size));
      set(rect, { x, y, width, height });
    },
    up(to) {
      rect.remove();
      const b = geometry.inside(to, size);
      if (a.x !== b.x && a.y !== b.y) done(a, b);
    },
    cancel: () => rect.remove(),
  };
};

/** @type {MakeTool} */
export const createBox = (bench, preview) => ({
  name: "box",
  label: "Box",
  icon: "M2.5 3.5h11v9h-11z",
  clicks: true,
  hint: () => naming(bench, "Drag to draw a box"),
  down: (p) => dragged(bench, preview, p, (a, b) => bench.add("Box", { bbox: geometry.boxOf(a, b) })),
});

/** @type {MakeTool} */
export const createOrientedBox = (bench, preview) => ({
  name: "oriented_box",
  label: "Oriented box",
  icon: "M8 1.5L14.5 8 8 14.5 1.5 8z",
  clicks: true,
  hint: () => naming(bench, "Drag to draw a box, then turn it by its round handle"),
  down: (p) =>
    dragged(bench, preview, p, (a, b) => {
      const [x, y, w, h] = geometry.boxOf(a, b);
      const [right, bottom] = [geometry.round(x + w), geometry.round(y + h)];
      bench.add("Oriented box", { shape: { kind: "oriented_box", corners: [x, y, right, y, right, bottom, x, bottom] } });
    }),
});

/** @type {MakeTool} */
export const createPolygon = (bench, preview, changed) => {
  /** @type {Point[]} */
  let points = [];
  const far = (/** @type {Point} */ p, /** @type {Point | undefined} */ q) => (q ? Math.hypot(p.x - q.x, p.y - q.y) * bench.stage.scale : Infinity);
  const closes = (/** @type {Point} */ p) => points.length > 2 && far(p, points[0]) <= CLOSE;
  const draw = (/** @type {Point | null} */ p = null) => {
    if (!points.length) return preview.replaceChildren();
    const line = pathOf([...points, ...(p ? [p] : [])].flatMap(({ x, y }) => [x, y]));
    show(bench, preview, null, path(p && closes(p) ? "line closing" : "line", line), path("dots", dotsOf(points)));
  };
  const finish = () => {
    const polygon = points.flatMap(({ x, y }) => [x, y]);
    points = [];
    draw();
    if (polygon.length > 5) bench.add("Polygon", { polygons: [polygon] });
  };
  return {
    name: "polygon",
    label: "Polygon",
    icon: "M3 6l6-3.5L13.5 8l-4 5.5H4z",
    hint: () => (points.length > 2 ? "Close it by its first corner, Enter or a double click" : naming(bench, "Click its corners")),
    down(to) {
      const p = geometry.inside(to, bench.stage.size);
      if (!points.length) bench.select(null);
      if (closes(to)) finish();
      else if (far(p, points.at(-1)) > 2) points.push(p); // else the second press of a double click
      draw(p);
      changed();
      return null;
    },
    hover: (p) => points.length > 0 && draw(p && geometry.inside(p, bench.stage.size)),
    busy: () => points.length > 0,
    finish,
    back: () => (points.pop(), draw()),
    cancel: () => ((points = []), draw()),
  };
};

/** @type {MakeTool} */
export const createKeypoints = (bench, preview, changed) => {
  /** @type {number[]} x, y, v of each, as far as they are set */
  let points = [];
  /** @type {Label | null} a label that gets them */
  let onto = null;
  const category = () => bench.categoryOf((onto ?? bench).category);
  const names = () => category()?.keypoints ?? [];
  const draw = () => show(bench, preview, onto, path("line", bonesOf(points, category())), path("dots", dotsOf(geometry.seen(points))));
  const finish = () => {
    const [made, label, count] = [points, onto, names().length];
    cancel();
    const seen = geometry.seen(made).flatMap(({ x, y }) => [x, y]);
    const keypoints = [...made, ...Array(Math.max(0, count * 3 - made.length)).fill(0)];
    if (!seen.length) return;
    if (!count) bench.add("Points", { shape: { kind: "points", points: seen } });
    else if (label) bench.commit("Keypoints", [bench.corrected(label, { keypoints })]);
    else bench.add("Keypoints", { keypoints });
  };
  const cancel = () => {
    [points, onto] = [[], null];
    draw();
  };
  const put = (/** @type {number[]} */ ...point) => {
    const held = bench.selected;
    if (!points.length) onto = held?.bbox && !held.keypoints && bench.categoryOf(held.category)?.keypoints?.length ? held : null;
    points.push(...point);
    if (points.length === names().length * 3) finish();
    else draw();
    changed();
  };
  return {
    name: "keypoints",
    label: "Keypoints",
    icon: "M3 3h2v2H3zM11 5h2v2h-2zM6 11h2v2H6zM5 4l6 2M4 5l3 6M12 7l-4 5",
    hint() {
      const [all, at] = [names(), points.length / 3];
      if (!all.length) return naming(bench, "Click points, then Enter");
      return `Click ${shown(all[at])} (${at + 1} of ${all.length}). Shift: it is hidden, Space: it is not there, Enter: done`;
    },
    down(to, event) {
      const { x, y } = geometry.inside(to, bench.stage.size);
      put(x, y, event.shiftKey ? 1 : 2);
      return null;
    },
    busy: () => points.length > 0,
    finish,
    skip: () => names().length > 0 && put(0, 0, 0),
    back: () => (points.splice(-3), draw()),
    cancel,
  };
};

/** Paints a mask, and with Alt or as an eraser takes away. @type {MakeTool} */
export const createBrush = (bench, preview) => {
  const size = h("input", { id: "brush-size", type: "range", min: "1", max: "200", value: "24" });
  const eraser = button({ label: "Eraser", text: "Eraser", "aria-pressed": "false", onclick: () => set(eraser, { "aria-pressed": !erases() }) });
  const erases = () => eraser.getAttribute("aria-pressed") === "true";
  const radius = () => Number(size.value) / 2 / bench.stage.scale;
  const held = () => (bench.selected?.mask ? bench.selected : null);

  /** @param {Label | null} label @param {Point[]} way @param {number} r @param {number} value */
  const paint = (label, way, r, value) => {
    const old = label?.mask;
    const bitmap = old ? masks.toBitmap(old) : masks.emptyBitmap(bench.stage.size);
    way.forEach((p, i) => masks.stroke(bitmap, way[Math.max(0, i - 1)], p, r, value));
    const mask = masks.fromBitmap(bitmap, Array.isArray(old?.counts));
    if (label && !masks.bounds(mask)) bench.remove();
    else if (label) bench.commit(value ? "Paint" : "Erase", [bench.corrected(label, geometry.withParts(label, { mask }))]);
    else if (masks.bounds(mask)) bench.add("Mask", { mask });
  };
  return {
    name: "brush",
    label: "Brush",
    icon: "M13.5 2.5L7 9M7 9c-3-1-3 3-5 3.5 2 2.5 6.5 1.5 5-3.5z",
    options: h("div", { class: "slide" }, eraser, h("label", { for: "brush-size" }, "Brush size"), size),
    hint: () => (held() ? "Paint into the selected mask; Alt erases" : naming(bench, "Paint a mask")),
    hover: (p, event) => show(bench, preview, held(), ...(p ? [svg("circle", { class: erases() || event.altKey ? "ring off" : "ring", cx: p.x, cy: p.y, r: radius() })] : [])),
    down(from, event) {
      const [out, label, r, way] = [erases() || event.altKey, held(), radius(), [from]];
      const trace = svg("path", { class: out ? "trace off" : "trace", "stroke-width": 2 * r });
      const draw = () => set(trace, { d: `${pathOf(way.flatMap(({ x, y }) => [x, y]))}h0` });
      draw();
      show(bench, preview, label, trace);
      return {
        move: (p) => (way.push(p), draw()),
        up() {
          preview.replaceChildren();
          if (label || !out) paint(label, way, r, out ? 0 : 1);
        },
        cancel: () => preview.replaceChildren(),
      };
    },
  };
};

/** A click or a box becomes the outline of what is there, by the server's model. @type {MakeTool} */
export const createSmart = (bench, preview, changed) => {
  /** @type {[number, number, boolean][]} */
  let points = [];
  /** @type {Box | null} */
  let box = null;
  /** @type {number[][]} */
  let found = [];
  let [turn, says] = [0, ""];
  const busy = () => points.length > 0 || box !== null;
  const draw = () => {
    const dots = [true, false].map((on) => path(on ? "dots on" : "dots off", dotsOf(points.filter((p) => p[2] === on).map(([x, y]) => ({ x, y })))));
    const asked = box ? [svg("rect", { class: "asked", x: box[0], y: box[1], width: box[2], height: box[3] })] : [];
    show(bench, preview, null, path("found", found.map((flat) => `${pathOf(flat)}Z`).join("")), ...dots, ...asked);
  };
  const ask = async () => {
    const [work, mine] = [bench.work, ++turn];
    if (!work) return;
    says = "Looking\u2026";
    draw();
    changed();
    try {
      const { polygons } = await bench.app.api.segment(work.number, points, box);
      if (mine !== turn) return;
      found = polygons ?? [];
      says = found.length ? "Enter takes it. A click adds, Shift and click leaves out" : busy() ? "Nothing is found there" : "";
    } catch (error) {
      if (mine === turn) says = /** @type {Error} */ (error).message;
    }
    if (mine === turn && busy()) draw();
    changed();
  };
  const cancel = () => {
    turn++;
    [points, box, found, says] = [[], null, [], ""];
    preview.replaceChildren();
  };
  return {
    name: "sam",
    label: "Smart select",
    icon: "M8 2l1.5 4.5L14 8 9.5 9.5 8 14 6.5 9.5 2 8l4.5-1.5z",
    hint: () => says || naming(bench, "Click a thing, or drag a box around it"),
    taken: () => void ask(), // the model looks at the image before somebody clicks, which takes longer than a click
    down(p, event) {
      const { x, y } = geometry.inside(p, bench.stage.size);
      const drag = dragged(bench, preview, p, (a, b) => (box = geometry.boxOf(a, b)));
      let way = 0;
      return {
        move(to, next) {
          way = Math.max(way, Math.hypot(to.x - p.x, to.y - p.y) * bench.stage.scale);
          if (way > 4) drag.move(to, next);
        },
        up(to, next) {
          if (way > 4) drag.up(to, next);
          else drag.cancel(), points.push([x, y, !event.shiftKey]);
          void ask();
        },
        cancel: drag.cancel,
      };
    },
    busy,
    finish() {
      const polygons = found;
      if (!polygons.length) return;
      cancel();
      bench.add("Smart select", { polygons });
    },
    back() {
      points.pop();
      if (busy()) void ask();
      else cancel();
    },
    cancel,
  };
};
