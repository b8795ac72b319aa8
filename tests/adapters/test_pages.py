"""The recipes run, each with the tool that it is about."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
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
        if module != "xlabel":
            library(module, must="torch" if module == "torch" else "")
    exec(compile(block, name, "exec"), {"__name__": name, "xlabel": xlabel})
