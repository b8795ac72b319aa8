"""What is wrong with geometry: told where it is, and not told where it is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco
from shapely import LinearRing, LineString

from xlabel.checks import geometry
from xlabel.model import RLE, Annotation, Category, Circle, Image, OrientedBox, Points, Polyline, Sample

SIZE = (400, 100)
INF = math.inf
SQUARE = (10, 10, 50, 10, 50, 50, 10, 50)


def codes(annotation: Annotation, size: tuple[int | None, int | None] = SIZE) -> list[str]:
    """The codes of what is wrong with an annotation in an image of that size."""
    image = Image(key="a.jpg", width=size[0], height=size[1])
    found = list(geometry.faults(Sample(image=image, annotations=(annotation,))))
    assert {fault.annotation for fault in found} <= {1}
    return [fault.code for fault in found]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 400, 100), []),
        ((-2, 0, 10, 10), []),  # 0.5 % of 400
        ((-2.1, 0, 10, 10), ["box-outside"]),
        ((0, -1, 10, 10), []),  # a pixel, which is more than 0.5 % of 100
        ((0, -1.1, 10, 10), ["box-outside"]),
        ((395, 0, 7, 10), []),
        ((395, 0, 8, 10), ["box-outside"]),
        ((0, 95, 10, 6), []),
        ((0, 95, 10, 7), ["box-outside"]),
        ((500, 0, 10, 10), ["box-outside"]),
        ((0, 0, 0, 10), ["box-empty"]),
        ((0, 0, 10, -1), ["box-empty"]),
        ((500, 0, 10, 0), ["box-empty"]),  # one cause, one finding
        ((math.nan, 0, 10, 10), ["not-finite"]),
        ((0, 0, INF, 10), ["not-finite"]),
        ((0, 0, 10**400, 10), ["not-finite"]),
    ],
)
def test_a_box_lies_in_its_image_but_for_rounding(box: tuple[float, ...], expected: list[str]) -> None:
    assert codes(Annotation(bbox=box)) == expected  # type: ignore[arg-type]


def test_nothing_is_outside_an_image_of_unknown_size() -> None:
    assert codes(Annotation(bbox=(1000, 1000, 10, 10)), (None, None)) == []
    assert codes(Annotation(shape=Points((-900, 5))), (None, None)) == []


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (SQUARE, []),
        ((10, 10, 50, 10, 10, 10), ["polygon-points"]),
        ((10, 10, 50, 10, 90, 10), ["polygon-flat"]),
        ((10, 10, 50, 50, 50, 10, 10, 50), ["polygon-crossing"]),
        ((10, 10, 500, 10, 50, 50), ["polygon-outside"]),
        ((10, 10, math.nan, 10, 50, 50), ["not-finite"]),
    ],
)
def test_an_outline_is_one(points: tuple[float, ...], expected: list[str]) -> None:
    assert codes(Annotation(polygons=(points,))) == expected


def test_parts_that_are_joined_by_a_bridge_of_no_width_do_not_cross() -> None:
    joined = (10, 10, 30, 10, 30, 30, 60, 60, 90, 60, 90, 90, 60, 60, 30, 30, 10, 30)
    assert geometry.crossing(joined) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=4, max_size=12, unique=True))
def test_the_edges_that_are_named_cross_as_shapely_sees_it(points: list[tuple[int, int]]) -> None:
    edges = geometry.crossing(tuple(number for point in points for number in point))
    if edges is not None:
        ring = [*points, points[0]]
        one, other = (LineString(ring[edge - 1 : edge + 1]) for edge in edges)
        assert one.crosses(other)
        assert not LinearRing(points).is_simple


@given(st.integers(0, 10_000))
def test_an_outline_of_any_points_crosses_itself_where_shapely_says_that_it_is_not_simple(seed: int) -> None:
    """Of random points no two edges merely touch; half of the outlines are stars, which do not cross."""
    random = np.random.default_rng(seed)
    points = random.uniform(0, 100, (int(random.integers(4, 30)), 2))
    if seed % 2:
        middle = points - points.mean(axis=0)
        points = points[np.argsort(np.arctan2(middle[:, 1], middle[:, 0]))]
    found = geometry.crossing(tuple(points.reshape(-1).tolist()))
    assert (found is None) == LinearRing(points).is_simple


def rle(bits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> RLE:
    """A mask as pycocotools writes it."""
    made = coco.encode(np.asfortranarray(bits))
    height, width = made["size"]
    return RLE((height, width), made["counts"].decode())


def test_the_largest_coordinates_are_computed_with() -> None:
    far = 0.9 * geometry.LARGEST
    assert geometry.crossing((-far, -far, far, far, far, -far, -far, far)) == (1, 3)
    assert codes(Annotation(polygons=((0, 0, far, 0, 0, far),))) == ["polygon-outside"]
    assert codes(Annotation(polygons=((0, 0, 10 * far, 0, 0, far),))) == ["not-finite"]


def test_a_mask_is_of_its_image_and_in_its_box() -> None:
    bits = np.zeros((100, 400), np.uint8)
    assert codes(Annotation(mask=rle(bits))) == ["mask-empty"]
    bits[20:60, 100:300] = 1
    mask = rle(bits)
    assert codes(Annotation(mask=mask)) == []
    box = tuple(coco.toBbox({"size": mask.size, "counts": mask.counts}).tolist())
    assert codes(Annotation(mask=mask, bbox=box)) == []
    assert codes(Annotation(mask=mask, bbox=(90, 10, 300, 80))) == []  # a box may be larger
    assert codes(Annotation(mask=mask, bbox=(100, 20, 191, 40))) == []  # 5 % of 191 is 9.55
    assert codes(Annotation(mask=mask, bbox=(100, 20, 189, 40))) == ["mask-outside-box"]
    assert codes(Annotation(mask=mask), (400, 101)) == ["mask-size"]
    assert codes(Annotation(mask=RLE((100, 400), (5, 5)))) == ["mask-broken"]
    assert codes(Annotation(polygons=(SQUARE,), bbox=(60, 10, 40, 40))) == ["mask-outside-box"]


def test_keypoints_are_as_many_as_are_named_and_where_the_thing_is() -> None:
    person = Category(id=1, name="person", keypoints=("nose", "left eye", "right eye"))
    near = (20, 20, 2, 30, 30, 1, 0, 0, 0)
    box = (10, 10, 40, 40)
    assert codes(Annotation(category=person, keypoints=near, bbox=box)) == []
    assert codes(Annotation(category=person, keypoints=near[:6], bbox=box)) == ["keypoints-count"]
    assert codes(Annotation(category=person, keypoints=(20, 20, 2, 300, 30, 1, 0, 0, 0), bbox=box)) == []
    assert codes(Annotation(keypoints=(200, 20, 2, 300, 30, 1), bbox=box)) == ["keypoints-outside-box"]
    assert codes(Annotation(keypoints=(20, 200, 2))) == ["keypoint-outside"]
    assert codes(Annotation(keypoints=(20, 200, 0))) == []  # not labelled, so nowhere
    assert codes(Annotation(keypoints=(20, INF, 2))) == ["not-finite"]


def test_shapes_may_be_drawn_over_the_edge_but_not_outside() -> None:
    over = OrientedBox((-20, 10, 20, -20, 60, 20, 20, 60))
    assert codes(Annotation(shape=over)) == []
    assert codes(Annotation(shape=OrientedBox((-20, 10, -10, 10, -10, 20, -20, 20)))) == ["shape-outside"]
    assert codes(Annotation(shape=OrientedBox((1, 1, 9, 1, 9, 1, 1, 1)))) == ["shape-empty"]
    assert codes(Annotation(shape=Circle(0, 0, 30))) == []
    assert codes(Annotation(shape=Circle(0, 0, 0))) == ["shape-empty"]
    assert codes(Annotation(shape=Circle(-90, 0, 30))) == ["shape-outside"]
    assert codes(Annotation(shape=Polyline((-50, 5, 50, 5)))) == []
    assert codes(Annotation(shape=Points((5, 5, 405, 5)))) == ["shape-outside"]
    assert codes(Annotation(shape=Points((5, math.nan)))) == ["not-finite"]


@pytest.mark.parametrize(
    ("score", "expected"), [(0, []), (1, []), (1.01, ["score-range"]), (-0.1, ["score-range"])]
)
def test_a_score_is_a_share(score: float, expected: list[str]) -> None:
    assert codes(Annotation(score=score)) == expected
