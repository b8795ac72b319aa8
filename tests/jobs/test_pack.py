"""What a pack is: three files that agree, whatever the images are called and whatever is wrong with them."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from tests import awkward
from tests.conftest import KINDS
from tests.tools import SAMPLE, tree

import xlabel
from xlabel import InputError
from xlabel.jobs import frames as packing

FILES = ("media_bundle.mp4", "frame_manifest.json", "unified_annotation.json")


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def partners(media: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and annotation file beside a media file."""
    return loaded(media.parent / "frame_manifest.json"), loaded(media.parent / "unified_annotation.json")


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for key, data in files.items():
        place = folder / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


# Frames


def test_every_image_is_a_frame_in_the_bytewise_order_of_the_keys(
    awkward_packs: dict[str, Path], kind: str
) -> None:
    manifest, _ = partners(awkward_packs[kind])
    assert [frame["key"] for frame in manifest["frames"]] == [key for key, _ in awkward.frames()]
    assert [frame["index"] for frame in manifest["frames"]] == list(range(len(awkward.frames())))


def test_each_byte_range_of_the_media_file_is_the_image_file(
    awkward_packs: dict[str, Path], kind: str
) -> None:
    manifest, _ = partners(awkward_packs[kind])
    data = awkward_packs[kind].read_bytes()
    found = [(f["key"], data[f["offset"] : f["offset"] + f["size"]]) for f in manifest["frames"]]
    assert found == awkward.frames()


def test_each_hash_is_that_of_the_image_file(awkward_packs: dict[str, Path], kind: str) -> None:
    manifest, _ = partners(awkward_packs[kind])
    expected = [hashlib.sha256(data).hexdigest() for _, data in awkward.frames()]
    assert [frame["sha256"] for frame in manifest["frames"]] == expected


def test_manifest_and_annotation_file_say_the_same_of_each_frame(
    awkward_packs: dict[str, Path], kind: str
) -> None:
    manifest, unified = partners(awkward_packs[kind])
    renamed = {"file_name": "key", "frame_index": "index"}
    fields = ("offset", "size", "sha256", "width", "height", *renamed)
    ours = [[image.get(field) for field in fields] for image in unified["images"]]
    names = [renamed.get(field, field) for field in fields]
    assert ours == [[frame[name] for name in names] for frame in manifest["frames"]]
    assert manifest["pack_id"] == unified["xlabel"]["pack_id"]
    assert manifest["bundle"] == unified["xlabel"]["bundle"] == awkward_packs[kind].name


def test_sizes_are_those_of_the_image_as_displayed(awkward_packs: dict[str, Path]) -> None:
    manifest, _ = partners(awkward_packs["mp4"])
    frames = manifest["frames"]
    sizes = {f["key"]: (f["width"], f["height"], f.get("orientation", 1)) for f in frames}
    for orientation in range(1, 9):
        expected = (24, 16) if orientation < 5 else (16, 24)
        assert sizes[f"turned/{orientation}.jpg"] == (*expected, orientation)
    assert sizes["one pixel.png"] == (1, 1, 1)
    assert sizes["wide.jpg"] == (900, 3, 1)
    assert sizes["cut off.jpg"] == (24, 16, 1)
    assert sizes["no picture.jpg"] == sizes["in its header.png"] == (None, None, 1)


def test_the_media_type_is_that_of_the_content(awkward_packs: dict[str, Path]) -> None:
    manifest, _ = partners(awkward_packs["mp4"])
    mimes = {frame["key"]: frame["mime"] for frame in manifest["frames"]}
    assert mimes["no_suffix"] == mimes["SHOUT.JPG"] == mimes["cut off.jpg"] == "image/jpeg"
    assert mimes[".dotfile"] == "image/png" and mimes["more.avif"] == "image/avif"
    assert mimes["no picture.jpg"] == mimes["in its header.png"] == "application/octet-stream"


