// Masks as COCO writes them: run lengths down the columns, beginning with zeros, plain or as its compressed text.
// The text is that of pycocotools' maskApi.c (rleToString, rleFrString).

/** @import {RLE} from "./types" */
/** @import {Bounds, Point} from "./geometry.js" */
/** @typedef {{width: number, height: number, data: Uint8Array}} Bitmap data column by column, 0 or 1 */

/** @param {RLE} mask @returns {number[]} run lengths: of zeros, of ones, of zeros, ... */
export function runsOf(mask) {
  if (typeof mask.counts !== "string") return mask.counts;
  /** @type {number[]} */
  const runs = [];
  for (let at = 0; at < mask.counts.length; ) {
    let [run, shift, part] = [0, 0, 0];
    do {
      part = mask.counts.charCodeAt(at++) - 48;
      run |= (part & 31) << shift;
      shift += 5;
    } while (part & 32);
    if (part & 16 && shift < 32) run |= -1 << shift;
    if (runs.length > 2) run += runs[runs.length - 2];
    runs.push(run);
  }
  return runs;
}

/** @param {number[]} runs @returns {string} */
export function compressed(runs) {
  let text = "";
  runs.forEach((run, i) => {
    let rest = i > 2 ? run - runs[i - 2] : run;
    for (let more = true; more; ) {
      let part = rest & 31;
      rest >>= 5;
      more = part & 16 ? rest !== -1 : rest !== 0;
      if (more) part |= 32;
      text += String.fromCharCode(part + 48);
    }
  });
  return text;
}

/** @param {RLE} mask @returns {Bitmap} */
export function toBitmap(mask) {
  const [height, width] = mask.size;
  const data = new Uint8Array(width * height);
  let at = 0;
  runsOf(mask).forEach((run, i) => {
    if (i % 2) data.fill(1, at, at + run);
    at += run;
  });
  return { width, height, data };
}

/** @param {Bitmap} bitmap @param {boolean} [plain] @returns {RLE} */
export function fromBitmap({ width, height, data }, plain = false) {
  const runs = [];
  for (let [at, one] = [0, 0]; at < data.length; one = 1 - one) {
    const found = data.indexOf(1 - one, at);
    const end = found < 0 ? data.length : found;
    runs.push(end - at);
    at = end;
  }
  return rleOf([height, width], runs, plain);
}

/** @param {number} width @param {number} height @returns {Bitmap} */
export const emptyBitmap = (width, height) => ({ width, height, data: new Uint8Array(width * height) });

/** Put `value` wherever a round brush comes that goes straight from one place to another.
 * @param {Bitmap} bitmap @param {Point} from @param {Point} to @param {number} radius @param {0 | 1} value
 */
export function stroke({ width, height, data }, from, to, radius, value) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy || 1;
  /** @param {number} a @param {number} b @param {number} most @returns {[number, number]} */
  const span = (a, b, most) => [Math.max(0, Math.floor(Math.min(a, b) - radius)), Math.min(most, Math.ceil(Math.max(a, b) + radius))];
  const [left, right] = span(from.x, to.x, width);
  const [top, bottom] = span(from.y, to.y, height);
  for (let x = left; x < right; x++) {
    for (let y = top; y < bottom; y++) {
      const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
      const along = Math.max(0, Math.min(1, (px * dx + py * dy) / length));
      if ((px - along * dx) ** 2 + (py - along * dy) ** 2 <= radius * radius) data[x * height + y] = value;
    }
  }
}

/** @type {WeakMap<RLE, Bounds | null>} */
const knownBounds = new WeakMap();

