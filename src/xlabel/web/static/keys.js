// Which key does what: the combinations are the session's, the handlers are of whoever is on the screen.

import { h, typing } from "./dom.js";

/** @import { Keys, KeyHandler } from "./app.d.ts" */

/**
 * What the actions are called, in the groups that the help shows. Which keys they have, the session says.
 *
 * @type {Record<string, Record<string, string>>}
 */
const GROUPS = {
  Images: {
    next: "Next image",
    previous: "Previous image",
    next_todo: "Next unlabelled or undecided image",
    grid: "Back to the grid",
    accept_all: "Accept all suggestions, and on to the next",
    repeat: "Repeat the labels of the image before",
  },
  Labels: {
    category: "Category of the selected label, or of the next one",
    accept: "Accept the suggestion",
    reject: "Reject the suggestion",
    cycle: "Select the next label",
    deselect: "Select nothing",
    delete: "Delete the selected label",
    nudge: "Move the selected label by a pixel; with Shift by ten",
    undo: "Undo",
    redo: "Redo",
  },
  Tools: {
    select: "Select and move",
    box: "Box",
    polygon: "Polygon",
    keypoints: "Keypoints",
    oriented_box: "Oriented box",
    brush: "Brush for masks",
    sam: "Smart select",
  },
  View: {
    zoom_in: "Zoom in",
    zoom_out: "Zoom out",
    zoom_fit: "The whole image",
    hide_labels: "Hide and show labels",
    crosshair: "Crosshair",
    help: "This list",
  },
};

/** Keys of the grid that are everywhere the same, as in a file manager. */
const GRID = {
  Arrows: "Move; with Shift select on the way",
  Space: "Select, or no longer",
  "Ctrl+A": "Select all that fit",
  Enter: "Open",
  Escape: "Select nothing",
  "/": "Search",
};

const NAMED = /** @type {Record<string, string>} */ ({
  ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193", " ": "Space",
});
const PRESSES = new Set(["Enter", " "]); // what presses a button that has the focus

/** @typedef {{combo: string, index: number, handler: KeyHandler, when: () => boolean}} Binding */

/**
 * @param {Record<string, string[]>} table action -> combinations
 * @returns {Keys}
 */
export function createKeys(table) {
  /** @type {Binding[]} */
  let bindings = [];

  addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || elsewhere(event)) return;
    for (const combo of combos(event))
      for (const binding of bindings) {
        if (binding.combo !== combo || !binding.when()) continue;
        if (binding.handler(event, { combo, index: binding.index }) === false) continue;
        event.preventDefault();
        return;
      }
  });

  /** @param {string[]} combos @param {KeyHandler} handler @param {{when?: () => boolean}} [options] */
  function bind(combos, handler, { when = () => true } = {}) {
    const mine = combos.map((combo, index) => ({ combo: normal(combo), index, handler, when }));
    bindings = [...mine, ...bindings];
    return () => {
      bindings = bindings.filter((binding) => !mine.includes(binding));
    };
  }

  return {
    on: (action, handler, options) => bind(table[action] ?? [], handler, options),
    onKey: (combo, handler, options) => bind([combo], handler, options),
    text: (action) => (table[action]?.length ? told(table[action][0]) : ""),
  };
}

/**
 * All keys by group, for the help.
 *
 * @param {Record<string, string[]>} table
 */
export function keyHelp(table) {
  const known = new Set(Object.values(GROUPS).flatMap(Object.keys));
  const others = Object.keys(table).filter((action) => !known.has(action));
  const groups = { ...GROUPS, Others: Object.fromEntries(others.map((action) => [action, action.replaceAll("_", " ")])) };
  const columns = Object.entries(groups).map(([group, actions]) => section(group, Object.entries(actions)
    .filter(([action]) => table[action]?.length)
    .map(([action, text]) => [table[action].map(told), text])));
  columns.push(section("Grid", Object.entries(GRID).map(([key, text]) => [[key], text])));
  return h("div", { class: "keys" }, ...columns);
}

/** @param {string} title @param {[string[], string][]} rows */
function section(title, rows) {
  if (!rows.length) return null;
  const list = rows.flatMap(([keys, text]) => [
    h("dt", {}, ...several(keys).map((key) => h("kbd", {}, key))), h("dd", {}, text),
  ]);
  return h("section", {}, h("h3", {}, title), h("dl", {}, ...list));
}

/** Nine digits are told as a range. @param {string[]} keys */
function several(keys) {
  return keys.length > 4 ? [`${keys[0]} \u2013 ${keys.at(-1)}`] : keys;
}

/** A combination as people read it. @param {string} combo */
function told(combo) {
  const { modifiers, key } = parted(combo);
  const name = NAMED[key] ?? (key.length === 1 ? key.toUpperCase() : key);
  return [...modifiers, name].join("+");
}

/** Whether the key is text, presses a button, or is for a dialog. @param {KeyboardEvent} event */
function elsewhere(event) {
  const target = /** @type {Element | null} */ (event.target instanceof Element ? event.target : null);
  if (document.querySelector("dialog[open]")) return true;
  if (typing(target)) return true;
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (target?.closest("select, input, [role=menu], [role=listbox]")) return true;
  return PRESSES.has(event.key) && target !== null && target.closest("button, a[href], summary") !== null;
}

/**
 * What an event may be called: by the letter it writes, else by the place of the key, for keyboards of other
 * scripts and for digits that need Shift.
 *
 * @param {KeyboardEvent} event
 */
function combos(event) {
  const modifiers = [];
  if (event.ctrlKey || event.metaKey) modifiers.push("Ctrl");
  if (event.altKey) modifiers.push("Alt");
  const shift = event.shiftKey ? ["Shift"] : [];
  const found = [named([...modifiers, ...shift], event.key)];
  const letter = /^[a-z]$/i.test(event.key);
  if (event.key.length === 1 && !letter) found.push(named(modifiers, event.key)); // "?" is one with its Shift
  const place = /^(?:Key([A-Z])|Digit([0-9])|Numpad([0-9]))$/.exec(event.code);
  if (place && !letter) found.push(named([...modifiers, ...shift], place[1] ?? place[2] ?? place[3]));
  return found;
}

/** @param {string} combo */
function normal(combo) {
  const { modifiers, key } = parted(combo);
  return named(modifiers, key);
}

/** @param {string} combo */
function parted(combo) {
  const parts = combo.split(/\+(?=.)/); // a last plus is the key itself
  const key = parts.pop() ?? "";
  return { modifiers: ["Ctrl", "Alt", "Shift"].filter((name) => parts.includes(name)), key: key === "Space" ? " " : key };
}

/** @param {string[]} modifiers @param {string} key */
function named(modifiers, key) {
  return [...modifiers, key.length === 1 ? key.toLowerCase() : key].join("+");
}
