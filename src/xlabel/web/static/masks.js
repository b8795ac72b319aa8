// Masks as COCO writes them: run lengths down the columns, beginning with zeros, plain or as its compressed text.
// The text is that of pycocotools' maskApi.c (rleToString, rleFrString).

/** @type {Masks["runsOf"]} */
const runsOf = ({ counts }) => {
  if (typeof counts !== "string") return counts;
  /** @type {number[]} */
  const runs = [];
  for (let at = 0; at < counts.length; ) {
    let [run, shift, part] = [0, 0, 0];
    do {
      part = counts.charCodeAt(at++) - 48;
      run |= (part & 31) << shift;
      shift += 5;
    } while (part & 32);
    if (part & 16 && shift < 32) run |= -1 << shift;
    runs.push(run + (runs.length > 2 ? runs[runs.length - 2] : 0));
  }
  return runs;
};

/** @type {Masks["rleOf"]} */
const rleOf = ({ width, height }, runs, plain) => {
  let text = "";
  for (let i = 0; i < runs.length && !plain; i++) {
    let rest = i > 2 ? runs[i] - runs[i - 2] : runs[i];
    for (let more = true; more; ) {
      const part = rest & 31;
      rest >>= 5;
      more = rest !== (part & 16 ? -1 : 0);
      text += String.fromCharCode(part + 48 + (more ? 32 : 0));
    }
  }
  return { size: [height, width], counts: plain ? runs : text };
};

/** @type {Masks["toBitmap"]} */
export const toBitmap = (mask) => {
  const bitmap = emptyBitmap({ width: mask.size[1], height: mask.size[0] });
  let at = 0;
  runsOf(mask).forEach((run, i) => bitmap.data.fill(i % 2, at, (at += run)));
  return bitmap;
};

/** @param {Bitmap} bitmap @param {boolean} [plain] */
export function fromBitmap(bitmap, plain = false) {
  const { data } = bitmap;
  const runs = [];
  for (let [at, one] = [0, 0]; at < data.length; one = 1 - one) {
    const found = data.indexOf(1 - one, at);
    runs.push((found < 0 ? data.length : found) - at);
    at += runs[runs.length - 1];
  }
  return rleOf(bitmap, runs, plain);
}

/** @param {Size} size @returns {Bitmap} */
export const emptyBitmap = ({ width, height }) => ({ width, height, data: new Uint8Array(width * height) });

/** Put `value` wherever a round brush comes that goes straight from one place to another.
 * @param {Bitmap} bitmap @param {Point} from @param {Point} to @param {number} radius @param {number} value */
export function stroke({ width, height, data }, from, to, radius, value) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const [left, top] = [Math.min(from.x, to.x), Math.min(from.y, to.y)].map((n) => Math.max(0, Math.floor(n - radius)));
  const right = Math.min(width, Math.max(from.x, to.x) + radius);
  const bottom = Math.min(height, Math.max(from.y, to.y) + radius);
  for (let x = left; x < right; x++) {
    for (let y = top; y < bottom; y++) {
      const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
      const along = Math.max(0, Math.min(1, (px * dx + py * dy) / (dx * dx + dy * dy || 1)));
      if ((px - along * dx) ** 2 + (py - along * dy) ** 2 <= radius * radius) data[x * height + y] = value;
    }
  }
}

/** @type {Masks["bounds"]} */
export const bounds = (mask) => {
  const height = mask.size[0];
  let [left, top, right, bottom, at] = [Infinity, Infinity, 0, 0, 0];
  runsOf(mask).forEach((run, i) => {
    const last = at + run - 1;
    if (i % 2 && run) {
      const [first, end] = [Math.floor(at / height), Math.floor(last / height)];
      left = Math.min(left, first);
      right = Math.max(right, end + 1);
      top = first === end ? Math.min(top, at % height) : 0;
      bottom = first === end ? Math.max(bottom, (last % height) + 1) : height;
    }
    at += run;
  });
  return right ? [left, top, right, bottom] : null;
};

/** @param {RLE} mask @param {Point} p of the picture */
export function has(mask, { x, y }) {
  const at = Math.floor(x) * mask.size[0] + Math.floor(y);
  let end = 0;
  return runsOf(mask).findIndex((run) => (end += run) > at) % 2 === 1;
}

/** @param {RLE} mask @param {number} dx @param {number} dy whole pixels, as far as there is room */
export function shifted(mask, dx, dy) {
  const [height, width] = mask.size;
  const runs = [...runsOf(mask)];
  if (runs.length % 2 === 0) runs.push(0);
  runs[0] += dx * height + dy;
  runs[runs.length - 1] -= dx * height + dy;
  if (!runs[runs.length - 1]) runs.pop();
  return rleOf({ width, height }, runs, typeof mask.counts !== "string");
}

/** @type {WeakMap<RLE, string>} */
const outlines = new WeakMap();

/** @type {Masks["outline"]} */
export const outline = (mask) => {
  const path = outlines.get(mask) ?? traced(mask);
  outlines.set(mask, path);
  return path;
};

/** @param {RLE} mask */
function traced(mask) {
  const [left, top, right, bottom] = bounds(mask) ?? [0, 0, 0, 0];
  const { height, width, data } = toBitmap(mask);
  const one = (/** @type {number} */ x, /** @type {number} */ y) => x >= 0 && y >= 0 && x < width && y < height && data[x * height + y];
  const across = width + 1;
  /** @type {Map<number, number[]>} where one gets to from a corner, with the ones at the right hand */
  const ways = new Map();
  const way = (/** @type {number} */ from, /** @type {number} */ to) => {
    const there = ways.get(from);
    if (there) there.push(to);
    else ways.set(from, [to]);
  };
  for (let x = left; x < right; x++) {
    for (let y = top; y < bottom; y++) {
      if (!one(x, y)) continue;
      const corner = y * across + x;
      if (!one(x, y - 1)) way(corner, corner + 1);
      if (!one(x + 1, y)) way(corner + 1, corner + 1 + across);
      if (!one(x, y + 1)) way(corner + 1 + across, corner + across);
      if (!one(x - 1, y)) way(corner + across, corner);
    }
  }
  let path = "";
  for (const [start, there] of ways) {
    while (there.length) {
      path += `M${start % across} ${Math.floor(start / across)}`;
      let [at, last] = [start, 0];
      for (let next = ways.get(at)?.pop(); next !== undefined; next = ways.get(at)?.pop()) {
        if (last && next - at !== last) path += Math.abs(last) === 1 ? `H${at % across}` : `V${Math.floor(at / across)}`;
        last = next - at;
        at = next;
      }
      path += "Z";
    }
  }
  return path;
}
