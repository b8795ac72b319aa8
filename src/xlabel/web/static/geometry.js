// Where labels lie, and what becomes of that when somebody pulls at them. Pure functions of labels.
//
// Coordinates are pixels of the image as displayed, rounded to 1/100. What is pulled stays inside the image.

import * as masks from "./masks.js";

/** @import {Box, Label, Shape} from "./types" */
/** @typedef {{x: number, y: number}} Point */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {[number, number, number, number]} Bounds left, top, right, bottom */
/**
 * What a label can be pulled at: a side or corner of its box ("n", "se"), a vertex, the middle of an edge
 * (pulled, it becomes a vertex), a keypoint, a corner, edge or the handle of a turned box, a circle's rim.
 * @typedef {{kind: string, x: number, y: number, part: number, index: number}} Handle
 */

/** @param {number} n */
export const round = (n) => Math.round(n * 100) / 100;

/** @param {number} n @param {number} low @param {number} high */
export const clamp = (n, low, high) => Math.max(low, Math.min(high, n));

/** @param {Point} p @param {Size} size @returns {Point} the nearest point of the image, rounded */
export const inside = (p, size) => ({
  x: round(clamp(p.x, 0, size.width)),
  y: round(clamp(p.y, 0, size.height)),
});

/** @param {Point} a @param {Point} b @returns {Box} */
export const boxOf = (a, b) => [
  Math.min(a.x, b.x),
  Math.min(a.y, b.y),
  round(Math.abs(a.x - b.x)),
  round(Math.abs(a.y - b.y)),
];

/** @param {Point} a @param {Point} b @returns {number[]} corners of an upright box, clockwise from its top left */
export function cornersOf(a, b) {
  const [x, y, w, h] = boxOf(a, b);
  return [x, y, round(x + w), y, round(x + w), round(y + h), x, round(y + h)];
}

/** @param {Label} label @returns {"box" | "polygon" | "mask" | "keypoints" | "oriented box" | "polyline" | "points" | "circle" | "tag"} */
export function kindOf(label) {
  if (label.shape) return label.shape.kind === "oriented_box" ? "oriented box" : label.shape.kind;
  if (label.keypoints) return "keypoints";
  if (label.mask) return "mask";
  if (label.polygons) return "polygon";
  return label.bbox ? "box" : "tag";
}

/** @param {number[]} flat x1, y1, x2, y2, ... @returns {Bounds | null} */
export function boundsOfPoints(flat) {
  if (flat.length < 2) return null;
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i + 1 < flat.length; i += 2) {
    left = Math.min(left, flat[i]);
    right = Math.max(right, flat[i]);
    top = Math.min(top, flat[i + 1]);
    bottom = Math.max(bottom, flat[i + 1]);
  }
  return [left, top, right, bottom];
}

/** @param {Label} label @returns {Bounds | null} of all its geometry; null where it is about the whole image */
export function boundsOf(label) {
  const found = [];
  if (label.bbox) found.push(boundsOfBox(label.bbox));
  for (const polygon of label.polygons ?? []) found.push(boundsOfPoints(polygon));
  if (label.mask) found.push(masks.bounds(label.mask));
  if (label.keypoints) found.push(boundsOfPoints(seen(label.keypoints)));
  if (label.shape) found.push(boundsOfPoints(pointsOf(label.shape)));
  /** @type {Bounds | null} */
  let all = null;
  for (const one of found) {
    if (!one) continue;
    all = all
      ? [Math.min(all[0], one[0]), Math.min(all[1], one[1]), Math.max(all[2], one[2]), Math.max(all[3], one[3])]
      : one;
  }
  return all;
}

