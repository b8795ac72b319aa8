"""FastestDet: one map over the picture, a sixteenth of its size. runtime.py of dog-qiuqiu/FastestDet."""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, ports
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "fastestdet"
TITLE = "FastestDet"
TOLD_BY = (
    "a map of 5 + categories channels, a sixteenth as large as the picture, the last of which sum up to 1"
)

STRIDE = 16


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    size = ports.tried_size(picture) if picture else None
    if picture is None or size is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        return None
    (output,) = signature.outputs
    seen = output.seen
    if seen is None or seen.ndim != 4 or seen.shape[1] < 6:
        return None
    if seen.shape[2:] != (size[1] // STRIDE, size[0] // STRIDE):
        return None
    if not np.allclose(seen[:, 5:].sum(axis=1), 1, atol=1e-3):
        return None
    preparation = Preparation(
        input=picture.name, size=size, fit="stretch", smooth=True, bgr=True, dtype=picture.dtype
    )
    return Plan(preparation, {"map": output.name}, classes=seen.shape[1] - 5)


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    return [_found(one, frame) for one, frame in zip(outputs["map"].astype(np.float32), frames, strict=True)]


def _found(channels: Array, frame: Frame) -> Found:
    rows, columns = np.mgrid[: channels.shape[1], : channels.shape[2]]
    cell = np.array(frame.size) / channels.shape[:0:-1]
    middles = (np.stack([columns, rows]) + np.tanh(channels[1:3])).reshape(2, -1).T * cell
    halves = (1 / (1 + np.exp(-channels[3:5]))).reshape(2, -1).T * frame.size / 2
    likely = channels[5:].reshape(len(channels) - 5, -1)
    boxes = np.concatenate([middles - halves, middles + halves], axis=1).astype(np.float32)
    return Found(boxes, channels[0].ravel() * likely.max(axis=0), likely.argmax(axis=0))
