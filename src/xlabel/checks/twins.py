"""What is there twice: annotations within an image, and image files within a set."""

from collections import defaultdict
from collections.abc import Iterator

from xlabel.checks import Fault
from xlabel.checks.geometry import finite
from xlabel.model import Annotation, Sample
from xlabel.model.geometry import Box, iou

ALIKE = 0.99
"""Boxes of one category whose intersection over union is above this cover the same thing."""


def faults(sample: Sample) -> Iterator[Fault]:
    """Annotations that say what an earlier one of the image says.

    Boxes are the same where the categories are and the boxes nearly; where both have a mask, an outline or
    keypoints as well, these must be equal. Labels without box must be equal in all that they show. Labels of
    a different status are not compared.
    """
    if len(sample.annotations) < 2:
        return
    groups: dict[object, list[tuple[Box, int]]] = defaultdict(list)
    seen: dict[object, int] = {}
    for number, annotation in enumerate(sample.annotations, 1):
        category = annotation.category
        who = (category.name, category.supercategory) if category else None, annotation.status
        box = annotation.bbox
        if box is not None and finite(box):
            groups[who].append((box, number))
        elif box is None:
            earlier = seen.setdefault((who, _shown(annotation), annotation.caption), number)
            if earlier != number:
                yield Fault("label-twice", f"says what annotation {earlier} says", number)
    for boxes in groups.values():
        if len(boxes) > 1:
            yield from _boxes(boxes, sample.annotations)


def _boxes(boxes: list[tuple[Box, int]], annotations: tuple[Annotation, ...]) -> Iterator[Fault]:
    boxes.sort(key=lambda item: item[0][0])
    for at, (box, number) in enumerate(boxes):
        for other, earlier in boxes[at + 1 :]:
            if other[0] > box[0] + (1 - ALIKE) * box[2]:  # they share less than ALIKE of their width
                break
            if iou(box, other) > ALIKE:
                one, two = sorted((number, earlier))
                shown, again = _shown(annotations[one - 1]), _shown(annotations[two - 1])
                if shown == again or not any(shown) or not any(again):
                    name = getattr(annotations[two - 1].category, "name", "no category")
                    yield Fault("box-twice", f"the box of annotation {one} again ({name})", two)
                    break


def _shown(annotation: Annotation) -> tuple[object, ...]:
    """The geometry besides the box."""
    return annotation.polygons, annotation.mask, annotation.keypoints, annotation.shape


class Contents:
    """The hashes of many image files, 16 bytes each, in which equal ones are found."""

    def __init__(self) -> None:
        self._hashes = bytearray()

    def add(self, digests: bytes) -> None:
        """The hashes of the next files, of 16 bytes each, joined."""
        self._hashes += digests

    def twins(self) -> Iterator[tuple[int, int]]:
        """Positions of each file that is not the first with its content, and of that first one, in order."""
        import numpy as np

        halves = np.frombuffer(self._hashes, "<u8").reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: equal ones stay in their order
        ranked = halves[order]
        again = np.zeros(len(order), bool)
        again[1:] = (ranked[1:] == ranked[:-1]).all(axis=1) & ranked[1:].any(axis=1)
        if not again.any():
            return
        starts = np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))
        places = order[again]
        for place in np.argsort(places):
            yield int(places[place]), int(order[starts[again][place]])
