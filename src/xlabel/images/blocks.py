"""Numbers of small squares of a picture, by which the picture that it was cut out of is found.

A picture that may be a whole gives the numbers of squares on a coarse grid, one that may be a part those of
the squares at all its places: where both have one number, the same pixels stand in both. The numbers are a
polynomial hash modulo 2**64. Plain squares have no number, since they stand everywhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlabel.images.matching import numbers

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
    found = []
    for y in np.unique(np.linspace(0, height - SIDE, GRID).astype(int)):
        for x in np.unique(np.linspace(0, width - SIDE, GRID).astype(int)):
            square = values[y : y + SIDE, x : x + SIDE]
            if (square != square[0, 0]).sum() >= SIDE:
                found.append(everywhere_of(square)[0, 0])
    return np.unique(np.array(found, dtype=np.uint64))


def everywhere(array: NDArray[Any]) -> Hashes:
    """The numbers of the squares at all places of a picture, each once."""
    values = numbers(array)
    if min(values.shape) < SIDE:
        return np.zeros(0, dtype=np.uint64)
    return np.unique(everywhere_of(values))


def everywhere_of(values: NDArray[Any]) -> Hashes:
    """The numbers by place: rows x columns of what each square begins at."""
    values = values.astype(np.uint64)
    for axis, base in ((1, _ACROSS), (0, _DOWN)):
        count = values.shape[axis] - SIDE + 1
        total = np.zeros_like(values[:, :count] if axis else values[:count])
        for step in range(SIDE):
            part = values[:, step : step + count] if axis else values[step : step + count]
            total *= base
            total += part
        values = total
    return values


_ACROSS = np.uint64(0x9E3779B97F4A7C15)
_DOWN = np.uint64(0xC2B2AE3D27D4EB4F)
