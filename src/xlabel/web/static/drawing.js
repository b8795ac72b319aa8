// Labels as they are seen over the picture. Only what has changed is drawn anew.

import * as geometry from "./geometry.js";
import * as masks from "./masks.js";
import { shown, svg } from "./dom.js";

/** @import {Category, Label} from "./types" */
/** @import {Id} from "./merging.js" */
/** @typedef {ReturnType<typeof createDrawing>} Drawing */

const NAMED = 200; // labels whose names are all written; of more only those that are pointed at

/**
 * @param {SVGGElement} view @param {(name: string | null | undefined) => string} colourOf
 * @param {() => Category[]} categories
 */
export function createDrawing(view, colourOf, categories) {
  const layer = svg("g", { id: "labels" });
  view.append(layer);
  /** @type {Map<Id, SVGGElement>} */
  const nodes = new Map();
  /** @type {Id | null} */
  let selected = null;
  /** @type {Id | null} */
  let pointed = null;
  let many = false;

  /** @param {Label} label @param {SVGGElement} node */
  function dress(label, node) {
    const colour = colourOf(label.category);
    const is = label.id === selected ? " selected" : label.id === pointed ? " pointed" : "";
    node.setAttribute("class", `label ${label.status ?? "truth"}${is}`);
    node.setAttribute("stroke", colour);
    node.setAttribute("fill", colour);
    node.dataset.category = label.category ?? "";
    node.dataset.status = label.status ?? "";
    const parts = shapesOf(label, categories);
    if (!many || is) parts.push(nameOf(label));
    node.replaceChildren(...parts);
  }

  /** @param {Label} label */
  function made(label) {
    const node = svg("g");
    node.dataset.id = String(label.id);
    dress(label, node);
    nodes.set(label.id, node);
    return node;
  }

  /** @param {Id | null} id @param {Map<Id, Label>} labels */
  function again(id, labels) {
    const [node, label] = [id === null ? null : nodes.get(id), id === null ? null : labels.get(id)];
    if (node && label) dress(label, node);
  }

  return {
    get hidden() {
      return layer.hasAttribute("visibility");
    },
    /** @param {boolean} is */
    hide(is) {
      if (is) layer.setAttribute("visibility", "hidden");
      else layer.removeAttribute("visibility");
    },
    /** @param {Label[]} labels all there are */
    all(labels) {
      nodes.clear();
      many = labels.length > NAMED;
      const drawn = labels.filter((label) => geometry.kindOf(label) !== "tag");
      layer.replaceChildren(...drawn.map(made));
    },
    /** @param {Id} id @param {Label | null} label null: it is no more */
    put(id, label) {
      const node = nodes.get(id);
      if (!label || geometry.kindOf(label) === "tag") {
        node?.remove();
        nodes.delete(id);
      } else if (node) {
        dress(label, node);
      } else {
        layer.append(made(label));
      }
    },
    /** @param {Id | null} id @param {Id | null} over where the pointer is @param {Map<Id, Label>} labels */
    mark(id, over, labels) {
      if (id === selected && over === pointed) return;
      const before = [selected, pointed];
      [selected, pointed] = [id, over];
      for (const one of new Set([...before, id, over])) again(one, labels);
    },
    /** @param {Id} id @param {number} dx @param {number} dy shown there, until it is put */
    shift(id, dx, dy) {
      const node = nodes.get(id);
      if (dx || dy) node?.setAttribute("transform", `translate(${dx} ${dy})`);
      else node?.removeAttribute("transform");
    },
  };
}

/** @param {Label} label @param {() => Category[]} categories @returns {SVGElement[]} */
export function shapesOf(label, categories) {
  /** @type {SVGElement[]} */
  const parts = [];
  const { bbox, shape, keypoints } = label;
  if (label.mask) parts.push(svg("path", { class: "mask", d: masks.outline(label.mask), "fill-rule": "evenodd" }));
  if (label.polygons) {
    parts.push(svg("path", { d: label.polygons.map((flat) => pathOf(flat, true)).join(""), "fill-rule": "evenodd" }));
  }
  if (bbox) {
    const besides = label.polygons || label.mask ? "besides" : null;
    parts.push(svg("rect", { class: besides, x: bbox[0], y: bbox[1], width: bbox[2], height: bbox[3] }));
  }
  if (keypoints) parts.push(...skeletonOf(label, keypoints, categories));
  if (shape?.kind === "oriented_box") {
    const [x, y, x2, y2] = shape.corners;
    parts.push(svg("path", { d: pathOf(shape.corners, true) }), svg("path", { class: "front", d: `M${x} ${y}L${x2} ${y2}` }));
  } else if (shape?.kind === "circle") {
    parts.push(svg("circle", { cx: shape.x, cy: shape.y, r: shape.radius }));
  } else if (shape?.kind === "polyline") {
    parts.push(svg("path", { class: "line", d: pathOf(shape.points, false) }));
  } else if (shape) {
    parts.push(svg("path", { class: "dots", d: dotsOf(shape.points) }));
  }
  return parts;
}

/** @param {number[]} flat @param {boolean} closed */
export function pathOf(flat, closed) {
  if (flat.length < 2) return "";
  return `M${geometry.pairs(flat).map(({ x, y }) => `${x} ${y}`).join("L")}${closed ? "Z" : ""}`;
}

/** A dot is a line without length: its width is that on the screen. @param {number[]} flat */
export const dotsOf = (flat) => geometry.pairs(flat).map(({ x, y }) => `M${x} ${y}h0`).join("");

/** @param {Label} label @returns {string} what is written at it */
export function titleOf(label) {
  const score = label.score === null || label.score === undefined ? "" : ` ${label.score.toFixed(2)}`;
  return `${label.category ? shown(label.category) : "no category"}${score}`;
}

/** @param {Label} label */
function nameOf(label) {
  const [x, y] = geometry.boundsOf(label) ?? [0, 0];
  return svg("text", { x, y, dy: "-.4em" }, titleOf(label));
}

/** @param {Label} label @param {number[]} keypoints @param {() => Category[]} categories */
function skeletonOf(label, keypoints, categories) {
  const category = label.category ? categories().find(({ name }) => name === label.category) : null;
  let lines = "";
  for (const [from, to] of category?.skeleton ?? []) {
    const [a, b] = [(from - 1) * 3, (to - 1) * 3];
    if (!keypoints[a + 2] || !keypoints[b + 2]) continue;
    lines += `M${keypoints[a]} ${keypoints[a + 1]}L${keypoints[b]} ${keypoints[b + 1]}`;
  }
  /** @param {number} v */
  const those = (v) => keypoints.flatMap((_, i) => (i % 3 === 0 && keypoints[i + 2] === v ? [keypoints[i], keypoints[i + 1]] : []));
  const hidden = those(1);
  return [
    svg("path", { class: "bones", d: lines }),
    svg("path", { class: "dots", d: dotsOf(geometry.seen(keypoints)) }),
    ...(hidden.length ? [svg("path", { class: "hollow", d: dotsOf(hidden) })] : []),
  ];
}
