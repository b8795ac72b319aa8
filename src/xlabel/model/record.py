"""What is known of an image in short: what lists of images are filtered and sorted by."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from xlabel.model.annotation import Annotation
from xlabel.model.dataset import Image, Sample
from xlabel.model.doubt import disagreement, uncertainty
from xlabel.model.suggestions import seen_by

TODO, LABELLED, REVIEWED, REJECTED = STATES = ("todo", "labelled", "reviewed", "rejected")
"""How far an image is: a person has to look; it has labels; a reviewer took them; a reviewer did not."""
MARK = "review"
"""The member of an image's `extra` that holds the reviewer's mark."""


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a reviewer says of an image."""

    state: Literal["reviewed", "rejected"]
    author: str | None = None
    time: str | None = None
    comment: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An image and its labels in short.

    Labels are all that are not rejected, suggestions among them; authors and models are those of rejected
    labels too.
    """

    key: str
    width: int | None = None
    height: int | None = None
    bytes: int = 0
    """Of the image file."""
    mtime: float = 0.0
    """When the file was last changed, in seconds since 1970."""
    state: str = TODO
    split: str | None = None
    count: int = 0
    suggestions: int = 0
    """Of the labels, those that nobody has decided on."""
    rejections: int = 0
    """Labels that were rejected."""
    categories: dict[str, int] = {}
    """How many labels each category has."""
    suggested: dict[str, int] = {}
    """How many suggestions each category has."""
    scores: tuple[float, ...] = ()
    """Of the labels that have one, the lowest first."""
    tags: tuple[str, ...] = ()
    """Categories of labels without geometry, which are about the whole image."""
    authors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    attributes: dict[str, tuple[str, ...]] = {}
    """The values that labels have of each attribute, as text."""
    problems: dict[str, int] = {}
    """How often validation found each code."""
    reviewer: str | None = None
    comment: str | None = None
    uncertainty: float | None = None
    """Of the most doubtful suggestion, 0 to 1; `xlabel.model.doubt` says how."""
    disagreement: float | None = None
    """Of the two sources of labels that differ most, 0 to 1."""


def record(
    sample: Sample, *, bytes: int = 0, mtime: float = 0.0, problems: Mapping[str, int] | None = None
) -> Record:
    """The record of a sample; size and time of its file, and what validation found, are the caller's."""
    image, mark = sample.image, mark_of(sample.image)
    labels = [label for label in sample.annotations if label.status != "rejected"]
    suggestions = [label for label in labels if label.status == "suggestion"]
    return Record(
        key=image.key,
        width=image.width,
        height=image.height,
        bytes=bytes,
        mtime=mtime,
        state=mark.state if mark else LABELLED if labels and not suggestions else TODO,
        split=sample.split,
        count=len(labels),
        suggestions=len(suggestions),
        rejections=len(sample.annotations) - len(labels),
        categories=_categories(labels),
        suggested=_categories(suggestions),
        scores=tuple(sorted(label.score for label in labels if label.score is not None)),
        tags=tuple(_categories([label for label in labels if not _has_geometry(label)])),
        authors=_once(label.author for label in sample.annotations),
        models=_once(_model(label) for label in sample.annotations),
        attributes=_attributes(labels),
        problems=dict(problems or {}),
        reviewer=mark.author if mark else None,
        comment=mark.comment if mark else None,
        uncertainty=uncertainty(labels),
        disagreement=disagreement(sample.annotations, seen_by(sample)),
    )


def mark_of(image: Image) -> Mark | None:
    """The reviewer's mark of an image; None where there is none that can be read."""
    try:
        return msgspec.convert((image.extra or {}).get(MARK), Mark)
    except msgspec.ValidationError:
        return None


def text_of(value: Any) -> str:
    """A value of an attribute as expressions write it: text as it is, everything else as JSON does."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _categories(labels: list[Annotation]) -> dict[str, int]:
    return dict(Counter(label.category.name for label in labels if label.category is not None))


def _has_geometry(label: Annotation) -> bool:
    parts = (label.bbox, label.polygons, label.mask, label.keypoints, label.shape)
    return any(part is not None for part in parts)


def _model(label: Annotation) -> str | None:
    return label.source.name if label.source is not None and label.source.kind == "model" else None


def _once(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _attributes(labels: list[Annotation]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for label in labels:
        for name, value in (label.attributes or {}).items():
            found.setdefault(name, {})[text_of(value)] = None
    return {name: tuple(values) for name, values in found.items()}
