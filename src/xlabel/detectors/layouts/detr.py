"""DETR and its followers as transformers exports them: logits and pred_boxes.

The first ones decide between the categories and nothing, which is the last column; later ones ask for each
category by itself. Which it is and how pictures are prepared is in config.json and preprocessor_config.json,
which transformers writes beside a model (`beside`); where they are not, it is found out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xlabel.detectors import coco
from xlabel.detectors.layouts import Found, Plan, Port, Signature, ports, queries
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "detr"
TITLE = "DETR, Conditional DETR, RT-DETR and D-FINE by transformers"
TOLD_BY = "logits: queries x categories, and pred_boxes: queries x 4"

DECIDING = ("detr", "yolos")
"""Those that decide, as config.json calls them."""
RT_DETR = Preparation(input="", size=(640, 640), fit="stretch", smooth=True)
DETR = Preparation(input="", sides=(800, 1333), smooth=True, mean=queries.MEAN, std=queries.STD)
GUESSED = (
    "pictures are prepared as {} has learnt them; where that is wrong, put preprocessor_config.json beside it"
)


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    outputs = {port.name.removeprefix("pred_"): port for port in signature.outputs}
    logits, boxes = outputs.get("logits"), outputs.get("boxes")
    others = [port for port in signature.inputs if port is not picture]
    if picture is None or logits is None or boxes is None or boxes.dims[-1:] != (4,):
        return None
    columns = logits.dims[2] if len(logits.dims) == 3 else None
    if columns is None or any(port.name != "pixel_mask" for port in others):
        return None
    deciding = _decides(signature, logits, columns)
    sparse = columns - deciding == coco.MOST + 1
    stated = _stated(signature.metadata)
    like_rt_detr = not deciding and not others and not sparse
    preparation = stated or (RT_DETR if like_rt_detr else DETR)
    note = GUESSED.format("RT-DETR" if like_rt_detr else "DETR")

    def whole(frames: Sequence[Frame]) -> Array:
        """All of the prepared picture is picture."""
        width, height = frames[0].size
        return np.ones((len(frames), height, width), others[0].dtype)

    return Plan(
        preparation._replace(
            input=picture.name,
            size=ports.stated_size(picture) or preparation.size,
            fit="stretch",
            dtype=picture.dtype,
        ),
        {"decided" if deciding else "asked": logits.name, "boxes": boxes.name},
        suppress=False,
        classes=None if sparse else columns - deciding,
        names=coco.NAMES if sparse else None,
        further={port.name: whole for port in others},
        notes=() if stated else (note,),
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    word, chosen = ("decided", queries.decided) if "decided" in outputs else ("asked", queries.asked)
    values = zip(outputs[word], outputs["boxes"], frames, strict=True)
    return [queries.found(logits, shares, frame, chosen) for logits, shares, frame in values]


def _decides(signature: Signature, logits: Port, columns: int) -> bool:
    """Whether the last column is for nothing: by the model's type, COCO's ids, or what was seen."""
    if "model_type" in signature.metadata:
        return signature.metadata["model_type"] in DECIDING
    if columns in (coco.MOST + 1, coco.MOST + 2):
        return columns == coco.MOST + 2
    if logits.seen is not None:
        # In a picture of noise one is sure of nothing, and the other answers every question with no.
        middle = np.median(logits.seen.reshape(-1, columns), axis=0)
        if (middle < 0).all():
            return False
        if middle.argmax() == columns - 1:
            return True
    raise ValueError("expected to see whether its last column is for nothing; put its config.json beside it")


def _stated(metadata: Mapping[str, str]) -> Preparation | None:
    """What preprocessor_config.json says, as far as it says what can be done here."""
    try:
        told: dict[str, Any] = json.loads(metadata["preprocessor"])
        size = told["size"]
        normal = told.get("do_normalize", True)
        fixed = "height" in size
        return Preparation(
            input="",
            size=(int(size["width"]), int(size["height"])) if fixed else None,
            sides=None if fixed else (int(size["shortest_edge"]), int(size.get("longest_edge", 1333))),
            smooth=True,
            scale=float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1,
            mean=tuple(map(float, told["image_mean"])) if normal else (0, 0, 0),  # type: ignore[arg-type]
            std=tuple(map(float, told["image_std"])) if normal else (1, 1, 1),  # type: ignore[arg-type]
        )
    except (KeyError, ValueError, TypeError):
        return None
