// The grid: all images that fit, as cards, with a filter before and actions on what is selected.

import { aborted } from "./api.js";
import { button, counted, drawn, h, shown } from "./dom.js";
import { createBulk } from "./grid_bulk.js";
import { createCell, createLoader, MARKS } from "./grid_card.js";
import { createFilter } from "./grid_filter.js";
import { createScroller } from "./grid_scroll.js";
import { createSelection } from "./grid_select.js";
import { keep, kept, THEMES } from "./person.js";
import { askedBy, gridAddress } from "./route.js";

/** @import { App, Asked } from "./app.d.ts" */
/** @import { Cards } from "./cards.js" */
/** @import { Shown } from "./listing.js" */
/** @import { Person } from "./person.js" */

const SIZE = "xlabel.size";
const SMALL = 112;
const LARGE = 360;
const USUAL = 184;
const REST = 1500; // milliseconds between questions for the same list
const ORDERS = /** @type {Record<string, string>} */ ({ name: "Name", date: "Date", uncertainty: "Uncertainty", disagreement: "Disagreement", diversity: "Diversity" });

/**
 * @param {HTMLElement} root
 * @param {App} app
 * @param {{cards: Cards, listing: Shown, person: Person, moved: (address: string, push: boolean) => void}} own
 */
export function createGrid(root, app, { cards, listing, person, moved }) {
  const loader = createLoader();
  let fresh = false; // the listing says what is so
  let asking = new AbortController();
  let waits = 0; // the timer of the next question
  let last = 0; // when the listing was asked for

  const area = h("div", { class: "scroll", tabindex: "-1" });
  const nothing = h("div", { class: "empty", role: "status", hidden: true });
  const scroller = createScroller(area, {
    length: () => listing.numbers.length,
    make: () => createCell(app, loader),
    fill(cell, index) {
      const number = listing.numbers[index];
      const card = cards.get(number);
      const known = cell.number === number && cell.link.dataset.key !== undefined;
      cell.become(number, index, listing.numbers.length, MARKS[listing.found.marks?.[index] ?? "?"]);
      if (card && !known) cell.fill(card);
      cell.dress(selection.has(number), index === selection.current);
    },
    seen(from, to, ahead, behind) {
      const { numbers } = listing;
      cards.want([...numbers.slice(from, to), ...numbers.slice(to, ahead), ...numbers.slice(behind, from)]);
    },
  });
  const selection = createSelection(scroller, () => listing.numbers, () => {
    bulk.show(selection.size);
    counts.hidden = selection.size > 0;
  });
  const filter = createFilter(app, {
    async search(where, push) {
      await ask({ ...listing.asked, where });
      moved(gridAddress(listing.asked), push);
    },
  });
  const bulk = createBulk(app, {
    cards,
    selected: () => selection.numbers,
    found: () => listing.found,
    clear: selection.none,
    done: () => stale(0),
  });

  const order = h("select", { id: "order", "aria-label": "Sort by", onchange: reorder },
    ...app.session.orders.map((value) => h("option", { value }, ORDERS[value] ?? value)));
  const reverse = button({ label: "Reverse order", icon: "M5 3v10M5 13l-2.5-2.5M5 13l2.5-2.5M11 13V3M11 3L8.500 5.500M11 3l2.500 2.500", class: "quiet", "aria-pressed": "false", onclick: () => {
    reverse.setAttribute("aria-pressed", String(reverse.getAttribute("aria-pressed") !== "true"));
    reorder();
  } });
  const size = h("input", { type: "range", "aria-label": "Size of the cards", min: SMALL, max: LARGE, step: 4, value: kept(SIZE) || USUAL, oninput: () => {
    keep(SIZE, size.value);
    scroller.resize(Number(size.value));
  } });
  const labels = button({ label: "Labels", title: "Show labels", icon: "M1.500 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8M8 6a2 2 0 1 0 0 4a2 2 0 1 0 0-4", class: "quiet", "aria-pressed": "true", onclick: toggleLabels });
  const count = h("span", { class: "count", role: "status" });
  const meter = h("progress", { "aria-label": "Looking at labels", max: 1, value: 0 });
  const looking = h("span", { class: "looking", hidden: true }, meter, h("span", {}));
  const counts = h("div", { class: "counts" }, count, looking);
  const panel = button({ label: "Filters", icon: "M2.500 4h11M4.500 8h7M6.500 12h3", class: "quiet filters", "aria-expanded": "false", onclick: () => {
    panel.setAttribute("aria-expanded", String(root.classList.toggle("with-filters")));
  } });
  const author = button({ label: "Author", icon: "M8 2.500a2.700 2.700 0 1 0 0 5.400a2.700 2.700 0 1 0 0-5.400M2.800 13.500c.5-2.600 2.600-4 5.200-4s4.700 1.400 5.200 4", text: " ", class: "quiet author", onclick: rename });
  const theme = button({ label: "Theme", icon: "M8 2.500a5.500 5.500 0 1 0 0 11zM8 2.500a5.500 5.500 0 0 1 0 11", class: "quiet", onclick: dress });

  root.append(
    h("header", { class: "bar" },
      h("div", { class: "tools" },
        panel, h("h1", { title: app.session.root }, h("bdi", {}, shown(app.session.name))), filter.bar,
        h("label", { class: "sort" }, h("span", {}, "Sort"), order), reverse,
        h("span", { class: "size" }, drawn("M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z"), size), labels,
        h("span", { class: "space" }), bulk.undo, bulk.redo, author, theme,
        button({ label: "Keys", title: `Keys (${app.keys.text("help")})`, icon: "M1.500 4.500h13v7h-13zM4 7h.01M6.700 7h.01M9.300 7h.01M12 7h.01M5 9.500h6", class: "quiet", onclick: () => app.help() }))),
    filter.facets,
    h("div", { class: "line" }, counts, bulk.bar),
    area,
    nothing,
  );
  named();
  person.on(named);
  scroller.resize(Number(size.value));

  /** @param {Asked} next @param {number | null} [top] the image to be seen then; without it what is at the top stays */
  async function ask(next, top) {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    last = Date.now();
    clearTimeout(waits);
    waits = 0;
    fresh = true;
    const before = listing.asked;
    const first = listing.numbers[scroller.first];
    const focused = listing.numbers[selection.current];
    try {
      await listing.ask(next, signal);
    } catch (error) {
      if (!aborted(error)) fresh = false;
      throw error;
    }
    if (signal.aborted) return;
    const another = before.where !== next.where || before.order !== next.order || before.reverse !== next.reverse;
    scroller.reset(another ? undefined : Math.max(0, listing.position(first ?? -1).index));
    selection.relist(another ? 0 : listing.position(focused ?? -1).index);
    show();
    if (top != null && listing.position(top).index >= 0) selection.move(listing.position(top).index);
  }

  function show() {
    const { asked, found, numbers } = listing;
    filter.show(found);
    order.value = asked.order;
    reverse.setAttribute("aria-pressed", String(asked.reverse));
    count.textContent = numbers.length === found.total
      ? `${counted(found.total)} images` : `${counted(numbers.length)} of ${counted(found.total)} images`;
    nothing.hidden = numbers.length > 0;
    if (!numbers.length) empty(found.looked < found.total);
  }

  /** @param {boolean} soon more may come, since not all labels have been looked at */
  function empty(soon) {
    const text = soon ? "No image fits so far; the labels are still being looked at."
      : listing.asked.where ? "No image fits this filter. Take a word of it away, or show all images." : "There are no images here any more.";
    const all = button({ label: "Show all images", text: "Show all images", onclick: () => {
      filter.set("");
      location.hash = gridAddress({ ...listing.asked, where: "" });
    } });
    nothing.replaceChildren(h("p", {}, text), ...(listing.asked.where ? [all] : []));
  }

  async function reorder() {
    try {
      await ask({ ...listing.asked, order: order.value, reverse: reverse.getAttribute("aria-pressed") === "true" });
      moved(gridAddress(listing.asked), true);
    } catch (error) {
      filter.failed(error);
    }
  }

  /** What is shown may not be so any more. @param {number} [rest] milliseconds since the last question */
  function stale(rest = REST) {
    fresh = false;
    if (root.hidden || waits) return;
    waits = setTimeout(() => {
      waits = 0;
      if (!root.hidden && !fresh) ask(listing.asked).catch(() => undefined);
    }, Math.max(0, last + rest - Date.now()));
  }

  function toggleLabels() {
    const hidden = area.classList.toggle("no-labels");
    labels.setAttribute("aria-pressed", String(!hidden));
  }

  function named() {
    /** @type {HTMLElement} */ (author.lastElementChild).textContent = shown(person.name());
    author.setAttribute("aria-label", `Author: ${shown(person.name())}`);
    theme.title = `Theme: ${person.theme()}`;
  }

  async function rename() {
    const text = "Each label says who made it. The name is kept in this browser.";
    const name = await app.dialogs.prompt({ title: "Author", text, label: "Your name", value: person.name(), yes: "Save" });
    if (name) person.rename(name);
  }

  function dress() {
    person.wear(THEMES[(THEMES.indexOf(person.theme()) + 1) % THEMES.length]);
    named();
    app.announce(theme.title);
  }

  const when = () => !root.hidden;
  app.keys.on("hide_labels", toggleLabels, { when });
  app.keys.on("deselect", () => (selection.size ? selection.none() : false), { when });
  app.keys.onKey("Ctrl+a", selection.all, { when });
  app.keys.on("search", () => filter.field.select(), { when });
  for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"])
    app.keys.onKey(key, () => selection.move(key === "Home" ? 0 : key === "End" ? Infinity : selection.current), { when });

  cards.on((card) => {
    scroller.each((cell) => cell.number === card.number && cell.fill(card));
  });

  return {
    address: () => gridAddress(listing.asked),
    stale,

    /** @param {number} looked @param {number} total */
    progress(looked, total) {
      const going = looked < total;
      if (looking.hidden === going) looking.hidden = !going;
      if (!going && meter.value === 1) return;
      meter.value = total ? looked / total : 1;
      /** @type {HTMLElement} */ (looking.lastElementChild).textContent = `Looking at labels: ${counted(looked)} of ${counted(total)}`;
      if (looked !== listing.found.looked) stale();
    },

    /** @param {string} address @param {number | null} opened the image that was open before */
    async show(address, opened) {
      const next = askedBy(address);
      const { asked } = listing;
      const same = next.where === asked.where && next.order === asked.order && next.reverse === asked.reverse;
      filter.set(next.where);
      if (same && fresh && listing.numbers.length) {
        scroller.restore();
        const { index } = listing.position(opened ?? -1);
        if (index >= 0) selection.move(index);
        return;
      }
      scroller.restore();
      try {
        await ask(next, opened);
      } catch (error) {
        filter.failed(error);
      }
    },
  };
}
