"""Unpack gives every byte of every image back, and the labels in the form that they had."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from tests import awkward
from tests.conftest import KINDS
from tests.tools import ROOT, SAMPLE, run, tree

import xlabel
from xlabel import ExistsError, InputError, LossError


def test_every_image_comes_back_under_its_name_byte_for_byte(
    awkward_packs: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    report = xlabel.unpack(awkward_packs[kind].parent, tmp_path / "restored")
    assert report.problems == []
    assert tree(tmp_path / "restored") == awkward.restored()


def test_a_file_of_0_bytes_whose_name_is_not_utf8_comes_back_under_its_name(
    kind: str, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(awkward.picture())
    (images / os.fsdecode(b"caf\xe9.jpg")).touch()
    xlabel.pack(images, None, tmp_path / "pack", media=KINDS[kind], plain=kind == "plain")
    xlabel.unpack(tmp_path / "pack", tmp_path / "restored")
    assert tree(tmp_path / "restored") == tree(images)


@pytest.mark.parametrize("left", ["frame_manifest.json", "unified_annotation.json"])
def test_two_files_are_enough(awkward_packs: dict[str, Path], kind: str, left: str, tmp_path: Path) -> None:
    pack = shutil.copytree(awkward_packs[kind].parent, tmp_path / "pack", copy_function=shutil.copy)
    (pack / left).unlink()
    assert xlabel.unpack(pack, tmp_path / "restored").problems == []
    assert tree(tmp_path / "restored") == awkward.restored()


def test_the_media_file_alone_is_enough_for_the_images(
    awkward_packs: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    media = tmp_path / awkward_packs[kind].name
    shutil.copy(awkward_packs[kind], media)
    xlabel.unpack(media, tmp_path / "restored")
    expected = awkward.restored()
    found = tree(tmp_path / "restored")
    for name in awkward.EMPTY:  # they are no frames
        del expected[name]
    assert found == expected


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's labels in other forms, drawn by the script that draws the sample."""
    folder = tmp_path_factory.mktemp("forms")
    run(sys.executable, ROOT / "scripts" / "make_sample.py", "--forms", folder)
    return folder


def test_images_and_labels_lie_to_each_other_as_they_did(kind: str, tmp_path: Path) -> None:
    options = {"media": KINDS[kind], "plain": kind == "plain"}
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", tmp_path / "pack", **options)  # type: ignore[arg-type]
    report = xlabel.unpack(tmp_path / "pack", tmp_path / "restored")
    assert report.exit_code == 0 and report.done["annotations"] == 114
    expected = {b"raw_images/" + name: data for name, data in tree(SAMPLE / "raw_images").items()}
    expected |= {b"raw_labels/" + name: data for name, data in tree(SAMPLE / "raw_labels").items()}
    assert tree(tmp_path / "restored") == expected


@pytest.mark.parametrize("form", ["coco", "voc", "labelme"])
def test_labels_come_back_in_the_form_that_they_had(forms: Path, form: str, tmp_path: Path) -> None:
    xlabel.pack(SAMPLE / "raw_images", forms / form, tmp_path / "pack")
    xlabel.unpack(tmp_path / "pack", tmp_path / "restored")
    ours, theirs = tree(tmp_path / "restored" / form), tree(forms / form)
    assert ours.keys() == theirs.keys()
    if form == "voc":
        assert {name: b"".join(data.split()) for name, data in ours.items()} == {
            name: b"".join(data.split()) for name, data in theirs.items()
        }
    else:
        assert {n: json.loads(d) for n, d in ours.items()} == {n: json.loads(d) for n, d in theirs.items()}


def test_labels_inside_the_images_come_back_inside(tmp_path: Path) -> None:
    images = shutil.copytree(SAMPLE / "raw_images", tmp_path / "images")
    shutil.copytree(SAMPLE / "raw_labels", images, dirs_exist_ok=True)
    xlabel.pack(images, None, tmp_path / "pack")
    xlabel.unpack(tmp_path / "pack", tmp_path / "restored")
    assert tree(tmp_path / "restored") == tree(images)


