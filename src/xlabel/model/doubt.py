"""How much an image wants a person's look, by what models and people say of it. docs/active_learning.md."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from xlabel.model.annotation import Annotation
from xlabel.model.geometry import Box, bbox_of, overlaps

PEOPLE = "people"
"""The labels that people made are of one source, whoever made them."""

Found = dict[str | None, list[Box | None]]
"""The boxes of each category; None for labels of the whole image."""


def uncertainty(labels: Iterable[Annotation]) -> float | None:
    """1 - |2s - 1| of the undecided suggestion where that is highest: 1 at a score of 0.5, 0 at 0 and at 1.

    None where no undecided suggestion has a score.
    """
    scores = [label.score for label in labels if label.status == "suggestion" and label.score is not None]
    return max((max(0.0, 1 - abs(2 * score - 1)) for score in scores), default=None)


def disagreement(labels: Iterable[Annotation], seen: Iterable[str] = ()) -> float | None:
    """How little the labels of two sources overlap, 0 to 1: of the two sources that differ most.

    A source is a model, or the people. Each label of the one is compared with that label of the other which
    overlaps it best and has its category, and the other way round: 1 - the mean of these intersections over
    union. Labels of the whole image agree by their category. Rejected labels are left out. `seen` are models
    that saw the image, and may have found nothing. None where there is one source, or none.
    """
    found: dict[tuple[str, str | None], Found] = {}
    rejected = set()
    for label in labels:
        source = label.source
        by = (PEOPLE, None) if source is None or source.kind == "human" else ("model", source.name)
        if label.status == "rejected":
            rejected.add(by)
            continue
        name = label.category.name if label.category else None
        found.setdefault(by, defaultdict(list))[name].append(bbox_of(label))
    for model in seen:
        if ("model", model) not in rejected:
            found.setdefault(("model", model), {})
    pairs = combinations(found.values(), 2)
    return max((max(0.0, 1 - _agreement(one, other)) for one, other in pairs), default=None)


def _agreement(one: Found, other: Found) -> float:
    total = sum(map(len, one.values())) + sum(map(len, other.values()))
    shared = sum(_shared(one[name], other[name]) for name in one.keys() & other.keys())
    return shared / total if total else 1.0


def _shared(one: list[Box | None], other: list[Box | None]) -> float:
    """The best overlap of each label with the other source's, added up; both have some."""
    import numpy as np

    boxes, others = ([box for box in some if box is not None] for some in (one, other))
    whole, too = len(one) - len(boxes), len(other) - len(others)
    shared = float(whole + too if whole and too else 0)
    if not boxes or not others:
        return shared
    left, right = np.asarray(boxes, float), np.asarray(others, float)
    left[:, 2:] += left[:, :2]
    right[:, 2:] += right[:, :2]
    best = np.zeros(len(right))
    with np.errstate(all="ignore"):  # coordinates may be beyond all sense
        for box in left:
            found = np.nan_to_num(overlaps(box, right))
            shared += float(found.max())
            np.maximum(best, found, out=best)
    return shared + float(best.sum())
