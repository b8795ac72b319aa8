// What the page's frame gives to the editor, and the editor to the frame.

import type {
  Action, Bulk, Card, Category, Change, Label, Listing, Picture, Progress, Propagated, Saved, Segment, Session, State,
} from "./types";

export interface Api {
  session(): Promise<Session>;
  query(asked: Asked, signal?: AbortSignal): Promise<Listing>;
  cards(numbers: number[], signal?: AbortSignal): Promise<Card[]>;
  number(key: string): Promise<number>;
  picture(number: number, signal?: AbortSignal): Promise<Picture>;
  save(sent: Sent, options?: { keepalive?: boolean }): Promise<Saved>; // also where changes clash: see `clashes`
  bulk(numbers: number[], action: Action, author: string): Promise<Bulk>;
  changes(items: Sent[], author: string): Promise<Bulk>;
  status(since: string): Promise<Progress>;
  segment(number: number, points: [number, number, boolean][], box: number[] | null, signal?: AbortSignal): Promise<Segment>;
  propagate(number: number, id: number | string, count: number, author: string): Promise<Propagated>;
  imageUrl(number: number, version: string): string;
  thumbUrl(number: number, version: string): string;
  on(event: "lost" | "back", handler: () => void): () => void;
  readonly lost: boolean; // the server does not answer
}

export interface Asked {
  where: string;
  order: string;
  reverse: boolean;
}

export interface Sent {
  number: number;
  key: string;
  changes: Change[];
  author?: string;
  fingerprint?: string | null; // of the picture that they were made on
}

/** Gives false where the key is not for it: others are asked then. */
export type KeyHandler = (event: KeyboardEvent) => unknown;

export interface Binding {
  combo: string;
  handler: KeyHandler;
  when: () => boolean;
}
export type Bind = (combos: string[], handler: KeyHandler, options?: { when?: () => boolean }) => () => void;

/** Of several handlers that fit, the one that came last is asked first. */
export interface Keys {
  on(action: string, handler: KeyHandler, options?: { when?: () => boolean }): () => void;
  onKey(combo: string, handler: KeyHandler, options?: { when?: () => boolean }): () => void; // as a category's key
  text(action: string): string; // "Ctrl+Z", for titles; empty where it has no key
}

export interface Button {
  value: string;
  text: string;
  kind?: "primary" | "danger";
}

export interface Dialogs {
  prompt(asked: { title: string; text?: string; label: string; value?: string; yes?: string; choices?: string[]; required?: boolean }): Promise<string | null>;
  /** A dialog with a body of one's own; gives the value of the button, null where it was closed. Close or Cancel is there. */
  open(asked: { title: string; body: Node; buttons: Button[]; wide?: boolean }): Promise<string | null>;
  toast(text: string, options?: { kind?: "info" | "error"; action?: { text: string; run: () => void } }): void;
}

export interface App {
  session: Session;
  api: Api;
  listing: { numbers: number[] }; // in the order of the grid
  author(): string;
  go(number: number): Promise<void>; // opens an image: asks the editor to leave the last one, then to show this
  grid(): void;
  next(number: number): number | null;
  previous(number: number): number | null;
  nextTodo(number: number): Promise<number | null>; // the next that is unlabelled or undecided, from there round
  position(number: number): { index: number; of: number }; // index -1 where it is not in the listing
  keys: Keys;
  colourOf(category: string | null | undefined): string; // #rrggbb
  categories(): Category[];
  addCategory(name: string): Category;
  announce(text: string): void; // for screen readers
  dialogs: Dialogs;
  cards: { changed(picture: Picture): void }; // after each save
  onChanged(handler: (numbers: number[]) => void): () => void; // images that others have changed
  help(): void; // all keys
  warn: Warn;
  journal: Journal; // see editing.d.ts
}

export interface Editor {
  show(number: number): Promise<void>;
  leave(): Promise<boolean>; // false: stay
}

export type CreateEditor = (root: HTMLElement, app: App) => Editor;

export type Warn = (id: string, text: string | null) => void; // a banner above everything; null takes it away

// The parts of the frame and of the grid, each with what makes it.

type Child = Node | string | number | false | null | undefined;
type Attributes = Record<string, any>;
/** An element. `onclick` and the like are listeners, `value` is a property; what is false or null is left out. */
export type MakeElement = <K extends keyof HTMLElementTagNameMap>(tag: K, attributes?: Attributes, ...children: Child[]) => HTMLElementTagNameMap[K];
/** The same for SVG. */
export type MakeSvg = <K extends keyof SVGElementTagNameMap>(tag: K, attributes?: Attributes, ...children: Child[]) => SVGElementTagNameMap[K];
/** A button. With an icon alone the label is its name. A click by mouse does not take the focus, so that Enter and Space go on to mean what they mean for the image. */
export type MakeButton = (options: { label: string; icon?: string; text?: string; title?: string | null; [name: string]: any }) => HTMLButtonElement;

