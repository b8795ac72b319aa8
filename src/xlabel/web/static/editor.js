// An image and its labels: the frame of the editor, its keys, and the way from one image to the next.

import { askAbout } from "./clashes.js";
import { button, h, shown } from "./dom.js";
import { createBench } from "./bench.js";
import { createDrawing } from "./drawing.js";
import { createPanel, reject } from "./panel.js";
import { createStage } from "./stage.js";
import { createTools } from "./tools.js";

/** @import {App, Editor} from "./app" */
/** @import {Picture} from "./types" */
/** @import {Work} from "./saving.js" */

const PATIENCE = 400; // milliseconds that going on waits for a save at most
const AHEAD = 4; // pictures that are asked for before somebody comes to them

/** @param {HTMLElement} root @param {App} app @returns {Editor} */
export function createEditor(root, app) {
  /** @type {{tools: ReturnType<typeof createTools>} | null} */
  let ready = null;
  const stage = createStage(() => {
    ready?.tools.grip();
    zoomed.textContent = `${Math.round(stage.scale * 100)} %`;
  });
  const zoomed = h("output", { class: "zoomed", "aria-label": "Zoom" });
  const drawing = createDrawing(stage.view, app.colourOf, app.categories);
  const bench = createBench(app, stage, drawing);
  const tools = createTools(bench, () => toolChanged());
  ready = { tools };
  const visible = () => !root.hidden && bench.work !== null;

  // What keys and buttons do, by the names in the table of keys.
  /** @type {Record<string, () => unknown>} */
  const actions = {
    next: () => step(app.next),
    previous: () => step(app.previous),
    next_todo: nextTodo,
    grid: () => app.grid(),
    repeat: () => bench.repeat(),
    accept_all: () => tools.ask("finish") || approve(),
    accept: () => bench.decide("accepted"),
    reject: () => bench.decide("rejected"),
    reject_image: () => reject(bench),
    deselect: () => tools.leave() || bench.select(null),
    undo: () => tools.ask("back") || bench.undo(),
    redo: () => bench.redo(),
    delete: () => tools.ask("back") || (bench.selected ? bench.remove() : false),
    hide_labels: hidden,
    crosshair: crossed,
    zoom_in: () => stage.zoom(1.25),
    zoom_out: () => stage.zoom(0.8),
    zoom_fit: () => stage.fit(),
    darker: () => brightness.set(Number(brightness.input.value) - 0.1),
    brighter: () => brightness.set(Number(brightness.input.value) + 0.1),
    less_contrast: () => contrast.set(Number(contrast.input.value) - 0.1),
    more_contrast: () => contrast.set(Number(contrast.input.value) + 0.1),
    plain: () => (brightness.set(1), contrast.set(1)),
  };
  for (const tool of tools.all) actions[tool.name] = () => tools.take(tool.name);

  // The head: where one is, and whether it is saved.
  const name = h("bdi", { class: "name key" });
  const place = h("span", { class: "muted place" });
  const state = h("span", { class: "state" });
  const saved = h("span", { id: "save-state", role: "status", "aria-label": "Save state" }, "Saved");
  const undo = command("Undo", "undo", "M5.5 3L2.5 6l3 3M2.5 6h7a4 4 0 010 8H6");
  const redo = command("Redo", "redo", "M10.5 3l3 3-3 3M13.5 6h-7a4 4 0 000 8H10");
  const previous = command("Previous", "previous", "M10 3L5 8l5 5");
  const next = command("Next", "next", "M6 3l5 5-5 5");
  const todo = command("Next to do", "next_todo", "M3 3l5 5-5 5M8 3l5 5-5 5");
  const head = h(
    "header",
    { class: "bar head" },
    button({ label: "Back to the grid", icon: "M2.5 2.5h4v4h-4zM9.5 2.5h4v4h-4zM2.5 9.5h4v4h-4zM9.5 9.5h4v4h-4z", onclick: () => app.grid() }),
    name,
    state,
    h("span", { class: "gap" }),
    saved,
    undo,
    redo,
    place,
    previous,
    next,
    todo,
  );

  // At the left: tools, and how the picture is shown.
  const toolButtons = tools.all.map((tool) => command(tool.label, tool.name, tool.icon));
  const hide = command("Hide labels", "hide_labels", "M1.5 8C4 3.5 12 3.5 14.5 8 12 12.5 4 12.5 1.5 8zM8 6a2 2 0 100 4 2 2 0 000-4z");
  const cross = command("Crosshair", "crosshair", "M8 1.500v13M1.5 8h13");
  const side = h(
    "div",
    { class: "toolbar", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" },
    ...toolButtons,
    h("hr"),
    hide,
    cross,
    h("hr"),
    command("Zoom in", "zoom_in", "M7 2.500a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.5 10.500l3 3M7 5v4M5 7h4"),
    command("Zoom out", "zoom_out", "M7 2.500a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.5 10.500l3 3M5 7h4"),
    command("Fit", "zoom_fit", "M2.5 5.500v-3h3M10.5 2.5h3v3M13.5 10.500v3h-3M5.5 13.500h-3v-3"),
  );

  // Below: what to do now, and how light it is.
  const hint = h("p", { class: "hint" });
  const options = h("div", { class: "tool-options" });
  const where = h("output", { class: "where", "aria-label": "Pointer" });
  const brightness = slider("Brightness");
  const contrast = slider("Contrast");
  const foot = h("footer", { class: "bar foot" }, hint, options, brightness.field, contrast.field, where, zoomed);

  const notice = h("p", { class: "notice", role: "note", hidden: true });
  const panel = createPanel(bench, { approve: () => void approve() });
  root.append(h("div", { class: "editor" }, head, side, h("div", { class: "middle" }, notice, stage.root), panel, foot));

  /** @param {string} label @param {string} action @param {string} icon */
  function command(label, action, icon) {
    const key = app.keys.text(action);
    const title = key ? `${label} (${key})` : label;
    return button({ label, icon, title, class: "quiet", "data-action": action, onclick: () => void actions[action]() });
  }

  /** @param {string} text */
  function slider(text) {
    const id = text.toLowerCase();
    const input = h("input", { id, type: "range", min: "0.2", max: "3", step: "0.05", value: "1", oninput: light, ondblclick: () => set(1) });
    /** @param {number} value */
    function set(value) {
      input.value = String(value);
      light();
    }
    return { input, set, field: h("div", { class: "slide" }, h("label", { for: id }, text), input) };
  }

  function light() {
    stage.light(Number(brightness.input.value), Number(contrast.input.value));
  }

  function hidden() {
    drawing.hide(!drawing.hidden);
    hide.setAttribute("aria-pressed", String(drawing.hidden));
    app.announce(drawing.hidden ? "Labels are hidden" : "Labels are shown");
  }

  function crossed() {
    stage.cross(!stage.crossed);
    cross.setAttribute("aria-pressed", String(stage.crossed));
  }

  function toolChanged() {
    if (!ready) return;
    const { current } = tools;
    tools.all.forEach((tool, i) => toolButtons[i].setAttribute("aria-pressed", String(tool === current)));
    hint.textContent = bench.work ? (bench.work.picture.readonly === null ? current.hint() : "This image is read only") : "";
    if (options.firstChild !== (current.options ?? null)) options.replaceChildren(...(current.options ? [current.options] : []));
  }

  function stateChanged() {
    const now = bench.saving.state(bench.work);
    if (saved.textContent !== now.text) saved.textContent = now.text;
    saved.dataset.state = now.state;
    saved.title = now.state === "failed" ? `${now.text}. The edits are kept in this browser; saving is tried again.` : now.text;
    const work = bench.work;
    if (!work) return;
    const { review, labels } = work.content;
    const open = labels.some(({ status }) => status === "suggestion");
    state.textContent = review?.state ?? (open || !labels.length ? "todo" : "labelled");
    state.dataset.state = state.textContent;
    undo.disabled = !work.history.canUndo;
    redo.disabled = !work.history.canRedo;
  }

  /** @param {(number: number) => number | null} way */
  async function step(way) {
    const number = bench.work ? way(bench.work.number) : null;
    if (number === null) app.announce("There is no further image in that direction");
    else await app.go(number);
  }

  async function nextTodo() {
    const here = bench.work;
    if (!here) return;
    const number = await app.nextTodo(here.number);
    if (bench.work !== here) return;
    if (number === null) app.dialogs.toast("Nothing is left to do: every image here is labelled or reviewed.");
    else await app.go(number);
  }

  /** Everything is right here: one key for that. */
  async function approve() {
    const work = bench.work;
    if (!work) return;
    bench.approve();
    await Promise.race([bench.saving.send(work), new Promise((done) => setTimeout(done, PATIENCE))]);
    if (bench.work === work) await nextTodo();
  }

  /** @type {Map<number, Promise<Picture>>} */
  const ahead = new Map();

  /** @param {number} number @returns {Promise<Picture>} */
  function coming(number) {
    const there = ahead.get(number);
    if (there) return there;
    const picture = app.api.picture(number);
    ahead.set(number, picture);
    picture.catch(() => ahead.delete(number));
    for (const old of ahead.keys()) if (ahead.size > AHEAD) ahead.delete(old);
    return picture;
  }

  /** What may be looked at next is fetched, and its picture decoded. @param {number} number */
  function lookAhead(number) {
    for (const one of [app.next(number), app.previous(number)]) {
      if (one === null || ahead.has(one)) continue;
      coming(one).then(
        (picture) => {
          const image = new Image();
          image.src = app.api.imageUrl(one, picture.version);
          return image.decode();
        },
      ).catch(() => {});
    }
  }

  /** @param {Picture} picture */
  function present(picture) {
    const { width, height, number, version } = picture;
    const shownAs = width && height ? app.api.imageUrl(number, version) : null;
    stage.show(shownAs, { width: width ?? 1, height: height ?? 1 });
    const why = shownAs ? picture.readonly : "This file cannot be shown as a picture.";
    notice.hidden = why === null;
    notice.textContent = shownAs && why !== null ? `Read only: ${shown(why)}` : (why ?? "");
  }

  let asked = 0;

  /** @param {Work} work */
  function heading(work) {
    name.textContent = shown(work.key);
    name.title = shown(work.key);
    const { index, of } = app.position(work.number);
    place.textContent = index < 0 ? "" : `${index + 1} / ${of}`;
    document.title = `${shown(work.key)} \u2013 xlabel`;
  }

  bench.on("state", stateChanged);
  bench.on("labels", stateChanged);
  bench.on("labels", toolChanged);
  bench.on("category", toolChanged);
  bench.on("image", toolChanged);
  bench.on("clash", () => {
    const work = bench.work;
    if (work && !document.querySelector("dialog[open]")) void askAbout(bench, work);
  });
  stage.img.addEventListener("load", () => stage.img.classList.remove("coming"));
  stage.img.addEventListener("error", () => {
    if (!bench.work || stage.img.src.startsWith("data:")) return;
    notice.hidden = false;
    notice.textContent = "The picture cannot be shown: the file may be damaged, or gone.";
  });
  stage.root.addEventListener("pointermove", (event) => {
    const p = stage.toImage(stage.spot(event));
    where.textContent = `${Math.floor(p.x)}, ${Math.floor(p.y)}`;
  });
  app.onChanged(async (numbers) => {
    for (const number of numbers) ahead.delete(number);
    const work = bench.work;
    if (!work || root.hidden || !numbers.includes(work.number) || work.sending) return;
    try {
      const picture = await app.api.picture(work.number);
      if (bench.work !== work || work.sending || picture.version === work.picture.version) return;
      if (picture.key !== work.key) return;
      bench.saving.take(work, picture);
      present(picture);
      app.announce("This image was changed by another program, and shown anew");
    } catch (error) {
      notice.hidden = false;
      notice.textContent = `${error instanceof Error ? error.message : error}`;
    }
  });

  // Keys. What is bound last is asked first.
  const when = visible;
  for (const [action, act] of Object.entries(actions)) app.keys.on(action, act, { when });
  const free = () => visible() && (document.activeElement === document.body || document.activeElement === stage.root);
  app.keys.on("cycle", () => bench.cycle(1), { when: free });
  app.keys.on("cycle_back", () => bench.cycle(-1), { when: free });
  for (const [way, dx, dy] of /** @type {const} */ ([["left", -1, 0], ["right", 1, 0], ["up", 0, -1], ["down", 0, 1]])) {
    const selected = () => visible() && bench.selected !== null;
    app.keys.on(`nudge_${way}`, () => bench.nudge(dx, dy), { when: selected });
    app.keys.on(`push_${way}`, () => bench.nudge(10 * dx, 10 * dy), { when: selected });
  }
  for (let place = 1; place <= 9; place++) {
    app.keys.on(`category_${place}`, () => {
      const found = app.categories().filter(({ key }) => !key)[place - 1];
      return found ? bench.choose(found.name) : false;
    }, { when });
  }
  for (const category of app.categories()) {
    if (category.key) app.keys.onKey(category.key, () => bench.choose(category.name), { when });
  }
  addEventListener("keydown", (event) => {
    if (!visible() || document.querySelector("dialog[open]")) return;
    if (event.key === "F6") {
      event.preventDefault();
      const areas = [stage.root, panel.querySelector("button, input, [tabindex]"), side.querySelector("button")];
      const at = areas.findIndex((area) => area === document.activeElement || area?.parentElement?.contains(document.activeElement));
      /** @type {HTMLElement | null} */ (areas[(at + 1) % areas.length])?.focus();
    } else if (event.key === " " && free()) {
      event.preventDefault();
      if (!event.repeat) tools.space(true);
    }
  });
  addEventListener("keyup", (event) => {
    if (event.key === " " && visible() && !tools.space(false) && free()) tools.ask("skip");
  });
  addEventListener("blur", () => tools.space(false));

  return {
    async show(number) {
      const turn = ++asked;
      const picture = await coming(number);
      const work = await bench.saving.open(picture);
      if (turn !== asked) return;
      ahead.delete(number);
      present(work.picture);
      heading(work);
      bench.open(work);
      stage.root.focus({ preventScroll: true });
      lookAhead(number);
      if (picture !== work.picture) return;
      // It may have been fetched some time ago.
      app.api.picture(number).then((now) => {
        if (bench.work === work && !work.sending && now.version !== work.picture.version) bench.saving.take(work, now);
      }, () => {});
    },
    async leave() {
      tools.leave();
      asked++;
      const work = bench.work;
      if (work) void bench.saving.send(work);
      return true;
    },
  };
}
