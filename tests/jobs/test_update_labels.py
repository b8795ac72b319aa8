"""Updates of labels: in each form, inside images, broken ones, and those of two sources that disagree."""

import json
import shutil
from pathlib import Path

import pytest
from tests.awkward import picture
from tests.changing import CHANGES, MEDIA, Folder, described, held, packed
from tests.tools import SAMPLE, tree

import xlabel


@pytest.mark.parametrize("to", ["coco", "voc", "labelme", "csv", "json"])
def test_labels_of_every_form_are_brought_up_to_date(source: Folder, tmp_path: Path, to: str) -> None:
    output = tmp_path / "output"
    labels = tmp_path / "labels"

    def write() -> Path:
        shutil.rmtree(labels, ignore_errors=True)
        name = {"coco": "a.json", "csv": "a.csv", "json": "a.json"}.get(to, ".")
        xlabel.convert(source.labels, labels / name, to=to, images=source.images, on_loss="drop")
        return labels

    xlabel.pack(source.images, write(), output)
    assert held(output) == source.expected()
    for changes in ("label", "add", "remove", "rename", "draw"):
        CHANGES[changes](source, source.names[-1], f"z{changes}.jpg", 5)
        report = xlabel.update(source.images, write(), output, verify=True)
        assert held(output) == source.expected(), changes
        assert report.problems == []
        fresh = tmp_path / "fresh"
        xlabel.pack(source.images, labels, fresh, overwrite=True)
        assert not xlabel.diff(fresh, output).changes or to == "voc", changes
        for number, place in enumerate((output, fresh)):
            xlabel.unpack(place, tmp_path / f"restored{number}", overwrite=True)
        assert tree(tmp_path / "restored0") == tree(tmp_path / "restored1")
        for number in range(2):
            shutil.rmtree(tmp_path / f"restored{number}")
    assert xlabel.verify(output).problems == []


def test_categories_that_are_met_later_get_the_next_ids(source: Folder, tmp_path: Path) -> None:
    output, labels = tmp_path / "output", tmp_path / "labels"
    xlabel.convert(source.labels, labels, to="voc", images=source.images, on_loss="drop")
    xlabel.pack(source.images, labels, output)
    ids = {one["name"]: one["id"] for one in described(output / "unified_annotation.json").cats.values()}
    source.write(source.labels / "classes.txt", b"boat\ntree\ncar\nzebra\n")
    source.write(source.labels / "b/d.txt", b"3 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n")
    shutil.rmtree(labels)
    xlabel.convert(source.labels, labels, to="voc", images=source.images, on_loss="drop")
    assert xlabel.update(source.images, labels, output).done["relabelled"] == 1
    now = {one["name"]: one["id"] for one in described(output / "unified_annotation.json").cats.values()}
    assert now == ids | {"zebra": len(ids) + 1}


def test_another_source_of_labels_takes_the_place_of_the_first(source: Folder, tmp_path: Path) -> None:
    output = packed(source, tmp_path / "output")
    places: list[Path | None] = [source.labels]
    for to, name in (("coco", "a.json"), ("voc", "voc"), ("csv", "a.csv")):
        xlabel.convert(source.labels, tmp_path / name, to=to, images=source.images, on_loss="drop")
        places.append(tmp_path / name)
    for place in (*places, *places[::-1]):
        xlabel.update(source.images, place, output)
        assert held(output) == source.expected(), place
        assert xlabel.verify(output).problems == []
    shutil.rmtree(tmp_path / "restored", ignore_errors=True)
    xlabel.unpack(output, tmp_path / "restored")
    assert tree(tmp_path / "restored") == source.files


