"""Whether the geometry of annotations makes sense, by itself, in its image, and against its own box.

What hangs over an edge by no more than rounding is let be: `PIXELS`, or `SHARE` of the image's side where
that is more. A geometry that is no thing by itself (not finite, empty) is not looked at further.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xlabel.checks import Fault
from xlabel.model import Annotation, Circle, Number, OrientedBox, Points, Sample
from xlabel.model.geometry import (
    Box,
    bounds,
    keypoint_bounds,
    mask_bounds,
    polygon_area,
    shape_area,
    shape_bounds,
)

PIXELS = 1
SHARE = 0.005
BOX_PIXELS, BOX_SHARE = 2, 0.05
"""How far a mask may leave its own box, in pixels or as a share of the box's side, whichever is more."""
KEYPOINT_SHARE = 0.1
"""How far a keypoint may lie outside its box, as a share of the box's side."""
PAIRS = 1 << 20
"""Of edges of one outline that lie above each other; outlines with more are not searched for crossings."""
LARGEST = 1e30
"""A coordinate beyond it is none, and products of those below are finite."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Corners = NDArray[np.float64]
    Places = NDArray[np.intp]

Size = tuple[int, int]


def faults(sample: Sample) -> Iterator[Fault]:
    """What is wrong with each annotation; the image's size is left out of it where it is not known."""
    image = sample.image
    size = (image.width, image.height) if image.width and image.height else None
    for number, annotation in enumerate(sample.annotations, 1):
        for code, message in _annotation(annotation, size):
            yield Fault(code, message, number)


def crossing(points: tuple[Number, ...]) -> tuple[int, int] | None:
    """Two edges of an outline that cross, counted from 1, or None.

    Edges that touch, or run along each other as the bridges between the parts of one outline do, do not
    cross.
    """
    import numpy as np

    count = len(points) // 2
    if count < 4:
        return None
    start = np.array(points[: 2 * count], dtype=np.float64).reshape(-1, 2)
    end = np.roll(start, -1, axis=0)
    left, right = np.minimum(start, end)[:, 0], np.maximum(start, end)[:, 0]
    order = np.argsort(left, kind="stable")
    above = np.searchsorted(left[order], right[order], side="right") - np.arange(count) - 1
    if above.sum() > PAIRS:
        return None
    one = np.repeat(np.arange(count), above)
    other = order[one + 1 + np.arange(len(one)) - np.repeat(above.cumsum() - above, above)]
    one = order[one]
    crosses = _parts(start, end, one, other) & _parts(start, end, other, one)
    if not crosses.any():
        return None
    first = int(crosses.argmax())
    edges = sorted((int(one[first]) + 1, int(other[first]) + 1))
    return edges[0], edges[1]


def _parts(start: "Corners", end: "Corners", one: "Places", other: "Places") -> "NDArray[np.bool_]":
    """Whether edges `one` have the two ends of edges `other` on different sides."""
    x, y = (end[one] - start[one]).T
    before, after = ((ends[other] - start[one]).T for ends in (start, end))
    parted: NDArray[np.bool_] = (x * before[1] - y * before[0]) * (x * after[1] - y * after[0]) < 0
    return parted


def finite(numbers: tuple[Number, ...]) -> bool:
    """Whether all numbers are coordinates that can be computed with."""
    return all(-LARGEST < number < LARGEST for number in numbers)


Told = Iterator[tuple[str, str]]


def _annotation(annotation: Annotation, size: Size | None) -> Told:
    box = annotation.bbox
    if box is not None:
        if not finite(box):
            yield "not-finite", f"the box {_text(box)}"
            box = None
        elif box[2] <= 0 or box[3] <= 0:
            yield "box-empty", f"the box is {box[2]:g} x {box[3]:g}"
            box = None
        elif size is not None and (over := _overhang(box, size)):
            yield "box-outside", over
    if annotation.polygons:
        yield from _polygons(annotation.polygons, size, box)
    if annotation.mask is not None:
        yield from _mask(annotation, size, box)
    if annotation.keypoints is not None:
        yield from _keypoints(annotation, annotation.keypoints, size, box)
    if annotation.shape is not None:
        yield from _shape(annotation, size)
    score = annotation.score
    if score is not None and not 0 <= score <= 1:
        yield "score-range", f"the score is {_text((score,))}"


def _polygons(polygons: tuple[tuple[Number, ...], ...], size: Size | None, box: Box | None) -> Told:
    around = None
    for number, part in enumerate(polygons, 1):
        name = f"outline {number} of {len(polygons)}" if len(polygons) > 1 else "the outline"
        if not finite(part):
            yield "not-finite", f"{name} of {len(part) // 2:,} corners"
            return
        distinct = len(set(zip(part[::2], part[1::2], strict=False)))
        if distinct < 3:
            yield "polygon-points", f"{name} has {distinct} distinct points"
            continue
        edges = crossing(part)
        if edges is not None:
            yield "polygon-crossing", f"the edges {edges[0]} and {edges[1]} of {name} cross"
        elif polygon_area(part) == 0:
            yield "polygon-flat", f"{name} of {len(part) // 2:,} corners lies on a line"
    around = bounds([number for part in polygons for number in part])
    if around is None:
        return
    if size is not None and (over := _overhang(around, size)):
        yield "polygon-outside", over
    if box is not None and (over := _leaves(around, box)):
        yield "mask-outside-box", over