def test_labels_come_back_in_another_form_beside_the_images(tmp_path: Path) -> None:
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", tmp_path / "pack")
    xlabel.unpack(tmp_path / "pack", tmp_path / "restored", to="coco")
    assert tree(tmp_path / "restored" / "images") == tree(SAMPLE / "raw_images")
    (written,) = (tmp_path / "restored").rglob("*.json")
    labels = json.loads(written.read_bytes())
    assert len(labels["annotations"]) == 114 and len(labels["images"]) == 24


def test_a_form_that_cannot_hold_everything_is_refused_until_dropping_is_asked_for(
    forms: Path, tmp_path: Path
) -> None:
    xlabel.pack(SAMPLE / "raw_images", forms / "coco", tmp_path / "pack")
    with pytest.raises(LossError, match="--on-loss drop"):
        xlabel.unpack(tmp_path / "pack", tmp_path / "restored", to="yolo-detect")
    assert not (tmp_path / "restored").exists()
    report = xlabel.unpack(tmp_path / "pack", tmp_path / "restored", to="yolo-detect", on_loss="drop")
    assert report.losses and any((tmp_path / "restored" / "labels").rglob("*.txt"))


def test_a_folder_that_is_not_empty_is_left_alone_until_overwriting_is_asked_for(tmp_path: Path) -> None:
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", tmp_path / "pack")
    (tmp_path / "restored" / "raw_images").mkdir(parents=True)
    (tmp_path / "restored" / "mine.txt").write_text("mine")
    (tmp_path / "restored" / "raw_images" / "unlabelled.jpg").write_text("old")
    with pytest.raises(ExistsError, match="not empty"):
        xlabel.unpack(tmp_path / "pack", tmp_path / "restored")
    assert len(tree(tmp_path / "restored")) == 2
    xlabel.unpack(tmp_path / "pack", tmp_path / "restored", overwrite=True)
    found = tree(tmp_path / "restored")
    assert found.pop(b"mine.txt") == b"mine"
    assert {n: d for n, d in found.items() if n.startswith(b"raw_images/")} == {
        b"raw_images/" + name: data for name, data in tree(SAMPLE / "raw_images").items()
    }


def test_an_annotation_file_elsewhere_is_taken_when_it_is_named(tmp_path: Path) -> None:
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", tmp_path / "pack")
    labels = tmp_path / "labels.json"
    (tmp_path / "pack" / "unified_annotation.json").rename(labels)
    xlabel.unpack(tmp_path / "pack" / "media_bundle.mp4", tmp_path / "restored", annotations=labels)
    assert tree(tmp_path / "restored" / "raw_labels") == tree(SAMPLE / "raw_labels")


def test_labels_without_image_come_back_too(tmp_path: Path) -> None:
    labels = shutil.copytree(SAMPLE / "raw_labels", tmp_path / "raw_labels")
    (labels / "harbour" / "lonely.txt").write_text("0 .5 .5 .1 .1\n")
    xlabel.pack(SAMPLE / "raw_images", labels, tmp_path / "pack", skip_missing_images=True)
    xlabel.unpack(tmp_path / "pack", tmp_path / "restored")
    assert tree(tmp_path / "restored" / "raw_labels") == tree(labels)


def test_damaged_bytes_are_written_and_listed(tmp_path: Path) -> None:
    xlabel.pack(SAMPLE / "raw_images", None, tmp_path / "pack")
    with xlabel.open_bundle(tmp_path / "pack") as bundle:
        place, key = int(bundle.offsets[4]) + 50, bundle.keys[4]
    with (tmp_path / "pack" / "media_bundle.mp4").open("r+b") as file:
        file.seek(place)
        file.write(b"damage")
    (problem,) = xlabel.unpack(tmp_path / "pack", tmp_path / "restored").problems
    assert (problem.where, problem.code) == (key, "hash-mismatch")
    assert len(tree(tmp_path / "restored")) >= 24


def test_another_form_needs_labels(awkward_packs: dict[str, Path], tmp_path: Path) -> None:
    media = tmp_path / "media.mp4"
    shutil.copy(awkward_packs["mp4"], media)
    with pytest.raises(InputError, match="no labels to write"):
        xlabel.unpack(media, tmp_path / "restored", to="coco")
