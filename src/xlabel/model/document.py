"""The labels of one image as one JSON document, which is stored in the image itself.

The document is pure ASCII and always written in the same way, so that equal labels are equal bytes.
"""

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import msgspec

from xlabel.model.annotation import RLE, Annotation, Category, Number, Shape, Source
from xlabel.model.dataset import Image, Sample


class Picture(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The image that labels were drawn on. Width and height are pixels as displayed."""

    width: int | None = None
    height: int | None = None
    orientation: int = 1
    stream: str | None = None
    """xxh3-128 of the compressed image data."""
    pixels: str | None = None
    """xxh3-128 of the decoded pixels."""
    perceptual: str | None = None
    """A hash that alike pictures nearly share, and so may two frames of a video."""
    id: int | str | None = None
    split: str | None = None
    extra: dict[str, Any] | None = None


class Label(msgspec.Struct, frozen=True, omit_defaults=True):
    """An annotation, with the id of its category. The fields are those of `Annotation`."""

    id: int | str | None = None
    category: int | None = None
    bbox: tuple[Number, Number, Number, Number] | None = None
    polygons: tuple[tuple[Number, ...], ...] | None = None
    mask: RLE | None = None
    keypoints: tuple[Number, ...] | None = None
    shape: Shape | None = None
    crowd: bool = False
    area: Number | None = None
    score: Number | None = None
    status: str | None = None
    caption: str | None = None
    attributes: dict[str, Any] | None = None
    author: str | None = None
    time: str | None = None
    source: Source | None = None
    extra: dict[str, Any] | None = None


class Document(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is stored in an image."""

    image: Picture
    categories: tuple[Category, ...] = ()
    annotations: tuple[Label, ...] = ()


def document(sample: Sample, picture: Picture) -> Document:
    """The document of a sample. Categories of one id and different names get new ids behind the largest."""
    used: dict[int, Category] = {}
    moved: dict[tuple[int, str], int] = {}
    labels = []
    for annotation in sample.annotations:
        category = annotation.category
        number = None
        if category is not None:
            number = category.id
            held = used.setdefault(number, category)
            if held is not category and held != category:
                number = _renumbered(category, used, moved)
        labels.append(Label(annotation.id, number, *_said(annotation)))
    return Document(image=picture, categories=tuple(used.values()), annotations=tuple(labels))


def sample(document: Document, key: str) -> Sample:
    """The sample that a document holds, of an image of that key."""
    by_id = {category.id: category for category in document.categories}
    picture = document.image
    image = Image(
        key=key,
        width=picture.width,
        height=picture.height,
        orientation=picture.orientation,
        id=picture.id,
        extra=picture.extra,
    )
    annotations = tuple(_annotation(label, by_id) for label in document.annotations)
    return Sample(image=image, annotations=annotations, split=picture.split)


def picture_of(sample: Sample, fingerprints: Mapping[str, str]) -> Picture:
    """What a document says of a sample's image; `fingerprints` by the names in `FINGERPRINTS`."""
    image = sample.image
    return Picture(
        width=image.width,
        height=image.height,
        orientation=image.orientation,
        id=image.id,
        split=sample.split,
        extra=image.extra,
        **fingerprints,
    )


FINGERPRINTS = ("stream", "pixels", "perceptual")


def fingerprints(document: Document) -> dict[str, str]:
    """Those of the image that the document has, by their names."""
    found = {name: getattr(document.image, name) for name in FINGERPRINTS}
    return {name: value for name, value in found.items() if value is not None}


def encode(document: Document) -> bytes:
    """The document as ASCII JSON, the same bytes for the same labels."""
    return to_ascii(_encoder.encode(document))


def to_ascii(data: bytes) -> bytes:
    """The same JSON without any other character."""
    return data if data.isascii() else _NOT_ASCII.sub(_escaped, data.decode()).encode("ascii")


def decode(data: bytes | msgspec.Raw) -> Document:
    """The document in its JSON; ValueError says where it is none."""
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise ValueError("the labels are nested deeper than any") from None


_SAME = Label.__struct_fields__[2:]
"""What a label and an annotation have in common, all but the category."""
_said = attrgetter(*_SAME)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Document)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def _annotation(label: Label, categories: dict[int, Category]) -> Annotation:
    category = None if label.category is None else categories.get(label.category)
    return Annotation(id=label.id, category=category, **dict(zip(_SAME, _said(label), strict=True)))


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _renumbered(category: Category, used: dict[int, Category], moved: dict[tuple[int, str], int]) -> int:
    key = (category.id, category.name)
    number = moved.get(key)
    if number is None:
        number = moved[key] = max(used) + 1
        used[number] = msgspec.structs.replace(category, id=number)
    return number
