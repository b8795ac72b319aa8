// Elements from words: all text goes in as text, never as markup.

/** @import { MakeButton, MakeElement, MakeSvg } from "./app.d.ts" */

const HIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu; // apart from what joins letters and emoji
const BUTTONS = /^(button|checkbox|color|radio|range|submit)$/;
const NUMBER = new Intl.NumberFormat("en");

/** @type {MakeElement} */
export const h = (tag, attributes, ...children) => dressed(document.createElement(tag), attributes, children);

/** @type {MakeSvg} */
export const svg = (tag, attributes, ...children) => dressed(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** @template {Element} E @param {E} element @param {Record<string, any>} [attributes] @param {any[]} [children] */
function dressed(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value") Object.assign(element, { value });
    else if (value !== false && value != null) element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
  }
  element.append(...children.filter((child) => child || child === ""));
  return element;
}

/** @type {MakeButton} */
export function button({ label, icon, text, title = text ? null : label, ...more }) {
  const named = { type: "button", "aria-label": text === label ? null : label, title, onmousedown: keepFocus, ...more };
  return h("button", named, icon && drawn(icon), text && h("span", {}, text));
}

/** A button that is an icon alone. @param {string} label @param {string} icon @param {() => void} onclick */
export const tool = (label, icon, onclick) => button({ label, icon, onclick, class: "quiet" });

/** @param {Event} event */
function keepFocus(event) {
  event.preventDefault();
  if (typing(document.activeElement)) /** @type {HTMLElement} */ (document.activeElement).blur();
}

/** @param {EventTarget | null} target */
export function typing(target) {
  return target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && !BUTTONS.test(target.type));
}

/** An icon of 16 by 16, drawn by lines in the colour of the text. @param {string} d */
export function drawn(d) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d }));
}

/** A name as it is, but what hides or turns text is made visible by its number. @param {string | null | undefined} text */
export function shown(text) {
  return (text ?? "").replace(HIDDEN, (found) => `\u2039U+${found.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}\u203a`);
}

/** @param {number} count */
export const counted = (count) => NUMBER.format(count);
