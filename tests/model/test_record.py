"""Records: what they keep of a sample, and what may stand in place of a reviewer's mark."""

from typing import Any

import pytest

from xlabel.model import Annotation, Category, Image, Sample, Source
from xlabel.model.record import Mark, mark_of, record

DOG, NIGHT = Category(id=1, name="dog"), Category(id=2, name="night")
BOX = (1, 2, 3, 4)


def test_a_record_counts_what_is_on_an_image() -> None:
    model = Source(kind="model", name="yolo11n")
    labels = (
        Annotation(category=DOG, bbox=BOX, author="ann", attributes={"wet": True, "age": 3}),
        Annotation(category=DOG, bbox=BOX, author="ann", attributes={"wet": False}, score=0.9),
        Annotation(category=DOG, bbox=BOX, status="suggestion", score=0.25, source=model),
        Annotation(category=NIGHT),
        Annotation(category=NIGHT, bbox=BOX, status="rejected", score=0.1, author="bob"),
        Annotation(caption="a dog"),
    )
    sample = Sample(image=Image(key="a.jpg", width=4, height=3), annotations=labels, split="val")
    found = record(sample, bytes=10, mtime=5.5, problems={"box-twice": 2})
    assert (found.count, found.suggestions, found.rejections) == (5, 1, 1)
    assert (found.categories, found.suggested, found.tags) == ({"dog": 3, "night": 1}, {"dog": 1}, ("night",))
    assert (found.scores, found.authors, found.models) == ((0.25, 0.9), ("ann", "bob"), ("yolo11n",))
    assert found.attributes == {"wet": ("true", "false"), "age": ("3",)}
    assert (found.state, found.split, found.bytes, found.mtime) == ("todo", "val", 10, 5.5)
    assert found.problems == {"box-twice": 2}


@pytest.mark.parametrize(
    ("statuses", "mark", "state"),
    [
        ([], None, "todo"),
        ([None], None, "labelled"),
        (["accepted", "rejected"], None, "labelled"),
        ([None, "suggestion"], None, "todo"),
        (["rejected"], None, "todo"),
        ([], {"state": "reviewed"}, "reviewed"),
        (["suggestion"], {"state": "rejected", "author": "bob", "comment": "too small"}, "rejected"),
    ],
)
def test_the_state_is_the_reviewers_or_follows_from_the_labels(
    statuses: list[str | None], mark: dict[str, str] | None, state: str
) -> None:
    image = Image(key="a.jpg", extra=mark and {"review": mark})
    labels = tuple(Annotation(category=DOG, bbox=BOX, status=status) for status in statuses)
    found = record(Sample(image=image, annotations=labels))
    assert found.state == state
    assert found.comment == (mark or {}).get("comment")


@pytest.mark.parametrize(
    "mark", [None, 3, "reviewed", [], {}, {"state": "done"}, {"state": "reviewed", "author": 3}]
)
def test_what_is_no_mark_is_none(mark: Any) -> None:
    assert mark_of(Image(key="a.jpg", extra={"review": mark})) is None


def test_a_model_that_found_nothing_differs_from_people_who_did() -> None:
    image = Image(key="a.jpg", extra={"prelabelled": {"yolo11n": {"run": "1"}}})
    assert record(Sample(image=image, annotations=(Annotation(category=DOG, bbox=BOX),))).disagreement == 1


def test_a_mark_is_read_with_all_that_it_says() -> None:
    said = {"state": "rejected", "author": "bob", "time": "2026-11-20T10:00:00Z", "comment": "no", "more": 1}
    image = Image(key="a.jpg", extra={"review": said})
    assert mark_of(image) == Mark("rejected", "bob", "2026-11-20T10:00:00Z", "no")
