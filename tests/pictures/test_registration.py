"""Whether two pictures lie on each other: Pillow moves, cuts and compresses them."""

import io
from math import isinf

import numpy as np
import pytest
from PIL import Image
from tests.scenes import scene

from xlabel.pictures.registration import drift

SIZE = (256, 192)


def small(picture: Image.Image) -> np.ndarray:
    grey = picture.convert("L").resize(SIZE, Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float32)


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cut(picture: Image.Image, share: float) -> Image.Image:
    """A picture without so much of it all round, at its old size."""
    width, height = picture.size
    box = (width * share, height * share, width * (1 - share), height * (1 - share))
    return picture.transform(picture.size, Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return scene(1, (96, 40, 64, 48)).resize((640, 480), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("quality", [25, 60, 95])
def test_a_compression_moves_nothing(picture: Image.Image, quality: int) -> None:
    assert drift(small(picture), small(compressed(picture, quality))) < 0.2


@pytest.mark.parametrize("share", [0.003, 0.005, 0.01, 0.02])
def test_a_cut_of_a_few_pixels_is_measured(picture: Image.Image, share: float) -> None:
    found = drift(small(picture), small(compressed(cut(picture, share), 85)))
    assert found > 0.6
    if share <= 0.005:
        assert found == pytest.approx(share * SIZE[0], rel=0.35)


def test_light_does_not_count(picture: Image.Image) -> None:
    darker = Image.fromarray((np.asarray(picture) * 0.8 + 12).astype(np.uint8))
    assert drift(small(picture), small(darker)) < 0.1


def test_an_empty_wall_cannot_be_told_to_lie_right() -> None:
    wall = Image.new("RGB", (640, 480), (90, 90, 90))
    assert isinf(drift(small(wall), small(wall)))
    assert isinf(drift(np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)))
