// A list of any length on the screen, and what is selected in it: only the cards in sight exist.

import { h } from "./dom.js";

/** @import { Cell, MakeList } from "./app.d.ts" */

const GAP = 12;
const CAPTION = 28;
const START = 5; // pixels that a press moves before it is a rectangle
const EDGE = 40; // pixels from the edge where a rectangle scrolls

/** @type {MakeList} */
export function createList(root, of) {
  const band = h("div", { class: "band", hidden: true });
  const content = h("div", { class: "content", role: "list", "aria-label": "Images" }, band);
  root.append(content);
  /** @type {Map<number, Cell>} */
  const cells = new Map();
  /** @type {Cell[]} */
  const spare = [];
  let wish = 200; // pixels that a card is wide, or a little more
  let columns = 1;
  let width = wish; // of a card
  let row = wish; // height of a row
  let top = 0;
  let frame = 0;
  /** @type {Set<number>} */
  let chosen = new Set();
  let current = 0; // the index that has the focus, and keys start from: its card stays
  let anchor = 0;
  let dragged = false;

  function measure() {
    const room = root.clientWidth - GAP;
    columns = Math.max(1, Math.floor(room / (wish + GAP)));
    width = Math.floor(room / columns) - GAP;
    row = Math.round(width * 0.75) + CAPTION + GAP;
    content.style.height = `${Math.ceil(of.numbers().length / columns) * row + GAP}px`;
  }

  function render() {
    frame = 0;
    if (!root.clientHeight) return;
    const { length } = of.numbers();
    top = root.scrollTop;
    const first = Math.floor(top / row) * columns;
    const last = Math.min(length, (Math.floor((top + root.clientHeight) / row) + 1) * columns);
    const from = Math.max(0, first - columns);
    const to = Math.min(length, last + columns);
    for (const [index, cell] of cells) {
      if ((index >= from && index < to) || (index === current && index < length)) continue;
      cells.delete(index);
      spare.push(cell);
      cell.root.remove();
    }
    for (let index = from; index < to; index++) place(index);
    if (cells.has(current)) place(current);
    arrange();
    of.seen(first, last);
  }

  /** @param {number} index */
  function place(index) {
    let cell = cells.get(index);
    if (!cell) {
      cell = spare.pop() ?? of.make();
      cells.set(index, cell);
    }
    const { style } = cell.root;
    style.width = `${width}px`;
    style.height = `${row - GAP}px`;
    style.transform = `translate(${GAP + (index % columns) * (width + GAP)}px, ${GAP + Math.floor(index / columns) * row}px)`;
    of.fill(cell, index);
    dress(cell, index);
    return cell;
  }

  /** Have the cards in the page in their order, which those go by who do not see it; what is there is not moved. */
  function arrange() {
    let next = band.nextSibling;
    for (const index of [...cells.keys()].sort((a, b) => a - b)) {
      const root = /** @type {HTMLElement} */ (cells.get(index)?.root);
      if (root === next) next = next.nextSibling;
      else content.insertBefore(root, next);
    }
  }

  /** @param {Cell} cell @param {number} index */
  const dress = (cell, index) => cell.dress(chosen.has(of.numbers()[index]), index === current);

  /** Measure anew, and leave what is at the top there. @param {number} [index] what shall be at the top instead */
  function refit(index = Math.floor(top / row) * columns) {
    const into = (top % row) / row;
    measure();
    root.scrollTop = (Math.floor(index / columns) + into) * row;
    render();
  }

  /** @param {Iterable<number>} next */
  function choose(next) {
    chosen = new Set(next);
    cells.forEach(dress);
    of.selected(chosen.size);
  }

  /** @param {number} index */
  function toggle(index) {
    const number = of.numbers()[index];
    anchor = current = index;
    choose(chosen.delete(number) ? chosen : chosen.add(number));
  }

  /** All from the anchor to here. @param {number} index @param {boolean} more besides what is selected */
  function stretch(index, more) {
    const between = of.numbers().slice(Math.min(anchor, index), Math.max(anchor, index) + 1);
    choose(more ? [...chosen, ...between] : between);
  }

  /** @param {number} index */
  function move(index) {
    if (!of.numbers().length) return;
    current = Math.max(0, Math.min(of.numbers().length - 1, index));
    const at = Math.floor(current / columns) * row;
    root.scrollTop = Math.min(at, Math.max(root.scrollTop, at + row + GAP - root.clientHeight));
    focus();
  }

  function focus() {
    if (current < of.numbers().length) place(current);
    render();
    cells.get(current)?.link.focus({ preventScroll: true });
  }

  /** @param {Event} event */
  function indexOf({ target }) {
    for (const [index, cell] of cells) if (cell.root.contains(/** @type {Node} */ (target))) return index;
    return -1;
  }

  content.onclick = (event) => {
    const index = indexOf(event);
    const more = event.ctrlKey || event.metaKey;
    if (dragged) event.preventDefault();
    else if (index < 0) more || choose([]);
    else if (event.target instanceof HTMLInputElement) event.shiftKey ? stretch(index, true) : toggle(index);
    else if (event.shiftKey || more) {
      event.preventDefault();
      event.shiftKey ? stretch(index, more) : toggle(index);
      move(index);
    }
  };

  content.onkeydown = (event) => {
    const up = current < columns ? 0 : columns;
    const steps = /** @type {Record<string, number>} */ ({
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -up, ArrowDown: columns, Home: -Infinity, End: Infinity,
    });
    if (event.altKey || (event.key === " " && event.target instanceof HTMLInputElement)) return;
    if (event.key in steps) {
      move(current + steps[event.key]);
      event.shiftKey ? stretch(current, event.ctrlKey) : (anchor = current);
    } else if (event.key === " ") toggle(current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  content.addEventListener("focusin", (event) => {
    current = Math.max(0, indexOf(event));
    cells.forEach(dress);
  });

  root.onpointerdown = (down) => {
    dragged = false;
    if (down.button || down.pointerType === "touch" || down.target instanceof HTMLInputElement || down.offsetX > root.clientWidth) return;
    const before = down.ctrlKey || down.metaKey || down.shiftKey ? chosen : [];
    const start = place(down);
    let last = down;
    let timer = 0;

    /** @param {PointerEvent} event */
    function place(event) {
      const { left, top } = content.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    }

    function draw() {
      const to = place(last);
      const [left, right] = [Math.min(start.x, to.x), Math.max(start.x, to.x)];
      const [above, below] = [Math.min(start.y, to.y), Math.max(start.y, to.y)];
      Object.assign(band.style, { left: `${left}px`, top: `${above}px`, width: `${right - left}px`, height: `${below - above}px` });
      const found = [...before];
      const lines = Math.ceil(of.numbers().length / columns);
      for (let line = Math.max(0, Math.floor((above - GAP) / row)); line < lines && line * row + GAP < below; line++)
        for (let column = 0; column < columns; column++) {
          const x = GAP + column * (width + GAP);
          if (x < right && x + width > left && line * row + row > above) found.push(of.numbers()[line * columns + column]);
        }
      choose(found.filter((number) => number !== undefined));
    }

    function crawl() {
      const bounds = root.getBoundingClientRect();
      const over = Math.min(0, last.clientY - bounds.top - EDGE) || Math.max(0, last.clientY - bounds.bottom + EDGE);
      root.scrollTop += over / 2;
      if (over) draw();
      timer = requestAnimationFrame(crawl);
    }

    root.onpointermove = (event) => {
      last = event;
      if (!dragged && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < START) return;
      if (!dragged) {
        dragged = true;
        root.setPointerCapture(down.pointerId);
        band.hidden = false;
        crawl();
      }
      draw();
    };
    root.onpointerup = root.onpointercancel = () => {
      cancelAnimationFrame(timer);
      setTimeout(() => (dragged = false)); // after the click that belongs to it
      band.hidden = true;
      root.onpointermove = root.onpointerup = root.onpointercancel = null;
    };
  };

  root.addEventListener("scroll", () => (frame ||= requestAnimationFrame(render)), { passive: true });
  new ResizeObserver(() => root.clientHeight && refit()).observe(root);

  return {
    get chosen() {
      return [...chosen];
    },
    get current() {
      return current;
    },
    choose,
    move,
    refit,
    resize(pixels) {
      wish = pixels;
      refit();
    },
    reset(now) {
      const there = new Set(of.numbers());
      const first = now(Math.floor(top / row) * columns);
      const focused = content.contains(document.activeElement);
      current = anchor = now(current);
      if (!first) top = 0;
      refit(first);
      if (focused) focus();
      choose([...chosen].filter((number) => there.has(number)));
    },
    each: (handler) => cells.forEach(handler),
  };
}
