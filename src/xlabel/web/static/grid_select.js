// Which cards are selected, and which has the focus: by mouse, by rectangle and by keys.

import { h } from "./dom.js";

/** @import { createScroller } from "./grid_scroll.js" */

const START = 5; // pixels that a press moves before it is a rectangle
const EDGE = 40; // pixels from the edge where a rectangle scrolls

/** @typedef {ReturnType<typeof createSelection>} Selection */

/**
 * @param {ReturnType<typeof createScroller>} scroller
 * @param {() => number[]} numbers in the order of the cards
 * @param {() => void} changed
 */
export function createSelection(scroller, numbers, changed) {
  /** @type {Set<number>} */
  let chosen = new Set();
  let current = 0; // the index that keys start from
  let anchor = 0;
  let dragged = false;
  const { root, content } = scroller;
  const band = h("div", { class: "band", hidden: true });
  content.append(band);

  function dress() {
    const list = numbers();
    scroller.each((cell, index) => cell.dress(chosen.has(list[index]), index === current));
  }

  /** @param {Iterable<number>} next */
  function choose(next) {
    chosen = new Set(next);
    dress();
    changed();
  }

  /** @param {number} index */
  function toggle(index) {
    const number = numbers()[index];
    chosen.delete(number) || chosen.add(number);
    anchor = current = index;
    choose(chosen);
  }

  /** All from the anchor to here. @param {number} index @param {boolean} more besides what is selected */
  function stretch(index, more) {
    const between = numbers().slice(Math.min(anchor, index), Math.max(anchor, index) + 1);
    current = index;
    choose(more ? [...chosen, ...between] : between);
  }

  /** @param {number} index @param {boolean} [focus] */
  function move(index, focus = true) {
    const { length } = numbers();
    if (!length) return;
    current = Math.max(0, Math.min(length - 1, index));
    scroller.reveal(current);
    const cell = scroller.pin(current);
    dress();
    if (focus) cell?.link.focus({ preventScroll: true });
  }

  /** @param {Event} event */
  function indexOf(event) {
    const cell = event.target instanceof Element && /** @type {HTMLElement | null} */ (event.target.closest("[data-number]"));
    return cell ? numbers().indexOf(Number(cell.dataset.number)) : -1;
  }

  content.addEventListener("click", (event) => {
    const index = indexOf(event);
    if (dragged) {
      event.preventDefault();
      dragged = false;
    } else if (index < 0) {
      if (!(event.ctrlKey || event.metaKey || event.shiftKey)) choose([]);
    } else if (event.target instanceof HTMLInputElement) {
      event.shiftKey ? stretch(index, true) : toggle(index);
    } else if (event.shiftKey || event.ctrlKey || event.metaKey) {
      event.preventDefault();
      event.shiftKey ? stretch(index, event.ctrlKey || event.metaKey) : toggle(index);
      move(index);
    } else current = index; // the link opens it
  });

  content.addEventListener("keydown", (event) => {
    const steps = /** @type {Record<string, () => number>} */ ({
      ArrowLeft: () => current - 1,
      ArrowRight: () => current + 1,
      ArrowUp: () => current - (current >= scroller.columns ? scroller.columns : 0),
      ArrowDown: () => current + scroller.columns,
      PageUp: () => current - scroller.columns * scroller.rows,
      PageDown: () => current + scroller.columns * scroller.rows,
      Home: () => 0,
      End: () => numbers().length - 1,
    });
    const step = steps[event.key];
    if (event.altKey || (event.target instanceof HTMLInputElement && event.key === " ")) return;
    if (step) {
      if (!event.shiftKey) anchor = Math.max(0, Math.min(numbers().length - 1, step()));
      move(step());
      if (event.shiftKey) stretch(current, event.ctrlKey);
    } else if (event.key === " ") toggle(current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  content.addEventListener("focusin", (event) => {
    const index = indexOf(event);
    if (index < 0) return;
    current = index;
    scroller.pin(index);
    dress();
  });

  root.addEventListener("pointerdown", (event) => {
    dragged = false;
    const bounds = content.getBoundingClientRect();
    if (event.button !== 0 || event.pointerType === "touch" || event.clientX > bounds.right) return;
    if (event.target instanceof HTMLInputElement) return;
    const more = event.ctrlKey || event.metaKey || event.shiftKey;
    rectangle(event, more ? chosen : new Set());
  });

  /** @param {PointerEvent} down @param {Set<number>} before */
  function rectangle(down, before) {
    const start = place(down);
    let last = down;
    let timer = 0;

    /** @param {PointerEvent} event */
    function place(event) {
      const bounds = content.getBoundingClientRect();
      return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
    }

    function draw() {
      const to = place(last);
      const area = {
        left: Math.max(0, Math.min(start.x, to.x)), right: Math.min(content.clientWidth, Math.max(start.x, to.x)),
        top: Math.max(0, Math.min(start.y, to.y)), bottom: Math.min(content.clientHeight, Math.max(start.y, to.y)),
      };
      band.hidden = false;
      Object.assign(band.style, {
        transform: `translate(${area.left}px, ${area.top}px)`,
        width: `${area.right - area.left}px`, height: `${area.bottom - area.top}px`,
      });
      const list = numbers();
      choose([...before, ...scroller.within(area).map((index) => list[index])]);
    }

    function crawl() {
      const bounds = root.getBoundingClientRect();
      const over = last.clientY < bounds.top + EDGE ? last.clientY - bounds.top - EDGE
        : last.clientY > bounds.bottom - EDGE ? last.clientY - bounds.bottom + EDGE : 0;
      if (over) {
        root.scrollTop += over / 2;
        draw();
      }
      timer = requestAnimationFrame(crawl);
    }

    /** @param {PointerEvent} event */
    function moved(event) {
      last = event;
      if (!dragged) {
        if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < START) return;
        dragged = true;
        root.setPointerCapture(down.pointerId);
        crawl();
      }
      draw();
    }

    function ended() {
      cancelAnimationFrame(timer);
      band.hidden = true;
      for (const [name, handler] of listeners) root.removeEventListener(name, /** @type {EventListener} */ (handler));
    }

    const listeners = /** @type {const} */ ([["pointermove", moved], ["pointerup", ended], ["pointercancel", ended]]);
    for (const [name, handler] of listeners) root.addEventListener(name, /** @type {EventListener} */ (handler));
  }

  return {
    get numbers() {
      return [...chosen];
    },
    get size() {
      return chosen.size;
    },
    get current() {
      return current;
    },
    /** @param {number} number */
    has: (number) => chosen.has(number),
    all: () => choose(numbers()),
    none: () => choose([]),
    move,
    dress,
    /** The list is another: what is no longer in it is no longer selected. @param {number} index where the focus is now */
    relist(index) {
      const there = new Set(numbers());
      current = anchor = Math.max(0, index);
      choose([...chosen].filter((number) => there.has(number)));
    },
  };
}
