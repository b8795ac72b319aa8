"""YOLO from version 8 on with keypoints: each column ends with x and y, and mostly visibility, of each."""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "yolo8_pose"
TITLE = "YOLOv8, YOLO11 and others of ultralytics, with keypoints"
TOLD_BY = (
    "4 + categories + keypoints x cells of three grids; kpt_shape in the metadata, or values beyond 0 to 1"
)


def recognise(signature: Signature) -> Plan | None:
    head = ultralytics.raw(signature, 2)
    if head is None or head.prototypes or ultralytics.task_of(signature) not in (None, "pose"):
        return None
    stated = ultralytics.keypoints_of(signature)
    rows = (head.output.dims[1] or 0) - 4
    if stated is not None:
        shape, classes = stated, rows - stated[0] * stated[1]
    elif head.output.seen is not None and (told := _told(head.output.seen[0, 4:])) is not None:
        shape, classes = told
    else:
        return None
    if classes < 1:
        return None
    return ultralytics.posed(
        Plan(
            ultralytics.preparation(signature, head.picture),
            {ultralytics.word(head): head.output.name},
            classes=classes,
        ),
        shape,
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    found = []
    end = 4 + (plan.classes or 0)
    for rows in ultralytics.rows(outputs, frames):
        scores = rows[:, 4:end]
        keypoints = ultralytics.points(rows[:, end:], len(plan.keypoints or ()))
        boxes = ultralytics.corners(rows)
        found.append(Found(boxes, scores.max(axis=1), scores.argmax(axis=1), keypoints=keypoints))
    return found


def _told(rows: Array) -> tuple[tuple[int, int], int] | None:
    """How many keypoints of how many numbers there are, and how many categories, by what was seen.

    Scores and visibilities are from 0 to 1, places are not.
    """
    places = np.array([not ultralytics.are_shares(row) for row in rows])
    classes = int(places.argmax())
    rest = places[classes:]
    if not places.any() or classes < 1:
        return None
    if len(rest) % 3 == 0 and (rest.reshape(-1, 3) == (True, True, False)).all():
        return (len(rest) // 3, 3), classes
    if len(rest) % 2 == 0 and rest.all():
        return (len(rest) // 2, 2), classes
    return None
