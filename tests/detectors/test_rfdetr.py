"""RF-DETR: its own export's preparation and decoding, on random numbers."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests import weights
from tests.detectors import theirs
from tests.detectors.agreeing import agree, things
from tests.detectors.constant import constant
from tests.detectors.vision import torchvision
from tests.tools import library

from xlabel import detectors
from xlabel.detectors import coco

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def rfdetr() -> Iterator[Any]:
    """Imports a module of rfdetr, without what training needs."""
    folder = weights.package("rfdetr") / "rfdetr"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rfdetr", "rfdetr.export", "rfdetr.models", "rfdetr.utilities"):
            package = ModuleType(name)
            package.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
            patch.setitem(sys.modules, name, package)
        yield lambda name: importlib.import_module(f"rfdetr.export.{name}")
    for name in [name for name in sys.modules if name.startswith("rfdetr.")]:
        del sys.modules[name]


@pytest.mark.parametrize("names", [NAMES, None])
def test_boxes_are_those_of_its_own_inference(rfdetr: Any, tmp_path: Path, names: list[str] | None) -> None:
    random = np.random.default_rng(8)
    columns = len(names) + 1 if names else coco.MOST + 1
    logits = random.normal(-2 if names else -4, 1.5, (1, 40, columns)).astype(np.float32)
    shares = random.random((1, 40, 4)).astype(np.float32)
    path = constant(tmp_path / "rfdetr.onnx", [1, 3, 64, 96], {"dets": shares, "labels": logits})
    detector = detectors.opened(path, categories=names, min_score=0.3)
    (found,) = detector.detect([np.zeros((300, 400, 3), np.uint8)])
    decode = rfdetr("_runtime.decode").decode_detections
    background = -1 if names else None
    expected = decode(shares[0], logits[0], (400, 300), threshold=0.3, background_class_id=background)
    told = {number: name for number, name in enumerate(names)} if names else coco.NAMES
    kept = [at for at, number in enumerate(expected.class_id) if int(number) in told]  # others have no name
    agree(
        found,
        things(
            [told[int(expected.class_id[at])] for at in kept], expected.confidence[kept], expected.xyxy[kept]
        ),
        pixels=0.05,
        score=1e-3,
    )


def test_masks_are_those_of_its_own_end(rfdetr: Any, tmp_path: Path) -> None:
    torch = library("torch")
    torchvision()
    middles = np.array([[0.3, 0.3], [0.7, 0.4], [0.5, 0.8]])
    places = np.stack(np.meshgrid(np.linspace(0, 1, 48), np.linspace(0, 1, 36)), axis=-1)
    away = np.linalg.norm((places - middles[:, None, None]) / (0.15, 0.12), axis=-1)
    outputs = {
        "dets": np.concatenate([middles, np.full((3, 2), 0.35)], axis=1, dtype=np.float32)[None],
        "labels": np.array([[[4, -9, -9], [-9, 3, -9], [-9, -9, 5]]], np.float32),  # the last is for nothing
        "masks": (1 - away).astype(np.float32)[None],
    }
    detector = detectors.opened(
        constant(tmp_path / "s.onnx", [1, 3, 144, 192], outputs), categories=NAMES[:2]
    )
    (found,) = detector.detect([np.zeros((300, 400, 3), np.uint8)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of how it is written
        end = importlib.import_module("rfdetr.models.postprocess").PostProcess(num_select=3)
    told = {
        "pred_logits": outputs["labels"][:, :, :2],
        "pred_boxes": outputs["dets"],
        "pred_masks": outputs["masks"],
    }
    tensors = {name: torch.from_numpy(array) for name, array in told.items()}
    (expected,) = end(tensors, torch.tensor([[300, 400]]), score_threshold=0.25)
    names = [NAMES[int(number)] for number in expected["labels"]]
    agree(
        found, things(names, expected["scores"].tolist(), expected["boxes"].numpy()), pixels=0.05, score=1e-3
    )
    theirs.same_masks(found, expected["masks"][:, 0].numpy().astype(np.uint8))


def test_pictures_are_prepared_as_it_does_it(rfdetr: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    outputs = {"dets": np.zeros((1, 4, 4), np.float32), "labels": np.zeros((1, 4, 5), np.float32)}
    detector = detectors.opened(constant(tmp_path / "r.onnx", [1, 3, 56, 84], outputs), categories=NAMES)
    picture = random.integers(0, 256, (130, 170, 3), np.uint8)
    prepared, _ = detector.prepare(picture)
    expected = rfdetr("_runtime.preprocess").preprocess_to_nchw(Image.fromarray(picture), 56, 84, 3)
    assert np.abs(prepared - expected[0]).max() <= 0.01  # of about 4; pixels are rounded after resizing
