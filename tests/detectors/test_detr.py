"""DETR and its followers as transformers has them: small ones with random weights, and its own processors."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tests.detectors.agreeing import agree, things
from tests.detectors.constant import constant
from tests.detectors.vision import torchvision
from tests.tools import library

from xlabel import detectors
from xlabel.errors import InputError

SMALL = {
    "d_model": 32,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_queries": 20,
}
BACKBONE = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "layer_type": "basic"}
HGNET = {
    "stem_channels": [3, 8, 8],
    "stage_in_channels": [8, 8, 8, 16],
    "stage_mid_channels": [8] * 4,
    "stage_out_channels": [8, 8, 16, 16],
    "stage_num_blocks": [1] * 4,
    "stage_numb_of_layers": [1] * 4,
}
GRIDS = {
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [8, 16, 16],
    "decoder_in_channels": [32] * 3,
    "num_labels": 80,
    **SMALL,
}
KINDS = {
    "detr": ("Detr", "Detr", 1333),
    "conditional_detr": ("ConditionalDetr", "ConditionalDetr", 1333),
    "rt_detr": ("RTDetr", "RTDetr", None),
    "d_fine": ("DFine", "RTDetr", None),
}
"""What transformers calls the model and its processor, and the longest side of a picture."""


def small(kind: str) -> Any:
    """A model with random weights."""
    torchvision()  # which transformers looks for
    torch, transformers = library("torch"), library("transformers")
    torch.manual_seed(0)
    name = KINDS[kind][0]
    grids = kind in ("rt_detr", "d_fine")
    stages = ["stage2", "stage3", "stage4"] if grids else ["stage4"]
    if kind == "d_fine":
        backbone = transformers.HGNetV2Config(**BACKBONE, **HGNET, out_features=stages)
    else:
        backbone = getattr(transformers, "RTDetrResNetConfig" if grids else "ResNetConfig")(
            **BACKBONE, out_features=stages
        )
    told = GRIDS if grids else {"num_labels": 91, "use_timm_backbone": False, "backbone": None, **SMALL}
    config = getattr(transformers, f"{name}Config")(backbone_config=backbone, **told)
    return getattr(transformers, f"{name}ForObjectDetection")(config).eval()


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model's file with the files that transformers writes beside it, and its processor."""
    torch, transformers = library("torch"), library("transformers")
    model = small(request.param)
    _, processor, longest = KINDS[request.param]
    size = {"shortest_edge": 128, "longest_edge": 200} if longest else {"height": 128, "width": 128}
    made = getattr(transformers, f"{processor}ImageProcessorPil")(size=size)
    folder = tmp_path_factory.mktemp(request.param)
    model.config.save_pretrained(folder)
    made.save_pretrained(folder)

    class Told(torch.nn.Module):  # type: ignore[misc, name-defined]
        """What the model says; untrained, it says nearly the same of each query: hence what is added."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            queries, columns = SMALL["num_queries"], model.config.num_labels + (request.param == "detr")
            self.more = torch.nn.Parameter(torch.randn(1, queries, columns) * 3)
            self.moved = torch.nn.Parameter(torch.rand(1, queries, 4))

        def forward(self, pixel_values: Any) -> Any:
            found = self.model(pixel_values)
            return found.logits + self.more, (found.pred_boxes + self.moved) / 2

    path = folder / "model.onnx"
    side = {2: "height", 3: "width"} if longest else {}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Told(),
            (torch.zeros(1, 3, 128, 192 if longest else 128),),
            str(path),
            input_names=["pixel_values"],
            output_names=["logits", "pred_boxes"],
            dynamic_axes={"pixel_values": {0: "batch", **side}},
            opset_version=17,
            dynamo=False,
        )
    return SimpleNamespace(path=path, processor=made, config=model.config)


def test_boxes_are_those_of_transformers(exported: Any) -> None:
    torch = library("torch")
    picture = np.random.default_rng(4).integers(0, 256, (240, 360, 3), np.uint8)
    pixels = exported.processor(picture, return_tensors="np")["pixel_values"]
    session = onnxruntime.InferenceSession(exported.path)
    prepared, _ = detectors.opened(str(exported.path)).prepare(picture)
    assert np.abs(prepared - pixels[0]).max() <= 1e-4
    logits, shares = (torch.from_numpy(array) for array in session.run(None, {"pixel_values": pixels}))
    outputs = SimpleNamespace(logits=logits, pred_boxes=shares)
    (told,) = exported.processor.post_process_object_detection(
        outputs, threshold=0, target_sizes=[(240, 360)]
    )
    scores = np.sort(told["scores"].numpy())[::-1]
    gaps = scores[3:15] - scores[4:16]
    least = float(scores[3 + gaps.argmax()] - gaps.max() / 2)  # where nothing is near
    edges = np.array([360, 240, 360, 240])
    names = [exported.config.id2label[int(number)] for number in told["labels"]]
    expected = things(names, told["scores"].tolist(), told["boxes"].numpy().clip(0, edges))
    (found,) = detectors.opened(str(exported.path), min_score=least).detect([picture])
    agree(found, [thing for thing in expected if thing.score >= least], pixels=0.5, score=0.005)


def numbers(columns: int, least: float, most: float) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(6)
    return {
        "logits": random.uniform(least, most, (1, 30, columns)).astype(np.float32),
        "pred_boxes": random.uniform(0.3, 0.6, (1, 30, 4)).astype(np.float32),
    }


def told(path: str, names: list[str] | None = None) -> tuple[str | None, float]:
    """Category and score of the best that is found."""
    (found,) = detectors.opened(path, categories=names).detect([np.zeros((64, 64, 3), np.uint8)])
    assert found[0].category is not None and found[0].score is not None
    return found[0].category.name, float(found[0].score)


@pytest.mark.parametrize("masks", [False, True])
def test_of_92_columns_the_last_is_for_nothing_and_the_others_are_ids_of_coco(
    tmp_path: Path, masks: bool
) -> None:
    outputs = numbers(92, -3, -1)
    outputs["logits"][:, :, -1] = 9
    outputs["logits"][0, 7, [18, 91]] = 6, 5
    further = [helper.make_tensor_value_info("pixel_mask", TensorProto.INT64, ["n", "h", "w"])] * masks
    model = constant(tmp_path / "detr.onnx", ["n", 3, "h", "w"], outputs, further=further)
    name, score = told(model)
    assert name == "dog"
    assert score == pytest.approx(torch_softmax(outputs["logits"][0, 7])[18], abs=1e-3)


def torch_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = library("torch").from_numpy(logits).softmax(-1).numpy()
    return found


@pytest.mark.parametrize(("columns", "name"), [(91, "dog"), (80, "18"), (3, "2")])
def test_where_all_answers_to_noise_are_no_each_column_is_a_category(
    tmp_path: Path, columns: int, name: str
) -> None:
    outputs = numbers(columns, -8, -4)
    outputs["logits"][0, 7, min(18, columns - 1)] = 2
    names = None if columns == 91 else [str(number) for number in range(columns)]
    path = constant(tmp_path / "model.onnx", ["n", 3, 64, 64], outputs)
    assert told(path, names)[0] == name
    assert told(path, names)[1] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-3)


def test_where_a_model_is_sure_of_nothing_the_last_column_is_for_that(tmp_path: Path) -> None:
    outputs = numbers(4, -3, -1)
    outputs["logits"][:, :, -1] = 9
    outputs["logits"][0, 7] = 0, 8, 0, 0
    path = constant(tmp_path / "model.onnx", ["n", 3, 64, 64], outputs)
    assert told(path, ["a", "b", "c"])[0] == "b"


def test_a_model_of_which_this_cannot_be_told_is_refused(tmp_path: Path) -> None:
    path = constant(tmp_path / "model.onnx", ["n", 3, 64, 64], numbers(4, -2, 2))
    with pytest.raises(InputError, match=r"last column is for nothing; put its config\.json beside it"):
        detectors.opened(path, categories=["a", "b", "c"])
    (tmp_path / "config.json").write_text('{"model_type": "rt_detr", "id2label": {"0": "a", "3": "d"}}')
    assert detectors.opened(path).categories[-1].name == "d"


def test_a_model_without_its_preprocessor_says_how_its_pictures_are_prepared(tmp_path: Path) -> None:
    path = constant(tmp_path / "model.onnx", ["n", 3, 64, 64], numbers(91, -8, -4))
    assert "preprocessor_config.json" in detectors.opened(path).notes[-1]
