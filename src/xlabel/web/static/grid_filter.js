// The search field and the facets: what is there, how much of it, and a click that writes the expression.

import { aborted, Refused } from "./api.js";
import { button, counted, drawn, h, shown } from "./dom.js";
import { holds, quoted, toggled } from "./expression.js";
import { STATES } from "./grid_card.js";

/** @import { App } from "./app.d.ts" */
/** @import { Listing } from "./types.d.ts" */

const PAUSE = 300; // milliseconds of typing before it is asked
const MOST = 300; // categories with a button; the others are found by typing

const EXAMPLES = [
  ["cat.jpg", "whose path contains that text"],
  ["category: dog", "with a label of that category"],
  ["count(dog) >= 2", "with two dogs or more"],
  ["suggestions", "with suggestions that nobody has decided on"],
  ["score: 0.3..0.7", "where a label has such a score"],
  ["unlabelled", "without label and suggestion"],
  ["state: reviewed", "todo, labelled, reviewed or rejected"],
  ["tag: night", "with that label of the whole image"],
  ["problem: box-outside", "where validation finds that"],
  ["split: val", "of that split"],
  ["key ~ \"train/*\"", "whose path fits a pattern"],
  ["author: ann", "with labels that she made"],
  ["date > 2026-01-31", "changed after that day"],
  ["size > 1MB", "of more bytes"],
  ["(category: dog or category: cat) and not unlabelled", "and, or, not, parentheses"],
];

/**
 * @param {App} app
 * @param {{search: (where: string, push: boolean) => Promise<void>}} grid
 */
export function createFilter(app, grid) {
  const field = h("input", {
    id: "where", type: "search", "aria-label": "Search", placeholder: "Search by name, or category: dog and score < 0.5",
    autocomplete: "off", spellcheck: "false", "aria-describedby": "where-error",
  });
  const message = h("div", { id: "where-error", class: "trouble", role: "alert", hidden: true });
  const help = button({ label: "How to search", icon: "M6 6.2a2 2 0 1 1 2.6 1.9c-.5.2-.6.5-.6 1.2M8 11.7h.01M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12", class: "quiet", onclick: explain });
  const bar = h("form", { class: "search", role: "search", onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    ask(true);
  } }, drawn("M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.5 10.5l3 3"), field, help, message);
  const facets = h("nav", { class: "facets", "aria-label": "Filters" });
  let timer = 0;

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE, false);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !field.value) field.blur();
  });

  /** @param {boolean} push whether it is an address of its own to go back from */
  async function ask(push) {
    clearTimeout(timer);
    try {
      await grid.search(field.value.trim(), push);
      trouble(null);
    } catch (error) {
      failed(error);
    }
  }

  /** @param {unknown} error */
  function failed(error) {
    if (aborted(error)) return;
    if (error instanceof Refused && error.code === "bad-expression") trouble(error);
    else if (!app.api.lost) app.dialogs.toast(/** @type {Error} */ (error).message, { kind: "error" });
  }

  /** @param {Refused | null} error */
  function trouble(error) {
    field.setAttribute("aria-invalid", String(error !== null));
    message.hidden = error === null;
    if (error === null) return;
    const [first] = error.message.split("\n");
    const at = Math.min(error.at ?? field.value.length, field.value.length);
    const place = error.at === null ? [] : [h("pre", { "aria-hidden": "true" }, shown(field.value.slice(0, at)), h("mark", {}, shown(field.value.slice(at, at + 1)) || " "), shown(field.value.slice(at + 1)))];
    message.replaceChildren(h("p", {}, shown(first)), ...place);
  }

  function explain() {
    const rows = EXAMPLES.map(([text, what]) => [h("dt", {}, h("code", {}, text)), h("dd", {}, what)]).flat();
    const body = h("div", { class: "examples" }, h("p", {}, "Write, to get the images:"), h("dl", {}, ...rows));
    app.dialogs.open({ title: "How to search", body, buttons: [], wide: true });
  }

  /** @param {string} term @param {string} [beginning] others that it takes the place of */
  function toggle(term, beginning) {
    field.value = toggled(field.value, term, beginning);
    ask(true);
  }

  /** @param {string} term @param {(string | Node)[]} name @param {number} count @param {string} said @param {string} [beginning] */
  function facet(term, name, count, said, beginning) {
    const pressed = holds(field.value, term);
    return h("button", {
      type: "button", class: "facet", "aria-pressed": pressed, title: term, "aria-label": `${said}, ${counted(count)}`, "data-term": term, "data-empty": !count,
      onclick: () => toggle(term, beginning),
    }, ...name, h("span", { class: "number" }, counted(count)));
  }

  /** @param {string} title @param {(Node | null)[]} rows */
  function group(title, rows) {
    const there = rows.filter((row) => row !== null);
    return there.length ? h("section", {}, h("h3", {}, title), ...there) : null;
  }

  /** @param {Listing} found */
  function show(found) {
    const focused = facets.contains(document.activeElement) && /** @type {HTMLElement} */ (document.activeElement).dataset.term;
    const names = Object.entries(found.categories).sort(([a, x], [b, y]) => y.labels - x.labels || (a < b ? -1 : 1));
    const groups = [
      group("State", Object.entries(STATES).map(([state, { text, icon }]) => facet(
        `state: ${state}`, [drawn(icon), h("span", { class: "word" }, text)], found.states[/** @type {keyof typeof STATES} */ (state)] ?? 0, text, "state :"))),
      group("Labels", [
        facet("suggestions", [h("span", { class: "word" }, "Has suggestions")], found.suggested, "Has suggestions"),
        facet("unlabelled", [h("span", { class: "word" }, "Unlabelled")], found.unlabelled, "Unlabelled"),
      ]),
      group("Categories", names.slice(0, MOST).map(([name, { labels }]) => facet(
        `category: ${quoted(name)}`, [swatch(app.colourOf(name)), h("bdi", { class: "word" }, shown(name))], labels, shown(name)))),
      group("Splits", Object.entries(found.splits).map(([name, count]) => facet(
        `split: ${quoted(name)}`, [h("bdi", { class: "word" }, shown(name))], count, shown(name), "split :"))),
      group("Problems", Object.entries(found.problems).map(([code, count]) => facet(
        `problem: ${quoted(code)}`, [h("bdi", { class: "word" }, shown(code))], count, shown(code)))),
    ];
    const hint = names.length || found.looked < found.total || field.value ? null : h("p", { class: "hint muted" },
      "Nothing is labelled yet. Open an image and drag to draw the first box, or have a model suggest labels: xlabel prelabel, then this page again.");
    const place = facets.scrollTop;
    facets.replaceChildren(...groups.filter((one) => one !== null), ...(hint ? [hint] : []));
    facets.scrollTop = place;
    if (focused) /** @type {HTMLElement | null} */ (facets.querySelector(`[data-term=${CSS.escape(focused)}]`))?.focus({ preventScroll: true });
  }

  return {
    bar,
    facets,
    field,
    show,
    failed,
    /** @param {string} where */
    set(where) {
      if (field.value.trim() !== where) field.value = where;
      trouble(null);
    },
  };
}

/** @param {string} colour */
export function swatch(colour) {
  const dot = h("span", { class: "swatch", "aria-hidden": "true" });
  dot.style.background = colour;
  return dot;
}
