"""What a model found against labels that are right: boxes that are the same thing, and COCO's measures.

cocodataset.org/#detection-eval. The numbers are read off what `accumulate` of pycocotools makes, as its own
`summarize` does, by whichever of its two libraries is there.
"""

import io
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from typing import Any, NamedTuple

from xlabel.errors import extra
from xlabel.model.geometry import Box, overlaps

SAME = 0.5
"""Boxes of one category that overlap by so much of their union show the same thing."""
AT_50, AT_75 = 0, 5
"""Where these stand in the thresholds of COCO, from 0.5 on in steps of 0.05."""


class Thing(NamedTuple):
    """A box in an image: a label, or what a model found."""

    image: int
    category: int
    box: Box
    score: float = 1.0
    crowd: bool = False


class AP(NamedTuple):
    """Average precision: over thresholds from 0.5 to 0.95, at 0.5, and at 0.75; None without any label."""

    ap: float | None
    ap50: float | None
    ap75: float | None


def matched(found: Sequence[Thing], truth: Sequence[Thing]) -> list[bool | None]:
    """Whether each thing that was found in an image, of one category, is one of the labels.

    The one with the highest score chooses first, and takes the label that it overlaps most. None for what
    lies in a crowd, which is neither right nor wrong (COCO's rule, at the threshold `SAME`).
    """
    import numpy as np

    crowds = _corners([label for label in truth if label.crowd])
    left = _corners([label for label in truth if not label.crowd])
    result: list[bool | None] = [False] * len(found)
    boxes = _corners(found)
    for at in sorted(range(len(found)), key=lambda at: -found[at].score):
        shared = overlaps(boxes[at], left)
        if len(left) and shared.max() >= SAME:
            left = np.delete(left, int(shared.argmax()), axis=0)
            result[at] = True
        elif len(crowds) and _covered(boxes[at], crowds) >= SAME:
            result[at] = None
    return result


def average_precision(
    images: Iterable[int], categories: Iterable[int], truth: Iterable[Thing], found: Iterable[Thing]
) -> tuple[AP, dict[int, AP]]:
    """That of all categories that have labels, and that of each. MissingExtraError without a library."""
    coco, evaluation = _library()
    about = {"images": [{"id": number} for number in images], "categories": [{"id": n} for n in categories]}
    with redirect_stdout(io.StringIO()):  # pycocotools tells what it does
        made = evaluation(_set(coco, about, truth), _set(coco, about, found), "bbox")
        made.evaluate()
        made.accumulate()
    precision = made.eval["precision"][:, :, :, 0, -1]  # of all sizes, with up to 100 boxes an image
    each = {int(number): _mean(precision[:, :, place]) for place, number in enumerate(made.params.catIds)}
    return _mean(precision), each


def _corners(things: Sequence[Thing]) -> Any:
    import numpy as np

    boxes = np.array([thing.box for thing in things], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _covered(box: Any, crowds: Any) -> float:
    """The share of a box that lies in a crowd, of that which covers most of it."""
    areas = (crowds[:, 2:] - crowds[:, :2]).prod(axis=1)
    area = float((box[2] - box[0]) * (box[3] - box[1]))
    shared = overlaps(box, crowds)
    return float((shared * (areas + area) / (1 + shared) / area).max()) if area else 0.0


def _mean(precision: Any) -> AP:
    """Over what is known, which a category without labels is not (-1)."""

    def mean(part: Any) -> float | None:
        known = part[part > -1]
        return float(known.mean()) if known.size else None

    return AP(mean(precision), mean(precision[AT_50]), mean(precision[AT_75]))


def _set(coco: Any, about: dict[str, Any], things: Iterable[Thing]) -> Any:
    made = coco()
    records = [
        {
            "id": number,
            "image_id": thing.image,
            "category_id": thing.category,
            "bbox": list(thing.box),
            "area": thing.box[2] * thing.box[3],
            "iscrowd": int(thing.crowd),
            "score": thing.score,
        }
        for number, thing in enumerate(things, 1)
    ]
    made.dataset = {**about, "annotations": records}
    made.createIndex()
    return made


def _library() -> tuple[Any, Any]:
    with extra("evaluate", "COCO's measures"):
        try:
            from faster_coco_eval import COCO, COCOeval_faster

            return COCO, COCOeval_faster
        except ImportError:
            from pycocotools.coco import COCO as Slower
            from pycocotools.cocoeval import COCOeval

            return Slower, COCOeval
