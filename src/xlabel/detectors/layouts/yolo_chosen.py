"""YOLO of ultralytics that has chosen its things itself: exported with NMS inside, or made without (26, v10).

A row a thing, the surest first, and zeros behind them: a box, a score, the number of a category, and whatever
else the task has. The box is left, top, right, bottom; of an oriented one centre x and y, width and height.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xlabel.detectors import masking
from xlabel.detectors.layouts import Found, Plan, Port, Signature, grids, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "yolo_chosen"
TITLE = "YOLO of ultralytics with NMS inside, or that needs none (YOLO26, v10), for each of these tasks"
TOLD_BY = "one output, things x 6, or more; the task in the metadata, or whole numbers for categories"

BOX, SCORE, CLASS, REST = slice(0, 4), 4, 5, 6
WORDS = {"detect": "things", "segment": "things", "pose": "things", "obb": "oriented"}


def recognise(signature: Signature) -> Plan | None:
    head = ultralytics.head_of(signature)
    if head is None:
        return None
    _, count, numbers = head.output.dims
    if numbers is None or numbers < REST or (count is not None and count < numbers):
        return None
    if count is not None and any(grids.strides_of(head.size, count, anchors) for anchors in (1, 3)):
        return None
    seen = head.output.seen
    if seen is not None and seen.any() and not ultralytics.in_pixels(seen[:, :, BOX]):
        return None  # RT-DETR of ultralytics, whose boxes are centres and sides, as shares
    task = ultralytics.task_of(signature) or _told(head.output, numbers)
    extra = numbers - REST
    shape = ultralytics.keypoints_of(signature)
    wanted = {
        "detect": 0,
        "segment": head.prototypes.dims[1] if head.prototypes else None,
        "pose": shape[0] * shape[1] if shape else None,
        "obb": 1,
    }
    if task is None or wanted[task] != extra or (head.prototypes is not None) != (task == "segment"):
        return None
    words = {WORDS[task]: head.output.name}
    if head.prototypes is not None:
        words["prototypes"] = head.prototypes.name
    plan = Plan(ultralytics.preparation(signature, head.picture), words, suppress=False)
    return ultralytics.posed(plan, shape) if task == "pose" and shape else plan


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    found = []
    things = outputs["oriented" if "oriented" in outputs else "things"].astype(np.float32)
    for at in range(len(frames)):
        one = _found(things[at])
        rest = things[at][:, REST:]
        if "oriented" in outputs:
            oriented = np.concatenate([things[at][:, BOX], rest], axis=1)
            one = one._replace(boxes=ultralytics.around(oriented), oriented=oriented)
        elif "prototypes" in outputs:
            one = one._replace(masks=masking.from_prototypes(rest, outputs["prototypes"][at]))
        elif plan.keypoints:
            one = one._replace(keypoints=ultralytics.points(rest, len(plan.keypoints)))
        found.append(one)
    return found


def _found(rows: NDArray[np.float32]) -> Found:
    return Found(rows[:, BOX], rows[:, SCORE], np.rint(rows[:, CLASS]).astype(np.int64))


def _told(output: Port, numbers: int) -> str | None:
    """The task of a model that states none: boxes, where what was seen can be nothing else."""
    seen = output.seen
    if numbers != REST or seen is None or not seen.any():
        return None
    left, top, right, bottom = np.moveaxis(seen[:, :, BOX], 2, 0)
    whole = (seen[:, :, CLASS] == np.rint(seen[:, :, CLASS])).all()
    ordered = (left <= right).all() and (top <= bottom).all() and ultralytics.in_pixels(seen[:, :, BOX])
    return "detect" if whole and ordered and ultralytics.are_shares(seen[:, :, SCORE]) else None
