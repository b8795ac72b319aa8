// At the right: categories, the list of labels, what is known of the selected one, and of the image.

import { button, counted, h, shown } from "./dom.js";
import { kindOf } from "./geometry.js";

const ROW = 28; // pixels of a row in the list
const FROM = {
  image: "the image itself",
  sidecar: "a file beside the image",
  files: "label files; the first save puts them into the image",
  none: "nowhere yet",
};
let fields = 0;

/** @param {Bench} bench @param {() => void} approve */
export const createPanel = (bench, approve) =>
  h("aside", { class: "panel", "aria-label": "Labels and image" }, categories(bench), labels(bench), details(bench), image(bench, approve));

/** @param {Bench} bench */
function categories(bench) {
  const { app } = bench;
  const list = h("div", { class: "palette", role: "group", "aria-label": "Categories" });
  const [search, form] = adding("Find or add a category", "Add category", (name) => {
    bench.choose(app.categories().find((one) => one.name.toLowerCase() === name.toLowerCase())?.name ?? name);
  });
  let before = "";

  function draw() {
    const now = (bench.selected ?? bench).category;
    const wanted = search.value.trim().toLowerCase();
    const all = app.categories();
    const state = JSON.stringify([now, wanted, all]);
    if (state === before) return;
    before = state;
    const found = all.filter(({ name }) => name.toLowerCase().includes(wanted)).map(({ name, key }) => {
      const place = all.filter((one) => !one.key).findIndex((one) => one.name === name) + 1;
      const made = button({ label: `Category ${shown(name)}`, class: "quiet category", "aria-pressed": name === now, onclick: () => bench.choose(name) });
      made.append(swatch(bench, name), named(name), h("kbd", {}, key ?? app.keys.text(`category_${place}`)));
      return made;
    });
    const none = wanted ? "No such category yet: Enter adds it." : "No categories yet: type the name of one.";
    list.replaceChildren(...(found.length ? found : [h("p", { class: "muted" }, none)]));
  }

  search.addEventListener("input", draw);
  bench.on(["category", "selection", "labels", "image"], draw);
  return h("section", {}, h("h2", {}, "Categories"), list, form);
}

/** The list of labels. Only rows in sight are in the page, so that thousands cost no more than a few. @param {Bench} bench */
function labels(bench) {
  const count = h("span", { class: "muted" });
  const rows = h("div", { class: "rows" });
  const root = h("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": "Labels" }, rows);
  /** @type {Label[]} */
  let all = [];
  let waiting = 0;
  const place = () => all.findIndex(({ id }) => id === bench.selected?.id);
  const soon = () => (waiting ||= requestAnimationFrame(draw));

  function draw() {
    waiting = 0;
    const first = Math.max(0, Math.floor(root.scrollTop / ROW) - 2);
    rows.style.height = `${all.length * ROW}px`;
    rows.replaceChildren(...all.slice(first, first + Math.ceil(root.clientHeight / ROW) + 4).map((label, i) => row(label, first + i)));
  }

  /** @param {Label} label @param {number} at */
  function row(label, at) {
    const { id, category, status, score, attributes } = label;
    const [kind, is] = [kindOf(label), id === bench.selected?.id];
    const says = status === "suggestion" && typeof score === "number" ? score.toFixed(2) : (status ?? (kind === "box" ? "" : kind));
    const comment = attributes?.comment ? `: ${shown(String(attributes.comment))}` : "";
    const made = h(
      "div",
      { class: `label-row ${status ?? ""}`, role: "option", id: `row-${at}`, "aria-selected": is, "aria-setsize": all.length, "aria-posinset": at + 1, title: `${kind} ${status ?? ""}${comment}`, onclick: () => bench.select(id) },
      swatch(bench, category),
      named(category),
      comment && "\u201d",
      h("span", { class: "muted" }, says),
    );
    made.style.top = `${at * ROW}px`;
    if (is) root.setAttribute("aria-activedescendant", made.id);
    return made;
  }

  root.addEventListener("scroll", soon);
  root.addEventListener("mousedown", (event) => event.preventDefault());
  root.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const next = all[Math.max(0, Math.min(all.length - 1, place() + (by ?? 0)))];
    if (!by || !next) return;
    event.preventDefault();
    bench.select(next.id);
  });
  new ResizeObserver(soon).observe(root);
  bench.on(["image"], () => (root.scrollTop &&= 0));
  bench.on(["labels"], () => {
    all = [...bench.labels.values()];
    const open = bench.undecided().length;
    count.textContent = `${counted(all.length)}${open ? `, ${counted(open)} undecided` : ""}`;
    soon();
  });
  bench.on(["selection"], () => {
    const top = place() * ROW;
    if (top >= 0) root.scrollTop = Math.max(top + ROW - root.clientHeight, Math.min(top, root.scrollTop));
    soon();
  });
  return h("section", {}, h("header", {}, h("h2", {}, "Labels"), count), root);
}

