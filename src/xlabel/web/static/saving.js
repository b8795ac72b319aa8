// Images that are worked on, and how what is done to them gets into their files.
//
// What is to be saved is the difference between what the server told last and what is here now: so edits that come while a
// save is under way, answers that were lost and saves that failed are all the same. It is in the journal until it is saved.

import { Refused } from "./api.js";
import { changesOf, copied, createHistory, merged, put } from "./changes.js";
import { shown } from "./dom.js";

const DEBOUNCE = 400;
const WAITS = [1000, 30000]; // milliseconds: after the first failure, and at most
const LIVELY = 60000; // bytes that a browser still sends for a page that is gone
const KEPT = 20; // images whose labels stay in memory though nothing was done to them

/** @param {App} app @param {{changed(work: Work, ids: Id[]): void, state(): void, clash(work: Work): void}} told @returns {Saving} */
export function createSaving({ api, author, cards, journal, session, warn }, told) {
  /** @type {Map<number, Work>} */
  const works = new Map();
  const unsaved = (/** @type {Work} */ work) => changesOf(work.base, work.content, work.touched);
  const waits = (/** @type {Work} */ work) => work.clashes.length > 0 || work.replaced !== null;

  /** @param {Picture} picture @returns {Work} */
  function begun(picture) {
    const { number, key, fingerprint } = picture;
    for (const [other, work] of works) {
      if (works.size < KEPT) break;
      if (!work.sending && !unsaved(work).length && !work.history.canUndo && !work.history.canRedo) works.delete(other);
    }
    /** @type {Work} */
    const work = {
      number, key, picture, fingerprint, base: copied(picture), content: copied(picture), history: createHistory(),
      touched: new Set(), clashes: [], replaced: null, sending: null, saves: 0, timer: 0, wait: 0, failed: null,
    };
    works.set(number, work);
    return work;
  }

  /** @type {Saving["take"]} */
  function take(work, picture) {
    work.replaced = picture.fingerprint !== work.fingerprint && unsaved(work).length ? picture : null;
    if (work.replaced) {
      keep(work);
      return told.clash(work);
    }
    const { content, clashes, changed } = merged(work.base, work.content, picture);
    const base = copied(picture);
    for (const clash of clashes) {
      if (clash.field) Object.assign(base, { [clash.field]: clash.base });
      else put(base, clash.id ?? "", /** @type {Label | null} */ (clash.base));
    }
    Object.assign(work, { picture, base, content, clashes, fingerprint: picture.fingerprint });
    work.touched = new Set(unsaved(work).flatMap((change) => ("id" in change ? [change.id] : [])));
    keep(work);
    told.changed(work, changed);
    if (clashes.length) told.clash(work);
    told.state();
  }

  /** @param {Work} work */
  function keep(work) {
    const { key, fingerprint } = work;
    const changes = unsaved(work);
    if (!changes.length) return journal.drop(key);
    const room = journal.keep({ key, changes, fingerprint });
    warn("journal", room ? null : "This browser has no room for unsaved edits: keep the page open until they are saved.");
  }

  /** @param {Work} work @param {number} wait */
  function soon(work, wait) {
    clearTimeout(work.timer);
    work.timer = setTimeout(send, wait, work);
  }

  /** @type {Saving["send"]} */
  function send(work) {
    clearTimeout(work.timer);
    const changes = unsaved(work);
    if (work.sending || !changes.length || waits(work)) return work.sending ?? Promise.resolve();
    work.sending = sent(work, changes).then((picture) => {
      work.sending = null;
      if (picture) take(work, picture);
      if (picture && unsaved(work).length) soon(work, 0);
      told.state();
    });
    told.state();
    return work.sending;
  }

  /** @param {Work} work @param {Change[]} changes */
  const body = ({ number, key, fingerprint }, changes) => ({ number, key, fingerprint, changes, author: author() });

  /** @param {Work} work @param {Change[]} changes @returns {Promise<Picture | null>} null where it failed */
  async function sent(work, changes) {
    try {
      const { picture, clashes } = await api.save(body(work, changes));
      for (const change of changes) {
        if (clashes.some((clash) => ("id" in change ? clash.id === change.id : clash.field === change.field))) continue;
        if ("id" in change) put(work.base, change.id, change.after);
        else Object.assign(work.base, { [change.field]: change.after });
      }
      Object.assign(work, { failed: null, wait: 0, saves: work.saves + 1 });
      cards.changed(picture);
      return picture;
    } catch (error) {
      work.failed = /** @type {Error} */ (error).message;
      const code = error instanceof Refused ? error.code : "";
      if (code === "unknown") await foundAgain(work);
      if (code === "replaced") return api.picture(work.number).catch(() => null);
      work.wait = Math.min(Math.max(WAITS[0], work.wait * 2), WAITS[1]);
      soon(work, work.wait);
      return null;
    }
  }

  /** A server that was started anew may count otherwise. @param {Work} work */
  async function foundAgain(work) {
    const number = await api.number(work.key).catch(() => work.number);
    works.delete(work.number);
    works.set((work.number = number), work);
  }

  const flush = () => works.forEach((work) => void send(work));
  api.on("back", flush);
  addEventListener("blur", flush);
  document.addEventListener("visibilitychange", () => document.hidden && flush());
  addEventListener("pagehide", () => {
    for (const work of works.values()) {
      const changes = unsaved(work);
      if (!changes.length || waits(work) || JSON.stringify(changes).length > LIVELY) continue;
      api.save(body(work, changes), { keepalive: true }).catch(() => {});
    }
  });

  return {
    take,
    send,
    knows: (number) => works.has(number),
    async look(number) {
      for (;;) {
        await works.get(number)?.sending;
        const saves = works.get(number)?.saves;
        const picture = await api.picture(number);
        const work = works.get(number);
        if (work?.saves === saves && !work?.sending) return picture; // else it may be of before a save
      }
    },
    async open(picture) {
      const there = works.get(picture.number);
      if (there && there.key !== picture.key) await foundAgain(there);
      const work = there?.key === picture.key ? there : begun(picture);
      if (work.picture !== picture && !work.sending) take(work, picture);
      for (const orphan of await journal.orphans) {
        if (orphan.key !== work.key) continue;
        work.fingerprint = orphan.fingerprint;
        for (const change of orphan.changes.splice(0)) {
          if ("id" in change) {
            work.touched.add(change.id);
            put(work.base, change.id, change.before);
            put(work.content, change.id, change.after);
          } else {
            Object.assign(work.base, { [change.field]: change.before });
            Object.assign(work.content, { [change.field]: change.after });
          }
        }
        take(work, picture);
        journal.adopted(orphan);
        soon(work, DEBOUNCE);
      }
      return work;
    },
    edited(work, ids) {
      for (const id of ids) work.touched.add(id);
      keep(work);
      soon(work, Math.max(DEBOUNCE, Math.min(work.wait, 5000)));
      told.state();
    },
    settled(work, clashes) {
      for (const { id, field, theirs } of clashes) {
        if (field) Object.assign(work.base, { [field]: theirs });
        else put(work.base, id ?? "", /** @type {Label | null} */ (theirs));
      }
      work.clashes = [];
      soon(work, 0);
    },
    onto(work, onto) {
      const picture = work.replaced ?? work.picture;
      work.fingerprint = picture.fingerprint;
      if (!onto) work.base = work.content;
      take(work, picture);
      soon(work, 0);
    },
    state(work) {
      const all = [...works.values()].sort((a, b) => Number(b === work) - Number(a === work));
      const failed = all.find((one) => waits(one) || (one.failed && unsaved(one).length));
      if (failed) {
        const why = failed.replaced ? "another picture is in its place" : failed.clashes.length ? "somebody else has changed the same" : failed.failed;
        return { state: "failed", text: `Not saved: ${failed === work ? "" : `${shown(failed.key)}: `}${why}` };
      }
      if (all.some((one) => one.sending)) return { state: "saving", text: "Saving..." };
      const saved = !all.some((one) => unsaved(one).length);
      return { state: saved ? "saved" : "unsaved", text: saved ? "Saved" : "Unsaved changes" };
    },
  };
}