def test_no_two_frames_have_the_same_key(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in (b"\xe9.jpg", b"\\xe9.jpg"):
        (images / os.fsdecode(name)).write_bytes(awkward.picture())
    report = xlabel.pack(images, None, tmp_path / "pack")
    manifest, _ = partners(tmp_path / "pack" / "media_bundle.mp4")
    assert [frame["key"] for frame in manifest["frames"]] == ["\\xe9.jpg"]
    assert [problem.code for problem in report.problems] == ["name-clash"]


# Problems


def test_everything_odd_is_listed_once_and_nothing_else(awkward_packs: dict[str, Path], kind: str) -> None:
    manifest, _ = partners(awkward_packs[kind])
    assert {problem["where"]: problem["code"] for problem in manifest["problems"]} == awkward.PROBLEMS
    assert len(manifest["problems"]) == len(awkward.PROBLEMS)


def test_files_of_0_bytes_are_listed_and_no_frames(awkward_packs: dict[str, Path], kind: str) -> None:
    manifest, unified = partners(awkward_packs[kind])
    expected = sorted(map(awkward.key, awkward.EMPTY))
    assert manifest["empty"] == unified["xlabel"]["empty"] == expected


def test_a_name_is_printed_without_its_control_characters(tmp_path: Path) -> None:
    images = write(tmp_path / "images", {"a.\x1b[31mred\n.jpg": awkward.picture()})
    report = xlabel.pack(images, None, tmp_path / "pack", media="pack.tar")
    assert len(report.problems) == 1 and any("WebDataset" in note for note in report.notes)
    assert str(report).count("[31mred") == 2 and "\x1b" not in str(report) and "red\n" not in str(report)


def test_problems_make_a_file_and_exit_code_1_and_go_away_with_their_cause(tmp_path: Path) -> None:
    images = write(tmp_path / "images", {"a.jpg": awkward.picture(), "b.jpg": awkward.picture()[:-30]})
    report = xlabel.pack(images, None, tmp_path / "pack")
    assert report.exit_code == 1
    (problem,) = loaded(tmp_path / "pack" / "problems.json")["problems"]
    assert (problem["where"], problem["code"]) == (f"{images}/b.jpg", "cut-off")
    write(images, {"b.jpg": awkward.picture()})
    assert xlabel.pack(images, None, tmp_path / "pack", overwrite=True).exit_code == 0
    assert {path.name for path in (tmp_path / "pack").iterdir()} == set(FILES)


def test_other_files_are_counted_and_not_packed(awkward_images: Path, tmp_path: Path) -> None:
    report = xlabel.pack(awkward_images, None, tmp_path / "pack")
    start = f"not packed from {awkward_images}: {len(awkward.OTHERS)} files that are no images"
    assert any(note.startswith(start) for note in report.notes)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (["LICENSE"], "1 file that is no image"),
        (["LICENSE", "notes.pdf"], "2 files that are no images"),
        (
            ["a.json"],
            "1 file that is no image, which is named like labels and is in no format that xlabel reads",
        ),
        (
            ["a.json", "b.TXT"],
            "2 files that are no images, which are named like labels and are in no format that xlabel reads",
        ),
        (
            ["a.json", "LICENSE"],
            "2 files that are no images, of which 1 is named like labels and is in no format that xlabel "
            "reads",
        ),
    ],
    ids=" ".join,
)
def test_other_files_are_spoken_of_as_labels_only_where_they_are_named_so(
    tmp_path: Path, others: list[str], said: str
) -> None:
    images = write(tmp_path / "images", {"a.jpg": awkward.picture(), **dict.fromkeys(others, "no labels")})
    report = xlabel.pack(images, None, tmp_path / "pack")
    assert report.notes[-1] == f"not packed from {images}: {said}"


def test_other_files_beside_labels_are_counted(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "images/a.jpg": awkward.picture(),
        "LICENSE": "free",
        "notes.pdf": "%PDF",
    }
    files |= {"labels/a.txt": "0 .5 .5 .5 .5\n", "data.yaml": "names: [cat]\n"}
    root = write(tmp_path / "set", files)
    report = xlabel.pack(root, None, tmp_path / "pack")
    assert f"not packed from {root}: 2 files that are no images, beside those of labels" in report.notes
    (root / "LICENSE").unlink()
    (root / "notes.pdf").unlink()
    report = xlabel.pack(root, None, tmp_path / "again")
    assert not any(note.startswith("not packed") for note in report.notes)


def test_images_without_labels_are_negatives_and_no_problem(tmp_path: Path) -> None:
    images = write(tmp_path / "images", {"a.jpg": awkward.picture(), "b.jpg": awkward.picture()})
    labels = write(tmp_path / "labels", {"a.txt": "0 0.5 0.5 0.5 0.5\n"})
    report = xlabel.pack(images, labels, tmp_path / "pack")
    assert report.exit_code == 0 and any("1 image without labels" in note for note in report.notes)


