"""Labels out of images again, in any format, and what the camera said with them."""

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from pycocotools.coco import COCO
from tests.tools import SAMPLE, run, tool
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import CorruptError, ExistsError, InputError, LossError

IMAGES, LABELS = SAMPLE / "raw_images", SAMPLE / "raw_labels"
BOX = xlabel.Annotation(category=xlabel.Category(id=1, name="car"), bbox=(10, 20, 30, 40))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample with its labels inside; one image of it was never labelled, another is a negative."""
    images = Path(shutil.copytree(IMAGES, tmp_path / "images"))
    xlabel.embed(images, LABELS)
    return images


def boxes(dataset: xlabel.Dataset) -> dict[str, list[Any]]:
    return {
        sample.image.key: [
            (a.category and a.category.name, [round(number, 9) for number in a.bbox or ()])
            for a in sample.annotations
        ]
        for sample in dataset.samples
    }


@pytest.mark.parametrize("to", ["json", "coco", "csv", "voc", "labelme"])
def test_labels_come_out_as_they_went_in(folder: Path, tmp_path: Path, to: str) -> None:
    report = xlabel.extract(folder, tmp_path / "out", to=to)
    assert (report.done["images"], report.done["annotations"], report.done["categories"]) == (23, 114, 6)
    assert "1 image never labelled, left out" in report.notes
    before = boxes(xlabel.read(LABELS, images=IMAGES))
    after = boxes(xlabel.read(tmp_path / "out", format=to, images=folder))
    assert after["yard/empty lawn.jpg"] == []
    assert before.pop("unlabelled.jpg") == []
    after.pop("unlabelled.jpg", None)
    assert after == before


def test_pycocotools_reads_them(folder: Path, tmp_path: Path) -> None:
    xlabel.extract(folder, tmp_path / "out.json", to="coco")
    coco = COCO(tmp_path / "out.json")
    assert len(coco.imgs) == 23 and len(coco.anns) == 114
    assert {image["file_name"] for image in coco.imgs.values()} > {"street/night/001.jpg"}


def test_a_file_and_a_glob_will_do(folder: Path, tmp_path: Path) -> None:
    assert xlabel.extract(folder / "table/003.jpg", tmp_path / "one.csv", to="csv").done["images"] == 1
    glob = f"{folder}/**/*.webp"
    assert xlabel.extract(glob, tmp_path / "some.csv", to="csv").done["images"] == 3
    assert xlabel.extract(folder, tmp_path / "more.csv", to="csv", pattern="*.webp").done["images"] == 3


def test_the_fields_of_the_camera_are_columns_and_an_object(folder: Path, tmp_path: Path) -> None:
    path = folder / "street/001.jpg"
    words = {"Make": "Acme, Inc", "Model": "X 1", "FNumber": 2.8, "DateTimeOriginal": "2026:01:02 03:04:05"}
    place = ["-GPSLatitude=12.5", "-GPSLatitudeRef=N", "-UserComment="]
    options = [f"-{tag}={value}" for tag, value in words.items()]
    run(tool("exiftool"), "-q", "-overwrite_original", *options, *place, path)
    xlabel.extract(folder, tmp_path / "out.csv", to="csv", exif=True)
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ours = [row for row in rows if row["image"] == "street/001.jpg"]
    assert len(ours) == len(xlabel.labels(path))
    for row in ours:
        assert row["exif_Make"] == "Acme, Inc" and float(row["exif_FNumber"]) == 2.8
        assert row["exif_DateTimeOriginal"] == words["DateTimeOriginal"]
    assert {row["exif_Make"] for row in rows if row["image"] != "street/001.jpg"} == {""}
    xlabel.extract(folder, tmp_path / "out.json", to="json", exif=True)
    records = json.loads((tmp_path / "out.json").read_text())["images"]
    held = next(record for record in records if record["file_name"] == "street/001.jpg")
    fields = held["image"]["extra"]["exif"]
    assert words.items() <= fields.items()
    assert fields["GPSLatitude"] == [12, 30, 0]
    assert "UserComment" not in fields and "MakerNote" not in fields
    again = xlabel.read(tmp_path / "out.csv")
    assert next(s.image.extra for s in again.samples if s.image.key == "street/001.jpg") == {"exif": fields}
    assert "extra" not in records[0]["image"], "an image that no camera wrote into"


def test_what_a_format_cannot_hold_is_refused_until_it_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LossError):
        xlabel.extract(folder, tmp_path / "out", to="csv-tensorflow")
    assert not (tmp_path / "out").exists()
    report = xlabel.extract(folder, tmp_path / "out", to="csv-tensorflow", on_loss="drop")
    assert {loss.field for loss in report.losses} >= {"unlabelled"}


def test_nothing_is_overwritten_and_a_dry_run_writes_nothing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert xlabel.extract(folder, out, to="csv", dry_run=True).done["annotations"] == 114
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(ExistsError):
        xlabel.extract(folder, out, to="csv")
    assert out.read_text() == "mine"
    assert xlabel.extract(folder, out, to="csv", overwrite=True).files[str(out)] == out.stat().st_size


def test_labels_beside_an_image_that_cannot_hold_them_come_out_too(tmp_path: Path) -> None:
    Pillow.new("RGB", (64, 48)).save(tmp_path / "a.bmp")
    xlabel.embed(tmp_path / "a.bmp", [BOX], sidecar=True)
    assert xlabel.extract(tmp_path, tmp_path / "out.csv", to="csv").done["annotations"] == 1


def test_labels_beside_an_image_that_cannot_hold_so_many_come_out_too(tmp_path: Path) -> None:
    image = tmp_path / "a.gif"
    Pillow.new("P", (64, 48)).save(image)
    before = image.read_bytes()
    many = xlabel.Annotation(caption=random.Random(0).randbytes(2_000_000).hex(), bbox=(1, 2, 3, 4))
    assert xlabel.embed(image, [many], sidecar=True).done["sidecars"] == 1
    assert image.read_bytes() == before
    assert xlabel.labels(image) == [many]
    assert xlabel.extract(tmp_path, tmp_path / "out.csv", to="csv").done["annotations"] == 1


def test_images_without_any_labels_are_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found none in 24 images; put some in with xlabel embed"):
        xlabel.extract(IMAGES, tmp_path / "out.csv", to="csv")
    with pytest.raises(InputError, match=r"expected a format out of"):
        xlabel.extract(IMAGES, tmp_path / "out.csv", to="nonsense")
    with pytest.raises(InputError, match=r"expected a format of label files, got 'embedded'"):
        xlabel.extract(IMAGES, tmp_path / "out", to="embedded")


def test_labels_of_a_picture_that_was_changed_since_are_told(folder: Path, tmp_path: Path) -> None:
    path = folder / "street/001.jpg"
    with Pillow.open(path) as picture:
        comment = picture.info["comment"]
        picture.resize((320, 214)).save(path, comment=comment)
    report = xlabel.extract(folder, tmp_path / "out.csv", to="csv")
    assert [problem.code for problem in report.problems] == ["stale-labels"]
    assert report.done["images"] == 23


def test_labels_that_nobody_can_read_are_told_and_not_counted_as_none(folder: Path, tmp_path: Path) -> None:
    with Pillow.open(folder / "street/001.jpg") as picture:
        picture.save(folder / "street/001.jpg", comment=picture.info["comment"][:200])
    report = xlabel.extract(folder, tmp_path / "out.csv", to="csv")
    assert [problem.code for problem in report.problems] == ["unreadable-labels"]
    assert report.done["images"] == 22
    assert "1 image never labelled, left out" in report.notes


def test_the_labels_of_one_image_are_a_list(folder: Path, tmp_path: Path) -> None:
    assert len(xlabel.labels(folder / "street/001.jpg")) == 8
    assert xlabel.labels(str(folder / "unlabelled.jpg")) == []
    assert xlabel.labels(folder / "yard/empty lawn.jpg") == []
    for path, found in ((folder / "none.jpg", "nothing"), (folder, "a folder")):
        with pytest.raises(InputError, match=f"expected an image file, found {found}"):
            xlabel.labels(path)
    broken = tmp_path / "a.png"
    Pillow.new("RGB", (9, 9)).save(broken)
    run(tool("exiftool"), "-q", "-overwrite_original", '-UserComment={"xlabel":1,"revision":1', broken)
    with pytest.raises(CorruptError, match=r"a\.png: exif: .*; embed its labels again"):
        xlabel.labels(broken)


def test_the_command_prints_its_report(folder: Path, tmp_path: Path) -> None:
    done = command("extract", folder, tmp_path / "out.json", "--to", "coco", "--exif")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("extract: 23 images, 114 annotations, 6 categories in ")
    said = json.loads(command("extract", folder, tmp_path / "o", "--to", "json", "--json").stdout)
    assert said["job"] == "extract" and said["exit_code"] == 0
    assert command("extract", IMAGES, tmp_path / "no", "--to", "json").returncode == 2


def test_fingerprints_go_with_the_documents(folder: Path, tmp_path: Path) -> None:
    xlabel.extract(folder, tmp_path / "out.json", to="json")
    record = json.loads((tmp_path / "out.json").read_text())["images"][0]
    path = folder / record["file_name"]
    comment = json.loads(run(tool("exiftool"), "-json", "-UserComment", path))[0]["UserComment"]
    assert record["image"]["stream"] == json.loads(comment)["labels"]["image"]["stream"]


def test_what_xlabel_wrote_beside_the_labels_is_no_word_of_the_camera(tmp_path: Path) -> None:
    said = Pillow.Exif()
    said[0x010F], said[0x0110] = "Canon", "EOS R5"
    Pillow.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=said)
    Pillow.new("RGB", (64, 48)).save(tmp_path / "b.tif", exif=said)
    for name in ("a.jpg", "b.tif"):
        xlabel.embed(tmp_path / name, [BOX])
    xlabel.extract(tmp_path, tmp_path / "out.json", to="coco", exif=True)
    jpeg, tiff = (image["exif"] for image in json.loads((tmp_path / "out.json").read_bytes())["images"])
    assert jpeg == {"Make": "Canon", "Model": "EOS R5"}
    assert tiff["Make"] == "Canon" and not any("Offsets" in name or "ByteCounts" in name for name in tiff)
