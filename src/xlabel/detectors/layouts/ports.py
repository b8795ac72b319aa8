"""What layouts ask of a model's ports: which is the picture, how large is it, which have some shape."""

from collections.abc import Sequence
from typing import Literal

from xlabel.detectors.layouts import Port, Signature

Axes = Literal["NCHW", "NHWC", "CHW", "HWC"]


def picture_of(signature: Signature) -> Port | None:
    """The only input that is a picture in three colours, alone or in a batch."""
    pictures = [port for port in signature.inputs if axes_of(port)]
    return pictures[0] if len(pictures) == 1 else None


def axes_of(port: Port) -> Axes | None:
    """The order of a picture's axes; None where it is none."""
    dims = port.dims
    if len(dims) not in (3, 4) or port.dtype not in ("float32", "float16", "uint8", "int32"):
        return None
    if dims[-3] == 3 and dims[-1] != 3:
        return "NCHW" if len(dims) == 4 else "CHW"
    if dims[-1] == 3:
        return "NHWC" if len(dims) == 4 else "HWC"
    return None


def stated_size(port: Port) -> tuple[int, int] | None:
    """Width and height of the pictures that a model takes, where it takes no others."""
    return _size(port, port.shape)


def tried_size(port: Port) -> tuple[int, int] | None:
    """Width and height of the picture of which the outputs were seen."""
    return _size(port, port.dims)


def _size(port: Port, dims: tuple[int | None, ...]) -> tuple[int, int] | None:
    if len(dims) < 3:
        return None
    first = axes_of(port) in ("NCHW", "CHW")
    height, width = dims[-2:] if first else dims[-3:-1]
    return (width, height) if width and height else None


def shaped(ports: Sequence[Port], *shape: int | None, kind: str = "f") -> list[Port]:
    """The ports of a shape, in which None is any length; of floats ("f") or of whole numbers ("i")."""
    return [
        port
        for port in ports
        if len(port.dims) == len(shape)
        and all(wanted in (None, there) for wanted, there in zip(shape, port.dims, strict=True))
        and port.dtype.lstrip("u").startswith({"f": "float", "i": "int"}[kind])
    ]
