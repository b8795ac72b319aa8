// Edits that the server has not acknowledged, kept in this browser: by folder, image and tab.
//
// What a tab has left that crashed or was closed is an orphan: no tab answers for it. Orphans are saved by whoever
// opens the page next.

/** @import {Change} from "./types" */
/** @typedef {{key: string, number: number, changes: Change[]}} Kept */
/** @typedef {Kept & {name: string}} Orphan name: where it is kept */

const PATIENCE = 200; // milliseconds that other tabs have to answer

/** @param {string} folder */
export function createJournal(folder) {
  const prefix = `xlabel.unsaved ${folder} `;
  const tab = Math.random().toString(36).slice(2, 12);
  const channel = new BroadcastChannel("xlabel.tabs");
  channel.onmessage = ({ data }) => {
    if (data === "who?") channel.postMessage(tab);
    else alive.add(data);
  };
  const alive = new Set([tab]);
  /** @param {string} key */
  const nameOf = (key) => `${prefix}${tab} ${key}`;

  /** @type {Promise<Orphan[]>} */
  const orphans = found().length ? answered().then(() => found().filter(({ name }) => !alive.has(tabOf(name)))) : Promise.resolve([]);

  /** @returns {Promise<void>} when the other tabs have said that they are there */
  function answered() {
    channel.postMessage("who?");
    return new Promise((done) => setTimeout(done, PATIENCE));
  }

  /** @param {string} name */
  const tabOf = (name) => name.slice(prefix.length).split(" ", 1)[0];

  /** @returns {Orphan[]} */
  function found() {
    const all = [];
    try {
      for (const name of Object.keys(localStorage)) {
        if (!name.startsWith(prefix)) continue;
        const kept = JSON.parse(localStorage.getItem(name) ?? "null");
        if (kept && Array.isArray(kept.changes)) all.push({ ...kept, name });
      }
    } catch {
      // No storage here, or something in it that is not ours: nothing to be had.
    }
    return all;
  }

  return {
    orphans,
    /** @param {Kept} kept @returns {boolean} whether there was room for it */
    keep(kept) {
      try {
        localStorage.setItem(nameOf(kept.key), JSON.stringify(kept));
        return true;
      } catch {
        return false;
      }
    },
    /** @param {string} key */
    drop: (key) => removed(nameOf(key)),
    /** @param {Orphan} orphan */
    adopted: (orphan) => removed(orphan.name),
  };
}

/** @param {string} name */
function removed(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // No storage here.
  }
}
