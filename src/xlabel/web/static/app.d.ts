// What the page's frame gives to the editor, and the editor to the frame.

import type {
  Action, Bulk, Card, Category, Change, Listing, Picture, Progress, Propagated, Saved, Segment, Session,
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
}

export interface Pressed {
  combo: string; // as in session.keys
  index: number; // its place among the combinations of the action
}

/** Gives false where the key is not for it: others are asked then. */
export type KeyHandler = (event: KeyboardEvent, pressed: Pressed) => unknown;

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
  confirm(asked: { title: string; text?: string; yes?: string; no?: string; danger?: boolean }): Promise<boolean>;
  prompt(asked: { title: string; text?: string; label: string; value?: string; yes?: string; choices?: string[]; required?: boolean }): Promise<string | null>;
  choose(asked: { title: string; text?: string; options: { value: string; text: string; detail?: string }[] }): Promise<string | null>;
  /** A dialog with a body of one's own; gives the value of the button, null where it was closed. */
  open(asked: { title: string; body: Node; buttons: Button[]; wide?: boolean; check?: () => boolean }): Promise<string | null>;
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
  warn(id: string, text: string | null): void; // a banner above everything; null takes it away
}

export interface Editor {
  show(number: number): Promise<void>;
  leave(): Promise<boolean>; // false: stay
}

export type CreateEditor = (root: HTMLElement, app: App) => Editor;
