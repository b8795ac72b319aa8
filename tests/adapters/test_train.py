"""The example trains a detector from the two files: from a folder, from S3, and on where it stopped."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stores.servers import Start, environment
from tests.tools import ROOT, SAMPLE, library

import xlabel

library("torch")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, packed. Only to be read."""
    folder = tmp_path_factory.mktemp("train") / "pack"
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", folder)
    return folder


def losses(place: str | Path, *options: str) -> list[float]:
    """The loss of each epoch that the example prints."""
    command = [sys.executable, str(ROOT / "examples/train.py"), str(place), *options]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [float(number) for number in re.findall(r"^epoch \d+: loss ([\d.]+)$", done.stdout, re.MULTILINE)]


@pytest.fixture(scope="module")
def whole(pack: Path) -> list[float]:
    """The losses of a training that was not stopped."""
    return losses(pack, "--epochs", "4")


def test_the_loss_falls(whole: list[float]) -> None:
    assert len(whole) == 4 and whole[-1] < 0.6 * whole[0]


def test_what_was_stopped_goes_on_as_if_it_had_not(pack: Path, whole: list[float], tmp_path: Path) -> None:
    options = ("--checkpoint", str(tmp_path / "model.pt"))
    first = losses(pack, "--epochs", "2", *options)
    rest = losses(pack, "--epochs", "4", "--workers", "2", *options)
    assert first + rest == whole


@pytest.fixture
def url(pack: Path, start: Start) -> Iterator[str]:
    """The pack in a bucket."""
    boto3 = library("boto3")
    with environment(start("s3").env):
        client = boto3.client("s3")
        for file in pack.iterdir():
            client.upload_file(str(file), "lab", f"set/{file.name}")
        yield "s3://lab/set"


def test_a_bucket_trains_as_the_folder_does(url: str, whole: list[float], tmp_path: Path) -> None:
    assert losses(url, "--epochs", "2", "--workers", "2", "--cache", str(tmp_path / "cache")) == whole[:2]
