"""Masks as models give them, coarse maps over the prepared picture, as polygons in the displayed one."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from xlabel.detectors.preparing import Array, Frame
from xlabel.model.annotation import Number
from xlabel.pictures import contours

FINEST = 1024
"""Points at most across and down at which a map is looked up: maps are much coarser."""
TOLERANCE = 0.35
"""Points of the map by which a polygon may leave the outline; more precisely it is hardly known."""
SMALLEST = 0.01
"""A part, or a hole, of a smaller share of the mask is left out."""

Box = tuple[float, float, float, float]


def from_prototypes(coefficients: Array, prototypes: Array) -> Callable[[int], NDArray[np.float32]]:
    """The maps of things that are sums of prototypes (k x height x width); `coefficients` are n x k.

    YOLACT (Bolya et al., 2019), as ultralytics has it.
    """
    count, height, width = prototypes.shape
    flat = prototypes.reshape(count, -1).astype(np.float32)

    def of(at: int) -> NDArray[np.float32]:
        return np.asarray((coefficients[at].astype(np.float32) @ flat).reshape(height, width))

    return of


def polygons(heights: Array, frame: Frame, box: Box) -> tuple[tuple[Number, ...], ...] | None:
    """The outlines of where a map is above 0 within a box: left, top, right, bottom of the displayed picture.

    None where it is above 0 nowhere. Between its points the map is straight.
    """
    left, top, right, bottom = box
    xs, ys = _places(left, right), _places(top, bottom)
    points = (xs * frame.scale[0] + frame.offset[0], ys * frame.scale[1] + frame.offset[1])
    above = _looked_up(heights, points[0] / frame.size[0], points[1] / frame.size[1]) > 0
    step = (right - left) / len(xs), (bottom - top) / len(ys)
    point = frame.size[0] / heights.shape[1] / frame.scale[0] / step[0]
    found = contours.polygons(above, max(1, TOLERANCE * point), smallest=SMALLEST * above.sum())
    if not found:
        return None
    return tuple(
        tuple(round(number * step[at % 2] + (left, top)[at % 2], 2) for at, number in enumerate(polygon))
        for polygon in found
    )


def _places(start: float, stop: float) -> Array:
    """The middles of equal steps from one to the other, of about a pixel, or larger where they were many."""
    count = min(max(1, round(stop - start)), FINEST)
    return start + (np.arange(count) + 0.5) * ((stop - start) / count)


def _looked_up(heights: Array, across: Array, down: Array) -> Array:
    """A map at places that are shares of its width and height."""
    rows, below, low = _between(down * heights.shape[0] - 0.5, heights.shape[0])
    columns, right, far = _between(across * heights.shape[1] - 0.5, heights.shape[1])
    lines = heights[rows] * (1 - low[:, None]) + heights[below] * low[:, None]
    return np.asarray(lines[:, columns] * (1 - far) + lines[:, right] * far)


def _between(places: Array, count: int) -> tuple[Array, Array, Array]:
    places = places.clip(0, count - 1)
    first = places.astype(np.int64)
    return first, np.minimum(first + 1, count - 1), places - first
