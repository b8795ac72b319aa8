// The same done to all selected images, undone and done again.

import { field } from "./dialogs.js";
import { button, counted, h, shown, tool } from "./dom.js";

/** @import { Deed, MakeBulk } from "./app.d.ts" */
/** @import { Action, Bulk, Change } from "./types.d.ts" */

const BATCH = 100; // images of one request
const FEW = 200; // failures in a list

/** @type {MakeBulk} */
export function createBulk(app, { cards, selected, found, clear, done, fail }) {
  /** @type {Deed[]} */
  const past = [];
  /** @type {Deed[]} */
  const future = [];
  let stop = false;
  let busy = false;

  const back = () => again(past, future, true);
  const forth = () => again(future, past, false);
  const undo = tool("Undo", "M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6M6 3.5l-3 3 3 3", back);
  const redo = tool("Redo", "M13 6.5H6.5a3.5 3.5 0 0 0 0 7H10M10 3.5l3 3-3 3", forth);
  const deeds = { Accept: accept, Reject: reject, Relabel: relabel, Tag: tag, Untag: untag, Split: split, Mark: mark };
  const actions = h("div", { class: "actions", role: "toolbar", "aria-label": "Selected images" },
    ...Object.entries(deeds).map(([text, onclick], index) => button({ label: text, text: index < 2 ? text : `${text}\u2026`, onclick })),
    h("span", { class: "space" }), tool("Select none", "M4 4l8 8M12 4l-8 8", clear));
  const count = h("span", { class: "chosen", role: "status" });
  const meter = h("progress", { "aria-label": "Progress" });
  const what = h("span");
  const doing = h("div", { class: "actions" }, what, meter, button({ label: "Stop", text: "Stop", onclick: () => (stop = true) }));
  const bar = h("div", { class: "action-bar", hidden: true }, count, actions, doing);
  tell();

  function tell() {
    for (const [button, name, deeds] of /** @type {const} */ ([[undo, "Undo", past], [redo, "Redo", future]])) {
      button.disabled = busy || !deeds.length;
      button.title = deeds.length ? `${name} (${app.keys.text(name.toLowerCase())}): ${deeds.at(-1)?.text}` : name;
    }
    actions.hidden = busy;
    doing.hidden = !busy;
  }

  /** @template T @param {string} text @param {T[]} items @param {(batch: T[]) => Promise<Bulk>} ask @returns {Promise<Bulk>} */
  async function inBatches(text, items, ask) {
    /** @type {Bulk} */
    const all = { done: [], failed: [] };
    busy = true;
    stop = false;
    what.textContent = text;
    meter.max = items.length;
    tell();
    try {
      for (let from = 0; from < items.length && !stop; from += BATCH) {
        meter.value = from;
        const batch = await ask(items.slice(from, from + BATCH));
        all.done.push(...batch.done);
        all.failed.push(...batch.failed);
      }
    } catch (error) {
      fail(error);
    }
    busy = false;
    cards.forget(all.done.map((item) => item.number));
    done();
    if (all.failed.length) report(text, all.failed);
    return all;
  }

  /** @param {string} text @param {Action} action */
  async function run(text, action) {
    const numbers = selected();
    const { done, failed } = await inBatches(text, numbers, (batch) => app.api.bulk(batch, action, app.author()));
    const changed = done.filter((item) => item.changes.length);
    if (changed.length) {
      past.push({ text: `${text}, ${images(changed.length)}`, done: changed });
      future.length = 0;
      app.dialogs.toast(`${text}: ${images(changed.length)} changed; ${app.keys.text("undo")} takes it back`);
    } else if (!failed.length) app.dialogs.toast(`${text}: nothing to change in ${images(numbers.length)}`);
    tell();
  }

  /** @param {Deed[]} from @param {Deed[]} to @param {boolean} undoing */
  async function again(from, to, undoing) {
    const deed = busy ? null : from.pop();
    if (!deed) return;
    const items = deed.done.map(({ number, key, changes }) => ({ number, key, changes: undoing ? inverse(changes) : changes }));
    const { done, failed } = await inBatches(deed.text, items, (batch) => app.api.changes(batch, app.author()));
    const asked = new Set([...done, ...failed].map((item) => item.number));
    const made = new Set(done.map((item) => item.number));
    const [gone, left] = [deed.done.filter((item) => made.has(item.number)), deed.done.filter((item) => !asked.has(item.number))];
    if (gone.length) to.push({ text: deed.text, done: gone });
    if (left.length) from.push({ text: deed.text, done: left }); // it was stopped, or the server was lost
    if (gone.length) app.dialogs.toast(`${undoing ? "Undone" : "Done again"}: ${deed.text}`);
    tell();
  }

  /** @param {string} text @param {Bulk["failed"]} failed */
  function report(text, failed) {
    const rows = failed.slice(0, FEW).map(({ key, message }) => h("li", {}, h("bdi", {}, shown(key)), h("small", {}, shown(message))));
    const more = failed.length > FEW && h("li", {}, `and ${counted(failed.length - FEW)} more`);
    const body = h("div", { class: "failed" }, h("p", {}, `${text}: not done in ${images(failed.length)}, which stay as they are.`), h("ul", {}, ...rows, more));
    app.dialogs.open({ title: "Not everything was done", body, buttons: [], wide: true });
  }

  function accept() {
    return run("Accept suggestions", { kind: "accept" });
  }

  function reject() {
    return run("Reject suggestions", { kind: "reject" });
  }

  async function relabel() {
    const from = field("Category now", { choices: Object.keys(found().categories), placeholder: "every category" });
    const to = field("New category", { choices: names(), required: true });
    const body = h("div", { class: "field" }, h("p", {}, `Labels of ${images(selected().length)}.`), ...from.parts, ...to.parts);
    if (!(await app.dialogs.open({ title: "Relabel", body, buttons: [{ value: "yes", text: "Relabel", kind: "primary" }] }))) return;
    const [was, name] = [from.input.value.trim(), to.input.value.trim()];
    app.addCategory(name);
    await run(`Relabel ${was ? shown(was) : "all"} to ${shown(name)}`, { kind: "relabel", from: was || null, to: name });
  }

  /** @param {string} title @param {string[]} choices @param {boolean} [required] */
  function asked(title, choices, required = true) {
    return app.dialogs.prompt({ title, text: `For ${images(selected().length)}.`, label: required ? title : `${title}, or nothing`, yes: title, choices, required });
  }

  async function tag() {
    const name = await asked("Tag", [...tags(), ...names()]);
    if (name) await run(`Tag ${shown(name)}`, { kind: "tag", name });
  }

  async function untag() {
    const name = await asked("Untag", tags());
    if (name) await run(`Untag ${shown(name)}`, { kind: "untag", name });
  }

  async function split() {
    const name = await asked("Split", [...new Set(["train", "val", "test", ...Object.keys(found().splits)])], false);
    if (name !== null) await run(`Split ${shown(name) || "none"}`, { kind: "split", name: name || null });
  }

  async function mark() {
    const comment = h("textarea", { id: "mark-comment", rows: 3 });
    const body = h("div", { class: "field" }, h("p", {}, `For ${images(selected().length)}.`), h("label", { for: "mark-comment" }, "Comment"), comment);
    const state = /** @type {"reviewed" | "rejected" | "" | null} */ (await app.dialogs.open({ title: "Mark", body, buttons: [
      { value: "", text: "No mark" }, { value: "rejected", text: "Rejected", kind: "danger" }, { value: "reviewed", text: "Reviewed", kind: "primary" },
    ] }));
    if (state !== null) await run(`Mark ${state || "none"}`, { kind: "review", state: state || null, comment: comment.value.trim() });
  }

  const names = () => app.categories().map((category) => category.name);
  const tags = () => [...new Set(selected().flatMap((number) => cards.get(number)?.tags ?? []))];

  const when = () => document.body.dataset.view === "grid";
  const chosen = { when: () => when() && !busy && selected().length > 0 };
  app.keys.on("undo", () => void back(), { when });
  app.keys.on("redo", () => void forth(), { when });
  app.keys.on("accept", () => void accept(), chosen);
  app.keys.on("reject", () => void reject(), chosen);

  return {
    bar,
    undo,
    redo,
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
  return `${counted(count)} image${count === 1 ? "" : "s"}`;
}
