"""The example that closes the circle: labels in images, a net that learns from them, and suggestions."""

import json
import shutil
import subprocess
import sys
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

import xlabel
from tests.tools import ROOT, SAMPLE, library, tool


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the example has worked in, and what it said."""
    library("torch")
    library("onnxruntime", "onnx")
    folder = tmp_path_factory.mktemp("circle") / "work"
    script = ROOT / "examples/finetune.py"
    script, images, labels = ROOT / "examples/finetune.py", SAMPLE / "raw_images", SAMPLE / "raw_labels"
    options = "--steps 30 --batch 4 --min-score 0.05".split()
    command = [script, images, labels, "--work", folder, *options]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder, done.stdout


def test_the_net_learns(circle: tuple[Path, str]) -> None:
    losses = [float(line.split()[-1]) for line in circle[1].splitlines() if line.startswith("step ")]
    assert len(losses) == 10
    assert losses[-1] < losses[0] / 2


def test_its_file_says_what_its_categories_are_called(circle: tuple[Path, str]) -> None:
    onnx = library("onnx")
    model = onnx.load(circle[0] / "detector.onnx")
    onnx.checker.check_model(model)
    assert "'boat'" in {prop.key: prop.value for prop in model.metadata_props}["names"]


def test_the_others_have_suggestions_and_nothing_else(circle: tuple[Path, str]) -> None:
    folder, said = circle
    command = [tool("exiftool"), "-j", "-b", "-r", "-UserComment", str(folder / "others")]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert len(found) == 8
    documents = [unpacked(json.loads(one["UserComment"])["labels"]) for one in found]
    labels = [label for document in documents for label in document.get("annotations", ())]
    assert all(label["status"] == "suggestion" and label["source"]["name"] == "detector" for label in labels)
    assert f"{len(labels):,} suggestions" in said


def unpacked(document: Any) -> Any:
    """A document, which is packed where there are many labels."""
    return json.loads(zlib.decompress(b64decode(document))) if isinstance(document, str) else document


def test_the_labels_that_it_learned_from_are_as_they_were(circle: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "raw_images", tmp_path / "images")
    xlabel.embed(tmp_path / "images", SAMPLE / "raw_labels")
    learned = circle[0] / "labelled"
    paths = [path.relative_to(learned) for path in learned.rglob("*") if path.is_file()]
    assert len(paths) == 16
    assert all(xlabel.labels(learned / path) == xlabel.labels(tmp_path / "images" / path) for path in paths)
