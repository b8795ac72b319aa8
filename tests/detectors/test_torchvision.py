"""torchvision's detectors: its own SSDlite with random weights, and the orders and shapes of the others."""

import warnings
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.detectors.agreeing import Thing, agree, things
from tests.detectors.constant import constant
from tests.detectors.vision import torchvision
from tests.tools import library

from xlabel import detectors
from xlabel.detectors import coco

NAMES = ["a", "b", "c"]
DOG = 18
"""Its id in COCO, where it is the 17th."""


def ssdlite() -> Any:
    """torchvision's, with random weights that make it sure of something."""
    torch = library("torch")
    torch.manual_seed(1)
    made = torchvision().models.detection.ssdlite320_mobilenet_v3_large
    model = made(weights=None, weights_backbone=None, num_classes=4, score_thresh=0.5, topk_candidates=30)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0
        model.head(list(model.backbone(torch.randn(2, 3, 320, 320)).values()))  # to keep within bounds
        for part in model.head.modules():
            if isinstance(part, torch.nn.Conv2d) and part.kernel_size == (1, 1):
                part.weight.normal_(std=0.1)
    return model.eval()


def test_ssdlite_with_random_weights_finds_what_it_finds_in_torch(tmp_path: Path) -> None:
    torch = library("torch")
    model = ssdlite()
    picture = np.random.default_rng(3).integers(0, 256, (240, 360, 3), np.uint8)
    tensor = torch.from_numpy(picture.transpose(2, 0, 1) / np.float32(255))
    path = tmp_path / "ssdlite.onnx"
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is traced as a constant
        (expected,) = model([tensor])
        torch.onnx.export(
            model,
            ([tensor],),
            str(path),
            input_names=["image"],
            output_names=["first", "second", "third"],
            dynamic_axes={"image": {1: "height", 2: "width"}},
            opset_version=17,
            dynamo=False,
        )
    names = [NAMES[int(number) - 1] for number in expected["labels"]]
    detector = detectors.opened(str(path), categories=NAMES, min_score=0.5)
    (found,) = detector.detect([picture])
    agree(
        found, things(names, expected["scores"].tolist(), expected["boxes"].tolist()), pixels=0.5, score=1e-3
    )


@pytest.mark.parametrize("order", list(permutations(("boxes", "scores", "labels"))))
@pytest.mark.parametrize("batch", [True, False])
def test_outputs_are_told_apart_in_any_order_alone_or_in_a_batch(
    tmp_path: Path, order: tuple[str, ...], batch: bool
) -> None:
    values: dict[str, NDArray[Any]] = {
        "boxes": np.array([[10, 20, 30, 50], [1, 2, 3, 4]], np.float32),
        "scores": np.array([0.9, 0.1], np.float32),
        "labels": np.array([2, 3], np.int64),
    }
    outputs: dict[str, NDArray[Any]] = {
        f"output{at}": values[word][None] if batch else values[word] for at, word in enumerate(order)
    }
    shape: list[int | str] = [1, 3, "height", "width"] if batch else [3, "height", "width"]
    detector = detectors.opened(constant(tmp_path / "any.onnx", shape, outputs), categories=NAMES)
    (found,) = detector.detect([np.zeros((60, 90, 3), np.uint8)])
    agree(found, [Thing("b", 0.9, (10, 20, 30, 50))], pixels=0)


def test_the_categories_of_coco_are_numbered_with_its_gaps(tmp_path: Path) -> None:
    outputs: dict[str, NDArray[Any]] = {
        "boxes": np.array([[10, 20, 30, 50]], np.float32),
        "labels": np.array([DOG], np.int64),
        "scores": np.array([0.9], np.float32),
    }
    path = constant(tmp_path / "any.onnx", [3, "height", "width"], outputs)
    detector = detectors.opened(path, categories=list(coco.NAMES.values()))
    agree(
        detector.detect([np.zeros((60, 90, 3), np.uint8)])[0], [Thing("dog", 0.9, (10, 20, 30, 50))], pixels=0
    )
