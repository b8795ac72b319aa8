"""The scripts by their exact words: what each option does, and what each ends with."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import awkward
from tests.tools import ROOT, SAMPLE, Done, script, tree

ROW = "0 0.5 0.5 0.5 0.5\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with raw_images/ and raw_labels/ of two images, where scripts are run."""
    for folder in ("raw_images/a", "raw_labels/a"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "raw_images/a/1.jpg").write_bytes(awkward.picture(seed=1))
    (tmp_path / "raw_images/2.png").write_bytes(awkward.picture("PNG", seed=2))
    (tmp_path / "raw_labels/a/1.txt").write_text(ROW)
    (tmp_path / "raw_labels/2.txt").write_text(ROW * 2)
    return tmp_path


def made(place: Path) -> set[str]:
    """Files other than the raw ones."""
    return {name.decode() for name in tree(place) if not name.startswith(b"raw_")}


def bundle(place: Path, *options: str | Path) -> Done:
    return script("bundle_images", "--input", "raw_images/", *options, cwd=place)


def annotate(place: Path, *options: str | Path, stdin: str = "") -> Done:
    words = ("--images", "raw_images/", "--labels", "raw_labels/")
    return script("build_annotations", *words, *options, cwd=place, stdin=stdin)


def pipeline(place: Path, *options: str | Path) -> Done:
    return script("run_pipeline", "--images", "raw_images/", "--labels", "raw_labels/", *options, cwd=place)


def loaded(path: Path) -> Any:
    return json.loads(path.read_bytes())


# bundle_images.py


def test_bundle_images_writes_the_bundle_and_the_manifest(place: Path) -> None:
    done = bundle(place)
    assert (done.returncode, done.stderr) == (0, "")
    assert made(place) == {"output/media_bundle.mp4", "output/frame_manifest.json"}
    frames = loaded(place / "output/frame_manifest.json")["frames"]
    assert [frame["key"] for frame in frames] == ["2.png", "a/1.jpg"]


@pytest.mark.parametrize("name", ["elsewhere/mine.mp4", "mine.zip", "elsewhere/deep/mine.tar"])
def test_output_names_the_bundle_and_its_kind(place: Path, name: str) -> None:
    assert bundle(place, "--output", name).returncode == 0
    manifest = Path(name).parent / "frame_manifest.json"
    assert made(place) == {name, str(manifest)}
    assert loaded(place / manifest)["kind"] == Path(name).suffix[1:]


@pytest.mark.parametrize("name", ["elsewhere/order.json", "output/order.json"])
def test_manifest_names_the_manifest(place: Path, name: str) -> None:
    assert bundle(place, "--manifest", name).returncode == 0
    assert made(place) == {"output/media_bundle.mp4", name}
    assert len(loaded(place / name)["frames"]) == 2


def test_no_manifest_writes_none(place: Path) -> None:
    assert bundle(place, "--no-manifest").returncode == 0
    assert made(place) == {"output/media_bundle.mp4"}


def test_a_pattern_picks_images(place: Path) -> None:
    assert bundle(place, "--pattern", "*.png").returncode == 0
    assert [frame["key"] for frame in loaded(place / "output/frame_manifest.json")["frames"]] == ["2.png"]


def test_fps_stands_in_the_manifest(place: Path) -> None:
    assert bundle(place, "--fps", "25").returncode == 0
    assert loaded(place / "output/frame_manifest.json")["fps"] == 25


def test_plain_leaves_the_zip_face_out(place: Path) -> None:
    assert bundle(place).returncode == 0
    assert zipfile.is_zipfile(place / "output/media_bundle.mp4")
    assert bundle(place, "--plain", "--overwrite").returncode == 0
    assert not zipfile.is_zipfile(place / "output/media_bundle.mp4")


