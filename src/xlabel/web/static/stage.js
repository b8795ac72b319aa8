// The picture and what is drawn over it: zoom and pan, light and contrast, the crosshair.
//
// The picture is moved by CSS, what is drawn by a transform inside the SVG: there lines keep their width on the
// screen, which they do not under a CSS transform. What keeps its size too is in `screen`, in pixels of the screen.

import { clamp } from "./geometry.js";
import { h, svg } from "./dom.js";

/** @import {Point, Size} from "./geometry.js" */
/** @typedef {ReturnType<typeof createStage>} Stage */

const MOST = 64; // screen pixels for one of the image
const MARGIN = 24; // around a fitted image, in screen pixels

/** @param {() => void} onView called when zoom or place have changed */
export function createStage(onView) {
  const img = h("img", { id: "image", alt: "", draggable: "false", decoding: "async" });
  const view = svg("g", { id: "view" });
  const screen = svg("g", { id: "screen" });
  const cross = [svg("line"), svg("line")];
  const crosshair = svg("g", { id: "crosshair", "aria-hidden": "true", visibility: "hidden" }, ...cross);
  const overlay = svg("svg", { id: "overlay", role: "group", "aria-label": "Labels on the image" }, view, crosshair, screen);
  const root = h("div", { id: "stage", tabindex: "0", role: "application", "aria-label": "Image" }, img, overlay);

  /** @type {Size} */
  let size = { width: 1, height: 1 };
  let [scale, left, top] = [1, 0, 0];
  let written = 0; // the scale that letters have
  let fitted = true;
  let [brightness, contrast] = [1, 1];
  let [wide, high] = [0, 0];
  let crossed = false;

  let box = new DOMRect();
  // Asking where the stage is would make the browser lay out all that has just been drawn.
  const look = () => (box = root.getBoundingClientRect());
  new ResizeObserver(() => {
    look();
    [wide, high] = [root.clientWidth, root.clientHeight];
    if (fitted) fit();
  }).observe(root);
  for (const event of ["pointerenter", "pointerdown"]) root.addEventListener(event, look, { capture: true });

  function place() {
    img.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    img.classList.toggle("near", scale > 3);
    view.setAttribute("transform", `translate(${left} ${top}) scale(${scale})`);
    if (scale !== written) view.style.setProperty("--scale", String((written = scale)));
    onView();
  }

  function fit() {
    look();
    [wide, high] = [root.clientWidth, root.clientHeight];
    if (!wide || !high) return;
    scale = Math.min((wide - 2 * MARGIN) / size.width, (high - 2 * MARGIN) / size.height, MOST);
    scale = Math.max(scale, 0.001);
    left = (wide - size.width * scale) / 2;
    top = (high - size.height * scale) / 2;
    fitted = true;
    place();
  }

  /** @param {number} times @param {Point} [at] in screen pixels of the stage; the middle if not given */
  function zoom(times, at = { x: wide / 2, y: high / 2 }) {
    const least = Math.min(0.05, 32 / Math.max(size.width, size.height));
    const next = clamp(scale * times, least, MOST);
    left = at.x - ((at.x - left) * next) / scale;
    top = at.y - ((at.y - top) * next) / scale;
    scale = next;
    fitted = false;
    hold();
    place();
  }

  /** @param {number} dx @param {number} dy */
  function pan(dx, dy) {
    left += dx;
    top += dy;
    fitted = false;
    hold();
    place();
  }

  /** A part of the image is always to be seen. */
  function hold() {
    left = clamp(left, 48 - size.width * scale, wide - 48);
    top = clamp(top, 48 - size.height * scale, high - 48);
  }

  function lit() {
    img.style.filter = brightness === 1 && contrast === 1 ? "" : `brightness(${brightness}) contrast(${contrast})`;
  }

  return {
    root,
    overlay,
    view,
    screen,
    img,
    zoom,
    pan,
    fit,
    get size() {
      return size;
    },
    get scale() {
      return scale;
    },
    get crossed() {
      return crossed;
    },
    /** @param {string | null} url @param {Size} its as stated: a browser's own idea may be of a smaller copy */
    show(url, its) {
      const whole = url ? new URL(url, document.baseURI).href : "";
      size = { width: its.width || 1, height: its.height || 1 };
      img.style.width = `${size.width}px`;
      img.style.height = `${size.height}px`;
      if (img.src !== whole) {
        img.classList.add("coming");
        img.src = whole || "data:,";
      }
      fit();
    },
    /** @param {{clientX: number, clientY: number}} event @returns {Point} in screen pixels of the stage */
    spot(event) {
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    },
    /** @param {Point} spot @returns {Point} in pixels of the image */
    toImage: (spot) => ({ x: (spot.x - left) / scale, y: (spot.y - top) / scale }),
    /** @param {Point} p in pixels of the image @returns {Point} */
    toScreen: (p) => ({ x: p.x * scale + left, y: p.y * scale + top }),
    /** @param {number} b @param {number} c 1 is as it is */
    light(b, c) {
      [brightness, contrast] = [b, c];
      lit();
    },
    /** @param {boolean} on */
    cross(on) {
      crossed = on;
      if (!on) crosshair.setAttribute("visibility", "hidden");
    },
    /** @param {Point | null} spot where the pointer is */
    pointer(spot) {
      if (!crossed) return;
      crosshair.setAttribute("visibility", spot ? "visible" : "hidden");
      if (!spot) return;
      set(cross[0], { x1: 0, x2: wide, y1: spot.y, y2: spot.y });
      set(cross[1], { x1: spot.x, x2: spot.x, y1: 0, y2: high });
    },
  };
}

/** @param {Element} element @param {Record<string, string | number>} attributes */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}
