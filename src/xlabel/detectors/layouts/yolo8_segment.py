"""YOLO from version 8 on with masks: each column ends with the shares that prototypes have in its mask."""

from collections.abc import Mapping, Sequence

from xlabel.detectors import masking
from xlabel.detectors.layouts import Found, Plan, Signature, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "yolo8_segment"
TITLE = "YOLOv8, YOLO11 and others of ultralytics, with masks"
TOLD_BY = "4 + categories + prototypes x cells of three grids; and the prototypes, a quarter as large"


def recognise(signature: Signature) -> Plan | None:
    head = ultralytics.raw(signature)
    if head is None or head.prototypes is None or ultralytics.task_of(signature) not in (None, "segment"):
        return None
    count = head.prototypes.dims[1]
    classes = (head.output.dims[1] or 0) - 4 - (count or 0)
    if count is None or classes < 1:
        return None
    words = {ultralytics.word(head): head.output.name, "prototypes": head.prototypes.name}
    return Plan(ultralytics.preparation(signature, head.picture), words, classes=classes)


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    found = []
    end = 4 + (plan.classes or 0)
    for rows, prototypes in zip(ultralytics.rows(outputs, frames), outputs["prototypes"], strict=True):
        scores = rows[:, 4:end]
        masks = masking.from_prototypes(rows[:, end:], prototypes)
        found.append(Found(ultralytics.corners(rows), scores.max(axis=1), scores.argmax(axis=1), masks))
    return found