@pytest.mark.parametrize("run", [bundle, annotate, pipeline])
def test_what_is_there_is_kept_until_overwrite_is_said(place: Path, run: Callable[..., Done]) -> None:
    assert run(place).returncode == 0
    before = tree(place)
    (place / "raw_images/3.jpg").write_bytes(awkward.picture(seed=3))
    done = run(place)
    assert done.returncode == 2 and "--overwrite" in done.stderr
    (place / "raw_images/3.jpg").unlink()
    assert tree(place) == before
    (place / "raw_images/3.jpg").write_bytes(awkward.picture(seed=3))
    assert run(place, "--overwrite").returncode == 0
    assert {name: data for name, data in tree(place).items() if name in before} != before


def test_an_unknown_suffix_is_bad_input_and_nothing_is_made(place: Path) -> None:
    done = bundle(place, "--output", "output/media.avi")
    assert done.returncode == 2 and ".mp4, .tar, .zip" in done.stderr
    assert made(place) == set() and not (place / "output").exists()


def test_an_image_that_is_cut_off_ends_with_1_and_is_bundled(place: Path) -> None:
    (place / "raw_images/3.jpg").write_bytes(awkward.picture(seed=3)[:-30])
    done = bundle(place)
    assert done.returncode == 1 and "raw_images/3.jpg: the image is cut off" in done.stdout
    assert len(loaded(place / "output/frame_manifest.json")["frames"]) == 3
    assert "output/problems.json" in made(place)


# build_annotations.py


def test_build_annotations_follows_the_manifest_that_lies_in_output(place: Path) -> None:
    assert bundle(place).returncode == 0
    manifest = loaded(place / "output/frame_manifest.json")
    assert annotate(place).returncode == 0
    images = loaded(place / "output/unified_annotation.json")["images"]
    fields = ("file_name", "frame_index", "offset", "size", "sha256")
    names = ("key", "index", "offset", "size", "sha256")
    assert [[image[f] for f in fields] for image in images] == [
        [frame[n] for n in names] for frame in manifest["frames"]
    ]


def test_without_manifest_the_order_is_that_of_the_keys(place: Path) -> None:
    done = annotate(place)
    assert (done.returncode, done.stderr) == (0, "")
    value = loaded(place / "output/unified_annotation.json")
    assert [image["file_name"] for image in value["images"]] == ["2.png", "a/1.jpg"]
    assert len(value["annotations"]) == 3 and "offset" not in value["images"][0]


def test_skip_manifest_ignores_the_one_that_is_there(place: Path) -> None:
    assert bundle(place, "--pattern", "*.png").returncode == 0
    assert annotate(place, "--skip-manifest").returncode == 0
    images = loaded(place / "output/unified_annotation.json")["images"]
    assert [image["file_name"] for image in images] == ["2.png", "a/1.jpg"]


def test_a_manifest_by_name_or_from_standard_input_is_followed(place: Path) -> None:
    assert bundle(place, "--manifest", "order.json", "--pattern", "*.jpg").returncode == 0
    for options, stdin in ((["order.json"], ""), (["-"], (place / "order.json").read_text())):
        done = annotate(place, "--manifest", *options, "--overwrite", "--skip-missing-images", stdin=stdin)
        (image,) = loaded(place / "output/unified_annotation.json")["images"]
        assert (image["file_name"], image["frame_index"]) == ("a/1.jpg", 0), done.stderr


def test_what_is_no_manifest_on_standard_input_is_bad_input(place: Path) -> None:
    for stdin in ("", "[]", "no json", '{"frames": 1}'):
        done = annotate(place, "--manifest", "-", stdin=stdin)
        assert done.returncode == 2 and "standard input" in done.stderr
    assert made(place) == set()


def test_require_manifest_insists(place: Path) -> None:
    done = annotate(place, "--require-manifest")
    assert done.returncode == 2 and "frame_manifest.json: expected a frame manifest" in done.stderr
    assert bundle(place).returncode == 0
    assert annotate(place, "--require-manifest").returncode == 0


