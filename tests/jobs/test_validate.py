"""validate: what is wrong is found at its place, and nothing else is."""

import hashlib
import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.awkward import picture
from tests.tools import SAMPLE, run, tool, xlabel
from tests.trees import real

import xlabel as library
from xlabel import Annotation, Category
from xlabel.checks import finding
from xlabel.errors import InputError
from xlabel.images import embedding
from xlabel.images.payload import Wrapped
from xlabel.jobs.findings import FIRST, HELD, Findings

CAR = Category(id=1, name="car")


def found(source: Path, **options: Any) -> list[tuple[str, str, int | None]]:
    """Code, place and annotation of what is found."""
    result = library.validate(source, **options)
    return sorted((f.code, f.image or Path(f.file).name, f.annotation) for f in result.findings)


def codes(source: Path, **options: Any) -> Counter[str]:
    return library.validate(source, **options).findings.counts


def coco(folder: Path, annotations: list[dict[str, Any]], **top: Any) -> Path:
    """Two pictures of 64 x 48 in a folder, with COCO's labels beside them."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(("a.jpg", "b.jpg"), 1):
        (folder / name).write_bytes(picture(size=(64, 48), seed=number))
    images = [
        {"id": number, "file_name": name, "width": 64, "height": 48}
        for number, name in enumerate(("a.jpg", "b.jpg"), 1)
    ]
    records = [
        {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0} | annotation
        for number, annotation in enumerate(annotations, 1)
    ]
    document = {"images": images, "annotations": records, "categories": [{"id": 1, "name": "car"}]}
    (folder / "labels.json").write_text(json.dumps(document | top))
    return folder


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """The sample's images with their labels inside."""
    folder = tmp_path / "labelled"
    shutil.copytree(SAMPLE / "raw_images", folder)
    library.embed(folder, SAMPLE / "raw_labels", fingerprint="pixels")
    return folder


@pytest.mark.parametrize(
    "place", ["raw_images", "raw_labels", "", "raw_images/street/*.jpg", "raw_images/main street.jpg"]
)
def test_nothing_is_wrong_with_the_sample_from_wherever_one_looks(place: str) -> None:
    result = library.validate(SAMPLE / place)
    assert not result.findings.counts
    assert result.exit_code == 0
    assert result.done["annotations"] > 0


def test_nothing_is_wrong_with_its_bundle_nor_with_labels_inside(labelled: Path, tmp_path: Path) -> None:
    library.pack(labelled, None, tmp_path / "pack")
    for place in (labelled, tmp_path / "pack", tmp_path / "pack" / "media_bundle.mp4"):
        result = library.validate(place)
        assert not result.findings.counts
        assert result.embedded == {"intact": 23, "stale": 0, "stripped": 0, "never labelled": 1}
        assert result.done == {"images": 24, "labelled": 22, "annotations": 114}


@pytest.mark.parametrize(
    ("place", "images", "annotations"),
    [
        ("coco_keypoints4", 4, 14),
        ("visdrone50_coco", 50, 3326),
        ("terrain_labelme_coco/terrain1.json", 2, 7),
        ("terrain_labelme_coco/terrain2_coco.json", 2, 5),
        ("panoptic2/panoptic_coco_detection_format.json", 6, 50),
    ],
)
def test_nothing_is_wrong_with_real_sets(place: str, images: int, annotations: int) -> None:
    top, _, rest = place.partition("/")
    result = library.validate(real(top) / rest)
    assert not result.findings.counts
    assert (result.done["images"], result.done["annotations"]) == (images, annotations)


def test_of_a_real_set_only_the_images_are_told_that_are_equal_to_the_byte() -> None:
    folder = real("raccoon_voc") / "images"
    first: dict[str, str] = {}
    twice = []
    for path in sorted(folder.iterdir()):
        other = first.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
        twice += [("same-image", path.name, None)] if other != path.name else []
    assert found(folder) == sorted(twice)
    assert len(twice) == 4
    assert library.validate(folder).exit_code == 0


