"""RT-DETR and D-FINE with the ends that their own code and ultralytics' export, on random numbers."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests import weights
from tests.detectors import theirs
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


@pytest.mark.parametrize(("package", "numbers"), [("ultralytics", 6), ("ultralytics 8.3", 4 + len(NAMES))])
def test_boxes_are_those_of_ultralytics(tmp_path: Path, package: str, numbers: int) -> None:
    torch = library("torch")
    random = np.random.default_rng(9)
    rows = random.random((1, 300, numbers)).astype(np.float32)
    if numbers == 6:
        rows[:, :, 5] = random.integers(0, len(NAMES), (1, 300))
    path = theirs.exported(
        tmp_path / "rtdetr.onnx", {"output0": rows}, names=dict(enumerate(NAMES)), task="detect"
    )
    results: list[Any] = []
    around = {
        "BasePredictor": object,
        "LetterBox": None,
        "Results": lambda picture, path, names, boxes: results.append(boxes),
        "ops": theirs.ultralytics().ops,
        "torch": torch,
    }
    file = weights.package(package) / "ultralytics/models/rtdetr/predict.py"
    predictor = theirs.functions(file, ["RTDETRPredictor"], around).RTDETRPredictor()
    predictor.args = SimpleNamespace(conf=0.9, classes=None, max_det=300)
    predictor.batch, predictor.model = [["picture"]], SimpleNamespace(names=NAMES)
    picture = np.zeros((300, 400, 3), np.uint8)
    predictor.postprocess([torch.from_numpy(rows)], None, [picture])
    boxes = results[0][:, :4].numpy().clip(0, (400, 300, 400, 300))
    expected = things([NAMES[int(n)] for n in results[0][:, 5]], results[0][:, 4].tolist(), boxes)
    (found,) = detectors.opened(path, min_score=0.9).detect([picture])
    agree(found, expected, pixels=0.05, score=1e-3)
