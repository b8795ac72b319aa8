"""What is there twice."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pycocotools import mask as coco
from xxhash import xxh3_128_digest

from xlabel.checks import twins
from xlabel.checks.twins import Contents
from xlabel.model import Annotation, Category, Image, Points, Sample
from xlabel.model.geometry import iou

CAR, DOG = Category(id=1, name="car"), Category(id=2, name="dog")
boxes = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2)


def again(*annotations: Annotation) -> list[tuple[str, int | None]]:
    """The codes of what is there twice, and which annotation."""
    sample = Sample(image=Image(key="a.jpg", width=2000, height=2000), annotations=annotations)
    return [(fault.code, fault.annotation) for fault in twins.faults(sample)]


def overlap(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """What pycocotools says that two boxes have in common."""
    return float(coco.iou([list(one)], [list(other)], [0])[0][0])


@given(boxes, boxes)
def test_the_overlap_of_boxes_is_that_of_pycocotools(
    one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> None:
    assert iou(one, other) == pytest.approx(overlap(one, other))


@given(st.lists(st.tuples(boxes, st.sampled_from([CAR, DOG])), max_size=12))
def test_boxes_are_there_twice_where_pycocotools_says_that_they_overlap_wholly(
    labels: list[tuple[tuple[int, int, int, int], Category]],
) -> None:
    scaled = [(tuple(20 * number for number in box), category) for box, category in labels]
    found = again(*(Annotation(bbox=box, category=category) for box, category in scaled))  # type: ignore[arg-type]
    double = any(
        scaled[i][1] == scaled[j][1] and overlap(scaled[i][0], scaled[j][0]) > twins.ALIKE
        for i in range(len(scaled))
        for j in range(i)
    )
    assert bool(found) == double


def test_the_later_of_two_boxes_is_told_unless_they_show_different_things() -> None:
    box, near = (100, 100, 500, 400), (101, 100, 500, 400.5)
    car, moved = Annotation(bbox=box, category=CAR), Annotation(bbox=near, category=CAR)
    assert again(car, moved) == again(moved, car) == [("box-twice", 2)]
    assert again(car, Annotation(bbox=box, category=DOG)) == []
    assert again(replace(car, status="accepted"), replace(car, status="rejected")) == []
    outlined = replace(car, polygons=((100, 100, 600, 100, 100, 500),))
    assert again(outlined, replace(car, polygons=((100, 100, 600, 500, 100, 500),))) == []
    assert again(outlined, outlined) == again(outlined, car) == [("box-twice", 2)]


def test_labels_without_box_are_there_twice_where_they_say_the_same() -> None:
    assert again(Annotation(category=CAR), Annotation(category=DOG), Annotation(category=CAR)) == [
        ("label-twice", 3)
    ]
    assert again(Annotation(shape=Points((1, 2))), Annotation(shape=Points((1, 3)))) == []
    assert again(Annotation(caption="a dog"), Annotation(caption="a cat")) == []


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b""]), max_size=20))
def test_each_file_that_is_there_again_is_told_with_the_first_of_its_kind(files: list[bytes]) -> None:
    """SHA-256 says which are equal; a file that could not be read is equal to none."""
    contents = Contents()
    contents.add(b"".join(xxh3_128_digest(file) if file else bytes(16) for file in files))
    first: dict[bytes, int] = {}
    expected = []
    for number, file in enumerate(files):
        digest = hashlib.sha256(file).digest()
        if file and first.setdefault(digest, number) != number:
            expected.append((number, first[digest]))
    assert list(contents.twins()) == expected
