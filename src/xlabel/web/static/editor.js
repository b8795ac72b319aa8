// An image and its labels: the frame of the editor, its keys, and the way from one image to the next.

import { askAbout } from "./clashes.js";
import { button, h, shown } from "./dom.js";
import { createBench } from "./bench.js";
import { createDrawing, createStage } from "./stage.js";
import { createPanel, reject } from "./panel.js";
import { createTools } from "./tools.js";

const PATIENCE = 400; // milliseconds that going on waits for a save at most
const AHEAD = 4; // pictures that are asked for before somebody comes to them
const ARROWS = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] };

/** @type {import("./app").CreateEditor} */
export function createEditor(root, app) {
  const { keys } = app;
  const [zoomed, where] = [h("output", { "aria-label": "Zoom" }), h("output", { "aria-label": "Pointer" })];
  const stage = createStage(() => {
    const text = `${Math.round(stage.scale * 100)} %`;
    if (text !== zoomed.textContent) bench.drawing.scaled();
    zoomed.textContent = text;
    tools.grip();
  });
  const bench = createBench(app, stage, createDrawing(stage, app));
  const tools = createTools(bench, shownTool);

  // What keys and buttons do, by the names in the table of keys.
  /** @type {Record<string, () => unknown>} */
  const actions = {
    next: () => step(app.next),
    previous: () => step(app.previous),
    next_todo: nextTodo,
    grid: app.grid,
    repeat: bench.repeat,
    accept_all: () => tools.ask("finish") || approve(),
    accept: () => bench.decide("accepted"),
    reject: () => bench.decide("rejected"),
    reject_image: () => reject(bench),
    deselect: () => tools.leave() || bench.select(null),
    undo: () => tools.ask("back") || bench.undo() || undoApproval(),
    redo: bench.redo,
    delete: () => tools.ask("back") || (bench.selected ? bench.remove() : false),
    hide_labels: () => bench.drawing.hide(pressed("hide_labels")),
    crosshair: () => stage.cross(pressed("crosshair")),
    zoom_in: () => stage.zoom(1.25),
    zoom_out: () => stage.zoom(0.8),
    zoom_fit: stage.fit,
    darker: () => lit(brightness, -0.1),
    brighter: () => lit(brightness, 0.1),
    less_contrast: () => lit(contrast, -0.1),
    more_contrast: () => lit(contrast, 0.1),
    plain: () => [brightness, contrast].forEach((one) => lit(one, 1 - Number(one.value))),
    help: app.help,
  };
  for (const { name } of tools.all) actions[name] = () => tools.take(name);

  /** @param {string} label @param {string} action @param {string} icon */
  function command(label, action, icon) {
    const key = keys.text(action);
    return button({ label, icon, title: key ? `${label} (${key})` : label, class: "quiet", "data-action": action, onclick: () => void actions[action]() });
  }

  const name = h("bdi", { class: "name key" });
  const place = h("span", { class: "muted place" });
  const state = h("span", { class: "state" });
  const saved = h("span", { id: "save-state", role: "status", "aria-label": "Save state" });
  const [undo, redo] = [command("Undo", "undo", "M5.5 3L2.5 6l3 3M2.5 6h7a4 4 0 010 8H6"), command("Redo", "redo", "M10.5 3l3 3-3 3M13.5 6h-7a4 4 0 000 8H10")];
  const head = h("header", { class: "bar head" },
    command("Back to the grid", "grid", "M2.5 2.5h4v4h-4zM9.5 2.5h4v4h-4zM2.5 9.5h4v4h-4zM9.5 9.5h4v4h-4z"),
    name, state, h("span", { class: "gap" }), saved, undo, redo, place,
    command("Previous", "previous", "M10 3L5 8l5 5"),
    command("Next", "next", "M6 3l5 5-5 5"),
    command("Next to do", "next_todo", "M3 3l5 5-5 5M8 3l5 5-5 5"),
    command("Keys", "help", "M5.5 6a2.5 2.5 0 115 0c0 2-2.5 2-2.5 4M8 13v0"),
  );
  const side = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" },
    ...tools.all.map((tool) => command(tool.label, tool.name, tool.icon)),
    h("hr"),
    command("Hide labels", "hide_labels", "M1.5 8C4 3.5 12 3.5 14.5 8 12 12.5 4 12.5 1.5 8zM8 6a2 2 0 100 4 2 2 0 000-4z"),
    command("Crosshair", "crosshair", "M8 1.5v4M8 10.5v4M1.5 8h4M10.5 8h4M8 8v0"),
    h("hr"),
    command("Zoom in", "zoom_in", "M8 3v10M3 8h10"),
    command("Zoom out", "zoom_out", "M3 8h10"),
    command("Fit", "zoom_fit", "M2.5 5.5v-3h3M10.5 2.5h3v3M13.5 10.5v3h-3M5.5 13.5h-3v-3"),
  );
  const [hint, options] = [h("p", { class: "hint" }), h("div")];
  const [brightness, contrast] = ["brightness", "contrast"].map((id) => h("input", { id, type: "range", min: "0.2", max: "3", step: "0.05", value: "1", oninput: () => lit() }));
  const light = [h("label", { for: "brightness" }, "Brightness"), brightness, h("label", { for: "contrast" }, "Contrast"), contrast];
  const foot = h("footer", { class: "bar foot" }, hint, options, h("div", { class: "slide light" }, ...light), where, zoomed);
  const notice = h("p", { class: "notice", role: "note", hidden: true });
  const panel = createPanel(bench, () => void approve());
  root.append(h("div", { class: "editor" }, head, side, h("div", { class: "middle" }, stage.root, notice), panel, foot));

  /** @param {HTMLInputElement} [input] @param {number} [by] */
  function lit(input, by = 0) {
    if (input) input.value = String(Number(input.value) + by);
    stage.light(Number(brightness.value), Number(contrast.value));
  }

  /** Whether a button is pressed now, which it was not. @param {string} action */
  function pressed(action) {
    const one = side.querySelector(`[data-action=${action}]`);
    const now = one?.getAttribute("aria-pressed") !== "true";
    one?.setAttribute("aria-pressed", String(now));
    app.announce(`${one?.getAttribute("aria-label")}: ${now ? "on" : "off"}`);
    return now;
  }

  function shownTool() {
    const { current, all } = tools;
    all.forEach((tool, i) => side.children[i].setAttribute("aria-pressed", String(tool === current)));
    hint.textContent = bench.readonly ? "" : current.hint();
    if (options.firstChild !== (current.options ?? null)) options.replaceChildren(current.options ?? "");
  }

  bench.on(["state", "labels"], () => {
    const { work } = bench;
    const now = bench.saving.state(work);
    if (saved.textContent !== now.text) saved.title = saved.textContent = now.text;
    saved.dataset.state = now.state;
    if (!work) return;
    const { index, of } = app.position(work.number);
    place.textContent = index < 0 ? "" : `${index + 1} / ${of}`;
    const { review, labels } = work.content;
    state.dataset.state = state.textContent = review?.state ?? (labels.length && !bench.undecided().length ? "labelled" : "todo");
    undo.disabled = !work.history.canUndo;
    redo.disabled = !work.history.canRedo;
  });
  bench.on(["category", "image"], shownTool);
  bench.on(["clash"], () => bench.work && !document.querySelector("dialog[open]") && void askAbout(bench, bench.work));
  stage.root.addEventListener("pointermove", (event) => {
    const p = stage.toImage(stage.spot(event));
    where.textContent = `${Math.floor(p.x)}, ${Math.floor(p.y)}`;
  });
  stage.img.addEventListener("error", () => {
    stage.img.hidden = true;
    noted("The picture cannot be shown: the file may be damaged, or gone.");
  });

  /** @param {string | null} text */
  function noted(text) {
    notice.hidden = text === null;
    notice.textContent = text;
  }

  /** @param {(number: number) => number | null} way */
  function step(way) {
    const number = bench.work && way(bench.work.number);
    if (number === null) app.announce("There is no further image");
    else void app.go(number);
  }

  async function nextTodo() {
    const here = bench.work;
    const number = here && (await app.nextTodo(here.number));
    if (bench.work !== here) return;
    if (number === null) app.dialogs.toast("Nothing is left to do: every image here is labelled or reviewed.");
    else await app.go(number);
  }

  /** Everything is right here: one key for that. */
  async function approve() {
    const { work } = bench;
    if (!work) return;
    bench.approve();
    await Promise.race([bench.saving.send(work), new Promise((done) => setTimeout(done, PATIENCE))]);
    if (bench.work !== work) return;
    await nextTodo();
    approved = work.number;
  }

  /** Of the image before, where nothing was done to this one yet. */
  function undoApproval() {
    if (approved === null || bench.work?.history.canRedo) return;
    undoing = true;
    void app.go(approved);
  }

  /** @type {Map<number, Promise<Picture>>} */
  const ahead = new Map();
  let turn = 0;
  /** @type {number | null} the image that was left by accepting all */
  let approved = null;
  let undoing = false; // that

  /** @param {number} number @returns {Promise<Picture>} */
  function coming(number) {
    const picture = (!bench.saving.knows(number) && ahead.get(number)) || bench.saving.look(number);
    ahead.set(number, picture);
    picture.catch(() => ahead.delete(number));
    if (ahead.size > AHEAD) ahead.delete([...ahead.keys()][0]);
    return picture;
  }

  /** What may be looked at next is fetched, and its picture decoded. @param {number} number */
  async function lookAhead(number) {
    for (const one of [app.next(number), app.previous(number)]) {
      if (one === null) continue;
      const image = new Image();
      image.src = urlOf(await coming(one));
      await image.decode();
    }
  }

  /** Take what is there by now, and show it. @param {Work} work @param {Picture} picture */
  function refresh(work, picture) {
    if (bench.work !== work || work.sending || picture.key !== work.key || picture.version === work.picture.version) return;
    bench.saving.take(work, picture);
    if (!work.replaced) present(picture);
  }

  /** The same after labels were saved. @param {Picture} picture */
  const urlOf = ({ number, fingerprint, version }) => app.api.imageUrl(number, fingerprint ?? version);

  /** @param {Picture} picture */
  function present(picture) {
    const { width, height, readonly } = picture;
    stage.show(width && height ? urlOf(picture) : null, { width: width || 1, height: height || 1 });
    noted(width && height ? readonly && `Read only: ${shown(readonly)}` : "This file cannot be shown as a picture.");
  }

  app.onChanged((numbers) => {
    numbers.forEach((number) => ahead.delete(number));
    const { work } = bench;
    if (work && !root.hidden && numbers.includes(work.number)) bench.saving.look(work.number).then((now) => refresh(work, now), (error) => noted(error.message));
  });

  // Keys. What is bound last is asked first.
  const when = () => !root.hidden && bench.work !== null;
  const free = () => when() && [document.body, stage.root].includes(/** @type {HTMLElement} */ (document.activeElement));
  const selected = () => when() && bench.selected !== null;
  for (const [action, act] of Object.entries(actions)) if (action !== "help") keys.on(action, act, { when });
  keys.on("cycle", () => bench.cycle(1), { when: free });
  keys.on("cycle_back", () => bench.cycle(-1), { when: free });
  for (const [way, [dx, dy]] of Object.entries(ARROWS)) {
    keys.on(`nudge_${way}`, () => bench.nudge(dx, dy), { when: selected });
    keys.on(`push_${way}`, () => bench.nudge(10 * dx, 10 * dy), { when: selected });
  }
  for (let place = 0; place < 9; place++) {
    const nth = () => app.categories().filter(({ key }) => !key)[place];
    keys.on(`category_${place + 1}`, () => bench.choose(nth().name), { when: () => when() && nth() !== undefined });
  }
  for (const { key, name } of app.categories()) if (key) keys.onKey(key, () => bench.choose(name), { when });
  addEventListener("keydown", (event) => {
    if (event.key === " " && free()) {
      event.preventDefault();
      tools.space(true);
    } else if (event.key === "F6" && when()) {
      event.preventDefault();
      const areas = [stage.root, panel.querySelector("input"), side.querySelector("button")];
      const at = areas.findIndex((area) => area?.closest("#stage, .panel, .toolbar")?.contains(document.activeElement));
      /** @type {HTMLElement | null} */ (areas[(at + 1) % 3])?.focus();
    }
  });
  addEventListener("keyup", ({ key }) => key === " " && free() && !tools.space(false) && tools.ask("skip"));
  addEventListener("blur", () => tools.space(false));

  return {
    async show(number) {
      const mine = ++turn;
      const early = ahead.has(number);
      const work = await bench.saving.open(await coming(number));
      ahead.delete(number);
      if (mine !== turn) return;
      present(work.picture);
      name.title = name.textContent = shown(work.key);
      document.title = `${shown(work.key)} \u2013 xlabel`;
      bench.open(work);
      stage.root.focus({ preventScroll: true });
      lookAhead(number).catch(() => {});
      if (undoing && number === approved) bench.undo();
      [undoing, approved] = [false, undoing ? null : approved];
      if (early) bench.saving.look(number).then((now) => refresh(work, now)).catch(() => {}); // it was fetched some time ago
    },
    async leave() {
      turn++;
      tools.leave();
      if (bench.work) void bench.saving.send(bench.work);
      return true;
    },
  };
}
