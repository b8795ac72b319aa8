"""What the outputs of DETR and its followers mean: for each of some hundred queries logits, and a box.

A box is centre x and y, width and height as shares of the picture.
"""

from collections.abc import Callable

import numpy as np

from xlabel.detectors.layouts import Found
from xlabel.detectors.preparing import Array, Frame

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, on which most of them begin to learn."""

Chosen = tuple[Array, Array, Array]
"""Numbers of queries, their categories and scores."""


def found(
    logits: Array, shares: Array, frame: Frame, chosen: Callable[[Array], Chosen], masks: Array | None = None
) -> Found:
    """What the queries of a picture found; `masks` are a map each, above 0 where its thing is."""
    queries, classes, scores = chosen(logits.astype(np.float64))
    middles, halves = shares[queries, :2], shares[queries, 2:] / 2
    boxes = np.concatenate([middles - halves, middles + halves], axis=1) * np.array(frame.size * 2)
    things = Found(boxes.astype(np.float32), scores.astype(np.float32), classes.astype(np.int64))
    return (
        things if masks is None else things._replace(masks=lambda at: masks[queries[at]].astype(np.float32))
    )


def decided(logits: Array) -> Chosen:
    """Of each query its best category, where the last column says that there is nothing."""
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely = (likely / likely.sum(axis=1, keepdims=True))[:, :-1]
    return np.arange(len(logits)), likely.argmax(axis=1), likely.max(axis=1)


def asked(logits: Array) -> Chosen:
    """The best pairs of a query and a category, as many as there are queries: one may be several things."""
    scores = (1 / (1 + np.exp(-logits))).ravel()
    best = np.argsort(-scores, kind="stable")[: len(logits)]
    return best // logits.shape[1], best % logits.shape[1], scores[best]
