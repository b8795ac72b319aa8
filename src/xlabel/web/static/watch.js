// Asking from time to time what others have changed, how far the looking has come, and whether the server is there.

import { Lost, Refused } from "./api.js";

/** @import { Api } from "./app.d.ts" */

const BUSY = 700; // milliseconds between questions while the server still looks at labels
const IDLE = 3000;
const GONE = 1500;

/**
 * @param {Api} api
 * @param {{changed: (numbers: number[]) => void, progress: (looked: number, total: number) => void, back: () => Promise<void>,
 *   refused: (error: Refused) => void}} told
 */
export function watch(api, told) {
  let since = "";
  let wait = 0;
  let missed = false;

  async function ask() {
    wait = IDLE;
    if (document.hidden && !api.lost) return again();
    try {
      const status = await api.status(since);
      if (missed) {
        missed = false;
        await told.back();
      } else if (since) told.changed(status.changed);
      since = status.since;
      told.progress(status.looked, status.total);
      if (status.looked < status.total) wait = BUSY;
    } catch (error) {
      if (error instanceof Lost) {
        missed = true;
        wait = GONE;
      } else if (error instanceof Refused) told.refused(error);
    }
    again();
  }

  function again() {
    setTimeout(ask, wait);
  }

  api.on("lost", () => (missed = true));
  document.addEventListener("visibilitychange", () => document.hidden || (wait = 0));
  again();
}
