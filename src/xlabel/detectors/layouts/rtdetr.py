"""RT-DETR and D-FINE as their own code exports them: it is told how large the picture is, and chooses itself.

RTDETRPostProcessor of lyuwenyu/RT-DETR, DFINEPostProcessor of Peterande/D-FINE.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, ports
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "rtdetr"
TITLE = "RT-DETR and D-FINE by their own export"
TOLD_BY = "an input of two numbers beside the picture; whole numbers, boxes and scores come out"

SIDE = 640


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    sizes = [port for port in signature.inputs if len(port.shape) == 2 and port.shape[1] in (2, None)]
    labels = ports.shaped(signature.outputs, None, None, kind="i")
    boxes = ports.shaped(signature.outputs, None, None, 4)
    scores = ports.shaped(signature.outputs, None, None)
    if picture is None or len(signature.inputs) != 2 or not sizes:
        return None
    if [len(labels), len(boxes), len(scores), len(signature.outputs)] != [1, 1, 1, 3]:
        return None
    preparation = Preparation(
        input=picture.name,
        size=ports.stated_size(picture) or (SIDE, SIDE),
        fit="stretch",
        smooth=True,
        dtype=picture.dtype,
    )

    def told(frames: Sequence[Frame]) -> Array:
        """Width and height in which the boxes are to be: those of the prepared picture."""
        return np.array([frame.size for frame in frames], sizes[0].dtype)

    return Plan(
        preparation,
        {"labels": labels[0].name, "boxes": boxes[0].name, "scores": scores[0].name},
        suppress=False,
        further={sizes[0].name: told},
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    values = (outputs["boxes"].astype(np.float32), outputs["scores"].astype(np.float32), outputs["labels"])
    return [
        Found(boxes, scores, labels.astype(np.int64)) for boxes, scores, labels in zip(*values, strict=True)
    ]
