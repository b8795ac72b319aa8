"""What models that ultralytics exported say of themselves, and how all of them want their pictures."""

import ast
from typing import Any

from xlabel.detectors.layouts import Port, Signature
from xlabel.detectors.preparing import Preparation

SIDE = 640
"""Of the picture, where a model takes any size and says nothing."""


def picture_of(signature: Signature) -> Port | None:
    """The input for the picture, where it is the only one, with colours before rows or behind them."""
    if len(signature.inputs) != 1 or len(signature.inputs[0].dims) != 4:
        return None
    (port,) = signature.inputs
    return port if colours_first(port) or port.dims[3] == 3 else None


def colours_first(port: Port) -> bool:
    return port.dims[1] == 3


def preparation(signature: Signature, port: Port) -> Preparation:
    """Letterboxed on grey, RGB, 0 to 1."""
    return Preparation(
        input=port.name,
        size=size_of(signature, port),
        axes="NCHW" if colours_first(port) else "NHWC",
        dtype=port.dtype,
    )


def size_of(signature: Signature, port: Port) -> tuple[int, int]:
    """Width and height of what the model takes: stated by the input, by the metadata, or SIDE."""
    height, width = port.shape[2:] if colours_first(port) else port.shape[1:3]
    if height and width:
        return width, height
    side = literal(signature, "imgsz")
    if isinstance(side, int):
        return side, side
    if isinstance(side, list | tuple) and len(side) == 2 and all(isinstance(n, int) for n in side):
        return side[1], side[0]
    return SIDE, SIDE


def tried(port: Port) -> tuple[int, int] | None:
    """Width and height of the picture that gave the outputs which were seen."""
    height, width = port.dims[2:] if colours_first(port) else port.dims[1:3]
    return (width, height) if width and height else None


def literal(signature: Signature, key: str) -> Any:
    """What the text of a field of the metadata says in Python's words; None where it is none."""
    try:
        return ast.literal_eval(signature.metadata.get(key, ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
