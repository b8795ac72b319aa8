"""Labels of a picture that was turned, cut out or resized, as labels of what became of it.

A crop cuts polygons at its edges by Sutherland and Hodgman (1974), so a concave one may touch itself there.
"""

from collections.abc import Iterable
from math import isclose, sqrt
from typing import NamedTuple

from msgspec.structs import replace

from xlabel.model.annotation import (
    Annotation,
    Circle,
    Number,
    OrientedBox,
    Points,
    Polyline,
    Shape,
)
from xlabel.model.geometry import Box, bbox_of, both, decode, encode, shape_bounds, turn, turned_size


class Change(NamedTuple):
    """What became of a displayed picture, in this order."""

    displayed: tuple[int, int]
    """Its width and height when it was labelled."""
    turn: int = 1
    """As an EXIF orientation."""
    box: tuple[int, int, int, int] | None = None
    """x, y, width, height of what was cut out."""
    size: tuple[int, int] | None = None
    """The width and height that it was resized to."""
    then: int = 1
    """The EXIF orientation of the file now."""

    @property
    def nothing(self) -> bool:
        """Whether labels hold as they are."""
        return self.box is None and self.size is None and both(self.turn, self.then) == 1


def reframed(annotations: Iterable[Annotation], change: Change) -> tuple[tuple[Annotation, ...], list[str]]:
    """Annotations once their picture has changed, and what could not be kept of them, in words.

    What lies outside a crop is dropped and what is partly outside is cut, but for circles and oriented
    boxes, which stick out. A mask is not resized, since no rule for it is exact; its box takes its place. A
    stated area is dropped where it is no longer right.
    """
    if change.nothing:
        return tuple(annotations), []
    done, told = [], []
    for number, annotation in enumerate(annotations, 1):
        name = f"{annotation.category.name if annotation.category else 'label'} ({number})"
        found: Annotation | None
        try:
            found, what = _reframed(annotation, change)
        except ValueError as error:  # a mask that is broken already
            found, what = _reframed(replace(annotation, mask=None), change)
            what.append(f"mask left out, {error}")
        told += [f"{name}: {word}" for word in what]
        done += [] if found is None else [found]
    return tuple(done), told


def cropped(annotation: Annotation, box: tuple[int, int, int, int]) -> tuple[Annotation | None, list[str]]:
    """An annotation in a part of its picture, None where nothing of it lies there; and what was cut."""
    x, y, width, height = box
    whole = bbox_of(annotation)
    moved = _moved(annotation, x, y)
    if whole is None:
        return moved, []
    left, top, w, h = whole[0] - x, whole[1] - y, whole[2], whole[3]
    mask = annotation.mask
    if mask is not None:
        mask = encode(
            decode(mask)[max(0, y) : y + height, max(0, x) : x + width],
            compressed=isinstance(mask.counts, str),
        )
    if left >= 0 and top >= 0 and left + w <= width and top + h <= height:
        return replace(moved, mask=mask), []
    if left >= width or top >= height or left + w <= 0 or top + h <= 0:
        return None, ["outside the crop, dropped"]
    polygons = moved.polygons and tuple(filter(None, (_cut(part, width, height) for part in moved.polygons)))
    keypoints = moved.keypoints and _inside(moved.keypoints, width, height)
    found = replace(
        moved,
        bbox=moved.bbox and _clipped(moved.bbox, width, height),
        polygons=polygons or None,
        mask=mask,
        keypoints=keypoints if keypoints and any(keypoints[2::3]) else None,
        shape=moved.shape and _cut_shape(moved.shape, width, height),
        area=None,
    )
    kept = (found.bbox, found.polygons, found.mask, found.keypoints, found.shape)
    if not any(part is not None for part in kept) or (mask is not None and bbox_of(found) is None):
        return None, ["outside the crop, dropped"]
    return found, ["partly outside the crop, cut at its edge"]


def scaled(annotation: Annotation, across: float, down: float) -> tuple[Annotation, list[str]]:
    """An annotation in a picture that was resized by two factors, and what it lost by that."""
    told = []
    bbox = annotation.bbox
    if annotation.mask is not None:
        bbox = bbox or bbox_of(annotation)
        told.append("mask left out, since resizing it is not exact; its box is kept")
    shape = annotation.shape
    if isinstance(shape, Circle):
        if not isclose(across, down, rel_tol=0.02):
            told.append("a circle became an ellipse, its radius is the mean")
        shape = Circle(shape.x * across, shape.y * down, shape.radius * sqrt(across * down))
    elif shape is not None:
        points = shape.corners if isinstance(shape, OrientedBox) else shape.points
        shape = _like(shape, _scaled(points, across, down))
    keypoints = annotation.keypoints
    if keypoints is not None:
        places = zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=False)
        keypoints = tuple(number for x, y, v in places for number in (x * across, y * down, v))
    return replace(
        annotation,
        bbox=bbox and (bbox[0] * across, bbox[1] * down, bbox[2] * across, bbox[3] * down),
        polygons=annotation.polygons and tuple(_scaled(part, across, down) for part in annotation.polygons),
        mask=None,
        keypoints=keypoints,
        shape=shape,
        area=None if annotation.area is None else annotation.area * across * down,
    ), told


