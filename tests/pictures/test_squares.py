"""Squares by which the picture that another was cut out of is found."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlabel.pictures.arrays import places
from xlabel.pictures.squares import GRID, SIDE, everywhere, grid

PICTURE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


@given(st.integers(0, 200), st.integers(0, 140), st.integers(0, 60), st.integers(0, 40))
def test_a_part_of_an_eighth_holds_a_square_of_the_whole(x: int, y: int, more: int, higher: int) -> None:
    width, height = 320 // GRID + 2 * SIDE + more, 240 // GRID + 2 * SIDE + higher
    part = PICTURE[y : y + height, x : x + width]
    assert np.isin(grid(PICTURE), everywhere(part)).any()
    assert list(places(part, PICTURE)) == [(x, y)]


def test_another_picture_holds_none() -> None:
    other = np.random.default_rng(1).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    assert not np.isin(grid(PICTURE), everywhere(other)).any()
    assert list(places(other[:50, :50], PICTURE)) == []


def test_plain_squares_are_left_out() -> None:
    assert grid(np.zeros((240, 320, 3), dtype=np.uint8)).size == 0


def test_a_part_that_stands_in_several_places_is_found_in_all() -> None:
    tiled = np.tile(PICTURE[:60, :80], (2, 2, 1))
    assert list(places(PICTURE[:60, :80], tiled)) == [(0, 0), (80, 0), (0, 60), (80, 60)]


def test_deep_and_float_pictures_have_squares_too() -> None:
    for kind in (np.uint16, np.int32, np.float32):
        deep = (np.random.default_rng(2).random((64, 64, 1)) * 60000).astype(kind)
        assert np.isin(grid(deep), everywhere(deep)).all()
