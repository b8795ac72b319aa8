"""torchvision beside a torch that it was not built for, such as the one for CPUs alone.

Its operators in C++ cannot be loaded then. Of these, detectors without regions need one, which torch can
do as well; all else of torchvision is its own.
"""

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

from tests.tools import library


@cache
def torchvision() -> Any:
    torch = library("torch")
    torch.set_num_threads(1)  # of small models, several threads only wait for each other
    if find_spec("torchvision") is None:
        library("torchvision")  # which skips the test, or fails it
    try:
        import torchvision
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        operators.impl("nms", _kept, "CPU")
        torchvision = library("torchvision")
        torchvision.extension._has_ops = _there
        torchvision.operators = operators  # which torch forgets with their object
    return torchvision


def _there() -> bool:
    return True


def _kept(boxes: Any, scores: Any, iou: float) -> Any:
    """Greedy suppression, as torchvision documents it."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order, kept = scores.argsort(descending=True, stable=True), []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = boxes[rest, :2].maximum(boxes[best, :2]), boxes[rest, 2:].minimum(boxes[best, 2:])
        common = (high - low).clamp(min=0).prod(1)
        order = rest[common / (area[best] + area[rest] - common) <= iou]
    return order.new_tensor(kept)
