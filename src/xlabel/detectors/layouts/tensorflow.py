"""TensorFlow's object detection: whole numbers 0 to 255 in, boxes as shares of the picture out, y before x.

Models of its zoo end with the boxes that they keep, by name; COCO-SSD of TensorFlow.js has scores of every
category for every box, which are still to be chosen from. Category 0 is the background.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors import coco
from xlabel.detectors.layouts import Found, Plan, Port, Signature, ports
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "tensorflow"
TITLE = "TensorFlow object detection, COCO-SSD"
TOLD_BY = (
    "a picture with its colours last; detection_boxes, _classes and _scores, or scores and as many boxes"
)


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    if picture is None or len(signature.inputs) != 1 or ports.axes_of(picture) != "NHWC":
        return None
    preparation = Preparation(
        input=picture.name,
        size=ports.stated_size(picture),
        fit="stretch",
        axes="NHWC",
        dtype=picture.dtype,
        scale=1,
    )
    named = {_word(port): port.name for port in signature.outputs if _word(port)}
    if {"boxes", "classes", "scores"} <= set(named):
        return Plan(preparation, named, suppress=False, first=1)
    boxes = ports.shaped(signature.outputs, None, None, 1, 4) or ports.shaped(
        signature.outputs, None, None, 4
    )
    scores = [
        port for port in ports.shaped(signature.outputs, None, None, None) if port.dims[2] not in (None, 4)
    ]
    if picture.dtype == "float32" or len(signature.outputs) != 2 or len(boxes) != 1 or len(scores) != 1:
        return None
    classes = scores[0].dims[2] or 0
    return Plan(
        preparation,
        {"boxes": boxes[0].name, "likely": scores[0].name},
        classes=classes,
        names=coco.NAMES if classes == coco.MOST else None,
        first=1,
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    found = []
    for at, frame in enumerate(frames):
        shares = outputs["boxes"][at].reshape(-1, 4)
        boxes = (shares[:, [1, 0, 3, 2]] * np.array(frame.size * 2)).astype(np.float32)
        if "likely" in outputs:
            likely = outputs["likely"][at].astype(np.float32)
            found.append(Found(boxes, likely.max(axis=1), likely.argmax(axis=1) + 1))
            continue
        scores, classes = outputs["scores"][at].astype(np.float32), outputs["classes"][at].astype(np.int64)
        found.append(Found(boxes, scores, classes))
    return found


def _word(port: Port) -> str:
    """What an output is called; exporters put other words around it."""
    told = ("detection_boxes", "detection_classes", "detection_scores")
    return next((name.partition("_")[2] for name in told if port.name.partition(":")[0].endswith(name)), "")
