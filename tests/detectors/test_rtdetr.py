"""RT-DETR and D-FINE with the end that they export themselves, on random numbers."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import weights
from tests.detectors.agreeing import agree, things
from tests.detectors.vision import torchvision
from tests.tools import library

from xlabel import detectors

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def end() -> Any:
    """Makes the labels, boxes and scores of logits and shares."""
    torchvision()
    folder = weights.package("lightly-train") / "lightly_train/_task_models/object_detection_components"
    return weights.module(folder / "rtdetr_postprocessor.py").RTDETRPostProcessor


def test_boxes_are_those_of_its_own_end_at_the_pictures_size(end: Any, tmp_path: Path) -> None:
    torch = library("torch")
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 40, 3, generator=random) * 2
    shares = torch.rand(1, 40, 4, generator=random)

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.end = end(3, num_top_queries=40).deploy()

        def forward(self, images: Any, orig_target_sizes: Any) -> Any:
            nothing = images.sum() * 0
            return self.end(
                {"pred_logits": logits + nothing, "pred_boxes": shares + nothing}, orig_target_sizes
            )

    path = tmp_path / "rtdetr.onnx"
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Model(),
            (torch.zeros(1, 3, 64, 96), torch.tensor([[96, 64]])),
            str(path),
            input_names=["images", "orig_target_sizes"],
            output_names=["labels", "boxes", "scores"],
            dynamo=False,
        )
        (expected,) = end(3, num_top_queries=40)(
            {"pred_logits": logits, "pred_boxes": shares.clone()}, torch.tensor([[400, 300]])
        )
    detector = detectors.opened(str(path), categories=NAMES, min_score=0.7)
    (found,) = detector.detect([np.zeros((300, 400, 3), np.uint8)])
    edges = np.array([400, 300, 400, 300])
    names = [NAMES[number] for number in expected["labels"]]
    all_of_them = things(names, expected["scores"].tolist(), expected["boxes"].numpy().clip(0, edges))
    agree(found, [thing for thing in all_of_them if thing.score >= 0.7], pixels=0.05, score=1e-3)
