// The same done to all selected images, undone and done again.

import { button, counted, h, shown } from "./dom.js";

/** @import { App } from "./app.d.ts" */
/** @import { Cards } from "./cards.js" */
/** @import { Action, Bulk, Change, Listing } from "./types.d.ts" */

const BATCH = 100; // images of one request
const FEW = 200; // failures that are listed
const SPLITS = ["train", "val", "test"];

/** @typedef {{text: string, done: Bulk["done"]}} Deed */

/**
 * @param {App} app
 * @param {{cards: Cards, selected: () => number[], found: () => Listing, clear: () => void, done: () => void}} grid
 */
export function createBulk(app, { cards, selected, found, clear, done }) {
  /** @type {Deed[]} */
  const past = [];
  /** @type {Deed[]} */
  let future = [];
  let stop = false;
  let busy = false;

  const undo = button({ label: "Undo", icon: "M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6M3 6.5l3-3M3 6.5l3 3", class: "quiet", onclick: () => void again(past, future, true) });
  const redo = button({ label: "Redo", icon: "M13 6.5H6.5a3.5 3.5 0 0 0 0 7H10M13 6.5l-3-3M13 6.5l-3 3", class: "quiet", onclick: () => void again(future, past, false) });
  const count = h("span", { class: "selected-count", role: "status" });
  const actions = h("div", { class: "actions", role: "toolbar", "aria-label": "Selected images" },
    ...[["Accept", accept], ["Reject", reject], ["Relabel\u2026", relabel], ["Tag\u2026", tag], ["Untag\u2026", untag], ["Split\u2026", split], ["Mark\u2026", mark]]
      .map(([text, run]) => button({ label: /** @type {string} */ (text).replace("\u2026", ""), text: /** @type {string} */ (text), onclick: run })));
  const meter = h("progress", { "aria-label": "Progress" });
  const halt = button({ label: "Stop", text: "Stop", onclick: () => (stop = true) });
  const doing = h("div", { class: "doing", hidden: true }, h("span", {}), meter, halt);
  const none = button({ label: "Select none", icon: "M4 4l8 8M12 4l-8 8", class: "quiet", onclick: clear });
  const bar = h("div", { class: "action-bar", hidden: true }, count, actions, doing, none);
  tell();

  function tell() {
    undo.disabled = busy || !past.length;
    redo.disabled = busy || !future.length;
    undo.title = past.length ? `Undo: ${past.at(-1)?.text} (${app.keys.text("undo")})` : "Undo";
    redo.title = future.length ? `Redo: ${future.at(-1)?.text} (${app.keys.text("redo")})` : "Redo";
    doing.hidden = !busy;
    actions.hidden = none.hidden = busy;
  }

  /**
   * In batches, so that one sees it go on and can stop it.
   *
   * @template T
   * @param {string} text
   * @param {T[]} items
   * @param {(batch: T[]) => Promise<Bulk>} ask
   * @returns {Promise<Bulk>}
   */
  async function inBatches(text, items, ask) {
    /** @type {Bulk} */
    const all = { done: [], failed: [] };
    busy = true;
    stop = false;
    /** @type {HTMLElement} */ (doing.firstElementChild).textContent = text;
    meter.max = items.length;
    meter.value = 0;
    tell();
    try {
      for (let from = 0; from < items.length && !stop; from += BATCH) {
        const batch = await ask(items.slice(from, from + BATCH));
        all.done.push(...batch.done);
        all.failed.push(...batch.failed);
        meter.value = from + BATCH;
      }
    } catch (error) {
      app.dialogs.toast(`${text}: ${/** @type {Error} */ (error).message}`, { kind: "error" });
    }
    busy = false;
    tell();
    cards.forget(all.done.map((item) => item.number));
    done();
    return all;
  }

  /** @param {string} text @param {Action} action */
  async function run(text, action) {
    const numbers = selected();
    if (busy || !numbers.length) return;
    const { done, failed } = await inBatches(text, numbers, (batch) => app.api.bulk(batch, action, app.author()));
    const changed = done.filter((item) => item.changes.length);
    if (changed.length) {
      past.push({ text: `${text}, ${images(changed.length)}`, done: changed });
      future = [];
      tell();
      const undone = () => void again(past, future, true);
      app.dialogs.toast(`${text}: ${images(changed.length)} changed`, { action: { text: "Undo", run: undone } });
    } else if (!failed.length) app.dialogs.toast(`${text}: nothing to change in ${images(numbers.length)}`);
    report(text, failed);
  }

  /** @param {Deed[]} from @param {Deed[]} to @param {boolean} back */
  async function again(from, to, back) {
    const deed = busy ? undefined : from.pop();
    if (!deed) return;
    const text = `${back ? "Undone" : "Done again"}: ${deed.text}`;
    const items = deed.done.map(({ number, key, changes }) => ({ number, key, changes: back ? inverse(changes) : changes }));
    const { done, failed } = await inBatches(text, items, (batch) => app.api.changes(batch, app.author()));
    const made = new Set(done.map((item) => item.number));
    const rest = deed.done.filter((item) => !made.has(item.number));
    if (made.size) to.push({ text: deed.text, done: deed.done.filter((item) => made.has(item.number)) });
    if (rest.length && !failed.length) from.push({ text: deed.text, done: rest }); // stopped on the way, or the server was lost
    tell();
    if (made.size) app.dialogs.toast(text);
    report(text, failed);
  }

  /** @param {string} text @param {Bulk["failed"]} failed */
  function report(text, failed) {
    if (!failed.length) return;
    const rows = failed.slice(0, FEW).map(({ key, message }) => h("li", {}, h("bdi", { class: "name" }, shown(key)), h("small", {}, shown(message))));
    const more = failed.length > FEW ? h("p", { class: "muted" }, `and ${counted(failed.length - FEW)} more`) : null;
    const body = h("div", { class: "failed" }, h("p", {}, `${text}: not done in ${images(failed.length)}, which are as they were.`), h("ul", {}, ...rows), more);
    app.dialogs.open({ title: "Not everything was done", body, buttons: [], wide: true });
  }

  function accept() {
    return run("Accept suggestions", { kind: "accept" });
  }

  function reject() {
    return run("Reject suggestions", { kind: "reject" });
  }

  async function relabel() {
    const names = Object.keys(found().categories).sort();
    const from = chooser("Category now", names, "every category", false);
    const to = chooser("New category", app.categories().map((category) => category.name), "", true);
    const body = h("div", { class: "field" }, h("p", {}, `Labels of ${images(selected().length)}.`), ...from.parts, ...to.parts);
    if ((await app.dialogs.open({ title: "Relabel", body, buttons: [{ value: "yes", text: "Relabel", kind: "primary" }] })) !== "yes") return;
    const [was, name] = [from.input.value.trim(), to.input.value.trim()];
    app.addCategory(name);
    await run(`Relabel ${was ? shown(was) : "all"} to ${shown(name)}`, { kind: "relabel", from: was || null, to: name });
  }

  async function tag() {
    const name = await app.dialogs.prompt({
      title: "Tag", text: `A label of the whole image, for ${images(selected().length)}.`, label: "Tag", yes: "Tag", choices: tags(),
    });
    if (name) await run(`Tag ${shown(name)}`, { kind: "tag", name });
  }

  async function untag() {
    const name = await app.dialogs.prompt({ title: "Untag", text: `Taken from ${images(selected().length)}.`, label: "Tag", yes: "Untag", choices: tags() });
    if (name) await run(`Untag ${shown(name)}`, { kind: "untag", name });
  }

  async function split() {
    const choices = [...new Set([...SPLITS, ...Object.keys(found().splits)])];
    const name = await app.dialogs.prompt({
      title: "Split", text: `Of ${images(selected().length)}; empty for none.`, label: "Split", yes: "Set split", choices, required: false,
    });
    if (name !== null) await run(name ? `Split ${shown(name)}` : "No split", { kind: "split", name: name || null });
  }

  async function mark() {
    const comment = h("textarea", { id: "mark-comment", rows: 3 });
    const body = h("div", { class: "field" }, h("p", {}, `Say of ${images(selected().length)} that they are reviewed, or what is wrong with them.`),
      h("label", { for: "mark-comment" }, "Comment"), comment);
    const state = await app.dialogs.open({ title: "Mark", body, buttons: [
      { value: "none", text: "Take the mark away" }, { value: "rejected", text: "Reject", kind: "danger" }, { value: "reviewed", text: "Reviewed", kind: "primary" },
    ] });
    if (!state) return;
    const marks = /** @type {Record<string, "reviewed" | "rejected" | null>} */ ({ none: null, rejected: "rejected", reviewed: "reviewed" });
    const text = { none: "Take the mark away", rejected: "Mark as rejected", reviewed: "Mark as reviewed" }[state] ?? "Mark";
    await run(text, { kind: "review", state: marks[state], comment: comment.value.trim() });
  }

  /** Tags of the images that are selected, as far as they are known. */
  function tags() {
    const seen = selected().flatMap((number) => cards.get(number)?.tags ?? []);
    return [...new Set([...seen, ...app.categories().map((category) => category.name)])];
  }

  const when = () => document.body.dataset.view === "grid";
  const chosen = () => when() && selected().length > 0;
  app.keys.on("undo", () => void again(past, future, true), { when });
  app.keys.on("redo", () => void again(future, past, false), { when });
  app.keys.on("accept", () => void accept(), { when: chosen });
  app.keys.on("reject", () => void reject(), { when: chosen });

  return {
    bar,
    undo,
    redo,
    /** @param {number} size */
    show(size) {
      bar.hidden = !size && !busy;
      count.textContent = `${counted(size)} selected`;
    },
  };
}

/** @param {Change[]} changes @returns {Change[]} */
function inverse(changes) {
  return changes.map((change) => /** @type {Change} */ ({ ...change, before: change.after, after: change.before })).reverse();
}

/** @param {number} count */
function images(count) {
  return count === 1 ? "1 image" : `${counted(count)} images`;
}

/** A text field that proposes names. @param {string} label @param {string[]} names @param {string} placeholder @param {boolean} required */
function chooser(label, names, placeholder, required) {
  const id = `choose-${label.replace(" ", "-").toLowerCase()}`;
  const input = h("input", { id, list: `${id}-list`, placeholder, required, autocomplete: "off" });
  const list = h("datalist", { id: `${id}-list` }, ...names.map((name) => h("option", { value: name })));
  return { input, parts: [h("label", { for: id }, label), input, list] };
}
