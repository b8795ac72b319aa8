"""How well two pictures of one size lie on each other, to a fraction of a pixel.

A picture that was cropped by two per cent and brought back to its size looks the same from afar, and its
labels are wrong. Least squares on the gradients (Lucas and Kanade, 1981) tell by how much it is shifted and
scaled; brightness and contrast are solved for as well, so that they do not count.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SMALLEST = 32
"""Pixels a side; less says too little."""
ENOUGH = 0.25
"""Pixels by which a corner may be uncertain: a picture with less detail cannot be told to lie right."""


def drift(one: Array, other: Array) -> float:
    """By how many pixels the corner lies wrong that lies worst; infinite where that cannot be told.

    Both are grey, of one size, and small enough that the shift is a few pixels (256 at most).
    """
    if min(one.shape) < SMALLEST:
        return float("inf")
    before, after = _smooth(one), _smooth(other)
    down, across = np.gradient((before + after) / 2)
    height, width = before.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = [np.ones_like(before), before - before.mean()]
    columns = [across, across * x, across * y, down, down * y, down * x, *light]
    edge = 4  # where smoothing has nothing on one side
    inner = (slice(edge, -edge), slice(edge, -edge))
    table = np.stack([column[inner].ravel() for column in columns], axis=1)
    gap = (after - before)[inner].ravel()
    normal = table.T @ table
    try:
        solved = np.linalg.solve(normal, table.T @ gap)
        spread = np.linalg.inv(normal)
    except np.linalg.LinAlgError:
        return float("inf")
    left = gap - table @ solved
    # neighbouring pixels are alike, so that fewer than their number say something of their own
    noise = float(left @ left) / max(1, len(left) / 25 - len(columns))
    doubt = np.sqrt(np.abs(np.diagonal(spread)) * noise)
    if max(doubt[:3].sum(), doubt[3:6].sum()) > ENOUGH:
        return float("inf")
    return float(max(np.abs(solved[:3]).sum(), np.abs(solved[3:6]).sum()))


def _smooth(grey: Array) -> Array:
    """Each pixel as a weighted mean of five by five, three times over."""
    values = np.asarray(grey, dtype=np.float64)
    for _ in range(3):
        for axis in (0, 1):
            values = (np.roll(values, 1, axis) + 2 * values + np.roll(values, -1, axis)) / 4
    return values
