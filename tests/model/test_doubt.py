"""Uncertainty and disagreement against their definitions, with overlaps by pycocotools."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from xlabel.model import Annotation, Category, Source
from xlabel.model.doubt import disagreement, uncertainty

DOG, CAT = Category(id=1, name="dog"), Category(id=2, name="cat")
YOLO, DETR = Source(kind="model", name="yolo"), Source(kind="model", name="detr")
_boxes = st.none() | st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(0, 20)] * 2)
_labels = st.builds(
    Annotation, category=st.sampled_from((DOG, CAT, None)), bbox=_boxes, author=st.just("ann")
)


def suggested(score: float | None, status: str | None = "suggestion") -> Annotation:
    return Annotation(category=DOG, bbox=(1, 2, 3, 4), status=status, score=score, source=YOLO)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], None),
        ([suggested(None)], None),
        ([suggested(0.5, None), suggested(0.5, "accepted"), suggested(0.5, "rejected")], None),
        ([suggested(0.5)], 1),
        ([suggested(0), suggested(1)], 0),
        ([suggested(0.25), suggested(0.9), suggested(None)], 0.5),
        ([suggested(7.5)], 0),
    ],
)
def test_the_most_doubtful_suggestion_counts(labels: list[Annotation], expected: float | None) -> None:
    assert uncertainty(labels) == expected


def overlap(one: Annotation, other: Annotation) -> float:
    """1 for two labels of the whole image; else what pycocotools says of their boxes."""
    if one.category != other.category or (one.bbox is None) != (other.bbox is None):
        return 0
    if one.bbox is None or other.bbox is None:
        return 1
    empty = 0 in (*one.bbox[2:], *other.bbox[2:])  # of which pycocotools makes no number
    return 0 if empty else float(coco.iou([list(one.bbox)], [list(other.bbox)], [0])[0][0])


@given(st.lists(_labels, max_size=6), st.lists(_labels, max_size=6))
def test_disagreement_is_what_the_best_overlaps_leave(
    ours: list[Annotation], theirs: list[Annotation]
) -> None:
    marked = [Annotation(category=a.category, bbox=a.bbox, source=YOLO, status="suggestion") for a in theirs]
    found = disagreement([*ours, *marked])
    if not ours or not theirs:
        assert found is None
        return
    best = [max(overlap(one, other) for other in theirs) for one in ours]
    best += [max(overlap(one, other) for one in ours) for other in theirs]
    assert found == pytest.approx(1 - sum(best) / len(best))
    assert disagreement([*marked, *ours]) == pytest.approx(found)


def test_of_three_sources_the_two_that_differ_most_count_and_people_are_one() -> None:
    same = Annotation(category=DOG, bbox=(0, 0, 10, 10), author="ann")
    half = Annotation(category=DOG, bbox=(0, 0, 10, 5), source=YOLO)
    other = Annotation(category=DOG, bbox=(50, 50, 10, 10), source=DETR)
    assert disagreement([same, half]) == pytest.approx(0.5)
    assert disagreement([same, half, other]) == 1
    human = Annotation(category=CAT, bbox=(0, 0, 10, 10), author="bob", source=Source(kind="human"))
    assert disagreement([same, human]) is None


def test_rejected_labels_are_left_out_and_boxes_beyond_all_sense_are_none() -> None:
    rejected = Annotation(category=DOG, bbox=(0, 0, 1, 1), source=YOLO, status="rejected")
    huge = Annotation(category=DOG, bbox=(-1e308, -1e308, 1.5e308, 1.5e308), source=YOLO)
    assert disagreement([Annotation(category=DOG, bbox=(0, 0, 1, 1)), rejected]) is None
    assert disagreement([Annotation(category=DOG, bbox=(0, 0, 1, 1)), huge]) == 1


def test_a_model_that_saw_the_image_and_found_nothing_is_a_source() -> None:
    drawn = Annotation(category=DOG, bbox=(0, 0, 1, 1))
    rejected = Annotation(category=DOG, bbox=(0, 0, 1, 1), source=YOLO, status="rejected")
    assert disagreement([drawn], ["yolo"]) == 1
    assert disagreement([], ["yolo", "detr"]) == 0
    assert disagreement([], ["yolo"]) is None
    assert disagreement([drawn, rejected], ["yolo"]) is None  # it is decided