def test_a_manifest_that_is_named_has_to_be_there(place: Path) -> None:
    done = annotate(place, "--manifest", "nowhere.json")
    assert done.returncode == 2 and "nowhere.json" in done.stderr


def test_output_redirects_the_annotation_file(place: Path) -> None:
    assert annotate(place, "--output", "elsewhere/labels.json").returncode == 0
    assert made(place) == {"elsewhere/labels.json"}


def test_build_annotations_takes_a_pattern(place: Path) -> None:
    assert annotate(place, "--pattern", "a/*", "--skip-missing-images").returncode == 0
    assert [i["file_name"] for i in loaded(place / "output/unified_annotation.json")["images"]] == ["a/1.jpg"]


def test_bundle_and_annotations_of_one_pattern_belong_together(place: Path) -> None:
    assert bundle(place, "--pattern", "a/*").returncode == 0
    assert annotate(place, "--pattern", "a/*").returncode == 0
    assert annotate(place, "--overwrite", "--pattern", "**/*.jpg").returncode == 0
    done = annotate(place, "--overwrite", "--pattern", "*.png")
    assert done.returncode == 2 and "a/1.jpg: expected frames that fit '*.png'" in done.stderr
    images = loaded(place / "output/unified_annotation.json")["images"]
    assert [image["file_name"] for image in images] == ["a/1.jpg"]


@pytest.mark.parametrize("run", [annotate, pipeline])
def test_a_label_without_image_ends_with_1_or_is_only_counted(place: Path, run: Callable[..., Done]) -> None:
    (place / "raw_labels/lonely.txt").write_text(ROW)
    done = run(place)
    assert done.returncode == 1 and "raw_labels/lonely.txt: labels without an image" in done.stdout
    done = run(place, "--overwrite", "--skip-missing-images")
    assert done.returncode == 0 and "1 label record without an image, skipped" in done.stdout


# run_pipeline.py


def test_run_pipeline_does_both(place: Path) -> None:
    done = pipeline(place)
    assert (done.returncode, done.stderr) == (0, "")
    names = ("media_bundle.mp4", "frame_manifest.json", "unified_annotation.json")
    assert made(place) == {f"output/{name}" for name in names}
    by_steps = place / "steps"
    bundle(place, "--output", by_steps / "media_bundle.mp4")
    assert tree(by_steps)[b"media_bundle.mp4"] == (place / "output/media_bundle.mp4").read_bytes()


def test_without_folders_run_pipeline_takes_the_sample_again_and_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert script("run_pipeline", "--overwrite", cwd=tmp_path).returncode == 0
    value = loaded(tmp_path / "output/unified_annotation.json")
    assert (len(value["images"]), len(value["annotations"])) == (24, 114)
    assert script("run_pipeline", "--images", "x", cwd=tmp_path).returncode == 2


def test_run_pipeline_takes_pattern_and_fps(place: Path) -> None:
    done = pipeline(place, "--pattern", "*.png", "--fps", "29.97", "--skip-missing-images")
    assert done.returncode == 0
    manifest = loaded(place / "output/frame_manifest.json")
    assert (manifest["fps"], [frame["key"] for frame in manifest["frames"]]) == (29.97, ["2.png"])


def test_allow_missing_manifest_is_taken(place: Path) -> None:
    assert pipeline(place, "--allow-missing-manifest").returncode == 0


@pytest.fixture
def imageless(place: Path) -> Path:
    """Without a single image, and with labels that state sizes."""
    shutil.rmtree(place / "raw_images")
    (place / "raw_images").mkdir()
    shutil.rmtree(place / "raw_labels")
    (place / "raw_labels").mkdir()
    images = [
        {"id": 1, "file_name": "x/one.jpg", "width": 33, "height": 21},
        {"id": 2, "file_name": "two.png", "width": 8, "height": 64},
    ]
    label = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
    value = {"images": images, "annotations": [label], "categories": [{"id": 1, "name": "thing"}]}
    (place / "raw_labels/labels.json").write_text(json.dumps(value))
    return place


