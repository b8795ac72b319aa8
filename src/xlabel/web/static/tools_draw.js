// Tools that draw new labels: boxes, turned boxes, polygons, keypoints.

import * as geometry from "./geometry.js";
import { dotsOf, pathOf } from "./drawing.js";
import { set } from "./stage.js";
import { shown, svg } from "./dom.js";

/** @import {Label} from "./types" */
/** @import {Bench} from "./bench.js" */
/** @import {Point} from "./geometry.js" */
/** @import {Tool} from "./tools.js" */

const LEAST = 3; // screen pixels of a box; less is a click
const CLOSE = 10; // screen pixels around a polygon's first point that close it

/** @param {Bench} bench @param {SVGGElement} preview @returns {Tool} */
export function createBox(bench, preview) {
  return {
    name: "box",
    label: "Box",
    icon: "M2.5 3.5h11v9h-11z",
    hint: () => `Drag to draw a box${naming(bench)}`,
    down: (p) => dragged(bench, preview, p, (a, b) => bench.add({ bbox: geometry.boxOf(a, b) }, "Box")),
  };
}

/** @param {Bench} bench @param {SVGGElement} preview @returns {Tool} */
export function createOrientedBox(bench, preview) {
  return {
    name: "oriented_box",
    label: "Oriented box",
    icon: "M8 1.5L14.5 8 8 14.5 1.5 8z",
    hint: () => `Drag to draw a box, then turn it by its round handle${naming(bench)}`,
    down: (p) =>
      dragged(bench, preview, p, (a, b) => bench.add({ shape: { kind: "oriented_box", corners: geometry.cornersOf(a, b) } }, "Oriented box")),
  };
}

/** @param {Bench} bench @param {SVGGElement} preview @param {() => void} changed @returns {Tool} */
export function createPolygon(bench, preview, changed) {
  /** @type {number[]} */
  let points = [];
  const line = svg("path", { class: "line" });
  const dots = svg("path", { class: "dots" });

  /** @param {Point | null} [p] where the pointer is */
  function draw(p) {
    if (points.length) preview.replaceChildren(line, dots);
    else preview.replaceChildren();
    paint(bench, preview);
    set(line, { d: pathOf(p ? [...points, p.x, p.y] : points, false) });
    set(dots, { d: dotsOf(points) });
  }

  function finish() {
    const made = points;
    points = [];
    draw();
    if (made.length >= 6) bench.add({ polygons: [made] }, "Polygon");
  }

  /** @param {Point} p */
  const closes = (p) => points.length >= 6 && Math.hypot(p.x - points[0], p.y - points[1]) * bench.stage.scale <= CLOSE;

  return {
    name: "polygon",
    label: "Polygon",
    icon: "M3 6l6-3.5L13.5 8l-4 5.5H4z",
    hint: () => {
      if (!points.length) return `Click the corners one after the other${naming(bench)}`;
      return points.length < 6 ? "Click the next corner; Escape leaves it" : "Close it by the first corner, Enter or a double click; Backspace takes one back";
    },
    down(to) {
      const p = geometry.inside(to, bench.stage.size);
      const [x, y] = points.slice(-2);
      if (!points.length) bench.select(null);
      if (closes(to)) finish();
      else if (Math.hypot(p.x - x, p.y - y) * bench.stage.scale < 2) return null; // the second press of a double click
      else points.push(p.x, p.y);
      draw(p);
      changed();
      return null;
    },
    hover(p) {
      if (!points.length) return;
      draw(p && geometry.inside(p, bench.stage.size));
      line.classList.toggle("closing", p !== null && closes(p));
    },
    busy: () => points.length > 0,
    finish,
    back() {
      points = points.slice(0, -2);
      draw();
    },
    cancel() {
      points = [];
      draw();
    },
  };
}

