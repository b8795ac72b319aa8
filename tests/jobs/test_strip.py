"""Strip gives back the files as they were, and tells where it cannot be proved."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from tests.tools import SAMPLE, run, tool, tree

import xlabel
from xlabel.errors import InputError

IMAGES, LABELS = SAMPLE / "raw_images", SAMPLE / "raw_labels"
BOX = xlabel.Annotation(category=xlabel.Category(id=1, name="car"), bbox=(10, 20, 30, 40))


def made(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Pillow.linear_gradient("L").resize((60, 40)).convert("RGB").save(file, kind, **options)
    return file.getvalue()


def test_a_folder_is_byte_for_byte_what_it_was_after_any_number_of_labels(folder: Path) -> None:
    before = tree(folder)
    for bbox in ((1, 2, 3, 4), (5, 6, 7, 8)):
        xlabel.embed(folder, LABELS)
        xlabel.embed(folder / "street/001.jpg", [xlabel.Annotation(bbox=bbox)])
    assert tree(folder) != before
    report = xlabel.strip(folder)
    assert report.done == {"images": 24, "restored": 23, "never labelled": 1}
    assert tree(folder) == before


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "gif", "avif", "jp2"])
def test_a_file_with_words_of_others_is_byte_for_byte_what_it_was(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    kinds = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}
    path.write_bytes(made(kinds.get(ending, ending.upper())))
    words = ["-XMP:Title=Title", *([] if ending == "gif" else ["-EXIF:Artist=Ada", "-EXIF:Make=Acme"])]
    run(tool("exiftool"), "-q", "-overwrite_original", *words, path)
    before = path.read_bytes()
    xlabel.embed(path, [BOX])
    assert xlabel.labels(path) == [BOX]
    said = json.loads(run(tool("exiftool"), "-json", "-Title", "-Artist", path))[0]
    assert said["Title"] == "Title" and (ending == "gif" or said["Artist"] == "Ada")
    assert not xlabel.strip(path).problems
    assert path.read_bytes() == before


def test_what_another_tool_wrote_since_stays_and_the_doubt_is_told(image: Path) -> None:
    xlabel.embed(image, [BOX])
    run(tool("exiftool"), "-q", "-overwrite_original", "-Artist=Ada", image)
    report = xlabel.strip(image)
    assert report.done == {"images": 1, "restored": 0, "cleaned": 1}
    assert [problem.code for problem in report.problems] == ["not-provable"]
    assert b"xlabel" not in image.read_bytes().lower().replace(b'x:xmptk="xlabel"', b"")
    said = json.loads(run(tool("exiftool"), "-json", "-Artist", "-UserComment", "-ImageRegion", image))[0]
    assert said.keys() == {"SourceFile", "Artist"}
    assert xlabel.strip(image).done == {"images": 1, "restored": 0, "never labelled": 1}


def test_pictures_that_were_never_labelled_are_not_touched(folder: Path) -> None:
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*.*")}
    assert xlabel.strip(folder).done == {"images": 24, "restored": 0, "never labelled": 24}
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*.*")} == before


def test_a_dry_run_says_what_would_be_and_writes_nothing(image: Path) -> None:
    xlabel.embed(image, [BOX])
    before = image.read_bytes()
    assert xlabel.strip(image, dry_run=True).done == {"images": 1, "restored": 1}
    assert image.read_bytes() == before


def test_links_are_followed_times_kept_and_hard_links_told(image: Path, tmp_path: Path) -> None:
    before = image.read_bytes()
    xlabel.embed(image, [BOX])
    os.utime(image, ns=(5, 7))
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "b.jpg").hardlink_to(image)
    report = xlabel.strip(tmp_path / "link.jpg", keep_time=True)
    assert (tmp_path / "link.jpg").is_symlink()
    assert image.read_bytes() == before and image.stat().st_mtime_ns == 7
    assert any("hard link" in note for note in report.notes)
    assert xlabel.labels(tmp_path / "b.jpg") == [BOX]


def test_a_read_only_file_keeps_its_labels_which_is_told(image: Path) -> None:
    xlabel.embed(image, [BOX])
    image.chmod(0o444)
    assert [problem.code for problem in xlabel.strip(image).problems] == ["not-written"]
    assert xlabel.labels(image) == [BOX]


def test_a_file_beside_an_image_that_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "a.bmp").write_bytes(made("BMP"))
    (tmp_path / "a.bmp.xlabel").write_bytes(b"notes of somebody")
    assert xlabel.strip(tmp_path).done == {"images": 1, "restored": 0, "never labelled": 1}
    assert (tmp_path / "a.bmp.xlabel").read_bytes() == b"notes of somebody"


def test_a_name_so_long_that_no_file_could_lie_beside_it_is_as_good_as_any(image: Path) -> None:
    long = image.rename(image.with_name("a" * 251 + ".jpg"))
    before = long.read_bytes()
    assert not list(xlabel.validate(long.parent).findings)
    assert xlabel.labels(long) == []
    xlabel.embed(long, [BOX])
    assert xlabel.strip(long.parent).done == {"images": 1, "restored": 1}
    assert long.read_bytes() == before


@pytest.mark.parametrize("kind", ["PNG", "GIF", "AVIF"])
def test_a_labelled_file_that_was_cut_off_since_is_told_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(made(kind))
    xlabel.embed(path, [BOX])
    short = path.read_bytes()[:-20]
    path.write_bytes(short)
    (problem,) = xlabel.strip(path).problems
    assert problem.code == "undecodable"
    assert "ends" in problem.message and "nothing is taken out" in problem.message
    assert path.read_bytes() == short


def test_nothing_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing there"):
        xlabel.strip(tmp_path / "none.jpg")
