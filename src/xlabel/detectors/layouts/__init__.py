"""Layouts: what a model's inputs and outputs mean. One module a layout, each with the functions of `Layout`.

Adding one is a module, a row in `LAYOUTS` and a case in `tests/detectors`, whose reference another
implementation made.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from xlabel.detectors.preparing import Frame, Preparation

LAYOUTS = {
    "yolo8": "xlabel.detectors.layouts.yolo8",
    "yolo8_segment": "xlabel.detectors.layouts.yolo8_segment",
    "yolo8_pose": "xlabel.detectors.layouts.yolo8_pose",
    "yolo8_oriented": "xlabel.detectors.layouts.yolo8_oriented",
    "rtdetr_ultralytics": "xlabel.detectors.layouts.rtdetr_ultralytics",
    "yolo_chosen": "xlabel.detectors.layouts.yolo_chosen",
    "yolo5": "xlabel.detectors.layouts.yolo5",
    "yolox": "xlabel.detectors.layouts.yolox",
    "rtdetr": "xlabel.detectors.layouts.rtdetr",
    "torchvision": "xlabel.detectors.layouts.torchvision",
    "rfdetr": "xlabel.detectors.layouts.rfdetr",
    "detr": "xlabel.detectors.layouts.detr",
    "tensorflow": "xlabel.detectors.layouts.tensorflow",
    "centerface": "xlabel.detectors.layouts.centerface",
    "gfl": "xlabel.detectors.layouts.gfl",
    "u2net": "xlabel.detectors.layouts.u2net",
    "fastestdet": "xlabel.detectors.layouts.fastestdet",
}
"""Names of layouts, in the order in which they are asked: the first that recognises a model has it.

Those come first that the number of cells over the picture gives away, which no other layout has; then those
told by several outputs of certain shapes, types or names. RT-DETR of ultralytics stands before the YOLOs that
choose, whose boxes are in pixels, and are empty where nothing is.
"""


class Port(NamedTuple):
    """An input or an output of a model."""

    name: str
    shape: tuple[int | None, ...]
    """As the model states it; None where it says nothing, or a word such as `batch`."""
    dtype: str
    """numpy's name of it: float32, uint8, int64, ..."""
    seen: NDArray[Any] | None = None
    """One picture of noise, or what came of it. None where the model could not be run so."""

    @property
    def dims(self) -> tuple[int | None, ...]:
        """The shape, with what was seen where the model states nothing."""
        if self.seen is None or len(self.shape) not in (0, self.seen.ndim):
            return self.shape
        stated = self.shape or (None,) * self.seen.ndim
        return tuple(n if n is not None else m for n, m in zip(stated, self.seen.shape, strict=True))


class Signature(NamedTuple):
    """What is known of a model without knowing what it is."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]
    """What the file says of itself."""
    named: int | None = None
    """How many names of categories there are, in the metadata or given by who runs the model."""


class Plan(NamedTuple):
    """How a model is used."""

    preparation: Preparation
    outputs: Mapping[str, str]
    """Names of outputs, by the words that the layout's `decode` has for them."""
    suppress: bool = True
    """Whether boxes that overlap are still to be taken out."""
    classes: int | None = None
    """How many categories there are scores for."""
    names: Mapping[int, str] | None = None
    """Names of the categories, where the layout itself knows them."""
    first: int = 0
    """The number of the first category in a list of names."""
    keypoints: tuple[str, ...] | None = None
    """Names of the keypoints, which all categories have."""
    skeleton: tuple[tuple[int, int], ...] | None = None
    """Pairs of keypoints that are joined, counted from 1."""
    further: Mapping[str, Callable[[Sequence[Frame]], NDArray[Any]]] = {}
    """What the other inputs are given."""
    freed: bool = False
    """The sizes that the model states for its input are wrong: it takes any."""
    notes: tuple[str, ...] = ()
    """What else the layout wants to be known of the model: a variant."""


class Found(NamedTuple):
    """What a model found in one picture: n things, in pixels of the picture as it was prepared.

    Things may be of any score and overlap: what is kept is decided later.
    """

    boxes: NDArray[np.float32]
    """n x 4: left, top, right, bottom."""
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    """Numbers of categories."""
    masks: Callable[[int], NDArray[np.float32]] | None = None
    """Of the thing of that number: a map over the whole prepared picture, at any resolution, which is above 0
    where the thing is."""
    keypoints: NDArray[np.float32] | None = None
    """n x k x 3: x, y and how sure the model is that the point is visible."""
    oriented: NDArray[np.float32] | None = None
    """n x 5: centre x and y, width, height, and the angle in radians, clockwise as displayed."""


class Layout(Protocol):
    """What a layout's module offers."""

    NAME: str
    TITLE: str
    """For a person: the families of models that have it."""
    TOLD_BY: str
    """By what it is recognised, for the table in the docs."""

    def recognise(self, signature: Signature) -> Plan | None:
        """How a model of that signature is used, or None where it has another layout.

        ValueError where it has this one, and something is missing that makes it usable.
        """

    def decode(self, outputs: Mapping[str, NDArray[Any]], plan: Plan, frames: Sequence[Frame]) -> list[Found]:
        """What was found in each picture; `outputs` by the words of `plan.outputs`."""


def get(name: str) -> Layout:
    """The module of a layout by its name."""
    return cast(Layout, import_module(LAYOUTS[name]))


def recognised(signature: Signature) -> tuple[Layout, Plan] | None:
    """The first layout that a model has, and how it is used."""
    for name in LAYOUTS:
        layout = get(name)
        plan = layout.recognise(signature)
        if plan is not None:
            return layout, plan
    return None
