// What the pointer does: which tool it holds, what it pulls at, and how it moves the picture.
//
// A tool answers a press with a gesture, which goes on until the button is up; tools that take several clicks keep
// what they have until they are finished or left.

import * as geometry from "./geometry.js";
import { createBrush } from "./tools_mask.js";
import { createSmart } from "./tools_smart.js";
import { createBox, createKeypoints, createOrientedBox, createPolygon } from "./tools_draw.js";
import { set } from "./stage.js";
import { svg } from "./dom.js";

/** @import {Label} from "./types" */
/** @import {Bench} from "./bench.js" */
/** @import {Handle, Point} from "./geometry.js" */
/** @typedef {{move(p: Point, event: PointerEvent): void, up(p: Point, event: PointerEvent): void, cancel(): void}} Gesture */
/**
 * @typedef {object} Tool
 * @property {string} name as it is called in the table of keys
 * @property {string} label
 * @property {string} icon
 * @property {() => string} hint what to do now
 * @property {(p: Point, event: PointerEvent) => Gesture | null} down
 * @property {(p: Point | null, event: PointerEvent) => void} [hover]
 * @property {() => boolean} [busy] whether it has something begun
 * @property {() => void} [finish] for Enter and a double click
 * @property {() => void} [back] takes the last step back
 * @property {() => void} [skip] for the space bar
 * @property {() => void} [cancel] leaves what is begun
 * @property {() => void} [taken] somebody has taken it up
 * @property {HTMLElement} [options] what can be set
 */

const NEAR = 8; // screen pixels that count as on it; for fingers twice as many
const STILL = 3; // screen pixels of a click