/** @param {Bench} bench */
function details(bench) {
  const body = h("div", { class: "body" });
  let built = "";
  /** @type {((label: Label) => void)[]} */
  let updates = [];

  function draw() {
    const label = bench.selected;
    const known = bench.categoryOf(label?.category)?.attributes ?? [];
    const others = Object.entries(label?.attributes ?? {}).filter(([name]) => name !== "comment" && !known.some((one) => one.name === name));
    const now = JSON.stringify([label?.id, bench.work?.key, label?.category, others.map(([name]) => name), bench.app.categories().length, bench.readonly]);
    if (now !== built) {
      built = now;
      updates = [];
      const all = [...known, ...others.map(guessed), { name: "comment", kind: /** @type {const} */ ("text") }];
      body.replaceChildren(...(label ? build(all, kindOf(label)) : [h("p", { class: "muted" }, "Click a label, or Tab through them.")]));
    }
    for (const update of updates) if (label) update(label);
  }

  /** @param {Attribute[]} attributes @param {string} kind */
  function build(attributes, kind) {
    const decision = (/** @type {"accepted" | "rejected"} */ status, /** @type {string} */ text, /** @type {string} */ icon) => {
      const made = button({ label: text, text, icon, onclick: () => bench.decide(status) });
      updates.push((label) => {
        made.disabled = bench.readonly || !label.status;
        made.setAttribute("aria-pressed", String(label.status === status));
      });
      return made;
    };
    const told = h("p", { class: "muted told" });
    updates.push((label) => void (told.textContent = origin(label, bench)));
    const decisions = [decision("accepted", "Accept", "M3 8.5l3.5 3.5L13 4.5"), decision("rejected", "Reject", "M4 4l8 8M12 4l-8 8")];
    const remove = button({ label: "Delete", text: "Delete", disabled: bench.readonly, onclick: () => (bench.pick(null), bench.remove()) });
    return [
      pair("Category", categoryField(), bench),
      ...attributes.map((one) => pair(one.name === "comment" ? "Comment" : one.name, attributeField(one), bench)),
      h("div", { class: "row" }, ...decisions, remove),
      told,
      ...(bench.app.session.segment && kind !== "tag" ? [following(bench)] : []),
    ];
  }

  function categoryField() {
    const select = h("select", { onchange: () => (bench.choose(select.value), select.blur()) });
    select.append(option("", "no category"), ...bench.app.categories().map(({ name }) => option(name)));
    updates.push((label) => choose(select, label.category ?? ""));
    return select;
  }

  /** @param {Attribute} attribute */
  function attributeField({ name, kind, choices = [], min, max }) {
    const tell = (/** @type {unknown} */ value) => bench.selected && bench.describe(bench.selected, name, value);
    const show = (/** @type {(value: any) => void} */ put) => updates.push((label) => put(label.attributes?.[name]));
    if (kind === "choice") {
      const select = h("select", { onchange: () => tell(select.value) }, option("", "\u2013"), ...choices.map((choice) => option(choice)));
      show((value) => choose(select, String(value ?? "")));
      return select;
    }
    if (kind === "boolean") {
      const box = h("input", { type: "checkbox", onchange: () => tell(box.checked) });
      show((value) => (box.checked = value === true));
      return box;
    }
    const input = h("input", { type: kind, autocomplete: "off", min, max, step: "any", onkeydown: left });
    input.addEventListener("change", () => {
      if (!input.reportValidity()) return;
      tell(kind === "number" && input.value ? Number(input.value) : input.value);
    });
    show((value) => {
      input.readOnly = typeof value === "object" && value !== null;
      if (document.activeElement !== input) input.value = input.readOnly ? JSON.stringify(value) : String(value ?? "");
    });
    return input;
  }

  bench.on(["selection", "labels", "category", "image"], draw);
  return h("section", {}, h("h2", {}, "Selected label"), body);
}

