// Which key does what: the combinations are the session's, the handlers are of whoever is on the screen.

import { h, typing } from "./dom.js";

/** @import { Bind, Binding, Keys } from "./app.d.ts" */
/** @import { Session } from "./types.d.ts" */

const MODIFIERS = ["Ctrl", "Alt", "Meta", "Shift"]; // in the order of the session's combinations

/** @param {Session["keys"]} table @returns {Keys} */
export function createKeys(table) {
  /** @type {Binding[]} */
  let bindings = [];

  addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || elsewhere(event)) return;
    for (const combo of combos(event))
      for (const binding of bindings) {
        if (binding.combo !== combo || !binding.when() || binding.handler(event) === false) continue;
        return event.preventDefault();
      }
  });

  /** @type {Bind} */
  function bind(combos, handler, { when = () => true } = {}) {
    const mine = combos.map((combo) => ({ combo, handler, when }));
    bindings = [...mine, ...bindings];
    return () => {
      bindings = bindings.filter((binding) => !mine.includes(binding));
    };
  }

  return {
    on: (action, handler, options) => bind(table[action] ?? [], handler, options),
    onKey: (combo, handler, options) => bind([combo], handler, options),
    text: (action) => (table[action]?.[0] ?? "").replace(/\w$/, (key) => key.toUpperCase()),
  };
}

/** @param {Session["help"]} help */
export function keyHelp(help) {
  const groups = Object.entries(help).map(([group, rows]) => h("section", {}, h("h3", {}, group),
    h("dl", {}, ...rows.map(([keys, says]) => h("div", {}, h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, says))))));
  return h("div", {}, h("div", { class: "keys" }, ...groups));
}

/** Whether the key is text, presses a button, or is for a dialog. @param {KeyboardEvent} event */
function elsewhere(event) {
  const target = /** @type {Element} */ (event.target);
  if (document.querySelector("dialog[open]") || typing(target)) return true;
  if (event.ctrlKey || event.metaKey || event.altKey || !target.closest) return false;
  return Boolean(target.closest("select, input") || (/^(Enter| )$/.test(event.key) && target.closest("button, a[href], summary")));
}

/**
 * What an event may be called: by the letter it writes, else by the place of the key, for keyboards of other
 * scripts and for digits that need Shift. The key of a Mac that stands for Ctrl is told as both.
 *
 * @param {KeyboardEvent} event
 */
function combos(event) {
  const key = event.key === " " ? "Space" : event.key;
  const letter = /^[a-z]$/i.test(key);
  const [, place] = (!letter && /^(?:Key|Digit)(.)$/.exec(event.code)) || [];
  const held = MODIFIERS.filter((name) => event.getModifierState(name === "Ctrl" ? "Control" : name));
  const both = held.includes("Meta") ? [held, held.map((name) => (name === "Meta" ? "Ctrl" : name))] : [held];
  return both.flatMap((held) => [
    named(held, key),
    named(letter || key.length > 1 ? held : held.filter((name) => name !== "Shift"), key), // Shift is in "?" already
    ...(place ? [named(held, place)] : []),
  ]);
}

/** @param {string[]} modifiers @param {string} key */
function named(modifiers, key) {
  return [...modifiers, key.length === 1 ? key.toLowerCase() : key].join("+");
}
