// What must be known whatever is on the screen: the server is lost, nothing can be saved.

import { h } from "./dom.js";

/** @param {HTMLElement} root @returns {(id: string, text: string | null) => void} */
export function createBanners(root) {
  /** @type {Map<string, HTMLElement>} */
  const there = new Map();
  return (id, text) => {
    const banner = there.get(id);
    if (text === null) {
      banner?.remove();
      there.delete(id);
    } else if (banner) {
      if (banner.textContent !== text) banner.textContent = text;
    } else {
      const made = h("p", { class: "banner", role: "alert", "data-banner": id }, text);
      there.set(id, made);
      root.append(made);
    }
  };
}
