// Questions, short messages and banners.

import { button, h, tool } from "./dom.js";

/** @import { Dialogs, MakeDialogs, MakeField, Warn } from "./app.d.ts" */

const STAYS = 6000; // milliseconds that a message stays
let fields = 0;

/** @type {MakeDialogs} */
export function createDialogs() {
  const toasts = h("div", { id: "toasts", "aria-live": "polite" });
  document.body.append(toasts);

  /** @type {Dialogs["open"]} */
  const open = ({ title, body, buttons, wide }) => new Promise((resolve) => {
    const id = `dialog-${++fields}`;
    const dialog = h("dialog", { "aria-labelledby": id, class: wide && "wide" });
    const pressed = buttons.map(({ value, text, kind }) => h("button", { value, class: kind }, text));
    const away = button({ label: buttons.length ? "Cancel" : "Close", text: buttons.length ? "Cancel" : "Close", onclick: () => dialog.close() });
    const form = h("form", { method: "dialog" }, h("h2", { id, ...(buttons.length ? {} : { tabindex: "-1", autofocus: true }) }, title), body, h("div", { class: "buttons" }, away, ...pressed));
    /** @type {string | null} */
    let value = null;
    form.onsubmit = ({ submitter }) => void (value = /** @type {HTMLButtonElement} */ (submitter).value);
    dialog.onclose = () => {
      dialog.remove();
      resolve(value);
    };
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
  });

  return {
    open,
    async prompt({ title, text = "", label, value = "", yes = "OK", choices, required = true }) {
      const { parts, input } = field(label, { value, required, choices });
      setTimeout(() => input.select());
      const body = h("div", { class: "field" }, h("p", {}, text), ...parts);
      return (await open({ title, body, buttons: [{ value: "yes", text: yes, kind: "primary" }] })) && input.value.trim();
    },
    toast(text, { kind = "info", action } = {}) {
      const away = () => toast.remove();
      const toast = h("div", { class: `toast ${kind}`, role: kind === "error" && "alert" }, h("span", {}, text),
        action && button({ label: action.text, text: action.text, onclick: () => (away(), action.run()) }),
        tool("Close", "M4 4l8 8M12 4l-8 8", away));
      toasts.querySelector(".info")?.remove();
      toasts.append(toast);
      while (toasts.children.length > 3) toasts.firstChild?.remove();
      if (kind === "info") setTimeout(away, STAYS);
    },
  };
}

/** @type {MakeField} */
export function field(label, { choices = [], ...more }) {
  const id = `field-${++fields}`;
  const input = h("input", { id, list: `${id}-list`, autocomplete: "off", ...more });
  const list = h("datalist", { id: `${id}-list` }, ...choices.map((value) => h("option", { value })));
  return { input, parts: [h("label", { for: id }, label), input, list] };
}

/** @param {HTMLElement} root @returns {Warn} */
export function createBanners(root) {
  return (id, text) => {
    const there = root.querySelector(`[data-banner="${id}"]`);
    if (text === there?.textContent) return;
    there?.remove();
    if (text) root.append(h("p", { class: "banner", role: "alert", "data-banner": id }, text));
  };
}
