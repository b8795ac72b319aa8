"""What a LabelMe document says: name and size of its image, and its shapes, as annotations and back.

A rectangle is any two opposite corners (or all four), a circle its centre and a point of its rim, a mask a
PNG in base64 whose top left pixel lies at the first corner of an inclusive box.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from xlabel.formats.exact import add, minus
from xlabel.formats.named import Stated
from xlabel.formats.untrusted import is_deep, shortened
from xlabel.model import RLE, Annotation, Category, Circle, Number, OrientedBox, Points, Polyline, Shape
from xlabel.model.geometry import MAX_PIXELS, decode, encode, mask_bounds, rle_counts

Part = tuple[str, int, bytes]
"""What polygons that are parts of one thing have in common: label, group, and all that they say besides."""
Geometry = tuple[str, list[list[Number]], str | None]
"""Shape type, points, and the mask's PNG in base64."""

MAX_DEPTH = 40
DOCUMENT_FIELDS = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
SHAPE_FIELDS = ("label", "points", "group_id", "description", "shape_type", "flags", "mask", "attributes")

_MAX_NUMBER = 1 << 53
_COLOURS = frozenset({"line_color", "fill_color"})
_COUNTS = {
    "rectangle": (2, 4),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "point": (1, 1),
    "mask": (2, 2),
    "polygon": (3, None),
    "linestrip": (1, None),
    "points": (1, None),
}


def name_of(document: dict[str, Any]) -> str | None:
    name = document.get("imagePath")
    return name if isinstance(name, str) and name else None


def stated_of(document: dict[str, Any]) -> Stated:
    sides: list[int | None] = []
    for field in ("imageWidth", "imageHeight"):
        value = document.get(field)
        if value is not None and (not _is_number(value) or value < 0 or value != int(value)):
            raise ValueError("bad-size", f"expected {field} in pixels, got {shortened(value)}; correct it")
        sides.append(int(value) if value else None)
    width, height = sides
    return (name_of(document), width, height) if width and height else (name_of(document), None, None)


