// At the right: categories, the list of labels, what is known of the selected one, and of the image.

import * as geometry from "./geometry.js";
import { createList } from "./list.js";
import { button, counted, h, shown } from "./dom.js";

/** @import {Attribute, Label, Picture} from "./types" */
/** @import {Bench} from "./bench.js" */

const SPLITS = ["train", "val", "test"];
const FROM = {
  image: "the image itself",
  sidecar: "a file beside the image",
  files: "label files; the first save puts them into the image",
  none: "nowhere yet",
};
let fields = 0;

/** @param {Bench} bench @param {{approve: () => void}} does */
export function createPanel(bench, does) {
  return h(
    "aside",
    { class: "panel", "aria-label": "Labels and image" },
    categories(bench),
    labels(bench),
    details(bench),
    image(bench, does),
  );
}

/** @param {Bench} bench */
function categories(bench) {
  const { app } = bench;
  const list = h("div", { class: "palette", role: "group", "aria-label": "Categories" });
  const search = h("input", { "aria-label": "Find or add a category", placeholder: "Find or add a category", autocomplete: "off", maxlength: "200" });
  const form = h("form", { class: "row", onsubmit: taken }, search, h("button", { "aria-label": "Add category" }, "Add"));

  /** @param {Event} event */
  function taken(event) {
    event.preventDefault();
    const name = search.value.trim();
    if (!name) return;
    const known = app.categories().find((one) => one.name.toLowerCase() === name.toLowerCase());
    search.value = "";
    search.blur();
    bench.choose(known?.name ?? name);
    draw();
  }

  function draw() {
    const now = bench.selected ? (bench.selected.category ?? null) : bench.category;
    const wanted = search.value.trim().toLowerCase();
    const found = app.categories().filter(({ name }) => name.toLowerCase().includes(wanted));
    const buttons = found.map((category) =>
      button({
        label: `Category ${shown(category.name)}`,
        class: "category",
        "aria-pressed": String(category.name === now),
        onclick: () => bench.choose(category.name),
      }),
    );
    buttons.forEach((one, i) => one.append(swatch(app.colourOf(found[i].name)), named(found[i].name), h("kbd", {}, keyOf(bench, found[i].name))));
    list.replaceChildren(...(found.length ? buttons : [h("p", { class: "muted" }, wanted ? "No such category yet: Enter adds it." : "No categories yet: type the name of one.")]));
  }

  search.addEventListener("input", draw);
  let before = "";
  const look = () => {
    const now = `${bench.selected?.category} ${bench.selected?.id} ${bench.category} ${app.categories().map(({ name }) => name)}`;
    if (now !== before) draw();
    before = now;
  };
  for (const event of /** @type {const} */ (["category", "selection", "labels", "image"])) bench.on(event, look);
  draw();
  return h("section", { class: "categories" }, h("h2", {}, "Categories"), list, form);
}

/** @param {Bench} bench @param {string} name @returns {string} the key of a category */
export function keyOf(bench, name) {
  const all = bench.app.categories();
  const own = all.find((one) => one.name === name)?.key;
  if (own) return own;
  const place = all.filter(({ key }) => !key).findIndex((one) => one.name === name);
  return place < 0 || place > 8 ? "" : bench.app.keys.text(`category_${place + 1}`);
}

/** @param {Bench} bench */
function labels(bench) {
  const head = h("h2", {}, "Labels");
  const count = h("span", { class: "muted" });
  const list = createList(bench);
  const show = () => {
    const open = bench.undecided().length;
    count.textContent = `${counted(bench.labels.size)}${open ? `, ${counted(open)} undecided` : ""}`;
  };
  bench.on("labels", show);
  bench.on("image", show);
  return h("section", { class: "labels" }, h("header", {}, head, count), list);
}