def test_grey_placeholders_stand_in_where_no_image_is(imageless: Path) -> None:
    done = pipeline(imageless)
    assert done.returncode == 0 and "PLACEHOLDERS" in done.stdout
    manifest = loaded(imageless / "output/frame_manifest.json")
    value = loaded(imageless / "output/unified_annotation.json")
    assert [frame["key"] for frame in manifest["frames"]] == ["two.png", "x/one.jpg"]
    assert all(frame["placeholder"] for frame in manifest["frames"])
    assert all(image["xlabel"]["placeholder"] for image in value["images"])
    with zipfile.ZipFile(imageless / "output/media_bundle.mp4") as archive:
        for name, size in (("two.png", (8, 64)), ("x/one.jpg", (33, 21))):
            with archive.open(name) as file, Image.open(file) as picture:
                assert (picture.size, picture.mode) == (size, "L")
                assert picture.getcolors() == [(size[0] * size[1], 128)]
    assert [label["bbox"] for label in value["annotations"]] == [[1, 2, 3, 4]]


def test_placeholders_can_be_turned_off(imageless: Path) -> None:
    done = pipeline(imageless, "--no-auto-generate-placeholders")
    assert done.returncode == 2 and "expected images" in done.stderr
    assert not (imageless / "output").exists()


def test_a_pattern_that_no_image_fits_makes_no_placeholders_beside_real_images(place: Path) -> None:
    done = pipeline(place, "--pattern", "b/*", "--placeholder-size", "32x18")
    assert done.returncode == 2 and "expected images that fit 'b/*', found none" in done.stderr
    assert not (place / "output").exists()


def test_a_pattern_picks_placeholders(imageless: Path) -> None:
    done = pipeline(imageless, "--pattern", "x/*")
    assert done.returncode == 0 and "1 grey PLACEHOLDER" in done.stdout
    assert [f["key"] for f in loaded(imageless / "output/frame_manifest.json")["frames"]] == ["x/one.jpg"]
    assert pipeline(imageless, "--pattern", "y/*", "--overwrite").returncode == 2


def test_real_images_are_not_marked_as_placeholders(place: Path) -> None:
    assert pipeline(place).returncode == 0
    assert "placeholder" not in (place / "output/frame_manifest.json").read_text()
    assert "placeholder" not in (place / "output/unified_annotation.json").read_text()


def test_labels_without_sizes_need_a_size_for_placeholders(place: Path) -> None:
    shutil.rmtree(place / "raw_images")
    (place / "raw_images").mkdir()
    done = pipeline(place)
    assert done.returncode == 2 and "--placeholder-size" in done.stderr
    assert not (place / "output").exists()
    assert pipeline(place, "--placeholder-size", "32x18").returncode == 0
    frames = loaded(place / "output/frame_manifest.json")["frames"]
    assert {(frame["width"], frame["height"]) for frame in frames} == {(32, 18)} and len(frames) == 2
    for wrong in ("32", "0x5", "axb", "-1x4"):
        assert pipeline(place, f"--placeholder-size={wrong}", "--overwrite").returncode == 2


# unbundle_dataset.py


def test_unbundle_dataset_is_the_way_back(place: Path) -> None:
    assert pipeline(place).returncode == 0
    words = ("--bundle", "output/media_bundle.mp4", "--annotations", "output/unified_annotation.json")
    assert script("unbundle_dataset", *words, cwd=place).returncode == 0
    for folder in ("raw_images", "raw_labels"):
        assert tree(place / "restored" / folder) == tree(place / folder)
    assert script("unbundle_dataset", *words, cwd=place).returncode == 2
    assert script("unbundle_dataset", *words, "--output", "again", "--to", "coco", cwd=place).returncode == 0
    assert tree(place / "again/images") == tree(place / "raw_images")