/** @param {Bench} bench */
function following(bench) {
  const text = "Find in the following images";
  return button({ label: text, text, async onclick() {
    const { app, saving, work, selected: label } = bench;
    const asked = await app.dialogs.prompt({ title: text, text: "What looks like it becomes a suggestion there.", label: "How many images at most", value: "20" });
    if (!work || !label || !(Number(asked) >= 1)) return;
    app.announce("Looking at the following images");
    try {
      await saving.send(work);
      const { done, stopped } = await app.api.propagate(work.number, label.id, Math.floor(Number(asked)), app.author());
      app.dialogs.toast(`Found in ${done.length} of the following images. ${stopped ?? ""}`);
    } catch (error) {
      app.dialogs.toast(/** @type {Error} */ (error).message, { kind: "error" });
    }
  } });
}

/** @param {Bench} bench @param {() => void} approve */
function image(bench, approve) {
  const { app } = bench;
  const reviewed = button({ label: "Reviewed", text: "Reviewed", onclick: () => bench.field("review", bench.work?.content.review?.state === "reviewed" ? null : { state: "reviewed" }) });
  const rejected = button({ label: "Reject with comment", text: "Reject\u2026", onclick: () => reject(bench) });
  const going = button({ label: "Accept all and go on", text: "Accept all and go on", title: `All is right: accept it, and go on (${app.keys.text("accept_all")})`, class: "primary", onclick: approve });
  const mark = h("p", { class: "muted told" });
  const lists = ["splits", "tags"].map((id) => h("datalist", { id }));
  const split = h("input", { id: "split", "aria-label": "Split", placeholder: "Split", list: "splits", autocomplete: "off", maxlength: "100", onkeydown: left });
  split.addEventListener("change", () => bench.field("split", split.value.trim() || null));
  const [tag, tagging] = adding("Tag", "Add tag", (category) => {
    if (!bench.categoryOf(category)) app.addCategory(category);
    bench.add("Tag", { category });
  });
  tag.setAttribute("list", "tags");
  tagging.append(split, ...lists);
  lists[0].append(...["train", "val", "test"].map((name) => option(name)));
  const info = h("dl");

  function draw() {
    const work = bench.work;
    if (!work) return;
    const { review } = work.content;
    [reviewed, rejected].forEach((one, i) => one.setAttribute("aria-pressed", String(review?.state === ["reviewed", "rejected"][i])));
    for (const one of [reviewed, rejected, split, tag]) one.disabled = bench.readonly;
    mark.textContent = review ? `${review.state}${by(review)}${review.comment ? `: ${shown(review.comment)}` : ""}` : "not reviewed";
    if (document.activeElement !== split) split.value = work.content.split ?? "";
    if (document.activeElement !== tag) lists[1].replaceChildren(...app.categories().map(({ name }) => option(name)));
    info.replaceChildren(...facts(work.picture).flatMap(([name, text]) => [h("dt", {}, shown(name)), h("dd", {}, shown(text))]));
  }

  bench.on(["image", "labels", "state"], draw);
  return h("section", {}, h("div", { class: "row" }, reviewed, rejected), mark, tagging, h("details", {}, h("summary", {}, "Image"), info), going);
}