/** @param {Bench} bench */
function details(bench) {
  const body = h("div", { class: "body" });
  let built = "";
  /** @type {((label: Label) => void)[]} */
  let updates = [];

  function draw() {
    const label = bench.selected;
    const known = label ? (bench.categoryOf(label.category ?? null)?.attributes ?? []) : [];
    const others = label ? Object.keys(label.attributes ?? {}).filter((name) => name !== "comment" && !known.some((one) => one.name === name)) : [];
    const now = label ? JSON.stringify([label.id, bench.work?.key, label.category, others, bench.app.categories().length]) : "";
    if (now !== built || !label) {
      built = now;
      updates = [];
      body.replaceChildren(...(label ? build(label, known, others) : [h("p", { class: "muted" }, "Nothing is selected. Click a label, or Tab through them.")]));
    }
    for (const update of updates) if (label) update(label);
  }

  /** @param {Label} label @param {Attribute[]} known @param {string[]} others */
  function build(label, known, others) {
    const readonly = bench.work?.picture.readonly !== null;
    /** @param {string} status @param {string} text @param {string} icon @param {() => void} onclick */
    const decision = (status, text, icon, onclick) => {
      const made = button({ label: text, text, icon, onclick, disabled: readonly || !label.status });
      updates.push((now) => {
        made.disabled = readonly || !now.status;
        made.setAttribute("aria-pressed", String(now.status === status));
      });
      return made;
    };
    const buttons = h(
      "div",
      { class: "row" },
      decision("accepted", "Accept", "M3 8.500l3.5 3.500L13 4.5", () => bench.decide("accepted")),
      decision("rejected", "Reject", "M4 4l8 8M12 4l-8 8", () => bench.decide("rejected")),
      button({ label: "Delete", text: "Delete", onclick: () => (bench.pick(null), bench.remove()), disabled: readonly }),
    );
    const told = h("p", { class: "muted told" });
    updates.push((now) => void (told.textContent = origin(now)));
    /** @type {HTMLElement[]} */
    const parts = [
      field("Category", categoryField(bench, updates), readonly),
      ...known.map((attribute) => field(attribute.name, attributeField(bench, attribute, updates), readonly)),
      ...others.map((name) => field(name, attributeField(bench, guessed(name, label.attributes?.[name]), updates), readonly)),
      field("Comment", attributeField(bench, { name: "comment", kind: "text" }, updates), readonly),
      buttons,
      told,
    ];
    if (bench.app.session.segment && geometry.kindOf(label) !== "tag") parts.push(following(bench));
    return parts;
  }

  bench.on("selection", draw);
  bench.on("labels", draw);
  bench.on("category", draw);
  draw();
  return h("section", { class: "details" }, h("h2", {}, "Selected label"), body);
}

/** @param {Bench} bench */
function following(bench) {
  const { app } = bench;
  return button({
    label: "Find in the following images",
    text: "Find in the following images",
    async onclick() {
      const [work, label] = [bench.work, bench.selected];
      if (!work || !label) return;
      const text = "What looks like it becomes a suggestion there, until nothing does.";
      const asked = await app.dialogs.prompt({ title: "Find in the following images", text, label: "How many images at most", value: "20" });
      const count = Math.floor(Number(asked));
      if (asked === null || !(count > 0)) return;
      app.announce("Looking at the following images");
      try {
        await bench.saving.send(work);
        const { done, stopped } = await app.api.propagate(work.number, label.id, count, app.author());
        app.dialogs.toast(`Found in ${done.length} of the following images.${stopped ? ` ${stopped}` : ""}`);
      } catch (error) {
        app.dialogs.toast(error instanceof Error ? error.message : String(error), { kind: "error" });
      }
    },
  });
}

/** @param {Bench} bench @param {((label: Label) => void)[]} updates */
function categoryField(bench, updates) {
  const select = h("select", { onchange: () => (bench.choose(select.value), select.blur()) });
  const names = bench.app.categories().map(({ name }) => name);
  const none = h("option", { value: "", disabled: true }, "no category");
  select.append(none, ...names.map((name) => h("option", { value: name }, shown(name))));
  updates.push((label) => {
    if (label.category && !names.includes(label.category)) {
      names.push(label.category);
      select.append(h("option", { value: label.category }, shown(label.category)));
    }
    select.value = label.category ?? "";
  });
  return select;
}

