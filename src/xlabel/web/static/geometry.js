// Where labels lie, and what becomes of that when somebody pulls at them. Places are rounded to 1/100 pixel, and what is pulled
// stays inside the image.

import * as masks from "./masks.js";

export const round = (/** @type {number} */ n) => Math.round(n * 100) / 100;
export const clamp = (/** @type {number} */ n, /** @type {number} */ low, /** @type {number} */ high) => Math.max(low, Math.min(high, n));

/** @param {Point} p @param {Size} size @returns {Point} the nearest one of the image */
export const inside = ({ x, y }, { width, height }) => ({ x: round(clamp(x, 0, width)), y: round(clamp(y, 0, height)) });

/** @param {Point} a @param {Point} b @returns {Box} */
export const boxOf = (a, b) => [Math.min(a.x, b.x), Math.min(a.y, b.y), round(Math.abs(a.x - b.x)), round(Math.abs(a.y - b.y))];

/** @param {Label} label */
export function kindOf({ shape, keypoints, mask, polygons, bbox }) {
  if (shape) return shape.kind === "oriented_box" ? "oriented box" : shape.kind;
  return keypoints ? "keypoints" : mask ? "mask" : polygons ? "polygon" : bbox ? "box" : "tag";
}

/** @param {number[]} flat x1, y1, x2, y2, ... @returns {Point[]} */
export const pairs = (flat) => Array.from({ length: flat.length >> 1 }, (_, i) => ({ x: flat[2 * i], y: flat[2 * i + 1] }));

/** @param {number[]} keypoints @returns {Point[]} those that are labelled */
export const seen = (keypoints) => triples(keypoints).filter(([, , v]) => v).map(([x, y]) => ({ x, y }));

/** @param {number[]} keypoints */
export const triples = (keypoints) => Array.from({ length: keypoints.length / 3 }, (_, i) => keypoints.slice(3 * i, 3 * i + 3));

/** @type {Geometry["mapped"]} */
const mapped = (label, to) => {
  const flat = (/** @type {number[]} */ all) => pairs(all).flatMap((p) => Object.values(to(p)));
  const { bbox, polygons, keypoints, shape } = label;
  const next = { ...label };
  if (bbox) next.bbox = boxOf(to({ x: bbox[0], y: bbox[1] }), to({ x: bbox[0] + bbox[2], y: bbox[1] + bbox[3] }));
  if (polygons) next.polygons = polygons.map(flat);
  if (keypoints) next.keypoints = triples(keypoints).flatMap(([x, y, v]) => [...(v ? flat([x, y]) : [x, y]), v]);
  if (shape?.kind === "circle") next.shape = { ...shape, ...to(shape) };
  else if (shape?.kind === "oriented_box") next.shape = { ...shape, corners: flat(shape.corners) };
  else if (shape) next.shape = { ...shape, points: flat(shape.points) };
  return next;
};

