"""Labels and their changes as the review page says them: an annotation's fields, its category by name."""

from collections.abc import Callable
from typing import Any

import msgspec

from xlabel.model import Annotation, Category
from xlabel.model.changes import Change, Clash, FieldChange
from xlabel.model.geometry import bbox_of


def label(annotation: Annotation) -> dict[str, Any]:
    """A label as the page has it."""
    plain = msgspec.structs.replace(annotation, category=None, origin=None)
    told: dict[str, Any] = msgspec.to_builtins(plain)
    if annotation.category:
        told["category"] = annotation.category.name
    return told


def slim(annotation: Annotation) -> dict[str, Any]:
    """A label as far as a small picture of it shows."""
    told = label(msgspec.structs.replace(annotation, attributes=None, extra=None, source=None))
    if told.get("mask") and not told.get("bbox"):
        told["bbox"] = bbox_of(annotation)
    told.pop("mask", None)
    return told


def change(made: Change | FieldChange) -> dict[str, Any]:
    """A change as the page has it."""
    if isinstance(made, FieldChange):
        return {"field": made.field, "before": made.before, "after": made.after}
    sides = {"before": made.before, "after": made.after}
    return {"id": made.id} | {name: side and label(side) for name, side in sides.items()}


def clash(met: Clash) -> dict[str, Any]:
    """A clash, for a person to decide on."""
    change = met.change
    sides = {"base": change.before, "mine": change.after, "theirs": met.theirs}
    if isinstance(change, FieldChange):
        return {"field": change.field} | sides
    return {"id": change.id} | {name: side and label(side) for name, side in sides.items()}


def read(change: dict[str, Any], category: Callable[[str], Category]) -> Change | FieldChange:
    """A change that the page sends; `category` gives the one of a name. ValueError where it is none."""
    if "field" in change:
        return msgspec.convert(change, FieldChange)
    if missing := {"id", "before", "after"} - change.keys():
        raise ValueError(f"expected {', '.join(sorted(missing))} in a change, found none")
    return Change(
        id=msgspec.convert(change["id"], int | str),
        before=_annotation(change["before"], category),
        after=_annotation(change["after"], category),
    )


def _annotation(label: Any, category: Callable[[str], Category]) -> Annotation | None:
    if label is None:
        return None
    said = msgspec.convert(label, dict[str, Any])
    name = msgspec.convert(said.pop("category", None), str | None)
    found = msgspec.convert(said, Annotation)
    return msgspec.structs.replace(found, category=category(name) if name else None, origin=None)
