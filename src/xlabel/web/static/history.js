// What was done to an image's labels, so that all of it can be undone and done again.
//
// A step is a change of one label, or of what is said of the image, with the place that the label has in the
// list. Undoing and doing again are the same steps, turned round. A step that no longer fits, since somebody else
// has changed the label meanwhile, is left out: nobody's work goes silently.

import { same } from "./merging.js";

/** @import {Label, Review} from "./types" */
/** @typedef {{labels: Label[], split: string | null, review: Review | null}} Content what people change of an image */
/** @typedef {{id: number | string, before: Label | null, after: Label | null, at?: number}} LabelStep */
/** @typedef {{field: "split" | "review", before: any, after: any}} FieldStep */
/** @typedef {LabelStep | FieldStep} Step */
/** @typedef {{title: string, steps: Step[]}} Entry */

export function createHistory() {
  /** @type {Entry[]} */
  const done = [];
  /** @type {Entry[]} */
  const undone = [];
  return {
    /** @param {Entry} entry */
    push(entry) {
      done.push(entry);
      undone.length = 0;
    },
    /** @returns {Entry | null} what is to be made now */
    undo() {
      const entry = done.pop();
      if (!entry) return null;
      undone.push(entry);
      return { title: entry.title, steps: turned(entry.steps) };
    },
    /** @returns {Entry | null} */
    redo() {
      const entry = undone.pop();
      if (!entry) return null;
      done.push(entry);
      return entry;
    },
    get canUndo() {
      return done.length > 0;
    },
    get canRedo() {
      return undone.length > 0;
    },
  };
}

/**
 * Make steps; gives those that were made. New labels without a place come last.
 * @param {Content} content changed in place; its labels are not
 * @param {Step[]} steps @returns {Step[]}
 */
export function make(content, steps) {
  return steps.filter((step) => {
    if ("field" in step) {
      if (!same(content[step.field], step.before)) return false;
      content[step.field] = step.after;
      return true;
    }
    const at = content.labels.findIndex((label) => label.id === step.id);
    if (!same(at < 0 ? null : content.labels[at], step.before)) return false;
    if (at < 0 && step.after) {
      step.at = Math.min(step.at ?? content.labels.length, content.labels.length);
      content.labels.splice(step.at, 0, step.after);
    } else if (at >= 0 && step.after) {
      content.labels[at] = step.after;
    } else if (at >= 0) {
      step.at = at;
      content.labels.splice(at, 1);
    }
    return true;
  });
}

/** @param {Step[]} steps @returns {Step[]} what undoes them */
export function turned(steps) {
  return steps.map((step) => ({ ...step, before: step.after, after: step.before })).reverse();
}