/** @param {Bench} bench */
export async function reject(bench) {
  if (bench.readonly) return;
  if (bench.work?.content.review?.state === "rejected") return bench.field("review", null);
  const comment = await bench.app.dialogs.prompt({ title: "Reject this image", text: "The comment is kept in the image.", label: "Comment", yes: "Reject", required: false });
  if (comment !== null) bench.field("review", { state: "rejected", comment });
}

/** @param {Picture} picture @returns {[string, string][]} */
const facts = ({ width, height, orientation, bytes, mime, time, from, readonly, problems }) => [
  ["Size", width && height ? `${counted(width)} \u00d7 ${counted(height)} pixels` : "unknown"],
  ["Orientation", orientation === 1 ? "1, as stored" : `${orientation}, turned for display`],
  ["File", `${counted(bytes)} bytes, ${mime ?? "of no known kind"}${by({ time })}`],
  ["Labels from", FROM[from]],
  ...(readonly === null ? [] : [/** @type {[string, string]} */ (["Read only", readonly])]),
  ...problems.map(({ code, message }) => /** @type {[string, string]} */ ([code, message])),
];

/** @param {Label} label @param {Bench} bench @returns {string} who says so, and what is wrong with it */
function origin(label, { work }) {
  const { source, status, score, id } = label;
  const model = source?.kind === "model" ? `by model ${shown(source.name)}` : "";
  const parts = [`${kindOf(label)}${by(label)}`, status, typeof score === "number" && `score ${score.toFixed(3)}`, model];
  const problems = work?.picture.problems.filter((one) => one.id === id).map(({ message }) => shown(message)) ?? [];
  return [...parts, ...problems].filter(Boolean).join(" \u00b7 ");
}

/** @param {{author?: string | null, time?: string | null}} what */
function by({ author, time }) {
  const date = new Date(time ?? "");
  const when = Number.isNaN(date.getTime()) ? shown(time) : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  return `${author ? ` by ${shown(author)}` : ""}${when ? `, ${when}` : ""}`;
}

/** @param {string} label @param {string} add @param {(name: string) => void} done @returns {[HTMLInputElement, HTMLFormElement]} a field for a name */
function adding(label, add, done) {
  const input = h("input", { "aria-label": label, placeholder: label, autocomplete: "off", maxlength: "200" });
  /** @param {Event} event */
  const onsubmit = (event) => {
    const name = input.value.trim();
    event.preventDefault();
    input.value = "";
    input.blur();
    if (name) done(name);
    input.dispatchEvent(new Event("input"));
  };
  return [input, h("form", { class: "row", onsubmit }, input, h("button", { "aria-label": add }, "Add"))];
}

/** @param {string} label @param {HTMLInputElement | HTMLSelectElement} input @param {Bench} bench */
function pair(label, input, bench) {
  input.id = `field-of-label-${++fields}`;
  input.disabled = bench.readonly;
  return h("div", { class: "pair" }, h("label", { for: input.id }, shown(label)), input);
}

/** @param {[string, unknown]} attribute @returns {Attribute} of a kind that fits what is there */
const guessed = ([name, value]) => ({ name, kind: typeof value === "boolean" || typeof value === "number" ? /** @type {"boolean" | "number"} */ (typeof value) : "text" });

const option = (/** @type {string} */ value, text = shown(value)) => h("option", { value }, text);

/** @param {HTMLSelectElement} select @param {string} value that may be none of those offered */
function choose(select, value) {
  if (![...select.options].some((one) => one.value === value)) select.append(option(value));
  select.value = value;
}

const left = (/** @type {KeyboardEvent} */ { key, target }) => key === "Enter" && /** @type {HTMLElement} */ (target).blur();

/** @param {Bench} bench @param {string | null | undefined} category */
function swatch(bench, category) {
  const made = h("span", { class: "swatch" });
  made.style.background = bench.app.colourOf(category);
  return made;
}

const named = (/** @type {string | null | undefined} */ text) => h("bdi", { class: "name" }, shown(text) || "no category");