def test_of_photos_only_those_are_told_whose_orientation_exiftool_does_not_know() -> None:
    folder = real("exif_orientation")
    stated = json.loads(run(tool("exiftool"), "-json", "-Orientation", folder))
    unknown = [Path(row["SourceFile"]).name for row in stated if "Unknown" in str(row.get("Orientation"))]
    assert found(folder) == [("bad-orientation", name, None) for name in sorted(unknown)]
    assert unknown


def test_each_fault_in_an_image_is_told_with_its_annotation_and_its_id(tmp_path: Path) -> None:
    folder = coco(
        tmp_path / "set",
        [
            {"bbox": [1, 1, 20, 20]},
            {"bbox": [50, 10, 30, 10]},
            {"bbox": [1, 1, 0, 20]},
            {"bbox": [1, 1, 20, 20]},
            {"bbox": [10, 10, 9, 9], "segmentation": [[10, 10, 40, 10, 30, 40]]},
            {"bbox": [10, 10, 9, 9], "image_id": 2, "score": 55},
        ],
    )
    result = library.validate(folder)
    assert [(f.code, f.image, f.annotation, f.id) for f in result.findings] == [
        ("box-outside", "a.jpg", 2, 2),
        ("box-empty", "a.jpg", 3, 3),
        ("mask-outside-box", "a.jpg", 5, 5),
        ("box-twice", "a.jpg", 4, 4),
        ("score-range", "b.jpg", 1, 6),
    ]
    assert {f.file for f in result.findings} == {str(folder / "labels.json")}
    assert result.exit_code == 1
    lines = str(result).split("\n")
    at = lines.index("    next: clip it to the image, or check that the labels are of this image")
    assert lines[at - 2].startswith("  error box-outside (1): a box that sticks out of its image")
    assert lines[at - 1] == (
        f"    {folder}/labels.json, a.jpg, annotation 2 (id 2): "
        "hangs over the right edge of the image of 64x48 by 16 pixels"
    )
    assert lines[-1] == "  2 errors, 3 warnings"


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set", [{"bbox": [1, 1, 20, 20]}] * 2)
    result = library.validate(folder)
    assert (dict(result.findings.counts), result.exit_code) == ({"box-twice": 1}, 0)


def test_what_a_reader_finds_passes_through_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(picture(size=(64, 48)))
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .1 .1\n0 .5 x .1 .1\n7 .9 .5 .6 .1\n")
    (tmp_path / "labels" / "data.yaml").write_text("names: [car, dog]\n")
    for place in ("images", "labels", ""):
        by_code = {f.code: f for f in library.validate(tmp_path / place).findings}
        assert by_code.keys() == {"not-a-number", "unknown-class"}
        row = by_code["not-a-number"]
        assert (Path(row.file).name, row.line, row.severity) == ("a.txt", 2, "error")
    (tmp_path / "labels" / "a.txt").write_text("0 .9 .5 .6 .1\n")
    assert found(tmp_path / "images") == [("box-outside", "a.jpg", 1)]  # once, though the reader says it too


