"""Prelabel as a user meets it: what goes into the images, what stays as people left it, what is told."""

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image as Pillow
from tests import awkward, finders
from tests.jobs.test_orientation import BOX as DRAWN
from tests.jobs.test_orientation import DISPLAYED, ORIENTATIONS, STORED
from tests.kills import killed, started
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import InputError
from xlabel.formats.embedded import document_in
from xlabel.model.suggestions import RUNS

MODEL = "tests.finders:bright"
THING, OTHER = xlabel.Category(id=0, name="thing"), xlabel.Category(id=1, name="other")
BOX = (10, 5, 20, 8)
PERSON = xlabel.Annotation(category=OTHER, bbox=(1, 1, 4, 4), author="ann", id=12)


def painted(box: tuple[int, int, int, int] = BOX, size: tuple[int, int] = (64, 32), **options: Any) -> bytes:
    """An image with a white box on black."""
    picture = Pillow.new("RGB", size)
    x, y, w, h = box
    picture.paste((255, 255, 255), (x, y, x + w, y + h))
    file = io.BytesIO()
    picture.save(file, options.pop("kind", "PNG"), **options)
    return file.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images, one in a folder; nobody has labelled them."""
    folder = tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b/c.png", "d.png")):
        (folder / name).write_bytes(painted((10 + number, 5, 20, 8)))
    finders.CALLS.clear()
    return folder


def run(images: Path, model: str = MODEL, **options: Any) -> xlabel.Report:
    return xlabel.prelabel(images, model=model, **options)


def noted(path: Path) -> dict[str, Any]:
    """What an image says of the models that have seen it."""
    document = document_in(path.read_bytes())
    assert document is not None and document.image.extra is not None
    found: dict[str, Any] = document.image.extra[RUNS]
    return found


def test_what_a_model_finds_is_a_suggestion_that_names_the_model_its_file_and_its_licence(
    images: Path,
) -> None:
    report = run(images)
    (label,) = xlabel.labels(images / "b/c.png")
    assert (label.category, label.bbox, label.score) == (THING, (11, 5, 20, 8), 0.9)
    assert (label.status, label.source and label.source.name) == ("suggestion", MODEL)
    assert label.source and label.source.hash and len(label.source.hash) == 64
    assert isinstance(label.id, int) and 0 < label.id < 1 << 31 and label.time
    assert noted(images / "b/c.png")[MODEL]["licence"] == "MIT"
    assert report.done == {"images": 3, "seen": 3, "suggestions": 3} and report.exit_code == 0
    assert any("licence as it states: MIT" in note for note in report.notes)


def test_labels_in_the_image_stay_as_they_are(images: Path) -> None:
    path = images / "a.png"
    xlabel.embed(path, [PERSON])
    before = xlabel.labels(path)
    run(images)
    assert xlabel.labels(path)[:1] == before
    assert [label.status for label in xlabel.labels(path)] == [None, "suggestion"]


def test_categories_of_labels_keep_their_ids_whatever_other_images_call_so(images: Path) -> None:
    for name, category in (("a.png", "cat"), ("d.png", "dog")):
        label = xlabel.Annotation(category=xlabel.Category(id=0, name=category), bbox=(1, 1, 4, 4))
        xlabel.embed(images / name, [label])
    run(images)
    for name, category in (("a.png", "cat"), ("d.png", "dog")):
        document = document_in((images / name).read_bytes())
        assert document is not None
        assert [(c.id, c.name) for c in document.categories] == [(0, category), (1, "thing")]


def test_labels_in_files_beside_the_images_are_taken_along(images: Path) -> None:
    labels = images.parent / "labels"
    labels.mkdir()
    (labels / "classes.txt").write_text("tree\nthing\n")
    (labels / "a.txt").write_text("0 0.5 0.5 0.25 0.25\n1 0.5 0.5 0.5 0.5\n")
    report = run(images)
    tree, thing, found = xlabel.labels(images / "a.png")
    assert tree.category and tree.category.name == "tree" and tree.bbox == (24, 12, 16, 8)
    assert thing.status is None and found.status == "suggestion"
    assert found.category == thing.category  # id 1, as the files have it, and not the model's
    assert any("labels read as yolo" in note for note in report.notes)


def test_a_label_file_that_cannot_be_read_keeps_its_image_as_it_was(images: Path) -> None:
    labels = images.parent / "labels"
    labels.mkdir()
    for name in ("a", "d"):
        shape = {"label": "tree", "points": [[1, 1], [5, 5]], "shape_type": "rectangle", "flags": {}}
        document = {"version": "5.2.1", "flags": {}, "shapes": [shape], "imagePath": f"{name}.png"}
        (labels / f"{name}.json").write_text(json.dumps(document | {"imageHeight": 32, "imageWidth": 64}))
    (labels / "d.json").write_text((labels / "d.json").read_text()[:-30])
    before = (images / "d.png").read_bytes()
    report = run(images)
    assert (images / "d.png").read_bytes() == before
    assert report.exit_code == 1 and report.done["seen"] == 2
    assert ["d.json" in problem.where for problem in report.problems] == [True]


def test_a_row_that_cannot_be_read_keeps_its_image_as_it_was_and_one_that_is_only_odd_does_not(
    images: Path,
) -> None:
    labels = images.parent / "labels"
    labels.mkdir()
    (labels / "classes.txt").write_text("tree\n")
    (labels / "a.txt").write_text("0 0.5 0.5 0.25 0.25\n0 0.5 half 0.25 0.25\n")
    (labels / "d.txt").write_text("0 0.9 0.5 0.5 0.25\n0 1.2 0.5 0.25 0.25\n")
    before = (images / "a.png").read_bytes()
    report = run(images)
    assert (images / "a.png").read_bytes() == before
    assert len(xlabel.labels(images / "d.png")) == 3 and report.done["seen"] == 2
    assert [(Path(p.where).name, p.code) for p in report.problems] == [
        ("a.txt:2", "not-a-number"),
        ("d.txt:2", "outside-image"),
    ]
    assert report.problems[0].message.endswith("; no suggestions for its image")


def test_a_model_replaces_its_own_suggestions_and_nobody_elses(images: Path) -> None:
    path = images / "a.png"
    run(images)
    run(images, "tests.finders:two", categories="cat,dog")
    run(images, map="thing=box")
    found = [
        (label.category.name, label.source.name)
        for label in xlabel.labels(path)
        if label.category and label.source
    ]
    assert found == [("dog", "tests.finders:two"), ("cat", "tests.finders:two"), ("box", MODEL)]
    assert noted(path).keys() == {MODEL, "tests.finders:two"}


@pytest.mark.parametrize("status", ["accepted", "rejected", "suggestion"])
def test_what_a_person_has_decided_on_is_left_alone_and_not_suggested_again(
    images: Path, status: str
) -> None:
    path = images / "a.png"
    run(path)
    (label,) = xlabel.labels(path)
    decided = replace(label, status=status, author="ann", bbox=(11, 5, 19, 8))
    xlabel.embed(path, [decided])
    report = run(path, min_score=0.5)
    assert xlabel.labels(path) == [decided]
    assert report.done["suggestions"] == 0
    assert run(path, "tests.finders:own").done["suggestions"] == 1


def test_images_that_the_model_has_seen_are_skipped_until_the_options_change(images: Path) -> None:
    (images / "empty.png").write_bytes(painted((0, 0, 0, 0)))
    run(images)
    before = [path.read_bytes() for path in sorted(images.rglob("*.png"))]
    finders.CALLS.clear()
    report = run(images)
    assert finders.CALLS == [] and report.done == {"images": 4, "skipped": 4, "suggestions": 0}
    assert [path.read_bytes() for path in sorted(images.rglob("*.png"))] == before
    run(images, min_score=0.5)
    assert len(finders.CALLS) == 4


def test_a_run_that_was_ended_goes_on_where_it_was(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "CALLS", calls := Ending(2))
    with pytest.raises(KeyboardInterrupt):
        run(images, batch=1)
    assert [len(xlabel.labels(images / name)) for name in ("a.png", "b/c.png")] == [1, 0]
    calls.left = 9
    assert run(images, batch=1).done == {"images": 3, "seen": 2, "skipped": 1, "suggestions": 2}


def test_a_run_that_was_killed_leaves_each_image_whole_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:02}.png").write_bytes(painted((10 + number, 5, 20, 8)))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    child = started(lambda: run(folder, "tests.finders:slow", batch=1))
    while not xlabel.labels(folder / "03.png"):
        time.sleep(0.01)
    assert killed(child)
    done = [path for path, data in before.items() if path.read_bytes() != data]
    assert 4 <= len(done) < 30
    report = run(folder, "tests.finders:slow")
    assert report.done == {
        "images": 30,
        "seen": 30 - len(done),
        "skipped": len(done),
        "suggestions": 30 - len(done),
    }
    assert {path for path in folder.iterdir()} == before.keys()
    assert all(len(xlabel.labels(path)) == 1 for path in before)
    xlabel.strip(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


class Ending(list[tuple[int, int]]):
    """A list that takes so many things; the last one ends the run."""

    def __init__(self, left: int) -> None:
        self.left = left

    def append(self, thing: tuple[int, int]) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        super().append(thing)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes_are_of_the_image_as_displayed(orientation: int, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[awkward.ORIENTATION] = orientation
    path = tmp_path / "a.png"
    path.write_bytes(painted(DRAWN, STORED, exif=exif))
    run(path)
    (label,) = xlabel.labels(path)
    assert label.bbox == DISPLAYED[orientation]


def test_the_model_sees_what_a_person_is_shown_of_sixteen_bits(tmp_path: Path) -> None:
    picture = np.full((32, 64), 300, np.uint16)
    picture[5:13, 10:30] = 4000
    Pillow.fromarray(picture).save(tmp_path / "a.png")
    run(tmp_path / "a.png")
    assert [label.bbox for label in xlabel.labels(tmp_path / "a.png")] == [BOX]


@pytest.mark.parametrize(
    ("model", "error"), [("narrow", "RuntimeError: too high"), ("leaving", "SystemExit: 3")]
)
def test_one_bad_image_and_one_bad_call_end_nothing(images: Path, model: str, error: str) -> None:
    (images / "b/broken.png").write_bytes(painted()[:-40])
    (images / "b/high.png").write_bytes(painted((1, 1, 9, 9), (32, 64)))
    report = run(images, f"tests.finders:{model}")
    assert report.done == {"images": 5, "seen": 3, "suggestions": 3} and report.exit_code == 1
    broken, high = report.problems
    assert broken.where.endswith("broken.png") and broken.code == "undecodable"
    assert high.where.endswith("high.png") and high.code == "model-failed"
    assert error in high.message


def test_what_has_no_room_for_labels_is_told_or_gets_a_sidecar(images: Path) -> None:
    (images / "e.bmp").write_bytes(painted(kind="BMP"))
    assert [problem.code for problem in run(images).problems] == ["no-room"]
    assert not (images / "e.bmp.xlabel").exists()
    run(images, sidecar=True)
    assert [label.bbox for label in xlabel.labels(images / "e.bmp")] == [BOX]
    assert run(images, sidecar=True).done["skipped"] == 4


def test_labels_of_another_picture_are_not_bound_to_this_one(images: Path) -> None:
    path = images / "a.png"
    xlabel.embed(path, [PERSON])
    with Pillow.open(path) as picture:
        info = Pillow.Exif()
        info.load(picture.getexif().tobytes())
        picture.transpose(Pillow.Transpose.ROTATE_180).save(path, exif=info)
    before = path.read_bytes()
    report = run(images)
    assert path.read_bytes() == before
    assert [problem.code for problem in report.problems] == ["stale-labels"]


def test_somebody_elses_comment_is_left_alone(images: Path) -> None:
    path = images / "f.jpg"
    path.write_bytes(painted(kind="JPEG"))
    xlabel.write_exif_tag(path, "holidays")
    before = path.read_bytes()
    report = run(images)
    assert [problem.code for problem in report.problems] == ["foreign-comment"]
    assert path.read_bytes() == before


def test_a_dry_run_runs_the_model_and_writes_nothing(images: Path) -> None:
    before = [path.read_bytes() for path in sorted(images.rglob("*.png"))]
    report = run(images, dry_run=True)
    assert report.done["suggestions"] == 3
    assert [path.read_bytes() for path in sorted(images.rglob("*.png"))] == before


def test_the_result_does_not_depend_on_the_batch(images: Path) -> None:
    report = run(images, batch=2)
    assert report.done["suggestions"] == 3
    assert [label.bbox for label in xlabel.labels(images / "d.png")] == [(12, 5, 20, 8)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_score": 2}, "from 0 to 1, got 2"),
        ({"iou": -0.1}, "from 0 to 1, got -0.1"),
        ({"batch": 0}, "at least 1, got 0"),
        ({"map": "thing"}, "expected old=new"),
        ({"categories": "no/such/file.txt"}, "found no file"),
    ],
)
def test_options_that_mean_nothing_are_refused(images: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(images, **options)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "cat\ndog\n"),
        ("data.yaml", "names: [cat, dog]\n"),
        ("data.yml", "names:\n  0: cat\n  1: dog\n"),
        ("names.json", '["cat", "dog"]'),
        ("coco.json", '{"categories": [{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]}'),
    ],
)
def test_names_of_categories_come_from_files_that_people_have(
    images: Path, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    run(images / "a.png", "tests.finders:two", categories=str(tmp_path / name))
    assert [label.category and label.category.name for label in xlabel.labels(images / "a.png")] == [
        "dog",
        "cat",
    ]


def test_the_categories_of_coco_need_no_file(images: Path) -> None:
    run(images / "a.png", "tests.finders:two", categories="coco")
    names = [label.category and label.category.name for label in xlabel.labels(images / "a.png")]
    assert names == ["bicycle", "person"]


def test_the_command_tells_what_the_function_does(images: Path) -> None:
    done = command("prelabel", images, "--model", MODEL, "--json", cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == {"images": 3, "seen": 3, "suggestions": 3}
    missing = command("prelabel", images, "--model", "no.such:thing")
    assert missing.returncode == 2 and "No module named 'no'" in missing.stderr
