// Two have changed the same: both versions over the picture, and a choice for each.

import { boundsOf, clamp } from "./geometry.js";
import { button, h, shown, svg } from "./dom.js";
import { set, shapesOf, titleOf } from "./stage.js";

const COLOURS = { theirs: "#ff922b", mine: "#4dabf7" };
const KEEPS = { mine: "Mine", theirs: "Theirs", both: "Both" };

/** @param {Bench} bench @param {Work} work */
export async function askAbout(bench, work) {
  const { app, stage, saving } = bench;
  if (work.replaced) {
    const text = "Another picture is in the place of the one that you have labelled. What shall become of your unsaved changes?";
    const buttons = [{ value: "leave", text: "Give them up" }, { value: "keep", text: "Make them on the new picture" }];
    const chosen = await app.dialogs.open({ title: `${shown(work.key)}: another picture`, body: h("p", {}, text), buttons });
    return chosen ? saving.onto(work, chosen === "keep") : undefined;
  }
  const { width, height } = stage.size;
  const view = svg("svg", { class: "versions", role: "img", "aria-label": "Both versions over the picture" }, svg("image", { href: stage.img.src, width, height, preserveAspectRatio: "none" }));
  const asked = work.clashes.map((clash, i) => question(clash, i));
  for (const { clash } of asked) {
    for (const side of /** @type {const} */ (["theirs", "mine"])) {
      const label = /** @type {Label | null} */ (clash[side]);
      if (label && !clash.field) view.append(svg("g", { class: `version ${side}`, stroke: COLOURS[side], fill: COLOURS[side] }, ...shapesOf(label, app)));
    }
  }
  const all = Object.entries(KEEPS).map(([keep, text]) => button({ label: `${text} for all`, text: `${text} for all`, onclick: () => asked.forEach(({ choose }) => choose(keep)) }));
  const questions = h("div", { class: "questions" }, h("div", { class: "row" }, ...all), ...asked.map(({ node }) => node));
  const body = h("div", { class: "clashes" }, h("p", {}, "Somebody else has changed the same meanwhile. Choose what stays: nothing is lost before, and it can be undone."), view, questions);

  /** Show where it is. @param {Clash} clash */
  function look(clash) {
    const [left, top, right, bottom] = (!clash.field && boundsOf(/** @type {Label} */ (clash.mine ?? clash.theirs))) || [0, 0, width, height];
    const margin = Math.max(right - left, bottom - top, 64) / 2;
    const [x, y] = [clamp(left - margin, 0, width), clamp(top - margin, 0, height)];
    set(view, { viewBox: `${x} ${y} ${clamp(right + margin, 1, width) - x} ${clamp(bottom + margin, 1, height) - y}` });
  }
  for (const { node, clash } of asked) for (const event of ["pointerenter", "focusin"]) node.addEventListener(event, () => look(clash));
  look(asked[0].clash);

  const title = `${shown(work.key)}: two versions`;
  const pressed = await app.dialogs.open({ title, body, buttons: [{ value: "keep", text: "Keep these", kind: "primary" }], wide: true });
  if (pressed) bench.settle(work, asked.map(({ clash, chosen }) => ({ clash, keep: chosen() })));
  else app.dialogs.toast("Nothing of this image is saved before somebody chooses.", { kind: "error", action: { text: "Choose", run: () => void askAbout(bench, work) } });
}

/** @param {Clash} clash @param {number} number */
function question(clash, number) {
  const inputs = Object.entries(KEEPS).slice(0, clash.field ? 2 : 3).map(([value]) => h("input", { type: "radio", name: `clash-${number}`, id: `clash-${number}-${value}`, value }));
  const texts = inputs.map(({ value, id }) => h("label", { for: id }, KEEPS[/** @type {"mine"} */ (value)], value === "both" ? "" : ` \u2013 ${said(clash, /** @type {"mine"} */ (value))}`));
  inputs[0].checked = true;
  const title = clash.field ?? titleOf(/** @type {Label} */ (clash.mine ?? clash.theirs));
  return {
    clash,
    node: h("fieldset", {}, h("legend", {}, title), ...inputs.map((input, i) => h("div", { class: `choice ${input.value}` }, input, texts[i]))),
    choose: (/** @type {string} */ keep) => inputs.forEach((input) => (input.checked ||= input.value === keep)),
    chosen: () => inputs.find(({ checked }) => checked)?.value ?? "mine",
  };
}

/** @param {Clash} clash @param {"mine" | "theirs"} side @returns {string} what it says there */
function said(clash, side) {
  const value = /** @type {any} */ (clash[side]);
  if (clash.field) return shown(value?.state ? `${value.state} ${value.comment ?? ""}` : value) || "none";
  return value ? `${titleOf(value)} ${value.status ?? ""}${side === "theirs" && value.author ? ` by ${shown(value.author)}` : ""}` : "deleted";
}
