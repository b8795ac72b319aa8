// Who works here, and how they like it: kept in this browser.

/** @import { Dialogs } from "./app.d.ts" */
/** @import { Session } from "./types.d.ts" */

const AUTHOR = "xlabel.author";
const THEME = "xlabel.theme";
export const THEMES = ["system", "light", "dark"];

/** @typedef {ReturnType<typeof createPerson>} Person */

/** @param {Session} session @param {Dialogs} dialogs */
export function createPerson(session, dialogs) {
  /** @type {Set<() => void>} */
  const handlers = new Set();
  let author = kept(AUTHOR) || session.author;
  let theme = kept(THEME) || THEMES[0];
  dress();

  function dress() {
    document.documentElement.dataset.theme = theme;
  }

  return {
    name: () => author,
    theme: () => theme,

    /** @param {string} name */
    rename(name) {
      author = name.trim() || session.author;
      keep(AUTHOR, author);
      for (const handler of handlers) handler();
    },

    /** @param {string} name one of THEMES */
    wear(name) {
      theme = name;
      keep(THEME, name);
      dress();
    },

    /** Ask for a name where the command did not give one, since several people work here. */
    async known() {
      while (!author) {
        const text = "Each label says who made it. The name is kept in this browser.";
        const name = await dialogs.prompt({ title: "Who are you?", text, label: "Your name", yes: "Begin" });
        this.rename(name ?? "");
      }
    },

    /** @param {() => void} handler */
    on: (handler) => handlers.add(handler),
  };
}

/** @param {string} name */
export function kept(name) {
  try {
    return localStorage.getItem(name) ?? "";
  } catch {
    return ""; // no storage in this window: everything works, and is forgotten
  }
}

/** @param {string} name @param {string} value */
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // as above
  }
}
