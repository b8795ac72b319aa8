"""A picture resized in the ways that common tools do it, to the very pixel.

Pillow's filters are Pillow's own; OpenCV's are written down here, since it need not be installed: the default
(INTER_LINEAR) in fixed point of 11 bits, INTER_AREA by whole factors, and INTER_NEAREST.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

REDUCING = (2.0, 3.0)
"""Pillow's `reducing_gap`: 2 is that of `thumbnail`. It first averages a picture that is much too large."""


def resized(picture: Array, width: int, height: int) -> Iterator[tuple[str, Array]]:
    """Names of ways and what they make of a picture of 8 bits, height x width x 3 or 4."""
    yield from _pillow(picture, width, height)
    yield "cv2 linear", _linear(picture, width, height)
    if picture.shape[0] % height == 0 and picture.shape[1] % width == 0:
        yield "cv2 area", _area(picture, width, height)
    yield "cv2 nearest", _nearest(picture, width, height)


def _pillow(picture: Array, width: int, height: int) -> Iterator[tuple[str, Array]]:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    for resampling in Image.Resampling:
        gaps: tuple[float | None, ...] = (None,)
        if resampling != Image.Resampling.NEAREST:
            gaps += tuple(gap for gap in REDUCING if picture.shape[1] >= 2 * gap * width)
        for gap in gaps:
            made = image.resize((width, height), resampling, reducing_gap=gap)
            yield resampling.name.lower(), np.asarray(made)


def _linear(picture: Array, width: int, height: int) -> Array:
    """INTER_LINEAR; at exactly half the size it is INTER_AREA, and so is this."""
    left, right, from_left, from_right = _taps(picture.shape[1], width)
    above, below, from_above, from_below = _taps(picture.shape[0], height)
    values = picture.astype(np.int32)
    rows = values[:, left] * from_left[None, :, None] + values[:, right] * from_right[None, :, None]
    high, low = rows[above] >> 4, rows[below] >> 4
    total = (high * from_above[:, None, None] >> 16) + (low * from_below[:, None, None] >> 16)
    return np.asarray((total + 2 >> 2).clip(0, 255).astype(np.uint8))


def _taps(before: int, after: int) -> tuple[Array, Array, Array, Array]:
    """Of each pixel of a resized line: the two that it is made of, and their shares of 2048."""
    place = ((np.arange(after) + 0.5) * (before / after) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    share = (place - first).astype(np.float32)
    share[(first < 0) | (first >= before - 1)] = 0
    first = first.clip(0, before - 1)
    far = np.rint(share * np.float32(2048)).astype(np.int32)
    near = np.rint((np.float32(1) - share) * np.float32(2048)).astype(np.int32)
    return first, np.minimum(first + 1, before - 1), near, far


def _area(picture: Array, width: int, height: int) -> Array:
    down, across = picture.shape[0] // height, picture.shape[1] // width
    total = picture.reshape(height, down, width, across, -1).sum(axis=(1, 3), dtype=np.int32)
    if down == across == 2:
        return np.asarray((total + 2 >> 2).astype(np.uint8))
    return np.asarray(np.rint(total.astype(np.float32) * np.float32(1 / (down * across))).astype(np.uint8))


def _nearest(picture: Array, width: int, height: int) -> Array:
    columns = np.floor(np.arange(width) * (picture.shape[1] / width)).astype(np.int64)
    rows = np.floor(np.arange(height) * (picture.shape[0] / height)).astype(np.int64)
    picture = picture[rows.clip(0, picture.shape[0] - 1)]
    return picture[:, columns.clip(0, picture.shape[1] - 1)]
