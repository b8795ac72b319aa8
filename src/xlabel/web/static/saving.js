// Images that are worked on, and how what is done to them gets into their files.
//
// What is to be saved is the difference between what the server told last and what is here now: so edits that come
// while a save is under way, answers that were lost and saves that failed are all the same. It is written into the
// journal before it is sent, and taken out when the server has it.

import { Refused } from "./api.js";
import { createHistory } from "./history.js";
import { createJournal } from "./journal.js";
import { changesOf, contentOf, copied, merged, replayed, same } from "./merging.js";

/** @import {Change, Clash, Picture} from "./types" */
/** @import {App} from "./app" */
/** @import {Content} from "./history.js" */
/** @import {Id} from "./merging.js" */
/** @import {Orphan} from "./journal.js" */
/**
 * An image that is worked on. `base` is what the server told last, but for labels that clash: there it is what the
 * edit began with, until somebody has chosen.
 * @typedef {object} Work
 * @property {number} number
 * @property {string} key
 * @property {Picture} picture
 * @property {Content} base
 * @property {Content} content as it is here now
 * @property {ReturnType<typeof createHistory>} history
 * @property {Set<Id>} touched labels that may differ from the base
 * @property {Clash[]} clashes that wait for an answer; nothing is sent meanwhile
 * @property {Promise<void> | null} sending
 * @property {number} timer
 * @property {number} wait milliseconds until the next try
 * @property {string | null} failed why the last try failed
 */
/** @typedef {{text: string, state: "saved" | "unsaved" | "saving" | "failed"}} State */

const DEBOUNCE = 400;
const WAITS = [1000, 30000]; // milliseconds: after the first failure, and at most
const LIVELY = 60000; // bytes that a browser sends for a page that is already gone
const KEPT = 20; // images whose labels stay in memory though nothing was done to them

/**
 * @param {App} app
 * @param {{changed: (work: Work, ids: Set<Id>) => void, state: () => void, clash: (work: Work) => void}} told
 */