/** @param {Bench} bench @param {SVGGElement} preview @param {() => void} changed @returns {Tool} */
export function createKeypoints(bench, preview, changed) {
  /** @type {number[]} x, y, v of each, as far as they are set */
  let points = [];
  /** @type {Label | null} a label that gets them */
  let onto = null;

  /** @returns {string[]} in their order; none where the category has none */
  const names = () => bench.categoryOf(onto ? (onto.category ?? null) : bench.category)?.keypoints ?? [];

  function draw() {
    const bones = [];
    const skeleton = bench.categoryOf(onto ? (onto.category ?? null) : bench.category)?.skeleton ?? [];
    for (const [from, to] of skeleton) {
      const [a, b] = [(from - 1) * 3, (to - 1) * 3];
      if (points[a + 2] && points[b + 2]) bones.push(pathOf([points[a], points[a + 1], points[b], points[b + 1]], false));
    }
    preview.replaceChildren(svg("path", { class: "line", d: bones.join("") }), svg("path", { class: "dots", d: dotsOf(geometry.seen(points)) }));
    paint(bench, preview, onto);
  }

  function finish() {
    const [made, label, count] = [points, onto, names().length];
    cancel();
    if (!geometry.seen(made).length) return;
    if (!count) {
      bench.add({ shape: { kind: "points", points: geometry.seen(made) } }, "Points");
      return;
    }
    const keypoints = [...made, ...Array(count * 3 - made.length).fill(0)];
    if (label && bench.labels.get(label.id) === label) bench.commit("Keypoints", [bench.corrected(label, { keypoints })]);
    else bench.add({ keypoints }, "Keypoints");
  }

  function cancel() {
    [points, onto] = [[], null];
    draw();
  }

  /** @param {number[]} point */
  function put(point) {
    if (!points.length) {
      const held = bench.selected;
      const fits = held?.bbox && !held.keypoints && bench.categoryOf(held.category ?? null)?.keypoints?.length;
      onto = held && fits ? held : null;
    }
    points.push(...point);
    if (points.length === names().length * 3) finish();
    else draw();
    changed();
  }

  return {
    name: "keypoints",
    label: "Keypoints",
    icon: "M5.5 4.400l5 1.500M4.5 5.500l2 5.500M11.3 7.800l-2.8 3.700M4 2.500a1.5 1.5 0 100 3 1.5 1.5 0 000-3zM12 5a1.5 1.5 0 100 3 1.5 1.5 0 000-3zM7.2 11a1.5 1.5 0 100 3 1.5 1.5 0 000-3z",
    hint() {
      const known = names();
      const next = points.length / 3;
      if (!known.length) {
        const plain = bench.category ? `${shown(bench.category)} has no skeleton: each click sets a point` : "Each click sets a point";
        return next ? "Enter makes a label of these points; Escape leaves them" : plain;
      }
      return `Click ${shown(known[next])} (${next + 1} of ${known.length}); Shift: it is hidden, Space: it is not there, Enter: all done`;
    },
    down(to, event) {
      const p = geometry.inside(to, bench.stage.size);
      put([p.x, p.y, event.shiftKey ? 1 : 2]);
      return null;
    },
    busy: () => points.length > 0,
    finish,
    skip() {
      if (names().length) put([0, 0, 0]);
    },
    back() {
      points = points.slice(0, -3);
      draw();
    },
    cancel,
  };
}

/** @param {Bench} bench @param {SVGGElement} preview @param {Point} from @param {(a: Point, b: Point) => void} done */
function dragged(bench, preview, from, done) {
  const { size, scale } = bench.stage;
  const a = geometry.inside(from, size);
  const rect = svg("rect");
  paint(bench, preview);
  preview.replaceChildren(rect);
  return {
    /** @param {Point} to */
    move(to) {
      const [x, y, width, height] = geometry.boxOf(a, geometry.inside(to, size));
      set(rect, { x, y, width, height });
    },
    /** @param {Point} to */
    up(to) {
      preview.replaceChildren();
      const b = geometry.inside(to, size);
      if (Math.abs(a.x - b.x) * scale >= LEAST && Math.abs(a.y - b.y) * scale >= LEAST) done(a, b);
    },
    cancel: () => preview.replaceChildren(),
  };
}

/** In the colour that it will have. @param {Bench} bench @param {SVGGElement} preview @param {Label | null} [label] */
function paint(bench, preview, label) {
  const colour = bench.app.colourOf(label ? label.category : bench.category);
  set(preview, { stroke: colour, fill: colour });
}

/** @param {Bench} bench */
export const naming = (bench) => (bench.category ? ` (${shown(bench.category)})` : "; name its category at the right");
