"""YOLO from version 8 on as ultralytics exports it: one output, a column a place, no objectness.

Each column has centre x and y, width and height in pixels of the letterboxed picture, then the categories'
scores.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xlabel.detectors.layouts import Found, Plan, Signature, grids, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "yolo8"
TITLE = "YOLOv8, YOLO11 and others of ultralytics, without NMS"
TOLD_BY = "one output, 4 + categories x cells of the grids"


def recognise(signature: Signature) -> Plan | None:
    port = ultralytics.picture_of(signature)
    if port is None or len(signature.outputs) != 1:
        return None
    (output,) = signature.outputs
    size = ultralytics.tried(port)
    if size is None or len(output.dims) != 3:
        return None
    _, rows, places = output.dims
    if rows is None or places is None or rows < 5 or grids.strides_of(size, places) is None:
        return None
    return Plan(ultralytics.preparation(signature, port), {"columns": output.name}, classes=rows - 4)


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    return [_found(columns) for columns in outputs["columns"].astype(np.float32)]


def _found(columns: NDArray[np.float32]) -> Found:
    centre, half = columns[:2], columns[2:4] / 2
    boxes = np.concatenate([centre - half, centre + half]).T
    return Found(boxes, columns[4:].max(axis=0), columns[4:].argmax(axis=0))
