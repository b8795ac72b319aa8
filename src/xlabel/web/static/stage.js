// The picture, and what is drawn over it: zoom and pan, light, the crosshair, and the labels.
//
// The picture is moved by CSS, labels by a transform inside the SVG: there lines keep their width on the screen, which they do
// not under a CSS transform.

import * as geometry from "./geometry.js";
import { h, shown, svg } from "./dom.js";
import { outline } from "./masks.js";

const MOST = 64; // screen pixels for one of the image
const MARGIN = 24; // around a fitted image, in screen pixels
const NAMED = 200; // labels whose names are all written; of more only that which is pointed at

/** @param {() => void} onView called when zoom or place have changed @returns {Stage} */
export function createStage(onView) {
  const img = h("img", { id: "image", alt: "", draggable: "false", decoding: "async" });
  const [view, screen] = [svg("g", { id: "view" }), svg("g")];
  const lines = [svg("line"), svg("line")];
  const crosshair = svg("g", { id: "crosshair", visibility: "hidden" }, ...lines);
  const overlay = svg("svg", { id: "overlay", role: "group", "aria-label": "Labels on the image" }, view, crosshair, screen);
  const root = h("div", { id: "stage", tabindex: "0", role: "application", "aria-label": "Image" }, img, overlay);
  /** @type {Size} */
  let size = { width: 1, height: 1 };
  let [scale, left, top] = [1, 0, 0];
  let [fitted, crossed] = [true, false];
  let box = new DOMRect();

  // Asking where the stage is makes the browser lay out all that has just been drawn: so it is asked when it may have changed.
  const look = () => (box = root.getBoundingClientRect());
  root.addEventListener("pointerenter", look);
  root.addEventListener("pointerdown", look, { capture: true });
  new ResizeObserver(() => (look(), fitted && stage.fit())).observe(root);

  function place() {
    if (!fitted) {
      left = geometry.clamp(left, 48 - size.width * scale, box.width - 48); // a part is always to be seen
      top = geometry.clamp(top, 48 - size.height * scale, box.height - 48);
    }
    img.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    img.classList.toggle("near", scale > 3);
    set(view, { transform: `translate(${left} ${top}) scale(${scale})` });
    onView();
  }

  /** @type {Stage} */
  const stage = {
    root, view, screen, img,
    get size() {
      return size;
    },
    get scale() {
      return scale;
    },
    get crossed() {
      return crossed;
    },
    show(url, its) {
      if (url && url === img.getAttribute("src")) return;
      size = its;
      img.style.width = `${size.width}px`;
      img.style.height = `${size.height}px`;
      img.hidden = !url;
      img.src = url ?? "";
      stage.fit();
    },
    fit() {
      look();
      if (!box.width) return;
      scale = Math.min((box.width - 2 * MARGIN) / size.width, (box.height - 2 * MARGIN) / size.height, MOST);
      [left, top, fitted] = [(box.width - size.width * scale) / 2, (box.height - size.height * scale) / 2, true];
      place();
    },
    zoom(times, at = { x: box.width / 2, y: box.height / 2 }) {
      const next = geometry.clamp(scale * times, Math.min(0.05, 32 / Math.max(size.width, size.height)), MOST);
      left = at.x - ((at.x - left) * next) / scale;
      top = at.y - ((at.y - top) * next) / scale;
      [scale, fitted] = [next, false];
      place();
    },
    pan(dx, dy) {
      [left, top, fitted] = [left + dx, top + dy, false];
      place();
    },
    spot: ({ clientX, clientY }) => ({ x: clientX - box.left, y: clientY - box.top }),
    toImage: (spot) => ({ x: (spot.x - left) / scale, y: (spot.y - top) / scale }),
    toScreen: (p) => ({ x: p.x * scale + left, y: p.y * scale + top }),
    light(brightness, contrast) {
      img.style.filter = brightness === 1 && contrast === 1 ? "" : `brightness(${brightness}) contrast(${contrast})`;
    },
    cross(on) {
      crossed = on;
      stage.pointer(null);
    },
    pointer(spot) {
      set(crosshair, { visibility: spot && crossed ? "visible" : "hidden" });
      if (!spot || !crossed) return;
      set(lines[0], { x2: box.width, y1: spot.y, y2: spot.y });
      set(lines[1], { x1: spot.x, x2: spot.x, y2: box.height });
    },
  };
  return stage;
}