/** @param {Label} label @param {Point} p @param {number} near pixels that count as on it */
export function contains(label, p, near) {
  if (label.mask && masks.has(label.mask, p.x, p.y)) return true;
  for (const polygon of label.polygons ?? []) if (within(polygon, p)) return true;
  const { shape, keypoints } = label;
  if (shape?.kind === "oriented_box") return within(shape.corners, p);
  if (shape?.kind === "circle") return Math.hypot(p.x - shape.x, p.y - shape.y) <= shape.radius + near;
  if (shape?.kind === "polyline") {
    return edges(shape.points, false).some(([a, b]) => distance(p, a, b) <= near);
  }
  const dots = [...(shape?.kind === "points" ? shape.points : []), ...(keypoints ? seen(keypoints) : [])];
  for (let i = 0; i < dots.length; i += 2) if (Math.hypot(p.x - dots[i], p.y - dots[i + 1]) <= near) return true;
  if (!label.bbox || label.polygons || label.mask) return false;
  const [left, top, right, bottom] = boundsOfBox(label.bbox);
  return p.x >= left - near && p.x <= right + near && p.y >= top - near && p.y <= bottom + near;
}

/** @param {Iterable<Label>} labels @param {Point} p @param {number} near @returns {Label | null} the smallest there */
export function under(labels, p, near) {
  let best = null;
  let least = Infinity;
  for (const label of labels) {
    if (!contains(label, p, near)) continue;
    const bounds = boundsOf(label);
    const size = bounds ? (bounds[2] - bounds[0]) * (bounds[3] - bounds[1]) : Infinity;
    if (size <= least) [best, least] = [label, size];
  }
  return best;
}

/** @param {Label} label @returns {Handle[]} */
export function handlesOf(label) {
  const { shape } = label;
  if (shape?.kind === "oriented_box") return turnedHandles(shape.corners);
  if (shape?.kind === "circle") return [handle("rim", shape.x + shape.radius, shape.y)];
  if (shape) return vertexHandles(shape.points, 0, shape.kind === "polyline" ? "open" : "apart");
  if (label.mask) return [];
  const found = (label.polygons ?? []).flatMap((polygon, part) => vertexHandles(polygon, part, "closed"));
  const { keypoints } = label;
  for (let i = 0; keypoints && i + 2 < keypoints.length; i += 3) {
    if (keypoints[i + 2]) found.push(handle("keypoint", keypoints[i], keypoints[i + 1], i / 3));
  }
  return label.bbox && !label.polygons ? [...boxHandles(label.bbox), ...found] : found;
}

/**
 * The label after one of its handles has been pulled to a place.
 * @param {Label} label @param {Handle} at @param {Point} to @param {Size} size of the image
 * @param {boolean} [even] in even steps: a turned box by 15 degrees
 * @returns {Label}
 */
export function pulled(label, at, to, size, even = false) {
  const p = inside(to, size);
  const { shape, keypoints } = label;
  if (shape?.kind === "oriented_box") {
    const corners = turned(shape.corners, at, at.kind === "rotate" ? to : p, even);
    const bounds = boundsOfPoints(corners);
    const out = bounds && (bounds[0] < 0 || bounds[1] < 0 || bounds[2] > size.width || bounds[3] > size.height);
    return out ? label : { ...label, shape: { ...shape, corners } };
  }
  if (shape?.kind === "circle") {
    const most = Math.min(shape.x, shape.y, size.width - shape.x, size.height - shape.y);
    const radius = clamp(round(Math.hypot(p.x - shape.x, p.y - shape.y)), 1, Math.max(1, round(most)));
    return { ...label, shape: { ...shape, radius } };
  }
  if (shape) return { ...label, shape: { ...shape, points: withVertex(shape.points, at, p) } };
  if (keypoints && at.kind === "keypoint") {
    const next = [...keypoints];
    next.splice(at.index * 3, 2, p.x, p.y);
    return { ...label, keypoints: next };
  }
  if (label.polygons && (at.kind === "vertex" || at.kind === "middle")) {
    return withPolygons(label, label.polygons.map((polygon, part) => (part === at.part ? withVertex(polygon, at, p) : polygon)));
  }
  return label.bbox ? { ...label, bbox: pulledBox(label.bbox, at.kind, p, size) } : label;
}