export function createSaving(app, told) {
  const journal = createJournal(app.session.root);
  /** @type {Map<number, Work>} */
  const works = new Map();

  /** @param {Picture} picture @returns {Work} */
  function begun(picture) {
    const content = copied(contentOf(picture));
    /** @type {Work} */
    const work = {
      number: picture.number,
      key: picture.key,
      picture,
      base: copied(content),
      content,
      history: createHistory(),
      touched: new Set(),
      clashes: [],
      sending: null,
      timer: 0,
      wait: 0,
      failed: null,
    };
    works.set(work.number, work);
    for (const [number, other] of works) {
      if (works.size <= KEPT) break;
      if (!pending(other) && !other.history.canUndo && !other.history.canRedo && other !== work) works.delete(number);
    }
    return work;
  }

  /** @param {Work} work @returns {Change[]} */
  const unsaved = (work) => changesOf(work.base, work.content, work.touched);
  /** @param {Work} work */
  const pending = (work) => work.sending !== null || unsaved(work).length > 0;

  /** What is there by now, from the server. @param {Work} work @param {Picture} picture */
  function take(work, picture) {
    const now = merged(work.base, work.content, contentOf(picture));
    const known = copied(contentOf(picture));
    for (const clash of now.clashes) {
      if (clash.field) Object.assign(known, { [clash.field]: clash.base });
      else put(known, clash.id ?? "", clash.base);
    }
    Object.assign(work, { picture, base: known, content: now.content, clashes: now.clashes });
    work.touched = new Set(unsaved(work).flatMap((change) => ("id" in change ? [change.id] : [])));
    keep(work);
    told.changed(work, now.changed);
    if (work.clashes.length) told.clash(work);
    told.state();
  }

  /** @param {Work} work */
  function keep(work) {
    const changes = unsaved(work);
    if (!changes.length) {
      journal.drop(work.key);
      return;
    }
    const room = journal.keep({ key: work.key, number: work.number, changes });
    app.warn("journal", room ? null : "This browser has no room to keep unsaved edits: do not close the page before they are saved.");
  }

  /** @param {Work} work @param {number} wait */
  function soon(work, wait) {
    clearTimeout(work.timer);
    work.timer = setTimeout(() => send(work), wait);
  }

  /** @param {Work} work @returns {Promise<void>} */
  function send(work) {
    clearTimeout(work.timer);
    const changes = unsaved(work);
    if (work.sending) return work.sending;
    if (!changes.length || work.clashes.length) return Promise.resolve();
    work.sending = sent(work, changes).then((picture) => {
      work.sending = null;
      if (picture) take(work, picture);
      if (picture && unsaved(work).length) soon(work, 0);
      told.state();
    });
    told.state();
    return work.sending;
  }

  /** @param {Work} work @param {Change[]} changes @returns {Promise<Picture | null>} */
  async function sent(work, changes) {
    try {
      const { picture, clashes } = await app.api.save({ ...addressed(work), changes });
      for (const change of changes) {
        if (clashes.some((clash) => ("id" in change ? clash.id === change.id : clash.field === change.field))) continue;
        if ("field" in change) Object.assign(work.base, { [change.field]: change.after });
        else put(work.base, change.id, change.after);
      }
      work.failed = null;
      work.wait = 0;
      app.cards.changed(picture);
      return picture;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (error instanceof Refused && error.status === 404) await foundAgain(work);
      work.failed = text;
      work.wait = Math.min(Math.max(WAITS[0], work.wait * 2), WAITS[1]);
      soon(work, work.wait);
      return null;
    }
  }

  /** A server that was started anew may count otherwise. @param {Work} work */
  async function foundAgain(work) {
    const number = await app.api.number(work.key).catch(() => null);
    if (number === null || number === work.number) return;
    works.delete(work.number);
    work.number = number;
    works.set(number, work);
  }

  /** @param {{number: number, key: string}} image */
  const addressed = ({ number, key }) => ({ number, key, author: app.author() });

  /** Save what tabs have left that are no more, but for what clashes: that waits until the image is opened. */
  async function adopt() {
    let [done, open] = [0, 0];
    let failed = "";
    for (const orphan of await journal.orphans) {
      if (!orphan.changes.length || [...works.values()].some(({ key }) => key === orphan.key)) continue;
      try {
        const number = await app.api.number(orphan.key);
        const { picture, clashes } = await app.api.save({ ...addressed({ ...orphan, number }), changes: orphan.changes });
        app.cards.changed(picture);
        if (clashes.length) open += 1;
        else journal.adopted(orphan);
        if (!clashes.length) done += 1;
      } catch (error) {
        failed = `${orphan.key}: ${error instanceof Error ? error.message : error}`;
      }
    }
    if (done) app.dialogs.toast(`Unsaved edits of ${images(done)} were found in this browser, and saved.`);
    if (open) app.dialogs.toast(`Unsaved edits of ${images(open)} differ from what others have saved meanwhile: open them to choose.`);
    if (failed) app.dialogs.toast(`Unsaved edits are kept in this browser. ${failed}`, { kind: "error" });
  }

  const flush = () => Promise.all([...works.values()].map(send));
  app.api.on("back", () => void flush());
  addEventListener("blur", () => void flush());
  document.addEventListener("visibilitychange", () => document.hidden && void flush());
  addEventListener("pagehide", () => {
    for (const work of works.values()) {
      const changes = unsaved(work);
      if (!changes.length || work.clashes.length) continue;
      const body = { ...addressed(work), changes };
      if (JSON.stringify(body).length < LIVELY) void app.api.save(body, { keepalive: true }).catch(() => {});
    }
  });
  void adopt();

  return {
    /** @param {Picture} picture @returns {Promise<Work>} with what was not saved of it, from here or from the journal */
    async open(picture) {
      const there = works.get(picture.number);
      if (there && there.key !== picture.key) await foundAgain(there);
      const work = there?.key === picture.key ? there : begun(picture);
      if (work.picture !== picture && !work.sending) take(work, picture);
      for (const orphan of await journal.orphans) {
        if (orphan.key !== work.key || !orphan.changes.length) continue;
        const { base, content } = replayed(work.base, orphan.changes);
        for (const change of orphan.changes.splice(0)) if ("id" in change) work.touched.add(change.id);
        Object.assign(work, { base, content });
        take(work, picture);
        journal.adopted(orphan);
        soon(work, DEBOUNCE);
      }
      return work;
    },

    /** Something was changed here. @param {Work} work @param {Iterable<Id>} ids */
    edited(work, ids) {
      for (const id of ids) work.touched.add(id);
      keep(work);
      soon(work, work.failed ? Math.max(DEBOUNCE, Math.min(work.wait, 5000)) : DEBOUNCE);
      told.state();
    },

    /** Somebody has chosen: from now on theirs is what it began with. @param {Work} work */
    settled(work) {
      work.base = copied(contentOf(work.picture));
      work.clashes = [];
      soon(work, 0);
    },

    take,
    send,
    /** @param {number} number */
    of: (number) => works.get(number),
    /** @param {Work | null} work @returns {State} of that image, or of another one where that is worse */
    state(work) {
      const all = [...works.values()].sort((a, b) => Number(b === work) - Number(a === work));
      const failed = all.find((one) => one.failed && unsaved(one).length);
      if (failed) return { state: "failed", text: `Not saved: ${failed === work ? "" : `${failed.key}: `}${failed.failed}` };
      const clash = all.find((one) => one.clashes.length);
      if (clash) return { state: "failed", text: `Not saved: ${clash === work ? "" : `${clash.key}: `}somebody else has changed the same` };
      if (all.some((one) => one.sending)) return { state: "saving", text: "Saving..." };
      if (all.some((one) => unsaved(one).length)) return { state: "unsaved", text: "Unsaved changes" };
      return { state: "saved", text: "Saved" };
    },
  };
}

/** @param {Content} content @param {Id} id @param {any} label */
function put(content, id, label) {
  const at = content.labels.findIndex((other) => other.id === id);
  if (label) content.labels.splice(at < 0 ? content.labels.length : at, at < 0 ? 0 : 1, label);
  else if (at >= 0) content.labels.splice(at, 1);
}

/** @param {number} count */
const images = (count) => `${count} image${count === 1 ? "" : "s"}`;