def test_a_label_without_image_is_a_problem_or_only_counted(tmp_path: Path) -> None:
    images = write(tmp_path / "images", {"a.jpg": awkward.picture()})
    labels = write(tmp_path / "labels", {"a.txt": "0 0.5 0.5 0.5 0.5\n", "b.txt": "0 0.5 0.5 0.5 0.5\n"})
    report = xlabel.pack(images, labels, tmp_path / "pack")
    (problem,) = report.problems
    assert (problem.where, problem.code) == (f"{labels}/b.txt", "label-without-image")
    report = xlabel.pack(images, labels, tmp_path / "pack", overwrite=True, skip_missing_images=True)
    assert report.exit_code == 0 and any("1 label record without" in note for note in report.notes)


def test_a_pattern_narrows_the_images(tmp_path: Path) -> None:
    files = {"a/1.jpg": awkward.picture(), "a/2.png": awkward.picture("PNG"), "3.jpg": awkward.picture()}
    images = write(tmp_path / "images", {**files, "a/b/4.jpg": awkward.picture(), "5.dat": b"x"})

    def taken(pattern: str) -> list[str]:
        xlabel.pack(images, None, tmp_path / "pack", pattern=pattern, overwrite=True)
        return [frame["key"] for frame in loaded(tmp_path / "pack" / FILES[1])["frames"]]

    assert taken("*.jpg") == ["3.jpg", "a/1.jpg", "a/b/4.jpg"]
    assert taken("a/**/*.jpg") == ["a/1.jpg", "a/b/4.jpg"]
    assert taken("[0-9].*") == ["3.jpg", "a/1.jpg", "a/2.png", "a/b/4.jpg"]
    with pytest.raises(InputError, match=r"images that fit '\*\.dat', found none"):
        taken("*.dat")


# Determinism


