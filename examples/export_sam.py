"""The two ONNX files that `xlabel review --sam DIR` needs, out of MobileSAM's weights (docs/segment.md).

    python examples/export_sam.py MobileSAM/mobile_sam MobileSAM/weights/mobile_sam.pt sam

takes MobileSAM's code, its weights, and the folder to write to. It needs PyTorch and onnx. The decoder gives
its small masks, which are all that xlabel wants: enlarging four of them takes as long as finding them.
"""

import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
OPSET = 17


def main(code: Path, weights: Path, folder: Path) -> None:
    name = package(code)
    build = importlib.import_module(f"{name}.build_sam").build_sam_vit_t
    prompts = importlib.import_module(f"{name}.utils.onnx").SamOnnxModel
    sam = build(weights).eval()
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracing: sizes in there are fixed, as they should be
        export_encoder(sam, folder / ENCODER)
        export_decoder(sam, prompts(sam, return_single_mask=False), folder / DECODER)


def export_encoder(sam: Any, path: Path) -> None:
    """A picture of 1 x 3 x 1024 x 1024, normalised, to its embedding."""
    side = sam.image_encoder.img_size
    torch.onnx.export(
        sam.image_encoder,
        (torch.zeros(1, 3, side, side),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["image_embeddings"],
    )


def export_decoder(sam: Any, prompts: nn.Module, path: Path) -> None:
    """An embedding and any number of points to masks of 256 x 256 with their scores."""
    width, (height, across) = sam.prompt_encoder.embed_dim, sam.prompt_encoder.image_embedding_size
    given = {
        "image_embeddings": torch.zeros(1, width, height, across),
        "point_coords": torch.zeros(1, 2, 2),
        "point_labels": torch.ones(1, 2),
        "mask_input": torch.zeros(1, 1, 4 * height, 4 * across),
        "has_mask_input": torch.zeros(1),
    }
    torch.onnx.export(
        Decoder(prompts),
        tuple(given.values()),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=list(given),
        output_names=["low_res_masks", "iou_predictions"],
        dynamic_axes={"point_coords": {1: "points"}, "point_labels": {1: "points"}},
    )


class Decoder(nn.Module):
    """MobileSAM's own module for the export, up to where it enlarges the masks."""

    def __init__(self, prompts: Any) -> None:
        super().__init__()
        self.prompts = prompts

    def forward(self, embedding: Any, points: Any, labels: Any, mask: Any, has_mask: Any) -> Any:
        return self.prompts.mask_decoder.predict_masks(
            image_embeddings=embedding,
            image_pe=self.prompts.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=self.prompts._embed_points(points, labels),
            dense_prompt_embeddings=self.prompts._embed_masks(mask, has_mask),
        )


def package(code: Path) -> str:
    """MobileSAM's package without its `__init__`, which asks for torchvision; timm's few lines stand in."""

    class DropPath(nn.Identity):
        drop_prob: float | None

        def __init__(self, drop_prob: float | None = None) -> None:
            super().__init__()

    layers, registry = ModuleType("timm.models.layers"), ModuleType("timm.models.registry")
    layers.DropPath = DropPath
    layers.to_2tuple = lambda side: side if isinstance(side, tuple) else (side, side)
    layers.trunc_normal_ = nn.init.trunc_normal_
    registry.register_model = lambda build: build
    bare = ModuleType(code.name)
    bare.__path__ = [str(code)]
    models = (ModuleType("timm"), ModuleType("timm.models"), layers, registry, bare)
    sys.modules.update({module.__name__: module for module in models})
    return code.name


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
