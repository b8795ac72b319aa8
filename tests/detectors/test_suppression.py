"""The boxes that are kept are those that other implementations keep."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from xlabel.detectors import suppression


def crowd(seed: int, count: int = 400) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Boxes that overlap much, scores of which no two are equal, and categories."""
    random = np.random.default_rng(seed)
    corner = random.random((count, 2)) * 80
    boxes = np.concatenate([corner, corner + random.random((count, 2)) * 40], axis=1)
    scores = random.permutation(np.linspace(0.01, 0.99, count))
    return boxes.astype(np.float32), scores.astype(np.float32), random.integers(0, 4, count)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("iou", [0.1, 0.45, 0.7])
def test_the_boxes_kept_are_those_that_opencv_keeps(seed: int, iou: float) -> None:
    boxes, scores, classes = crowd(seed)
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    expected = cv2.dnn.NMSBoxesBatched(sides.tolist(), scores.tolist(), classes.tolist(), 0.0, iou)
    kept = suppression.kept(boxes, scores, classes, iou)
    assert set(kept.tolist()) == set(np.asarray(expected).tolist())
    assert np.all(np.diff(scores[kept]) < 0)


def test_nothing_is_kept_of_nothing() -> None:
    boxes, scores, classes = crowd(0, 0)
    assert suppression.kept(boxes, scores, classes, 0.5).tolist() == []
