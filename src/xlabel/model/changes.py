"""Changes of single labels, made upon whatever the labels are by now.

A change says what a label was and what it shall be. So two people who work on one image lose nothing, a
change that is sent twice is made once, and what truly clashes is told.
"""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from xlabel.model.annotation import Annotation, Category, Source
from xlabel.model.dataset import Sample

REVIEW = "review"
"""Where in an image's `extra` stands what a reviewer said: state, author, time, comment."""
IDS = 1 << 31
"""Ids that labels get are below it."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A label before and after; None where it was not there, or shall not be."""

    id: int | str
    before: Annotation | None
    after: Annotation | None


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """The same for what is said of the image as a whole."""

    field: Literal["split", "review"]
    before: Any
    after: Any


class Clash(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was not made, because something else stands there by now."""

    change: Change | FieldChange
    theirs: Any
    """The annotation, or the value of the field, that stands there."""


class Stamp(msgspec.Struct, frozen=True):
    """Who changes labels, and when."""

    author: str | None
    time: str


def with_ids(sample: Sample) -> Sample:
    """The sample, each of whose annotations has an id of its own.

    One without gets a number that follows from what it says, so that everybody who reads the file gives it
    the same. Of several with one id the first keeps it.
    """
    taken = {annotation.id for annotation in sample.annotations} - {None}
    seen: set[int | str] = set()
    annotations = []
    for annotation in sample.annotations:
        number = annotation.id
        if number is None or number in seen:
            number = _number_of(annotation, taken | seen)
            annotation = msgspec.structs.replace(annotation, id=number)
        seen.add(number)
        annotations.append(annotation)
    return msgspec.structs.replace(sample, annotations=tuple(annotations))


def new_id(sample: Sample) -> int:
    """An id that no annotation of an image has, nor, by all chance, one that somebody else adds meanwhile."""
    taken = {annotation.id for annotation in sample.annotations}
    while (number := secrets.randbelow(IDS - 1) + 1) in taken:
        pass
    return number


def applied(
    sample: Sample, changes: Iterable[Change | FieldChange], stamp: Stamp
) -> tuple[Sample, list[Clash]]:
    """The sample with the changes made, and those that clash. Its annotations have ids (`with_ids`).

    A change whose `after` stands there already is made. What changes is stamped: author, time, and as source
    a human, unless a model has made the label.
    """
    labels = {annotation.id: annotation for annotation in sample.annotations}
    clashes: list[Clash] = []
    fields: dict[str, Any] = {}
    touched = False
    for change in changes:
        if isinstance(change, FieldChange):
            theirs = fields[change.field] if change.field in fields else field_of(sample, change.field)
            if _same_field(change.field, theirs, change.after):
                continue
            if not _same_field(change.field, theirs, change.before):
                clashes.append(Clash(change=change, theirs=theirs))
                continue
            fields[change.field] = change.after
            continue
        found = labels.get(change.id)
        if said(found) == said(change.after):
            continue
        if said(found) != said(change.before):
            clashes.append(Clash(change=change, theirs=found))
            continue
        touched = True
        if change.after is None:
            del labels[change.id]
        else:
            labels[change.id] = _stamped(change.after, change.id, found, stamp)
    if touched and "review" not in fields and field_of(sample, "review") is not None:
        fields["review"] = None
    done = msgspec.structs.replace(sample, annotations=tuple(labels.values()))
    for name, value in fields.items():
        done = _with_field(done, name, value, stamp)
    return done, clashes


def field_of(sample: Sample, name: str) -> Any:
    """What is said of the image as a whole: its split, or what a reviewer said."""
    if name == "split":
        return sample.split
    return (sample.image.extra or {}).get(REVIEW)


def said(annotation: Annotation | None) -> tuple[Any, ...] | None:
    """What a label says, apart from its id, who said it and when."""
    if annotation is None:
        return None
    category = annotation.category.name if annotation.category else None
    return (category, *(getattr(annotation, name) or None for name in _SAID))


_SAID = "bbox polygons mask keypoints shape crowd score status caption attributes extra".split()
_GEOMETRY = "bbox polygons mask keypoints shape".split()
_SET = {"author", "time"}
"""Fields of a review that are set here."""


def _stamped(
    annotation: Annotation, number: int | str, before: Annotation | None, stamp: Stamp
) -> Annotation:
    source = before.source if before else annotation.source
    if source is None or source.kind == "human":
        source = Source(kind="human")
    area = annotation.area
    if before is not None and any(getattr(before, name) != getattr(annotation, name) for name in _GEOMETRY):
        area = None
    category = annotation.category
    if before is not None and before.category and category and before.category.name == category.name:
        category = before.category
    return msgspec.structs.replace(
        annotation,
        id=number,
        category=category,
        area=area,
        author=stamp.author,
        time=stamp.time,
        source=source,
    )


def _with_field(sample: Sample, name: str, value: Any, stamp: Stamp) -> Sample:
    if name == "split":
        return msgspec.structs.replace(sample, split=value)
    extra = dict(sample.image.extra or {})
    extra.pop(REVIEW, None)
    if value is not None:
        told = {key: text for key, text in value.items() if text not in (None, "")}
        extra[REVIEW] = told | {"author": stamp.author, "time": stamp.time}
    image = msgspec.structs.replace(sample.image, extra=extra or None)
    return msgspec.structs.replace(sample, image=image)


def _same_field(name: str, one: Any, other: Any) -> bool:
    if name == "review":
        one, other = ({k: v for k, v in (it or {}).items() if k not in _SET and v} for it in (one, other))
    return bool(one == other)


def _number_of(annotation: Annotation, taken: set[Any]) -> int:
    text = msgspec.json.encode(said(annotation), order="deterministic")
    number = int.from_bytes(hashlib.sha256(text).digest()[:4]) % (IDS - 1) + 1
    while number in taken:
        number = number % (IDS - 1) + 1
    return number


def category_named(name: str, known: Iterable[Category]) -> Category:
    """The category of that name; a new one with an id above all others where there is none."""
    highest = 0
    for category in known:
        if category.name == name:
            return category
        highest = max(highest, category.id)
    return Category(id=highest + 1, name=name)
