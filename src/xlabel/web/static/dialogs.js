// Questions and short messages, in the browser's own dialogs.

import { button, h } from "./dom.js";

/** @import { Button, Dialogs } from "./app.d.ts" */

const STAYS = 6000; // milliseconds that a message stays
let fields = 0;

/** @param {(text: string) => void} announce @returns {Dialogs} */
export function createDialogs(announce) {
  const toasts = h("div", { id: "toasts" });
  document.body.append(toasts);

  /** @type {Dialogs["open"]} */
  function open({ title, body, buttons, wide, check }) {
    return new Promise((resolve) => {
      const id = `dialog-${++fields}`;
      const form = h("form", { method: "dialog" }, h("h2", { id }, title), body, foot(buttons));
      const dialog = h("dialog", { "aria-labelledby": id, class: wide ? "wide" : null }, form);
      /** @type {string | null} */
      let value = null;
      form.addEventListener("submit", (event) => {
        if (check && !check()) {
          event.preventDefault();
          return;
        }
        value = /** @type {HTMLButtonElement | null} */ (event.submitter)?.value ?? buttons.at(-1)?.value ?? null;
      });
      for (const closing of form.querySelectorAll("button[data-close]"))
        closing.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(value);
      });
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  return {
    open,
    async confirm({ title, text, yes = "OK", no = "Cancel", danger }) {
      const buttons = [cancel(no), { value: "yes", text: yes, kind: danger ? "danger" : "primary" }];
      return (await open({ title, body: said(text), buttons: /** @type {Button[]} */ (buttons) })) === "yes";
    },
    async prompt({ title, text, label, value = "", yes = "OK", choices = [], required = true }) {
      const id = `field-${++fields}`;
      const input = h("input", { id, value, required, autocomplete: "off", list: choices.length ? `${id}-list` : null });
      const list = h("datalist", { id: `${id}-list` }, ...choices.map((choice) => h("option", { value: choice })));
      const body = h("div", { class: "field" }, said(text), h("label", { for: id }, label), input, list);
      const buttons = [cancel("Cancel"), { value: "yes", text: yes, kind: "primary" }];
      setTimeout(() => input.select());
      const pressed = await open({ title, body, buttons: /** @type {Button[]} */ (buttons) });
      return pressed === "yes" ? input.value.trim() : null;
    },
    async choose({ title, text, options }) {
      const body = h("div", {}, said(text), h("div", { class: "choices" }, ...options.map(({ value, text, detail }) =>
        h("button", { value }, h("span", {}, text), detail && h("small", {}, detail)))));
      return open({ title, body, buttons: [cancel("Cancel")] });
    },
    toast(text, { kind = "info", action } = {}) {
      const toast = h("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : null }, h("span", {}, text));
      const away = () => toast.remove();
      if (action)
        toast.append(button({ label: action.text, text: action.text, onclick: () => (away(), action.run()) }));
      toast.append(button({ label: "Close", icon: "M4 4l8 8M12 4l-8 8", class: "quiet", onclick: away }));
      toasts.append(toast);
      while (toasts.children.length > 4) toasts.firstElementChild?.remove();
      if (kind === "info") {
        announce(text);
        setTimeout(away, STAYS);
      }
    },
  };
}

/** @param {string} text @returns {Button} */
function cancel(text) {
  return { value: "", text };
}

/** @param {string | undefined} text @returns {Node} */
function said(text) {
  return text ? h("p", {}, text) : document.createDocumentFragment();
}

/** @param {Button[]} buttons */
function foot(buttons) {
  return h("div", { class: "buttons" }, ...buttons.map(({ value, text, kind }) => value
    ? h("button", { value, class: kind ?? null }, text)
    : h("button", { type: "button", "data-close": true }, text)));
}
