"""A label carried on to images that follow: what is suggested there, beside what people have said."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from xlabel.detectors import IOU
from xlabel.model import Annotation, Sample, Source
from xlabel.model.changes import IDS, Change
from xlabel.model.geometry import bbox_of, bounds, iou
from xlabel.model.suggestions import SUGGESTION

if TYPE_CHECKING:
    from xlabel.detectors.propagation import Followed

MISSES = 3
"""Images in a row without the thing, after which it is looked for no further."""


def suggested(label: Annotation, found: "Followed", source: Source) -> Annotation | None:
    """What is found as a suggestion: a box for a label without outline, else polygons; None of nothing."""
    from xlabel.detectors.sam import polygons

    parts = polygons(found.segment)
    box = bounds([number for part in parts for number in part])
    if box is None:
        return None
    outlined = label.polygons is not None or label.mask is not None
    return Annotation(
        category=label.category,
        polygons=parts if outlined else None,
        bbox=None if outlined else box,
        score=round(found.score, 4),
        status=SUGGESTION,
        source=source,
    )


def changes(sample: Sample, number: int, new: Annotation | None) -> Iterator[Change]:
    """What a suggestion changes in an image, if anything; None: there is none, and an older one goes.

    `number` is the id that tells what was suggested for the same label before. What a person has accepted,
    rejected, changed or drawn there stays as it is, and nothing is suggested that overlaps with it.
    """
    before = next((label for label in sample.annotations if str(label.id) == str(number)), None)
    if before is not None and not _is_open(before):
        return
    if new is not None and any(_is_same(label, new) for label in sample.annotations):
        new = None
    if before is not None or new is not None:
        yield Change(id=number, before=before, after=new and replace(new, id=number))


def number_of(key: str, label: int | str) -> int:
    """The id that suggestions for an image's label have in other images."""
    text = f"{key}\0{label}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:4]) % (IDS - 1) + 1


def _is_open(label: Annotation) -> bool:
    """Whether a label is a suggestion as a model made it: who has changed one is its author."""
    return label.status == SUGGESTION and label.author is None


def _is_same(label: Annotation, new: Annotation) -> bool:
    """Whether a person has decided about the thing that would be suggested."""
    if _is_open(label) or label.category != new.category:
        return False
    one, other = bbox_of(label), bbox_of(new)
    return one is not None and other is not None and iou(one, other) > IOU