def _reframed(annotation: Annotation, change: Change) -> tuple[Annotation | None, list[str]]:
    if change.box is None and change.size is None:
        return turn(annotation, both(change.turn, change.then), *change.displayed), []
    width, height = change.displayed
    found: Annotation | None = turn(annotation, change.turn, width, height)
    told: list[str] = []
    size = turned_size(width, height, change.turn)
    if change.box is not None and found is not None:
        found, told = cropped(found, change.box)
        size = change.box[2:]
    if change.size is not None and found is not None:
        found, more = scaled(found, change.size[0] / size[0], change.size[1] / size[1])
        told += more
        size = change.size
    return (None if found is None else turn(found, change.then, *size)), told


def _moved(annotation: Annotation, x: int, y: int) -> Annotation:
    box, shape = annotation.bbox, annotation.shape
    if isinstance(shape, Circle):
        shape = Circle(shape.x - x, shape.y - y, shape.radius)
    elif shape is not None:
        points = shape.corners if isinstance(shape, OrientedBox) else shape.points
        shape = _like(shape, _shifted(points, x, y))
    keypoints = annotation.keypoints
    if keypoints is not None:
        places = zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=False)
        keypoints = tuple(
            number for a, b, v in places for number in ((a - x, b - y, v) if a or b or v else (a, b, v))
        )
    return replace(
        annotation,
        bbox=box and (box[0] - x, box[1] - y, box[2], box[3]),
        polygons=annotation.polygons and tuple(_shifted(part, x, y) for part in annotation.polygons),
        keypoints=keypoints,
        shape=shape,
    )


def _shifted(points: tuple[Number, ...], x: int, y: int) -> tuple[Number, ...]:
    return tuple(number - (y if at % 2 else x) for at, number in enumerate(points))


def _scaled(points: tuple[Number, ...], across: float, down: float) -> tuple[Number, ...]:
    return tuple(number * (down if at % 2 else across) for at, number in enumerate(points))


def _like(shape: Shape, points: tuple[Number, ...]) -> Shape:
    """A shape of the same kind with other points."""
    if isinstance(shape, OrientedBox):
        return OrientedBox(points)  # type: ignore[arg-type]
    return Polyline(points) if isinstance(shape, Polyline) else Points(points)


def _clipped(box: Box, width: int, height: int) -> Box | None:
    x, y, w, h = box
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
    return None if right <= left or bottom <= top else (left, top, right - left, bottom - top)


def _inside(keypoints: tuple[Number, ...], width: int, height: int) -> tuple[Number, ...]:
    """Keypoints outside become 0, 0, 0: not labelled."""
    places = zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=False)
    return tuple(
        number
        for x, y, v in places
        for number in ((x, y, v) if 0 <= x <= width and 0 <= y <= height else (0, 0, 0))
    )


def _cut_shape(shape: Shape, width: int, height: int) -> Shape | None:
    if isinstance(shape, Points):
        pairs = zip(shape.points[::2], shape.points[1::2], strict=False)
        held = tuple(n for x, y in pairs if 0 <= x <= width and 0 <= y <= height for n in (x, y))
        return Points(held) if held else None
    bounds = shape_bounds(shape)
    return shape if bounds is None or _clipped(bounds, width, height) else None


def _cut(points: tuple[Number, ...], width: int, height: int) -> tuple[Number, ...]:
    """A polygon within [0, width] x [0, height]; nothing where less than a triangle is left."""
    corners = list(zip(points[::2], points[1::2], strict=False))
    for axis, edge, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        kept: list[tuple[Number, Number]] = []
        for before, here in zip([corners[-1:], *([c] for c in corners)], corners, strict=False):
            one, two = (sign * (before[0][axis] - edge), sign * (here[axis] - edge))
            if (one < 0) != (two < 0):
                share = one / (one - two)
                meet = tuple(a + (b - a) * share for a, b in zip(before[0], here, strict=True))
                kept.append((edge, meet[1]) if axis == 0 else (meet[0], edge))
            if two >= 0:
                kept.append(here)
        corners = kept
        if not corners:
            return ()
    return tuple(number for corner in corners for number in corner) if len(corners) > 2 else ()
