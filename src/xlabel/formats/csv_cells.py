"""What stands in the cells of a CSV table: text to values, and back. A reader raises ValueError."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

import msgspec

from xlabel.formats.exact import add, minus
from xlabel.formats.splits import SPLITS
from xlabel.model import RLE, Annotation, Category, Number, Shape, Source
from xlabel.model.annotation import Circle, OrientedBox
from xlabel.model.geometry import rle_counts

LIMIT = 2**53
"""Numbers as large as this are refused: a double no longer tells them apart."""

Box = tuple[Number, Number, Number, Number]

_Within = (
    Annotated[int, msgspec.Meta(gt=-LIMIT, lt=LIMIT)] | Annotated[float, msgspec.Meta(gt=-LIMIT, lt=LIMIT)]
)
_decode_numbers = msgspec.json.Decoder(tuple[_Within, ...]).decode
_decode_polygons = msgspec.json.Decoder(tuple[tuple[_Within, ...], ...]).decode
_decode_shape = msgspec.json.Decoder(Shape).decode
_decode_source = msgspec.json.Decoder(Source).decode
_decode_mask = msgspec.json.Decoder(RLE).decode
read_object = msgspec.json.Decoder(dict[str, Any]).decode


def number(text: str) -> Number:
    """A number; whole ones stay `int`."""
    value: Number
    try:
        value = int(text)
    except ValueError:
        value = float(text)
    if not -LIMIT < value < LIMIT or "_" in text:  # false for NaN too
        raise ValueError(text)
    return value


def whole(text: str) -> int:
    """A whole number, which may be written 3.0."""
    value = number(text)
    if value != int(value):
        raise ValueError(text)
    return int(value)


def size(text: str) -> int | None:
    """Pixels, more than 0; None where nothing is said."""
    value = whole(text) if text else None
    if value is not None and value <= 0:
        raise ValueError(text)
    return value


def identity(text: str) -> int | str | None:
    """An id: a whole number or text, which stands in JSON's quotes where it would pass for something else."""
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 19 and str(int(text)) == text:
        return int(text)
    if text.startswith('"'):
        try:
            return msgspec.json.decode(text, type=str)
        except ValueError:
            return text
    return text or None


def identity_text(value: int | str | None) -> str:
    """The way back."""
    if value is None:
        return ""
    text = str(value)
    return text if identity(text) == value else json(value)


def json(value: Any) -> str:
    """JSON in one line; nothing for None."""
    return "" if value is None else msgspec.json.encode(value).decode()


def exif_text(value: Any) -> str:
    """A field of EXIF in a cell: text as it is where it could be nothing else, anything else as JSON."""
    return value if isinstance(value, str) and value and exif_value(value) == value else json(value)


def exif_value(cell: str) -> Any:
    """What `exif_text` wrote."""
    try:
        return msgspec.json.decode(cell)
    except (ValueError, RecursionError):
        return cell


def box(numbers: Box, form: str) -> Box:
    """x, y, width and height of the four numbers of a box in a table."""
    a, b, c, d = numbers
    if form == "xyxy":
        return a, b, minus(c, a), minus(d, b)
    if form == "cxcywh":
        return minus(a, c / 2), minus(b, d / 2), c, d
    return numbers


def box_numbers(bbox: Box, form: str) -> Box:
    """The way back."""
    x, y, w, h = bbox
    if form == "xyxy":
        return x, y, add(x, w), add(y, h)
    if form == "cxcywh":
        return add(x, w / 2), add(y, h / 2), w, h
    return bbox


def four(text: str) -> Box:
    """The numbers of "[x, y, w, h]"."""
    a, b, c, d = text.strip(" []").split(",", 4)
    return number(a), number(b), number(c), number(d)


def split_name(text: str) -> str:
    """A split's usual name."""
    return SPLITS.get(text.lower(), text)


def _flag(text: str) -> bool:
    try:
        return {"0": False, "1": True, "false": False, "true": True}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _status(text: str) -> str:
    if text not in ("suggestion", "accepted", "rejected"):
        raise ValueError(text)
    return text


def _polygons(text: str) -> tuple[tuple[Number, ...], ...]:
    polygons = _decode_polygons(text)
    if any(len(polygon) % 2 for polygon in polygons):
        raise ValueError(text)
    return polygons


def _mask(text: str) -> RLE:
    mask = _decode_mask(text)
    try:
        rle_counts(mask)
    except ValueError as error:
        raise ValueError(f"expected a mask that is whole, got one where {error}; correct the row") from None
    return mask


def _keypoints(text: str) -> tuple[Number, ...]:
    keypoints = _decode_numbers(text)
    if len(keypoints) % 3:
        raise ValueError(text)
    return keypoints


def _shape(text: str) -> Shape:
    shape = cast(Shape, _decode_shape(text))
    values: tuple[Number, ...]
    if isinstance(shape, Circle):
        values = (shape.x, shape.y, shape.radius)
    else:
        values = shape.corners if isinstance(shape, OrientedBox) else shape.points
        if len(values) % 2:
            raise ValueError(text)
    if not all(-LIMIT < value < LIMIT for value in values):
        raise ValueError(text)
    return shape


