"""Masks against pycocotools, and the turn to the displayed image against Pillow."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as reference

from xlabel.model import RLE, Annotation, Circle, OrientedBox, Points, Polyline
from xlabel.model.geometry import (
    MAX_PIXELS,
    area_of,
    bbox_of,
    bounds,
    compress,
    decode,
    encode,
    mask_area,
    mask_bounds,
    polygon_area,
    rle_counts,
    turn,
    turn_back,
)

ORIENTATIONS = range(1, 9)
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What Pillow's exif_transpose does for each orientation."""


@st.composite
def bitmaps(draw: st.DrawFn) -> NDArray[np.uint8]:
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    bits = draw(st.lists(st.integers(0, 1), min_size=height * width, max_size=height * width))
    return np.array(bits, dtype=np.uint8).reshape(height, width)


def by_reference(bitmap: NDArray[np.uint8]) -> RLE:
    made = reference.encode(np.asfortranarray(bitmap))
    return RLE((made["size"][0], made["size"][1]), made["counts"].decode())


def shown(bitmap: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(bitmap)
    if orientation in TRANSPOSE:
        picture = picture.transpose(TRANSPOSE[orientation])
    return np.asarray(picture)


@settings(deadline=None)
@given(bitmap=bitmaps())
def test_masks_are_those_of_pycocotools(bitmap: NDArray[np.uint8]) -> None:
    expected = by_reference(bitmap)
    assert encode(bitmap) == expected
    assert (decode(expected) == (bitmap == 1)).all()
    assert decode(expected).shape == bitmap.shape
    plain = encode(bitmap, compressed=False)
    assert rle_counts(expected).tolist() == list(plain.counts)
    assert (decode(plain) == (bitmap == 1)).all()
    assert mask_area(expected) == bitmap.sum()
    box = reference.toBbox({"size": list(expected.size), "counts": expected.counts}).tolist()
    assert mask_bounds(expected) == (tuple(box) if bitmap.any() else None)


@pytest.mark.parametrize("side", [1000, 4000])
def test_long_runs_have_the_text_of_pycocotools(side: int) -> None:
    bitmap = np.zeros((side, side), dtype=np.uint8)
    bitmap[side // 3 : side // 2, 7 : side - 9] = 1
    bitmap[side - 1, side - 1] = 1
    assert encode(bitmap) == by_reference(bitmap)
    assert (decode(by_reference(bitmap)) == (bitmap == 1)).all()


@settings(deadline=None)
@given(counts=st.lists(st.integers(0, 1 << 27), min_size=1, max_size=40))
def test_any_run_lengths_come_back_from_their_text(counts: list[int]) -> None:
    total = sum(counts)
    if total <= MAX_PIXELS:
        assert rle_counts(RLE((total, 1), compress(counts))).tolist() == counts


@pytest.mark.parametrize(
    "rle",
    [
        RLE((10, 10), "abc"),
        RLE((10, 10), (3, 4)),
        RLE((10, 10), (-5, 105)),
        RLE((10, 10), (10**30,)),
        RLE((10**6, 10**6), (10**12,)),
        RLE((10**12, 10**12), "0"),
        RLE((-10, -10), (100,)),
        RLE((10, 10), "é"),
        RLE((10, 10), "\x00"),
        RLE((10, 10), "ooooooooooooooooo"),
        RLE((10, 10), "o" * 100_000 + "0"),
        RLE((0, 10), (1,)),
    ],
)
def test_run_lengths_that_are_none_are_refused_before_memory_is_taken(rle: RLE) -> None:
    for function in (rle_counts, decode, mask_area, mask_bounds):
        with pytest.raises(ValueError, match=r"mask|length|add up"):
            function(rle)
    assert bbox_of(Annotation(mask=rle)) is None
    assert area_of(Annotation(mask=rle)) is None


@settings(deadline=None)
@given(text=st.text(max_size=30))
def test_any_text_is_run_lengths_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        rle_counts(RLE((5, 5), text))


@settings(deadline=None)
@given(bitmap=bitmaps(), orientation=st.sampled_from(ORIENTATIONS))
def test_a_mask_turns_with_the_picture(bitmap: NDArray[np.uint8], orientation: int) -> None:
    height, width = bitmap.shape
    stored = Annotation(mask=by_reference(bitmap))
    turned = turn(stored, orientation, width, height)
    assert turned.mask == by_reference(shown(bitmap, orientation))
    assert turn_back(turned, orientation, width, height) == stored
    if bitmap.any():
        assert bbox_of(turned) == bbox_of(turn(Annotation(bbox=bbox_of(stored)), orientation, width, height))


@settings(deadline=None)
@given(
    box=st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(1, 6), st.integers(1, 5)),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_a_box_turns_with_the_picture(box: tuple[int, int, int, int], orientation: int) -> None:
    x, y, w, h = box
    bitmap = np.zeros((10, 12), dtype=np.uint8)
    bitmap[y : y + h, x : x + w] = 1
    corners = (x, y, x + w, y, x + w, y + h, x, y + h)
    turned = turn(
        Annotation(bbox=box, polygons=(corners,), shape=OrientedBox(corners), keypoints=(x, y, 2, 0, 0, 0)),
        orientation,
        12,
        10,
    )
    rows, columns = np.nonzero(shown(bitmap, orientation))
    left, top = int(columns.min()), int(rows.min())
    assert turned.bbox == (left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    assert all(type(number) is int for number in turned.bbox)
    assert turned.polygons is not None
    assert bounds(turned.polygons[0]) == turned.bbox
    assert bbox_of(Annotation(shape=turned.shape)) == turned.bbox
    assert turned.keypoints is not None
    assert turned.keypoints[:2] == turned.polygons[0][:2]
    assert turned.keypoints[3:] == (0, 0, 0)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_back_undoes_the_turn(orientation: int) -> None:
    stored = Annotation(
        bbox=(1, 2, 3, 4),
        polygons=((1, 2, 8, 2, 8, 5), (0, 0, 1, 0, 1, 1)),
        mask=RLE((6, 8), (2, 5, 41)),
        keypoints=(1, 2, 2, 0, 0, 0, 7, 3, 1),
        shape=Circle(3, 4, 2),
        area=12.5,
        attributes={"a": 1},
    )
    turned = turn(stored, orientation, 8, 6)
    assert turn_back(turned, orientation, 8, 6) == stored
    assert turned.area == stored.area
    assert turned.attributes == stored.attributes
    for shape in (Polyline((0, 1, 2, 3)), Points((0, 1, 2, 3))):
        one = Annotation(shape=shape)
        assert turn_back(turn(one, orientation, 8, 6), orientation, 8, 6) == one


def test_an_unknown_orientation_turns_nothing() -> None:
    stored = Annotation(bbox=(1, 2, 3, 4))
    assert turn(stored, 0, 8, 6) == turn(stored, 9, 8, 6) == turn(stored, 1, 8, 6) == stored


def test_what_is_stated_goes_before_what_is_derived() -> None:
    square = ((0, 0, 4, 0, 4, 4, 0, 4),)
    assert bbox_of(Annotation(polygons=square, bbox=(1, 1, 1, 1))) == (1, 1, 1, 1)
    assert bbox_of(Annotation(polygons=square)) == (0, 0, 4, 4)
    assert area_of(Annotation(polygons=square, area=3)) == 3
    assert area_of(Annotation(polygons=square)) == 16
    assert area_of(Annotation(polygons=square, bbox=(0, 0, 9, 9))) == 16
    assert area_of(Annotation(bbox=(0, 0, 2, 3))) == 6
    assert area_of(Annotation(mask=RLE((2, 2), (1, 2, 1)), polygons=square)) == 2
    assert area_of(Annotation()) is None
    assert bbox_of(Annotation(caption="a")) is None


def test_areas_of_shapes_and_parts() -> None:
    assert polygon_area((0, 0, 3, 0, 0, 4)) == 6
    assert polygon_area((0, 0, 0, 4, 3, 0)) == 6
    assert polygon_area((0, 0, 1, 1)) == 0
    assert area_of(Annotation(polygons=((0, 0, 2, 0, 2, 2), (5, 5, 6, 5, 6, 6)))) == 2.5
    assert area_of(Annotation(shape=OrientedBox((1, 0, 2, 1, 1, 2, 0, 1)))) == 2
    assert area_of(Annotation(shape=Polyline((0, 0, 5, 5)))) == 0
    assert area_of(Annotation(shape=Circle(0, 0, 1))) == pytest.approx(3.14159, abs=1e-5)
    assert bbox_of(Annotation(shape=Circle(5, 6, 2))) == (3, 4, 4, 4)
    assert bbox_of(Annotation(shape=Points((1, 2)))) == (1, 2, 0, 0)
    assert bbox_of(Annotation(keypoints=(1, 2, 2, 9, 9, 0, 4, 8, 1))) == (1, 2, 3, 6)
    assert bbox_of(Annotation(keypoints=(0, 0, 0))) is None


def test_numbers_without_bound_have_no_area_instead_of_an_endless_one() -> None:
    assert area_of(Annotation(bbox=(0, 0, 1e200, 1e200))) is None
    assert bbox_of(Annotation(polygons=((-1e308, 0, 1e308, 0, 0, 1),))) is None
    assert area_of(Annotation(polygons=((-1e308, 0, 1e308, 0, 0, 1e308),))) is None
