"""Labels that others wrote as JSON into an image's EXIF: UserComment, ImageDescription, XPComment.

No standard says how, so only what can be understood wholly and in one way is read: see "Labels of others" in
docs/embedding_spec.md. Coordinates are taken as pixels of the image as displayed.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import msgspec

from xlabel.formats import coco_records, labelme_shapes
from xlabel.formats.untrusted import is_deep
from xlabel.model import Annotation, Category, Image, Number

NAMES = ("label", "class", "name", "category", "category_name", "class_name")
SCORES = ("score", "confidence")
BOXES = ("bbox", "box")
SIDES = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
EXTENTS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
LIMIT = coco_records.LIMIT


def read(text: str, image: Image) -> tuple[str, list[Annotation]] | None:
    """What the text is (coco, labelme or boxes) and the labels in it; None where it is something else.

    All of it is understood, or nothing: also a box that could be read in two ways, and a stated size that is
    not the image's, make it something else. Categories are numbered in the order of their first use, unless
    the text has ids of its own.
    """
    if text[:1] not in ("{", "["):
        return None
    try:
        document = msgspec.json.decode(text)
        if is_deep(document):
            return None
        for kind, reader in (("coco", _coco), ("labelme", _labelme), ("boxes", _boxes)):
            found = reader(document, image)
            if found is not None:
                return kind, found
    except (ValueError, RecursionError):
        pass
    return None


def _coco(document: Any, image: Image) -> list[Annotation] | None:
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        return None
    pictures = document.get("images", [])
    if not isinstance(pictures, list) or len(pictures) > 1:
        return None
    for picture in pictures:
        _agree(picture, "width", "height", image)
    stated = document.get("categories", [])
    by_id = {one.id: one for one in msgspec.convert(stated, list[Category])} if stated else {}
    named = _Categories()
    found = []
    for raw in document["annotations"]:
        record, extra, problems = coco_records.loose(_object(raw))
        if problems:
            raise ValueError(problems[0][1])
        name = _name(extra, NAMES)
        number = None if record.category_id is msgspec.UNSET else record.category_id
        if number is not None and number in by_id:
            category = by_id[number]
        elif name is not None:
            category = named(name)
        elif number is not None:
            category = Category(id=number, name=str(number))
        else:
            raise ValueError("a record without a category")
        annotation = coco_records.annotation_of(record, category, None, None)
        if annotation.bbox is None and annotation.polygons is None and annotation.mask is None:
            raise ValueError("a record without a geometry")
        score = _score(extra) if annotation.score is None else annotation.score
        found.append(msgspec.structs.replace(annotation, score=score, extra=extra or None))
    return found


def _labelme(document: Any, image: Image) -> list[Annotation] | None:
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        return None
    _agree(document, "imageWidth", "imageHeight", image)
    named = _Categories()
    size = image.width, image.height
    return [labelme_shapes.annotation_of(shape, size, named) for shape in document["shapes"]]


def _boxes(document: Any, image: Image) -> list[Annotation] | None:
    if isinstance(document, dict):
        lists = [
            value for key, value in document.items() if key in ("boxes", "labels", "objects", "detections")
        ]
        document = lists[0] if len(lists) == 1 else None
    if not isinstance(document, list) or not document:
        return None
    named = _Categories()
    found = []
    for raw in document:
        rest = dict(_object(raw))
        name = _name(rest, NAMES)
        if name is None:
            raise ValueError("a box without a name")
        category, score = named(name), _score(rest)
        found.append(Annotation(category=category, bbox=_box(rest, image), score=score, extra=rest or None))
    return found


class _Categories:
    """Categories by their names, numbered as they come."""

    def __init__(self) -> None:
        self._known: dict[str, Category] = {}

    def __call__(self, name: str) -> Category:
        return self._known.setdefault(name, Category(id=len(self._known), name=name))


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def _agree(stated: Any, width: str, height: str, image: Image) -> None:
    size = _object(stated).get(width), _object(stated).get(height)
    if (
        size != (None, None)
        and None not in (image.width, image.height)
        and size != (image.width, image.height)
    ):
        raise ValueError("a size that is not the image's")


def _name(rest: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    """The only name in a record, taken out of it."""
    there = [key for key in keys if key in rest]
    if len(there) != 1:
        return None
    value = rest[there[0]]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    del rest[there[0]]
    return str(value)


def _score(rest: dict[str, Any]) -> Number | None:
    for key in SCORES:
        if _is_number(rest.get(key)) and 0 <= rest[key] <= 1:
            score: Number = rest.pop(key)
            return score
    return None


def _box(rest: dict[str, Any], image: Image) -> tuple[Number, Number, Number, Number]:
    """The box of a record, taken out of it; ValueError where there is none, or may be read in two ways."""
    key = next((key for key in BOXES if key in rest), None)
    if key is None:
        return _named_box(rest, image)
    value = rest.pop(key)
    if isinstance(value, dict):
        inner = dict(value)
        box = _named_box(inner, image)
        if inner:
            raise ValueError("a box with more than its sides")
        return box
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        raise ValueError("a box that is not of four numbers")
    a, b, c, d = value
    sized = _checked((a, b, c, d), image)
    if key == "bbox":  # COCO's word, and COCO's way
        return sized or _none()
    between = _checked((a, b, c - a, d - b), image)
    if sized is None or between is None:
        return sized or between or _none()
    raise ValueError("a box that may be corner and size, or two corners")


def _named_box(rest: dict[str, Any], image: Image) -> tuple[Number, Number, Number, Number]:
    readings: list[tuple[tuple[str, ...], Callable[..., tuple[Number, ...]]]] = [
        *((names, lambda a, b, c, d: (a, b, c - a, d - b)) for names in SIDES),
        *((names, lambda a, b, c, d: (a, b, c, d)) for names in EXTENTS),
    ]
    for names, sides in readings:
        if all(_is_number(rest.get(name)) for name in names):
            return _checked(sides(*(rest.pop(name) for name in names)), image) or _none()
    return _none()


def _none() -> tuple[Number, Number, Number, Number]:
    raise ValueError("no box within the image")


def _checked(box: tuple[Number, ...], image: Image) -> tuple[Number, Number, Number, Number] | None:
    """The box, where it is within the image (by a pixel) and not one of shares of the image."""
    x, y, w, h = box
    if w <= 0 or h <= 0 or max(x + w, y + h) <= 1:
        return None
    inside = (
        x >= -1 and y >= -1 and x + w <= (image.width or LIMIT) + 1 and y + h <= (image.height or LIMIT) + 1
    )
    return (x, y, w, h) if inside else None


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and isfinite(value)
        and abs(value) < LIMIT
    )
