"""One label: what it is called and where in the image it lies.

Coordinates are pixels of the image as displayed (EXIF Orientation applied), origin top left, x right,
y down, continuous: a box 10 pixels wide has width 10. Whole numbers stay `int`, so that a file which said
`10` is written again with `10`.
"""

from typing import Any, Literal

import msgspec

Number = int | float
Point = tuple[Number, Number]


class Category(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A class of things. `id` is the one its file gave it; ids may be sparse and may begin at 0.

    Names need not be unique: the same name may stand under two supercategories.
    """

    id: int
    name: str
    supercategory: str | None = None
    keypoints: tuple[str, ...] | None = None
    """Names of the keypoints, in their order."""
    skeleton: tuple[tuple[int, int], ...] | None = None
    """Pairs of keypoints that are joined, counted from 1 as COCO does."""
    extra: dict[str, Any] | None = None
    """Fields of the source's record that the model has no word for."""


class RLE(msgspec.Struct, frozen=True, gc=False):
    """A mask as run lengths over columns (COCO's): `size` is (height, width).

    `counts` is COCO's compressed text, or the plain lengths, beginning with the zeros.
    """

    size: tuple[int, int]
    counts: str | tuple[int, ...]


class OrientedBox(msgspec.Struct, frozen=True, tag="oriented_box", tag_field="kind", gc=False):
    """A box at any angle by its four corners, in their order: x1, y1, ... x4, y4."""

    corners: tuple[Number, Number, Number, Number, Number, Number, Number, Number]


class Polyline(msgspec.Struct, frozen=True, tag="polyline", tag_field="kind", gc=False):
    """An open line through points: x1, y1, x2, y2, ..."""

    points: tuple[Number, ...]


class Points(msgspec.Struct, frozen=True, tag="points", tag_field="kind", gc=False):
    """One or more single points: x1, y1, x2, y2, ..."""

    points: tuple[Number, ...]


class Circle(msgspec.Struct, frozen=True, tag="circle", tag_field="kind", gc=False):
    """A circle by its centre and radius."""

    x: Number
    y: Number
    radius: Number


Shape = OrientedBox | Polyline | Points | Circle


class Source(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Who or what made a label."""

    kind: Literal["human", "model"]
    name: str | None = None
    """Of the model: `yolo11n`. A person is the annotation's author."""
    hash: str | None = None
    """Of the model's file, so that the same name does not hide another model."""


class Annotation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One label of one image. An annotation without geometry is about the whole image.

    Several geometries in one annotation describe the same thing: a box, its mask and its keypoints.
    """

    category: Category | None = None
    bbox: tuple[Number, Number, Number, Number] | None = None
    """x, y of the top left corner, width, height."""
    polygons: tuple[tuple[Number, ...], ...] | None = None
    """The parts of one thing, each x1, y1, x2, y2, ..."""
    mask: RLE | None = None
    keypoints: tuple[Number, ...] | None = None
    """x, y, v of each keypoint; v is 0 (not labelled), 1 (hidden) or 2 (visible)."""
    shape: Shape | None = None
    """A geometry that COCO has no word for."""
    crowd: bool = False
    """A crowd region: many things under one mask."""
    area: Number | None = None
    """Square pixels as the source stated them; absent where it said nothing."""
    score: Number | None = None
    """A model's confidence, 0 to 1."""
    status: str | None = None
    """`suggestion`, `accepted` or `rejected`; absent: ground truth."""
    caption: str | None = None
    attributes: dict[str, Any] | None = None
    """What the label says besides: `truncated`, `pose`, `group_id`, ..."""
    author: str | None = None
    time: str | None = None
    source: Source | None = None
    id: int | str | None = None
    extra: dict[str, Any] | None = None
    """Fields of the source's record that the model has no word for."""
    origin: Any = None
    """The source's record as it stood, in that format's own form, so that writing the same format again
    gives the same text. Only that format's code reads it, and only while it still says what the
    annotation says."""
