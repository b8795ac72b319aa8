// What the page and the server say to each other; docs/review_api.md says what it means.

export type Box = [number, number, number, number];

export interface RLE {
  size: [number, number];
  counts: string | number[];
}

export type Shape =
  | { kind: "oriented_box"; corners: number[] }
  | { kind: "polyline"; points: number[] }
  | { kind: "points"; points: number[] }
  | { kind: "circle"; x: number; y: number; radius: number };

export type Status = "suggestion" | "accepted" | "rejected";

export interface Label {
  id: number | string;
  category?: string | null;
  bbox?: Box | null;
  polygons?: number[][] | null;
  mask?: RLE | null;
  keypoints?: number[] | null;
  shape?: Shape | null;
  crowd?: boolean;
  area?: number | null;
  score?: number | null;
  status?: Status | null;
  caption?: string | null;
  attributes?: Record<string, unknown> | null;
  author?: string | null;
  time?: string | null;
  source?: { kind: "human" | "model"; name?: string; hash?: string } | null;
  extra?: Record<string, unknown> | null;
}

export interface Review {
  state: "reviewed" | "rejected";
  comment?: string;
  author?: string;
  time?: string;
}

export type State = "todo" | "labelled" | "reviewed" | "rejected";

export type Change =
  | { id: number | string; before: Label | null; after: Label | null }
  | { field: "split"; before: string | null; after: string | null }
  | { field: "review"; before: Review | null; after: Review | null };

export interface Attribute {
  name: string;
  kind: "choice" | "boolean" | "number" | "text";
  choices?: string[];
  min?: number;
  max?: number;
  default?: unknown;
}

export interface Category {
  name: string;
  colour: string; // #rrggbb
  key?: string | null;
  supercategory?: string | null;
  keypoints?: string[] | null;
  skeleton?: [number, number][] | null; // counted from 1
  attributes: Attribute[]; // of this category and of all
}

export interface Session {
  name: string; // of the folder
  root: string;
  total: number;
  author: string; // empty where everybody has to say a name
  categories: Category[];
  keys: Record<string, string[]>; // action -> key combinations
  help: Record<string, [keys: string[], says: string][]>; // group -> keys as people write them, and what they do
  examples: [text: string, says: string][]; // of expressions
  orders: string[]; // in which images can be listed
  where: string; // the expression that the command gave
  order: string;
  first: number | null; // the image to open at once
  readonly: string | null; // why nothing can be saved
  segment: boolean; // whether --sam was given
  version: string;
}

export interface Listing {
  numbers: number[];
  marks: string; // a letter for each of them: t, l, r or x for its state (x: rejected), ? where it has not been looked at
  total: number; // images in the folder
  looked: number; // of them, those whose labels have been looked at
  states: Record<State, number>; // of those that fit
  suggested: number; // images with suggestions
  unlabelled: number; // images without label and suggestion
  categories: Record<string, { labels: number; images: number; suggestions: number }>;
  problems: Record<string, number>; // code -> images
  splits: Record<string, number>;
}

export interface Card {
  number: number;
  key: string;
  width: number | null; // as displayed
  height: number | null;
  version: string;
  state: State;
  labels: Label[]; // as far as they are drawn: category, geometry, status, score
  more: number; // labels that are not in the list, because there are so many
  split: string | null;
  tags: string[];
  readonly: string | null;
  error: string | null; // why there is no picture
}

export interface Picture {
  number: number;
  key: string;
  width: number | null;
  height: number | null;
  orientation: number;
  mime: string | null;
  bytes: number;
  time: string; // of the file
  version: string;
  fingerprint: string | null; // of the picture itself; give it back with what is saved
  labels: Label[];
  split: string | null;
  review: Review | null;
  state: State;
  from: "image" | "sidecar" | "files" | "none"; // where the labels were found
  readonly: string | null;
  problems: { code: string; message: string; id?: number | string | null }[]; // id: of the label
}

export interface Clash {
  id?: number | string;
  field?: "split" | "review";
  base: unknown;
  mine: unknown;
  theirs: unknown;
}

export interface Saved {
  picture: Picture;
  clashes: Clash[];
}

export type Action =
  | { kind: "relabel"; from: string | null; to: string } // from null: every label
  | { kind: "accept" } // all suggestions
  | { kind: "reject" }
  | { kind: "tag"; name: string }
  | { kind: "untag"; name: string }
  | { kind: "split"; name: string | null }
  | { kind: "review"; state: "reviewed" | "rejected" | null; comment?: string };

export interface Bulk {
  done: { number: number; key: string; changes: Change[] }[];
  failed: { number: number; key: string; message: string }[];
}

export interface Progress {
  looked: number;
  total: number;
  changed: number[];
  since: string; // for the next question
}

export interface Segment {
  polygons: number[][] | null;
  bbox: Box | null;
  score: number | null;
  milliseconds: number;
}

export interface Propagated {
  done: { number: number; key: string; score: number }[];
  stopped: string | null; // why it went no further
}