/** @param {Bench} bench @param {Attribute} attribute @param {((label: Label) => void)[]} updates */
function attributeField(bench, attribute, updates) {
  const { name, kind } = attribute;
  /** @param {unknown} value */
  const tell = (value) => bench.selected && bench.describe(bench.selected, name, value);
  const value = (/** @type {Label} */ label) => label.attributes?.[name];
  if (kind === "choice") {
    const select = h("select", { onchange: () => tell(select.value) });
    select.append(h("option", { value: "" }, "\u2013"), ...(attribute.choices ?? []).map((choice) => h("option", { value: choice }, shown(choice))));
    updates.push((label) => {
      const now = String(value(label) ?? "");
      if (now && ![...select.options].some((option) => option.value === now)) select.append(h("option", { value: now }, shown(now)));
      select.value = now;
    });
    return select;
  }
  if (kind === "boolean") {
    const box = h("input", { type: "checkbox", onchange: () => tell(box.checked) });
    updates.push((label) => void (box.checked = value(label) === true));
    return box;
  }
  const input = h("input", { type: kind === "number" ? "number" : "text", autocomplete: "off", min: attribute.min, max: attribute.max, step: kind === "number" ? "any" : null });
  input.addEventListener("change", () => {
    if (kind !== "number") tell(input.value);
    else if (input.value === "") tell(undefined);
    else if (input.checkValidity()) tell(Number(input.value));
    else input.reportValidity();
  });
  input.addEventListener("keydown", ({ key }) => key === "Enter" && input.blur());
  updates.push((label) => {
    const now = value(label);
    if (document.activeElement !== input) input.value = now === undefined || now === null ? "" : typeof now === "object" ? JSON.stringify(now) : String(now);
    input.readOnly = typeof now === "object" && now !== null;
  });
  return input;
}

/** @param {string} name @param {unknown} value @returns {Attribute} of a kind that fits what is there */
function guessed(name, value) {
  if (typeof value === "boolean") return { name, kind: "boolean" };
  return { name, kind: typeof value === "number" ? "number" : "text" };
}

/** @param {string} label @param {HTMLInputElement | HTMLSelectElement | HTMLButtonElement} input @param {boolean} [disabled] */
function field(label, input, disabled) {
  input.id = `label-${++fields}`;
  input.disabled = Boolean(disabled);
  return h("div", { class: "pair" }, h("label", { for: input.id }, shown(label)), input);
}

