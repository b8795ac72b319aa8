"""Which of many overlapping boxes are kept: the best of each heap, within its category.

Greedy, as torchvision.ops.nms and cv2.dnn.NMSBoxesBatched: by falling score, a box goes where it overlaps one
that is kept by more than a share of their union. Oriented boxes are compared as Gaussians (Llerena et al.,
"Gaussian Bounding Boxes and Probabilistic Intersection-over-Union", 2021), and one goes where it overlaps any
that is surer (Fast NMS of YOLACT, Bolya et al., 2019), both as ultralytics does it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlabel.model.geometry import overlaps

Array = NDArray[Any]
Numbers = NDArray[np.intp]

MOST = 30_000
"""Boxes above the least score that are looked at in one picture, the best of them."""
_TINY = 1e-7


def kept(boxes: Array, scores: Array, classes: Array, iou: float) -> Numbers:
    """Numbers of the boxes (left, top, right, bottom) that are kept, by falling score."""

    def chosen(boxes: Array) -> list[int]:
        found, left = [], np.arange(len(boxes))
        while left.size:
            best, left = left[0], left[1:]
            found.append(int(best))
            left = left[overlaps(boxes[best], boxes[left]) <= iou]
        return found

    return _kept(boxes, scores, classes, chosen)


def kept_oriented(boxes: Array, scores: Array, classes: Array, iou: float) -> Numbers:
    """The same of oriented boxes: centre x and y, width, height, radians."""

    def chosen(boxes: Array) -> list[int]:
        return [at for at, box in enumerate(boxes) if not (oriented_overlaps(box, boxes[:at]) > iou).any()]

    return _kept(boxes, scores, classes, chosen)


def oriented_overlaps(box: Array, others: Array) -> Array:
    """The probabilistic intersection over union of an oriented box with others, 0 to 1."""
    a, b, c = _covariance(box[None])
    d, e, f = _covariance(others)
    x, y = others[:, 0] - box[0], others[:, 1] - box[1]
    divisor = (a + d) * (b + e) - (c + f) ** 2 + _TINY
    first = ((a + d) * y**2 + (b + e) * x**2) / divisor * 0.25
    second = (c + f) * -x * y / divisor * 0.5
    roots = 4 * np.sqrt((a * b - c**2).clip(0) * (d * e - f**2).clip(0)) + _TINY
    third = np.log(((a + d) * (b + e) - (c + f) ** 2) / roots + _TINY) * 0.5
    distance = (first + second + third).clip(_TINY, 100)
    return np.asarray(1 - np.sqrt(1 - np.exp(-distance) + _TINY))


def _kept(boxes: Array, scores: Array, classes: Array, chosen: Callable[[Array], list[int]]) -> Numbers:
    """The boxes that are chosen of each category's, which come by falling score."""
    order = np.argsort(-scores, kind="stable")[:MOST]
    boxes = boxes.astype(np.float64)
    found = []
    for number in np.unique(classes[order]):
        own = order[classes[order] == number]
        found.append(own[chosen(boxes[own])])
    kept = np.concatenate([np.zeros(0, np.intp), *found])
    return kept[np.argsort(-scores[kept], kind="stable")]


def _covariance(boxes: Array) -> tuple[Array, Array, Array]:
    across, down, angle = boxes[:, 2] ** 2 / 12, boxes[:, 3] ** 2 / 12, boxes[:, 4]
    cos, sin = np.cos(angle), np.sin(angle)
    return (
        across * cos**2 + down * sin**2,
        across * sin**2 + down * cos**2,
        (across - down) * cos * sin,
    )
