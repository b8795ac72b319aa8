"""Label files that the system refuses to read: they are listed, and all others are used."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.awkward import picture
from tests.tools import Done, bound

VOC = """<annotation><size><width>8</width><height>8</height></size>
<object><name>cat</name></object></annotation>"""
LABELME = '{"shapes":[{"label":"cat","points":[[1,2]],"shape_type":"point"}],"imagePath":"a.jpg"}'
COCO = """{"images":[{"id":1,"file_name":"%s.jpg","width":8,"height":8}],"categories":[{"id":1,"name":"cat"}],
"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,2,2],"area":4,"iscrowd":0}]}"""
CSV = "image,category,x,y,w,h\n%s.jpg,cat,1,1,2,2\n"
SETS = {
    "yolo": (".txt", "0 .5 .5 .1 .1\n"),
    "voc": (".xml", VOC),
    "labelme": (".json", LABELME),
    "coco": (".json", COCO),
    "csv": (".csv", CSV),
}
STEMS = "abcdef"


def build(folder: Path, name: str, stems: str = STEMS) -> tuple[Path, Path]:
    """Images, and a label file for each of them."""
    images, labels = folder / "photos", folder / "truth"
    images.mkdir()
    labels.mkdir()
    ending, text = SETS[name]
    for stem in stems:
        (images / f"{stem}.jpg").write_bytes(picture("JPEG", (8, 8)))
        (labels / (stem + ending)).write_text(text.replace("%s", stem))
    return images, labels


def refuse(path: Path) -> None:
    path.touch()
    path.chmod(0)


def problems(done: Done) -> list[tuple[str, str]]:
    """Name of the file and code of each problem that a run lists."""
    return [(Path(p["where"]).name, p["code"]) for p in json.loads(done.stdout)["problems"]]


def labelled(pack: Path) -> list[str]:
    """Stems of the images that have labels."""
    document: Any = json.loads((pack / "unified_annotation.json").read_bytes())
    ids = {annotation["image_id"] for annotation in document["annotations"]}
    return [Path(image["file_name"]).stem for image in document["images"] if image["id"] in ids]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("stem", ["a", "c", "f"])
def test_a_label_file_that_may_not_be_read_is_listed_and_all_others_are_used(
    tmp_path: Path, name: str, stem: str
) -> None:
    images, labels = build(tmp_path, name)
    closed = labels / (stem + SETS[name][0])
    refuse(closed)
    done = bound("pack", images, labels, "--output", tmp_path / "pack", "--json")
    assert done.returncode == 1, done.stderr
    code = "unreadable" if name in ("coco", "csv") else "unreadable-labels"
    assert problems(done) == [(closed.name, code)]
    assert "Permission denied; make it readable" in done.stdout
    assert labelled(tmp_path / "pack") == [one for one in STEMS if one != stem]


@pytest.mark.parametrize("name", SETS)
def test_converting_lists_a_label_file_that_may_not_be_read_and_uses_all_others(
    tmp_path: Path, name: str
) -> None:
    images, labels = build(tmp_path, name)
    closed = labels / ("b" + SETS[name][0])
    refuse(closed)
    how = ("--to", "coco", "--images", images, "--on-loss", "drop", "--json")
    done = bound("convert", labels, tmp_path / "out", *how)
    assert done.returncode == 1, done.stderr
    assert [found[0] for found in problems(done)] == [closed.name]
    written = [path.read_text() for path in (tmp_path / "out").rglob("*.json")]
    assert sum(text.count('"category_id"') for text in written) == len(STEMS) - 1


@pytest.mark.parametrize("closed", ["data.yaml", "classes.txt", "train.txt"])
def test_a_description_of_a_yolo_set_that_may_not_be_read_is_listed(tmp_path: Path, closed: str) -> None:
    images, labels = build(tmp_path, "yolo")
    refuse(labels / closed)
    done = bound("pack", images, labels, "--output", tmp_path / "pack", "--json")
    assert done.returncode == 1, done.stderr
    assert problems(done) == [(closed, "unreadable")]
    assert labelled(tmp_path / "pack") == [*STEMS]
    section = json.loads((tmp_path / "pack" / "unified_annotation.json").read_bytes())["xlabel"]
    assert closed not in section["origin"].get("files", {}), "it would be written again, and empty"


@pytest.mark.parametrize("closed", ["ImageSets/Main/train.txt", "labelmap.txt"])
def test_a_description_of_a_voc_set_that_may_not_be_read_is_listed(tmp_path: Path, closed: str) -> None:
    images, labels = build(tmp_path, "voc")
    (labels / closed).parent.mkdir(parents=True, exist_ok=True)
    refuse(labels / closed)
    done = bound("pack", images, labels, "--output", tmp_path / "pack", "--json")
    assert done.returncode == 1, done.stderr
    assert problems(done) == [(Path(closed).name, "unreadable")]
    assert labelled(tmp_path / "pack") == [*STEMS]


@pytest.mark.parametrize("name", SETS)
def test_labels_of_which_none_may_be_read_are_refused_and_the_file_is_named(
    tmp_path: Path, name: str
) -> None:
    images, labels = build(tmp_path, name, "a")
    closed = labels / ("a" + SETS[name][0])
    refuse(closed)
    done = bound("pack", images, labels, "--output", tmp_path / "pack")
    assert done.returncode == 2
    assert f"{closed}: cannot be read: Permission denied" in done.stderr


def test_a_label_file_among_the_images_that_may_not_be_read_is_listed(tmp_path: Path) -> None:
    images, _ = build(tmp_path, "voc", "ab")
    refuse(images / "a.xml")
    done = bound("pack", images, "--output", tmp_path / "pack", "--json")
    assert done.returncode == 1
    assert problems(done) == [("a.xml", "unreadable-labels")]


def test_the_label_file_of_two_images_that_may_not_be_read_is_listed_for_them(tmp_path: Path) -> None:
    images, labels = build(tmp_path, "voc", "abc")
    (images / "a.png").write_bytes(picture("PNG", (8, 8)))
    refuse(labels / "a.xml")
    done = bound("pack", images, labels, "--output", tmp_path / "pack", "--json")
    assert done.returncode == 1, done.stderr
    assert set(problems(done)) == {("a.xml", "unreadable-labels")}
    assert labelled(tmp_path / "pack") == ["b", "c"]
