// What the editor's modules give to each other. Everywhere: places are pixels of the image as displayed.

import type * as frame from "./app";
import type * as types from "./types";

declare global {
  type App = frame.App;
  type Attribute = types.Attribute;
  type Category = types.Category;
  type Change = types.Change;
  type Clash = types.Clash;
  type Label = types.Label;
  type Picture = types.Picture;
  type Review = types.Review;
  type RLE = types.RLE;
  type Shape = types.Shape;
  type Box = types.Box;
  type Id = number | string;

  interface Point {
    x: number;
    y: number;
  }
  interface Size {
    width: number;
    height: number;
  }
  type Bounds = [left: number, top: number, right: number, bottom: number];
  type Bitmap = Size & { data: Uint8Array }; // column by column, 0 or 1

  /** What a label can be pulled at: a side or corner of its box ("n", "se"), a "vertex", the "middle" of an edge (it becomes a
   * vertex), a "keypoint", a "corner" or "edge" of an oriented box or what turns it ("rotate"), a circle's "rim". */
  interface Handle extends Point {
    kind: string;
    part: number; // of the polygons
    index: number;
  }

  /** What people change of an image. */
  interface Content {
    labels: Label[];
    split: string | null;
    review: Review | null;
  }
  type LabelStep = { id: Id; before: Label | null; after: Label | null; at?: number }; // at: its place in the list
  type FieldStep = { field: "split" | "review"; before: any; after: any };
  type Step = LabelStep | FieldStep;
  interface Entry {
    title: string;
    steps: Step[];
  }
  interface Past {
    push(entry: Entry): void;
    undo(): Entry | null; // what is to be made now
    redo(): Entry | null;
    readonly canUndo: boolean;
    readonly canRedo: boolean;
  }

  /** Edits of one image that the server has not acknowledged. */
  interface Kept {
    key: string;
    changes: Change[];
    fingerprint: string | null; // of the picture that they were made on
  }
  type Orphan = Kept & { name: string }; // left by a tab that is no more; name: where it is kept
  interface Journal {
    orphans: Promise<Orphan[]>;
    keep(kept: Kept): boolean; // false: no room for it
    drop(key: string): void;
    adopted(orphan: Orphan): void;
  }

  /** An image that is worked on. */
  interface Work {
    number: number;
    key: string;
    picture: Picture;
    fingerprint: string | null; // of the picture that its labels are drawn on
    base: Content; // what the server told last; of what clashes, what the edit began with
    content: Content; // as it is here now
    history: Past;
    touched: Set<Id>; // labels that may differ from the base
    clashes: Clash[]; // that wait for an answer: nothing is sent meanwhile
    replaced: Picture | null; // another picture in its place, which waits for an answer, too
    sending: Promise<void> | null;
    saves: number; // so far
    timer: number;
    wait: number; // milliseconds until the next try
    failed: string | null; // why the last try failed
  }
  interface Saving {
    knows(number: number): boolean; // whether it was open before
    look(number: number): Promise<Picture>; // as it is after all saves
    open(picture: Picture): Promise<Work>; // with what was not saved of it, from here or from the journal
    edited(work: Work, ids: Id[]): void;
    take(work: Work, picture: Picture): void; // what is there by now
    settled(work: Work, clashes: Clash[]): void; // somebody has chosen: theirs is what the edits begin with now
    onto(work: Work, keep: boolean): void; // the edits go onto the picture that is there now, or are given up
    send(work: Work): Promise<void>;
    state(work: Work | null): { state: "saved" | "unsaved" | "saving" | "failed"; text: string }; // the worst of all images
  }

  interface Stage {
    root: HTMLElement;
    view: SVGGElement; // in pixels of the image
    screen: SVGGElement; // in pixels of the screen
    img: HTMLImageElement;
    readonly size: Size;
    readonly scale: number;
    readonly crossed: boolean;
    show(url: string | null, size: Size): void; // of that size as stated: a browser may be given a smaller copy
    fit(): void;
    zoom(times: number, at?: Point): void; // around a place of the screen
    pan(dx: number, dy: number): void;
    spot(event: MouseEvent): Point; // on the screen, from the stage's corner
    toImage(spot: Point): Point;
    toScreen(p: Point): Point;
    light(brightness: number, contrast: number): void; // 1 is as it is
    cross(on: boolean): void;
    pointer(spot: Point | null): void;
  }

  interface Drawing {
    scaled(node?: SVGElement): void; // names keep their size on the screen
    readonly hidden: boolean;
    hide(is: boolean): void;
    all(labels: Label[]): void;
    put(id: Id, label: Label | null): void;
    mark(selected: Id | null, pointed: Id | null, labels: Map<Id, Label>): void;
    shift(id: Id, dx: number, dy: number): void; // shown there until it is put
  }

  type Told = "image" | "labels" | "selection" | "category" | "state" | "clash";
  interface Bench {
    app: App;
    stage: Stage;
    drawing: Drawing;
    saving: Saving;
    readonly work: Work | null;
    readonly readonly: boolean;
    readonly labels: Map<Id, Label>;
    readonly selected: Label | null;
    readonly vertex: Handle | null; // of the selected label
    readonly category: string | null; // of the next label
    on(events: Told[], listener: () => void): void;
    open(work: Work): void;
    commit(title: string, steps: Step[]): boolean; // what stays the same is left out; whether anything was done
    undo(): boolean;
    redo(): boolean;
    select(id: Id | null): void;
    pick(vertex: Handle | null): void;
    point(id: Id | null): void;
    cycle(by: 1 | -1): boolean;
    corrected(label: Label, change: Partial<Label>): LabelStep; // it is no suggestion any more
    undecided(): Label[];
    categoryOf(name: string | null | undefined): Category | undefined;
    add(title: string, what: Partial<Label>): void;
    choose(category: string): void; // of the selected label, or of the next one
    describe(label: Label, name: string, value: unknown): void; // empty: without that attribute
    decide(status: "accepted" | "rejected"): void;
    approve(): void; // accept what is undecided, and mark the image as reviewed
    field(name: "split" | "review", after: any): void;
    remove(): void;
    nudge(dx: number, dy: number): boolean;
    repeat(): Promise<void>;
    settle(work: Work, choices: { clash: Clash; keep: string }[]): void; // mine, theirs or both
  }

  /** A press that goes on until the button is up. */
  interface Gesture {
    move(p: Point, event: PointerEvent): void;
    up(p: Point, event: PointerEvent): void;
    cancel(): void;
  }
  interface Tool {
    name: string; // in the table of keys
    label: string;
    icon: string;
    hint(): string; // what to do now
    down(p: Point, event: PointerEvent): Gesture | null;
    hover?(p: Point | null, event: PointerEvent): void;
    busy?(): boolean; // whether it has something begun
    finish?(): void; // for Enter
    back?(): void; // takes the last step back
    skip?(): void; // for the space bar
    cancel?(): void;
    taken?(): void; // somebody has taken it up
    clicks?: boolean; // a press that does not move selects
    options?: HTMLElement;
  }
  type MakeTool = (bench: Bench, preview: SVGGElement, changed: () => void) => Tool;
  interface Tools {
    all: Tool[];
    readonly current: Tool;
    take(name: string): void;
    leave(): boolean; // what is begun; whether anything was
    ask(what: "finish" | "back" | "skip"): boolean; // whether the tool had something begun
    grip(): void; // put the handles where they belong
    space(down: boolean): boolean; // the space bar; whether it has moved the picture
  }

  interface Geometry {
    mapped(label: Label, to: (p: Point) => Point): Label; // with each of its points elsewhere; not its mask
    boundsOf(label: Label): Bounds | null; // null where it is about the whole image
    under(labels: Iterable<Label>, p: Point, near: number): Label | null; // near: pixels that count as on it; the smallest there
    contains(label: Label, p: Point, near: number): boolean; // p: within its bounds
    nearest(p: Point, a: Point, b: Point): Point; // of the line from a to b
    handlesOf(label: Label): Handle[]; // those that lie on top of others come last
    pulled(label: Label, at: Handle, to: Point, size: Size, even?: boolean): Label; // The label after one of its handles was pulled to a place.; size: of the image; even: by steps of 15 degrees
    withoutVertex(label: Label, at: Handle): Label | null; // without that vertex; null where it cannot spare it
    withParts(label: Label, parts: Partial<Label>): Label; // parts: other polygons, another mask; its box follows where it did before
    room(label: Label, dx: number, dy: number, size: Size): [number, number]; // how far it may be moved
    moved(label: Label, dx: number, dy: number): Label; // dy: as far as there is room
    fitted(label: Label, size: Size): Label | null; // size: of another image; in its place, as far as there is room; null where there is none
    turned(corners: number[], to: Point, even: boolean): number[]; // its first side looks there
    stretched(corners: number[], at: Handle, p: Point): number[]; // its right angles are kept
  }
  interface Masks {
    runsOf(mask: RLE): number[]; // run lengths: of zeros, of ones, of zeros, ...
    rleOf(size: Size, runs: number[], plain: boolean): RLE;
    toBitmap(mask: RLE): Bitmap;
    bounds(mask: RLE): Bounds | null; // null where nothing is in it
    outline(mask: RLE): string; // an SVG path along the edges of its pixels, for the even-odd rule
  }
  interface Changes {
    make(content: Content, steps: Step[]): Step[]; // content: changed in place; its labels are not; those that were made
    changesOf(base: Content, mine: Content, ids: Iterable<Id>): Change[]; // ids: labels that may differ
  }
}
