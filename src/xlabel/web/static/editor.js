// An image and its labels. The beginning: the picture alone.

import { h } from "./dom.js";

/** @import { App, Editor } from "./app.d.ts" */

/** @param {HTMLElement} root @param {App} app @returns {Editor} */
export function createEditor(root, app) {
  const image = h("img", { id: "image", alt: "" });
  root.append(image);
  return {
    async show(number) {
      const picture = await app.api.picture(number);
      image.src = app.api.imageUrl(number, picture.version);
    },
    async leave() {
      return true;
    },
  };
}
