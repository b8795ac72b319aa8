// What was done to an image's labels: how it is undone, and how it goes together with what others have done.
//
// The rule is that of docs/review_api.md, label by label: who has changed nothing takes what the other one has; who has
// changed the same as the other clashes. A step that no longer fits, since somebody else was there, is not made.

// Set by the server, and so no part of what a label says.
const SET = new Set(["author", "time", "source", "area", "id"]);

/** @param {any} value */
const nothing = (value) => !value || (typeof value === "object" && !Object.keys(value).length);

/** @param {any} a @param {any} b @returns {boolean} whether two labels, or what is said of an image, say the same */
export function same(a, b, depth = 0) {
  if (a === b || (depth < 2 && nothing(a) && nothing(b))) return true;
  if (!a || !b || typeof a !== "object" || typeof b !== "object") return false;
  return Object.keys({ ...a, ...b }).every((name) => (!depth && SET.has(name)) || same(a[name], b[name], depth + 1));
}

/** @returns {Past} */
export function createHistory() {
  /** @type {Entry[]} */
  const done = [];
  /** @type {Entry[]} */
  const undone = [];
  return {
    push(entry) {
      done.push(entry);
      undone.length = 0;
    },
    undo() {
      const entry = done.pop();
      if (!entry) return null;
      undone.push(entry);
      return { ...entry, steps: entry.steps.map((step) => ({ ...step, before: step.after, after: step.before })).reverse() };
    },
    redo() {
      const entry = undone.pop() ?? null;
      if (entry) done.push(entry);
      return entry;
    },
    get canUndo() {
      return done.length > 0;
    },
    get canRedo() {
      return undone.length > 0;
    },
  };
}

/** @type {Changes["make"]} */
export const make = (content, steps) => {
  return steps.filter((step) => {
    if ("field" in step) {
      if (!same(content[step.field], step.before)) return false;
      content[step.field] = step.after;
      return true;
    }
    const at = content.labels.findIndex(({ id }) => id === step.id);
    if (!same(content.labels[at] ?? null, step.before)) return false;
    step.at = put(content, step.id, step.after, step.at);
    return true;
  });
};

/** @param {Content} content @param {Id} id @param {Label | null} label null: without it @param {number} [place] of a new one */
export function put(content, id, label, place = content.labels.length) {
  const at = content.labels.findIndex((other) => other.id === id);
  content.labels.splice(at < 0 ? place : at, at < 0 ? 0 : 1, ...(label ? [label] : []));
  return at < 0 ? place : at;
}

/** @type {Changes["changesOf"]} */
export const changesOf = (base, mine, ids) => {
  /** @type {any[]} */
  const all = [];
  const named = [...ids];
  const [were, are] = named.length ? [byId(base), byId(mine)] : [new Map(), new Map()];
  for (const id of named) all.push({ id, before: were.get(id) ?? null, after: are.get(id) ?? null });
  for (const field of FIELDS) all.push({ field, before: base[field], after: mine[field] });
  return all.filter(({ before, after }) => !same(before, after));
};

/**
 * What was changed here, upon what is there by now; what clashes stays as it is here.
 * @param {Content} base what both began with @param {Content} mine @param {Content} theirs
 */
export function merged(base, mine, theirs) {
  const [were, are, there] = [byId(base), byId(mine), byId(theirs)];
  /** @type {Content} */
  const content = { labels: [], split: null, review: null };
  /** @type {Clash[]} */
  const clashes = [];
  /** @type {Id[]} labels that say something else than before */
  const changed = [];
  const one = (/** @type {object} */ what, /** @type {any} */ was, /** @type {any} */ here, /** @type {any} */ now) => {
    if (same(here, was) || same(here, now)) return now;
    if (!same(now, was)) clashes.push({ ...what, base: was, mine: here, theirs: now });
    return here;
  };
  for (const id of new Set([...are.keys(), ...there.keys()])) {
    const here = are.get(id) ?? null;
    const label = one({ id }, were.get(id) ?? null, here, there.get(id) ?? null);
    if (label) content.labels.push(label);
    if (!same(label, here)) changed.push(id);
  }
  for (const field of FIELDS) content[field] = one({ field }, base[field], mine[field], theirs[field]);
  return { content, clashes, changed };
}

/** @param {Content} content @returns {Content} */
export const copied = ({ labels, split, review }) => ({ labels: [...labels], split, review });

const FIELDS = /** @type {const} */ (["split", "review"]);

/** @param {Content} content */
const byId = ({ labels }) => new Map(labels.map((label) => [label.id, label]));
