"""LabelMe (wkentaro's): a JSON file an image, with a list of shapes. Its `_label_file.py`, versions 3 to 6.

A rectangle is any two opposite corners (or all four), a circle its centre and a point of its rim, a mask a
PNG in base64 whose top left pixel lies at the first corner of an inclusive box. Polygons of one label and one
`group_id` are the parts of one thing. A flag of the image that is true is a label of the whole image; flags,
`group_id`, `description` and `attributes` of a shape are its attributes.

A document that was read is kept without its shapes in the sample's origin; an annotation's origin has its
shape (a list of them where it has several), with null for points that its geometry gives again, and is None
where writing it anew gives the same.
"""

import base64
import binascii
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from xlabel.formats.exact import add, minus
from xlabel.formats.labels import peek
from xlabel.formats.losses import missing, renumbered
from xlabel.formats.named import (
    NOTHING,
    NamedLabels,
    Places,
    Stated,
    base,
    described,
    home,
    to_displayed,
    to_drawn,
    without_origin,
)
from xlabel.formats.names import seen, spread
from xlabel.formats.pairing import has_ending
from xlabel.formats.untrusted import is_deep, shortened
from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Dataset,
    Image,
    Loss,
    Number,
    OrientedBox,
    Points,
    Polyline,
    Sample,
    Shape,
)
from xlabel.model.dataset import Origin, is_stored
from xlabel.model.geometry import MAX_PIXELS, bbox_of, decode, encode, mask_bounds, rle_counts

if TYPE_CHECKING:
    from xlabel.formats import Tree

NAME = "labelme"
TITLE = "LabelMe JSON"
IMAGES = ""
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(
    {
        "bbox",
        "polygons",
        "polygon parts",
        "mask",
        "oriented_box",
        "polyline",
        "points",
        "circle",
        "image labels",
        "attributes",
        "extra",
        "unlabelled",
        "image extra",
    }
)

VERSION = "5.5.0"
"""Of LabelMe, as the files say whose text is ours."""

Part = tuple[str, int, bytes]
"""What polygons that are parts of one thing have in common: label, group, and all that they say besides."""
Geometry = tuple[str, list[list[Number]], str | None]
"""Shape type, points, and the mask's PNG in base64."""

_MAX_NUMBER = 1 << 53
_MAX_DEPTH = 40
_DOCUMENT = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
_SHAPE = ("label", "points", "group_id", "description", "shape_type", "flags", "mask", "attributes")
_SAYS = ("description", "flags", "attributes")
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
_WIDER = {"line": "linestrip", "point": "points"}
_CLOSE = 0.01
"""Pixels by which a box may miss the bounds of a polygon or mask and say nothing of its own."""


class LabelmeLabels(NamedLabels):
    """One JSON file an image."""

    suffixes = (".json",)
    _last: tuple[bytes, dict[str, Any]] | None = None

    def parse(self, data: bytes, path: str, image: Image) -> Sample:
        try:
            document = self._document(data)
        except ValueError as error:
            self._report(path, "", error)
            return Sample(image=image)
        try:
            stated = _stated(document)
        except ValueError as error:
            self._report(path, "", error)
            stated = (_name(document), None, None)
        here = described(image, stated, _extra(document, _DOCUMENT))
        size = (here.width, here.height)
        found = [_flagged(self.category(name)) for name in self._flags(document, path)]
        first = len(found)
        shapes: list[list[dict[str, Any]]] = []
        slots: list[Any] = []
        parts: dict[Part, int] = {}
        for index, shape in enumerate(document["shapes"]):
            try:
                annotation = annotation_of(shape, size, self.category)
            except ValueError as error:
                self._report(path, f"shapes[{index}]: ", error)
                slots.append([shape])
                continue
            part = _part_of(shape)
            at = parts.setdefault(part, len(shapes)) if part is not None else len(shapes)
            if at == len(shapes):
                found.append(annotation)
                shapes.append([shape])
            else:
                found[first + at] = _joined(found[first + at], annotation)
                shapes[at].append(shape)
            slots.append(at)
        turned = is_stored(image, stated[1:])
        for at, of in enumerate(shapes):
            origin = of if turned else _kept(found[first + at], of)
            if origin is not None:
                found[first + at] = replace(
                    found[first + at], origin=origin[0] if len(origin) == 1 else origin
                )
        # Where each shape went: the number of its annotation, or the shape itself in a list of one.
        kept = {**document, "shapes": None if slots == list(range(len(shapes))) else slots}
        notes = {**home(path, image.key), "document": kept}
        return Sample(image=here, annotations=tuple(found), origin=notes)

    def stated(self, data: bytes) -> Stated:
        try:
            return _stated(self._document(data))
        except ValueError:
            return NOTHING

    def _document(self, data: bytes) -> dict[str, Any]:
        if self._last is None or self._last[0] != data:
            self._last = (data, _decoded(data))
        return self._last[1]

    def _flags(self, document: dict[str, Any], path: str) -> list[str]:
        flags = document.get("flags")
        if flags is None or isinstance(flags, dict):
            return [name for name, value in (flags or {}).items() if value is True and name]
        message = f"expected flags as an object, got {shortened(flags)}; they are left alone, correct them"
        self._report(path, "", ValueError("bad-flags", message))
        return []

    def _report(self, path: str, place: str, error: ValueError) -> None:
        code, message = error.args
        self.problem(self.where(path), code, place + message)