/** @type {(points: Point[]) => Bounds | null} */
const around = (points) =>
  points.reduce((/** @type {Bounds | null} */ all, { x, y }) => {
    const [left, top, right, bottom] = all ?? [x, y, x, y];
    return [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }, null);

/** @type {WeakMap<Label, Bounds | null>} */
const known = new WeakMap();

/** @type {Geometry["boundsOf"]} */
export const boundsOf = (label) => {
  let found = known.get(label);
  if (found !== undefined) return found;
  /** @type {Point[]} */
  const points = [];
  mapped(label, (p) => (points.push(p), p));
  const inner = label.mask && masks.bounds(label.mask);
  if (inner) points.push(...pairs(inner));
  if (label.shape?.kind === "circle") {
    const { x, y, radius } = label.shape;
    points.push({ x: x - radius, y: y - radius }, { x: x + radius, y: y + radius });
  }
  found = around(points);
  known.set(label, found);
  return found;
};

/** @type {Geometry["under"]} */
export const under = (labels, p, near) => {
  let [best, least] = [/** @type {Label | null} */ (null), Infinity];
  for (const label of labels) {
    const [left, top, right, bottom] = boundsOf(label) ?? [1, 1, 0, 0];
    if (p.x < left - near || p.x > right + near || p.y < top - near || p.y > bottom + near) continue;
    const size = (right - left) * (bottom - top);
    if (size <= least && contains(label, p, near)) [best, least] = [label, size];
  }
  return best;
};

/** @type {Geometry["contains"]} */
const contains = ({ mask, polygons, shape, keypoints, bbox }, p, near) => {
  const close = (/** @type {Point} */ q) => Math.hypot(p.x - q.x, p.y - q.y) <= near;
  if (mask || polygons) return Boolean((mask && masks.has(mask, p)) || polygons?.some((flat) => within(flat, p)));
  if (shape?.kind === "oriented_box") return within(shape.corners, p);
  if (shape?.kind === "circle") return Math.hypot(p.x - shape.x, p.y - shape.y) <= shape.radius + near;
  if (shape?.kind === "polyline") return edges(shape.points).slice(1).some(([a, b]) => close(nearest(p, a, b)));
  return Boolean(bbox) || (shape ? pairs(shape.points) : seen(keypoints ?? [])).some(close);
};

/** @param {number[]} flat @returns {[Point, Point][]} round and round: the last to the first comes first */
const edges = (flat) => pairs(flat).map((p, i, all) => [all.at(i - 1) ?? p, p]);

/** @param {number[]} flat @param {Point} p by the even-odd rule */
const within = (flat, p) => edges(flat).filter(([a, b]) => a.y > p.y !== b.y > p.y && p.x < ((b.x - a.x) * (p.y - a.y)) / (b.y - a.y) + a.x).length % 2 === 1;

/** @type {Geometry["nearest"]} */
const nearest = (p, a, b) => {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return { x: a.x + along * dx, y: a.y + along * dy };
};

/** @type {Geometry["handlesOf"]} */
export const handlesOf = ({ bbox, polygons, mask, keypoints, shape }) => {
  const named = (/** @type {string} */ kind, /** @type {Point[]} */ points, part = 0) => points.map(({ x, y }, index) => ({ kind, x, y, part, index }));
  const middles = (/** @type {number[]} */ flat) => edges(flat).map(([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }));
  if (shape?.kind === "oriented_box") {
    const sides = middles(shape.corners);
    return [...named("rotate", [sides[1]]), ...named("edge", sides), ...named("corner", pairs(shape.corners))];
  }
  if (shape?.kind === "circle") return named("rim", [{ x: shape.x + shape.radius, y: shape.y }]);
  if (shape) {
    const between = shape.kind === "polyline" ? named("middle", middles(shape.points)).slice(1) : [];
    return [...between, ...named("vertex", pairs(shape.points))];
  }
  const found = keypoints ? named("keypoint", triples(keypoints).map(([x, y]) => ({ x, y }))).filter(({ index }) => keypoints[3 * index + 2]) : [];
  if (polygons) return [...polygons.flatMap((flat, part) => [...named("middle", middles(flat), part), ...named("vertex", pairs(flat), part)]), ...found];
  if (!bbox || mask) return found;
  const [x, y, w, h] = bbox;
  return [...SIDES.flatMap(([kind, right, down]) => named(kind, [{ x: x + right * w, y: y + down * h }])), ...found];
};

/** @type {[string, number, number][]} how far right, and how far down */
const SIDES = [["n", 0.5, 0], ["e", 1, 0.5], ["s", 0.5, 1], ["w", 0, 0.5], ["nw", 0, 0], ["ne", 1, 0], ["se", 1, 1], ["sw", 0, 1]];

/** @type {Geometry["pulled"]} */
export const pulled = (label, at, to, size, even = false) => {
  const p = inside(to, size);
  const { bbox, polygons, keypoints, shape } = label;
  if (shape?.kind === "oriented_box") {
    const next = { ...label, shape: { ...shape, corners: at.kind === "rotate" ? turned(shape.corners, to, even) : stretched(shape.corners, at, p) } };
    return lies(next, size) ? next : label;
  }
  if (shape?.kind === "circle") {
    const most = Math.min(shape.x, shape.y, size.width - shape.x, size.height - shape.y);
    return { ...label, shape: { ...shape, radius: round(clamp(Math.hypot(p.x - shape.x, p.y - shape.y), 1, Math.max(1, most))) } };
  }
  if (shape) return { ...label, shape: { ...shape, points: withVertex(shape.points, at, p) } };
  if (keypoints && at.kind === "keypoint") return { ...label, keypoints: keypoints.with(3 * at.index, p.x).with(3 * at.index + 1, p.y) };
  if (polygons) return withParts(label, { polygons: polygons.map((flat, part) => (part === at.part ? withVertex(flat, at, p) : flat)) });
  if (!bbox) return label;
  const corners = [{ x: bbox[0], y: bbox[1] }, { x: bbox[0] + bbox[2], y: bbox[1] + bbox[3] }];
  if (/[we]/.test(at.kind)) corners[at.kind.includes("w") ? 0 : 1].x = p.x;
  if (/[ns]/.test(at.kind)) corners[at.kind.includes("n") ? 0 : 1].y = p.y;
  const [x, y, w, h] = boxOf(corners[0], corners[1]);
  return { ...label, bbox: [Math.min(x, Math.max(0, size.width - 1)), Math.min(y, Math.max(0, size.height - 1)), Math.max(w, 1), Math.max(h, 1)] };
};

/** @type {Geometry["withoutVertex"]} */
export const withoutVertex = (label, at) => {
  const cut = (/** @type {number[]} */ flat) => flat.filter((_, i) => i >> 1 !== at.index);
  const { polygons, keypoints, shape } = label;
  if (keypoints && at.kind === "keypoint") {
    const next = keypoints.with(3 * at.index, 0).with(3 * at.index + 1, 0).with(3 * at.index + 2, 0);
    return seen(next).length ? { ...label, keypoints: next } : null;
  }
  if (shape && "points" in shape) {
    const points = cut(shape.points);
    return points.length < (shape.kind === "polyline" ? 4 : 2) ? null : { ...label, shape: { ...shape, points } };
  }
  const left = (polygons ?? []).map((flat, part) => (part === at.part ? cut(flat) : flat)).filter((flat) => flat.length > 5);
  return at.kind === "vertex" && left.length ? withParts(label, { polygons: left }) : null;
};

/** @type {Geometry["withParts"]} */
export const withParts = (label, parts) => {
  const next = { ...label, ...parts };
  const [was, is] = [label, next].map((one) => boundsOf({ ...one, bbox: null, keypoints: null }));
  const box = boundsOf({ id: 0, bbox: label.bbox });
  if (was && is && box?.every((n, i) => Math.abs(n - was[i]) < 2)) next.bbox = boxOf({ x: is[0], y: is[1] }, { x: is[2], y: is[3] });
  return next;
};

/** @type {Geometry["room"]} */
export const room = (label, dx, dy, size) => {
  const [left, top, right, bottom] = boundsOf(label) ?? [0, 0, 0, 0];
  const along = (/** @type {number} */ by, /** @type {number} */ low, /** @type {number} */ high, /** @type {number} */ most) =>
    low < 0 || high > most ? by : clamp(label.mask ? Math.round(by) : by, -low, most - high);
  return [along(dx, left, right, size.width), along(dy, top, bottom, size.height)];
};

/** @type {Geometry["moved"]} */
export const moved = (label, dx, dy) => {
  const next = mapped(label, ({ x, y }) => ({ x: round(x + dx), y: round(y + dy) }));
  return label.mask ? { ...next, mask: masks.shifted(label.mask, dx, dy) } : next;
};

/** @type {Geometry["fitted"]} */
export const fitted = (label, size) => {
  const [left, top, right, bottom] = boundsOf(label) ?? [0, 0, 1, 1];
  const { mask } = label;
  if (mask ? mask.size[0] !== size.height || mask.size[1] !== size.width : left >= size.width || top >= size.height || right <= 0 || bottom <= 0) return null;
  if (lies(label, size)) return label;
  return mask || label.shape ? null : mapped(label, (p) => inside(p, size));
};

/** @param {Label} label @param {Size} size */
function lies(label, { width, height }) {
  const [left, top, right, bottom] = boundsOf(label) ?? [0, 0, 0, 0];
  return left >= 0 && top >= 0 && right <= width && bottom <= height;
}

/** @type {Geometry["turned"]} */
const turned = (corners, to, even) => {
  const [a, b, c] = pairs(corners);
  const [x, y] = [(a.x + c.x) / 2, (a.y + c.y) / 2];
  const step = even ? Math.PI / 12 : 1e-9;
  const angle = Math.round(Math.atan2(to.y - y, to.x - x) / step) * step - Math.atan2((a.y + b.y) / 2 - y, (a.x + b.x) / 2 - x);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return pairs(corners).flatMap((p) => [round(x + (p.x - x) * cos - (p.y - y) * sin), round(y + (p.x - x) * sin + (p.y - y) * cos)]);
};

/** @type {Geometry["stretched"]} */
const stretched = (corners, { kind, index }, p) => {
  const [a, b, , d] = pairs(corners);
  const width = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const u = { x: (b.x - a.x) / width, y: (b.y - a.y) / width };
  const side = (d.y - a.y) * u.x < (d.x - a.x) * u.y ? -1 : 1;
  const v = { x: -u.y * side, y: u.x * side };
  const along = (/** @type {Point} */ q, /** @type {Point} */ axis) => (q.x - a.x) * axis.x + (q.y - a.y) * axis.y;
  const [us, vs] = [[0, width], [0, along(d, v)]];
  // Corners go a, b, c, d; side 0 is that from d to a.
  if (kind === "corner") [us[FAR[index]], vs[index >> 1]] = [along(p, u), along(p, v)];
  else if (index % 2) vs[index >> 1] = along(p, v);
  else us[index ? 1 : 0] = along(p, u);
  if (Math.abs(us[1] - us[0]) < 1 || Math.abs(vs[1] - vs[0]) < 1) return corners;
  return FAR.flatMap((far, i) => [round(a.x + us[far] * u.x + vs[i >> 1] * v.x), round(a.y + us[far] * u.y + vs[i >> 1] * v.y)]);
};

const FAR = [0, 1, 1, 0]; // which corners are at the far end of the first side

/** @param {number[]} flat @param {Handle} at @param {Point} p */
const withVertex = (flat, { kind, index }, p) => flat.toSpliced(2 * index, kind === "middle" ? 0 : 2, p.x, p.y);