/** @param {Stage} stage @param {App} app @returns {Drawing} that draws anew only what has changed */
export function createDrawing(stage, app) {
  const layer = svg("g", { id: "labels" });
  stage.view.append(layer);
  /** @type {Map<Id, SVGGElement>} */
  const nodes = new Map();
  /** @type {(Id | null)[]} selected, pointed at */
  let marked = [null, null];
  let many = false;

  /** @param {Label} label @param {SVGGElement} node */
  function dress(label, node) {
    const { id, category, status } = label;
    const colour = app.colourOf(category);
    const mark = ["selected", "pointed"][marked.indexOf(id)];
    set(node, { class: `label ${status ?? ""} ${mark ?? ""}`, stroke: colour, fill: colour, "data-category": category ?? "", "data-status": status ?? "" });
    node.replaceChildren(...shapesOf(label, app));
    if (many && !mark) return;
    const [x, y] = geometry.boundsOf(label) ?? [0, 0];
    node.append(svg("text", { dy: "-5", "data-x": x, "data-y": y }, titleOf(label)));
    drawing.scaled(node);
  }

  /** @param {Label} label */
  function made(label) {
    const node = svg("g", { "data-id": label.id });
    dress(label, node);
    nodes.set(label.id, node);
    return node;
  }

  /** @type {Drawing} */
  const drawing = {
    scaled(node = layer) {
      for (const text of node.getElementsByTagName("text")) set(text, { transform: `translate(${text.dataset.x} ${text.dataset.y}) scale(${1 / stage.scale})` });
    },
    get hidden() {
      return layer.hasAttribute("visibility");
    },
    hide: (is) => (is ? layer.setAttribute("visibility", "hidden") : layer.removeAttribute("visibility")),
    all(labels) {
      nodes.clear();
      many = labels.length > NAMED;
      layer.replaceChildren(...labels.filter(lies).map(made));
    },
    put(id, label) {
      const node = nodes.get(id);
      if (label && lies(label)) {
        if (node) dress(label, node);
        else layer.append(made(label));
      } else {
        node?.remove();
        nodes.delete(id);
      }
    },
    mark(selected, pointed, labels) {
      const before = marked;
      marked = [selected, pointed];
      for (const id of new Set([...before, ...marked])) {
        const [label, node] = [labels.get(id ?? ""), nodes.get(id ?? "")];
        if (label && node && before.indexOf(id) !== marked.indexOf(id)) dress(label, node);
      }
    },
    shift: (id, dx, dy) => nodes.get(id)?.setAttribute("transform", `translate(${dx} ${dy})`),
  };
  return drawing;
}

/** @param {Label} label @param {App} app @returns {SVGElement[]} */
export function shapesOf({ category, mask, polygons, bbox, keypoints, shape }, app) {
  const path = (/** @type {string} */ kind, /** @type {string} */ d) => svg("path", { class: kind, d, "fill-rule": "evenodd" });
  const parts = [];
  if (mask) parts.push(path("mask", outline(mask)));
  if (polygons) parts.push(path("polygon", polygons.map((flat) => `${pathOf(flat)}Z`).join("")));
  if (bbox) parts.push(svg("rect", { class: mask || polygons ? "besides" : null, x: bbox[0], y: bbox[1], width: bbox[2], height: bbox[3] }));
  if (keypoints) parts.push(path("line", bonesOf(keypoints, app.categories().find(({ name }) => name === category))), path("dots", dotsOf(geometry.seen(keypoints))));
  if (keypoints) parts.push(path("hollow", dotsOf(geometry.triples(keypoints).filter(([, , v]) => v === 1).map(([x, y]) => ({ x, y })))));
  if (shape?.kind === "oriented_box") parts.push(path("polygon", `${pathOf(shape.corners)}Z`), path("front", pathOf(shape.corners.slice(0, 4))));
  else if (shape?.kind === "circle") parts.push(svg("circle", { cx: shape.x, cy: shape.y, r: shape.radius }));
  else if (shape) parts.push(shape.kind === "polyline" ? path("line", pathOf(shape.points)) : path("dots", dotsOf(geometry.pairs(shape.points))));
  return parts;
}

export const pathOf = (/** @type {number[]} */ flat) => (flat.length > 1 ? `M${flat.join(" ")}` : "");

/** A dot is a line without length: its width is that on the screen. @param {Point[]} points */
export const dotsOf = (points) => points.map(({ x, y }) => `M${x} ${y}h0`).join("");

/** @param {number[]} keypoints @param {Category | undefined} category */
export function bonesOf(keypoints, category) {
  const points = geometry.triples(keypoints);
  return (category?.skeleton ?? []).map(([a, b]) => (points[a - 1]?.[2] && points[b - 1]?.[2] ? pathOf([a, b].flatMap((n) => points[n - 1].slice(0, 2))) : "")).join("");
}

/** Whether it has a place in the image. @param {Label} label */
const lies = (label) => geometry.kindOf(label) !== "tag";

/** @param {Label} label */
export const titleOf = ({ category, score }) => `${shown(category) || "no category"}${typeof score === "number" ? ` ${score.toFixed(2)}` : ""}`;

/** @param {Element} element @param {Record<string, unknown>} attributes */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}
