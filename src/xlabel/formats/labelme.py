"""LabelMe (wkentaro's): a JSON file an image, with a list of shapes. Its `_label_file.py`, versions 3 to 6.

Polygons of one label and one `group_id` are the parts of one thing. A flag of the image that is true is a
label of the whole image; flags, `group_id`, `description` and `attributes` of a shape are its attributes.

A document that was read is kept without its shapes in the sample's origin; an annotation's origin has its
shape (a list of them where it has several), with null for points that its geometry gives again, and is None
where writing it anew gives the same.
"""

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from xlabel.formats.labelme_shapes import (
    DOCUMENT_FIELDS,
    MAX_DEPTH,
    Part,
    annotation_of,
    encoded,
    joined,
    name_of,
    part_of,
    shapes_of,
    stated_of,
    unknown_fields,
    whole,
)
from xlabel.formats.labelme_write import HOLDS, NAME, VARIANTS, losses, write
from xlabel.formats.labels import peek
from xlabel.formats.named import NOTHING, NamedLabels, Stated, described, home
from xlabel.formats.names import seen, spread
from xlabel.formats.pairing import has_ending
from xlabel.formats.untrusted import is_deep, shortened
from xlabel.model import Annotation, Category, Image, Sample
from xlabel.model.dataset import Origin, is_stored

if TYPE_CHECKING:
    from xlabel.formats import Tree

__all__ = [
    "HOLDS",
    "IMAGES",
    "NAME",
    "TITLE",
    "VARIANTS",
    "LabelmeLabels",
    "losses",
    "read",
    "sniff",
    "write",
]

TITLE = "LabelMe JSON"
IMAGES = ""


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
            stated = stated_of(document)
        except ValueError as error:
            self._report(path, "", error)
            stated = (name_of(document), None, None)
        here = described(image, stated, unknown_fields(document, DOCUMENT_FIELDS))
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
            part = part_of(shape)
            at = parts.setdefault(part, len(shapes)) if part is not None else len(shapes)
            if at == len(shapes):
                found.append(annotation)
                shapes.append([shape])
            else:
                found[first + at] = joined(found[first + at], annotation)
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
            return stated_of(self._document(data))
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
    if is_deep([value for name, value in document.items() if name != "shapes"], MAX_DEPTH):
        raise ValueError("too-deep", f"expected fields nested {MAX_DEPTH} deep at most, got more; repair it")
    return document


def _flagged(category: Category) -> Annotation:
    return Annotation(category=category)


def _kept(annotation: Annotation, shapes: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """What of the shapes cannot be told from the annotation."""
    if annotation.mask is not None:
        return shapes
    anew = shapes_of(annotation, whole(shapes[0].get("group_id")))
    if msgspec.json.encode(anew) == msgspec.json.encode(shapes) and len(shapes) == 1:
        return None
    return [
        {**shape, "points": None} if encoded(shape["points"]) == encoded(new["points"]) else shape
        for shape, new in zip(shapes, anew, strict=True)
    ]
