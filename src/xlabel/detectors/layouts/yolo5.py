"""YOLOv5 and v7: a row for each of three anchors a cell, with how sure it is that there is anything.

A row has centre x and y, width and height, objectness, the categories' scores, and with masks the shares that
prototypes have in it. What TensorFlow exported has shares of the picture instead of pixels.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors import masking
from xlabel.detectors.layouts import Found, Plan, Port, Signature, grids, ports, ultralytics
from xlabel.detectors.preparing import Array, Frame

NAME = "yolo5"
TITLE = "YOLOv5, YOLOv7, also with masks, also of TensorFlow"
TOLD_BY = "3 x cells of the grids x 5 + categories (+ prototypes)"

ANCHORS = 3


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    size = ports.tried_size(picture) if picture else None
    if picture is None or size is None or len(signature.inputs) != 1:
        return None
    things = [port for port in ports.shaped(signature.outputs, None, None, None) if _is_of(port, size)]
    if len(things) != 1 or things[0].seen is None:
        return None
    (output,), seen = things, things[0].seen
    masks = ports.shaped(signature.outputs, None, None, None, None)
    # Grids before they are decoded, 1 x 3 x rows x columns x numbers, are what YOLOv7 may have besides.
    if any(port is not output and port not in masks and len(port.dims) != 5 for port in signature.outputs):
        return None
    prototypes = masks[0] if len(masks) == 1 else None
    classes = seen.shape[2] - 5 - ((prototypes.dims[1] or 0) if prototypes else 0)
    if len(masks) > 1 or classes < 1 or not ultralytics.are_shares(seen[:, :, 4 : 5 + classes]):
        return None
    words = {"pixels" if ultralytics.in_pixels(seen[:, :, :4]) else "shares": output.name}
    if prototypes:
        words["prototypes"] = prototypes.name
    return Plan(ultralytics.preparation(signature, picture), words, classes=classes)


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    found = []
    end = 5 + (plan.classes or 0)
    for at, frame in enumerate(frames):
        rows = outputs["shares" if "shares" in outputs else "pixels"][at].astype(np.float32)
        if "shares" in outputs:
            rows[:, :4] *= np.array(frame.size * 2, np.float32)
        scores = rows[:, 5:end] * rows[:, 4:5]
        one = Found(ultralytics.corners(rows), scores.max(axis=1), scores.argmax(axis=1))
        if "prototypes" in outputs:
            one = one._replace(masks=masking.from_prototypes(rows[:, end:], outputs["prototypes"][at]))
        found.append(one)
    return found


def _is_of(port: Port, size: tuple[int, int]) -> bool:
    count, numbers = port.dims[1:]
    known = count is not None and grids.strides_of(size, count, ANCHORS) is not None
    return known and numbers is not None and numbers > 5
