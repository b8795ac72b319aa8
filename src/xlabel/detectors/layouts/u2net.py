"""U2-Net: how much each pixel belongs to what stands out, whatever that is. rembg uses it.

Seven maps come out, of which the first is made of the others.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, ports, queries, ultralytics
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "u2net"
TITLE = "U2-Net, as rembg uses it: one mask of what stands out"
TOLD_BY = "seven maps of shares, as large as the picture"

MAPS = 7


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    size = ports.tried_size(picture) if picture else None
    if picture is None or size is None or len(signature.inputs) != 1 or len(signature.outputs) != MAPS:
        return None
    maps = ports.shaped(signature.outputs, None, 1, size[1], size[0])
    if len(maps) != MAPS or any(port.seen is None or not ultralytics.are_shares(port.seen) for port in maps):
        return None
    preparation = Preparation(
        input=picture.name,
        size=size,
        fit="stretch",
        smooth=True,
        dtype=picture.dtype,
        scale=None,
        mean=queries.MEAN,
        std=queries.STD,
    )
    words = {"map": maps[0].name}
    return Plan(preparation, words, suppress=False, classes=1, names={0: "salient"})


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    return [_found(one[0].astype(np.float32)) for one in outputs["map"][: len(frames)]]


def _found(shares: Array) -> Found:
    """The mask, which is as sure as its pixels are on average."""
    least, most = float(shares.min()), float(shares.max())
    stretched = (shares - least) / max(most - least, 1e-6) - 0.5  # as rembg does it
    heights = stretched.astype(np.float32)
    rows, columns = np.nonzero(heights > 0)
    if not rows.size:
        return Found(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    score = shares[heights > 0].mean(keepdims=True)
    return Found(box, score, np.zeros(1, np.int64), masks=lambda _: heights)
