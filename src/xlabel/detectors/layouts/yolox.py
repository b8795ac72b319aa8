"""YOLOX: a row a cell, with how sure it is that there is anything; its boxes are still to be decoded.

Megvii-BaseDetection/YOLOX, `demo_postprocess`: x and y count cells from the own one, width and height are
logarithms of cells. Files exported with `--decode_in_inference` have done that themselves. Pictures are BGR,
0 to 255, at the top left of a grey square, as they are since YOLOX 0.2.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, grids, ports, ultralytics
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "yolox"
TITLE = "YOLOX, decoded or not"
TOLD_BY = "cells of three grids x 5 + categories, of which none has an objectness of 1"


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    size = ports.tried_size(picture) if picture else None
    if picture is None or size is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        return None
    (output,) = signature.outputs
    seen = output.seen
    if ports.axes_of(picture) != "NCHW" or seen is None or seen.ndim != 3 or seen.shape[2] < 6:
        return None
    if grids.strides_of(size, seen.shape[1]) is None or not ultralytics.are_shares(seen[:, :, 4:]):
        return None
    if (seen[:, :, 4] == 1).all():  # YOLOv6, which wants its pictures otherwise
        return None
    # In pixels the boxes of the last cells lie far from the first.
    decoded = (seen[:, :, 2:4] >= 0).all() and seen[:, :, 0].max() > size[0] / 2
    preparation = Preparation(
        input=picture.name,
        size=ports.stated_size(picture) or (ultralytics.SIDE, ultralytics.SIDE),
        fit="corner",
        bgr=True,
        scale=1,
        dtype=picture.dtype,
    )
    return Plan(preparation, {"boxes" if decoded else "raw": output.name}, classes=seen.shape[2] - 5)


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    found = []
    for at, frame in enumerate(frames):
        rows = outputs["raw" if "raw" in outputs else "boxes"][at].astype(np.float32)
        if "raw" in outputs:
            cells, sides = grids.cells(frame.size, grids.strides_of(frame.size, len(rows)) or ())
            rows[:, :2] = (rows[:, :2] + cells) * sides
            rows[:, 2:4] = np.exp(rows[:, 2:4]) * sides
        scores = rows[:, 5:] * rows[:, 4:5]
        found.append(Found(ultralytics.corners(rows), scores.max(axis=1), scores.argmax(axis=1)))
    return found
