"""Masks as polygons: their areas and pixels are those that OpenCV, pycocotools and shapely find in them."""

from typing import Any

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from xlabel.pictures.contours import area, parts, polygons, simplified

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))


def disc(side: int, radius: int, *holes: tuple[int, int, int]) -> Any:
    """A disc in the middle, and holes in it: x, y and radius."""
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (side // 2, side // 2), radius, 1, -1)
    for x, y, r in holes:
        cv2.circle(mask, (x, y), r, 0, -1)
    return mask.astype(bool)


def covered(found: tuple[tuple[float, ...], ...], shape: tuple[int, ...]) -> Any:
    """What pycocotools makes of polygons."""
    return coco.merge(coco.frPyObjects([list(part) for part in found], *shape))


def encoded(mask: Any) -> Any:
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))


@given(masks.filter(np.any))
def test_pycocotools_finds_the_same_pixels_in_the_polygons(mask: Any) -> None:
    assert covered(polygons(mask, 0), mask.shape) == encoded(mask)


@given(masks)
def test_parts_and_holes_are_those_of_opencv(mask: Any) -> None:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = parts(mask)
    sizes = sorted(area(part.ring) - sum(map(area, part.holes)) for part in found)
    assert sizes == sorted(stats[1:, cv2.CC_STAT_AREA].tolist())
    rings, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    assert sum(len(part.holes) for part in found) == (len(rings) - count + 1 if tree is not None else 0)


@given(masks)
def test_each_hole_lies_in_its_own_part(mask: Any) -> None:
    for part in parts(mask):
        with_holes = shapely.Polygon(part.ring, part.holes).buffer(0)
        assert with_holes.area == area(part.ring) - sum(map(area, part.holes))


@given(masks, st.floats(0.1, 4))
def test_no_corner_that_is_left_out_is_further_off_than_the_tolerance(mask: Any, tolerance: float) -> None:
    rings = [part.ring for part in parts(mask)]
    for ring, fewer in zip(rings, simplified(rings, tolerance), strict=True):
        line = shapely.LinearRing(fewer)
        assert all(line.distance(shapely.Point(point)) <= tolerance + 1e-9 for point in ring)
        assert {tuple(point) for point in fewer} <= {tuple(point) for point in ring}


def test_a_pixel_is_a_square_and_a_block_has_four_corners() -> None:
    mask = np.zeros((20, 30), bool)
    mask[5, 3] = True
    mask[10:15, 10:18] = True
    assert polygons(mask) == ((10, 10, 18, 10, 18, 15, 10, 15), (3, 5, 4, 5, 4, 6, 3, 6))


def test_a_whole_picture_is_its_frame_and_nothing_is_nothing() -> None:
    assert polygons(np.ones((4, 6), bool)) == ((0, 0, 6, 0, 6, 4, 0, 4),)
    assert polygons(np.zeros((4, 6), bool)) == ()


def test_what_is_thin_stays_an_area() -> None:
    mask = np.zeros((9, 60), bool)
    mask[4, 2:58] = True
    (line,) = polygons(mask, 5)
    assert len(line) >= 6
    assert area(np.array(line, dtype=np.int64).reshape(-1, 2)) > 0


@pytest.mark.parametrize("holes", [(), ((90, 90, 30), (150, 110, 10))], ids=["whole", "with holes"])
def test_simplified_it_covers_the_same_with_a_fifth_of_the_corners(holes: tuple[Any, ...]) -> None:
    mask = disc(220, 90, *holes)
    exact, (simple,) = polygons(mask, 0), polygons(mask, 1)
    assert len(simple) * 5 < len(exact[0])
    for read in (covered((simple,), mask.shape), encoded(filled(simple, mask.shape))):
        assert coco.iou([read], [encoded(mask)], [0])[0, 0] > 0.97


def filled(polygon: tuple[float, ...], shape: tuple[int, ...]) -> Any:
    """What OpenCV makes of a polygon; it draws the line itself too."""
    sheet = np.zeros(shape, np.uint8)
    cv2.fillPoly(sheet, [np.array(polygon).reshape(-1, 1, 2).round().astype(np.int32)], (1,))
    return sheet.astype(bool)


def test_small_parts_are_left_out_and_small_holes_filled() -> None:
    mask = disc(100, 30, (50, 50, 10), (35, 50, 1))
    mask[2:4, 2:4] = True
    (one,) = parts(mask, smallest=20)
    assert [round(area(hole), -1) for hole in one.holes] == [320]
    assert len(polygons(mask, smallest=20)) == 1
    assert len(polygons(mask)) == 2


def test_the_largest_parts_come_first() -> None:
    mask = np.zeros((20, 20), bool)
    mask[0, 0] = mask[2:4, 2:5] = mask[10:20, 10:20] = True
    first, second = polygons(mask, most=2)
    assert first[:2] == (10, 10)
    assert second[:2] == (2, 2)


def test_the_mask_may_be_a_view_or_bytes() -> None:
    mask = disc(60, 20, (30, 30, 5))
    mask[0, 0] = mask[1, 1] = True
    for same in (mask[::-1][::-1], mask.astype(np.uint8), mask.astype(np.uint8) * 255):
        assert polygons(same) == polygons(mask)
