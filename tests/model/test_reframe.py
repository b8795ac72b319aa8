"""Labels of a picture that was turned, cut out or resized; masks cut by numpy, areas measured by OpenCV."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.model import Annotation, Category
from xlabel.model.annotation import Circle, OrientedBox, Points, Polyline, Shape
from xlabel.model.geometry import TURNS, both, decode, encode, turned, undoing
from xlabel.model.reframe import Change, cropped, reframed, scaled

CAR = Category(id=1, name="car")
BOX = (20, 10, 40, 30)


def cut(annotation: Annotation) -> Annotation | None:
    return cropped(annotation, BOX)[0]


@given(st.sampled_from(TURNS), st.sampled_from(TURNS))
def test_two_turns_are_one(first: int, then: int) -> None:
    picture = np.arange(6).reshape(2, 3)
    assert np.array_equal(turned(turned(picture, first), then), turned(picture, both(first, then)))
    assert both(first, undoing(first)) == 1


@given(st.integers(-5, 90), st.integers(-5, 70), st.integers(1, 60), st.integers(1, 60))
def test_a_box_is_cut_as_its_pixels_are(x: int, y: int, w: int, h: int) -> None:
    picture = np.zeros((80, 100), dtype=bool)
    picture[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)] = True
    part = picture[BOX[1] : BOX[1] + BOX[3], BOX[0] : BOX[0] + BOX[2]]
    found = cut(Annotation(bbox=(x, y, w, h)))
    if not part.any():
        assert found is None
        return
    assert found is not None and found.bbox is not None
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    left, top = columns[0], rows[0]
    assert found.bbox == (left, top, columns[-1] + 1 - left, rows[-1] + 1 - top)


@given(st.integers(0, 2**32))
def test_a_mask_is_cut_as_its_pixels_are(seed: int) -> None:
    mask = np.random.default_rng(seed).random((80, 100)) < 0.2
    found = cut(Annotation(mask=encode(mask), bbox=(0, 0, 100, 80), area=int(mask.sum())))
    assert found is not None and found.mask is not None
    assert np.array_equal(decode(found.mask), mask[10:40, 20:60])
    assert found.area is None


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 79)), min_size=3, max_size=3, unique=True))
def test_a_polygon_is_cut_to_what_both_share(corners: list[tuple[int, int]]) -> None:
    """OpenCV intersects convex polygons by its own algorithm."""
    cv2 = pytest.importorskip("cv2")
    edge = np.array([(20, 10), (60, 10), (60, 40), (20, 40)], dtype=np.float32)
    area, _ = cv2.intersectConvexConvex(cv2.convexHull(np.array(corners, dtype=np.float32)), edge)
    points = tuple(number for corner in corners for number in corner)
    found = cut(Annotation(polygons=(points,)))
    ours = 0.0
    if found is not None and found.polygons:
        ours = float(cv2.contourArea(np.array(found.polygons[0], dtype=np.float32).reshape(-1, 2)))
    assert ours == pytest.approx(area, abs=0.05)


def test_what_lies_inside_keeps_all_it_says() -> None:
    annotation = Annotation(category=CAR, bbox=(25, 15, 10, 10), area=90, score=0.5, attributes={"a": 1})
    assert cropped(annotation, BOX) == (
        Annotation(category=CAR, bbox=(5, 5, 10, 10), area=90, score=0.5, attributes={"a": 1}),
        [],
    )


def test_keypoints_outside_are_no_longer_labelled() -> None:
    found = cut(Annotation(keypoints=(30, 20, 2, 5, 5, 2, 0, 0, 0)))
    assert found is not None
    assert found.keypoints == (10, 10, 2, 0, 0, 0, 0, 0, 0)


def test_shapes_move_with_the_picture() -> None:
    shapes: list[Shape] = [
        OrientedBox((30, 12, 40, 12, 40, 20, 30, 20)),
        Polyline((30, 12, 40, 20)),
        Points((30, 12, 5, 5)),
        Circle(30, 20, 5),
    ]
    found = [cut(Annotation(shape=shape)) for shape in shapes]
    assert [annotation and annotation.shape for annotation in found] == [
        OrientedBox((10, 2, 20, 2, 20, 10, 10, 10)),
        Polyline((10, 2, 20, 10)),
        Points((10, 2)),
        Circle(10, 10, 5),
    ]
    assert cut(Annotation(shape=Circle(90, 70, 5))) is None


def test_a_label_of_the_whole_image_stays() -> None:
    assert cut(Annotation(category=CAR)) == Annotation(category=CAR)


def test_a_resize_scales_all_but_masks_which_become_boxes() -> None:
    mask = np.zeros((80, 100), dtype=bool)
    mask[10:20, 30:50] = True
    found, told = scaled(
        Annotation(
            polygons=((0, 0, 10, 0, 10, 10),),
            keypoints=(10, 10, 2, 0, 0, 0),
            shape=Circle(10, 10, 4),
            mask=encode(mask),
            area=200,
        ),
        0.5,
        0.5,
    )
    assert found == Annotation(
        bbox=(15, 5, 10, 5),
        polygons=((0, 0, 5, 0, 5, 5),),
        keypoints=(5, 5, 2, 0, 0, 0),
        shape=Circle(5, 5, 2),
        area=50,
    )
    assert len(told) == 1 and told[0].startswith("mask left out")


def test_nothing_is_computed_where_nothing_changed() -> None:
    """Otherwise 10.1 would become 10.100000000000023 by being turned there and back."""
    annotation = Annotation(bbox=(10.1, 20.3, 5.7, 6.9))
    assert reframed([annotation], Change((640, 480), 8, None, None, 6)) == ((annotation,), [])


def test_a_turn_a_cut_and_a_resize_in_one() -> None:
    change = Change((100, 80), 6, (10, 20, 40, 60), (20, 30))
    (found,), told = reframed([Annotation(bbox=(30, 30, 10, 20))], change)
    # Turned clockwise x becomes 80 - y - h and y becomes x; then the cut, then half the size.
    assert found.bbox == (10, 5, 10, 5)
    assert told == []
