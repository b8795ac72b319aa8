"""YOLO from version 8 on as ultralytics exports it: one output, a column a cell, no objectness. Some turn it.

Each column has centre x and y, width and height in pixels of the letterboxed picture, then the categories'
scores.
"""

from collections.abc import Mapping, Sequence

from xlabel.detectors.layouts import Found, Plan, Signature, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "yolo8"
TITLE = "YOLOv8, YOLO11 and others of ultralytics"
TOLD_BY = "one output, 4 + categories x cells of three grids"


def recognise(signature: Signature) -> Plan | None:
    if (turned := ultralytics.upright(signature)) is not None:
        words = {"upright": turned.output.name}
        return Plan(ultralytics.preparation(signature, turned.picture), words, classes=signature.named)
    head = ultralytics.raw(signature)
    task = ultralytics.task_of(signature)
    if head is None or head.prototypes or task not in (None, "detect"):
        return None
    seen = head.output.seen
    if task is None and (seen is None or not ultralytics.are_shares(seen[:, 4:])):
        return None  # keypoints or angles
    preparation = ultralytics.preparation(signature, head.picture)
    return Plan(
        preparation, {ultralytics.word(head): head.output.name}, classes=(head.output.dims[1] or 0) - 4
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    return [
        Found(ultralytics.corners(rows), rows[:, 4:].max(axis=1), rows[:, 4:].argmax(axis=1))
        for rows in ultralytics.rows(outputs, frames)
    ]
