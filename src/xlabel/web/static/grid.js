// The grid: all images that fit, as cards, with a filter before and actions on what is selected.

import { aborted, Refused } from "./api.js";
import { button, counted, h, shown, tool } from "./dom.js";
import { createBulk } from "./grid_bulk.js";
import { createCell, createLoader, MARKS } from "./grid_card.js";
import { createFilter } from "./grid_filter.js";
import { createList } from "./grid_list.js";
import { keep, kept } from "./store.js";

/** @import { Asked, Cell, MakeGrid } from "./app.d.ts" */

const THEMES = ["system", "light", "dark"];
const USUAL = 184; // pixels that a card is wide, on screens that are not large
const REST = 1500; // milliseconds between questions for the same list
const FLIGHT = 80; // milliseconds that cards of another screen stay in sight before they are asked for
const AHEAD = 2; // screens' worth of cards that are asked for beyond the last in sight

/** @type {MakeGrid} */
export function createGrid(root, app, { cards, listing, person, rename, fail, moved, gridAddress, imageAddress, learn, knows }) {
  const loader = createLoader();
  let fresh = false; // the listing says what is so
  let asking = new AbortController();
  let wanted = listing.asked;
  let timer = 0;
  let last = 0; // when the listing was asked for
  let sight = 0; // the first index in sight
  let flying = 0; // the timer of what is asked for once it stays in sight

  const scroll = h("div", { class: "scroll", tabindex: "-1" });
  const nothing = h("div", { class: "empty", role: "status", hidden: true });
  const list = createList(scroll, {
    numbers: () => listing.numbers,
    make: () => createCell(app, imageAddress, loader),
    fill(cell, index) {
      const number = listing.numbers[index];
      const filled = cell.number === number && cell.link.dataset.key !== undefined;
      cell.become(number, index, listing.numbers.length, MARKS[listing.found.marks[index]]);
      if (!filled) refill(cell);
    },
    seen(from, to) {
      const { numbers } = listing;
      const beyond = (to - from) * AHEAD;
      const want = () => cards.want([...numbers.slice(from, to + beyond), ...numbers.slice(Math.max(0, from - beyond), from)]);
      clearTimeout(flying);
      flying = Math.abs(from - sight) > to - from ? setTimeout(want, FLIGHT) : 0;
      flying || want();
      sight = from;
    },
    selected(size) {
      bulk.show(size);
      counts.hidden = size > 0;
    },
  });
  const filter = createFilter(app, async (where, push) => {
    await ask({ ...listing.asked, where });
    moved(push);
  }, (error) => aborted(error) || app.api.lost || fail(error));
  const bulk = createBulk(app, {
    cards, fail,
    selected: () => list.chosen,
    found: () => listing.found,
    clear: () => list.choose([]),
    done: () => stale(0),
  });

  const order = h("select", { "aria-label": "Sort by", onchange: reorder },
    ...app.session.orders.map((value) => h("option", { value }, value[0].toUpperCase() + value.slice(1))));
  const reverse = tool("Reverse order", "M5 3v10M2.5 10.5L5 13l2.5-2.5M11 13V3M8.5 5.5L11 3l2.5 2.5", () => {
    reverse.ariaPressed = `${reverse.ariaPressed !== "true"}`;
    reorder();
  });
  const size = h("input", { type: "range", "aria-label": "Size of the cards", min: 112, max: 360, step: 4, value: kept("size") || Math.max(USUAL, innerWidth / 14), oninput: () => {
    keep("size", size.value);
    list.resize(Number(size.value));
  } });
  const labels = tool("Show labels", "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8M8 6a2 2 0 1 0 0 4a2 2 0 1 0 0-4", toggleLabels);
  labels.ariaPressed = "true";
  const panel = tool("Filters", "M2.5 4h11M4.5 8h7M6.5 12h3", () => {
    panel.ariaExpanded = `${root.classList.toggle("with-filters")}`;
  });
  panel.classList.add("filters");
  const author = button({ label: "Author", icon: "M8 3a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5M3 13.5a5 4 0 0 1 10 0", text: " ", class: "quiet author", onclick: rename });
  const theme = tool("Theme", "M8 3a5 5 0 1 0 0 10zM8 3a5 5 0 0 1 0 10", () => {
    person.wear(THEMES[(THEMES.indexOf(person.theme()) + 1) % THEMES.length]);
    app.announce(`Theme: ${person.theme()}`);
    dress();
  });
  const count = h("span", { role: "status" });
  const looking = h("span", { class: "looking", hidden: true });
  const counts = h("div", { class: "counts" }, count, looking);

  root.append(
    h("header", { class: "tools" },
      panel, h("h1", { title: app.session.root }, h("bdi", {}, shown(app.session.name))), filter.bar,
      h("label", { class: "sort" }, h("span", {}, "Sort"), order), reverse, size, labels, h("span", { class: "space" }),
      bulk.undo, bulk.redo, author, theme,
      tool("Keys", "M1.5 4.500h13v7h-13zM4 7h.01M6.7 7h.01M9.3 7h.01M12 7h.01M5 9.500h6", app.help)),
    filter.facets, h("div", { class: "line" }, counts, bulk.bar), scroll, nothing,
  );
  person.on(dress);
  dress();
  list.resize(Number(size.value));

  function dress() {
    /** @type {HTMLElement} */ (author.lastElementChild).textContent = shown(person.name());
    author.ariaLabel = `Author: ${shown(person.name())}`;
    theme.title = `Theme: ${person.theme()}`;
  }

  /** Have the listing that is asked for on the screen. @param {Asked} next @param {number | null} [opened] the image to be seen then */
  async function ask(next, opened) {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    clearTimeout(timer);
    timer = 0;
    last = Date.now();
    const another = gridAddress(next) !== gridAddress(listing.asked);
    const before = listing.numbers;
    fresh = true;
    wanted = next;
    try {
      await listing.ask(next, signal);
      if (!Object.keys(listing.found.categories).every(knows)) {
        await learn();
        list.each(refill);
      }
    } catch (error) {
      fresh &&= aborted(error);
      if (error instanceof Refused) wanted = listing.asked;
      throw error;
    }
    list.reset((index) => {
      const now = listing.position(before[index] ?? -1).index;
      return another ? 0 : now < 0 ? index : now;
    });
    show();
    const { index } = listing.position(opened ?? -1);
    if (index >= 0) list.move(index);
  }

  function show() {
    const { asked, found, numbers } = listing;
    filter.show(found);
    order.value = asked.order;
    reverse.ariaPressed = `${asked.reverse}`;
    count.textContent = `${numbers.length === found.total ? "" : `${counted(numbers.length)} of `}${counted(found.total)} images`;
    nothing.hidden = numbers.length > 0;
    const text = found.looked < found.total ? "No image fits so far; the labels are still being looked at."
      : asked.where ? "No image fits this filter. Take a word of it away, or show all images." : "There are no images here any more.";
    const all = button({ label: "Show all images", text: "Show all images", onclick: async () => {
      filter.set("");
      await ask({ ...asked, where: "" }).catch(filter.failed);
      moved(true);
    } });
    nothing.replaceChildren(h("p", {}, text), asked.where ? all : "");
  }

  async function reorder() {
    await ask({ ...listing.asked, order: order.value, reverse: reverse.ariaPressed === "true" }).catch(filter.failed);
    moved(true);
  }

  /** What is shown may not be so any more. @param {number} [rest] milliseconds since the last question */
  function stale(rest = REST) {
    fresh = false;
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      if (!root.hidden && !fresh) ask(wanted).catch(() => undefined);
    }, Math.max(0, last + rest - Date.now()));
  }

  function toggleLabels() {
    labels.ariaPressed = `${!scroll.classList.toggle("no-labels")}`;
  }

  const when = () => !root.hidden;
  app.keys.on("hide_labels", toggleLabels, { when });
  app.keys.on("deselect", () => list.choose([]), { when });
  app.keys.on("search", () => filter.field.select(), { when });
  app.keys.onKey("Ctrl+a", () => list.choose(listing.numbers), { when });
  for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) app.keys.onKey(key, () => list.move(list.current), { when });
  app.keys.onKey("Home", () => list.move(0), { when });
  cards.on((card) => list.each((cell) => cell.number === card.number && cell.fill(card)));
  /** @param {Cell} cell */
  const refill = (cell) => cell.fill(cards.get(cell.number));

  return {
    stale,
    forget() {
      list.choose([]);
      stale(0);
    },
    progress(seen, total) {
      looking.hidden = seen >= total;
      looking.textContent = `Looking at labels: ${counted(seen)} of ${counted(total)}`;
      if (seen !== listing.found.looked) stale();
    },
    async show(next, opened) {
      filter.set(next.where);
      list.refit();
      const { index } = listing.position(opened ?? -1);
      if (!fresh || !listing.numbers.length || gridAddress(next) !== gridAddress(listing.asked)) await ask(next, opened).catch(filter.failed);
      else if (index >= 0) list.move(index);
    },
  };
}
