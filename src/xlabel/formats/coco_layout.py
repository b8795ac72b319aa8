"""What is kept of COCO files so that they can be written again: their layout, and each record's place.

A data set's origin has a `File` for each of its documents. An annotation's origin is None where its place and
its spelling follow from the document; a number where only its place does not; else a `Place`. Places count
through all files of the set, so that a place tells the file too. An image's origin is always a `Place`.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import Struct

from xlabel.formats.splits import SPLITS
from xlabel.formats.untrusted import is_inside
from xlabel.model.dataset import Origin

NAME = "coco"
FILE = "annotations.json"
"""The document that a data set of another origin becomes."""
LISTS = ("images", "annotations", "categories")


class Place(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Where a record stood, and what it said that the model does not."""

    at: int | None = None
    form: dict[str, str] | None = None
    """How absent fields are spelled, where not as in the file's own form."""
    record: dict[str, Any] | None = None
    """The whole record, where the model and a form do not give it again."""
    id: tuple[Any, Any] | None = None
    """The id in the model and the one in the file, where two files use the same id for two things."""
    without: tuple[str, ...] | None = None
    """Fields that the label has from another file, and this record does not."""
    also: "list[Place] | None" = None
    """The same thing in other files."""
    panoptic: "Place | None" = None
    """The image's record in the annotations of a panoptic file, without its segments."""


class File(Struct, omit_defaults=True, kw_only=True):
    """A document of the set."""

    path: str
    kind: str = ""
    """`results` and `panoptic`, else a document with images and annotations."""
    images: int = 0
    """How many records there are; the places in the files before it come first."""
    annotations: int = 0
    form: dict[str, str] | None = None
    missing: list[str] | None = None
    """Those of `LISTS` that are not in the document."""
    odd: dict[str, Any] | None = None
    """Those of `LISTS` that are no lists."""
    extra: dict[str, Any] | None = None
    """Its own top-level fields, where there are several files."""
    categories: list[tuple[int | None, Any]] | None = None
    """The model's id of each category and its record, where they do not follow from the model."""
    junk: dict[str, list[tuple[int, Any]]] | None = None
    """Records of `LISTS` that the model has no place for, by their places."""


def files_of(origin: Origin | None) -> list[File]:
    """The files of a data set that comes from COCO; empty where it does not, or does not say."""
    if origin is None or origin.format != NAME or not origin.extra:
        return []
    try:
        files = msgspec.convert(origin.extra.get("files"), list[File])
    except msgspec.ValidationError:
        return []
    paths = [file.path for file in files]
    return files if len(set(paths)) == len(paths) and all(map(is_inside, paths)) else []


def origin_of(files: Sequence[File]) -> Origin:
    """The origin that says these files."""
    return Origin(format=NAME, extra={"files": [msgspec.to_builtins(file) for file in files]})


def kept(place: Place) -> Any:
    """A place as an annotation's origin, in the fewest words."""
    built = msgspec.to_builtins(place)
    return built["at"] if built.keys() == {"at"} else built or None


def places(origin: Any) -> list[Place]:
    """The places of an annotation or image by its origin, the first one first; one at least.

    An origin that is none of ours (a bundle may have been written by anybody) says nothing.
    """
    if origin is None or origin == {}:
        return [Place()]
    if type(origin) is int:
        return [Place(at=origin)]
    try:
        place = msgspec.convert(origin, Place)
    except (msgspec.ValidationError, RecursionError):
        return [Place()]
    return [place, *_others(place)]


def starts(files: Sequence[File], field: str) -> list[int]:
    """The first place of each file, for its images or annotations."""
    return list(accumulate((max(0, getattr(file, field)) for file in files), initial=0))[:-1]


def split_of(path: str) -> str | None:
    """The split that a document's path tells: `val` of annotations/instances_val2017.json."""
    for part in reversed(path.lower().split("/")):
        for word in _words(part):
            if word in SPLITS:
                return SPLITS[word]
    return None


def _others(place: Place) -> Iterator[Place]:
    for other in place.also or ():
        yield other
        yield from _others(other)


def _words(part: str) -> Iterator[str]:
    """The words of a name, from the last one on."""
    letters = "".join(c if c.isalpha() else " " for c in part.removesuffix(".json"))
    for word in reversed(letters.split()):
        yield word
        yield word.removeprefix("mini")
