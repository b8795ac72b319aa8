// The image that is open, what is selected of it, and everything that can be done to its labels.
//
// Whatever is done goes through `commit`: there it is written down for undoing, drawn, and handed over to saving.

import * as geometry from "./geometry.js";
import { shown } from "./dom.js";
import { make } from "./history.js";
import { same } from "./merging.js";
import { createSaving } from "./saving.js";

/** @import {Category, Clash, Label, Picture, Review} from "./types" */
/** @import {App} from "./app" */
/** @import {Drawing} from "./drawing.js" */
/** @import {FieldStep, LabelStep, Step} from "./history.js" */
/** @import {Id} from "./merging.js" */
/** @import {Handle} from "./geometry.js" */
/** @import {Stage} from "./stage.js" */
/** @import {Work} from "./saving.js" */
/** @typedef {ReturnType<typeof createBench>} Bench */
/** @typedef {"image" | "labels" | "selection" | "category" | "state" | "clash"} Event what listeners are told of */

const IDS = 2 ** 31 - 1;
const COPIED = /** @type {const} */ (["category", "bbox", "polygons", "mask", "keypoints", "shape", "crowd", "attributes"]);

/** @param {App} app @param {Stage} stage @param {Drawing} drawing */
export function createBench(app, stage, drawing) {
  /** @type {Map<Event, Set<() => void>>} */
  const listeners = new Map();
  /** @type {Work | null} */
  let work = null;
  /** @type {Work | null} the image that was open before */
  let before = null;
  /** @type {Map<Id, Label>} */
  let labels = new Map();
  /** @type {Id | null} */
  let selected = null;
  /** @type {Id | null} */
  let pointed = null;
  /** @type {Handle | null} a vertex or keypoint of the selected label */
  let vertex = null;
  /** @type {string | null} */
  let category = null;

  const saving = createSaving(app, {
    changed(one, ids) {
      if (one !== work) return;
      if (ids.size) all();
      tell("labels");
    },
    state: () => tell("state"),
    clash(one) {
      if (one === work) return tell("clash");
      const text = `${shown(one.key)}: somebody else has changed labels that you have changed too`;
      app.dialogs.toast(text, { kind: "error", action: { text: "Open", run: () => void app.go(one.number) } });
    },
  });

  /** @param {...Event} events */
  function tell(...events) {
    for (const event of events) for (const listener of listeners.get(event) ?? []) listener();
  }

  function all() {
    labels = new Map(work?.content.labels.map((label) => [label.id, label]));
    if (selected !== null && !labels.has(selected)) selected = null;
    pointed = null;
    vertex = null;
    drawing.mark(selected, null, labels);
    drawing.all(work?.content.labels ?? []);
    tell("selection");
  }

  /** Draw what steps have changed, and have it saved. @param {Step[]} steps that were made */
  function changed(steps) {
    if (!work || !steps.length) return;
    const named = /** @type {LabelStep[]} */ (steps.filter((step) => "id" in step));
    for (const { id, after } of named) {
      if (after) labels.set(id, after);
      else labels.delete(id);
      drawing.put(id, after);
    }
    vertex = null;
    if (selected !== null && !labels.has(selected)) select(null);
    if (pointed !== null && !labels.has(pointed)) pointed = null;
    saving.edited(work, named.map(({ id }) => id));
    tell("labels");
  }

  /**
   * Do something that can be undone. What stays the same is left out.
   * @param {string} title @param {Step[]} steps @returns {boolean} whether anything was done
   */
  function commit(title, steps) {
    if (!work) return false;
    const wanted = steps.filter((step) => !same(step.before, step.after));
    if (!wanted.length) return false;
    if (work.picture.readonly !== null) {
      app.dialogs.toast(`Nothing can be changed here: ${work.picture.readonly}`, { kind: "error" });
      return false;
    }
    const { review } = work.content;
    const reviewed = wanted.some((step) => "field" in step && step.field === "review");
    if (review && !reviewed && wanted.some((step) => "id" in step)) wanted.push({ field: "review", before: review, after: null });
    const made = make(work.content, wanted);
    work.history.push({ title, steps: made });
    changed(made);
    return true;
  }

  /** @param {"undo" | "redo"} way */
  function travel(way) {
    const entry = work?.history[way]();
    if (!work || !entry) {
      app.announce(way === "undo" ? "Nothing to undo" : "Nothing to do again");
      return false;
    }
    const made = make(work.content, entry.steps);
    changed(made);
    const missing = entry.steps.length - made.length;
    app.announce(`${way === "undo" ? "Undone" : "Done again"}: ${entry.title}`);
    if (missing) app.dialogs.toast("A part stayed as it is, since somebody else has changed it meanwhile.");
    return true;
  }

  /** @param {Id | null} id */
  function select(id) {
    if (id === selected) {
      if (vertex) pick(null);
      return;
    }
    selected = id;
    vertex = null;
    drawing.mark(selected, pointed, labels);
    tell("selection");
  }

  /** @param {Handle | null} handle */
  function pick(handle) {
    vertex = handle;
    tell("selection");
  }

  /** @returns {Id} */
  function newId() {
    for (;;) {
      const id = 1 + Math.floor(Math.random() * IDS);
      if (!labels.has(id)) return id;
    }
  }

  /** @param {Label} label @param {Partial<Label>} change @returns {LabelStep} it is no suggestion any more */
  function corrected(label, change) {
    const after = { ...label, ...change };
    if (after.status) after.status = "accepted";
    return { id: label.id, before: label, after };
  }

  /** @param {Label[]} from @param {"accepted" | "rejected"} status @returns {Step[]} */
  const decided = (from, status) => from.map((label) => ({ id: label.id, before: label, after: { ...label, status } }));

  const undecided = () => [...labels.values()].filter((label) => label.status === "suggestion");

  /** Which label a key means: the selected one, the one that is pointed at, the first undecided. */
  function meant() {
    if (selected !== null) return labels.get(selected) ?? null;
    const over = pointed === null ? null : labels.get(pointed);
    return over?.status ? over : (undecided()[0] ?? null);
  }

  /** @param {string | null} name @returns {Category | undefined} */
  const categoryOf = (name) => app.categories().find((one) => one.name === name);

  return {
    app,
    stage,
    drawing,
    saving,
    commit,
    select,
    pick,
    corrected,
    undecided,
    categoryOf,
    /** @param {Event} event @param {() => void} listener */
    on(event, listener) {
      const there = listeners.get(event) ?? new Set();
      listeners.set(event, there.add(listener));
    },
    get work() {
      return work;
    },
    get labels() {
      return labels;
    },
    get selected() {
      return selected === null ? null : (labels.get(selected) ?? null);
    },
    get vertex() {
      return vertex;
    },
    get pointed() {
      return pointed;
    },
    get category() {
      return category ?? app.categories()[0]?.name ?? null;
    },

    /** @param {Work | null} next */
    open(next) {
      if (work && work !== next) before = work;
      work = next;
      selected = null;
      all();
      tell("image", "labels", "state");
      if (next?.clashes.length) tell("clash");
    },

    /** @param {Id | null} id */
    point(id) {
      if (id === pointed) return;
      pointed = id;
      drawing.mark(selected, pointed, labels);
    },

    /** @param {Partial<Label>} what its geometry @param {string} title */
    add(what, title) {
      const name = what.category === undefined ? (category ?? app.categories()[0]?.name ?? null) : what.category;
      /** @type {Record<string, unknown>} */
      const attributes = {};
      for (const { name: attribute, default: value } of categoryOf(name)?.attributes ?? []) {
        if (value !== undefined && value !== null) attributes[attribute] = value;
      }
      /** @type {Label} */
      const label = { id: newId(), ...what, category: name };
      if (Object.keys(attributes).length) label.attributes = attributes;
      if (!commit(title, [{ id: label.id, before: null, after: label }])) return null;
      if (geometry.kindOf(label) !== "tag") select(label.id);
      return label;
    },

    /** The category of the selected label, or of the next one. @param {string} name */
    choose(name) {
      if (!categoryOf(name)) app.addCategory(name);
      category = name;
      const label = selected === null ? null : labels.get(selected);
      if (label && label.category !== name) commit("Category", [corrected(label, { category: name })]);
      else app.announce(`Category ${shown(name)}`);
      tell("category");
    },

    /** @param {Label} label @param {string} name @param {unknown} value undefined or empty: without it */
    describe(label, name, value) {
      const attributes = { ...label.attributes, [name]: value };
      if (value === undefined || value === "" || value === null) delete attributes[name];
      commit(name === "comment" ? "Comment" : `Attribute ${name}`, [{ id: label.id, before: label, after: { ...label, attributes } }]);
    },

    /** @param {"accepted" | "rejected"} status */
    decide(status) {
      const label = meant();
      const what = status === "accepted" ? "Accept" : "Reject";
      if (!label) app.announce("There is no suggestion");
      else if (!label.status) app.announce(`${what} is for suggestions; Delete removes a label`);
      else if (commit(what, decided([label], status))) app.announce(`${status}: ${shown(label.category)}`);
    },

    /** Accept what is undecided, and mark the image as reviewed. */
    approve() {
      if (!work || work.picture.readonly !== null) return;
      /** @type {FieldStep} */
      const mark = { field: "review", before: work.content.review, after: { state: "reviewed" } };
      const there = work.content.review?.state === "reviewed";
      commit("Accept all", [...decided(undecided(), "accepted"), ...(there && !undecided().length ? [] : [mark])]);
    },

    /** @param {Review | null} after */
    review: (after) => work !== null && commit("Review", [{ field: "review", before: work.content.review, after }]),

    /** @param {string | null} after */
    split: (after) => work !== null && commit("Split", [{ field: "split", before: work.content.split, after }]),

    remove() {
      const label = selected === null ? null : labels.get(selected);
      if (!label) return;
      const left = vertex ? geometry.withoutVertex(label, vertex) : null;
      if (left) commit("Delete a point", [corrected(label, left)]);
      else if (!vertex) commit("Delete", [{ id: label.id, before: label, after: null }]);
      else app.announce("It needs its last points; Escape and Delete removes the label");
    },

    /** @param {number} dx @param {number} dy */
    nudge(dx, dy) {
      const label = selected === null ? null : labels.get(selected);
      if (!label) return false;
      const at = vertex;
      if (!at) return commit("Move", [corrected(label, geometry.moved(label, dx, dy, stage.size))]), true;
      const to = { x: at.x + dx, y: at.y + dy };
      commit("Move a point", [corrected(label, geometry.pulled(label, at, to, stage.size))]);
      pick({ ...at, ...geometry.inside(to, stage.size) });
      return true;
    },

    /** The next label, suggestions first. @param {number} by 1 or -1 */
    cycle(by) {
      const [open, others] = [[], []].map(() => /** @type {Id[]} */ ([]));
      for (const { id, status } of labels.values()) (status === "suggestion" ? open : others).push(id);
      const order = [...open, ...others];
      if (!order.length) return false;
      const at = selected === null ? -1 : order.indexOf(selected);
      const next = at < 0 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length;
      select(order[next]);
      return true;
    },

    /** The labels of the image that was open before, or else of the one before it in the list. */
    async repeat() {
      const here = work;
      if (!here) return;
      const number = app.previous(here.number);
      let from = before?.content.labels;
      if (!from && number !== null) from = (await app.api.picture(number)).labels;
      if (work !== here) return;
      const wanted = (from ?? []).filter(({ status }) => status !== "rejected");
      /** @type {Step[]} */
      const steps = [];
      for (const label of wanted) {
        const fits = geometry.fitted(label, stage.size);
        const copy = /** @type {Label} */ ({ id: newId() });
        for (const name of COPIED) if (fits?.[name]) Object.assign(copy, { [name]: fits[name] });
        if (fits) steps.push({ id: copy.id, before: null, after: copy });
      }
      const missing = wanted.length - steps.length;
      if (!wanted.length) app.dialogs.toast("The image before has no labels to repeat.");
      else if (commit("Repeat", steps)) app.announce(`${steps.length} labels repeated`);
      if (missing) app.dialogs.toast(`${missing} labels do not fit into this image, which has another size.`);
    },

    undo: () => travel("undo"),
    redo: () => travel("redo"),

    /**
     * Somebody has chosen between what clashed.
     * @param {Work} one @param {{clash: Clash, keep: "mine" | "theirs" | "both"}[]} choices
     */
    settle(one, choices) {
      /** @type {Step[]} */
      const steps = [];
      for (const { clash, keep } of choices) {
        const { mine, theirs } = /** @type {{mine: any, theirs: any}} */ (clash);
        if (keep === "mine" || (keep === "both" && !theirs)) continue;
        if (clash.field) steps.push({ field: clash.field, before: mine, after: theirs });
        else steps.push({ id: clash.id ?? "", before: mine, after: theirs });
        if (keep === "both" && mine && !clash.field) {
          const id = newId();
          steps.push({ id, before: null, after: { ...mine, id } });
        }
      }
      saving.settled(one);
      const made = make(one.content, steps);
      if (made.length) one.history.push({ title: "Merge", steps: made });
      if (one === work) changed(made);
      else saving.edited(one, made.flatMap((step) => ("id" in step ? [step.id] : [])));
      tell("state");
    },
  };
}
