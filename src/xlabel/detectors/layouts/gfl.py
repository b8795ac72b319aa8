"""NanoDet and PicoDet: each cell has scores, and for each side of its box how likely which distance is.

Generalized Focal Loss (Li et al., 2020); GFLHead and NanoDetPlusHead of RangiLyu/nanodet, PicoHead of
PaddleDetection. Scores come out after the sigmoid, distances before the softmax.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Port, Signature, grids, ports
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "gfl"
TITLE = "NanoDet, NanoDet-Plus, PicoDet"
TOLD_BY = (
    "scores and 4 x 8 or 4 x 11 distances for the cells of three grids (NanoDet), of four (PicoDet), "
    "or of four in one output (NanoDet-Plus)"
)

DISTANCES = (8, 11)
"""How many a side may have, in cells from 0: PicoDet and NanoDet-Plus, NanoDet."""
NANODET = Preparation(
    input="",
    fill=0,
    bgr=True,
    scale=1,
    mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395),
)
PLUS = NANODET._replace(fit="stretch")
PICODET = Preparation(input="", fit="stretch", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    size = ports.tried_size(picture) if picture else None
    if picture is None or size is None or len(signature.inputs) != 1:
        return None
    found = _apart(signature.outputs, size) or _joined(signature.outputs, size)
    if found is None:
        return None
    words, classes = found
    preparation = PLUS if "joined" in words else PICODET if "scores 3" in words else NANODET
    return Plan(
        preparation._replace(input=picture.name, size=size, dtype=picture.dtype), words, classes=classes
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    if "joined" in outputs:
        scores, distances = np.split(outputs["joined"].astype(np.float32), [plan.classes or 0], axis=2)
    else:
        scores, distances = _together(outputs, "scores"), _together(outputs, "distances")
    size = frames[0].size
    cells, sides = grids.cells(size, grids.strides_of(size, scores.shape[1]) or ())
    # NanoDet-Plus measures from the corners of its cells, the others from their middles.
    points = (cells + (0 if "joined" in outputs else 0.5)) * sides
    return [_found(one, _expected(far) * sides, points) for one, far in zip(scores, distances, strict=True)]


def _found(scores: Array, distances: Array, points: Array) -> Found:
    boxes = np.concatenate([points - distances[:, :2], points + distances[:, 2:]], axis=1)
    return Found(boxes, scores.max(axis=1), scores.argmax(axis=1))


def _expected(logits: Array) -> Array:
    """The mean of each of the four distances of a cell, in cells."""
    likely = logits.reshape(len(logits), 4, -1)
    likely = np.exp(likely - likely.max(axis=2, keepdims=True))
    likely /= likely.sum(axis=2, keepdims=True)
    return np.asarray(likely @ np.arange(likely.shape[2], dtype=np.float32))


def _together(outputs: Mapping[str, Array], word: str) -> Array:
    """The outputs of all grids, the finest first."""
    names = sorted(name for name in outputs if name.startswith(word))
    return np.concatenate([outputs[name] for name in names], axis=1).astype(np.float32)


def _apart(outputs: Sequence[Port], size: tuple[int, int]) -> tuple[dict[str, str], int] | None:
    """The words of two outputs a grid, which pair by their cells, and the number of categories."""
    flat = ports.shaped(outputs, None, None, None)
    counts = sorted({port.dims[1] or 0 for port in flat}, reverse=True)
    strides = grids.strides_of(size, sum(counts)) or ()
    if len(flat) != len(outputs) or len(outputs) != 2 * len(counts) or len(strides) != len(counts):
        return None
    for columns in (4 * count for count in DISTANCES):
        words = {}
        for port in flat:
            kind = "distances" if port.dims[2] == columns else "scores"
            words[f"{kind} {counts.index(port.dims[1] or 0)}"] = port.name
        classes = {port.dims[2] for port in flat} - {columns}
        if len(words) == len(outputs) and len(classes) == 1:
            return words, classes.pop() or 0
    return None


def _joined(outputs: Sequence[Port], size: tuple[int, int]) -> tuple[dict[str, str], int] | None:
    """The same of one output, scores before distances, which are the only numbers not from 0 to 1."""
    (output,) = outputs if len(outputs) == 1 else (None,)
    if output is None or output.seen is None or len(output.dims) != 3:
        return None
    _, cells, columns = output.seen.shape
    classes = columns - 4 * DISTANCES[0]
    if len(grids.strides_of(size, cells) or ()) != 4 or classes < 1:
        return None
    shares = (output.seen >= 0) & (output.seen <= 1)
    if not shares[:, :, :classes].all() or shares[:, :, classes:].all():
        return None
    return {"joined": output.name}, classes
