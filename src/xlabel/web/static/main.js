// The page's frame: which view is on the screen, and what all views share.

import { createApi, Refused } from "./api.js";
import { createBanners } from "./banners.js";
import { createCards } from "./cards.js";
import { createCategories } from "./colours.js";
import { createDialogs } from "./dialogs.js";
import { h, shown } from "./dom.js";
import { createGrid } from "./grid.js";
import { createKeys, keyHelp } from "./keys.js";
import { createListing } from "./listing.js";
import { createPerson } from "./person.js";
import { createEditorOf, imageAddress, imageOf } from "./route.js";
import { watch } from "./watch.js";

/** @import { App } from "./app.d.ts" */

const LOST = "The server does not answer; unsaved changes are kept in this browser. Trying again\u2026";

/** @param {HTMLElement} page */
async function start(page) {
  const announcer = h("div", { id: "announcer", class: "unseen", "aria-live": "polite" });
  const banners = h("div", { id: "banners" });
  page.before(banners);
  page.after(announcer);
  const warn = createBanners(banners);
  const announce = (/** @type {string} */ text) => void (announcer.textContent = text);
  const dialogs = createDialogs(announce);
  const api = createApi();
  api.on("lost", () => warn("lost", LOST));
  api.on("back", () => warn("lost", null));

  const session = await api.session();
  document.title = `${shown(session.name)} \u2013 xlabel`;
  if (session.readonly) warn("readonly", `Nothing can be saved here: ${shown(session.readonly)}`);
  const keys = createKeys(session.keys);
  const categories = createCategories(session.categories);
  const person = createPerson(session, dialogs);
  await person.known();
  const cards = createCards(api, (text) => dialogs.toast(text, { kind: "error" }));
  const listing = createListing(api, cards);
  /** @type {Set<(numbers: number[]) => void>} */
  const watchers = new Set();

  /** @type {App} */
  const app = {
    session, api, listing, keys, dialogs, announce, warn,
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
    help: () => void dialogs.open({ title: "Keys", body: keyHelp(session), buttons: [], wide: true }),
    grid: () => void (location.hash = grid.address()),
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
  const grid = createGrid(gridRoot, app, { cards, listing, person, moved });
  const editor = createEditorOf(editorRoot, app);
  /** @type {number | null} */
  let open = null;
  let here = ""; // the address of what is on the screen

  /** Show what the address says, unless the editor wants to stay. */
  async function route() {
    const asked = location.hash;
    if (asked === here) return;
    if (open !== null && !(await editor.leave())) return history.pushState(null, "", here);
    if (location.hash !== asked) return route(); // somebody has gone on while it was saved
    here = asked;
    const key = imageOf(asked);
    await (key === null ? showGrid(asked) : showImage(key));
  }

  /** @param {string} address */
  async function showGrid(address) {
    const last = open;
    open = null;
    swap("grid");
    await grid.show(address, last);
  }

  /** @param {string} key */
  async function showImage(key) {
    try {
      open = await cards.number(key);
      swap("editor");
      await editor.show(open);
    } catch (error) {
      const missing = error instanceof Refused && error.status === 404;
      const text = missing ? `${shown(key)}: there is no such image in this folder` : /** @type {Error} */ (error).message;
      dialogs.toast(text, { kind: "error" });
      if (missing) app.grid();
      return;
    }
    const { index } = listing.position(open);
    const around = listing.numbers.slice(Math.max(0, index - 3), index + 6);
    cards.all(around).catch(() => undefined); // so that going on needs no question
  }

  /** The grid shows something else by now. @param {string} address @param {boolean} push to be gone back from */
  function moved(address, push) {
    if (document.body.dataset.view !== "grid" || address === here) return;
    here = address;
    push ? history.pushState(null, "", address) : history.replaceState(null, "", address);
  }

  /** @param {"grid" | "editor"} view */
  function swap(view) {
    document.body.dataset.view = view;
    gridRoot.hidden = view !== "grid";
    editorRoot.hidden = view !== "editor";
  }

  keys.on("help", app.help);
  watch(api, {
    changed(numbers) {
      if (!numbers.length) return;
      cards.forget(numbers);
      grid.stale();
      for (const handler of watchers) handler(numbers);
    },
    progress: grid.progress,
    async back() {
      Object.assign(session, await api.session());
      categories.learn(session.categories);
      cards.clear();
      grid.stale();
      for (const handler of watchers) handler(listing.numbers);
    },
    refused: (error) => warn("lost", `The server says: ${error.message}`),
  });

  if (!location.hash) history.replaceState(null, "", grid.address());
  if (imageOf(location.hash) !== null) listing.ask(listing.asked).catch(() => undefined);
  else if (session.first !== null) await app.go(session.first);
  addEventListener("hashchange", route);
  await route();
}

const page = /** @type {HTMLElement} */ (document.getElementById("page"));
start(page).catch((error) => {
  page.replaceChildren(h("p", { class: "empty", role: "alert" }, `The page cannot begin: ${error.message}`));
});
