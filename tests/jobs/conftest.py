"""Images of the sample that a test may change."""

import shutil
from pathlib import Path

import pytest
from tests.tools import SAMPLE

IMAGES = SAMPLE / "raw_images"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample's images, of which one has no labels and one is a negative."""
    return Path(shutil.copytree(IMAGES, tmp_path / "images"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return Path(shutil.copy(IMAGES / "street/001.jpg", tmp_path / "a.jpg"))
