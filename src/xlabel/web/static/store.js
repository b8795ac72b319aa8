// What the page knows: images, which of them are shown in which order, categories, and who works here.

import { aborted } from "./api.js";

/** @import { Card, Category, Label, Listing } from "./types.d.ts" */
/** @import { Asked, MakeCards, MakeCategories, MakeListing, MakePerson } from "./app.d.ts" */

const BATCH = 48; // cards of one request
const AT_ONCE = 2; // requests
const KEPT = 4000;
const DRAWN = 200; // labels of a card
const COLOURS = "#ff5252 #409cff #4cd964 #ffcc00 #bf5af2 #ff9500 #00d2d3 #ff69b4".split(" "); // until the server has one

/** @type {MakeCards} */
export function createCards(api, fail) {
  const known = new Map();
  const numbers = new Map();
  const handlers = new Set();
  const underway = /** @type {Map<AbortController, number[]>} */ (new Map());
  /** @type {number[]} */
  let wanted = [];

  /** @param {Card} card */
  const put = (card) => {
    known.delete(card.number);
    known.set(card.number, card);
    numbers.set(card.key, card.number);
    if (known.size > KEPT) known.delete(known.keys().next().value);
    for (const handler of handlers) handler(card);
  };

  const more = () => {
    const coming = new Set([...underway.values()].flat());
    const missing = wanted.filter((number) => !known.has(number) && !coming.has(number));
    while (missing.length && underway.size < AT_ONCE) ask(missing.splice(0, BATCH));
  };

  /** @param {number[]} asked */
  const ask = async (asked) => {
    const control = new AbortController();
    underway.set(control, asked);
    try {
      (await api.cards(asked, control.signal)).forEach(put);
    } catch (error) {
      if (aborted(error)) return;
      wanted = wanted.filter((number) => !asked.includes(number));
      if (!api.lost) fail(error);
    } finally {
      underway.delete(control);
      more();
    }
  };

  return {
    get: (number) => known.get(number),
    number: async (key) => numbers.get(key) ?? api.number(key),
    want(next) {
      wanted = next;
      for (const [control, asked] of underway)
        if (!asked.some((number) => next.includes(number))) control.abort();
      more();
    },
    async all(asked) {
      const missing = asked.filter((number) => !known.has(number));
      for (let from = 0; from < missing.length; from += BATCH)
        (await api.cards(missing.slice(from, from + BATCH))).forEach(put);
      return asked.flatMap((number) => known.get(number) ?? []);
    },
    changed({ number, key, width, height, version, state, split, readonly, labels }) {
      const tags = labels.filter((label) => !placed(label) && label.category).map((label) => label.category ?? "");
      const more = Math.max(0, labels.length - DRAWN);
      put({ number, key, width, height, version, state, split, readonly, tags, more, labels: labels.slice(0, DRAWN), error: known.get(number)?.error ?? null });
    },
    forget: (changed) => changed.forEach((number) => known.delete(number)),
    clear() {
      known.clear();
      numbers.clear();
    },
    on: (handler) => void handlers.add(handler),
  };
}

/** @param {Label} label */
export function placed({ bbox, polygons, mask, keypoints, shape }) {
  return Boolean(bbox || polygons?.length || mask || keypoints?.length || shape);
}

/** @type {MakeListing} */
export function createListing(api, cards) {
  /** @type {Listing} */
  let found = {
    numbers: [], marks: "", total: 0, looked: 0, suggested: 0, unlabelled: 0, categories: {}, problems: {}, splits: {},
    states: { todo: 0, labelled: 0, reviewed: 0, rejected: 0 },
  };
  /** @type {Asked} */
  let asked = { where: "", order: "name", reverse: false };
  /** @type {Map<number, number> | null} */
  let places = null;

  /** @param {number} number */
  const place = (number) => {
    places ??= new Map(found.numbers.map((one, index) => [one, index]));
    return places.get(number) ?? -1;
  };

  /** Where to go on; from what is not listed to the one behind it by number. @param {number} number */
  const after = (number) => {
    const index = place(number);
    if (index >= 0) return index + 1;
    const behind = found.numbers.findIndex((one) => one > number);
    return behind < 0 ? found.numbers.length : behind;
  };

  return {
    get numbers() {
      return found.numbers;
    },
    get found() {
      return found;
    },
    get asked() {
      return asked;
    },
    async ask(next, signal) {
      const answer = await api.query(next, signal);
      signal?.throwIfAborted();
      [found, asked, places] = [answer, next, null];
    },
    position: (number) => ({ index: place(number), of: found.numbers.length }),
    next: (number) => found.numbers[after(number)] ?? null,
    previous: (number) => found.numbers[after(number) - (place(number) < 0 ? 1 : 2)] ?? null,
    async nextTodo(number) {
      const { numbers, marks } = found;
      const start = after(number);
      for (let step = 0; step < numbers.length; step++) {
        const index = (start + step) % numbers.length;
        if (numbers[index] === number) continue;
        let card = cards.get(numbers[index]);
        if (!card && marks[index] === "?") [card] = await cards.all(numbers.slice(index, index + BATCH));
        if (card ? card.state === "todo" : marks[index] === "t") return numbers[index];
      }
      return null;
    },
  };
}

/** @type {MakeCategories} */
export function createCategories(first) {
  /** @type {Map<string, Category>} */
  const known = new Map();
  /** @param {Category[]} categories */
  const learn = (categories) => categories.forEach((category) => known.set(category.name, category));
  learn(first);
  return {
    learn,
    has: (name) => known.has(name),
    all: () => [...known.values()],
    colourOf: (name) => (name ? known.get(name)?.colour : null) ?? "#ced4da",
    add(name) {
      if (!known.has(name)) learn([{ name, colour: COLOURS[known.size % COLOURS.length], key: null, attributes: [] }]);
      return /** @type {Category} */ (known.get(name));
    },
  };
}

/** @type {MakePerson} */
export function createPerson(session) {
  const handlers = new Set();
  return {
    name: () => kept("author") || session.author,
    theme: () => kept("theme") || "system",
    rename(name) {
      keep("author", name);
      handlers.forEach((handler) => handler());
    },
    wear(theme) {
      keep("theme", theme);
      dress();
    },
    on: (handler) => void handlers.add(handler),
  };
}

/** @type {Record<string, string>} */
let storage = {};
try {
  storage = localStorage;
} catch {
  // this window keeps nothing, as some private ones
}

/** @param {string} name */
export const kept = (name) => storage[`xlabel.${name}`] ?? "";

/** @param {string} name @param {string} value */
export function keep(name, value) {
  try {
    storage[`xlabel.${name}`] = value;
  } catch {
    // it is full
  }
}

const dress = () => (document.documentElement.dataset.theme = kept("theme") || "system");
dress(); // before anything is seen