def sniff(tree: "Tree") -> str | None:
    number, some = spread(tree.files, lambda path: has_ending(path, LabelmeLabels.suffixes), 8)
    right = sum(_looks_right(peek(tree, path)) for path in some)
    return seen(number, ".json", len(some), right, "shapes") if right else None


def read(tree: "Tree", variant: str | None = None) -> LabelmeLabels:
    return LabelmeLabels(tree, Origin(format=NAME))


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    again = dataset.origin is not None and dataset.origin.format == NAME
    places = Places(dataset.samples if again else (), ".json", "")
    for sample in dataset.samples:
        if not again:
            sample = without_origin(sample)
        path = places.of(sample)
        if sample.origin is not None or sample.annotations or not again:
            yield path, [msgspec.json.format(msgspec.json.encode(_document(sample)), indent=2)]


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    yield from missing(dataset, HOLDS)
    numbers: dict[str, int] = {}
    for sample in dataset.samples:
        key = sample.image.key
        for name in _named(sample):
            numbers.setdefault(name, len(numbers) + 1)
        if any(name in _DOCUMENT for name in sample.image.extra or {}):
            yield Loss(key, "image extra")
        counts: dict[str, int] = {}
        seen: set[object] = set()
        for annotation in sample.annotations:
            for field in _left_out(annotation, seen):
                counts[field] = counts.get(field, 0) + 1
        for field, count in counts.items():
            yield Loss(key, field, count)
    if dataset.origin is None or dataset.origin.format != NAME:
        yield from renumbered(dataset.categories, numbers)


# --- Reading ----------------------------------------------------------------------------------------------


def _looks_right(data: bytes) -> bool:
    if len(data) > 100_000_000 or b'"shapes"' not in data:
        return False
    try:
        top = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    has_image = any(name in top for name in ("imagePath", "imageData", "imageHeight"))
    return "shapes" in top and bytes(top["shapes"])[:1] == b"[" and has_image


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError("bad-json", f"expected JSON in UTF-8, got: {error}; repair the file") from None
    except RecursionError:
        raise ValueError("too-deep", "expected no deep nesting, got it; is this a label file?") from None
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise ValueError("not-labelme", 'expected an object with a list "shapes"; is this a file of LabelMe?')
    if is_deep([value for name, value in document.items() if name != "shapes"], _MAX_DEPTH):
        raise ValueError("too-deep", f"expected fields nested {_MAX_DEPTH} deep at most, got more; repair it")
    return document


def _name(document: dict[str, Any]) -> str | None:
    name = document.get("imagePath")
    return name if isinstance(name, str) and name else None


def _stated(document: dict[str, Any]) -> Stated:
    sides: list[int | None] = []
    for field in ("imageWidth", "imageHeight"):
        value = document.get(field)
        if value is not None and (not _is_number(value) or value < 0 or value != int(value)):
            raise ValueError("bad-size", f"expected {field} in pixels, got {shortened(value)}; correct it")
        sides.append(int(value) if value else None)
    width, height = sides
    return (_name(document), width, height) if width and height else (_name(document), None, None)


