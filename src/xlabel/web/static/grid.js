// The grid. The beginning: names alone.

import { h, shown } from "./dom.js";
import { gridAddress, askedBy, imageAddress } from "./route.js";

/** @import { App } from "./app.d.ts" */
/** @import { Cards } from "./cards.js" */
/** @import { Shown } from "./listing.js" */
/** @import { Person } from "./person.js" */

/** @param {HTMLElement} root @param {App} app @param {{cards: Cards, listing: Shown, person: Person}} own */
export function createGrid(root, app, { cards, listing }) {
  return {
    address: () => gridAddress(listing.asked),
    stale() {},
    /** @param {number} looked @param {number} total */
    progress(looked, total) {},
    /** @param {string} address @param {number | null} last */
    async show(address, last) {
      await listing.ask(askedBy(address));
      const found = await cards.all(listing.numbers.slice(0, 100));
      root.replaceChildren(...found.map((card) => h("a", {
        class: "card", "data-number": card.number, "data-key": card.key, href: imageAddress(card.key),
      }, h("img", { src: app.api.thumbUrl(card.number, card.version), alt: "" }), shown(card.key))));
    },
  };
}
