"""YOLO from version 8 on with oriented boxes: each column ends with an angle in radians, clockwise."""

from collections.abc import Mapping, Sequence

from xlabel.detectors.layouts import Found, Plan, Signature, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "yolo8_oriented"
TITLE = "YOLOv8, YOLO11 and others of ultralytics, with oriented boxes"
TOLD_BY = "4 + categories + 1 x cells of three grids; the task in the metadata, or a last row beyond 0 to 1"


def recognise(signature: Signature) -> Plan | None:
    head = ultralytics.raw(signature, 1)
    task = ultralytics.task_of(signature)
    if head is None or head.prototypes or task not in (None, "obb"):
        return None
    seen = head.output.seen
    if task is None and (
        seen is None
        or not ultralytics.are_shares(seen[:, 4:-1])
        or ultralytics.are_shares(seen[:, -1])
        or ultralytics.in_pixels(abs(seen[:, -1]) - 1)
    ):
        return None
    words = {ultralytics.word(head): head.output.name}
    classes = (head.output.dims[1] or 0) - 5
    return Plan(ultralytics.preparation(signature, head.picture), words, classes=classes)


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    found = []
    for rows in ultralytics.rows(outputs, frames):
        oriented, scores = rows[:, [0, 1, 2, 3, -1]], rows[:, 4:-1]
        boxes = ultralytics.around(oriented)
        found.append(Found(boxes, scores.max(axis=1), scores.argmax(axis=1), oriented=oriented))
    return found
