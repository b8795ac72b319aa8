"""Pictures as arrays, height x width x channels: in grey, made small, in tiles; a part found in a whole."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xlabel.model.geometry import turned
from xlabel.pictures.hashing import cosines

if TYPE_CHECKING:
    from PIL.Image import Image

Array = NDArray[Any]

LOOKS = 256
"""Pixels of the longer side at which pictures are compared by their looks."""
TILE = 8


def difference(one: Array, other: Array) -> tuple[float, float]:
    """How different two pictures look: the most that any tile differs, and the mean.

    Both are compared in grey at `LOOKS` pixels, where the noise of a compression has gone, and at one size.
    """
    size = min(small_size(one), small_size(other))
    gap = np.abs(tiles(small(one, size)) - tiles(small(other, size)))
    gaps = gap.mean(axis=(1, 3))
    return float(gaps.max()), float(gaps.mean())


def perceptual(picture: Array, turns: tuple[int, ...] = (1,)) -> list[str]:
    """The perceptual hash of a picture, turned in each of some ways."""
    made = small(picture, (64, 64))
    return [cosines(turned(made, turn)) for turn in turns]


def places(part: Array, whole: Array) -> Iterator[tuple[int, int]]:
    """Each x, y at which `part` stands in `whole`, pixel by pixel.

    The row of the part with the most changes in it is looked for first, by its first few pixels.
    """
    height, width = part.shape[:2]
    below, beyond = whole.shape[0] - height, whole.shape[1] - width
    if below < 0 or beyond < 0 or part.shape[2:] != whole.shape[2:] or part.dtype != whole.dtype:
        return
    ours, theirs = numbers(part), numbers(whole)
    busy = np.count_nonzero(ours[:, 1:] != ours[:, :-1], axis=1) if width > 1 else np.zeros(height)
    row = int(busy.argmax())
    rows = theirs[row : row + below + 1]
    found = np.ones((below + 1, beyond + 1), dtype=bool)
    step = max(1, width // 16)
    for column in range(0, width, step):
        found &= rows[:, column : column + beyond + 1] == ours[row, column]
        if not found.any():
            return
    for y, x in zip(*np.nonzero(found), strict=True):
        if np.array_equal(theirs[y : y + height, x : x + width], ours):
            yield int(x), int(y)


def numbers(array: Array) -> Array:
    """Each pixel as one number."""
    if array.shape[2] == 1:
        return array[..., 0]
    if array.dtype == np.uint8 and array.shape[2] <= 4:
        values = np.zeros(array.shape[:2], dtype=np.uint32)
        for channel in range(array.shape[2]):
            values = values << np.uint32(8) | array[..., channel]
        return values
    flat = np.ascontiguousarray(array)
    return flat.view(np.dtype((np.void, flat.itemsize * flat.shape[2])))[..., 0]


def grey(array: Array) -> Array:
    """Grey as numbers from 0 to about 255, whatever the depth."""
    if array.dtype == np.uint8 and array.shape[2] >= 3:
        luma: Array = array[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        return luma
    values = array.mean(axis=2, dtype=np.float32)
    top = (
        float(np.iinfo(array.dtype).max) if array.dtype.kind in "ui" and array.itemsize < 4 else values.max()
    )
    return np.asarray(values * np.float32(255 / top) if top > 0 else values)


def small(array: Array, size: tuple[int, int] | None = None) -> Array:
    """A picture in grey at a small size, every pixel of it counted."""
    from PIL import Image

    coloured = image(array)
    shown = Image.fromarray(grey(array)) if coloured is None else coloured.convert("L")
    size = size or small_size(array)
    made = shown if shown.size == size else shown.resize(size, Image.Resampling.BOX)
    return np.asarray(made, dtype=np.float32)


def small_size(array: Array) -> tuple[int, int]:
    """Width and height at which a picture is looked at, where no other is said."""
    height, width = array.shape[:2]
    most = max(height, width)
    if most <= LOOKS:
        return width, height
    return max(TILE, round(width * LOOKS / most)), max(TILE, round(height * LOOKS / most))


def tiles(grey: Array) -> Array:
    """Tiles of a picture in grey: rows of tiles, pixel row, columns of tiles, pixel column."""
    height, width = (max(TILE, side // TILE * TILE) for side in grey.shape)
    if grey.shape[0] < TILE or grey.shape[1] < TILE:
        grey = np.resize(grey, (height, width))
    return grey[:height, :width].reshape(height // TILE, TILE, width // TILE, TILE)


def as_bytes(grey: Array) -> Array:
    return np.asarray(grey.round().clip(0, 255).astype(np.uint8))


def image(array: Array) -> "Image | None":
    """Pillow's image of the same pixels, or None where they are not of 8 bits and of colour."""
    from PIL import Image

    if array.dtype != np.uint8 or array.shape[2] not in (3, 4):
        return None
    return Image.fromarray(np.ascontiguousarray(array))


def correlated(part: Array, whole: Array) -> tuple[float, tuple[int, int]]:
    """The highest normalised cross-correlation of a part with a whole, -1 to 1, and its place."""
    factor = max(1, max(whole.shape) // 1024)
    small, large = (_reduced(picture, factor) for picture in (part, whole))
    score, (x, y) = _correlation(small, large)
    if factor == 1:
        return score, (x, y)
    left, top = (max(0, (at - 1) * factor) for at in (x, y))
    near = whole[top : top + part.shape[0] + 2 * factor, left : left + part.shape[1] + 2 * factor]
    return (score, (0, 0)) if _smaller(near, part) else _nearest(part, near, left, top)


def _smaller(one: Array, other: Array) -> bool:
    return bool(one.shape[0] < other.shape[0] or one.shape[1] < other.shape[1])


def _nearest(part: Array, near: Array, left: int, top: int) -> tuple[float, tuple[int, int]]:
    """The place, tried one by one, at which a strip out of the middle of the part differs least."""
    height, width = part.shape
    band = slice(height // 2, height // 2 + 64)
    gaps = {
        (x, y): float(np.abs(near[y : y + height, x : x + width][band] - part[band]).mean())
        for y in range(near.shape[0] - height + 1)
        for x in range(near.shape[1] - width + 1)
    }
    x, y = min(gaps, key=lambda place: gaps[place])
    return 1 - gaps[x, y] / 128, (left + x, top + y)


def _correlation(part: Array, whole: Array) -> tuple[float, tuple[int, int]]:
    height, width = part.shape
    part = part - part.mean()
    whole = whole - whole.mean()
    shape = tuple(1 << (side - 1).bit_length() for side in whole.shape)
    spectrum = np.fft.rfft2(whole, shape) * np.conj(np.fft.rfft2(part, shape))
    below, beyond = whole.shape[0] - height + 1, whole.shape[1] - width + 1
    product = np.fft.irfft2(spectrum, shape)[:below, :beyond]
    count = height * width
    total = _sums(whole, height, width)
    power = np.maximum(_sums(whole * whole, height, width) - total * total / count, 1e-6)
    scores = product / np.sqrt(power * max(float((part * part).sum()), 1e-6))
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(scores[y, x]), (int(x), int(y))


def _sums(values: Array, height: int, width: int) -> Array:
    """The sum of each window of height x width."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    total[1:, 1:] = values.cumsum(0).cumsum(1)
    sums: Array = total[height:, width:] - total[:-height, width:] - total[height:, :-width]
    return sums + total[:-height, :-width]


def _reduced(grey: Array, factor: int) -> Array:
    if factor == 1:
        return grey
    height, width = (side // factor * factor for side in grey.shape)
    tiles = grey[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.asarray(tiles.mean(axis=(1, 3)))
