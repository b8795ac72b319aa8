"""RF-DETR as its own code exports it: dets, labels and perhaps masks. rfdetr/export/_onnx/inference.py.

Models of COCO have a column for each id from 0 to 90; others one for each category, and one behind them for
nothing.
"""

from collections.abc import Mapping, Sequence

from xlabel.detectors import coco
from xlabel.detectors.layouts import Found, Plan, Signature, ports, queries
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "rfdetr"
TITLE = "RF-DETR by its own export, with masks or without"
TOLD_BY = "dets: queries x 4 boxes, and labels: queries x categories + 1; masks: a map a query"


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    outputs = {port.name: port for port in ports.shaped(signature.outputs, None, None, None)}
    size = ports.stated_size(picture) if picture else None
    if picture is None or size is None or not {"dets", "labels"} <= set(outputs):
        return None
    columns = outputs["labels"].dims[2]
    if outputs["dets"].dims[2] != 4 or columns is None or len(signature.inputs) != 1:
        return None
    preparation = Preparation(
        input=picture.name,
        size=size,
        fit="stretch",
        dtype=picture.dtype,
        mean=queries.MEAN,
        std=queries.STD,
    )
    words = {"logits": "labels", "boxes": "dets"}
    if any(port.name == "masks" for port in ports.shaped(signature.outputs, None, None, None, None)):
        words["masks"] = "masks"
    sparse = columns == coco.MOST + 1
    return Plan(
        preparation,
        words,
        suppress=False,
        classes=None if sparse else columns - 1,
        names=coco.NAMES if sparse else None,
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    logits = outputs["logits"][:, :, : plan.classes]
    masks = outputs.get("masks", [None] * len(frames))
    values = zip(logits, outputs["boxes"], frames, masks, strict=True)
    return [queries.found(told, shares, frame, queries.asked, maps) for told, shares, frame, maps in values]
