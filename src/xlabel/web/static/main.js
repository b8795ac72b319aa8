// The page's frame: which view is on the screen, and what all views share.

import { aborted, createApi, Refused, watch } from "./api.js";
import { createBanners, createDialogs } from "./dialogs.js";
import { h, shown } from "./dom.js";
import { createGrid } from "./grid.js";
import { adopt, createJournal } from "./journal.js";
import { createKeys, keyHelp } from "./keys.js";
import { createCards, createCategories, createListing, createPerson } from "./store.js";

/** @import { App, Asked, Editor } from "./app.d.ts" */

const GRID = "#/";
const IMAGE = "#/image/";
const LOST = "The server does not answer; unsaved changes are kept in this browser. Trying again\u2026";
const NAME = "Each label says who made it. The name is kept in this browser.";

/** @param {HTMLElement} page */
async function start(page) {
  const announcer = h("div", { id: "announcer", class: "unseen", "aria-live": "polite" });
  const banners = h("div", { id: "banners" });
  page.before(banners);
  page.after(announcer);
  const warn = createBanners(banners);
  /** @type {App["announce"]} */
  const announce = (text) => void (announcer.textContent = text);
  const dialogs = createDialogs();
  const fail = (/** @type {unknown} */ error) => dialogs.toast(/** @type {Error} */ (error).message, { kind: "error" });
  const api = createApi();
  api.on("lost", () => warn("lost", LOST));
  api.on("back", () => warn("lost", null));

  const session = await api.session();
  document.title = `${shown(session.name)} \u2013 xlabel`;
  if (session.readonly) page.before(h("p", { class: "banner", role: "alert" }, `Nothing can be saved here: ${shown(session.readonly)}`));
  const keys = createKeys(session.keys);
  const categories = createCategories(session.categories);
  const person = createPerson(session);
  const cards = createCards(api, fail);
  const listing = createListing(api, cards);
  /** @type {Set<(numbers: number[]) => void>} */
  const watchers = new Set();

  async function learn() {
    Object.assign(session, await api.session());
    categories.learn(session.categories);
  }

  async function rename() {
    const name = await dialogs.prompt({ title: "Author", text: NAME, label: "Your name", value: person.name(), yes: "Save" });
    if (name) person.rename(name);
  }

  /** @type {App} */
  const app = {
    session, api, listing, keys, dialogs, announce, warn,
    journal: createJournal(session.root),
    author: person.name,
    next: listing.next,
    previous: listing.previous,
    nextTodo: listing.nextTodo,
    position: listing.position,
    categories: categories.all,
    colourOf: categories.colourOf,
    addCategory: categories.add,
    async go(number) {
      const [card] = await cards.all([number]);
      location.hash = imageAddress(card.key);
    },
    grid: () => void (location.hash = gridAddress(listing.asked)),
    help: () => void dialogs.open({ title: "Keys", body: keyHelp(session.help), buttons: [], wide: true }),
    cards: {
      changed(picture) {
        cards.changed(picture);
        grid.stale();
      },
    },
    onChanged(handler) {
      watchers.add(handler);
      return () => watchers.delete(handler);
    },
  };

  const gridRoot = h("section", { id: "grid-view", "aria-label": "Images", hidden: true });
  const editorRoot = h("section", { id: "editor-view", "aria-label": "Editor", hidden: true });
  page.append(gridRoot, editorRoot);
  const grid = createGrid(gridRoot, app, { cards, listing, person, rename, fail, moved, gridAddress, imageAddress, learn, knows: categories.has });
  /** @type {Editor | null} */
  let editor = null;
  /** @type {number | null} */
  let open = null;
  let here = ""; // the address of what is on the screen

  async function route() {
    const asked = location.hash;
    if (asked === here) return;
    if (open !== null && editor && !(await editor.leave())) return history.pushState(null, "", here);
    if (location.hash !== asked) return; // somebody has gone on while it was saved, of which another event tells
    here = asked;
    const before = open;
    if (asked.startsWith(IMAGE)) return showImage(keyOf(asked));
    open = null;
    swap("grid");
    await grid.show(askedBy(asked), before);
  }

  /** @param {string} key */
  async function showImage(key) {
    try {
      open = await cards.number(key);
      swap("editor");
      editor ??= (await import("./editor.js")).createEditor(editorRoot, app);
      await editor.show(open);
      const { index } = listing.position(open);
      await cards.all(listing.numbers.slice(Math.max(0, index - 3), index + 6)); // so that going on needs no question
    } catch (error) {
      if (aborted(error)) return;
      const missing = error instanceof Refused && error.status === 404;
      fail(missing ? new Error(`${shown(key)}: there is no such image in this folder`) : error);
      app.grid();
    }
  }

  /** @param {"grid" | "editor"} view */
  function swap(view) {
    document.body.dataset.view = view;
    gridRoot.hidden = view !== "grid";
    editorRoot.hidden = view !== "editor";
  }

  /** @param {boolean} push to be gone back from */
  function moved(push) {
    const address = gridAddress(listing.asked);
    if (document.body.dataset.view !== "grid" || address === here) return;
    here = address;
    history[push ? "pushState" : "replaceState"](null, "", address);
  }

  keys.on("help", app.help);
  watch(api, {
    changed(numbers) {
      cards.forget(numbers);
      grid.stale();
      for (const handler of watchers) handler(numbers);
    },
    progress: grid.progress,
    async back() {
      await learn();
      cards.clear();
      grid.forget();
      for (const handler of watchers) handler(listing.numbers);
    },
    refused: (error) => warn("lost", `The server says: ${error.message}`),
  });

  while (!person.name()) await rename();
  const first = { where: session.where, order: session.order, reverse: false };
  if (!location.hash) history.replaceState(null, "", gridAddress(first));
  if (location.hash.startsWith(IMAGE)) listing.ask(first).catch(fail);
  else if (session.first !== null) await app.go(session.first);
  addEventListener("hashchange", route);
  void adopt(app, app.journal);
  await route();
}

/** @param {string} key */
function imageAddress(key) {
  return IMAGE + key.split("/").map((part) => encodeURIComponent(part.toWellFormed())).join("/");
}

/** @param {string} address */
function keyOf(address) {
  const text = address.slice(IMAGE.length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Asked} asked */
function gridAddress({ where, order, reverse }) {
  const words = new URLSearchParams({ where, order: order === "name" ? "" : order, reverse: reverse ? "1" : "" });
  for (const [name, value] of [...words]) value || words.delete(name);
  return words.size ? `${GRID}?${words}` : GRID;
}

/** @param {string} address @returns {Asked} */
function askedBy(address) {
  const words = new URLSearchParams(address.split("?")[1]);
  return { where: words.get("where") ?? "", order: words.get("order") ?? "name", reverse: words.has("reverse") };
}

const page = /** @type {HTMLElement} */ (document.getElementById("page"));
start(page).catch((error) => {
  page.replaceChildren(h("p", { class: "empty", role: "alert" }, `The page cannot begin: ${error.message}`));
});
