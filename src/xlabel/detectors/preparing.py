"""A picture as a model takes it: its size, the order of its axes and colours, the range of its values."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Preparation(NamedTuple):
    """How a picture becomes what a model takes: resized, value * scale, minus mean, divided by std."""

    input: str
    """The name of the input."""
    size: tuple[int, int] | None = None
    """Width and height; None: each picture as large as it is."""
    fit: Literal["letterbox", "corner", "stretch"] = "letterbox"
    """Its ratio is kept with bars around it; with bars to the right or below; or is not kept."""
    fill: int = 114
    """The grey of the bars."""
    multiple: int = 1
    """Without a size: both sides are stretched up to the next multiple of this."""
    sides: tuple[int, int] | None = None
    """Without a size: the shorter side becomes the first of them, unless the longer one became more than the
    second, which it then becomes."""
    smooth: bool = False
    """Resized as Pillow does it, over all pixels; otherwise as cv2 does it, between the nearest four."""
    axes: Literal["NCHW", "NHWC", "CHW", "HWC"] = "NCHW"
    bgr: bool = False
    dtype: str = "float32"
    scale: float | None = 1 / 255
    """None: 1 divided by the picture's own largest value."""
    mean: tuple[float, float, float] = (0, 0, 0)
    """In the order of the model's colours, as is `std`."""
    std: tuple[float, float, float] = (1, 1, 1)


class Frame(NamedTuple):
    """How a picture lies in what was prepared of it."""

    picture: tuple[int, int]
    """Width and height as displayed."""
    size: tuple[int, int]
    """Width and height as prepared."""
    scale: tuple[float, float]
    """Prepared pixels a displayed one, across and down."""
    offset: tuple[float, float]
    """Prepared pixels left of the picture and above it."""

    def back(self, points: Array) -> Array:
        """Points (..., x and y) of the prepared picture in pixels of the displayed one."""
        return np.asarray((points - np.array(self.offset)) / np.array(self.scale))


def prepared(picture: NDArray[np.uint8], how: Preparation) -> tuple[Array, Frame]:
    """A picture, RGB as displayed, as a model takes it, without the axis of the batch; how it lies there."""
    frame = framed(picture, how)
    width, height = frame.size
    inner = inside(frame)
    resized = _smooth(picture, *inner) if how.smooth else linear(picture, *inner)
    if inner != frame.size:
        left, top = (round(offset) for offset in frame.offset)
        whole = np.full((height, width, 3), how.fill, resized.dtype)
        whole[top : top + inner[1], left : left + inner[0]] = resized
        resized = whole
    if how.bgr:
        resized = resized[:, :, ::-1]
    values: Array = resized
    if how.dtype not in ("uint8",):
        values = resized.astype(np.float32)
        scale = 1 / max(1, resized.max()) if how.scale is None else how.scale
        if scale != 1:
            values *= np.float32(scale)
        if any(how.mean):
            values -= np.array(how.mean, np.float32)
        if how.std != (1, 1, 1):
            values /= np.array(how.std, np.float32)
    if how.axes in ("NCHW", "CHW"):
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values, how.dtype), frame


def framed(picture: Array, how: Preparation) -> Frame:
    """How a picture will lie in what is prepared of it."""
    height, width = picture.shape[:2]
    if how.size is None:
        sides = _between(how.sides, width, height) if how.sides else (width, height)
        size = tuple(-(-side // how.multiple) * how.multiple for side in sides)
    else:
        size = how.size
    across, down = size[0] / width, size[1] / height
    if how.fit == "stretch" or how.size is None:
        return Frame((width, height), (size[0], size[1]), (across, down), (0, 0))
    ratio = min(across, down)
    whole = round if how.fit == "letterbox" else int  # as ultralytics' LetterBox and YOLOX's preproc do it
    inner = (max(1, whole(width * ratio)), max(1, whole(height * ratio)))
    # Half a pixel of difference goes to the right and below: LetterBox again.
    spare = ((size[0] - inner[0]) / 2, (size[1] - inner[1]) / 2)
    offset = (round(spare[0] - 0.1), round(spare[1] - 0.1)) if how.fit == "letterbox" else (0, 0)
    return Frame((width, height), (size[0], size[1]), (inner[0] / width, inner[1] / height), offset)


def _between(sides: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """A size of the same ratio, rounded as transformers does it."""
    short, long = min(width, height), max(width, height)
    side: float = sides[0] if long / short * sides[0] <= sides[1] else sides[1] * short / long
    shorter, longer = round(side), int(side * long / short)
    return (shorter, longer) if width < height else (longer, shorter)


def inside(frame: Frame) -> tuple[int, int]:
    """Width and height of the picture itself within what was prepared."""
    return round(frame.picture[0] * frame.scale[0]), round(frame.picture[1] * frame.scale[1])


def linear(picture: Array, width: int, height: int) -> Array:
    """A picture resized between the nearest four pixels, as cv2's INTER_LINEAR but for rounding."""
    if picture.shape[1::-1] == (width, height):
        return picture
    above, below, down = _taps(picture.shape[0], height)
    left, right, across = _taps(picture.shape[1], width)
    rows = picture[above].astype(np.float32)
    rows += (picture[below] - rows) * down[:, None, None]
    found = rows[:, left]
    found += (rows[:, right] - found) * across[None, :, None]
    return np.asarray((found + np.float32(0.5)).astype(np.uint8))


def _taps(before: int, after: int) -> tuple[Array, Array, Array]:
    """Of each pixel of a resized line: the two that it is made of, and the share of the second."""
    place = ((np.arange(after) + 0.5) * (before / after) - 0.5).clip(0, before - 1)
    first = place.astype(np.int64)
    return first, np.minimum(first + 1, before - 1), (place - first).astype(np.float32)


def _smooth(picture: Array, width: int, height: int) -> Array:
    if picture.shape[1::-1] == (width, height):
        return picture
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
