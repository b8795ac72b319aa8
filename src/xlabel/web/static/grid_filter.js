// The search field and the facets: what is there, how much of it, and a click that writes the expression.

import { Refused } from "./api.js";
import { button, counted, drawn, h, shown } from "./dom.js";
import { STATES } from "./grid_card.js";

/** @import { MakeFilter } from "./app.d.ts" */
/** @import { State } from "./types.d.ts" */

const PAUSE = 300; // milliseconds of typing before it is asked
const MOST = 300; // categories with a button; the others are found by typing
const TOKEN = /"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|[()]|[<>!=]=|[<>=:~]|[^\s()<>!=:~"']+|!/g;

/** @type {MakeFilter} */
export function createFilter(app, search, fail) {
  const field = h("input", {
    id: "where", type: "search", "aria-label": "Search", placeholder: "Search by name, or category: dog and score < 0.5",
    autocomplete: "off", spellcheck: "false", "aria-describedby": "where-error",
  });
  const message = h("div", { id: "where-error", class: "trouble", role: "alert", hidden: true });
  const bar = h("form", { class: "search", role: "search" }, drawn("M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.5 10.5l3 3"), field,
    button({ label: "Examples", icon: "M6 6.2a2 2 0 1 1 2.6 1.9c-.5.2-.6.5-.6 1.2M8 11.7h.01", class: "quiet", onclick: explain }), message);
  const facets = h("nav", { class: "facets", "aria-label": "Filters" });
  let timer = 0;

  field.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE, false);
  };
  bar.onsubmit = (event) => {
    event.preventDefault();
    ask(true);
  };

  /** @param {boolean} push whether it is an address of its own to go back from */
  async function ask(push) {
    clearTimeout(timer);
    try {
      await search(field.value.trim(), push);
      trouble(null);
    } catch (error) {
      failed(error);
    }
  }

  /** @param {unknown} error */
  function failed(error) {
    if (error instanceof Refused && error.code === "bad-expression") trouble(error);
    else fail(error);
  }

  /** @param {Refused | null} error */
  function trouble(error) {
    field.ariaInvalid = `${error !== null}`;
    message.hidden = error === null;
    if (error === null) return;
    const at = error.at ?? field.value.length;
    message.replaceChildren(h("p", {}, shown(error.message.split("\n")[0])),
      h("pre", { "aria-hidden": "true" }, shown(field.value.slice(0, at)), h("mark", {}, shown(field.value[at]) || " "), shown(field.value.slice(at + 1))));
  }

  function explain() {
    const rows = app.session.examples.flatMap(([text, says]) => [h("dt", {}, h("code", {}, text)), h("dd", {}, says)]);
    app.dialogs.open({ title: "How to search", body: h("dl", { class: "examples" }, ...rows), buttons: [], wide: true });
  }

  /** @param {string} term @param {Node} sign @param {string} word @param {number} count @param {string} [beginning] of terms that it takes the place of */
  function facet(term, sign, word, count, beginning) {
    return h("button", {
      type: "button", class: "facet", "aria-pressed": holds(field.value, term), title: term, "data-term": term, "data-empty": !count,
      "aria-label": `${word}, ${counted(count)}`,
      onclick: () => {
        field.value = toggled(field.value, term, beginning);
        ask(true);
      },
    }, sign, h("bdi", { class: "word" }, word), h("span", { class: "number" }, counted(count)));
  }

  /** @param {string} title @param {Node[]} rows */
  const group = (title, rows) => (rows.length ? h("section", {}, h("h3", {}, title), ...rows) : "");

  /** @param {string} name @param {Record<string, number>} counts @param {boolean} [one] of which an image has but one */
  const rows = (name, counts, one) => Object.entries(counts).map(([value, count]) =>
    facet(`${name}: ${quoted(value)}`, h("span"), shown(value), count, one ? `${name} :` : undefined));

  return {
    bar,
    facets,
    field,
    failed,
    set(where) {
      if (field.value.trim() !== where) field.value = where;
      trouble(null);
    },
    show(found) {
      const { term } = facets.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset : {};
      const place = facets.scrollTop;
      const names = Object.entries(found.categories).sort(([a, x], [b, y]) => y.labels - x.labels || (a < b ? -1 : 1));
      const states = /** @type {[State, number][]} */ (Object.entries(found.states));
      facets.replaceChildren(
        group("State", states.map(([state, count]) => facet(`state: ${state}`, drawn(STATES[state].icon), STATES[state].text, count, "state :"))),
        group("Labels", [facet("suggestions", h("span"), "Has suggestions", found.suggested), facet("unlabelled", h("span"), "Unlabelled", found.unlabelled)]),
        group("Categories", names.slice(0, MOST).map(([name, { labels }]) => facet(`category: ${quoted(name)}`, swatch(app.colourOf(name)), shown(name), labels))),
        group("Splits", rows("split", found.splits, true)),
        group("Problems", rows("problem", found.problems)),
        names.length || found.looked < found.total || field.value ? "" : h("p", { class: "hint muted" },
          "Nothing is labelled yet. Open an image and drag to draw the first box; or have a model suggest labels, by xlabel prelabel."),
      );
      facets.scrollTop = place;
      if (term) /** @type {HTMLElement | null} */ (facets.querySelector(`[data-term="${CSS.escape(term)}"]`))?.focus();
    },
  };
}

/** @param {string} colour */
function swatch(colour) {
  const dot = h("span", { class: "swatch" });
  dot.style.background = colour;
  return dot;
}

/** A value as an expression writes it. @param {string} text */
function quoted(text) {
  return /^[\p{L}\p{N}_.\-/]+$/u.test(text) && !/^(and|or|not)$/i.test(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** The terms of an expression that all must hold; one that is joined by `or` is one term. @param {string} text */
function terms(text) {
  /** @type {string[]} */
  const found = [];
  let depth = 0;
  let joined = false; // the next token belongs to the term before
  let end = 0;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const operator = /^[<>!=:~]/.test(token);
    const call = token === "(" && index === end;
    if (!depth && /^or$/i.test(token)) return [`(${text.trim()})`];
    if (depth || joined || operator || call || token === ")") found.push((found.pop() ?? "") + text.slice(end, index) + token);
    else if (!/^and$/i.test(token)) found.push(token);
    depth += token === "(" ? 1 : token === ")" ? -1 : 0;
    joined = operator || /^not$/i.test(token);
    end = index + token.length;
  }
  return found;
}

/** @param {string} text @param {string} term */
function holds(text, term) {
  return terms(text).some((one) => plain(one) === plain(term));
}

/** The text with the term, in place of those that begin alike; or without it, where it has it. @param {string} text @param {string} term @param {string} [beginning] */
function toggled(text, term, beginning = "\n") {
  const kept = terms(text).filter((one) => plain(one) !== plain(term) && !plain(one).startsWith(beginning));
  return [...kept, ...(holds(text, term) ? [] : [term])].join(" ");
}

/** A term in one form. @param {string} term */
function plain(term) {
  const tokens = term.match(TOKEN) ?? [];
  return tokens.map((token) => token.replace(/^==?$/, ":").replace(/^(["'])(.*)\1$/s, (_, __, inner) => quoted(inner.replace(/\\(.)/gs, "$1")))).join(" ");
}