def test_that_no_labels_were_found_any_more_is_told(source: Folder, output: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(source.images, tmp_path / "bare")
    report = xlabel.update(bare, None, output)
    assert report.done["annotations"] == 0
    assert any(f"no labels were found any more; xlabel unpack {output}@1" in note for note in report.notes)
    xlabel.unpack(f"{output}@1", tmp_path / "restored")
    assert tree(tmp_path / "restored") == source.files


@pytest.fixture
def inside(tmp_path: Path) -> tuple[Path, Path]:
    """Images with their labels inside, and their pack."""
    images = Path(shutil.copytree(SAMPLE / "raw_images", tmp_path / "source"))
    xlabel.embed(images, SAMPLE / "raw_labels")
    xlabel.pack(images, None, tmp_path / "output")
    return images, tmp_path / "output"


def test_labels_that_change_inside_images_write_no_byte_of_media(
    inside: tuple[Path, Path], tmp_path: Path
) -> None:
    images, output = inside
    media = (output / MEDIA).read_bytes()
    cats = described(output / "unified_annotation.json").dataset["categories"]
    category = xlabel.Category(id=cats[0]["id"], name=cats[0]["name"])
    for labels in ([], [xlabel.Annotation(bbox=(1, 2, 3, 4), category=category)]):
        xlabel.embed(images / "street/001.jpg", labels, overwrite=True)
        xlabel.strip(images / "harbour/001.jpg")
        report = xlabel.update(images, None, output)
        assert report.bytes == 0 and (output / MEDIA).read_bytes() == media
    for _ in range(2):
        assert any("nothing has changed" in note for note in xlabel.update(images, None, output).notes)
    assert xlabel.unpack(output, tmp_path / "restored").problems == []
    assert tree(tmp_path / "restored") == tree(images)
    xlabel.pack(images, None, tmp_path / "fresh")
    assert xlabel.compact(output).problems == []
    assert (output / MEDIA).read_bytes() == (tmp_path / "fresh" / MEDIA).read_bytes()


def test_labels_inside_that_could_not_be_embedded_again_are_appended_with_their_image(
    inside: tuple[Path, Path], tmp_path: Path
) -> None:
    images, output = inside
    other = xlabel.Category(id=0, name="what the whole has another id for")
    xlabel.embed(images / "street/001.jpg", [xlabel.Annotation(category=other)], overwrite=True)
    report = xlabel.update(images, None, output)
    assert report.done["changed"] == 1 and report.bytes == (images / "street/001.jpg").stat().st_size
    assert xlabel.unpack(output, tmp_path / "restored").problems == []
    assert tree(tmp_path / "restored") == tree(images)


def test_an_image_whose_pixels_change_with_its_labels_is_appended(inside: tuple[Path, Path]) -> None:
    images, output = inside
    path = images / "street/001.jpg"
    path.write_bytes(picture(size=(64, 48), seed=77))
    xlabel.embed(path, [xlabel.Annotation(bbox=(1, 2, 3, 4), category=xlabel.Category(id=1, name="car"))])
    report = xlabel.update(images, None, output)
    assert report.done["changed"] == 1 and report.bytes == path.stat().st_size
    assert held(output)["street/001.jpg"][0] == path.read_bytes()


def test_a_label_file_that_breaks_is_told_of_each_time_until_it_is_mended(
    source: Folder, output: Path, tmp_path: Path
) -> None:
    path = source.labels / "b/d.txt"
    whole = path.read_bytes()
    source.write(path, b"97 .5 .5 .1 .1\n1 .5\n" + whole)
    for _ in range(3):
        report = xlabel.update(source.images, source.labels, output)
        assert len(report.problems) == 2 and report.exit_code == 1
        assert len(json.loads((output / "problems.json").read_bytes())["problems"]) == 2
    xlabel.unpack(output, tmp_path / "restored")
    assert tree(tmp_path / "restored") == source.files, "a broken row is kept for the way back"
    source.write(path, whole)
    assert xlabel.update(source.images, source.labels, output).problems == []
    assert not (output / "problems.json").exists()
    assert held(output) == source.expected()


def test_labels_of_two_sources_that_disagree_are_told_of_at_each_update(tmp_path: Path) -> None:
    images = Path(shutil.copytree(SAMPLE / "raw_images", tmp_path / "images"))
    labels = Path(shutil.copytree(SAMPLE / "raw_labels", tmp_path / "labels"))
    xlabel.embed(images, labels)
    xlabel.pack(images, labels, tmp_path / "output")
    path = labels / "street/001.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    for _ in range(3):
        report = xlabel.update(images, labels, tmp_path / "output")
        assert [problem.code for problem in report.problems] == ["labels-disagree"]
