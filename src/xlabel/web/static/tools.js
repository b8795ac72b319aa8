// What the pointer does: which tool it holds, what it pulls at, and how it moves the picture.
//
// A tool answers a press with a gesture, which goes on until the button is up; tools that take several clicks keep what they
// have until they are finished or left.

import * as draw from "./tools_draw.js";
import * as geometry from "./geometry.js";
import { set } from "./stage.js";
import { svg } from "./dom.js";

const NEAR = 8; // screen pixels that count as on it; for fingers twice as many
const STILL = 3; // screen pixels of a click
const ARM = 24; // screen pixels from an oriented box to the handle that turns it

/** @param {Bench} bench @param {() => void} changed the tool, or what it says @returns {Tools} */
export function createTools(bench, changed) {
  const { stage, drawing } = bench;
  const [preview, grips] = [svg("g", { id: "preview" }), svg("g", { id: "handles" })];
  stage.view.append(preview);
  stage.screen.append(grips);
  const select = createSelect();
  const { createBox, createPolygon, createKeypoints, createOrientedBox, createBrush, createSmart } = draw;
  const more = [createBox, createPolygon, createKeypoints, createOrientedBox, createBrush, ...(bench.app.session.segment ? [createSmart] : [])];
  const all = [select, ...more.map((create) => create(bench, preview, changed))];
  let tool = select;
  /** @type {Gesture | null} */
  let gesture = null;
  /** @type {Map<number, Point>} fingers that are down */
  const down = new Map();
  let [spaced, panned] = [false, false];
  /** @type {{handle: Handle, spot: Point, node: SVGElement}[]} */
  let handles = [];

  /** @param {Label | null} label that has handles */
  function grip(label = bench.selected) {
    const has = label && !bench.readonly && !tool.busy?.() && tool.name !== "brush";
    const wanted = has ? geometry.handlesOf(label) : [];
    if (wanted.length !== handles.length || wanted.some(({ kind }, i) => kind !== handles[i].handle.kind)) {
      handles = wanted.map((handle) => ({ handle, spot: handle, node: svg(/key|mid|rot/.test(handle.kind) ? "circle" : "rect", { class: handle.kind }) }));
      grips.replaceChildren(...handles.map(({ node }) => node));
    }
    wanted.forEach((handle, i) => {
      const { node } = handles[i];
      const spot = stage.toScreen(handle);
      if (handle.kind === "rotate") {
        const middle = stage.toScreen({ x: (wanted[1].x + wanted[3].x) / 2, y: (wanted[1].y + wanted[3].y) / 2 });
        const far = Math.hypot(spot.x - middle.x, spot.y - middle.y) || 1;
        Object.assign(spot, { x: spot.x + ((spot.x - middle.x) / far) * ARM, y: spot.y + ((spot.y - middle.y) / far) * ARM });
      }
      Object.assign(handles[i], { handle, spot });
      set(node, { cx: spot.x, cy: spot.y, r: handle.kind === "middle" ? 3 : 5, x: spot.x - 4, y: spot.y - 4, width: 8, height: 8 });
      const { kind, index, part } = bench.vertex ?? {};
      node.classList.toggle("picked", kind === handle.kind && index === handle.index && part === handle.part);
    });
  }

  /** @param {Point} spot @param {PointerEvent} event */
  function handleAt(spot, { pointerType }) {
    const near = pointerType === "touch" ? 2 * NEAR : NEAR;
    let [best, least] = [/** @type {typeof handles[0] | null} */ (null), near];
    for (const one of handles) {
      const far = Math.hypot(one.spot.x - spot.x, one.spot.y - spot.y) + (one.handle.kind === "middle" ? 2 : 0);
      if (far <= least) [best, least] = [one, far];
    }
    return best;
  }

  /** @param {Point} p */
  const labelAt = (p) => (drawing.hidden ? null : geometry.under(bench.labels.values(), p, 4 / stage.scale));

  /** @param {typeof handles[0]} grabbed @param {Point} from @param {Label} label @returns {Gesture} */
  function pull({ handle, spot }, from, label) {
    const at = stage.toImage(spot);
    let [now, moved] = [label, false];
    const gesture = {
      /** @type {Gesture["move"]} */
      move(p, { shiftKey }) {
        moved ||= far(p, from) >= STILL;
        if (!moved) return;
        now = geometry.pulled(label, handle, { x: p.x + at.x - from.x, y: p.y + at.y - from.y }, stage.size, shiftKey);
        drawing.put(label.id, now);
        grip(now);
      },
      up() {
        if (handle.kind === "middle" && !moved) now = geometry.pulled(label, handle, handle, stage.size);
        else if (!moved) return /vertex|keypoint/.test(handle.kind) && bench.pick(handle);
        if (!bench.commit("Reshape", [bench.corrected(label, now)])) gesture.cancel();
      },
      cancel() {
        drawing.put(label.id, bench.labels.get(label.id) ?? null);
        grip();
      },
    };
    return gesture;
  }

  /** @returns {Tool} */
  function createSelect() {
    return {
      name: "select",
      label: "Select",
      icon: "M4 2l8 7-4 .4L10 14l-2 .8-2-4.6L4 13z",
      hint: () => (bench.selected ? "Drag it, or its handles" : "Click a label, or drag the picture"),
      down(p, event) {
        const [held, found] = [bench.selected, labelAt(p)];
        const label = held && geometry.under([held], p, 4 / stage.scale) ? held : found;
        if (!label) return panning(event);
        bench.select(label.id);
        let by = /** @type {[number, number]} */ ([0, 0]);
        let moved = false;
        const cancel = () => {
          drawing.shift(label.id, 0, 0);
          grips.removeAttribute("transform");
        };
        return {
          move(to) {
            moved ||= far(to, p) >= STILL && !bench.readonly;
            if (!moved) return;
            by = geometry.room(label, to.x - p.x, to.y - p.y, stage.size);
            drawing.shift(label.id, ...by);
            set(grips, { transform: `translate(${by[0] * stage.scale} ${by[1] * stage.scale})` });
          },
          up() {
            cancel();
            if (moved) bench.commit("Move", [bench.corrected(label, geometry.moved(label, ...by))]);
            else if (found) bench.select(found.id);
          },
          cancel,
        };
      },
    };
  }

  /** @param {Point} a @param {Point} b @returns {number} screen pixels */
  const far = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) * stage.scale;

  /** @param {PointerEvent} event @returns {Gesture} */
  function panning(event) {
    const plain = event.button === 0 && !spaced;
    let [last, way] = [stage.spot(event), 0];
    stage.root.classList.add("panning");
    const cancel = () => stage.root.classList.remove("panning");
    return {
      move(_, next) {
        const spot = stage.spot(next);
        way += Math.hypot(spot.x - last.x, spot.y - last.y);
        if (way >= STILL) stage.pan(spot.x - last.x, spot.y - last.y);
        last = spot;
      },
      up() {
        cancel();
        panned ||= way >= STILL;
        if (plain && way < STILL) bench.select(null);
      },
      cancel,
    };
  }

  /** @param {Point} from @param {PointerEvent} event @returns {Gesture | null} of the tool; a press that stays where it is selects */
  function used(from, event) {
    const inner = tool.down(from, event);
    if (!inner || !tool.clicks) return inner;
    let way = 0;
    return {
      move(p, next) {
        way = Math.max(way, far(p, from));
        inner.move(p, next);
      },
      up(p, next) {
        if (way >= STILL) return inner.up(p, next);
        inner.cancel();
        bench.select(labelAt(from)?.id ?? null);
      },
      cancel: inner.cancel,
    };
  }

  const { root } = stage;
  /** @type {(type: "pointerdown" | "pointermove" | "pointerup" | "pointercancel" | "pointerleave", handler: (event: PointerEvent, spot: Point) => void) => void} */
  const on = (type, handler) => root.addEventListener(type, (event) => bench.work && handler(event, stage.spot(event)));

  on("pointerdown", (event, spot) => {
    if (event.button > 1) return;
    root.focus({ preventScroll: true });
    root.setPointerCapture(event.pointerId);
    down.set(event.pointerId, spot);
    if (down.size > 1) {
      gesture?.cancel();
      gesture = null;
    }
    if (down.size > 1 || gesture) return;
    event.preventDefault();
    const p = stage.toImage(spot);
    const label = bench.selected;
    const grabbed = tool.busy?.() ? null : handleAt(spot, event);
    if (event.button || spaced) gesture = panning(event);
    else if (label && grabbed && event.altKey) {
      bench.pick(grabbed.handle);
      bench.remove();
    } else if (label && grabbed) gesture = pull(grabbed, p, label);
    else gesture = bench.readonly ? select.down(p, event) : used(p, event);
    changed();
  });

  on("pointermove", (event, spot) => {
    const p = stage.toImage(spot);
    stage.pointer(spot);
    if (down.size > 1 && down.has(event.pointerId)) {
      const was = pinch();
      down.set(event.pointerId, spot);
      const is = pinch();
      stage.pan(is.x - was.x, is.y - was.y);
      stage.zoom(is.apart / was.apart, is);
    } else if (gesture) gesture.move(p, event);
    else {
      tool.hover?.(p, event);
      const handle = tool.busy?.() ? null : handleAt(spot, event)?.handle;
      const over = handle ? null : labelAt(p);
      bench.point(over?.id ?? null);
      root.dataset.over = handle?.kind ?? (over && tool === select ? "label" : "");
    }
  });

  /** Two fingers: they stay where they are on the picture. */
  function pinch() {
    const [a, b] = [...down.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  }

  for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) {
    on(type, (event, spot) => {
      down.delete(event.pointerId);
      const ended = gesture;
      gesture = null;
      if (type === "pointerup") ended?.up(stage.toImage(spot), event);
      else ended?.cancel();
      changed();
    });
  }
  on("pointerleave", (event) => {
    stage.pointer(null);
    tool.hover?.(null, event);
    bench.point(null);
  });
  root.addEventListener("dblclick", () => tool.name === "polygon" && tools.ask("finish"));
  root.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [dx, dy] = [event.deltaX, event.deltaY].map((n) => n * (event.deltaMode ? 20 : 1));
    if (event.shiftKey || (!event.ctrlKey && Math.abs(dx) > Math.abs(dy))) stage.pan(-dx, -dy);
    else stage.zoom(Math.exp(-dy * (event.ctrlKey ? 0.01 : 0.0015)), stage.spot(event));
  }, { passive: false });
  bench.on(["selection", "labels"], () => (grip(), changed()));
  bench.on(["image", "clash"], () => void tools.leave());
  bench.on(["image"], () => tool.taken?.());

  /** @type {Tools} */
  const tools = {
    all,
    grip,
    get current() {
      return tool;
    },
    take(name) {
      tools.leave();
      tool = all.find((one) => one.name === name) ?? tool;
      root.dataset.tool = tool.name;
      tool.taken?.();
      grip();
      changed();
    },
    leave() {
      const begun = gesture !== null || Boolean(tool.busy?.());
      gesture?.cancel();
      gesture = null;
      tool.cancel?.();
      preview.replaceChildren();
      grip();
      changed();
      return begun;
    },
    ask(what) {
      if (!tool.busy?.() && !(what === "skip" && tool.skip)) return false;
      tool[what]?.();
      grip();
      changed();
      return true;
    },
    space(is) {
      const moved = panned;
      panned &&= !is || spaced;
      spaced = is;
      root.classList.toggle("spaced", is);
      return moved;
    },
  };
  return tools;
}
