// What the server is asked; docs/review_api.md says what it means.

/** @import { Api, Asked, Sent } from "./app.d.ts" */

const WAITS = [250, 1000, 2500]; // milliseconds before a question is asked again

/** What the server refused, and why. */
export class Refused extends Error {
  /** @param {number} status @param {{code?: string, message?: string, at?: number}} error */
  constructor(status, error) {
    super(error.message ?? `the server answered ${status}`);
    this.name = "Refused";
    this.status = status;
    this.code = error.code ?? "failed";
    this.at = error.at ?? null;
  }
}

/** The server does not answer. */
export class Lost extends Error {
  constructor() {
    super("the server does not answer");
    this.name = "Lost";
  }
}

/** @param {unknown} error */
export function aborted(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** @returns {Api} */
export function createApi() {
  /** @type {Map<string, Set<() => void>>} */
  const handlers = new Map([["lost", new Set()], ["back", new Set()]]);
  let lost = false;

  /** @param {boolean} now */
  function tell(now) {
    if (lost === now) return;
    lost = now;
    for (const handler of handlers.get(now ? "lost" : "back") ?? []) handler();
  }

  /**
   * @param {string} path
   * @param {RequestInit} options
   * @param {number[]} [fine] answers that are none of an error
   */
  async function once(path, options, fine = []) {
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
    if (!answer.ok && !fine.includes(answer.status)) throw new Refused(answer.status, reason(body));
    return JSON.parse(body);
  }

  /** @param {string} path @param {AbortSignal} [signal] */
  async function get(path, signal) {
    for (const wait of WAITS) {
      try {
        return await once(path, { signal });
      } catch (error) {
        const again = error instanceof Lost || (error instanceof Refused && error.status > 501 && error.status !== 507);
        if (!again || signal?.aborted) throw error;
      }
      await new Promise((done) => setTimeout(done, wait));
    }
    return once(path, { signal });
  }

  /** @param {string} path @param {unknown} body @param {RequestInit} [options] @param {number[]} [fine] */
  function post(path, body, options = {}, fine = []) {
    const headers = { "Content-Type": "application/json" };
    return once(path, { method: "POST", headers, body: JSON.stringify(body), ...options }, fine);
  }

  return {
    session: () => get("api/session"),
    query: (asked, signal) => post("api/query", asked, { signal }),
    cards: (numbers, signal) => get(`api/cards?n=${numbers.join(",")}`, signal),
    number: async (key) => (await get(`api/number?key=${encodeURIComponent(key)}`)).number,
    picture: (number, signal) => get(`api/images/${number}`, signal),
    save: (sent, options) => post("api/save", sent, { keepalive: options?.keepalive }, [409]),
    bulk: (numbers, action, author) => post("api/bulk", { numbers, action, author }),
    changes: (items, author) => post("api/changes", { items, author }),
    status: (since) => once(`api/status?since=${encodeURIComponent(since)}`, {}),
    segment: (number, points, box, signal) => post("api/segment", { number, points, box }, { signal }),
    propagate: (number, id, count, author) => post("api/propagate", { number, id, count, author }),
    imageUrl: (number, version) => `images/${number}?v=${encodeURIComponent(version)}`,
    thumbUrl: (number, version) => `thumbs/${number}?v=${encodeURIComponent(version)}`,
    on(event, handler) {
      handlers.get(event)?.add(handler);
      return () => handlers.get(event)?.delete(handler);
    },
    get lost() {
      return lost;
    },
  };
}

/** @param {string} body @returns {{code?: string, message?: string, at?: number}} */
function reason(body) {
  try {
    return JSON.parse(body).error ?? {};
  } catch {
    return { message: body.slice(0, 300) };
  }
}