def packed(images: Path, output: Path, **options: Any) -> dict[bytes, bytes]:
    """The three files of a pack; the fourth, of problems, names files as they were given."""
    xlabel.pack(images, None, output, **options)
    return {name: data for name, data in tree(output).items() if name != b"problems.json"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The awkward folder and the sample with its labels, a few hundred images, in one folder."""
    images = awkward.build(tmp_path_factory.mktemp("small") / "images")
    (images / "large.jpg").unlink()
    for turn in range(4):
        shutil.copytree(SAMPLE / "raw_images", images / f"set {turn}")
        shutil.copytree(SAMPLE / "raw_labels", images / f"set {turn}", dirs_exist_ok=True)
    return images


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_processes_changes_no_byte(
    small: Path, kind: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"media": KINDS[kind], "plain": kind == "plain"}
    one = packed(small, tmp_path / "one", workers=1, **options)
    monkeypatch.setattr(packing, "BATCH", 20_000)
    assert len(list(packing.batches([10_000] * 40))) == 20  # so that each process has several
    assert packed(small, tmp_path / "more", workers=workers, **options) == one


def test_labels_get_the_same_ids_from_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "BATCH", 2_000)
    labels = xlabel.read(SAMPLE / "raw_labels")
    xlabel.write(labels, tmp_path / "voc", to="voc", on_loss="drop")  # its categories are numbered on the way
    found = []
    for workers in (1, 2, 3):
        output = tmp_path / str(workers)
        xlabel.pack(SAMPLE / "raw_images", tmp_path / "voc", output, workers=workers)
        found.append(tree(output))
    assert found[0] == found[1] == found[2]


def test_times_order_of_creation_and_place_change_no_byte(tmp_path: Path, kind: str) -> None:
    options = {"media": KINDS[kind], "plain": kind == "plain"}
    found = []
    for number in range(2):
        place = tmp_path / ("here" if number else "quite/another/place")
        awkward.build(place / "images", backwards=bool(number), time=1_000_000_000 + 86_400 * number)
        found.append(packed(place / "images", place / "pack", **options))
    assert found[0] == found[1]


def test_large_files_are_packed_in_pieces_to_the_same_bytes(
    small: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"media": KINDS[kind], "plain": kind == "plain"}
    whole = packed(small, tmp_path / "whole", **options)
    monkeypatch.setattr(packing, "LARGE", 1000)
    monkeypatch.setattr(packing, "BATCH", 1000)  # a large file is always a batch of its own
    assert packed(small, tmp_path / "pieces", **options) == whole


# The annotation file, by pycocotools


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> COCO:
    """The sample's annotation file in pycocotools."""
    output = tmp_path_factory.mktemp("coco") / "pack"
    xlabel.pack(SAMPLE / "raw_images", SAMPLE / "raw_labels", output)
    return COCO(str(output / "unified_annotation.json"))


def test_pycocotools_finds_the_images_annotations_and_categories(coco: COCO) -> None:
    rows = [(p, line) for p in (SAMPLE / "raw_labels").rglob("*.txt") for line in p.read_text().splitlines()]
    names = ["car", "tree", "ball", "house", "person", "boat"]
    by_class = Counter(names[int(line.split()[0])] for _, line in rows)
    assert len(coco.getImgIds()) == 24 and len(coco.getAnnIds()) == len(rows)
    found = {c["name"]: len(coco.getAnnIds(catIds=c["id"])) for c in coco.loadCats(coco.getCatIds())}
    assert found == by_class
    for image in coco.loadImgs(coco.getImgIds()):
        label = (SAMPLE / "raw_labels" / image["file_name"]).with_suffix(".txt")
        rows_here = label.read_text().splitlines() if label.exists() else []
        assert len(coco.getAnnIds(imgIds=[image["id"]])) == len(rows_here)


def test_labels_of_another_format_than_was_asked_for_are_not_taken_for_none(tmp_path: Path) -> None:
    images = write(tmp_path / "images", {"a.png": awkward.picture("PNG", size=(40, 20)), "README.md": "none"})
    labels = write(tmp_path / "labels", {f"{name}.txt": "0 0.25 0.25 0.5 0.5\n" for name in "ab"})
    output, empty = tmp_path / "pack", write(tmp_path / "empty", {"README.md": "none yet"})
    xlabel.pack(images, labels, output)
    before = tree(output)
    said = r"labels: expected labels as voc, found 2 \.txt files .* like yolo-detect; leave --from voc out"
    for given in (labels, None):
        with pytest.raises(InputError, match=said):
            xlabel.pack(images, given, output, format="voc", overwrite=True)
        with pytest.raises(InputError, match=said):
            xlabel.update(images, given, output, format="voc")
        with pytest.raises(InputError, match=said):
            xlabel.validate(images, given, format="voc")
        with pytest.raises(InputError, match=said):
            xlabel.embed(images, given, format="voc")
    with pytest.raises(InputError, match=said):
        xlabel.convert(labels, tmp_path / "coco.json", to="coco", format="voc")
    assert tree(output) == before
    assert xlabel.pack(images, empty, tmp_path / "none", format="voc").done["annotations"] == 0
    write(tmp_path / "Annotations", {"a.xml": "<annotation><object><name>car</name></object></annotation>"})
    assert xlabel.pack(images, None, tmp_path / "voc", format="voc").done["annotations"] == 1


def test_labels_inside_the_images_are_taken_where_they_are_asked_for(tmp_path: Path) -> None:
    images = write(tmp_path / "images", {"a.png": awkward.picture("PNG", size=(40, 20))})
    labels = write(tmp_path / "labels", {"a.txt": "0 0.25 0.25 0.5 0.5\n"})
    xlabel.embed(images, labels)
    write(labels, {"a.txt": ""})
    assert xlabel.pack(images, None, tmp_path / "pack", format="embedded").done["annotations"] == 1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_a_mask_out_of_each_polygon(tmp_path: Path) -> None:
    images = write(tmp_path / "images", {"a.png": awkward.picture("PNG", size=(40, 20))})
    labels = write(tmp_path / "labels", {"a.txt": "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n"})
    xlabel.pack(images, labels, tmp_path / "pack", format="yolo-segment")
    coco = COCO(str(tmp_path / "pack" / "unified_annotation.json"))
    (annotation,) = coco.loadAnns(coco.getAnnIds())
    mask = coco.annToMask(annotation)
    assert mask.shape == (20, 40) and mask.sum() == 200 and mask[5:15, 10:30].all()


def test_pycocotools_loads_a_pack_of_awkward_images(awkward_packs: dict[str, Path], kind: str) -> None:
    coco = COCO(str(awkward_packs[kind].parent / "unified_annotation.json"))
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == [key for key, _ in awkward.frames()]


def test_frame_numbers_and_places_stand_in_the_images_of_the_coco_file(coco: COCO) -> None:
    images = coco.dataset["images"]
    assert [image["frame_index"] for image in images] == list(range(24))
    keys = [p.relative_to(SAMPLE / "raw_images").as_posix() for p in (SAMPLE / "raw_images").rglob("*.*")]
    assert [image["file_name"] for image in images] == sorted(keys, key=str.encode)
    for image in images:
        data = (SAMPLE / "raw_images" / image["file_name"]).read_bytes()
        assert (image["size"], image["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


# Where labels are found


ROW = "0 0.5 0.5 0.5 0.5\n"


@pytest.mark.parametrize("place", ["images/a.txt", "labels/a.txt"])
def test_labels_inside_or_beside_the_images_are_found(tmp_path: Path, place: str) -> None:
    images = write(tmp_path, {"images/a.jpg": awkward.picture(), place: ROW}) / "images"
    assert xlabel.pack(images, None, tmp_path / "pack").done["annotations"] == 1


def test_labels_that_are_given_win_over_labels_inside_and_disagreements_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "images", {"a.jpg": awkward.picture(), "b.jpg": awkward.picture()})
    write(tmp_path / "images", {"a.txt": ROW * 2, "b.txt": ROW})
    write(tmp_path / "given", {"a.txt": ROW, "b.txt": ROW})
    report = xlabel.pack(tmp_path / "images", tmp_path / "given", tmp_path / "pack")
    assert report.done["annotations"] == 2
    assert [problem.code for problem in report.problems] == ["labels-disagree"]


# Which labels


def labelled(folder: Path, boxes: dict[str, str]) -> Path:
    """A folder of YOLO rows by the image's stem, with the class `thing`."""
    folder.mkdir(parents=True)
    (folder / "classes.txt").write_text("thing\n")
    for stem, row in boxes.items():
        (folder / f"{stem}.txt").write_text(row)
    return folder


def test_labels_that_are_given_win_over_those_inside_and_each_difference_is_listed(tmp_path: Path) -> None:
    images = labelled(tmp_path / "images", {"same": "0 .5 .5 .2 .2\n", "moved": "0 .5 .5 .2 .2\n"})
    for stem in ("same", "moved"):
        (images / f"{stem}.jpg").write_bytes(awkward.picture(size=(100, 100)))
    labels = labelled(tmp_path / "mine", {"same": "0 .5 .5 .2 .2\n", "moved": "0 .3 .5 .2 .2\n"})
    report = xlabel.pack(images, labels, tmp_path / "pack")
    assert [(p.code, Path(p.where).name) for p in report.problems] == [("labels-disagree", "moved.jpg")]
    with xlabel.open_bundle(tmp_path / "pack") as bundle:
        assert bundle.annotations("moved.jpg")[0].bbox == pytest.approx((20, 40, 20, 20))


def test_a_file_of_labels_beside_the_images_that_is_about_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(awkward.picture())
    record = {"id": 1, "file_name": "other.jpg", "width": 9, "height": 9}
    (tmp_path / "coco.json").write_text(json.dumps({"images": [record], "annotations": [], "categories": []}))
    assert xlabel.pack(tmp_path / "images", None, tmp_path / "one").problems == []
    record["file_name"] = "a.jpg"
    (tmp_path / "coco.json").write_text(json.dumps({"images": [record], "annotations": [], "categories": []}))
    assert "coco" in str(xlabel.pack(tmp_path / "images", None, tmp_path / "two").notes)


def test_a_pack_in_the_folder_of_its_images_is_no_source_of_labels(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(awkward.picture())
    for _ in range(2):
        report = xlabel.pack(images, None, images / "packed", overwrite=True)
        assert report.done["images"] == 1
        assert not any("labels read" in note for note in report.notes)


def test_label_files_of_both_cases_in_one_folder_are_used_and_doubles_listed_once(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.5 0.5\n"
    images = write(tmp_path / "images", {f"{stem}.jpg": awkward.picture() for stem in "abc"})
    labels = write(tmp_path / "labels", {"a.txt": row, "b.TXT": row, "c.txt": row, "c.TXT": row * 2})
    report = xlabel.pack(images, labels, tmp_path / "pack")
    assert [(p.where, p.code) for p in report.problems] == [(f"{labels}/c.TXT", "labels-twice")]
    document = loaded(tmp_path / "pack" / "unified_annotation.json")
    assert [a["image_id"] for a in document["annotations"]] == [i["id"] for i in document["images"]]
    xlabel.unpack(tmp_path / "pack", tmp_path / "back")
    assert tree(tmp_path / "back" / "labels") == tree(labels)
