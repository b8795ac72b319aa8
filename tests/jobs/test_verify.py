"""Verify finds a fresh pack in order, and names what is not as it was packed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import awkward
from tests.conftest import KINDS
from tests.tools import SAMPLE

import xlabel
from xlabel import CorruptError, InputError


@pytest.fixture
def pack(kind: str, tmp_path: Path) -> Path:
    """A pack of the sample of each kind."""
    options = {"media": KINDS[kind], "plain": kind == "plain"}
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", tmp_path / "pack", **options)  # type: ignore[arg-type]
    return tmp_path / "pack"


def media_of(pack: Path) -> Path:
    return next(path for path in pack.iterdir() if path.suffix != ".json")


def codes(report: xlabel.Report) -> list[str]:
    return [problem.code for problem in report.problems]


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))


def test_a_fresh_pack_is_in_order(pack: Path) -> None:
    report = xlabel.verify(pack)
    assert report.problems == [] and report.done == {"images": 24, "annotations": 114}
    assert report.bytes == sum(p.stat().st_size for p in (SAMPLE / "raw_images").rglob("*.*"))


def test_a_pack_of_awkward_images_is_in_order(awkward_packs: dict[str, Path], kind: str) -> None:
    report = xlabel.verify(awkward_packs[kind].parent)
    assert report.problems == [] and report.done["images"] == len(awkward.frames())


@pytest.mark.parametrize("frame", [0, 11, 23])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_changed_image_is_named(pack: Path, frame: int, place: str) -> None:
    manifest = json.loads((pack / "frame_manifest.json").read_bytes())["frames"][frame]
    flip(media_of(pack), manifest["offset"] + (0 if place == "first" else manifest["size"] - 1))
    (problem,) = xlabel.verify(pack).problems
    assert problem.code == "hash-mismatch" and problem.where.endswith(manifest["key"])


@pytest.mark.parametrize("kind", ["mp4", "tar", "zip"])
def test_a_changed_zip_or_tar_header_is_named(pack: Path, kind: str) -> None:
    frame = json.loads((pack / "frame_manifest.json").read_bytes())["frames"][5]
    flip(media_of(pack), frame["offset"] - 10 if kind != "tar" else frame["offset"] - 500)
    (problem,) = xlabel.verify(pack).problems
    assert problem.code == "header-damaged" and problem.where.endswith(frame["key"])


def test_a_changed_label_is_noticed(pack: Path) -> None:
    path = pack / "unified_annotation.json"
    path.write_bytes(path.read_bytes().replace(b'"bbox":[', b'"bbox":[1', 1))
    assert codes(xlabel.verify(pack)) == ["annotations-changed"]


def swap(frames: list[dict[str, Any]]) -> None:
    frames[3], frames[4] = frames[4] | {"index": 3}, frames[3] | {"index": 4}


def test_another_order_in_the_manifest_is_noticed(pack: Path) -> None:
    edit(pack / "frame_manifest.json", lambda value: swap(value["frames"]))
    assert {"order", "index", "manifest-changed"} <= set(codes(xlabel.verify(pack)))


def test_another_order_in_the_annotation_file_is_noticed(pack: Path) -> None:
    def swap_images(value: Any) -> None:
        images = value["images"]
        images[3], images[4] = images[4], images[3]

    edit(pack / "unified_annotation.json", swap_images)
    assert "order" in codes(xlabel.verify(pack))


@pytest.mark.parametrize("left", ["frame_manifest.json", "unified_annotation.json"])
def test_two_files_are_enough(pack: Path, left: str) -> None:
    (pack / left).unlink()
    assert xlabel.verify(pack).problems == []
    frame = 7
    with xlabel.open_bundle(pack) as bundle:
        at = int(bundle.offsets[frame])
    flip(media_of(pack), at + 100)
    assert codes(xlabel.verify(pack)) == ["hash-mismatch"]


@pytest.mark.parametrize("name", ["frame_manifest.json", "unified_annotation.json"])
def test_a_file_of_another_pack_is_refused(pack: Path, tmp_path: Path, name: str) -> None:
    images = shutil.copytree(SAMPLE / "raw_images", tmp_path / "fewer")
    (images / "unlabelled.jpg").unlink()
    xlabel.pack(images, SAMPLE / "raw_labels", tmp_path / "other", media=media_of(pack).name)
    shutil.copy(tmp_path / "other" / name, pack / name)
    with pytest.raises(CorruptError, match="do not belong together"):
        xlabel.verify(pack)


def test_a_media_file_that_is_cut_off_is_refused(pack: Path) -> None:
    media = media_of(pack)
    with media.open("r+b") as file:
        file.truncate(media.stat().st_size - 1)
    with pytest.raises(CorruptError, match="cut off"):
        xlabel.verify(pack)


def test_a_folder_without_a_bundle_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one media bundle"):
        xlabel.verify(tmp_path)
