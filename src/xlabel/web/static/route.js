// Addresses of the page: #/ with a query is the grid, #/image/KEY an image.

import { aborted } from "./api.js";

/** @import { App, Asked, Editor } from "./app.d.ts" */

const GRID = "#/";
const IMAGE = "#/image/";

/** @param {string} key */
export function imageAddress(key) {
  return IMAGE + key.split("/").map((part) => encodeURIComponent(part.toWellFormed())).join("/");
}

/** The key that an address names, or null. @param {string} address */
export function imageOf(address) {
  if (!address.startsWith(IMAGE)) return null;
  const text = address.slice(IMAGE.length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Asked} asked */
export function gridAddress({ where, order, reverse }) {
  const words = new URLSearchParams();
  if (where) words.set("where", where);
  if (order !== "name") words.set("order", order);
  if (reverse) words.set("reverse", "1");
  return words.size ? `${GRID}?${words}` : GRID;
}

/** @param {string} address @returns {Asked} */
export function askedBy(address) {
  const words = new URLSearchParams(address.split("?")[1] ?? "");
  return { where: words.get("where") ?? "", order: words.get("order") ?? "name", reverse: words.get("reverse") === "1" };
}

/** The editor, whose module is loaded when an image is first opened. @param {HTMLElement} root @param {App} app @returns {Editor} */
export function createEditorOf(root, app) {
  /** @type {Editor | null} */
  let editor = null;
  return {
    async show(number) {
      editor ??= (await import("./editor.js")).createEditor(root, app);
      try {
        await editor.show(number);
      } catch (error) {
        if (!aborted(error)) throw error;
      }
    },
    leave: async () => editor === null || editor.leave(),
  };
}
