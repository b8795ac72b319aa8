"""torchvision's detectors: SSD, SSDlite, RetinaNet, FCOS, Faster R-CNN. Pictures 0 to 1, of any size.

The order of the outputs differs from model to model (SSDlite has scores before labels), so what they hold
tells them apart. Number 0 is the background.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, ports
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "torchvision"
TITLE = "torchvision: SSD, SSDlite, RetinaNet, FCOS, Faster R-CNN"
TOLD_BY = "boxes n x 4, whole numbers n and scores n come out, in any order, alone or in a batch of one"


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    if picture is None or len(signature.inputs) != 1:
        return None
    for batch in ((), (None,)):
        boxes = ports.shaped(signature.outputs, *batch, None, 4)
        labels = ports.shaped(signature.outputs, *batch, None, kind="i")
        scores = ports.shaped(signature.outputs, *batch, None)
        if len(boxes) == len(labels) == len(scores) == 1:
            break
    else:
        return None
    preparation = Preparation(
        input=picture.name,
        size=ports.stated_size(picture),
        fit="corner",
        fill=0,
        axes=ports.axes_of(picture) or "CHW",
        dtype=picture.dtype,
    )
    words = {"boxes": boxes[0].name, "labels": labels[0].name, "scores": scores[0].name}
    return Plan(preparation, words, suppress=False, first=1)


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    boxes, scores, labels = (outputs[word] for word in ("boxes", "scores", "labels"))
    if boxes.ndim == 2:
        boxes, scores, labels = boxes[None], scores[None], labels[None]
    things = zip(boxes, scores, labels, strict=True)
    return [Found(b.astype(np.float32), s.astype(np.float32), n.astype(np.int64)) for b, s, n in things]
