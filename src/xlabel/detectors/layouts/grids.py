"""The places at which models look for things: the cells of grids over the picture, the finest grid first."""

import numpy as np
from numpy.typing import NDArray

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
"""Pixels a cell, of each grid, in models that are in use."""


def strides_of(size: tuple[int, int], places: int, anchors: int = 1) -> tuple[int, ...] | None:
    """The grids with so many places in all, `anchors` a cell; None where no known ones have."""
    width, height = size
    for strides in STRIDES:
        if places == anchors * sum(-(-width // stride) * -(-height // stride) for stride in strides):
            return strides
    return None


def cells(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of each cell, row by row, n x 2; and the stride of its grid, n x 1."""
    width, height = size
    points, sides = [], []
    for stride in strides:
        rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
        points.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        sides.append(np.full((len(points[-1]), 1), stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(sides).astype(np.float32)