/** @param {Label} label @param {Handle} at @returns {Label | null} without a vertex; null where it cannot spare it */
export function withoutVertex(label, at) {
  const { shape } = label;
  if (at.kind === "keypoint" && label.keypoints) {
    const next = [...label.keypoints];
    next.splice(at.index * 3, 3, 0, 0, 0);
    return seen(next).length ? { ...label, keypoints: next } : null;
  }
  if (at.kind !== "vertex") return null;
  if (shape && "points" in shape) {
    const points = cut(shape.points, at.index);
    return points.length >= (shape.kind === "polyline" ? 4 : 2) ? { ...label, shape: { ...shape, points } } : null;
  }
  if (!label.polygons) return null;
  const polygons = label.polygons.map((polygon, part) => (part === at.part ? cut(polygon, at.index) : polygon));
  const left = polygons.filter((polygon) => polygon.length >= 6);
  return left.length ? withPolygons(label, left) : null;
}

/** @param {Label} label @param {number} dx @param {number} dy @param {Size} size @returns {Label} moved as far as it may */
export function moved(label, dx, dy, size) {
  const bounds = boundsOf(label);
  if (!bounds) return label;
  [dx, dy] = room(label, dx, dy, size);
  /** @param {number[]} flat */
  const all = (flat) => flat.map((n, i) => round(n + (i % 2 ? dy : dx)));
  /** @type {Label} */
  const next = { ...label };
  if (label.bbox) next.bbox = [round(label.bbox[0] + dx), round(label.bbox[1] + dy), label.bbox[2], label.bbox[3]];
  if (label.polygons) next.polygons = label.polygons.map(all);
  if (label.mask) next.mask = masks.shifted(label.mask, dx, dy);
  if (label.keypoints) {
    next.keypoints = label.keypoints.map((n, i, flat) => (i % 3 === 2 || !flat[i - (i % 3) + 2] ? n : round(n + (i % 3 ? dy : dx))));
  }
  const { shape } = label;
  if (shape?.kind === "oriented_box") next.shape = { ...shape, corners: all(shape.corners) };
  else if (shape?.kind === "circle") next.shape = { ...shape, x: round(shape.x + dx), y: round(shape.y + dy) };
  else if (shape) next.shape = { ...shape, points: all(shape.points) };
  return next;
}

/** @param {Label} label @param {number} dx @param {number} dy @param {Size} size @returns {[number, number]} how far it may be moved */
export function room(label, dx, dy, size) {
  const bounds = boundsOf(label);
  if (!bounds) return [0, 0];
  if (label.mask) [dx, dy] = [Math.round(dx), Math.round(dy)];
  /** @param {number} by @param {number} low @param {number} high @param {number} most */
  const along = (by, low, high, most) => (low < 0 || high > most ? by : clamp(by, -low, most - high));
  return [along(dx, bounds[0], bounds[2], size.width), along(dy, bounds[1], bounds[3], size.height)];
}

/**
 * The label on an image of another size: in its place, as far as there is room. Null where there is none.
 * @param {Label} label @param {Size} size @returns {Label | null}
 */
export function fitted(label, size) {
  const bounds = boundsOf(label);
  if (!bounds) return label;
  const [left, top, right, bottom] = bounds;
  if (label.mask && (label.mask.size[0] !== size.height || label.mask.size[1] !== size.width)) return null;
  if (left >= 0 && top >= 0 && right <= size.width && bottom <= size.height) return label;
  if (left >= size.width || top >= size.height || right <= 0 || bottom <= 0) return null;
  if (label.bbox && kindOf(label) === "box") {
    const a = inside({ x: left, y: top }, size);
    return { ...label, bbox: boxOf(a, inside({ x: right, y: bottom }, size)) };
  }
  if (label.polygons) {
    return withPolygons(label, label.polygons.map((flat) => flat.map((n, i) => clamp(n, 0, i % 2 ? size.height : size.width))));
  }
  return null;
}

