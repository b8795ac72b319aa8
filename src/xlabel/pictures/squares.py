"""Numbers of small squares of a picture, by which the picture that it was cut out of is found.

A picture that may be a whole gives the numbers of squares on a coarse grid, one that may be a part those of
the squares at all its places: where both have one number, the same pixels stand in both. The numbers are a
polynomial hash modulo 2**64. Plain squares have no number, since they stand everywhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlabel.pictures.arrays import numbers

SIDE = 16
"""Pixels."""
GRID = 8
"""Squares a side of a picture, so that a part of 1/8 and 16 pixels a side holds one."""

Hashes = NDArray[np.uint64]


def grid(array: NDArray[Any]) -> Hashes:
    """The numbers of up to 64 squares, evenly over a picture."""
    values = numbers(array)
    height, width = values.shape
    if min(height, width) < SIDE:
        return np.zeros(0, dtype=np.uint64)
    rows, columns = (np.unique(np.linspace(0, side - SIDE, GRID).astype(int)) for side in (height, width))
    squares = np.lib.stride_tricks.sliding_window_view(values, (SIDE, SIDE))[np.ix_(rows, columns)]
    squares = squares.reshape(-1, SIDE, SIDE)
    plain = (squares != squares[:, :1, :1]).sum(axis=(1, 2)) < SIDE
    return np.unique((_whole(squares[~plain]) * _WEIGHTS).sum(axis=(1, 2), dtype=np.uint64))


def everywhere(array: NDArray[Any]) -> Hashes:
    """The numbers of the squares at all places of a picture, sorted."""
    values = numbers(array)
    if min(values.shape) < SIDE:
        return np.zeros(0, dtype=np.uint64)
    values = _whole(values)
    for axis, base in ((1, _ACROSS), (0, _DOWN)):
        count = values.shape[axis] - SIDE + 1
        total = np.zeros_like(values[:, :count] if axis else values[:count])
        for step in range(SIDE):
            part = values[:, step : step + count] if axis else values[step : step + count]
            total *= base
            total += part
        values = total
    return np.sort(values, axis=None)


def _whole(values: NDArray[Any]) -> Hashes:
    """Pixels as whole numbers, by their bits where they are none."""
    if values.dtype.kind == "f":
        values = values.view(np.dtype(f"u{values.itemsize}"))
    return values.astype(np.uint64)


_ACROSS = np.uint64(0x9E3779B97F4A7C15)
_DOWN = np.uint64(0xC2B2AE3D27D4EB4F)
_POWERS = np.arange(SIDE - 1, -1, -1, dtype=np.uint64)[:, None]
_WEIGHTS = np.power(_DOWN, _POWERS) * np.power(_ACROSS, _POWERS.T)
"""What each pixel of a square counts."""
