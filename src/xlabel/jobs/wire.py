"""Labels and their changes as the review page says them: an annotation's fields, its category by name.

What a page says may be anything at all: InputError says where in it something else was expected.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.model import Annotation, Category, Number
from xlabel.model.changes import COUNTED, Change, Clash, FieldChange
from xlabel.model.geometry import bbox_of, mask_bounds
from xlabel.model.record import Mark

FURTHEST = 1 << 24
"""Pixels; a coordinate beyond them lies in no picture."""
LONGEST = 1000
"""Characters of a name, an id or a split."""
LARGEST = 8 << 20
"""Bytes of a label as JSON, and of a comment."""
STATUSES = (None, "suggestion", "accepted", "rejected")

T = TypeVar("T")
Known = Callable[[str], Category]
"""Gives the category of a name."""


def label(annotation: Annotation) -> dict[str, Any]:
    """A label as the page has it."""
    told: dict[str, Any] = msgspec.to_builtins(replace(annotation, category=None, origin=None))
    if annotation.category:
        told["category"] = annotation.category.name
    if isinstance(annotation.id, int) and abs(annotation.id) > COUNTED:
        told["id"] = str(annotation.id)
    return told


def slim(annotation: Annotation) -> dict[str, Any]:
    """A label as far as a small picture of it shows."""
    told = label(replace(annotation, attributes=None, extra=None, source=None))
    if told.get("mask") and not told.get("bbox"):
        told["bbox"] = bbox_of(annotation)
    told.pop("mask", None)
    return told


def change(made: Change | FieldChange) -> dict[str, Any]:
    """A change as the page has it."""
    if isinstance(made, FieldChange):
        return {"field": made.field, "before": made.before, "after": made.after}
    return {"id": made.id, "before": _side(made.before), "after": _side(made.after)}


def clash(met: Clash) -> dict[str, Any]:
    """A clash, for a person to decide on."""
    told = change(met.change)
    theirs = _side(met.theirs) if isinstance(met.change, Change) else met.theirs
    sides = {"base": told.pop("before"), "mine": told.pop("after"), "theirs": theirs}
    return told | sides


def read(told: list[Any], category: Known) -> list[Change | FieldChange]:
    """The changes that a page sends; `category` gives the one of a name."""
    read = []
    for number, one in enumerate(told):
        try:
            read.append(_change(one, f"changes[{number}]", category))
        except (OverflowError, RecursionError) as error:
            message = f"changes[{number}]: expected numbers of a picture and texts, found more: {error}"
            raise InputError(message) from None
    return read


def _side(annotation: Annotation | None) -> dict[str, Any] | None:
    return None if annotation is None else label(annotation)


def _change(told: Any, place: str, known: Known) -> Change | FieldChange:
    if not isinstance(told, dict) or not ({"before", "after"} <= told.keys()):
        raise InputError(f"{place}: expected a change with before and after, found {_short(told)}")
    if "field" in told:
        return _field_change(told, place)
    number = told.get("id")
    whole = type(number) is int and abs(number) <= COUNTED
    if not whole and not (isinstance(number, str) and 0 < len(number) <= LONGEST):
        raise InputError(f"{place}.id: expected an id, a whole number or a text, found {_short(number)}")
    assert isinstance(number, int | str)
    before = _annotation(told["before"], f"{place}.before", known)
    after = _annotation(told["after"], f"{place}.after", known)
    if after is not None:
        _check(after, before, f"{place}.after")
    return Change(id=number, before=before, after=after)


def _field_change(told: dict[str, Any], place: str) -> FieldChange:
    found = _converted(told, FieldChange, place)
    if found.field == "review" and found.after is not None:
        comment = _converted(found.after, Mark, f"{place}.after").comment
        _refuse_long(comment or "", LARGEST, f"{place}.after.comment")
    if found.field == "split" and found.after is not None:
        if not isinstance(found.after, str):
            raise InputError(f"{place}.after: expected a split's name or null, found {_short(found.after)}")
        _refuse_long(found.after, LONGEST, f"{place}.after")
    return found


def _annotation(told: Any, place: str, known: Known) -> Annotation | None:
    if told is None:
        return None
    if not isinstance(told, dict):
        raise InputError(f"{place}: expected a label or null, found {_short(told)}")
    own = {name: _numbers(value) if name in _GEOMETRY else value for name, value in told.items()}
    name = own.pop("category", None)
    if name is not None and (not isinstance(name, str) or len(name) > LONGEST):
        raise InputError(f"{place}.category: expected the name of a category, found {_short(name)}")
    own.pop("origin", None)
    more = {name: own.pop(name) for name in list(own) if name not in _FIELDS}
    found = _converted(own, Annotation, place)
    if more:
        found = replace(found, extra={**(found.extra or {}), **more})
    return replace(found, category=known(name)) if name else found


_GEOMETRY = ("bbox", "polygons", "keypoints", "shape")
_FIELDS = frozenset(Annotation.__struct_fields__)


def _numbers(value: Any) -> Any:
    """Geometry as it was before JSON, which has null for what is no number."""
    match value:
        case list():
            return [math.nan if one is None else _numbers(one) for one in value]
        case dict():
            return {name: math.nan if one is None else _numbers(one) for name, one in value.items()}
    return value


def _converted(told: Any, kind: type[T], place: str) -> T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise InputError(f"{place}{where.rstrip('`')}: {message[:1].lower()}{message[1:]}") from None


def _check(label: Annotation, before: Annotation | None, place: str) -> None:
    """InputError where what is new in a label can be no label's."""
    if label.status not in STATUSES:
        raise InputError(
            f"{place}.status: expected suggestion, accepted, rejected or null, found {label.status!r}"
        )
    if len(msgspec.json.encode(label)) > LARGEST:
        raise InputError(f"{place}: expected a label of at most {LARGEST:,} bytes, found more")
    for name in (*_GEOMETRY, "mask"):
        value = getattr(label, name)
        if value is not None and (before is None or value != getattr(before, name)):
            _check_geometry(name, value, f"{place}.{name}")


def _check_geometry(name: str, value: Any, place: str) -> None:
    if name == "mask":
        try:
            mask_bounds(value)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from None
        return
    for where, number in _coordinates(msgspec.to_builtins(value), place):
        if not abs(number) <= FURTHEST:
            raise InputError(f"{where}: expected a coordinate of a picture, found {number:g}")
    parts = value if name == "polygons" else [value]
    step = {"polygons": 2, "keypoints": 3}.get(name, 1)
    for at, part in enumerate(parts if step > 1 else ()):
        if not part or len(part) % step:
            where = f"{place}[{at}]" if name == "polygons" else place
            raise InputError(f"{where}: expected {step} numbers for each point, found {len(part)} in all")
    points = getattr(value, "points", ())
    if len(points) % 2:
        raise InputError(f"{place}.points: expected 2 numbers for each point, found {len(points)} in all")


def _coordinates(value: Any, place: str) -> Iterator[tuple[str, Number]]:
    """The numbers in a geometry, each with its place."""
    match value:
        case bool() | str() | None:
            return
        case int() | float():
            yield place, value
        case list() | tuple():
            for at, one in enumerate(value):
                yield from _coordinates(one, f"{place}[{at}]")
        case dict():
            for name, one in value.items():
                yield from _coordinates(one, f"{place}.{name}")


def _refuse_long(text: str, most: int, place: str) -> None:
    if len(text) > most:
        raise InputError(f"{place}: expected at most {most:,} characters, found {len(text):,}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