def unknown_fields(record: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """Fields that have no word here; the colours of old versions that are null say nothing."""
    return {
        name: value
        for name, value in record.items()
        if name not in known and (value is not None or name not in _COLOURS)
    }


def annotation_of(
    shape: Any, size: tuple[int | None, int | None], category: Callable[[str], Category]
) -> Annotation:
    """A shape; ValueError(code, message) where it cannot be read."""
    if not isinstance(shape, dict):
        raise ValueError("bad-shape", f"expected an object, got {shortened(shape)}; remove it")
    label, kind = shape.get("label"), shape.get("shape_type")
    if not isinstance(label, str) or not label:
        raise ValueError("no-name", f"expected a label, got {shortened(label)}; name the shape or remove it")
    if kind is None:
        kind = "polygon"
    if not isinstance(kind, str) or kind not in _COUNTS:
        raise ValueError(
            "bad-shape", f"expected one of {', '.join(_COUNTS)}, got {shortened(kind)}; correct it"
        )
    if is_deep([value for name, value in shape.items() if name != "points"], MAX_DEPTH):
        raise ValueError("too-deep", f"expected fields nested {MAX_DEPTH} deep at most, got more; repair it")
    points = _points(shape.get("points"), kind)
    extra = unknown_fields(shape, SHAPE_FIELDS)
    if kind == "polygon":
        polygon = tuple(number for point in points for number in point)
        return Annotation(
            category=category(label), polygons=(polygon,), attributes=_attributes(shape), extra=extra or None
        )
    bbox = mask = None
    figure: Shape | None = None
    if kind == "rectangle":
        bbox, figure = _rectangle(points)
    elif kind == "mask":
        mask = _mask(shape.get("mask"), points, size)
    else:
        figure = _figure(kind, points)
    return Annotation(
        category=category(label),
        bbox=bbox,
        mask=mask,
        shape=figure,
        attributes=_attributes(shape),
        extra=extra or None,
    )


def part_of(shape: dict[str, Any]) -> Part | None:
    """Which thing a shape is a part of; None where it is one of its own."""
    group = whole(shape.get("group_id"))
    if group is None or (shape.get("shape_type") or "polygon") != "polygon":
        return None
    rest = [_attributes(shape), unknown_fields(shape, SHAPE_FIELDS)]
    return shape["label"], group, msgspec.json.encode(rest, order="deterministic")


def joined(one: Annotation, other: Annotation) -> Annotation:
    """Two parts of one thing; what their group said is then said."""
    rest = {name: value for name, value in (one.attributes or {}).items() if name != "group_id"}
    return replace(one, polygons=(*(one.polygons or ()), *(other.polygons or ())), attributes=rest or None)


def shapes_of(annotation: Annotation, group: int | None) -> list[dict[str, Any]]:
    """An annotation's shapes as LabelMe would write them; none where it has no geometry for that."""
    words = words_of(annotation, group)
    found: list[dict[str, Any]] = []
    for kind, points, mask in geometries_of(annotation):
        shape = {"label": words["label"], "points": points, "group_id": words["group_id"]}
        shape |= {"description": words["description"], "shape_type": kind, "flags": words["flags"]}
        shape["mask"] = mask
        shape |= {name: value for name, value in words.items() if name not in shape}
        found.append(shape)
    return found


def words_of(annotation: Annotation, group: int | None) -> dict[str, Any]:
    """All of a shape but its geometry."""
    assert annotation.category is not None
    left = dict(annotation.attributes or {})
    if whole(left.get("group_id")) is not None:
        del left["group_id"]
    description = ""
    if isinstance(left.get("description"), str):
        description = left.pop("description")
    flags = {name: value for name, value in left.items() if value is True or value is False}
    rest = {name: value for name, value in left.items() if name not in flags}
    words = {
        "label": annotation.category.name,
        "group_id": group,
        "description": description,
        "flags": flags,
    }
    if rest:
        words["attributes"] = rest
    return words | {
        name: value for name, value in (annotation.extra or {}).items() if name not in SHAPE_FIELDS
    }


def geometries_of(annotation: Annotation) -> list[Geometry]:
    """The geometry that is written: one of a kind, the mask before polygons, these before others."""
    if annotation.mask is not None and _is_sound(annotation.mask):
        return [_png(annotation.mask)]
    if annotation.polygons:
        parts = [part for part in annotation.polygons if len(part) >= 6]
        if parts:
            return [("polygon", _pairs(part), None) for part in parts]
    shape = annotation.shape
    if isinstance(shape, OrientedBox):
        return [("oriented_rectangle", _pairs(shape.corners), None)]
    if isinstance(shape, Circle):
        return [("circle", [[shape.x, shape.y], [add(shape.x, shape.radius), shape.y]], None)]
    if isinstance(shape, Polyline | Points) and len(shape.points) >= 2:
        one, more = ("line", "linestrip") if isinstance(shape, Polyline) else ("point", "points")
        few = 4 if isinstance(shape, Polyline) else 2
        return [(one if len(shape.points) == few else more, _pairs(shape.points), None)]
    if annotation.bbox is not None:
        x, y, w, h = annotation.bbox
        return [("rectangle", [[x, y], [add(x, w), add(y, h)]], None)]
    return []


def whole(value: Any) -> int | None:
    return value if type(value) is int else None


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


# --- A shape as an annotation ------------------------------------------------------------------------------


def _points(points: Any, kind: str) -> list[list[Number]]:
    least, most = _COUNTS[kind]
    if not isinstance(points, list):
        raise ValueError(
            "bad-points", f"expected a list of points, got {shortened(points)}; remove the shape"
        )
    for point in points:
        if (
            not isinstance(point, list)
            or len(point) != 2
            or not (_is_number(point[0]) and _is_number(point[1]))
        ):
            raise ValueError("bad-points", f"expected [x, y], got {shortened(point)}; correct the point")
    if len(points) < least or (most is not None and len(points) not in (least, most)):
        number = f"{least} points" if most == least else f"{least} points or {most or 'more'}"
        raise ValueError("bad-points", f"expected {number} in a {kind}, got {len(points)}; draw it again")
    return points


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_MAX_NUMBER < value < _MAX_NUMBER


def _attributes(shape: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if type(shape.get("group_id")) is int:
        found["group_id"] = shape["group_id"]
    if isinstance(shape.get("description"), str) and shape["description"]:
        found["description"] = shape["description"]
    for name in ("flags", "attributes"):
        fields = shape.get(name)
        if isinstance(fields, dict):
            found.update(fields)
    return found or None


def _rectangle(
    points: list[list[Number]],
) -> tuple[tuple[Number, Number, Number, Number] | None, OrientedBox | None]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    if len(points) == 4:
        corners = {(left, top), (right, top), (right, bottom), (left, bottom)}
        if {(x, y) for x, y in points} != corners:
            return None, _oriented(points)
    return (left, top, minus(right, left), minus(bottom, top)), None


def _oriented(points: list[list[Number]]) -> OrientedBox:
    (a, b), (c, d), (e, f), (g, h) = points
    return OrientedBox((a, b, c, d, e, f, g, h))


def _figure(kind: str, points: list[list[Number]]) -> Shape:
    if kind == "oriented_rectangle":
        return _oriented(points)
    if kind == "circle":
        (x, y), (rim_x, rim_y) = points
        return Circle(x, y, _radius(rim_x - x, rim_y - y))
    flat = tuple(number for point in points for number in point)
    return Points(flat) if kind in ("point", "points") else Polyline(flat)


def _radius(dx: Number, dy: Number) -> Number:
    """Whole where the rim point lies a whole number of pixels to one side."""
    if dx and dy:
        return math.hypot(dx, dy)
    return abs(dx or dy)


def _mask(text: Any, points: list[list[Number]], size: tuple[int | None, int | None]) -> RLE:
    import numpy as np

    width, height = size
    if width is None or height is None:
        raise ValueError("no-size", "expected imageWidth and imageHeight, got none; a mask needs them")
    if width * height > MAX_PIXELS:
        raise ValueError(
            "bad-size", f"expected {MAX_PIXELS} pixels at most, got {width}x{height}; correct it"
        )
    left, top = int(min(x for x, _ in points)), int(min(y for _, y in points))
    right, bottom = int(max(x for x, _ in points)), int(max(y for _, y in points))
    pixels = _pixels(text, right - left + 1, bottom - top + 1)
    array = np.zeros((height, width), dtype=np.bool_)
    rows, columns = pixels.shape
    into = array[max(top, 0) : max(top + rows, 0), max(left, 0) : max(left + columns, 0)]
    off_x, off_y = max(-left, 0), max(-top, 0)
    into[:] = pixels[off_y : off_y + into.shape[0], off_x : off_x + into.shape[1]]
    return encode(array)


def _pixels(text: Any, width: int, height: int) -> Any:
    """The pixels of a PNG in base64, as bool; some tools write boxes that exclude their last pixel."""
    from io import BytesIO

    import numpy as np
    from PIL import Image as Pillow

    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    columns, rows = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or abs(columns - width) > 1 or abs(rows - height) > 1:
        stated = f"{columns}x{rows}" if data else "none"
        raise ValueError(
            "bad-mask", f"expected a PNG of {width}x{height} pixels in base64, got {stated}; draw it again"
        )
    try:
        with Pillow.open(BytesIO(data), formats=["PNG"]) as picture:
            plain = picture if picture.mode in ("1", "L", "P") or picture.mode.startswith("I") else None
            return np.asarray(plain or picture.convert("L")) != 0
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError, Warning) as error:
        raise ValueError("bad-mask", f"expected a whole PNG, got: {error}; draw the mask again") from None


# --- An annotation as shapes -------------------------------------------------------------------------------


def _pairs(numbers: tuple[Number, ...]) -> list[list[Number]]:
    return [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=False)]


def _is_sound(mask: RLE) -> bool:
    try:
        return rle_counts(mask).size > 0
    except ValueError:
        return False


def _png(mask: RLE) -> Geometry:
    """A mask as a PNG of its bounds; one without pixels as one empty pixel."""
    from io import BytesIO

    import numpy as np
    from PIL import Image as Pillow

    box = mask_bounds(mask)
    left, top, width, height = (int(side) for side in box) if box is not None else (0, 0, 1, 1)
    pixels = decode(mask)[top : top + height, left : left + width]
    file = BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels).astype(np.uint8)).save(file, "PNG")
    corners: list[list[Number]] = [[left, top], [left + width - 1, top + height - 1]]
    return "mask", corners, base64.b64encode(file.getvalue()).decode("ascii")
