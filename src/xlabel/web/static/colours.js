// A colour for each category: its own, or one of these that follows from its name.

/** @import { Category } from "./types.d.ts" */

const PALETTE = (
  "#ff6b6b #4dabf7 #51cf66 #ffd43b #cc8bff #ff922b #22d3c5 #f783ac #a9e34b #91a7ff #ffc078 #63e6be #e599f7 #74c0fc"
).split(" ");
const NONE = "#ced4da"; // of labels without a category

/** @param {string} name */
export function colourFor(name) {
  return PALETTE[hash(name) % PALETTE.length];
}

/** The categories of a session, and those that are made on the page. @param {Category[]} first */
export function createCategories(first) {
  /** @type {Map<string, Category>} */
  const known = new Map();
  /** @type {Category[]} */
  let list = [];

  /** @param {Category[]} categories */
  function learn(categories) {
    for (const category of categories) known.set(category.name, category);
    list = [...known.values()];
  }

  learn(first);
  return {
    learn,
    all: () => list,
    /** @param {string | null | undefined} name */
    colourOf: (name) => (name ? known.get(name)?.colour ?? colourFor(name) : NONE),
    /** @param {string} name @returns {Category} */
    add(name) {
      const made = known.get(name) ?? { name, colour: colourFor(name), key: null, attributes: [] };
      learn([made]);
      return made;
    },
  };
}

/** FNV-1a over the letters. @param {string} text */
function hash(text) {
  let value = 2166136261;
  for (const letter of text) value = Math.imul(value ^ /** @type {number} */ (letter.codePointAt(0)), 16777619);
  return value >>> 0;
}
