"""Geometry of annotations: bounds, areas, masks, and the turn from a stored matrix to what is displayed.

Orientation: EXIF 2.32, 4.6.4, tag 0x0112. Masks: the run lengths of pycocotools (maskApi.c), over columns,
beginning with the zeros; their compressed text has 5 bits a character, least significant first, and from the
fourth length on the difference to the last but one.
"""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from xlabel.model.annotation import (
    RLE,
    Annotation,
    Circle,
    Number,
    OrientedBox,
    Points,
    Polyline,
    Shape,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bits = NDArray[np.bool_]
    Lengths = NDArray[np.int64]

Box = tuple[Number, Number, Number, Number]

MAX_PIXELS = 1 << 28
"""Of a mask; what claims more is refused before memory is taken for it."""

_LARGEST = 1e300
_CHARACTERS = 7
"""Of one compressed length: 35 bits, beyond any length in `MAX_PIXELS`."""
TURNS = (1, 2, 3, 4, 5, 6, 7, 8)
"""The orientations of EXIF: as it is; flipped left to right, turned by 180 degrees, flipped top to bottom;
transposed, turned by 90 degrees clockwise, transposed the other way, turned by 90 degrees the other way."""
_BACK = (0, 1, 2, 3, 4, 5, 8, 7, 6)
"""The orientation that undoes each orientation."""


def turn(annotation: Annotation, orientation: int, width: int, height: int) -> Annotation:
    """An annotation drawn on a stored matrix of width x height, as it lies in the displayed image.

    Whole numbers stay whole. ValueError where the mask's run lengths are not those of its size.
    """
    if not 2 <= orientation <= 8:
        return annotation
    return replace(
        annotation,
        bbox=_turn_box(annotation.bbox, orientation, width, height),
        polygons=annotation.polygons
        and tuple(_turn_points(part, orientation, width, height) for part in annotation.polygons),
        mask=annotation.mask and _turn_mask(annotation.mask, orientation),
        keypoints=_turn_keypoints(annotation.keypoints, orientation, width, height),
        shape=annotation.shape and _turn_shape(annotation.shape, orientation, width, height),
    )


def turn_back(annotation: Annotation, orientation: int, width: int, height: int) -> Annotation:
    """What `turn` was given: from the displayed image to the stored matrix, which is width x height."""
    if not 2 <= orientation <= 8:
        return annotation
    return turn(annotation, _BACK[orientation], *turned_size(width, height, orientation))


def turned_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height once an orientation is applied, or taken back."""
    return (height, width) if orientation >= 5 else (width, height)


def turned(array: "NDArray[Any]", orientation: int) -> "NDArray[Any]":
    """A stored matrix, height x width and whatever more, as it is displayed; a view of the array."""
    match orientation:
        case 2:
            return array[:, ::-1]
        case 3:
            return array[::-1, ::-1]
        case 4:
            return array[::-1]
        case 5:
            return array.swapaxes(0, 1)
        case 6:
            return array[::-1].swapaxes(0, 1)
        case 7:
            return array[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return array[:, ::-1].swapaxes(0, 1)
        case _:
            return array


def both(first: int, then: int) -> int:
    """The one orientation that displays what two do, one after the other."""
    return next(turn for turn in TURNS if _corners(turn) == _corners(then, _corners(first)))


def undoing(orientation: int) -> int:
    """The orientation that takes back what an orientation does."""
    return _BACK[orientation]


def bbox_of(annotation: Annotation) -> Box | None:
    """The box that the annotation states, or the bounds of its geometry: x, y, width, height.

    None for a label of the whole image, and where a mask is empty or cannot be decoded.
    """
    if annotation.bbox is not None:
        return annotation.bbox
    if annotation.mask is not None:
        try:
            return mask_bounds(annotation.mask)
        except ValueError:
            return None
    if annotation.polygons:
        return bounds([number for part in annotation.polygons for number in part])
    if annotation.shape is not None:
        return shape_bounds(annotation.shape)
    return None if annotation.keypoints is None else keypoint_bounds(annotation.keypoints)


def area_of(annotation: Annotation) -> Number | None:
    """The area that the annotation states, or that of its geometry, in square pixels.

    A mask goes before polygons, these before a shape, a box and the bounds of keypoints, in this order. The
    parts of a polygon add up, also where they overlap. None where there is no geometry, and where a mask
    cannot be decoded.
    """
    if annotation.area is not None:
        return annotation.area
    if annotation.mask is not None:
        try:
            return mask_area(annotation.mask)
        except ValueError:
            return None
    if annotation.polygons:
        return _plausible(sum(polygon_area(part) for part in annotation.polygons))
    if annotation.shape is not None:
        return _plausible(shape_area(annotation.shape))
    box = bbox_of(annotation)
    return None if box is None else _plausible(box[2] * box[3])


def polygon_area(points: tuple[Number, ...]) -> float:
    """Area within x1, y1, x2, y2, ..., whichever way round it goes (the shoelace formula)."""
    twice: Number = 0
    if len(points) < 6:
        return 0.0
    x0, y0 = points[-2], points[-1]
    for x, y in zip(points[::2], points[1::2], strict=False):
        twice += x0 * y - x * y0
        x0, y0 = x, y
    return abs(twice) / 2


def shape_area(shape: Shape) -> float:
    """Area of a shape; lines and points have 0."""
    if isinstance(shape, OrientedBox):
        return polygon_area(shape.corners)
    if isinstance(shape, Circle):
        from math import pi

        return pi * shape.radius * shape.radius
    return 0.0


def bounds(points: tuple[Number, ...] | list[Number]) -> Box | None:
    """The box around x1, y1, x2, y2, ...; None where there is no point."""
    if len(points) < 2:
        return None
    xs, ys = points[::2], points[1::2]
    left, top = min(xs), min(ys)
    width, height = _plausible(max(xs) - left), _plausible(max(ys) - top)
    return None if width is None or height is None else (left, top, width, height)


def keypoint_bounds(keypoints: tuple[Number, ...]) -> Box | None:
    """The box around those of x, y, v, ... that are labelled (v > 0)."""
    labelled = [
        number
        for x, y, v in zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=False)
        if v > 0
        for number in (x, y)
    ]
    return bounds(labelled)


def shape_bounds(shape: Shape) -> Box | None:
    """The box around a shape."""
    if isinstance(shape, OrientedBox):
        return bounds(shape.corners)
    if isinstance(shape, Circle):
        radius = abs(shape.radius)
        return bounds((shape.x - radius, shape.y - radius, shape.x + radius, shape.y + radius))
    return bounds(shape.points)


def overlaps(box: "NDArray[Any]", others: "NDArray[Any]") -> "NDArray[Any]":
    """Intersection over union of a box with others, each by left, top, right, bottom; with an empty one 0."""
    import numpy as np

    across = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    down = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    common = across.clip(0) * down.clip(0)
    union = _area(*box) + _area(*others.T) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1; 0 where a box has no area or they only touch."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def rle_counts(rle: RLE) -> "Lengths":
    """The run lengths of a mask, zeros first.

    ValueError where the size is beyond `MAX_PIXELS`, the text is none of COCO's, a length is negative or
    the lengths do not add up to the size. Takes memory for the lengths only.
    """
    import numpy as np

    height, width = rle.size
    if height < 0 or width < 0 or height * width > MAX_PIXELS:
        raise ValueError(f"a mask of {width}x{height} pixels; at most {MAX_PIXELS} in all are accepted")
    if isinstance(rle.counts, str):
        counts = _decompressed(rle.counts)
    else:
        if any(not 0 <= count <= MAX_PIXELS for count in rle.counts):
            raise ValueError("a run length is negative or larger than the mask")
        counts = np.array(rle.counts, dtype=np.int64)
    if counts.size and counts.min() < 0:
        raise ValueError("a run length is negative")
    total = int(counts.sum())
    if total != height * width:
        raise ValueError(f"the run lengths add up to {total}, not to {width}x{height}")
    return counts


def decode(rle: RLE) -> "Bits":
    """A mask as an array of bool, height x width. ValueError as in `rle_counts`."""
    import numpy as np

    counts = rle_counts(rle)
    height, width = rle.size
    ones = np.arange(counts.size) % 2 == 1
    return np.repeat(ones, counts).reshape((width, height)).T


def encode(array: "NDArray[Any]", *, compressed: bool = True) -> RLE:
    """A height x width array, anything but 0 being the thing, as run lengths over its columns."""
    import numpy as np

    height, width = (int(side) for side in array.shape)
    flat = np.asarray(array).T.reshape(-1) != 0
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0], [0] if flat.size and flat[0] else [], changes, [flat.size]))
    counts: list[int] = np.diff(edges).astype(np.int64).tolist() if flat.size else []
    return RLE((height, width), compress(counts) if compressed else tuple(counts))


def compress(counts: "list[int] | tuple[int, ...]") -> str:
    """Run lengths as COCO's compressed text."""
    text: list[str] = []
    for index, count in enumerate(counts):
        left = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = left & 0x1F
            left >>= 5
            more = left != (-1 if bits & 0x10 else 0)
            text.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(text)


def mask_area(rle: RLE) -> int:
    """How many pixels a mask has. ValueError as in `rle_counts`."""
    return int(rle_counts(rle)[1::2].sum())


def mask_bounds(rle: RLE) -> Box | None:
    """The box around a mask's pixels, in whole numbers; None where it has none.

    ValueError as in `rle_counts`.
    """
    counts = rle_counts(rle)
    height = rle.size[0]
    ends = counts.cumsum()[1::2]
    starts = ends - counts[1::2]
    some = ends > starts
    starts, ends = starts[some], ends[some] - 1
    if not starts.size:
        return None
    left, right = int(starts[0]) // height, int(ends[-1]) // height
    if ((starts // height) != (ends // height)).any():  # a run that leaves its column touches both edges
        return left, 0, right - left + 1, height
    top, bottom = int((starts % height).min()), int((ends % height).max())
    return left, top, right - left + 1, bottom - top + 1


def _area(left: Any, top: Any, right: Any, bottom: Any) -> Any:
    return (right - left).clip(0) * (bottom - top).clip(0)


def _decompressed(text: str) -> "Lengths":
    import numpy as np

    if not text.isascii():
        raise ValueError("the run lengths are no text of COCO's")
    codes = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) - 48
    if not codes.size:
        return codes
    last = (codes & 0x20) == 0
    if codes.min() < 0 or codes.max() > 0x3F or not last[-1]:
        raise ValueError("the run lengths are no text of COCO's")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    sizes = ends - starts + 1
    if sizes.max() > _CHARACTERS:
        raise ValueError("a run length is larger than any mask")
    place = np.arange(codes.size) - np.repeat(starts, sizes)
    counts: Lengths = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    counts -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * sizes), 0)
    counts[1::2] = counts[1::2].cumsum()
    counts[2::2] = counts[2::2].cumsum()
    return counts


