"""The recipes run, each with the tool that it is about."""

import contextlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.detectors.vision import torchvision
from tests.tools import ROOT, SAMPLE, library

import xlabel

BLOCK = re.compile(r"^```py\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = {
    f"{page}-{number}": block
    for page in ("stream", "recipes")
    for number, block in enumerate(BLOCK.findall((ROOT / f"docs/{page}.md").read_text("utf-8")))
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[None]:
    """A folder with the sample and a pack of it, where the recipes run."""
    shutil.copytree(SAMPLE, tmp_path / "sample")
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", tmp_path / "output")
    with contextlib.chdir(tmp_path):
        yield


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.filterwarnings("ignore:unclosed file", "ignore:Exception ignored in")  # WebDataset leaves them
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true")
def test_a_recipe_runs(name: str, here: None) -> None:
    block = PAGES[name]
    for module in re.findall(r"^(?:from|import) (\w+)", block, re.MULTILINE):
        if module == "torchvision":
            torchvision()
        elif module != "xlabel":
            library(module, must="torch" if module == "torch" else "")
    exec(compile(block, name, "exec"), {"__name__": name, "xlabel": xlabel})


@pytest.mark.parametrize("updated", [False, True])
def test_torchcodec_decodes_each_image_as_the_recipe_asks_it(updated: bool, here: None) -> None:
    library("torchcodec")
    import numpy as np

    if updated:
        for name in ("harbour/001.jpg", "street/002.jpg"):
            Path("sample/raw_images", name).unlink()
        shutil.copy(SAMPLE / "raw_images/harbour/001.jpg", "sample/raw_images/new.jpg")
        xlabel.update("sample/raw_images", None, "output")
    (block,) = (block for block in PAGES.values() if "torchcodec" in block)
    made: dict[str, Any] = {"xlabel": xlabel}
    exec(compile(block, "recipes", "exec"), made)
    bundle = made["bundle"]
    jpegs = [i for i, key in enumerate(bundle.keys) if key.endswith(".jpg")]
    for i in sorted(jpegs, key=lambda i: i * 7 % len(bundle)):
        with Image.open(io.BytesIO(bundle.image_bytes(i))) as image:
            expected = np.asarray(image.convert("RGB")).astype(int)
        found = made["decoded"](i).permute(1, 2, 0).numpy().astype(int)
        assert found.shape == expected.shape and abs(found - expected).mean() < 8, bundle.keys[i]
    bundle.close()
