// Elements from words: all text goes in as text, never as markup.

/**
 * An element with attributes and children. `onclick` and the like are listeners, `value` a property; true
 * stands for an attribute without a value, and what is false, null or undefined is left out.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  dress(element, attributes);
  element.append(...kept(children));
  return element;
}

/**
 * The same for SVG.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  dress(element, attributes);
  element.append(...kept(children));
  return element;
}

/** @param {(Node | string | null | undefined | false)[]} children @returns {(Node | string)[]} */
function kept(children) {
  return /** @type {(Node | string)[]} */ (children.filter((child) => child || child === ""));
}

/** @param {Element} element @param {Record<string, any>} attributes */
function dress(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {any} */ (element).value = value;
    else element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
}

/**
 * A button. With an icon alone the label is its name. A click by mouse does not take the focus, so that Enter
 * and Space go on to mean what they mean for the image.
 *
 * @param {{label: string, icon?: string, text?: string, title?: string, [name: string]: any}} options
 */
export function button({ label, icon, text, title, ...more }) {
  return h(
    "button",
    { type: "button", "aria-label": text === label ? null : label, title: title ?? (text ? null : label),
      onmousedown: keepFocus, ...more },
    icon && drawn(icon),
    text && h("span", {}, text),
  );
}

/** @param {Event} event */
function keepFocus(event) {
  event.preventDefault();
  if (typing(document.activeElement)) /** @type {HTMLElement} */ (document.activeElement).blur();
}

/**
 * Whether keys are text there.
 *
 * @param {EventTarget | null} target
 */
export function typing(target) {
  if (target instanceof HTMLInputElement) return !/^(button|checkbox|color|radio|range|reset|submit)$/.test(target.type);
  return target instanceof HTMLTextAreaElement || (target instanceof HTMLElement && target.isContentEditable);
}

/**
 * An icon of 16 by 16, drawn by lines in the colour of the text.
 *
 * @param {string} path
 */
export function drawn(path) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: path }));
}

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * A name as it is, with what hides or turns text made visible: control characters as their pictures, marks of
 * direction and the like by their number.
 *
 * @param {string | null | undefined} text
 */
export function shown(text) {
  return (text ?? "").replace(HIDDEN, (found) => {
    const code = found.charCodeAt(0);
    if (code < 32) return String.fromCharCode(0x2400 + code);
    return code === 127 ? "\u2421" : `\u2039U+${code.toString(16).toUpperCase().padStart(4, "0")}\u203a`;
  });
}

const NUMBER = new Intl.NumberFormat("en");

/** @param {number} count */
export function counted(count) {
  return NUMBER.format(count);
}
