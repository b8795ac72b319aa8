// A list of any length on the screen: only the cells in sight exist, and are used again as they leave it.

/** @import { Cell } from "./grid_card.js" */

const GAP = 12;
const CAPTION = 28;
const OVER = 1; // rows above and below the sight that exist too
const AHEAD = 2; // screens' worth of rows that are asked for beyond

/**
 * @typedef {object} Scrolled
 * @property {() => number} length
 * @property {() => Cell} make
 * @property {(cell: Cell, index: number) => void} fill
 * @property {(from: number, to: number, aheadTo: number, aheadFrom: number) => void} seen indices in sight, and around
 */

/** @param {HTMLElement} root @param {Scrolled} of */
export function createScroller(root, of) {
  const content = document.createElement("div");
  content.className = "content";
  content.setAttribute("role", "list");
  content.setAttribute("aria-label", "Images");
  root.append(content);
  /** @type {Map<number, Cell>} */
  const cells = new Map();
  /** @type {Cell[]} */
  const spare = [];
  let wish = 200; // pixels that a card is wide, or a little more
  let columns = 1;
  let width = wish; // of a card
  let row = wish; // height of a row
  let top = 0; // where the list is scrolled to
  let pinned = -1; // the index that has the focus: its cell stays
  let frame = 0;

  function measure() {
    const room = root.clientWidth - GAP;
    columns = Math.max(1, Math.floor(room / (wish + GAP)));
    width = Math.floor(room / columns) - GAP;
    row = Math.round(width * 0.75) + CAPTION + GAP;
    content.style.height = `${Math.ceil(of.length() / columns) * row + GAP}px`;
  }

  function render() {
    frame = 0;
    if (!root.clientHeight) return;
    top = root.scrollTop;
    const first = Math.max(0, Math.floor(top / row) * columns);
    const last = Math.min(of.length(), (Math.floor((top + root.clientHeight) / row) + 1) * columns);
    const from = Math.max(0, first - OVER * columns);
    const to = Math.min(of.length(), last + OVER * columns);
    for (const [index, cell] of cells)
      if ((index < from || index >= to) && index !== pinned) release(index, cell);
    for (let index = from; index < to; index++) place(index);
    if (pinned >= 0 && pinned < of.length()) place(pinned);
    const ahead = (last - first) * AHEAD;
    of.seen(first, last, Math.min(of.length(), last + ahead), Math.max(0, first - ahead / 2));
  }

  /** @param {number} index @param {Cell} cell */
  function release(index, cell) {
    cells.delete(index);
    spare.push(cell);
    cell.root.hidden = true;
  }

  /** @param {number} index */
  function place(index) {
    let cell = cells.get(index);
    if (!cell) {
      cell = spare.pop() ?? of.make();
      cells.set(index, cell);
      if (!cell.root.isConnected) content.append(cell.root);
      cell.root.hidden = false;
    }
    const style = cell.root.style;
    style.width = `${width}px`;
    style.height = `${row - GAP}px`;
    style.transform = `translate(${GAP + (index % columns) * (width + GAP)}px, ${GAP + Math.floor(index / columns) * row}px)`;
    of.fill(cell, index);
  }

  function soon() {
    frame ||= requestAnimationFrame(render);
  }

  root.addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(() => {
    if (!root.clientHeight) return;
    keepingPlace(measure);
    soon();
  }).observe(root);

  /** Change what decides where things are, and leave what is at the top there. @param {() => void} change */
  function keepingPlace(change) {
    const index = Math.floor(top / row) * columns;
    const into = (top % row) / row;
    change();
    root.scrollTop = (Math.floor(index / columns) + into) * row;
  }

  return {
    root,
    content,
    get columns() {
      return columns;
    },
    get rows() {
      return Math.max(1, Math.floor(root.clientHeight / row));
    },
    /** The index at the top, which stays there when the list becomes another: give where it is then. */
    get first() {
      return Math.floor(top / row) * columns;
    },
    soon,
    /** The list is another one. @param {number} [stays] the index that what was at the top has now */
    reset(stays) {
      const into = top % row;
      const was = row;
      pinned = -1;
      measure();
      root.scrollTop = stays === undefined ? 0 : Math.floor(stays / columns) * row + (into * row) / was;
      render();
    },
    /** @param {number} pixels */
    resize(pixels) {
      wish = pixels;
      keepingPlace(measure);
      render();
    },
    /** Have the cell of an index, and keep it. @param {number} index @returns {Cell | undefined} */
    pin(index) {
      const before = cells.get(pinned);
      pinned = index;
      if (before) soon();
      place(index);
      return cells.get(index);
    },
    /** @param {number} index */
    reveal(index) {
      const at = Math.floor(index / columns) * row;
      if (at < root.scrollTop) root.scrollTop = at;
      else if (at + row + GAP > root.scrollTop + root.clientHeight) root.scrollTop = at + row + GAP - root.clientHeight;
      render();
    },
    /** Back where it was, after it was hidden. */
    restore() {
      measure();
      root.scrollTop = top;
      render();
    },
    /** @param {(cell: Cell, index: number) => void} handler */
    each(handler) {
      for (const [index, cell] of cells) handler(cell, index);
    },
    /** The indices of cells that a rectangle touches, in pixels of the content. @param {{left: number, top: number, right: number, bottom: number}} area */
    within({ left, top, right, bottom }) {
      const found = [];
      const lastColumn = Math.min(columns - 1, Math.floor((right - GAP) / (width + GAP)));
      for (let line = Math.max(0, Math.floor((top - GAP) / row)); line * row + GAP < bottom; line++) {
        if (line * row + row < top) continue;
        for (let column = Math.max(0, Math.ceil((left - GAP - width) / (width + GAP))); column <= lastColumn; column++) {
          const index = line * columns + column;
          if (index < of.length()) found.push(index);
        }
        if (line * columns > of.length()) break;
      }
      return found;
    },
  };
}
