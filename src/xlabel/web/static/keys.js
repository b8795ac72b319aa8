// Which key does what: the combinations are the session's, the handlers are of whoever is on the screen.

import { h, typing } from "./dom.js";

/** @import { Keys, KeyHandler } from "./app.d.ts" */
/** @import { Session } from "./types.d.ts" */

/** The actions in the groups that the help shows; what they do and which keys they have, the session says. */
const GROUPS = /** @type {Record<string, string[]>} */ ({
  Images: ["next", "previous", "next_todo", "accept_all", "repeat", "reject_image"],
  Labels: ["category_", "accept", "reject", "cycle", "cycle_back", "deselect", "nudge_", "push_", "delete", "undo", "redo"],
  Tools: ["select", "box", "polygon", "keypoints", "oriented_box", "brush", "sam"],
  View: ["zoom_in", "zoom_out", "zoom_fit", "hide_labels", "crosshair", "darker", "brighter", "less_contrast", "more_contrast", "plain"],
  Page: ["search", "help"],
});

/** Keys of the grid that are everywhere the same, as in a file manager. */
const GRID = {
  Arrows: "go to another image; with Shift select on the way",
  Space: "select the image, or no longer",
  "Ctrl+A": "select all that fit",
  Enter: "open the image",
};

const NAMED = /** @type {Record<string, string>} */ ({
  ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193",
});
const MODIFIERS = ["Ctrl", "Alt", "Meta", "Shift"]; // in the order of the session's combinations
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
 * All keys by group, for the help. A group's name that ends with _ stands for all actions that begin so.
 *
 * @param {Pick<Session, "keys" | "says">} session
 */
export function keyHelp({ keys, says }) {
  const left = new Set(Object.keys(keys));
  /** @param {string} name */
  const row = (name) => {
    const actions = [...left].filter((action) => action === name || (name.endsWith("_") && action.startsWith(name)));
    actions.forEach((action) => left.delete(action));
    return /** @type {[string[], string]} */ ([actions.flatMap((action) => keys[action].map(told)), says[actions[0]] ?? name]);
  };
  const sections = Object.entries(GROUPS).map(([group, names]) => section(group, names.map(row)));
  const others = section("Others", [...left].map(row));
  const grid = section("Grid", Object.entries(GRID).map(([key, text]) => [[key], text]));
  return h("div", { class: "keys" }, ...sections, others, grid);
}

/** @param {string} title @param {[string[], string][]} rows */
function section(title, rows) {
  const bound = rows.filter(([keys]) => keys.length);
  if (!bound.length) return null;
  const list = bound.flatMap(([keys, text]) => [
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
  const key = event.key === " " ? "Space" : event.key;
  const letter = /^[a-z]$/i.test(key);
  const place = letter ? null : /^(?:Key([A-Z])|Digit([0-9]))$/.exec(event.code);
  return modifiers(event).flatMap((held) => {
    const found = [named(held, key)];
    if (key.length === 1) found.push(named(held.filter((name) => name !== "Shift" || letter), key)); // Shift is in "?"
    if (place) found.push(named(held, place[1] ?? place[2]));
    return found;
  });
}

/** What is held besides; the key of a Mac that stands for Ctrl is told as both. @param {KeyboardEvent} event */
function modifiers(event) {
  const held = MODIFIERS.filter((name) => event.getModifierState(name === "Ctrl" ? "Control" : name));
  return held.includes("Meta") ? [held, held.map((name) => (name === "Meta" ? "Ctrl" : name))] : [held];
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
  return { modifiers: MODIFIERS.filter((name) => parts.includes(name)), key };
}

/** @param {string[]} modifiers @param {string} key */
function named(modifiers, key) {
  return [...modifiers, key.length === 1 ? key.toLowerCase() : key].join("+");
}
