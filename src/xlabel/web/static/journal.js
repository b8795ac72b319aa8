// Edits that the server has not acknowledged, kept in this browser by folder, tab and image.
//
// What a tab has left that crashed or was closed is an orphan: no tab answers for it. Whoever opens the page next saves it.

const PATIENCE = 200; // milliseconds that other tabs have to answer

/** @param {string} folder @returns {Journal} */
export function createJournal(folder) {
  const prefix = `xlabel.unsaved ${folder} `;
  const tab = Math.random().toString(36).slice(2);
  const alive = new Set([tab]);
  const channel = new BroadcastChannel("xlabel.tabs");
  channel.onmessage = ({ data }) => (data ? alive.add(data) : channel.postMessage(tab));
  const nameOf = (/** @type {string} */ key) => `${prefix}${tab} ${key}`;

  /** @returns {Orphan[]} */
  const found = () =>
    Object.keys(stored(() => ({ ...localStorage })) ?? {}).flatMap((name) => {
      const kept = name.startsWith(prefix) && !alive.has(name.slice(prefix.length).split(" ")[0]) && stored(() => JSON.parse(localStorage[name]));
      return kept && Array.isArray(kept.changes) ? [{ ...kept, name }] : [];
    });

  async function orphans() {
    if (!found().length) return [];
    channel.postMessage("");
    await new Promise((done) => setTimeout(done, PATIENCE));
    return found();
  }

  return {
    orphans: orphans(),
    keep: (kept) => stored(() => (localStorage.setItem(nameOf(kept.key), JSON.stringify(kept)), true)) ?? false,
    drop: (key) => void stored(() => localStorage.removeItem(nameOf(key))),
    adopted: (orphan) => void stored(() => localStorage.removeItem(orphan.name)),
  };
}

/** Save the orphans; what clashes waits until its image is opened. @param {App} app @param {Journal} journal */
export async function adopt({ api, author, cards, dialogs }, journal) {
  let [saved, clashing] = [0, 0];
  for (const orphan of await journal.orphans) {
    const { key, changes, fingerprint } = orphan;
    if (!changes.length) continue; // its image was opened meanwhile
    try {
      const { picture, clashes } = await api.save({ number: await api.number(key), key, changes, fingerprint, author: author() });
      cards.changed(picture);
      if (clashes.length) clashing++;
      else journal.adopted(orphan), saved++;
    } catch (error) {
      dialogs.toast(`Unsaved edits are kept in this browser. ${key}: ${/** @type {Error} */ (error).message}`, { kind: "error" });
    }
  }
  const images = (/** @type {number} */ count) => `Unsaved edits of ${count} image${count > 1 ? "s" : ""}`;
  if (saved) dialogs.toast(`${images(saved)} were found in this browser, and saved.`);
  if (clashing) dialogs.toast(`${images(clashing)} differ from what others have saved meanwhile: open them to choose.`, { kind: "error" });
}

/** Nothing where this window has no storage, or no room in it. @template T @param {() => T} what */
function stored(what) {
  try {
    return what();
  } catch {
    return null;
  }
}
