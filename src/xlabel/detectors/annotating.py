"""What a model found as annotations: the best of it, in pixels of the displayed picture, with names."""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from xlabel.detectors import masking, suppression
from xlabel.detectors.layouts import Found, Plan
from xlabel.detectors.preparing import Array, Frame
from xlabel.model import Annotation, Category, Source
from xlabel.model.annotation import OrientedBox

DIGITS = 2
"""Behind the point of a coordinate."""
VISIBLE = 0.5
"""A keypoint that is less sure is hidden (COCO's 1)."""


class Wanted(msgspec.Struct, frozen=True):
    """What is kept of all that a model finds."""

    categories: Mapping[int, Category]
    """By the model's numbers; what is not in it is left out."""
    min_score: float
    iou: float
    source: Source


def annotations(found: Found, frame: Frame, plan: Plan, wanted: Wanted) -> list[Annotation]:
    """The annotations of a picture, by falling score."""
    chosen = _chosen(found, plan, wanted)
    made = (_annotation(found, int(at), frame, wanted) for at in chosen)
    return [annotation for annotation in made if annotation is not None]


def _chosen(found: Found, plan: Plan, wanted: Wanted) -> NDArray[np.intp]:
    known = np.isin(found.classes, list(wanted.categories))
    sound = np.isfinite(found.boxes).all(axis=1)
    able = np.flatnonzero((found.scores >= wanted.min_score) & known & sound)
    scores = found.scores[able]
    if not plan.suppress:
        return able[np.argsort(-scores, kind="stable")]
    named: dict[Category, int] = {}  # two numbers may have been given one name
    joined = [named.setdefault(wanted.categories[int(n)], int(n)) for n in found.classes[able]]
    classes = np.array(joined, np.int64)
    if found.oriented is not None:
        return able[suppression.kept_oriented(found.oriented[able], scores, classes, wanted.iou)]
    return able[suppression.kept(found.boxes[able], scores, classes, wanted.iou)]


def _annotation(found: Found, at: int, frame: Frame, wanted: Wanted) -> Annotation | None:
    """One thing; None where nothing of it lies in the picture."""
    width, height = frame.picture
    corners = frame.back(found.boxes[at].reshape(2, 2).astype(np.float64))
    left, top = (float(n) for n in corners[0].clip(0, (width, height)))
    right, bottom = (float(n) for n in corners[1].clip(0, (width, height)))
    if right - left < 1e-3 or bottom - top < 1e-3:
        return None
    edges = (_told(left), _told(top), _told(right), _told(bottom))
    box = (*edges[:2], _told(edges[2] - edges[0]), _told(edges[3] - edges[1]))
    shape = None if found.oriented is None else _oriented(found.oriented[at], frame)
    keypoints = None if found.keypoints is None else _keypoints(found.keypoints[at], frame)
    polygons = None
    if found.masks is not None:
        polygons = masking.polygons(found.masks(at), frame, (left, top, right, bottom))
    return Annotation(
        category=wanted.categories[int(found.classes[at])],
        bbox=None if shape else box,
        polygons=polygons,
        keypoints=keypoints,
        shape=shape,
        score=round(float(found.scores[at]), 4),
        status="suggestion",
        source=wanted.source,
    )


def _oriented(box: Array, frame: Frame) -> OrientedBox:
    x, y, width, height, angle = (float(n) for n in box)
    along = np.array([np.cos(angle), np.sin(angle)]) * width / 2
    across = np.array([-np.sin(angle), np.cos(angle)]) * height / 2
    centre = np.array([x, y])
    corners = [
        centre - along - across,
        centre + along - across,
        centre + along + across,
        centre - along + across,
    ]
    told = [_told(float(n)) for corner in corners for n in frame.back(corner)]
    return OrientedBox(tuple(told))  # type: ignore[arg-type]


def _keypoints(points: Array, frame: Frame) -> tuple[float, ...]:
    """x, y and v of each; those outside of the picture are not labelled."""
    told: list[float] = []
    for (x, y), sure in zip(frame.back(points[:, :2]), points[:, 2], strict=True):
        inside = 0 <= x <= frame.picture[0] and 0 <= y <= frame.picture[1]
        seen = 2 if sure >= VISIBLE else 1
        told += (_told(float(x)), _told(float(y)), seen) if inside else (0, 0, 0)
    return tuple(told)


def _told(number: float) -> float:
    return round(number, DIGITS)