/** @param {Bench} bench @param {{approve: () => void}} does */
function image(bench, does) {
  const { app } = bench;
  const reviewed = button({ label: "Reviewed", text: "Reviewed", onclick: () => bench.review(bench.work?.content.review?.state === "reviewed" ? null : { state: "reviewed" }) });
  const rejected = button({ label: "Reject with comment", text: "Reject\u2026", onclick: () => reject(bench) });
  const approve = button({ label: "Accept all and go on", text: "Accept all and go on", title: `Accept all suggestions, mark the image as reviewed, and go on (${app.keys.text("accept_all")})`, class: "primary", onclick: does.approve });
  const mark = h("p", { class: "muted mark" });
  const split = h("input", { id: "split", "aria-label": "Split", placeholder: "Split", list: "splits", autocomplete: "off", maxlength: "100", onchange: () => bench.split(split.value.trim() || null) });
  split.addEventListener("keydown", ({ key }) => key === "Enter" && split.blur());
  const splits = h("datalist", { id: "splits" }, ...SPLITS.map((value) => h("option", { value })));
  const tag = h("input", { id: "tag", "aria-label": "Tag", placeholder: "Tag the image", list: "tags", autocomplete: "off", maxlength: "200" });
  const tags = h("datalist", { id: "tags" });
  const tagging = h("form", { class: "row", onsubmit: tagged }, tag, h("button", { "aria-label": "Add tag" }, "Add"), split, tags, splits);
  const info = h("dl");
  const more = h("details", {}, h("summary", {}, "Image"), info);

  /** @param {Event} event */
  function tagged(event) {
    event.preventDefault();
    const name = tag.value.trim();
    if (!name) return;
    if (!bench.categoryOf(name)) app.addCategory(name);
    bench.add({ category: name }, "Tag");
    tag.value = "";
    tag.blur();
  }

  function draw() {
    const work = bench.work;
    if (!work) return;
    const { review } = work.content;
    const readonly = work.picture.readonly !== null;
    for (const [one, state] of /** @type {const} */ ([[reviewed, "reviewed"], [rejected, "rejected"]])) {
      one.setAttribute("aria-pressed", String(review?.state === state));
      one.disabled = readonly;
    }
    const by = review?.author ? ` by ${shown(review.author)}${when(review.time)}` : "";
    mark.textContent = review ? `${review.state}${by}${review.comment ? `: ${shown(review.comment)}` : ""}` : "not reviewed";
    if (document.activeElement !== split) split.value = work.content.split ?? "";
    split.disabled = tag.disabled = readonly;
    tags.replaceChildren(...app.categories().map(({ name }) => h("option", { value: name })));
    info.replaceChildren(...facts(work.picture).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
  }

  for (const event of /** @type {const} */ (["image", "labels", "state"])) bench.on(event, draw);
  return h(
    "section",
    { class: "image" },
    h("div", { class: "row" }, reviewed, rejected),
    mark,
    tagging,
    more,
    approve,
  );
}

/** @param {Bench} bench */
export async function reject(bench) {
  const there = bench.work?.content.review;
  if (!bench.work || bench.work.picture.readonly !== null) return;
  if (there?.state === "rejected") {
    bench.review(null);
    return;
  }
  const text = "The comment is kept in the image. An empty one is fine.";
  const comment = await bench.app.dialogs.prompt({ title: "Reject this image", text, label: "Comment", yes: "Reject", required: false });
  if (comment !== null) bench.review(comment ? { state: "rejected", comment } : { state: "rejected" });
}

/** @param {Label} label @returns {string} who says so */
function origin(label) {
  const { source, author, time, status, score } = label;
  const by = source?.kind === "model" ? `model ${shown(source.name ?? "without name")}` : "";
  const parts = [
    `${geometry.kindOf(label)}${status ? `, ${status}` : ""}`,
    score === null || score === undefined ? "" : `score ${score.toFixed(3)}`,
    by,
    author ? `${by ? "last changed " : ""}by ${shown(author)}${when(time)}` : when(time).trim(),
  ];
  return parts.filter(Boolean).join(" \u00b7 ");
}

/** @param {string | null | undefined} time */
function when(time) {
  const date = time ? new Date(time) : null;
  if (!date) return "";
  return Number.isNaN(date.getTime()) ? `, ${shown(time)}` : `, ${date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}`;
}

/** @param {Picture} picture @returns {[string, string][]} */
function facts(picture) {
  const { width, height, orientation, bytes, mime, from, readonly, problems, time } = picture;
  /** @type {[string, string][]} */
  const found = [
    ["Size", width && height ? `${counted(width)} \u00d7 ${counted(height)} pixels` : "unknown"],
    ["Orientation", orientation === 1 ? "1, as stored" : `${orientation}, turned for display`],
    ["File", `${counted(bytes)} bytes${mime ? `, ${mime}` : ""}${when(time)}`],
    ["Labels from", FROM[from]],
  ];
  if (readonly !== null) found.push(["Read only", shown(readonly)]);
  for (const { code, message } of problems) found.push([shown(code), shown(message)]);
  return found;
}

/** @param {string} colour */
export function swatch(colour) {
  const made = h("span", { class: "swatch" });
  made.style.background = colour;
  return made;
}

/** @param {string | null | undefined} text */
const named = (text) => h("bdi", { class: "name" }, text ? shown(text) : "no category");
