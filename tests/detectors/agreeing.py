"""Whether two implementations found the same things."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from xlabel.model import Annotation


class Thing(NamedTuple):
    """What another implementation found: a category, a score, and left, top, right, bottom in pixels."""

    name: str
    score: float
    box: tuple[float, ...]


def things(names: Iterable[str], scores: Iterable[float], boxes: Iterable[Iterable[float]]) -> list[Thing]:
    rows = zip(names, scores, boxes, strict=True)
    return [Thing(name, float(score), tuple(map(float, box))) for name, score, box in rows]


def agree(
    found: Sequence[Annotation], expected: Sequence[Thing], *, pixels: float = 2, score: float = 0.02
) -> None:
    """The same number of things, each with one of the same category, as sure, at the same place."""
    left = [Thing(*_told(annotation)) for annotation in found]
    assert expected, "the other implementation has to find something"
    for thing in expected:
        same = [one for one in left if one.name == thing.name and _far(one, thing) <= pixels]
        assert same, f"{thing} is not among {left}"
        nearest = min(same, key=lambda one: abs(one.score - thing.score))
        assert abs(nearest.score - thing.score) <= score
        left.remove(nearest)
    assert not left


def _told(annotation: Annotation) -> tuple[str, float, tuple[float, ...]]:
    assert annotation.category is not None and annotation.bbox is not None and annotation.score is not None
    x, y, width, height = annotation.bbox
    return annotation.category.name, annotation.score, (x, y, x + width, y + height)


def _far(one: Thing, other: Thing) -> float:
    return max(abs(a - b) for a, b in zip(one.box, other.box, strict=True))