/** @param {Label} label @param {number[][]} polygons @returns {Label} its box follows them where it did before */
export function withPolygons(label, polygons) {
  return followed({ ...label, polygons }, boundsOfPoints((label.polygons ?? []).flat()), boundsOfPoints(polygons.flat()));
}

/** @param {Label} label @param {Bounds | null} was @param {Bounds | null} is @returns {Label} with a box that was the bounds of the rest, and is again */
export function followed(label, was, is) {
  if (!label.bbox || !was || !is) return label;
  const box = boundsOfBox(label.bbox);
  if (box.some((n, i) => Math.abs(n - was[i]) > 2)) return label;
  return { ...label, bbox: boxOf({ x: is[0], y: is[1] }, { x: is[2], y: is[3] }) };
}

/** @param {number[]} flat @param {boolean} closed @returns {[Point, Point][]} */
export function edges(flat, closed) {
  const points = pairs(flat);
  /** @type {[Point, Point][]} */
  const found = points.slice(1).map((p, i) => [points[i], p]);
  if (closed && points.length > 2) found.push([points[points.length - 1], points[0]]);
  return found;
}

/** @param {number[]} flat @returns {Point[]} */
export function pairs(flat) {
  const points = [];
  for (let i = 0; i + 1 < flat.length; i += 2) points.push({ x: flat[i], y: flat[i + 1] });
  return points;
}

/** @param {number[]} keypoints @returns {number[]} x, y of those that are labelled */
export function seen(keypoints) {
  const flat = [];
  for (let i = 0; i + 2 < keypoints.length; i += 3) if (keypoints[i + 2]) flat.push(keypoints[i], keypoints[i + 1]);
  return flat;
}

/** @param {Box} bbox @returns {Bounds} */
const boundsOfBox = ([x, y, w, h]) => [x, y, x + w, y + h];

/** @param {Shape} shape @returns {number[]} */
function pointsOf(shape) {
  if (shape.kind === "oriented_box") return shape.corners;
  if (shape.kind !== "circle") return shape.points;
  const { x, y, radius } = shape;
  return [x - radius, y - radius, x + radius, y + radius];
}

/** @param {number[]} flat @param {Point} p even-odd rule */
function within(flat, p) {
  let is = false;
  for (const [a, b] of edges(flat, true)) {
    if (a.y > p.y !== b.y > p.y && p.x < ((b.x - a.x) * (p.y - a.y)) / (b.y - a.y) + a.x) is = !is;
  }
  return is;
}