Square = tuple[int, int, int, int]


def _corners(orientation: int, corners: Square = (0, 1, 2, 3)) -> Square:
    """The corners of a square, row by row, once it is turned."""
    a, b, c, d = corners
    return (
        (a, b, c, d),
        (b, a, d, c),
        (d, c, b, a),
        (c, d, a, b),
        (a, c, b, d),
        (c, a, d, b),
        (d, b, c, a),
        (b, d, a, c),
    )[orientation - 1]


def _turn_point(x: Number, y: Number, orientation: int, width: int, height: int) -> tuple[Number, Number]:
    match orientation:
        case 2:
            return width - x, y
        case 3:
            return width - x, height - y
        case 4:
            return x, height - y
        case 5:
            return y, x
        case 6:
            return height - y, x
        case 7:
            return height - y, width - x
        case _:
            return y, width - x


def _turn_points(points: tuple[Number, ...], orientation: int, width: int, height: int) -> tuple[Number, ...]:
    turned: list[Number] = []
    for x, y in zip(points[::2], points[1::2], strict=False):
        turned += _turn_point(x, y, orientation, width, height)
    return tuple(turned)


def _turn_box(box: Box | None, orientation: int, width: int, height: int) -> Box | None:
    if box is None:
        return None
    x, y, w, h = box
    # The corner that becomes the top left one is named through its own edges, and sizes are kept as they are.
    match orientation:
        case 2:
            return width - x - w, y, w, h
        case 3:
            return width - x - w, height - y - h, w, h
        case 4:
            return x, height - y - h, w, h
        case 5:
            return y, x, h, w
        case 6:
            return height - y - h, x, h, w
        case 7:
            return height - y - h, width - x - w, h, w
        case _:
            return y, width - x - w, h, w


