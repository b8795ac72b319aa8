"""RT-DETR as ultralytics exports it: boxes as shares of the picture, centre x and y, width and height.

Behind a box are a score and the number of a category since 8.4, and before that a score for each category.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "rtdetr_ultralytics"
TITLE = "RT-DETR by ultralytics"
TOLD_BY = "names in the metadata; queries x 6 or 4 + categories, with boxes that are shares and never empty"

BOX = slice(0, 4)


def recognise(signature: Signature) -> Plan | None:
    head = ultralytics.head_of(signature)
    names = ultralytics.literal(signature.metadata, "names")
    if head is None or head.prototypes is not None or head.output.seen is None or not isinstance(names, dict):
        return None
    seen = head.output.seen
    boxes, rest = seen[:, :, BOX], seen[:, :, 4:]
    if not ultralytics.are_shares(boxes) or not boxes[:, :, 2:].all():
        return None
    if rest.shape[2] == 2 and (rest[:, :, 1] == np.rint(rest[:, :, 1])).all():
        word = "chosen"
    elif rest.shape[2] == len(names) and ultralytics.are_shares(rest):
        word = "scores"
    else:
        return None
    preparation = ultralytics.preparation(signature, head.picture)._replace(fit="stretch")
    return Plan(preparation, {word: head.output.name}, suppress=False, classes=len(names))


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    rows = outputs["chosen" if "chosen" in outputs else "scores"].astype(np.float32)
    found = []
    for one, frame in zip(rows, frames, strict=True):
        boxes = ultralytics.corners(one[:, BOX] * np.array(frame.size * 2, np.float32))
        scores, classes = one[:, 4:].max(axis=1), one[:, 4:].argmax(axis=1)
        if "chosen" in outputs:
            scores, classes = one[:, 4], np.rint(one[:, 5]).astype(np.int64)
        found.append(Found(boxes, scores, classes))
    return found
