// What is known of single images: asked for in batches as they come into sight, and kept for a while.

import { aborted } from "./api.js";

/** @import { Api } from "./app.d.ts" */
/** @import { Card, Picture } from "./types.d.ts" */

const BATCH = 48; // cards of one request
const AT_ONCE = 2; // requests under way
const KEPT = 4000; // cards in memory
const DRAWN = 200; // labels of a card, as the server has it

/** @typedef {ReturnType<typeof createCards>} Cards */

/** @param {Api} api @param {(text: string) => void} fail */
export function createCards(api, fail) {
  /** @type {Map<number, Card>} */
  const known = new Map();
  /** @type {Map<string, number>} */
  const numbers = new Map();
  /** @type {Set<(card: Card) => void>} */
  const handlers = new Set();
  /** @type {Map<AbortController, Set<number>>} */
  const underway = new Map();
  /** @type {number[]} */
  let wanted = [];

  /** @param {Card} card */
  function put(card) {
    known.delete(card.number);
    known.set(card.number, card);
    numbers.set(card.key, card.number);
    if (known.size > KEPT) known.delete(/** @type {number} */ (known.keys().next().value));
    for (const handler of handlers) handler(card);
  }

  function more() {
    const coming = new Set([...underway.values()].flatMap((numbers) => [...numbers]));
    const missing = wanted.filter((number) => !known.has(number) && !coming.has(number));
    while (missing.length && underway.size < AT_ONCE) ask(missing.splice(0, BATCH));
  }

  /** @param {number[]} asked */
  async function ask(asked) {
    const control = new AbortController();
    underway.set(control, new Set(asked));
    try {
      for (const card of await api.cards(asked, control.signal)) put(card);
    } catch (error) {
      if (aborted(error)) return;
      wanted = wanted.filter((number) => !asked.includes(number));
      if (!api.lost) fail(String(/** @type {Error} */ (error).message));
    } finally {
      underway.delete(control);
      more();
    }
  }

  return {
    /** @param {number} number */
    get: (number) => known.get(number),

    /** The image of that key, asked for where it is not known. @param {string} key */
    number: async (key) => numbers.get(key) ?? api.number(key),

    /** Say which are in sight, the most urgent first; what is asked for and no longer wanted is given up. @param {number[]} numbers */
    want(numbers) {
      wanted = numbers;
      const still = new Set(numbers);
      for (const [control, asked] of underway)
        if (![...asked].some((number) => still.has(number))) control.abort();
      more();
    },

    /** Those cards, asked for where they are not known. @param {number[]} numbers @returns {Promise<Card[]>} */
    async all(numbers) {
      const missing = numbers.filter((number) => !known.has(number));
      for (let from = 0; from < missing.length; from += BATCH)
        (await api.cards(missing.slice(from, from + BATCH))).forEach(put);
      return numbers.flatMap((number) => known.get(number) ?? []);
    },

    /** @param {Picture} picture */
    changed(picture) {
      const { number, key, width, height, version, state, split, readonly, labels } = picture;
      const tags = labels.filter((label) => !drawnSomewhere(label)).map((label) => label.category ?? "");
      const error = known.get(number)?.error ?? null;
      const few = labels.slice(0, DRAWN);
      put({ number, key, width, height, version, state, split, readonly, error, tags, labels: few, more: labels.length - few.length });
    },

    /** Forget what others have changed; gives the numbers that were known. @param {number[]} numbers */
    forget: (numbers) => numbers.filter((number) => known.delete(number)),

    /** Another server may count otherwise. */
    clear() {
      known.clear();
      numbers.clear();
    },

    /** @param {(card: Card) => void} handler */
    on(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
  };
}

/** Whether a label has a place in the image. @param {import("./types.d.ts").Label} label */
export function drawnSomewhere(label) {
  return Boolean(label.bbox || label.polygons?.length || label.mask || label.keypoints?.length || label.shape);
}
