"""What is done to many images at once, as changes of the labels of each."""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec.structs import replace

from xlabel.model import Annotation, Category, Sample
from xlabel.model.changes import Change, FieldChange, field_of, new_id


class Relabel(msgspec.Struct, frozen=True, tag="relabel", tag_field="kind"):
    """Labels of one category, or all, get another; a suggestion is accepted by that."""

    to: str
    from_: str | None = msgspec.field(default=None, name="from")


class Accept(msgspec.Struct, frozen=True, tag="accept", tag_field="kind"):
    """Suggestions are accepted."""


class Reject(msgspec.Struct, frozen=True, tag="reject", tag_field="kind"):
    """Suggestions are rejected."""


class Tag(msgspec.Struct, frozen=True, tag="tag", tag_field="kind"):
    """The image as a whole gets a category."""

    name: str


class Untag(msgspec.Struct, frozen=True, tag="untag", tag_field="kind"):
    """It loses that category."""

    name: str


class Split(msgspec.Struct, frozen=True, tag="split", tag_field="kind"):
    """The image belongs to a split, or to none."""

    name: str | None


class Mark(msgspec.Struct, frozen=True, tag="review", tag_field="kind"):
    """What a reviewer says of the image; None takes it back."""

    state: Literal["reviewed", "rejected"] | None
    comment: str | None = None


Action = Relabel | Accept | Reject | Tag | Untag | Split | Mark


def changes(action: Action, sample: Sample, category: Category | None) -> Iterator[Change | FieldChange]:
    """What an action changes in an image; nothing where all is so already.

    `category` is the one that the action names.
    """
    if isinstance(action, Split):
        yield from _field(sample, "split", action.name)
    elif isinstance(action, Mark):
        said = {"state": action.state, "comment": action.comment} if action.state else None
        yield from _field(sample, "review", said)
    elif isinstance(action, Tag):
        if category is not None and not any(_is_tag(label, action.name) for label in sample.annotations):
            number = new_id(sample)
            yield Change(id=number, before=None, after=Annotation(id=number, category=category))
    else:
        for label in sample.annotations:
            if label.id is None:
                continue
            yield from _change(action, label, label.id, category)


def whole(made: Iterable[Change | FieldChange], sample: Sample) -> Iterator[Change | FieldChange]:
    """The changes, and that the reviewer's mark goes where labels change, so that undoing brings it back."""
    changes = list(made)
    yield from changes
    mark = field_of(sample, "review")
    if mark is not None and any(isinstance(change, Change) for change in changes):
        yield FieldChange(field="review", before=mark, after=None)


def undone(change: Change | FieldChange) -> Change | FieldChange:
    """The change that takes another one back."""
    return replace(change, before=change.after, after=change.before)


def _change(
    action: Relabel | Accept | Reject | Untag, label: Annotation, number: int | str, category: Category | None
) -> Iterator[Change]:
    after: Annotation | None = label
    if isinstance(action, Relabel):
        name = label.category.name if label.category else None
        if label.status != "rejected" and action.from_ in (None, name):
            status = "accepted" if label.status == "suggestion" else label.status
            after = replace(label, category=category, status=status)
    elif isinstance(action, Untag):
        after = None if _is_tag(label, action.name) else label
    elif label.status == "suggestion":
        after = replace(label, status="accepted" if isinstance(action, Accept) else "rejected")
    if after is not label and after != label:
        yield Change(id=number, before=label, after=after)


def _is_tag(label: Annotation, name: str) -> bool:
    """Whether a label says of the whole image that it is of a category."""
    parts = (label.bbox, label.polygons, label.mask, label.keypoints, label.shape, label.caption)
    named = label.category is not None and label.category.name == name
    return named and label.status != "rejected" and all(part is None for part in parts)


def _field(sample: Sample, name: Literal["split", "review"], after: object) -> Iterator[FieldChange]:
    before = field_of(sample, name)
    if before != after:
        yield FieldChange(field=name, before=before, after=after)
