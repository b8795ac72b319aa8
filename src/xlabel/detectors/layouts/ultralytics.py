"""What models that ultralytics exports have in common: what they say of themselves, how pictures go in."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlabel.detectors.layouts import Plan, Port, Signature, grids, ports
from xlabel.detectors.preparing import Array, Frame, Preparation

SIDE = 640
"""Of the picture, where a model takes any size and says nothing."""
TASKS = ("detect", "segment", "pose", "obb")
NEAR = 2.0
"""Boxes whose numbers are all below are shares of the picture: in pixels some are larger."""
PERSON = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
"""COCO's keypoints."""
BONES = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10),
    (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
"""COCO's skeleton of a person."""


class Head(NamedTuple):
    """A model's only input, and the output that tells things: a cell of its grids each, or the surest."""

    picture: Port
    size: tuple[int, int]
    """Of the picture of which outputs were seen."""
    output: Port
    prototypes: Port | None
    """An output of masks, of which the things' own are sums."""


def head_of(signature: Signature) -> Head | None:
    """The ports of a model with one output of things, and one of prototypes or none."""
    picture = ports.picture_of(signature)
    size = ports.tried_size(picture) if picture else None
    things = [port for port in signature.outputs if len(port.dims) == 3]
    masks = [port for port in signature.outputs if len(port.dims) == 4]
    if picture is None or size is None or len(signature.inputs) != 1 or len(things) != 1 or len(masks) > 1:
        return None
    if len(things) + len(masks) != len(signature.outputs) or ports.axes_of(picture) not in ("NCHW", "NHWC"):
        return None
    return Head(picture, size, things[0], masks[0] if masks else None)


def raw(signature: Signature, extra: int = 0) -> Head | None:
    """A model whose output has a column a cell: a box, scores of categories, and `extra` numbers at least."""
    head = head_of(signature)
    if head is None:
        return None
    _, rows, count = head.output.dims
    known = count is not None and grids.strides_of(head.size, count) is not None
    return head if known and rows is not None and rows > 4 + extra else None


def upright(signature: Signature) -> Head | None:
    """A model whose output was turned so that it has a row a cell, which the number of its names tells."""
    head = head_of(signature)
    if head is None or head.prototypes is not None:
        return None
    _, count, numbers = head.output.dims
    known = count is not None and grids.strides_of(head.size, count) is not None
    return head if known and signature.named is not None and numbers == 4 + signature.named else None


def word(head: Head) -> str:
    """What `rows` knows an output by: boxes that TensorFlow exported are shares of the picture."""
    seen = head.output.seen
    return "pixels" if seen is None or in_pixels(seen[:, :4]) else "shares"


def rows(outputs: Mapping[str, Array], frames: Sequence[Frame]) -> Iterator[NDArray[np.float32]]:
    """Of each picture: a row a cell, which begins with the centre and the sides of a box in pixels."""
    for at, frame in enumerate(frames):
        if "upright" in outputs:
            yield outputs["upright"][at].astype(np.float32)
            continue
        found = outputs["pixels" if "pixels" in outputs else "shares"][at].T.astype(np.float32)
        if "shares" in outputs:
            found[:, :4] *= np.array(frame.size * 2, np.float32)
        yield found


def preparation(signature: Signature, picture: Port) -> Preparation:
    """Letterboxed on grey, RGB, 0 to 1."""
    return Preparation(
        input=picture.name,
        size=ports.stated_size(picture) or _stated(signature) or (SIDE, SIDE),
        axes=ports.axes_of(picture) or "NCHW",
        dtype=picture.dtype,
    )


def task_of(signature: Signature) -> str | None:
    """What a model states that it does, out of `TASKS`."""
    task = signature.metadata.get("task")
    return task if task in TASKS else None


def keypoints_of(signature: Signature) -> tuple[int, int] | None:
    """How many keypoints a model states, and how many numbers each has: 2, or 3 with its visibility."""
    shape = literal(signature.metadata, "kpt_shape")
    if not isinstance(shape, list | tuple) or len(shape) != 2 or not all(isinstance(n, int) for n in shape):
        return None
    return (shape[0], shape[1]) if shape[0] > 0 and shape[1] in (2, 3) else None


def in_pixels(boxes: Array) -> bool:
    """Whether boxes that were seen are in pixels, and no shares of the picture."""
    return bool(np.nanmax(boxes, initial=0) > NEAR)


def are_shares(scores: Array) -> bool:
    """Whether numbers may be scores: from 0 to 1."""
    return bool(((scores >= 0) & (scores <= 1)).all())


def corners(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Left, top, right, bottom (n x 4) out of centre x and y, width and height."""
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def around(oriented: NDArray[np.float32]) -> NDArray[np.float32]:
    """The boxes around oriented ones: centre x and y, width, height, radians."""
    cos, sin = np.abs(np.cos(oriented[:, 4])), np.abs(np.sin(oriented[:, 4]))
    across, down = oriented[:, 2], oriented[:, 3]
    sides = np.stack([across * cos + down * sin, across * sin + down * cos], axis=1)
    return corners(np.concatenate([oriented[:, :2], sides], axis=1))


def posed(plan: Plan, shape: tuple[int, int]) -> Plan:
    """A plan with names for its keypoints: 17 are COCO's."""
    if shape[0] == len(PERSON):
        return plan._replace(keypoints=tuple(PERSON), skeleton=BONES)
    return plan._replace(keypoints=tuple(f"point_{number}" for number in range(1, shape[0] + 1)))


def points(flat: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Keypoints (n x k x 3) out of rows of numbers; those without visibility are visible."""
    found = flat.reshape(len(flat), count, -1)
    if found.shape[2] == 3:
        return found
    return np.concatenate([found, np.ones_like(found[:, :, :1])], axis=2)


def literal(metadata: Mapping[str, str], key: str) -> Any:
    """What the text of a field of the metadata says in Python's words; None where it is none."""
    try:
        return ast.literal_eval(metadata.get(key, ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _stated(signature: Signature) -> tuple[int, int] | None:
    side = literal(signature.metadata, "imgsz")
    if isinstance(side, int):
        return side, side
    if isinstance(side, list | tuple) and len(side) == 2 and all(isinstance(n, int) for n in side):
        return side[1], side[0]
    return None
