// What is the same, what has changed, and what clashes: the rule of docs/review_api.md, label by label.

/** @import {Change, Clash, Label, Picture} from "./types" */
/** @import {Content} from "./history.js" */
/** @typedef {number | string} Id */
/** @typedef {{content: Content, clashes: Clash[], changed: Set<Id>}} Merged changed: labels that are other objects than before */

// Set by the server, and so no part of what a label says.
const SET = new Set(["author", "time", "source", "area", "id"]);

/** @type {WeakMap<object, string>} */
const known = new WeakMap();

/** @param {any} one @param {any} other labels, or what is said of an image @returns {boolean} whether they say the same */
export const same = (one, other) => one === other || said(one) === said(other);

/** @param {Content} base @param {Content} mine @param {Iterable<Id>} ids labels that may differ @returns {Change[]} */
export function changesOf(base, mine, ids) {
  /** @type {Change[]} */
  const found = [];
  const named = [...ids];
  const [were, are] = named.length ? [byId(base.labels), byId(mine.labels)] : [new Map(), new Map()];
  for (const id of named) {
    const [before, after] = [were.get(id) ?? null, are.get(id) ?? null];
    if (!same(before, after)) found.push({ id, before, after });
  }
  for (const field of /** @type {const} */ (["split", "review"])) {
    const [before, after] = [base[field], mine[field]];
    if (!same(before, after)) found.push(/** @type {Change} */ ({ field, before, after }));
  }
  return found;
}

/**
 * What was changed here, upon what is there by now. What clashes stays as it is here.
 * @param {Content} base what both began with @param {Content} mine @param {Content} theirs @returns {Merged}
 */
export function merged(base, mine, theirs) {
  const [were, are] = [byId(base.labels), byId(mine.labels)];
  /** @type {Merged} */
  const found = { content: { labels: [], split: null, review: null }, clashes: [], changed: new Set() };
  const there = byId(theirs.labels);
  for (const id of new Set([...are.keys(), ...there.keys()])) {
    const chosen = one({ id }, were.get(id) ?? null, are.get(id) ?? null, there.get(id) ?? null);
    if (chosen) found.content.labels.push(chosen);
  }
  found.content.split = one({ field: "split" }, base.split, mine.split, theirs.split);
  found.content.review = one({ field: "review" }, base.review, mine.review, theirs.review);
  const now = byId(found.content.labels);
  for (const id of new Set([...are.keys(), ...now.keys()])) if (now.get(id) !== are.get(id)) found.changed.add(id);
  return found;

  /** @param {{id: Id} | {field: "split" | "review"}} what @param {any} was @param {any} here @param {any} there */
  function one(what, was, here, there) {
    if (same(here, was) || same(here, there)) return there;
    if (!same(there, was)) found.clashes.push({ ...what, base: was, mine: here, theirs: there });
    return here;
  }
}

/**
 * Changes that were kept from before, upon what is there by now: as if they had just been made here.
 * @param {Content} content @param {Change[]} changes @returns {{content: Content, base: Content}}
 */
export function replayed(content, changes) {
  const [base, mine] = [copied(content), copied(content)];
  for (const change of changes) {
    if ("field" in change) {
      Object.assign(base, { [change.field]: change.before });
      Object.assign(mine, { [change.field]: change.after });
      continue;
    }
    put(base.labels, change.id, change.before);
    put(mine.labels, change.id, change.after);
  }
  return { base, content: mine };
}

/** @param {Picture} picture @returns {Content} */
export const contentOf = ({ labels, split, review }) => ({ labels, split, review });

/** @param {Content} content @returns {Content} */
export const copied = (content) => ({ ...content, labels: [...content.labels] });

/** @param {Label[]} labels @param {Id} id @param {Label | null} label */
function put(labels, id, label) {
  const at = labels.findIndex((other) => other.id === id);
  if (label) labels.splice(at < 0 ? labels.length : at, at < 0 ? 0 : 1, label);
  else if (at >= 0) labels.splice(at, 1);
}

/** @param {Label[]} labels @returns {Map<Id, Label>} */
const byId = (labels) => new Map(labels.map((label) => [label.id, label]));

/** @param {any} value @returns {string} */
function said(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value || null);
  let text = known.get(value);
  if (text === undefined) {
    text = JSON.stringify(canonical(value, SET));
    known.set(value, text);
  }
  return text;
}

/** @param {any} value @param {Set<string>} [without] @returns {any} in one order, without what says nothing */
function canonical(value, without) {
  if (Array.isArray(value)) return value.map((part) => canonical(part));
  if (value === null || typeof value !== "object") return value;
  const parts = Object.keys(value).sort().map((name) => [name, canonical(value[name])]);
  return Object.fromEntries(parts.filter(([name, part]) => !without?.has(name) && (!without || !nothing(part))));
}

/** @param {any} part */
const nothing = (part) => !part || (typeof part === "object" && !Object.keys(part).length);