def test_labels_without_image_are_wrong_and_images_without_labels_are_not(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set", [{"bbox": [1, 1, 20, 20]}])
    (folder / "c.jpg").write_bytes(picture(size=(64, 48), seed=3))
    assert found(folder) == []
    assert "2 images without annotations" in library.validate(folder).notes
    (folder / "a.jpg").unlink()
    (told,) = library.validate(folder).findings
    assert (told.code, told.severity, told.message) == (
        "label-without-image",
        "error",
        "labels of 'a.jpg' without an image",
    )
    assert found(folder / "b.jpg") == []  # one image is not all of them


def test_labels_whose_images_are_not_there_are_looked_at_alone(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set", [{"bbox": [50, 10, 30, 10]}])
    for name in ("a.jpg", "b.jpg"):
        (folder / name).unlink()
    assert found(folder) == found(folder / "labels.json") == [("box-outside", "a.jpg", 1)]


def test_a_bundle_tells_of_labels_that_had_no_image(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set", [{"bbox": [50, 10, 30, 10]}, {"image_id": 2, "bbox": [1, 1, 5, 5]}])
    (folder / "b.jpg").unlink()
    library.pack(folder, None, tmp_path / "pack")
    assert found(tmp_path / "pack") == [("box-outside", "a.jpg", 1), ("label-without-image", "b.jpg", None)]


def test_a_bundle_tells_of_empty_files_and_of_labels_of_another_size(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set", [{"bbox": [1, 1, 20, 20]}])
    labels = json.loads((folder / "labels.json").read_text())
    labels["images"][0] |= {"width": 640, "height": 480}
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "empty.jpg").write_bytes(b"")
    library.pack(folder, None, tmp_path / "pack")
    assert found(tmp_path / "pack") == [("empty-file", "empty.jpg", None), ("size-mismatch", "a.jpg", None)]


def test_category_names_that_are_nearly_one_are_told_once_for_the_set(tmp_path: Path) -> None:
    names = [
        {"id": 1, "name": "car"},
        {"id": 2, "name": "Car"},
        {"id": 3, "name": "dog"},
        {"id": 4, "name": "dog"},
    ]
    folder = coco(tmp_path / "set", [{"bbox": [1, 1, 20, 20]}], categories=names)
    messages = {f.code: f.message for f in library.validate(folder).findings}
    assert messages == {
        "names-alike": "'Car' (0 annotations) and 'car' (1 annotations)",
        "name-twice": "2 categories are called 'dog'",
    }


def test_files_that_are_no_whole_images_are_told(tmp_path: Path) -> None:
    whole = picture(size=(64, 48))
    for name, data in {
        "cut.jpg": whole[:-30],
        "empty.png": b"",
        "first.jpg": whole,
        "none.jpg": b"<html>",
        "really.jpg": picture("PNG"),
        "second/first.jpg": whole,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert found(tmp_path) == [
        ("cut-off", "cut.jpg", None),
        ("empty-file", "empty.png", None),
        ("same-image", "second/first.jpg", None),
        ("undecodable", "none.jpg", None),
        ("wrong-suffix", "really.jpg", None),
    ]


def test_labels_that_would_not_fit_are_told_before_embed_refuses_them(tmp_path: Path) -> None:
    noise = random.Random(1)
    outline = [round(noise.uniform(0, 60), 9) for _ in range(200_000)]
    folder = coco(tmp_path / "set", [{"segmentation": [outline]}, {"image_id": 2, "bbox": [1, 1, 5, 5]}])
    Image.open(folder / "a.jpg").save(folder / "a.gif")
    (folder / "a.jpg").unlink()
    text = (folder / "labels.json").read_text()
    (folder / "labels.json").write_text(text.replace("a.jpg", "a.gif"))
    assert ("no-room", "a.gif", None) in found(folder)
    assert [p.code for p in library.embed(folder, dry_run=True).problems] == ["no-room"]
    (full,) = library.validate(folder).fullest
    assert (full.image, 0 < full.percent < 2) == ("b.jpg", True)


def test_how_full_an_image_is_told_is_how_full_exiftool_sees_it_once_it_is_labelled(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(size=(64, 48)))
    labels = [Annotation(bbox=(n % 50, n % 40, 5 + n / 100, 5), category=CAR) for n in range(400)]
    library.embed(path, labels)
    (full,) = library.validate(path).fullest
    held = run(tool("exiftool"), "-b", "-UserComment", path)
    assert full.bytes == pytest.approx(len(held), rel=0.05)
    assert full.percent == pytest.approx(100 * len(held) / 65533, rel=0.05)


def test_labels_of_a_picture_that_pillow_changed_are_stale(labelled: Path) -> None:
    for name, change in {
        "harbour/001.jpg": lambda image: image.crop((10, 10, image.width - 10, image.height - 20)),
        "harbour/002.jpg": lambda image: image.resize((image.width // 2, image.height // 2)),
        "harbour/003.jpg": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }.items():
        with Image.open(labelled / name) as image:
            changed: Image.Image = change(image)  # type: ignore[no-untyped-call]
            changed.save(labelled / name, exif=image.info["exif"])
    stale = [("stale-labels", f"harbour/00{n}.jpg", None) for n in (1, 2, 3)]
    assert found(labelled) == stale
    assert found(labelled, against=SAMPLE) == stale
    messages = [f.message for f in library.validate(labelled, against=SAMPLE).findings]
    assert ["cropped" in messages[0], "resized" in messages[1], "flipped" in messages[2]] == [True] * 3


def test_labels_that_exiftool_took_out_are_stripped_where_a_source_knows_them(labelled: Path) -> None:
    run(tool("exiftool"), "-q", "-overwrite_original", "-all=", labelled / "street" / "001.jpg")
    assert found(labelled) == []
    assert library.validate(labelled).embedded["never labelled"] == 2
    assert found(labelled, against=SAMPLE) == [("stripped-labels", "street/001.jpg", None)]
    assert library.validate(labelled, against=SAMPLE).embedded == {
        "intact": 22,
        "stale": 0,
        "stripped": 1,
        "never labelled": 1,
    }


def test_a_picture_that_only_looks_like_a_labelled_one_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with Image.open(SAMPLE / "raw_images" / "street" / "001.jpg") as image:
        image.save(tmp_path / "new" / "saved.png")  # the same pixels
        image.save(tmp_path / "first.webp", quality=60)
    with Image.open(tmp_path / "first.webp") as image:
        image.save(tmp_path / "new" / "twice.jpg", quality=70)  # compressed in two ways
    assert found(tmp_path / "new", against=SAMPLE) == [
        ("maybe-stripped", "twice.jpg", None),
        ("stripped-labels", "saved.png", None),
    ]


def test_labels_in_a_file_beside_an_image_are_intact(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(picture("BMP", size=(64, 48)))
    library.embed(path, [Annotation(bbox=(1, 2, 3, 4))], sidecar=True)
    result = library.validate(tmp_path)
    assert (dict(result.findings.counts), result.embedded["intact"]) == ({}, 1)


def test_a_copy_of_the_labels_that_somebody_edited_is_told(labelled: Path) -> None:
    path = labelled / "street" / "001.jpg"
    text = run(tool("exiftool"), "-b", "-UserComment", path).replace(b'"bbox":[', b'"bbox":[1')
    run(tool("exiftool"), "-q", "-overwrite_original", f"-UserComment={text.decode()}", path)
    assert found(labelled) == [("copies-disagree", "street/001.jpg", None)]


def test_of_labels_in_several_places_those_count_that_are_given(tmp_path: Path) -> None:
    folder = coco(tmp_path / "images", [{"bbox": [50, 10, 30, 10]}])
    (folder / "labels.json").rename(tmp_path / "wrong.json")
    right = coco(tmp_path / "other", [{"bbox": [1, 1, 5, 5]}]) / "labels.json"
    right.rename(tmp_path / "right.json")
    with pytest.raises(library.InputError, match="more than one place"):
        library.validate(folder)
    assert found(folder, labels=tmp_path / "right.json") == []
    assert found(folder, labels=tmp_path / "wrong.json") == [("box-outside", "a.jpg", 1)]


def test_labels_inside_are_of_categories_that_are_described(tmp_path: Path) -> None:
    document = b'{"image":{"width":64,"height":48},"annotations":[{"category":7,"bbox":[1,2,3,4]}]}'
    made = embedding.put(picture(size=(64, 48)), Wrapped(document, 1, "2026-11-20T10:00:00Z"))
    (tmp_path / "a.jpg").write_bytes(b"".join(made.pieces))
    assert found(tmp_path) == [("unknown-category", "a.jpg", 1)]


def test_labels_inside_and_label_files_that_differ_are_told(labelled: Path) -> None:
    labels = labelled.parent / "labels"
    shutil.copytree(SAMPLE / "raw_labels", labels)
    images = labelled.rename(labelled.parent / "images")
    assert found(images) == []
    path = labels / "street" / "001.txt"
    path.write_text(path.read_text().split("\n", 1)[1])
    assert found(images) == [("labels-disagree", "street/001.jpg", None)]


def test_one_process_and_several_find_the_same_in_the_same_order(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        seed = number % 290
        data = picture(size=(16, 12), seed=seed)
        (folder / f"{number:03}.jpg").write_bytes(data if seed % 7 else data[:-9])
    one, several = (list(library.validate(folder, workers=n).findings) for n in (1, 3))
    assert one == several
    assert Counter(f.code for f in one) == {"cut-off": 44, "same-image": 10}


def test_any_number_of_findings_come_back_in_their_order() -> None:
    count = HELD * 2 + 5
    some = [finding("box-empty", "a.txt", f"number {n}", annotation=n, id=f"ä{n}") for n in range(count)]
    findings = Findings()
    findings.add(some[:HELD])
    findings.add(some[HELD:])
    assert list(findings) == some
    assert list(findings) == some  # again
    assert len(findings) == findings.counts["box-empty"] == findings.severities["error"] == count
    assert findings.first["box-empty"] == some[:FIRST]


@pytest.mark.parametrize("option", ["sarif", "html"])
def test_where_a_file_cannot_be_written_nothing_is_looked_at(tmp_path: Path, option: str) -> None:
    for place, said in {"nowhere/x": "found none; make it", ".": "found a folder; name a file in it"}.items():
        written = {"sarif": None, "html": None, option: tmp_path / place}
        with pytest.raises(InputError, match=said):
            library.validate(tmp_path / "no images either", sarif=written["sarif"], html=written["html"])


def test_the_command_prints_writes_and_fails_as_the_result_says(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set", [{"bbox": [50, 10, 30, 10]}, {"bbox": [1, 1, 5, 5]}])
    log, page = tmp_path / "x.sarif", tmp_path / "x.html"
    done = xlabel("validate", "set", "--sarif", log, "--html", page, cwd=tmp_path)
    assert done.returncode == 1
    assert "error box-outside (1)" in done.stdout
    (result,) = json.loads(log.read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "set/labels.json", "uriBaseId": "SRCROOT"}
    machine = json.loads(xlabel("validate", folder, "--json").stdout)
    assert machine["exit_code"] == 1
    assert machine["codes"] == {"box-outside": 1}
    assert [f["annotation"] for f in machine["findings"]] == [1]
    assert json.loads(xlabel("validate", SAMPLE / "raw_images", "--json").stdout)["findings"] == []
    assert xlabel("validate", tmp_path / "nothing").returncode == 2


def browsed(page: Path) -> str:
    """The page as a browser has it once its program has run."""
    chromium = tool("chromium")
    return run(chromium, "--headless", "--no-sandbox", "--dump-dom", page.as_uri()).decode()


def test_a_browser_shows_each_finding_with_its_picture_and_runs_nothing_of_others(tmp_path: Path) -> None:
    name = "</script><script>document.title='x'</script>"
    top = {"categories": [{"id": 1, "name": name}]}
    folder = coco(tmp_path / "set", [{"bbox": [50, 10, 30, 10]}] * 2, **top)
    library.validate(folder, html=tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    shown = browsed(tmp_path / "x.html")
    assert shown.count("<article>") == 3
    assert shown.count("<svg") == 3
    assert f"<title>xlabel validate {folder}</title>" in shown
    assert 'class="hit"' in shown


def test_a_page_of_many_findings_says_what_it_leaves_out(tmp_path: Path) -> None:
    folder = coco(tmp_path / "set", [{"bbox": [90 + n / 1000, 10, 30, 10]} for n in range(10_500)])
    result = library.validate(folder, html=tmp_path / "x.html")
    shown = browsed(tmp_path / "x.html")
    assert len(result.findings) > 10_500
    assert f"10,000 of {len(result.findings):,} findings; --json lists all" in shown
    assert shown.count("<article>") >= 100


def test_a_finding_says_its_place() -> None:
    row = finding("box-empty", "l.txt", "", line=3, image="a.jpg", annotation=2)
    assert row.place == "l.txt:3, a.jpg, annotation 2"
    assert finding("cut-off", "images/a.jpg", "", image="a.jpg").place == "images/a.jpg"