def _mask(annotation: Annotation, size: Size | None, box: Box | None) -> Told:
    mask = annotation.mask
    assert mask is not None
    try:
        around = mask_bounds(mask)
    except ValueError as error:
        yield "mask-broken", str(error)
        return
    height, width = mask.size
    if size is not None and (width, height) != size:
        yield "mask-size", f"the mask is {width}x{height}, the image {size[0]}x{size[1]}"
    elif around is None:
        yield "mask-empty", f"none of the {width}x{height} pixels is set"
    elif box is not None and not annotation.polygons and (over := _leaves(around, box)):
        yield "mask-outside-box", over


def _keypoints(
    annotation: Annotation, keypoints: tuple[Number, ...], size: Size | None, box: Box | None
) -> Told:
    if not finite(keypoints):
        yield "not-finite", f"{len(keypoints) // 3} keypoints"
        return
    names = annotation.category.keypoints if annotation.category else None
    if names and len(keypoints) != 3 * len(names):
        yield "keypoints-count", f"{len(keypoints) // 3} keypoints, the category names {len(names)}"
    if size is not None and (around := keypoint_bounds(keypoints)) and (over := _overhang(around, size)):
        yield "keypoint-outside", over
    if box is not None:
        labelled = [
            (x, y) for x, y, v in zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=False) if v > 0
        ]
        across, down = KEYPOINT_SHARE * box[2], KEYPOINT_SHARE * box[3]
        outside = sum(
            not (
                box[0] - across <= x <= box[0] + box[2] + across
                and box[1] - down <= y <= box[1] + box[3] + down
            )
            for x, y in labelled
        )
        if outside * 2 > len(labelled):
            yield "keypoints-outside-box", f"{outside} of {len(labelled)} keypoints lie outside their box"


def _shape(annotation: Annotation, size: Size | None) -> Told:
    shape = annotation.shape
    assert shape is not None
    numbers: tuple[Number, ...]
    match shape:
        case OrientedBox():
            numbers = shape.corners
        case Circle():
            numbers = (shape.x, shape.y, shape.radius)
        case _:
            numbers = shape.points
    if not finite(numbers):
        yield "not-finite", f"the {_kind(shape)} {_text(numbers)}"
    elif isinstance(shape, OrientedBox | Circle) and not shape_area(shape) > 0:
        yield "shape-empty", f"the {_kind(shape)} has no area"
    elif isinstance(shape, Circle) and shape.radius < 0:
        yield "shape-empty", f"the circle has a radius of {shape.radius:g}"
    elif size is not None and (around := shape_bounds(shape)) is not None:
        over = _overhang(around, size)
        if over and (isinstance(shape, Points) or _apart(around, size)):
            yield "shape-outside", f"the {_kind(shape)} {over}"


def _apart(box: Box, size: Size) -> bool:
    """Whether a box and an image have nothing in common."""
    return box[0] >= size[0] or box[1] >= size[1] or box[0] + box[2] <= 0 or box[1] + box[3] <= 0


def _overhang(box: Box, size: Size) -> str | None:
    """How far a box hangs over an image, beyond tolerance, as a sentence; None where it does not."""
    x, y, w, h = box
    width, height = size
    across, down = max(PIXELS, SHARE * width), max(PIXELS, SHARE * height)
    right, bottom = x + w - width, y + h - height
    if x >= -across and y >= -down and right <= across and bottom <= down:
        return None
    if _apart(box, size):
        return f"lies wholly outside the image of {width}x{height}"
    over = max(
        (-x / across, -x, "left"),
        (-y / down, -y, "top"),
        (right / across, right, "right"),
        (bottom / down, bottom, "bottom"),
    )
    return f"hangs over the {over[2]} edge of the image of {width}x{height} by {over[1]:.4g} pixels"


def _leaves(inner: Box, box: Box) -> str | None:
    """How far the bounds of a mask leave its box, beyond tolerance, as a sentence."""
    across, down = max(BOX_PIXELS, BOX_SHARE * box[2]), max(BOX_PIXELS, BOX_SHARE * box[3])
    sides = (
        (box[0] - inner[0], across, "left"),
        (box[1] - inner[1], down, "top"),
        (inner[0] + inner[2] - box[0] - box[2], across, "right"),
        (inner[1] + inner[3] - box[1] - box[3], down, "bottom"),
    )
    over, allowed, side = max(sides, key=lambda side: side[0] / side[1])
    return f"leaves its box at the {side} by {over:.4g} pixels" if over > allowed else None


def _kind(shape: object) -> str:
    return "oriented box" if isinstance(shape, OrientedBox) else type(shape).__name__.lower()


def _text(numbers: tuple[Number, ...]) -> str:
    """Some numbers; an `int` may be too large to become a `float`."""
    small = (isinstance(number, float) or finite((number,)) for number in numbers)
    return ", ".join(f"{n:g}" if ok else "beyond 1e30" for n, ok in zip(numbers[:8], small, strict=False))
