// The search field and the facets, of which a click writes the expression.

import { Refused } from "./api.js";
import { counted, drawn, h, shown, tool } from "./dom.js";
import { STATES } from "./grid_card.js";

/** @import { MakeFilter } from "./app.d.ts" */
/** @import { State } from "./types.d.ts" */

const PAUSE = 300; // milliseconds of typing before it is asked
const MOST = 300; // categories with a button; the others are found by typing
const TERM = /(?:not\s+)*(?:\((?:[^()"]|"(?:\\.|[^"\\])*"|\([^()]*\))*\)|(?:"(?:\\.|[^"\\])*"|[^\s()<>=!:~"]+(?:\([^()]*\))?)(?:\s*[<>=!:~]=?\s*(?:"(?:\\.|[^"\\])*"|[^\s()]+))?)/gi;

/** @type {MakeFilter} */
export function createFilter(app, search, fail) {
  const field = h("input", {
    id: "where", type: "search", "aria-label": "Search", placeholder: "cat.jpg, or category: dog and score < 0.5",
    autocomplete: "off", spellcheck: "false", "aria-describedby": "where-error",
  });
  const message = h("div", { id: "where-error", class: "trouble", role: "alert", hidden: true });
  const bar = h("form", { class: "search", role: "search" }, drawn("M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.5 10.5l3 3"), field,
    tool("Examples", "M6 6.2a2 2 0 1 1 2.6 1.9c-.5.2-.6.5-.6 1.2M8 11.7h.01", explain), message);
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
      type: "button", class: "facet", "aria-pressed": terms(field.value).includes(term), title: term, "data-term": term, "data-empty": !count,
      "aria-label": `${word}, ${counted(count)}`,
      onclick: () => {
        field.value = toggled(field.value.trim(), term, beginning);
        ask(true);
      },
    }, sign, h("bdi", { class: "word" }, word), h("span", { class: "number" }, counted(count)));
  }

  /** @param {string} title @param {Node[]} rows */
  const group = (title, rows) => (rows.length ? h("section", {}, h("h3", {}, title), ...rows) : "");

  /** @param {string} name @param {Record<string, number>} counts @param {boolean} [one] of which an image has but one */
  const rows = (name, counts, one) => Object.entries(counts).map(([value, count]) =>
    facet(`${name}: ${quoted(value)}`, h("span"), shown(value), count, one ? `${name}: ` : undefined));

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
        group("State", states.map(([state, count]) => facet(`state: ${state}`, drawn(STATES[state].icon), STATES[state].text, count, "state: "))),
        group("Labels", [facet("suggestions", h("span"), "Has suggestions", found.suggested), facet("unlabelled", h("span"), "Unlabelled", found.unlabelled)]),
        group("Categories", names.slice(0, MOST).map(([name, { labels }]) => facet(`category: ${quoted(name)}`, swatch(app.colourOf(name)), shown(name), labels))),
        group("Splits", rows("split", found.splits, true)),
        group("Problems", rows("problem", found.problems)),
        names.length || found.looked < found.total || field.value ? "" : h("p", { class: "muted" },
          "Nothing is labelled yet. Open an image, press B and drag to draw a box; or have a model suggest labels, by xlabel prelabel."),
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

/** The terms of an expression that all must hold; what is joined by `or` is one term. @param {string} text */
function terms(text) {
  const found = text.match(TERM) ?? [];
  return found.some((one) => /^or$/i.test(one)) ? [`(${text})`] : found.filter((one) => !/^and$/i.test(one)).map(plain);
}

/** A term as the facets write it. @param {string} term */
const plain = (term) => term.replace(/^([^\s"()<>!=:~]+)\s*(?:==?|:)\s*/, "$1: ");

/** The text with the term, in place of those that begin alike; or without it, where it has it. @param {string} text @param {string} term @param {string} [beginning] */
function toggled(text, term, beginning = "\n") {
  const all = terms(text);
  const kept = all.filter((one) => one !== term && !one.startsWith(beginning));
  return [...kept, ...(all.includes(term) ? [] : [term])].join(" ");
}