/** @param {Point} p @param {Point} a @param {Point} b of the line between them */
function distance(p, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return Math.hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

/** @param {string} kind @param {number} x @param {number} y @param {number} [index] @param {number} [part] @returns {Handle} */
const handle = (kind, x, y, index = 0, part = 0) => ({ kind, x, y, index, part });

/** @param {Box} bbox */
function boxHandles(bbox) {
  const [left, top, right, bottom] = boundsOfBox(bbox);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return [
    handle("n", x, top),
    handle("e", right, y),
    handle("s", x, bottom),
    handle("w", left, y),
    handle("nw", left, top),
    handle("ne", right, top),
    handle("se", right, bottom),
    handle("sw", left, bottom),
  ];
}

/** @param {number[]} flat @param {number} part @param {"open" | "closed" | "apart"} joined */
function vertexHandles(flat, part, joined) {
  const found = pairs(flat).map((p, index) => handle("vertex", p.x, p.y, index, part));
  if (joined === "apart") return found;
  const middles = edges(flat, joined === "closed").map(([a, b], index) =>
    handle("middle", (a.x + b.x) / 2, (a.y + b.y) / 2, index, part),
  );
  return [...middles, ...found];
}

/** @param {number[]} corners */
function turnedHandles(corners) {
  const points = pairs(corners);
  const sides = edges(corners, true).map(([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }));
  return [
    handle("rotate", sides[0].x, sides[0].y),
    ...sides.map((p, index) => handle("edge", p.x, p.y, index)),
    ...points.map((p, index) => handle("corner", p.x, p.y, index)),
  ];
}

// Which corners of a turned box lie at the far end of its first side, and which of its second.
const FAR_U = [0, 1, 1, 0];
const FAR_V = [0, 0, 1, 1];

/** @param {number[]} corners @param {Handle} at @param {Point} p @param {boolean} even @returns {number[]} its right angles are kept */
function turned(corners, at, p, even) {
  const [a, b, c, d] = pairs(corners);
  if (at.kind === "rotate") {
    const middle = { x: (a.x + c.x) / 2, y: (a.y + c.y) / 2 };
    const was = Math.atan2((a.y + b.y) / 2 - middle.y, (a.x + b.x) / 2 - middle.x);
    let angle = Math.atan2(p.y - middle.y, p.x - middle.x);
    if (even) angle = (Math.round((angle / Math.PI) * 12) * Math.PI) / 12;
    const [cos, sin] = [Math.cos(angle - was), Math.sin(angle - was)];
    return [a, b, c, d].flatMap(({ x, y }) => [
      round(middle.x + (x - middle.x) * cos - (y - middle.y) * sin),
      round(middle.y + (x - middle.x) * sin + (y - middle.y) * cos),
    ]);
  }
  const width = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const u = { x: (b.x - a.x) / width, y: (b.y - a.y) / width };
  const side = (d.x - a.x) * -u.y + (d.y - a.y) * u.x < 0 ? -1 : 1;
  const v = { x: -u.y * side, y: u.x * side };
  /** @param {Point} q @param {Point} axis */
  const along = (q, axis) => (q.x - a.x) * axis.x + (q.y - a.y) * axis.y;
  const us = [0, width];
  const vs = [0, along(d, v)];
  const index = at.index;
  if (at.kind === "corner" || index % 2) us[at.kind === "corner" ? FAR_U[index] : index === 1 ? 1 : 0] = along(p, u);
  if (at.kind === "corner" || index % 2 === 0) vs[at.kind === "corner" ? FAR_V[index] : index === 2 ? 1 : 0] = along(p, v);
  if (Math.abs(us[1] - us[0]) < 1 || Math.abs(vs[1] - vs[0]) < 1) return corners;
  return FAR_U.flatMap((far, i) => {
    const [m, n] = [us[far], vs[FAR_V[i]]];
    return [round(a.x + m * u.x + n * v.x), round(a.y + m * u.y + n * v.y)];
  });
}

/** @param {Box} bbox @param {string} side @param {Point} p @param {Size} size @returns {Box} */
function pulledBox(bbox, side, p, size) {
  let [left, top, right, bottom] = boundsOfBox(bbox);
  if (side.includes("w")) left = p.x;
  if (side.includes("e")) right = p.x;
  if (side.includes("n")) top = p.y;
  if (side.includes("s")) bottom = p.y;
  const [x, y, w, h] = boxOf({ x: left, y: top }, { x: right, y: bottom });
  return [Math.min(x, Math.max(0, size.width - 1)), Math.min(y, Math.max(0, size.height - 1)), Math.max(w, 1), Math.max(h, 1)];
}

/** @param {number[]} flat @param {Handle} at @param {Point} p */
function withVertex(flat, at, p) {
  const next = [...flat];
  if (at.kind === "middle") next.splice((at.index + 1) * 2, 0, p.x, p.y);
  else next.splice(at.index * 2, 2, p.x, p.y);
  return next;
}

/** @param {number[]} flat @param {number} index */
const cut = (flat, index) => flat.filter((_, i) => i >> 1 !== index);