export type MakeApi = () => Api;

export interface Told {
  changed(numbers: number[]): void;
  progress(looked: number, total: number): void;
  back(): Promise<void>; // the server was lost, and answers again
  refused(error: Error): void;
}
/** Ask from time to time what others have changed, how far the looking has come, and whether the server is there. */
export type Watch = (api: Api, told: Told) => void;

/** A text field with its name, which proposes what is there already. */
export type MakeField = (label: string, options: { choices?: string[]; [name: string]: any }) => { input: HTMLInputElement; parts: Node[] };
export type MakeDialogs = () => Dialogs;

export interface Cards {
  get(number: number): Card | undefined; // as far as it is known
  number(key: string): Promise<number>;
  want(numbers: number[]): void; // those in sight, the most urgent first; what is no longer wanted is given up
  all(numbers: number[]): Promise<Card[]>;
  changed(picture: Picture): void;
  forget(numbers: number[]): void; // others have changed them
  clear(): void; // another server may count otherwise
  on(handler: (card: Card) => void): void;
}
/** Cards come in batches as they get into sight, and are kept for a while. */
export type MakeCards = (api: Api, fail: (error: unknown) => void) => Cards;

export interface Shown {
  readonly numbers: number[];
  readonly found: Listing;
  readonly asked: Asked;
  ask(next: Asked, signal?: AbortSignal): Promise<void>; // what is shown stays until the answer is there
  position(number: number): { index: number; of: number };
  next(number: number): number | null;
  previous(number: number): number | null;
  nextTodo(number: number): Promise<number | null>;
}
/** The answer to one query, and the way from one image to the next. */
export type MakeListing = (api: Api, cards: Cards) => Shown;

export interface Categories {
  learn(categories: Category[]): void;
  has(name: string): boolean;
  all(): Category[];
  colourOf(name: string | null | undefined): string;
  add(name: string): Category;
}
/** The categories of the session, and those that are made on the page. */
export type MakeCategories = (first: Category[]) => Categories;

export interface Person {
  name(): string;
  theme(): string; // system, light, dark
  rename(name: string): void;
  wear(theme: string): void;
  on(handler: () => void): void;
}
/** Who works here, and how they like it: kept in this browser. */
export type MakePerson = (session: Session) => Person;

export interface Grid {
  stale(): void; // what is shown may not be so any more
  forget(): void; // nor are the numbers of the images
  progress(looked: number, total: number): void;
  show(asked: Asked, opened: number | null): Promise<void>; // with the image in sight that was open before
}
export interface Around {
  cards: Cards;
  listing: Shown;
  person: Person;
  rename(): void;
  fail(error: unknown): void;
  moved(push: boolean): void; // another list is on the screen: an address of its own, to be gone back from
  gridAddress(asked: Asked): string;
  imageAddress(key: string): string;
  learn(): Promise<void>; // there are new categories
  knows(category: string): boolean;
}
export type MakeGrid = (root: HTMLElement, app: App, around: Around) => Grid;

export interface Cell {
  root: HTMLElement;
  link: HTMLAnchorElement;
  number: number;
  become(number: number, place: number, of: number, state: State | undefined): void; // nothing else may be known yet
  fill(card: Card | undefined): void;
  dress(selected: boolean, current: boolean): void;
}
export type Load = (picture: HTMLImageElement, url: string) => void;
/** Loads few pictures at a time. */
export type MakeLoader = () => Load;
export type MakeCell = (app: App, imageAddress: (key: string) => string, load: Load) => Cell;

export interface Listed {
  numbers(): number[];
  make(): Cell;
  fill(cell: Cell, index: number): void;
  seen(from: number, to: number): void; // indices in sight
  selected(size: number): void;
}
export interface List {
  readonly chosen: number[];
  readonly current: number; // the index that has the focus
  choose(numbers: Iterable<number>): void;
  move(index: number): void; // the focus
  refit(): void; // after it was hidden
  resize(pixels: number): void;
  reset(now: (index: number) => number): void; // it is another list, in which an index is another now
  each(handler: (cell: Cell) => void): void;
}
export type MakeList = (root: HTMLElement, of: Listed) => List;

export interface Filter {
  bar: HTMLElement;
  facets: HTMLElement;
  field: HTMLInputElement;
  set(where: string): void;
  show(found: Listing): void;
  failed(error: unknown): void;
}
export type MakeFilter = (app: App, search: (where: string, push: boolean) => Promise<void>, fail: (error: unknown) => void) => Filter;

export interface Deed {
  text: string;
  done: Bulk["done"];
}
export interface Doing {
  cards: Cards;
  selected(): number[];
  found(): Listing;
  clear(): void;
  done(): void;
  fail(error: unknown): void;
}
export interface BulkBar {
  bar: HTMLElement;
  undo: HTMLElement;
  redo: HTMLElement;
  show(selected: number): void;
}
export type MakeBulk = (app: App, doing: Doing) => BulkBar;