def _source(text: str) -> Source:
    return _decode_source(text)


READ: dict[str, Callable[[str], Any]] = {
    "id": identity,
    "polygons": _polygons,
    "mask": _mask,
    "keypoints": _keypoints,
    "shape": _shape,
    "crowd": _flag,
    "area": number,
    "score": number,
    "status": _status,
    "caption": str,
    "attributes": read_object,
    "author": str,
    "time": str,
    "source": _source,
    "extra": read_object,
}
"""Columns that become the annotation's field of the same name."""

READ_IMAGE: dict[str, Callable[[str], Any]] = {
    "width": size,
    "height": size,
    "image_id": identity,
    "split": split_name,
    "image_extra": read_object,
    "category_id": whole,
}
"""Other columns that hold more than text."""

EXPECTED = {
    "polygons": "JSON like [[x1,y1,x2,y2,x3,y3]]",
    "mask": 'JSON like {"size":[height,width],"counts":"..."}',
    "keypoints": "JSON like [x1,y1,v1,x2,y2,v2]",
    "shape": 'JSON like {"kind":"circle","x":5,"y":5,"radius":2}',
    "crowd": "0 or 1",
    "status": "suggestion, accepted or rejected",
    "attributes": "a JSON object",
    "extra": "a JSON object",
    "image_extra": "a JSON object",
    "category_id": "a whole number",
    "width": "a whole number above 0",
    "height": "a whole number above 0",
}
"""What a column that is no plain number has to hold."""


def _crowd_text(annotation: Annotation) -> str:
    if annotation.crowd:
        return "1"
    return "0" if annotation.category is None and annotation.bbox is None and is_bare(annotation) else ""


WRITE: dict[str, Callable[[Annotation], str]] = {
    "id": lambda a: identity_text(a.id),
    "category": lambda a: a.category.name if a.category is not None else "",
    "category_id": lambda a: str(a.category.id) if a.category is not None else "",
    "supercategory": lambda a: (a.category.supercategory or "") if a.category is not None else "",
    "polygons": lambda a: json(a.polygons),
    "mask": lambda a: json(a.mask),
    "keypoints": lambda a: json(a.keypoints),
    "shape": lambda a: json(a.shape),
    "crowd": _crowd_text,
    "area": lambda a: "" if a.area is None else repr(a.area),
    "score": lambda a: "" if a.score is None else repr(a.score),
    "status": lambda a: a.status or "",
    "caption": lambda a: a.caption or "",
    "attributes": lambda a: json(a.attributes),
    "author": lambda a: a.author or "",
    "time": lambda a: a.time or "",
    "source": lambda a: json(a.source),
    "extra": lambda a: json(a.extra),
}
"""What the columns of an annotation say; those of its box are apart."""


def is_bare(annotation: Annotation) -> bool:
    """Whether an annotation says nothing at all; its row has a crowd flag of 0, so as to be one."""
    return annotation == Annotation(origin=annotation.origin)


def is_meant(role: str, old: str, new: str) -> bool:
    """Whether two texts in a column say the same."""
    if old == new:
        return True
    if role == "crowd":
        return _flag_or_not(old) == _flag_or_not(new)
    reader = READ.get(role) or READ_IMAGE.get(role)
    if not old or not new or reader is None:
        return False
    try:
        return bool(reader(old) == reader(new))
    except (ValueError, RecursionError):
        return False


def _flag_or_not(text: str) -> bool | None:
    try:
        return _flag(text or "0")
    except ValueError:
        return None


class Categories:
    """The categories while rows name them; ids are those of the rows, else numbers from 1."""

    def __init__(self, listed: Sequence[Category] = ()) -> None:
        self.categories = list(listed)
        self._by_text: dict[tuple[str, str, str], Category] = {}
        self._by_name: dict[str, Category] = {}
        self._by_id: dict[int, Category] = {}
        for category in listed:
            self._by_name.setdefault(category.name, category)
            self._by_id.setdefault(category.id, category)

    def get(self, name: str, text: str = "", parent: str = "") -> Category:
        """The category that a row names; `text` is its id's."""
        found = self._by_text.get((name, text, parent))
        if found is None:
            found = self._by_text[name, text, parent] = self._find(name, text, parent)
        return found

    def _find(self, name: str, text: str, parent: str) -> Category:
        if not text:
            if name in self._by_name:
                return self._by_name[name]
            made = len(self.categories) + 1
            while made in self._by_id:
                made += 1
            return self._add(Category(id=made, name=name, supercategory=parent or None))
        found = self._by_id.get(whole(text))
        if found is None:
            return self._add(Category(id=whole(text), name=name or text, supercategory=parent or None))
        if name and found.name != name:
            raise ValueError(
                f"expected {found.name!r} for category {found.id} as before, got {name!r}; "
                "give each category an id of its own"
            )
        return found

    def _add(self, category: Category) -> Category:
        self.categories.append(category)
        self._by_id[category.id] = category
        self._by_name.setdefault(category.name, category)
        return category