def _turn_keypoints(
    keypoints: tuple[Number, ...] | None, orientation: int, width: int, height: int
) -> tuple[Number, ...] | None:
    if keypoints is None:
        return None
    turned: list[Number] = []
    for x, y, v in zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=False):
        # 0, 0, 0 says that the point is not labelled, and lies nowhere.
        place = (x, y) if not (x or y or v) else _turn_point(x, y, orientation, width, height)
        turned += (*place, v)
    return tuple(turned)


def _turn_shape(shape: Shape, orientation: int, width: int, height: int) -> Shape:
    match shape:
        case OrientedBox():
            corners = _turn_points(shape.corners, orientation, width, height)
            return OrientedBox(corners)  # type: ignore[arg-type]
        case Circle():
            x, y = _turn_point(shape.x, shape.y, orientation, width, height)
            return Circle(x, y, shape.radius)
        case Polyline():
            return Polyline(_turn_points(shape.points, orientation, width, height))
        case Points():
            return Points(_turn_points(shape.points, orientation, width, height))


def _turn_mask(rle: RLE, orientation: int) -> RLE:
    return encode(turned(decode(rle), orientation), compressed=isinstance(rle.counts, str))


def _plausible(value: Number) -> Number | None:
    """The number, unless it is infinite, none at all, or beyond what JSON readers take."""
    return value if -_LARGEST < value < _LARGEST else None
