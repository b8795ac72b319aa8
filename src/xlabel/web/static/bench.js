// The image that is open, what is selected of it, and all that can be done to its labels.
//
// Whatever is done goes through `commit`: there it is written down for undoing, drawn, and handed over to saving.

import * as geometry from "./geometry.js";
import { createSaving } from "./saving.js";
import { make, same } from "./changes.js";
import { shown } from "./dom.js";
import { titleOf } from "./stage.js";

const IDS = 2 ** 31 - 1;
const COPIED = /** @type {const} */ (["category", "bbox", "polygons", "mask", "keypoints", "shape", "crowd", "attributes"]);

/** @param {App} app @param {Stage} stage @param {Drawing} drawing @returns {Bench} */
export function createBench(app, stage, drawing) {
  /** @type {Map<Told, (() => void)[]>} */
  const listeners = new Map();
  /** @type {Work | null} */
  let work = null;
  /** @type {Label[]} those of the image that was open before */
  let before = [];
  /** @type {Map<Id, Label>} */
  let labels = new Map();
  /** @type {Id | null} */
  let selected = null;
  /** @type {Id | null} */
  let pointed = null;
  /** @type {Handle | null} */
  let vertex = null;
  /** @type {string | null} */
  let category = null;

  const tell = (/** @type {Told[]} */ ...all) => all.forEach((one) => listeners.get(one)?.forEach((listener) => listener()));
  const saving = createSaving(app, {
    state: () => tell("state"),
    changed: (one, ids) => one === work && drawn(ids),
    clash(one) {
      const action = { text: "Open", run: () => void app.go(one.number) };
      if (one === work) tell("clash");
      else app.dialogs.toast(`${shown(one.key)}: somebody else has changed what you have changed too.`, { kind: "error", action });
    },
  });

  /** @param {Id[]} ids of labels that say something else now */
  function drawn(ids) {
    labels = new Map(work?.content.labels.map((label) => [label.id, label]));
    for (const id of ids) drawing.put(id, labels.get(id) ?? null);
    if (ids.includes(selected ?? "")) vertex = null;
    pointed = labels.has(pointed ?? "") ? pointed : null;
    if (selected !== null && !labels.has(selected)) bench.select(null);
    tell("labels");
  }

  /** @param {Step[]} made */
  function done(made) {
    const ids = made.flatMap((step) => ("id" in step ? [step.id] : []));
    drawn(ids);
    if (work) saving.edited(work, ids);
  }

  /** @param {"undo" | "redo"} way */
  function travel(way) {
    const entry = work?.history[way]();
    app.announce(entry ? `${way}: ${entry.title}` : `Nothing to ${way}`);
    if (!work || !entry) return false;
    const made = make(work.content, entry.steps);
    done(made);
    if (made.length < entry.steps.length) app.dialogs.toast("A part stays as it is: somebody else has changed it meanwhile.");
    return true;
  }

  function newId() {
    let id = 0;
    while (!id || labels.has(id)) id = Math.ceil(Math.random() * IDS);
    return id;
  }

  /** @param {Label[]} from @param {"accepted" | "rejected"} status @returns {Step[]} */
  const decided = (from, status) => from.map((label) => ({ id: label.id, before: label, after: { ...label, status } }));

  /** @type {Bench} */
  const bench = {
    app, stage, drawing, saving,
    get work() {
      return work;
    },
    get readonly() {
      return !work || work.picture.readonly !== null;
    },
    get labels() {
      return labels;
    },
    get selected() {
      return labels.get(selected ?? "") ?? null;
    },
    get vertex() {
      return vertex;
    },
    get category() {
      return category ?? app.categories()[0]?.name ?? null;
    },
    on: (events, listener) => events.forEach((event) => listeners.set(event, [...(listeners.get(event) ?? []), listener])),

    open(next) {
      if (work && work !== next) before = work.content.labels;
      work = next;
      selected = null;
      drawing.mark(null, null, labels);
      drawing.all(next.content.labels);
      drawn([]);
      tell("image", "selection", "state");
      if (next.clashes.length || next.replaced) tell("clash");
    },

    commit(title, steps) {
      const wanted = steps.filter((step) => !same(step.before, step.after));
      if (!work || !wanted.length) return false;
      if (work.picture.readonly !== null) {
        app.dialogs.toast(`Nothing can be changed here: ${shown(work.picture.readonly)}`, { kind: "error" });
        return false;
      }
      // A reviewer has seen other labels than these.
      const { review } = work.content;
      if (review && !wanted.some((step) => "field" in step)) wanted.push({ field: "review", before: review, after: null });
      const made = make(work.content, wanted);
      if (made.length) work.history.push({ title, steps: made });
      done(made);
      if (made.length < wanted.length) app.dialogs.toast("Somebody else has changed this label meanwhile: do it again.");
      return made.length > 0;
    },
    undo: () => travel("undo"),
    redo: () => travel("redo"),

    select(id) {
      if (id === selected) return bench.pick(null);
      [selected, vertex] = [id, null];
      drawing.mark(selected, pointed, labels);
      tell("selection");
    },
    pick(handle) {
      if (handle === vertex) return;
      vertex = handle;
      tell("selection");
    },
    point(id) {
      if (id !== pointed) drawing.mark(selected, (pointed = id), labels);
    },
    cycle(by) {
      const all = [...bench.undecided(), ...[...labels.values()].filter(({ status }) => status !== "suggestion")];
      const at = all.findIndex(({ id }) => id === selected);
      const next = all.at(at < 0 ? Math.min(by, 0) : (at + by) % all.length);
      if (!next) return false;
      bench.select(next.id);
      app.announce(`${titleOf(next)} ${next.status ?? ""}`);
      return true;
    },

    corrected: (label, change) => ({ id: label.id, before: label, after: { ...label, ...change, ...(label.status ? { status: "accepted" } : {}) } }),
    undecided: () => [...labels.values()].filter(({ status }) => status === "suggestion"),
    categoryOf: (name) => app.categories().find((one) => one.name === name),

    add(title, what) {
      /** @type {Label} */
      const label = { category: bench.category, ...what, id: newId() };
      const preset = bench.categoryOf(label.category)?.attributes.filter((one) => one.default !== undefined && one.default !== null) ?? [];
      if (preset.length) label.attributes = Object.fromEntries(preset.map((one) => [one.name, one.default]));
      if (bench.commit(title, [{ id: label.id, before: null, after: label }]) && geometry.boundsOf(label)) bench.select(label.id);
    },
    choose(name) {
      if (!bench.categoryOf(name)) app.addCategory(name);
      category = name;
      const label = bench.selected;
      if (label && label.category !== name) bench.commit("Category", [bench.corrected(label, { category: name })]);
      app.announce(`Category ${shown(name)}`);
      tell("category");
    },
    describe(label, name, value) {
      const { [name]: _, ...others } = label.attributes ?? {};
      const attributes = value === undefined || value === null || value === "" ? others : { ...others, [name]: value };
      bench.commit(name === "comment" ? "Comment" : `Attribute ${name}`, [{ id: label.id, before: label, after: { ...label, attributes } }]);
    },
    decide(status) {
      const over = labels.get(pointed ?? "");
      const label = bench.selected ?? (over?.status ? over : bench.undecided()[0]);
      if (!label?.status) app.announce(label ? "This is no suggestion" : "There is no suggestion");
      else if (bench.commit(status, decided([label], status))) app.announce(`${shown(label.category)} ${status}`);
    },
    approve() {
      if (bench.readonly || !work) return;
      const { review } = work.content;
      if (review?.state === "rejected") return app.announce("It stays rejected");
      const open = bench.undecided();
      if (!labels.size) app.dialogs.toast("Reviewed, without labels");
      const after = review?.state === "reviewed" && !open.length ? review : { state: "reviewed" };
      bench.commit("Accept all", [...decided(open, "accepted"), { field: "review", before: review, after }]);
    },
    field: (name, after) => work && bench.commit(name, [{ field: name, before: work.content[name], after }]),
    remove() {
      const label = bench.selected;
      if (!label) return;
      const less = vertex && geometry.withoutVertex(label, vertex);
      if (vertex && !less) app.announce("It needs this point. Escape, then Delete removes all of it");
      else bench.commit("Delete", [less ? bench.corrected(label, less) : { id: label.id, before: label, after: null }]);
    },
    nudge(dx, dy) {
      const [label, at] = [bench.selected, vertex];
      if (!label) return false;
      const to = at && geometry.inside({ x: at.x + dx, y: at.y + dy }, stage.size);
      const next = at && to ? geometry.pulled(label, at, to, stage.size) : geometry.moved(label, ...geometry.room(label, dx, dy, stage.size));
      bench.commit("Move", [bench.corrected(label, next)]);
      if (at && to) bench.pick({ ...at, ...to });
      return true;
    },
    async repeat() {
      const [here, number] = [work, work && app.previous(work.number)];
      const from = before.length || number === null ? before : (await app.api.picture(number)).labels;
      if (work !== here) return;
      const wanted = from.filter(({ status }) => status !== "rejected");
      const fitting = wanted.flatMap((label) => geometry.fitted(label, stage.size) ?? []);
      bench.commit("Repeat", fitting.map((label) => {
        const parts = COPIED.flatMap((name) => (label[name] ? [[name, label[name]]] : []));
        const after = { ...Object.fromEntries(parts), id: newId() };
        return { id: after.id, before: null, after };
      }));
      const missing = wanted.length - fitting.length;
      if (missing || !wanted.length) app.dialogs.toast(missing ? `${missing} labels do not fit into this image, which has another size.` : "The image before has no labels to repeat.");
    },
    settle(one, choices) {
      /** @type {any[]} */
      const steps = [];
      for (const { clash, keep } of choices) {
        const { id, field, mine, theirs } = /** @type {any} */ (clash);
        if (keep === "mine" || (keep === "both" && !theirs)) continue;
        steps.push({ ...(field ? { field } : { id }), before: mine, after: theirs });
        const copy = newId();
        if (keep === "both" && mine) steps.push({ id: copy, before: null, after: { ...mine, id: copy } });
      }
      saving.settled(one, choices.map(({ clash }) => clash));
      const made = make(one.content, steps);
      if (made.length) one.history.push({ title: "Merge", steps: made });
      if (one === work) done(made);
      else saving.edited(one, made.flatMap((step) => ("id" in step ? [step.id] : [])));
    },
  };
  return bench;
}
