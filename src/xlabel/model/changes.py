"""Changes of single labels, made upon whatever the labels are by now.

A change says what a label was and what it shall be. So two people who work on one image lose nothing, a
change that is sent twice is made once, and what truly clashes is told.
"""

import hashlib
import math
import secrets
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from xlabel.model.annotation import Annotation, Category, Source
from xlabel.model.dataset import Sample
from xlabel.model.record import MARK, mark_of

IDS = 1 << 31
"""Ids that labels get are below it."""
COUNTED = (1 << 53) - 1
"""The largest whole number that JavaScript tells from its neighbours."""


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
    """The sample, each of whose annotations has an id of its own, as text too.

    One without gets a number that follows from what it says, so that everybody who reads the file gives it
    the same. Of several with one id the first keeps it.
    """
    taken = {str(annotation.id) for annotation in sample.annotations if annotation.id is not None}
    seen: set[str] = set()
    annotations = []
    for annotation in sample.annotations:
        if annotation.id is None or str(annotation.id) in seen:
            number = _number_of(annotation, taken | seen)
            annotation = msgspec.structs.replace(annotation, id=number)
        seen.add(str(annotation.id))
        annotations.append(annotation)
    return msgspec.structs.replace(sample, annotations=tuple(annotations))


def new_id(sample: Sample) -> int:
    """An id that no annotation of an image has, nor, by all chance, one that somebody else adds meanwhile."""
    taken = {str(annotation.id) for annotation in sample.annotations}
    while str(number := secrets.randbelow(IDS - 1) + 1) in taken:
        pass
    return number


def applied(
    sample: Sample, changes: Iterable[Change | FieldChange], stamp: Stamp
) -> tuple[Sample, list[Clash]]:
    """The sample with the changes made, and those that clash. Its annotations have ids (`with_ids`).

    A change whose `after` stands there already is made. What changes is stamped: author, time, and as source
    a human, unless a model has made the label. A reviewer's mark is of the labels as they were: it goes where
    one is changed, unless the changes are about the mark too.
    """
    labels = {str(annotation.id): annotation for annotation in sample.annotations}
    fields: dict[str, Any] = {name: field_of(sample, name) for name in FIELDS}
    clashes: list[Clash] = []
    told: set[str] = set()
    set_anew: set[str] = set()
    touched = False
    for change in changes:
        if isinstance(change, FieldChange):
            told.add(change.field)
            found = fields[change.field]
            if _same_field(change.field, found, change.after):
                continue
            if not _same_field(change.field, found, change.before):
                clashes.append(Clash(change=change, theirs=found))
                continue
            fields[change.field] = change.after
            set_anew.add(change.field)
            continue
        label = labels.get(str(change.id))
        if said(label) == said(change.after):
            continue
        if said(label) != said(change.before):
            clashes.append(Clash(change=change, theirs=label))
            continue
        touched = True
        if change.after is None:
            del labels[str(change.id)]
        else:
            labels[str(change.id)] = _made(change.before, change.after, change.id, label, stamp)
    if touched and "review" not in told and fields["review"] is not None:
        fields["review"] = None
        set_anew.add("review")
    done = msgspec.structs.replace(sample, annotations=tuple(labels.values()))
    for name in sorted(set_anew):
        done = _with_field(done, name, fields[name], stamp)
    return done, clashes


FIELDS = ("split", "review")
"""What is said of an image as a whole."""


def field_of(sample: Sample, name: str) -> Any:
    """What is said of the image as a whole: its split, or what a reviewer said."""
    if name == "split":
        return sample.split
    return (sample.image.extra or {})[MARK] if mark_of(sample.image) is not None else None


def said(annotation: Annotation | None) -> tuple[Any, ...] | None:
    """What a label says, apart from its id, who said it and when: equal for what JSON tells as the same."""
    if annotation is None:
        return None
    category = annotation.category.name if annotation.category else None
    score = _plain(annotation.score)
    return (category or None, score, *(_plain(getattr(annotation, name)) or None for name in _SAID))


_SAID = "bbox polygons mask keypoints shape crowd status caption attributes extra".split()
_GEOMETRY = "bbox polygons mask keypoints shape".split()
_SET = {"author", "time"}
"""Fields of a review that are set here."""


def _plain(value: Any) -> Any:
    """A value as JSON tells it to a page: what is no number is nothing, and large ones are rounded."""
    match value:
        case bool() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case int():
            return value if -COUNTED <= value <= COUNTED else float(value)
        case list() | tuple():
            return tuple(map(_plain, value))
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case msgspec.Struct():
            return type(value).__name__, tuple(_plain(getattr(value, n)) for n in value.__struct_fields__)
    return value


def _made(
    before: Annotation | None,
    after: Annotation,
    number: int | str,
    found: Annotation | None,
    stamp: Stamp,
) -> Annotation:
    """What a label becomes. Where the change leaves a field as it was, it keeps what is found there."""
    if before is None or found is None:
        source = after.source if after.source and after.source.kind == "model" else Source(kind="human")
        return msgspec.structs.replace(after, id=number, author=stamp.author, time=stamp.time, source=source)
    category = after.category
    if _name(category) == _name(before.category):
        category = found.category
    changed = {
        name: getattr(after, name)
        for name in (*_SAID, "score")
        if _plain(getattr(after, name)) != _plain(getattr(before, name))
    }
    moved = any(name in changed for name in _GEOMETRY)
    return msgspec.structs.replace(
        found,
        **changed,
        category=category,
        area=None if moved else found.area,
        author=stamp.author,
        time=stamp.time,
        source=found.source or Source(kind="human"),
    )


def _name(category: Category | None) -> str | None:
    return category.name if category else None


def _with_field(sample: Sample, name: str, value: Any, stamp: Stamp) -> Sample:
    if name == "split":
        return msgspec.structs.replace(sample, split=value)
    extra = dict(sample.image.extra or {})
    extra.pop(MARK, None)
    if value is not None:
        told = {key: text for key, text in value.items() if text not in (None, "")}
        extra[MARK] = told | {"author": stamp.author, "time": stamp.time}
    image = msgspec.structs.replace(sample.image, extra=extra or None)
    return msgspec.structs.replace(sample, image=image)


def _same_field(name: str, one: Any, other: Any) -> bool:
    if name == "review":
        one, other = (
            {k: v for k, v in it.items() if k not in _SET and v} if isinstance(it, dict) else it
            for it in (one, other)
        )
    return bool((one or None) == (other or None))


def _number_of(annotation: Annotation, taken: set[str]) -> int:
    text = repr(said(annotation)).encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.sha256(text).digest()[:4]) % (IDS - 1) + 1
    while str(number) in taken:
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