def _extra(record: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """Fields that have no word here; the colours of old versions that are null say nothing."""
    return {
        name: value
        for name, value in record.items()
        if name not in known and (value is not None or name not in _COLOURS)
    }


def _flagged(category: Category) -> Annotation:
    return Annotation(category=category)


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
    if is_deep([value for name, value in shape.items() if name != "points"], _MAX_DEPTH):
        raise ValueError("too-deep", f"expected fields nested {_MAX_DEPTH} deep at most, got more; repair it")
    points = _points(shape.get("points"), kind)
    extra = _extra(shape, _SHAPE)
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


def _part_of(shape: dict[str, Any]) -> Part | None:
    """Which thing a shape is a part of; None where it is one of its own."""
    group = _whole(shape.get("group_id"))
    if group is None or (shape.get("shape_type") or "polygon") != "polygon":
        return None
    rest = [_attributes(shape), _extra(shape, _SHAPE)]
    return shape["label"], group, msgspec.json.encode(rest, order="deterministic")


def _joined(one: Annotation, other: Annotation) -> Annotation:
    """Two parts of one thing; what their group said is then said."""
    rest = {name: value for name, value in (one.attributes or {}).items() if name != "group_id"}
    return replace(one, polygons=(*(one.polygons or ()), *(other.polygons or ())), attributes=rest or None)


def _kept(annotation: Annotation, shapes: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """What of the shapes cannot be told from the annotation."""
    if annotation.mask is not None:
        return shapes
    anew = _shapes(annotation, _whole(shapes[0].get("group_id")))
    if msgspec.json.encode(anew) == msgspec.json.encode(shapes) and len(shapes) == 1:
        return None
    return [
        {**shape, "points": None} if _text(shape["points"]) == _text(new["points"]) else shape
        for shape, new in zip(shapes, anew, strict=True)
    ]


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _text(value: Any) -> bytes:
    return msgspec.json.encode(value)


# --- Writing ----------------------------------------------------------------------------------------------


def _document(sample: Sample) -> dict[str, Any]:
    """A sample's file as data: the document that was read, with what has changed since."""
    origin = sample.origin.get("document") if isinstance(sample.origin, dict) else None
    old: dict[str, Any] = origin if isinstance(origin, dict) else {}
    image = sample.image
    width, height = sample.drawn or (image.width, image.height)
    labels = [a for a in sample.annotations if _is_flag(a)]
    new = dict(old) or {
        "version": VERSION,
        "flags": {},
        "shapes": None,
        "imagePath": base(image.key),
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    path = old.get("imagePath")
    if isinstance(path, str) and path not in ("", sample.named) and base(path) != base(image.key):
        new["imagePath"] = path[: len(path) - len(base(path))] + base(image.key)
    try:
        _, stated_width, stated_height = _stated(new)
    except ValueError:
        stated_width = stated_height = None
    if stated_width is not None and (stated_width, stated_height) != (width, height):
        new |= {"imageHeight": height, "imageWidth": width}
    flags = old.get("flags")
    said = {a.category.name: True for a in labels if a.category is not None}
    if isinstance(flags, dict):
        new["flags"] = {name: _flag(name, value, said) for name, value in flags.items()}
        new["flags"] |= {name: True for name in said if name not in flags}
    elif said or not old:
        new["flags"] = said
    _update(new, _extra(old, _DOCUMENT), image.extra or {}, _DOCUMENT)
    new["shapes"] = _all_shapes(sample, old.get("shapes"))
    return new


def _flag(name: str, value: Any, said: Mapping[str, bool]) -> Any:
    """A flag as it was, unless its label has come or gone."""
    return value if not name or (value is True) == (name in said) else name in said


def _update(
    record: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any], known: tuple[str, ...]
) -> None:
    """Makes the fields of a record that have no word here those of `new`."""
    if old != new:
        for name in old:
            if name not in new:
                del record[name]
        record |= {name: value for name, value in new.items() if name not in known and old.get(name) != value}


def _is_flag(annotation: Annotation) -> bool:
    """Whether an annotation is about the whole image."""
    return (
        annotation.bbox is None
        and not annotation.polygons
        and annotation.mask is None
        and annotation.shape is None
        and annotation.keypoints is None
        and annotation.caption is None
    )


def _all_shapes(sample: Sample, slots: Any) -> list[Any]:
    """The shapes of a sample, where they were, and those that could not be read between them."""
    last = max((group for a in sample.annotations if (group := _group_of(a)) is not None), default=0)
    taken: set[Part] = set()
    lists: list[list[Any]] = []
    for annotation in sample.annotations:
        if annotation.category is None or _is_flag(annotation):
            continue
        group = _group_of(annotation)
        if group is None and _has_parts(annotation):
            group = last = last + 1
        shapes = _shapes_again(annotation, group, sample)
        part = _part_of(shapes[0]) if shapes else None
        if part in taken:
            last += 1
            shapes = _shapes_again(annotation, last, sample)
        elif part is not None:
            taken.add(part)
        if shapes:
            lists.append(shapes)
    if not isinstance(slots, list):
        return [shape for shapes in lists for shape in shapes]
    numbers = {slot for slot in slots if type(slot) is int}
    if numbers != set(range(len(lists))):
        broken = [shape for slot in slots if isinstance(slot, list) for shape in slot]
        return [*(shape for shapes in lists for shape in shapes), *broken]
    left = {at: iter(shapes) for at, shapes in enumerate(lists)}
    ends = {at: index for index, at in enumerate(slots) if type(at) is int}
    found: list[Any] = []
    for index, slot in enumerate(slots):
        if type(slot) is int:
            found += left[slot] if ends[slot] == index else islice(left[slot], 1)
        elif isinstance(slot, list):
            found += slot
    return found


def _group_of(annotation: Annotation) -> int | None:
    """The group that an annotation has, or that its parts were joined by."""
    group = (annotation.attributes or {}).get("group_id")
    if group is None and _has_parts(annotation):
        group = next((old.get("group_id") for old in _origins(annotation)), None)
    return _whole(group)


def _has_parts(annotation: Annotation) -> bool:
    return sum(kind == "polygon" for kind, _, _ in _geometries(annotation)) > 1


def _origins(annotation: Annotation) -> list[dict[str, Any]]:
    origin = annotation.origin
    olds = origin if isinstance(origin, list) else [origin]
    return olds if all(isinstance(old, dict) for old in olds) else []


def _shapes_again(annotation: Annotation, group: int | None, sample: Sample) -> list[dict[str, Any]]:
    """The shapes that an annotation was read from, with what has changed since."""
    own = to_drawn(annotation, sample)
    olds = _origins(annotation)
    if not olds:
        return _shapes(own, group)
    points = [part for _, part, _ in _geometries(own)] if annotation.mask is None else []
    filled = [
        {**old, "points": part} if part is not None and old.get("points", 0) is None else old
        for old, part in zip(olds, [*points, *([None] * len(olds))], strict=False)
    ]
    was = _read_again(filled, sample)
    if was is None:
        return _shapes(own, group)
    same_place = _place(was) == _place(annotation)
    same_group = _whole(filled[0].get("group_id")) == group
    if same_place and same_group and _says(was) == _says(annotation):
        return filled
    anew = [_words(own, group) for _ in filled] if same_place else _shapes(own, group)
    return [
        _edited(old, was, annotation, new, same_place)
        for old, new in zip([*filled, *({} for _ in anew)], anew, strict=False)
    ]


def _read_again(shapes: list[dict[str, Any]], sample: Sample) -> Annotation | None:
    """The annotation that these shapes are, if they are one."""
    size = sample.drawn or (sample.image.width, sample.image.height)
    try:
        parts = [annotation_of(shape, size, _nameless) for shape in shapes]
        of = {_part_of(shape) for shape in shapes}
    except ValueError:
        return None
    if len(parts) > 1 and (len(of) > 1 or None in of):
        return None
    return to_displayed(reduce(_joined, parts), sample)


def _edited(
    old: dict[str, Any], was: Annotation, now: Annotation, new: dict[str, Any], same_place: bool
) -> dict[str, Any]:
    """A shape with those fields replaced in which the annotation has changed."""
    if not old:
        return new
    shape = dict(old)
    shape["label"] = new["label"]
    if not same_place:
        if _text(old.get("points")) != _text(new["points"]):
            shape["points"] = new["points"]
        if (old.get("shape_type") or "polygon") not in (new["shape_type"], _WIDER.get(new["shape_type"])):
            shape["shape_type"] = new["shape_type"]
        if old.get("mask") is not None or new["mask"] is not None:
            shape["mask"] = new["mask"]
    if _whole(old.get("group_id")) != new["group_id"]:
        shape["group_id"] = new["group_id"]
    if was.attributes != now.attributes:
        for name in _SAYS:
            if (old.get(name) or None) != (new.get(name) or None):
                shape[name] = new.get(name)
    _update(shape, was.extra or {}, now.extra or {}, _SHAPE)
    return shape


def _nameless(name: str) -> Category:
    return Category(id=0, name=name)


def _place(annotation: Annotation) -> tuple[Any, ...]:
    return annotation.bbox, annotation.polygons, annotation.mask, annotation.shape


def _says(annotation: Annotation) -> tuple[Any, ...]:
    name = annotation.category.name if annotation.category is not None else None
    return name, annotation.attributes or None, annotation.extra or None


def _shapes(annotation: Annotation, group: int | None) -> list[dict[str, Any]]:
    """An annotation's shapes as LabelMe would write them; none where it has no geometry for that."""
    words = _words(annotation, group)
    found: list[dict[str, Any]] = []
    for kind, points, mask in _geometries(annotation):
        shape = {"label": words["label"], "points": points, "group_id": words["group_id"]}
        shape |= {"description": words["description"], "shape_type": kind, "flags": words["flags"]}
        shape["mask"] = mask
        shape |= {name: value for name, value in words.items() if name not in shape}
        found.append(shape)
    return found


def _words(annotation: Annotation, group: int | None) -> dict[str, Any]:
    """All of a shape but its geometry."""
    assert annotation.category is not None
    left = dict(annotation.attributes or {})
    if _whole(left.get("group_id")) is not None:
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
    return words | {name: value for name, value in (annotation.extra or {}).items() if name not in _SHAPE}


def _geometries(annotation: Annotation) -> list[Geometry]:
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


def _named(sample: Sample) -> Iterator[str]:
    """The labels in a sample's file, in the order in which they are read again."""
    flags = [a for a in sample.annotations if _is_flag(a)]
    shapes = [a for a in sample.annotations if a.bbox or a.polygons or a.mask is not None or a.shape]
    return (a.category.name for a in (*flags, *shapes) if a.category is not None)


def _left_out(annotation: Annotation, seen: set[object]) -> Iterator[str]:
    """Fields of an annotation that are held by LabelMe, but not in this case."""
    if annotation.category is None:
        return
    if _is_flag(annotation):
        name = annotation.category.name
        if name in seen or not name:
            yield "image labels"
        seen.add(name)
        for field in ("attributes", "extra"):
            if getattr(annotation, field):
                yield field
        return
    if any(name in _SHAPE for name in annotation.extra or {}):
        yield "extra"
    parts = len(annotation.polygons or ())
    group = _whole((annotation.attributes or {}).get("group_id"))
    if group is not None and parts:
        part = next(map(_part_of, _shapes(annotation, group)), None)
        if part is not None and (parts > 1 or part in seen):
            yield "attributes"
        seen.add(part)
    written = {kind for kind, _, _ in _geometries(annotation)} if _has_several(annotation) else None
    if written is None:
        return
    if annotation.mask is not None and "mask" not in written:
        yield "mask"
    if annotation.polygons and "polygon" not in written:
        yield "polygons" if parts == 1 else "polygon parts"
    if annotation.shape is not None and written & {"mask", "polygon", "rectangle"}:
        yield {"OrientedBox": "oriented_box"}.get(
            type(annotation.shape).__name__, type(annotation.shape).__name__.lower()
        )
    if annotation.bbox is not None and "rectangle" not in written and not _is_bounds(annotation):
        yield "bbox"


def _has_several(annotation: Annotation) -> bool:
    fields = (annotation.bbox, annotation.polygons, annotation.mask, annotation.shape)
    return sum(field is not None for field in fields) > 1 or bool(annotation.polygons or annotation.mask)


def _is_bounds(annotation: Annotation) -> bool:
    """Whether the box is the one around the rest of the geometry, and so says nothing of its own."""
    around = bbox_of(replace(annotation, bbox=None, keypoints=None))
    assert annotation.bbox is not None
    return around is not None and all(
        abs(a - b) <= _CLOSE for a, b in zip(around, annotation.bbox, strict=True)
    )