/** @param {Bench} bench @param {() => void} changed the tool, or what it says */
export function createTools(bench, changed) {
  const { stage, drawing } = bench;
  const preview = svg("g", { id: "preview" });
  stage.view.append(preview);
  const grips = svg("g", { id: "handles" });
  stage.screen.append(grips);

  const select = createSelect();
  /** @type {Tool[]} */
  const all = [
    select,
    createBox(bench, preview),
    createPolygon(bench, preview, changed),
    createKeypoints(bench, preview, changed),
    createOrientedBox(bench, preview),
    createBrush(bench, preview),
    createSmart(bench, preview, changed),
  ].filter((tool) => tool.name !== "sam" || bench.app.session.segment);
  let tool = select;
  /** @type {Gesture | null} */
  let gesture = null;
  /** @type {Map<number, Point>} fingers and the like that are down */
  const down = new Map();
  let spaced = false;
  let panned = false;
  /** @type {Label | null} what is pulled at, as it is shown */
  let shownLabel = null;
  /** @type {{handle: Handle, node: SVGElement}[]} */
  let handles = [];

  /** @param {Label | null} [label] the one that has handles, if not the selected one */
  function grip(label = bench.selected) {
    shownLabel = label;
    const busy = tool.busy?.() || tool.name === "brush";
    const wanted = label && !busy && bench.work?.picture.readonly === null ? geometry.handlesOf(label) : [];
    if (wanted.length !== handles.length || wanted.some(({ kind }, i) => kind !== handles[i].handle.kind)) {
      handles = wanted.map((handle) => ({ handle, node: svg(handle.kind === "keypoint" || handle.kind === "middle" || handle.kind === "rotate" ? "circle" : "rect", { class: handle.kind }) }));
      grips.replaceChildren(...handles.map(({ node }) => node));
    }
    const picked = bench.vertex;
    wanted.forEach((handle, i) => {
      handles[i].handle = handle;
      const { x, y } = spotOf(handle);
      const { node } = handles[i];
      if (node instanceof SVGCircleElement) set(node, { cx: x, cy: y, r: handle.kind === "middle" ? 3 : 5 });
      else set(node, { x: x - 4, y: y - 4, width: 8, height: 8 });
      const on = picked !== null && picked.kind === handle.kind && picked.index === handle.index && picked.part === handle.part;
      node.classList.toggle("picked", on);
    });
  }

  /** Where a handle is on the screen: that for turning a little outside. @param {Handle} handle @returns {Point} */
  function spotOf(handle) {
    const spot = stage.toScreen(handle);
    const shape = shownLabel?.shape;
    if (handle.kind !== "rotate" || shape?.kind !== "oriented_box") return spot;
    const [a, , c] = geometry.pairs(shape.corners);
    const middle = stage.toScreen({ x: (a.x + c.x) / 2, y: (a.y + c.y) / 2 });
    const length = Math.hypot(spot.x - middle.x, spot.y - middle.y) || 1;
    return { x: spot.x + ((spot.x - middle.x) / length) * 24, y: spot.y + ((spot.y - middle.y) / length) * 24 };
  }

  /** @param {Point} spot @param {boolean} finger @returns {Handle | null} */
  function handleAt(spot, finger) {
    const near = finger ? 2 * NEAR : NEAR;
    let best = null;
    let least = Infinity;
    for (const { handle } of handles) {
      const at = spotOf(handle);
      const far = Math.hypot(at.x - spot.x, at.y - spot.y) + (handle.kind === "middle" ? near / 4 : 0);
      if (far <= near && far <= least) [best, least] = [handle, far];
    }
    return best;
  }

  /** @param {Point} p @returns {Label | null} */
  const labelAt = (p) => (drawing.hidden ? null : geometry.under(bench.labels.values(), p, 4 / stage.scale));

  /** @param {Handle} handle @param {Point} from @param {Label} label @returns {Gesture} */
  function pull(handle, from, label) {
    const at = handle.kind === "rotate" ? stage.toImage(spotOf(handle)) : handle;
    const off = { x: at.x - from.x, y: at.y - from.y };
    let moved = false;
    let now = label;
    return {
      move(p, event) {
        if (!moved && Math.hypot(p.x - from.x, p.y - from.y) * stage.scale < STILL) return;
        moved = true;
        now = geometry.pulled(label, handle, { x: p.x + off.x, y: p.y + off.y }, stage.size, event.shiftKey);
        drawing.put(label.id, now);
        grip(now);
      },
      up() {
        if (!moved && handle.kind !== "middle") {
          if (handle.kind === "vertex" || handle.kind === "keypoint") bench.pick(handle);
          return;
        }
        if (!moved) now = geometry.pulled(label, handle, handle, stage.size);
        if (!bench.commit("Reshape", [bench.corrected(label, now)])) drawing.put(label.id, label);
        grip();
      },
      cancel() {
        drawing.put(label.id, label);
        grip();
      },
    };
  }

  /** @returns {Tool} */
  function createSelect() {
    return {
      name: "select",
      label: "Select",
      icon: "M4 2l8 7-4 .4L10 14l-2 .8-2-4.6L4 13z",
      hint: () => (bench.selected ? "Drag to move, handles to reshape; 1-9 sets the category" : "Click a label, or drag the picture"),
      down(p, event) {
        const found = labelAt(p);
        const held = bench.selected;
        const label = held && geometry.contains(held, p, 4 / stage.scale) ? held : found;
        if (!label) return panning(event, () => bench.select(null));
        if (held !== label) bench.select(label.id);
        let by = /** @type {[number, number]} */ ([0, 0]);
        let moved = false;
        return {
          move(to) {
            if (bench.work?.picture.readonly !== null) return;
            if (!moved && Math.hypot(to.x - p.x, to.y - p.y) * stage.scale < STILL) return;
            moved = true;
            by = geometry.room(label, to.x - p.x, to.y - p.y, stage.size);
            drawing.shift(label.id, ...by);
            grips.setAttribute("transform", `translate(${by[0] * stage.scale} ${by[1] * stage.scale})`);
          },
          up() {
            this.cancel();
            if (moved) bench.commit("Move", [bench.corrected(label, geometry.moved(label, by[0], by[1], stage.size))]);
            else if (found) bench.select(found.id);
          },
          cancel() {
            drawing.shift(label.id, 0, 0);
            grips.removeAttribute("transform");
          },
        };
      },
    };
  }

  /** @param {PointerEvent} event @param {() => void} [clicked] @returns {Gesture} */
  function panning(event, clicked) {
    let last = { x: event.clientX, y: event.clientY };
    let far = 0;
    stage.root.classList.add("panning");
    return {
      move(_, { clientX, clientY }) {
        far += Math.hypot(clientX - last.x, clientY - last.y);
        if (far >= STILL) stage.pan(clientX - last.x, clientY - last.y);
        last = { x: clientX, y: clientY };
      },
      up() {
        stage.root.classList.remove("panning");
        panned ||= far >= STILL;
        if (far < STILL) clicked?.();
      },
      cancel: () => stage.root.classList.remove("panning"),
    };
  }

  /** Two fingers: they stay where they are on the picture. */
  function pinch() {
    const [a, b] = [...down.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  }

  /** A click where a drawing tool would draw: the label that is there. @param {Point} p */
  const touch = (p) => bench.select(labelAt(p)?.id ?? null);

  /** @param {Gesture | null} inner @param {Point} from @returns {Gesture | null} a press that does not move is a click */
  function orClick(inner, from) {
    if (!inner || (tool.name !== "box" && tool.name !== "oriented_box")) return inner;
    let far = 0;
    return {
      move(p, event) {
        far = Math.max(far, Math.hypot(p.x - from.x, p.y - from.y) * stage.scale);
        inner.move(p, event);
      },
      up(p, event) {
        if (far >= STILL) return inner.up(p, event);
        inner.cancel();
        touch(from);
      },
      cancel: () => inner.cancel(),
    };
  }

  stage.root.addEventListener("pointerdown", (event) => {
    if (!bench.work || event.button > 1) return;
    const spot = stage.spot(event);
    stage.root.focus({ preventScroll: true });
    stage.root.setPointerCapture(event.pointerId);
    down.set(event.pointerId, spot);
    if (down.size === 2) {
      gesture?.cancel();
      gesture = null;
      return;
    }
    if (gesture) return;
    event.preventDefault();
    const p = stage.toImage(spot);
    if (event.button === 1 || spaced) {
      gesture = panning(event);
      return;
    }
    const label = bench.selected;
    const handle = label && !tool.busy?.() ? handleAt(spot, event.pointerType === "touch") : null;
    if (label && handle && event.altKey) {
      bench.pick(handle);
      bench.remove();
    } else if (label && handle) {
      gesture = pull(handle, p, label);
    } else if (bench.work.picture.readonly !== null && tool !== select) {
      touch(p);
    } else {
      gesture = orClick(tool.down(p, event), p);
    }
    changed();
  });

  stage.root.addEventListener("pointermove", (event) => {
    if (!bench.work) return;
    const spot = stage.spot(event);
    const p = stage.toImage(spot);
    stage.pointer(spot);
    if (down.size === 2 && down.has(event.pointerId)) {
      const was = pinch();
      down.set(event.pointerId, spot);
      const is = pinch();
      stage.pan(is.x - was.x, is.y - was.y);
      stage.zoom(is.apart / was.apart, is);
      return;
    }
    if (gesture) {
      gesture.move(p, event);
      return;
    }
    tool.hover?.(p, event);
    const handle = tool.busy?.() ? null : handleAt(spot, false);
    const over = tool === select && !handle ? labelAt(p) : null;
    bench.point(over?.id ?? (tool === select ? null : (labelAt(p)?.id ?? null)));
    stage.root.dataset.over = handle ? handle.kind : over ? "label" : "";
  });

  /** @param {PointerEvent} event @param {boolean} done */
  function released(event, done) {
    down.delete(event.pointerId);
    const ended = gesture;
    gesture = null;
    if (!ended) return;
    if (done) ended.up(stage.toImage(stage.spot(event)), event);
    else ended.cancel();
    changed();
  }
  stage.root.addEventListener("pointerup", (event) => released(event, true));
  stage.root.addEventListener("pointercancel", (event) => released(event, false));
  stage.root.addEventListener("pointerleave", (event) => {
    stage.pointer(null);
    tool.hover?.(null, event);
    if (!gesture) bench.point(null);
  });
  stage.root.addEventListener("dblclick", () => {
    if (tool.name === "polygon") api.ask("finish");
  });
  stage.root.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode ? 20 : 1;
      const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
      if (!event.ctrlKey && (event.shiftKey || Math.abs(dx) > Math.abs(dy))) stage.pan(-dx, event.shiftKey && !dx ? -dy : 0);
      else stage.zoom(Math.exp(-dy * (event.ctrlKey ? 0.01 : 0.0015)), stage.spot(event));
    },
    { passive: false },
  );

  bench.on("selection", () => (grip(), changed()));
  bench.on("labels", () => grip());
  bench.on("image", () => api.leave());

  const api = {
    all,
    preview,
    get current() {
      return tool;
    },
    /** @param {string} name */
    take(name) {
      const next = all.find((one) => one.name === name);
      if (!next || next === tool) return;
      api.leave();
      tool = next;
      stage.root.dataset.tool = name;
      tool.taken?.();
      grip();
      changed();
    },
    /** Leave what is begun. @returns {boolean} whether anything was */
    leave() {
      const begun = gesture !== null || Boolean(tool.busy?.());
      gesture?.cancel();
      gesture = null;
      tool.cancel?.();
      preview.replaceChildren();
      grip();
      if (begun) changed();
      return begun;
    },
    /** @param {"finish" | "back" | "skip"} what @returns {boolean} whether the tool had something begun */
    ask(what) {
      if (!tool.busy?.() && !(what === "skip" && tool.skip)) return false;
      tool[what]?.();
      grip();
      changed();
      return true;
    },
    grip,
    get held() {
      return gesture !== null;
    },
    /** @param {boolean} is whether the space bar is down; gives whether it served to move the picture */
    space(is) {
      const moved = panned;
      if (is && !spaced) panned = false;
      spaced = is;
      stage.root.classList.toggle("spaced", is);
      return moved;
    },
  };
  stage.root.dataset.tool = tool.name;
  return api;
}
