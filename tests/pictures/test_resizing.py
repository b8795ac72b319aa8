"""Resizing to the very pixel, held against OpenCV and Pillow themselves."""

import numpy as np
import pytest
from PIL import Image

from xlabel.pictures.resizing import resized

SIZES = [(160, 120), (80, 60), (64, 48), (200, 150), (107, 80), (300, 225)]


@pytest.mark.parametrize("size", SIZES)
def test_opencv_makes_the_same_pixels(size: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    made = dict(resized(picture, *size))
    assert np.array_equal(made["cv2 linear"], cv2.resize(picture, size))
    assert np.array_equal(made["cv2 nearest"], cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST))
    if "cv2 area" in made:
        assert np.array_equal(made["cv2 area"], cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def test_area_is_offered_for_whole_factors() -> None:
    picture = np.zeros((240, 320, 3), dtype=np.uint8)
    assert [size for size in SIZES if "cv2 area" in dict(resized(picture, *size))] == SIZES[:3]


def test_pillows_thumbnail_is_among_them() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    image = Image.fromarray(picture)
    image.thumbnail((96, 72))
    assert any(np.array_equal(made, np.asarray(image)) for _, made in resized(picture, 96, 72))