/** @param {RLE} mask @returns {Bounds | null} null where nothing is in it */
export function bounds(mask) {
  const known = knownBounds.get(mask);
  if (known !== undefined) return known;
  const height = mask.size[0];
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0];
  let at = 0;
  runsOf(mask).forEach((run, i) => {
    if (i % 2 && run) {
      const last = at + run - 1;
      const [first, end] = [Math.floor(at / height), Math.floor(last / height)];
      left = Math.min(left, first);
      right = Math.max(right, end + 1);
      top = first === end ? Math.min(top, at % height) : 0;
      bottom = first === end ? Math.max(bottom, (last % height) + 1) : height;
    }
    at += run;
  });
  /** @type {Bounds | null} */
  const found = right ? [left, top, right, bottom] : null;
  knownBounds.set(mask, found);
  return found;
}

/** @param {RLE} mask @param {number} x @param {number} y */
export function has(mask, x, y) {
  const [height, width] = mask.size;
  if (x < 0 || y < 0 || x >= width || y >= height) return false;
  const at = Math.floor(x) * height + Math.floor(y);
  let end = 0;
  return runsOf(mask).findIndex((run) => (end += run) > at) % 2 === 1;
}

/** @param {RLE} mask @param {number} dx @param {number} dy whole pixels, as far as there is room @returns {RLE} */
export function shifted(mask, dx, dy) {
  const by = dx * mask.size[0] + dy;
  const runs = [...runsOf(mask)];
  if (!by || runs.length < 2) return mask;
  if (runs.length % 2 === 0) runs.push(0);
  runs[0] += by;
  runs[runs.length - 1] -= by;
  if (!runs[runs.length - 1]) runs.pop();
  return rleOf(mask.size, runs, typeof mask.counts !== "string");
}

/** @type {WeakMap<RLE, string>} */
const knownOutlines = new WeakMap();

/** @param {RLE} mask @returns {string} an SVG path along the edges of its pixels; what is inside follows by the even-odd rule */
export function outline(mask) {
  const known = knownOutlines.get(mask);
  if (known !== undefined) return known;
  const path = traced(mask);
  knownOutlines.set(mask, path);
  return path;
}

/** @param {[number, number]} size @param {number[]} runs @param {boolean} plain @returns {RLE} */
const rleOf = (size, runs, plain) => ({ size, counts: plain ? runs : compressed(runs) });

/** @param {RLE} mask */
function traced(mask) {
  const area = bounds(mask);
  if (!area) return "";
  const { height, width, data } = toBitmap(mask);
  /** @param {number} x @param {number} y */
  const one = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[x * height + y] === 1;
  const across = width + 1;
  /** @type {Map<number, number[]>} where one gets to from a corner, with the ones at the right hand */
  const ways = new Map();
  /** @param {number} x @param {number} y @param {number} toX @param {number} toY */
  const way = (x, y, toX, toY) => {
    const from = y * across + x;
    const there = ways.get(from);
    if (there) there.push(toY * across + toX);
    else ways.set(from, [toY * across + toX]);
  };
  for (let x = area[0]; x < area[2]; x++) {
    for (let y = area[1]; y < area[3]; y++) {
      if (!one(x, y)) continue;
      if (!one(x, y - 1)) way(x, y, x + 1, y);
      if (!one(x + 1, y)) way(x + 1, y, x + 1, y + 1);
      if (!one(x, y + 1)) way(x + 1, y + 1, x, y + 1);
      if (!one(x - 1, y)) way(x, y + 1, x, y);
    }
  }
  let path = "";
  for (const [start] of ways) {
    let at = start;
    let last = 0;
    let ring = "";
    for (let next = taken(ways, at); next !== undefined; next = taken(ways, at)) {
      if (last && next - at !== last) ring += Math.abs(last) === 1 ? `H${at % across}` : `V${Math.floor(at / across)}`;
      last = next - at;
      at = next;
    }
    if (ring) path += `M${start % across} ${Math.floor(start / across)}${ring}Z`;
  }
  return path;
}

/** @param {Map<number, number[]>} ways @param {number} at @returns {number | undefined} */
function taken(ways, at) {
  const there = ways.get(at);
  const next = there?.pop();
  if (there && !there.length) ways.delete(at);
  return next;
}