def test_unbundle_dataset_refuses_to_lose_labels(imageless: Path) -> None:
    assert pipeline(imageless).returncode == 0
    value = json.loads((imageless / "raw_labels/labels.json").read_text())
    value["annotations"][0]["segmentation"] = [[1, 2, 4, 2, 4, 6]]
    (imageless / "raw_labels/labels.json").write_text(json.dumps(value))
    assert pipeline(imageless, "--overwrite").returncode == 0
    words = ("--bundle", "output/media_bundle.mp4", "--to", "yolo-detect")
    assert script("unbundle_dataset", *words, cwd=imageless).returncode == 3
    assert not (imageless / "restored").exists()
    assert script("unbundle_dataset", *words, "--on-loss", "drop", cwd=imageless).returncode == 0


# All of them


SCRIPTS = {
    "bundle_images": "--input --output --manifest --no-manifest --pattern --fps --overwrite --plain",
    "build_annotations": "--images --labels --output --manifest --skip-manifest --require-manifest "
    "--skip-missing-images --pattern --overwrite",
    "run_pipeline": "--images --labels --overwrite --pattern --fps --skip-missing-images "
    "--allow-missing-manifest --no-auto-generate-placeholders --placeholder-size",
    "unbundle_dataset": "--bundle --annotations",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_and_the_readme_explain_every_option(name: str, tmp_path: Path) -> None:
    done = script(name, "--help", cwd=tmp_path)
    readme = (ROOT / "scripts" / "README_scripts.md").read_text()
    assert done.returncode == 0
    for option in SCRIPTS[name].split():
        assert option in done.stdout.split("options:")[1] and f"`{option}" in readme


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_missing_folder_is_bad_input(name: str, tmp_path: Path) -> None:
    words = {
        "bundle_images": ["--input", "nowhere"],
        "build_annotations": ["--images", "nowhere", "--labels", "nowhere"],
        "run_pipeline": ["--images", "nowhere", "--labels", "nowhere"],
        "unbundle_dataset": ["--bundle", "nowhere/media_bundle.mp4"],
    }
    done = script(name, *words[name], cwd=tmp_path)
    assert done.returncode == 2 and "nowhere" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def bare(scripts: Path, name: str, cwd: Path) -> Done:
    """A script started by this Python without its site packages, so without xlabel."""
    command = [sys.executable, "-S", "-E", str(scripts / f"{name}.py"), "--overwrite"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)


def checkout(folder: Path) -> Path:
    """A copy of scripts and sample, as a fresh clone has them."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copytree(SAMPLE, folder / "sample")
    return folder / "scripts"


def test_a_python_without_xlabel_starts_again_under_the_repository_s_own(tmp_path: Path) -> None:
    scripts = checkout(tmp_path / "repository")
    python = tmp_path / "repository" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    done = bare(scripts, "run_pipeline", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "output" / "media_bundle.mp4").exists()


def test_a_python_without_xlabel_says_in_one_line_how_to_get_it(tmp_path: Path) -> None:
    done = bare(checkout(tmp_path / "repository"), "run_pipeline", tmp_path)
    assert done.returncode != 0 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "make demo" in done.stderr and "pip install" in done.stderr


def test_images_that_only_a_list_names_need_no_placeholder(tmp_path: Path) -> None:
    voc = tmp_path / "voc"
    (voc / "Annotations").mkdir(parents=True)
    (voc / "ImageSets" / "Main").mkdir(parents=True)
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a\nonly_listed\n")
    (voc / "Annotations" / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><size><width>30</width><height>20</height></size>"
        "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
        "</object></annotation>"
    )
    (tmp_path / "empty").mkdir()
    done = script("run_pipeline", "--images", "empty", "--labels", "voc", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "1 image, 1 annotation" in done.stdout and "only_listed" in done.stdout
