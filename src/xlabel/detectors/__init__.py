"""Detectors: a picture in, annotations out. One module for files of weights, one for functions of Python.

Which layouts of inputs and outputs a file may have is the table in `layouts/`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from xlabel.errors import InputError
from xlabel.model import Annotation, Category, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    """Height x width x 3, RGB, as displayed."""

MIN_SCORE = 0.25
IOU = 0.6


class Detector(Protocol):
    """What finds things in pictures.

    `prepare` may be called in any thread, and what it gives is small; `run` is called in one thread.
    """

    source: Source
    licence: str | None
    """As the model states it."""
    most: int | None
    """Pictures that `run` takes at a time; None: any number."""
    notes: list[str]
    """What a person is told of it: how it was understood, and where it runs."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """Those that its annotations may have, as far as they are known before it has run."""

    def prepare(self, picture: "Picture") -> Any:
        """A picture as `run` takes it."""

    def run(self, prepared: Sequence[Any]) -> list[list[Annotation]]:
        """The annotations of each picture, in pixels of the picture as displayed, each with a score.

        InputError where the model fails.
        """

    def detect(self, pictures: "Sequence[Picture]") -> list[list[Annotation]]:
        """Both, one after the other."""


def opened(
    model: str,
    *,
    categories: Sequence[str] | Mapping[int, str] | None = None,
    renamed: Mapping[str, str] | None = None,
    min_score: float = MIN_SCORE,
    iou: float = IOU,
) -> Detector:
    """The detector in a file NAME.onnx, or the function `package.module:function`.

    `categories` are the names of the model's categories where it does not state them, or in the place of
    those: a list in their order, or by number. `renamed` gives categories other names; an empty one leaves
    its things out. Raises InputError where the model cannot be understood, MissingExtraError without
    onnxruntime.
    """
    if _FUNCTION.fullmatch(model):
        from xlabel.detectors import callables

        return callables.opened(model, categories=categories, renamed=renamed or {}, min_score=min_score)
    if not model.lower().endswith((".onnx", ".ort")):
        raise InputError(f"{model}: expected a file NAME.onnx, or package.module:function")
    from xlabel.detectors import onnx

    return onnx.opened(model, categories=categories, renamed=renamed or {}, min_score=min_score, iou=iou)


_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
