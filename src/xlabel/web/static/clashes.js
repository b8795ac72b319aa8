// Two have changed the same: both versions over the picture, and a choice for each.

import { button, h, shown, svg } from "./dom.js";
import { boundsOf, clamp } from "./geometry.js";
import { shapesOf, titleOf } from "./drawing.js";

/** @import {Clash, Label, Review} from "./types" */
/** @import {Bench} from "./bench.js" */
/** @import {Work} from "./saving.js" */
/** @typedef {"mine" | "theirs" | "both"} Keep */

const COLOURS = { mine: "#4dabf7", theirs: "#ff922b" };
const SHARE = 0.25; // of the picture around what is looked at

/** @param {Bench} bench @param {Work} work @returns {Promise<void>} */
export async function askAbout(bench, work) {
  const { app, stage } = bench;
  const clashes = [...work.clashes];
  const { width, height } = stage.size;
  const view = svg("svg", { class: "versions", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Both versions over the picture" });
  view.append(svg("image", { href: stage.img.src, width, height, preserveAspectRatio: "none" }));
  /** @type {Map<Clash, SVGGElement[]>} */
  const drawn = new Map();
  for (const clash of clashes) {
    const nodes = /** @type {const} */ (["theirs", "mine"]).map((side) => {
      const label = clash.field ? null : /** @type {Label | null} */ (clash[side]);
      const colour = COLOURS[side];
      return svg("g", { class: `version ${side}`, stroke: colour, fill: colour }, ...(label ? shapesOf(label, app.categories) : []));
    });
    drawn.set(clash, nodes);
    view.append(...nodes);
  }

  const asked = clashes.map((clash, i) => question(clash, i, () => look(clash)));
  const all = h(
    "div",
    { class: "row" },
    ...COUNTED.map(([keep, text]) => button({ label: `${text} for all`, text: `${text} for all`, onclick: () => asked.forEach(({ choose }) => choose(keep)) })),
  );
  const body = h(
    "div",
    { class: "clashes" },
    h("p", {}, "Somebody else has changed the same here since you began. Nothing is lost yet: choose what stays. It can be undone."),
    h("div", { class: "beside" }, view, h("div", { class: "questions" }, all, ...asked.map(({ node }) => node))),
  );

  /** @param {Clash} clash */
  function look(clash) {
    for (const [one, nodes] of drawn) for (const node of nodes) node.classList.toggle("faint", one !== clash);
    const found = [clash.mine, clash.theirs].map((label) => (label && !clash.field ? boundsOf(/** @type {Label} */ (label)) : null)).filter((bounds) => bounds !== null);
    if (!found.length) return view.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [left, top] = [Math.min(...found.map((b) => b[0])), Math.min(...found.map((b) => b[1]))];
    const [right, bottom] = [Math.max(...found.map((b) => b[2])), Math.max(...found.map((b) => b[3]))];
    const margin = SHARE * Math.max(right - left, bottom - top, 64);
    const wide = clamp(right - left + 2 * margin, 1, width);
    const high = clamp(bottom - top + 2 * margin, 1, height);
    const x = clamp((left + right - wide) / 2, 0, width - wide);
    const y = clamp((top + bottom - high) / 2, 0, height - high);
    view.setAttribute("viewBox", `${x} ${y} ${wide} ${high}`);
  }

  if (clashes.length) look(clashes[0]);
  const title = `${shown(work.key)}: two versions`;
  const buttons = [{ value: "", text: "Later" }, { value: "keep", text: "Keep these", kind: /** @type {const} */ ("primary") }];
  const pressed = await app.dialogs.open({ title, body, buttons, wide: true });
  if (pressed !== "keep") {
    app.dialogs.toast("Nothing of this image is saved until it is decided which version stays.", { action: { text: "Decide", run: () => void askAbout(bench, work) } });
    return;
  }
  bench.settle(work, clashes.map((clash, i) => ({ clash, keep: asked[i].chosen() })));
}

/** @type {[Keep, string][]} */
const COUNTED = [["mine", "Mine"], ["theirs", "Theirs"], ["both", "Both"]];

/** @param {Clash} clash @param {number} number @param {() => void} look */
function question(clash, number, look) {
  const inputs = new Map();
  const offered = clash.field ? COUNTED.slice(0, 2) : COUNTED;
  const parts = offered.map(([keep, text]) => {
    const id = `clash-${number}-${keep}`;
    const input = h("input", { type: "radio", name: `clash-${number}`, id, value: keep, onchange: look });
    input.checked = keep === "mine";
    inputs.set(keep, input);
    const what = keep === "both" ? "" : ` \u2013 ${said(clash, keep)}`;
    return h("div", { class: `choice ${keep}` }, input, h("label", { for: id }, `${text}${what}`));
  });
  const title = clash.field ? { split: "Split", review: "Review" }[clash.field] : titleOf(/** @type {Label} */ (clash.mine ?? clash.theirs ?? clash.base));
  return {
    node: h("fieldset", { onmouseenter: look, onfocusin: look }, h("legend", {}, title), ...parts),
    /** @param {Keep} keep */
    choose(keep) {
      const input = inputs.get(keep) ?? inputs.get("mine");
      input.checked = true;
    },
    /** @returns {Keep} */
    chosen: () => offered.find(([keep]) => inputs.get(keep).checked)?.[0] ?? "mine",
  };
}

/** @param {Clash} clash @param {"mine" | "theirs"} side @returns {string} what it says there */
function said(clash, side) {
  const value = clash[side];
  if (clash.field === "split") return value ? shown(String(value)) : "none";
  if (clash.field) {
    const review = /** @type {Review | null} */ (value);
    return review ? `${review.state}${review.comment ? `: ${shown(review.comment)}` : ""}` : "no mark";
  }
  const label = /** @type {Label | null} */ (value);
  if (!label) return "deleted";
  const by = label.author && side === "theirs" ? ` by ${shown(label.author)}` : "";
  return `${titleOf(label)}${label.status ? `, ${label.status}` : ""}${by}`;
}
