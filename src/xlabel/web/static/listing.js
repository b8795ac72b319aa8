// Which images are shown, in which order: the answer to one query, and the way from one to the next.

/** @import { Api, Asked } from "./app.d.ts" */
/** @import { Cards } from "./cards.js" */
/** @import { Listing } from "./types.d.ts" */

const TODO = "t";
const UNKNOWN = "?";
const LOOKAHEAD = 48;

/** @typedef {ReturnType<typeof createListing>} Shown */

/** @param {Api} api @param {Cards} cards */
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
  function place(number) {
    places ??= new Map(found.numbers.map((one, index) => [one, index]));
    return places.get(number) ?? -1;
  }

  /** Where to go on from: its place, or for what is not listed that of the one behind it by name. @param {number} number */
  function around(number) {
    const index = place(number);
    if (index >= 0) return { before: index - 1, after: index + 1 };
    const behind = found.numbers.findIndex((one) => one > number);
    const after = behind < 0 ? found.numbers.length : behind;
    return { before: after - 1, after };
  }

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

    /** Ask anew; what is shown stays until the answer is there. @param {Asked} next @param {AbortSignal} [signal] */
    async ask(next, signal) {
      const answer = await api.query(next, signal);
      if (signal?.aborted) return;
      found = answer;
      asked = next;
      places = null;
    },

    /** @param {number} number */
    position: (number) => ({ index: place(number), of: found.numbers.length }),
    /** @param {number} number @returns {number | null} */
    next: (number) => found.numbers[around(number).after] ?? null,
    /** @param {number} number @returns {number | null} */
    previous: (number) => found.numbers[around(number).before] ?? null,

    /** The next that is unlabelled or undecided, from there to the end and round. @param {number} number @returns {Promise<number | null>} */
    async nextTodo(number) {
      const { after } = around(number);
      const { numbers, marks } = found;
      for (let step = 0; step < numbers.length; step++) {
        const index = (after + step) % numbers.length;
        const candidate = numbers[index];
        if (candidate === number) continue;
        let card = cards.get(candidate);
        if (!card && (marks?.[index] ?? UNKNOWN) === UNKNOWN) {
          const ahead = numbers.slice(index, index + LOOKAHEAD);
          [card] = await cards.all(ahead);
        }
        if (card ? card.state === "todo" : marks[index] === TODO) return candidate;
      }
      return null;
    },
  };
}
