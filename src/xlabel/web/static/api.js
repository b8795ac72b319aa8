// What the server is asked; docs/review_api.md says what it means.

/** @import { MakeApi, Watch } from "./app.d.ts" */

const WAITS = [250, 1000, 2500]; // milliseconds before a question is asked again
const BUSY = 700; // milliseconds between questions for what is new, while the server still looks at labels
const IDLE = 3000;
const GONE = 1500;

export class Refused extends Error {
  /** @param {number} status @param {{code?: string, message?: string, at?: number}} error */
  constructor(status, { code = "failed", message = `the server answered ${status}`, at }) {
    super(message);
    this.status = status;
    this.code = code;
    this.at = at ?? null;
  }
}

export class Lost extends Error {
  constructor() {
    super("the server does not answer");
  }
}

/** @param {unknown} error */
export function aborted(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** @type {MakeApi} */
export function createApi() {
  const handlers = { lost: new Set(), back: new Set() };
  let lost = false;

  const tell = (/** @type {boolean} */ now) => {
    if (lost === now) return;
    lost = now;
    for (const handler of handlers[now ? "lost" : "back"]) handler();
  };

  /** @param {string} path @param {RequestInit} [options] @param {number} [fine] a status that is none of an error */
  async function once(path, options, fine) {
    let answer, body;
    try {
      answer = await fetch(path, { cache: "no-store", ...options });
      body = await answer.text();
    } catch (error) {
      if (aborted(error)) throw error;
      tell(true);
      throw new Lost();
    }
    tell(false);
    if (!answer.ok && answer.status !== fine) throw new Refused(answer.status, reason(body));
    return JSON.parse(body);
  }

  /** @param {string} path @param {AbortSignal} [signal] */
  async function get(path, signal) {
    for (const wait of WAITS) {
      try {
        return await once(path, { signal });
      } catch (error) {
        if (!(error instanceof Lost) || signal?.aborted) throw error;
      }
      await new Promise((done) => setTimeout(done, wait));
    }
    return once(path, { signal });
  }

  /** @param {string} path @param {unknown} body @param {RequestInit} [options] @param {number} [fine] */
  function post(path, body, options, fine) {
    const headers = { "Content-Type": "application/json" };
    return once(path, { method: "POST", headers, body: JSON.stringify(body), ...options }, fine);
  }

  return {
    session: () => get("api/session"),
    query: (asked, signal) => post("api/query", asked, { signal }),
    cards: (numbers, signal) => get(`api/cards?n=${numbers}`, signal),
    number: async (key) => (await get(`api/number?key=${encodeURIComponent(key)}`)).number,
    picture: (number, signal) => get(`api/images/${number}`, signal),
    save: (sent, options) => post("api/save", sent, options, 409),
    bulk: (numbers, action, author) => post("api/bulk", { numbers, action, author }),
    changes: (items, author) => post("api/changes", { items, author }),
    status: (since) => once(`api/status?since=${encodeURIComponent(since)}`),
    segment: (number, points, box, signal) => post("api/segment", { number, points, box }, { signal }),
    propagate: (number, id, count, author) => post("api/propagate", { number, id, count, author }),
    imageUrl: (number, version) => `images/${number}?v=${encodeURIComponent(version)}`,
    thumbUrl: (number, version) => `thumbs/${number}?v=${encodeURIComponent(version)}`,
    on(event, handler) {
      handlers[event].add(handler);
      return () => handlers[event].delete(handler);
    },
    get lost() {
      return lost;
    },
  };
}

/** @param {string} body */
function reason(body) {
  try {
    return JSON.parse(body).error ?? {};
  } catch {
    return { message: body.slice(0, 300) };
  }
}

/** @type {Watch} */
export function watch(api, told) {
  let since = "";
  let missed = false;

  async function ask() {
    let wait = IDLE;
    try {
      if (!document.hidden || api.lost) {
        const status = await api.status(since);
        if (missed || Number(status.since) < Number(since)) await told.back();
        else if (since && status.changed.length) told.changed(status.changed);
        missed = false;
        since = status.since;
        told.progress(status.looked, status.total);
        if (status.looked < status.total) wait = BUSY;
      }
    } catch (error) {
      if (error instanceof Refused) told.refused(error);
      else wait = GONE;
    }
    setTimeout(ask, wait);
  }

  api.on("lost", () => (missed = true));
  ask();
}
