"""How good suggestions are: COCO's numbers against pycocotools' own, decisions counted, errors and notes."""

import builtins
import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image as Pillow
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import InputError, MissingExtraError
from xlabel.jobs import against_truth
from xlabel.jobs.against_truth import Thing, average_precision, matched
from xlabel.jobs.evaluate import evaluate
from xlabel.model import Annotation, Category, Source

NAMES = ("car", "dog", "cat")
CATEGORIES = [Category(id=number, name=name) for number, name in enumerate(NAMES)]
YOLO = Source(kind="model", name="yolo", hash="0123456789abcdef0123")


def scene(seed: int, images: int = 40) -> tuple[list[Thing], list[Thing]]:
    """Labels, a few of them crowds, and what a model might have found of them, with equal scores among it."""
    random = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(1, images + 1):
        for _ in range(random.integers(0, 7)):
            x, y, w, h = (float(number) for number in random.uniform((0, 0, 5, 5), (70, 70, 30, 30)))
            label = Thing(image, int(random.integers(3)), (x, y, w, h), crowd=bool(random.random() < 0.1))
            truth.append(label)
            for _ in range(random.integers(0, 3)):
                moved = (x + float(random.normal(0, 3)), y, w, h * float(random.uniform(0.6, 1.2)))
                category = label.category if random.random() < 0.8 else int(random.integers(3))
                found.append(Thing(image, category, moved, float(random.integers(1, 20)) / 20))
    return truth, found


def reference(truth: list[Thing], found: list[Thing], images: int) -> COCOeval:
    """The evaluation of pycocotools, by its own way of loading results."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": number} for number in range(1, images + 1)],
            "categories": [{"id": number} for number in range(len(NAMES))],
            "annotations": [
                {
                    "id": number,
                    "image_id": label.image,
                    "category_id": label.category,
                    "bbox": list(label.box),
                    "area": label.box[2] * label.box[3],
                    "iscrowd": int(label.crowd),
                }
                for number, label in enumerate(truth, 1)
            ],
        }
        coco.createIndex()
        results = [
            {"image_id": t.image, "category_id": t.category, "bbox": list(t.box), "score": t.score}
            for t in found
        ]
        made = COCOeval(coco, coco.loadRes(results), "bbox")
        made.evaluate()
        made.accumulate()
        made.summarize()
    return made


def by_pycocotools(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: Callable[..., Any] = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("faster_coco_eval"):
            raise ImportError(name=name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.parametrize("library", ["faster_coco_eval", "pycocotools"])
@pytest.mark.parametrize("seed", [1, 2])
def test_average_precision_is_that_of_pycocotools(
    seed: int, library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, found = scene(seed)
    theirs = reference(truth, found, 40)
    if library == "pycocotools":
        by_pycocotools(monkeypatch)
    whole, each = average_precision(range(1, 41), range(3), truth, found)
    assert against_truth._library()[0].__module__.partition(".")[0] == library
    assert whole == pytest.approx(theirs.stats[:3], abs=1e-12)
    for number in range(3):
        precision = theirs.eval["precision"][0, :, number, 0, 2]
        assert each[number].ap50 == pytest.approx(precision[precision > -1].mean(), abs=1e-12)
    assert capsys.readouterr().out == ""


def test_without_labels_there_is_no_precision_and_without_finds_it_is_0() -> None:
    label = Thing(1, 0, (1, 2, 3, 4))
    assert average_precision([1], [0], [], [label]) == ((None,) * 3, {0: (None,) * 3})
    assert average_precision([1], [0], [label], []) == ((0.0,) * 3, {0: (0.0,) * 3})


@pytest.mark.parametrize("seed", range(5))
def test_a_box_is_right_where_pycocotools_matches_it(seed: int) -> None:
    truth, found = scene(seed, images=20)
    theirs = reference(truth, found, 20)
    compared = 0
    for one in theirs.evalImgs:
        if one is None or one["aRng"] != [0, 1e10]:
            continue
        labels, things = (
            [
                thing
                for thing in some
                if (thing.image, thing.category) == (one["image_id"], one["category_id"])
            ]
            for some in (truth, found)
        )
        order = sorted(range(len(things)), key=lambda at: -things[at].score)
        ours = matched(things, labels)
        for at, match, ignored in zip(order, one["dtMatches"][0], one["dtIgnore"][0], strict=True):
            assert ours[at] is (None if ignored else bool(match))
            compared += 1
    assert compared == len(found) > 30


def label(thing: Thing, **said: Any) -> Annotation:
    return Annotation(category=CATEGORIES[thing.category], bbox=thing.box, crowd=thing.crowd, **said)


def put(folder: Path, labels: dict[str, list[Annotation]], extra: dict[str, Any] | None = None) -> Path:
    """Images with these labels inside, and what is to be noted of some of them."""
    folder.mkdir()
    samples = []
    for number, (key, annotations) in enumerate(labels.items()):
        Pillow.new("RGB", (100, 100), (number % 256, number // 256, 0)).save(folder / key)
        image = xlabel.Image(key=key, width=100, height=100, extra=extra and extra.get(key))
        samples.append(xlabel.Sample(image=image, annotations=tuple(annotations)))
    assert xlabel.embed(folder, xlabel.Dataset(samples=samples)).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Thing], list[Thing]]:
    """40 images with the labels that people drew, and a model's suggestions. Only to be read."""
    truth, found = scene(3)
    labels: dict[str, list[Annotation]] = {f"{number:02}.png": [] for number in range(1, 41)}
    for thing in truth:
        labels[f"{thing.image:02}.png"].append(label(thing, author="ann"))
    for thing in found:
        labels[f"{thing.image:02}.png"].append(
            label(thing, status="suggestion", score=thing.score, source=YOLO)
        )
    return put(tmp_path_factory.mktemp("evaluate") / "images", labels), truth, found


def test_suggestions_are_compared_with_what_people_drew_in_the_same_images(
    scenes: tuple[Path, list[Thing], list[Thing]],
) -> None:
    images, truth, found = scenes
    drawn = {label.image for label in truth}
    theirs = reference(truth, found, 40)  # images without labels have no suggestions in it either
    result = evaluate(images)
    assert result.truth is not None and result.truth.coco is not None and result.decided is None
    whole = result.truth.coco
    assert (whole.ap, whole.ap50, whole.ap75) == pytest.approx(tuple(theirs.stats[:3]), abs=1e-12)
    assert (result.truth.images, result.truth.labels) == (len(drawn), len(truth))
    assert set(result.truth.categories) == set(NAMES)
    assert sum(one.labels for one in result.truth.categories.values()) == len(truth)
    right = sum(one["dtMatches"][0].astype(bool)[~one["dtIgnore"][0]].sum() for one in first(theirs))
    wrong = sum((~one["dtMatches"][0].astype(bool))[~one["dtIgnore"][0]].sum() for one in first(theirs))
    judged = result.truth.judged
    assert (judged.all.right, judged.all.wrong) == (right, wrong)
    assert judged.cuts[0].recall == pytest.approx(right / sum(not label.crowd for label in truth))
    assert judged.advice.min_score is not None


def first(made: COCOeval) -> list[Any]:
    return [one for one in made.evalImgs if one is not None and one["aRng"] == [0, 1e10]]


def test_labels_that_are_given_go_before_those_inside(
    scenes: tuple[Path, list[Thing], list[Thing]], tmp_path: Path
) -> None:
    images, truth, found = scenes
    some = [label for label in truth if label.image <= 20 and label.category != 2]
    samples = [
        xlabel.Sample(
            image=xlabel.Image(key=f"{number:02}.png", width=100, height=100),
            annotations=tuple(label(thing) for thing in some if thing.image == number),
        )
        for number in range(1, 21)
    ]
    xlabel.write(
        xlabel.Dataset(samples=samples, categories=CATEGORIES[:2]), tmp_path / "truth.json", to="coco"
    )
    result = evaluate(images, tmp_path / "truth.json", model="models/yolo.onnx")
    theirs = reference(some, [thing for thing in found if thing.image <= 20], 20)
    assert result.truth is not None and result.truth.coco is not None
    assert result.truth.coco.ap == pytest.approx(theirs.stats[0], abs=1e-12)
    assert set(result.truth.categories) == {"car", "dog"}
    assert any(
        "of categories that no label has, which COCO's means leave out" in n for n in result.report.notes
    )
    assert any(note.startswith("labels that are right read as coco from") for note in result.report.notes)


CAR = Thing(1, 0, (10, 10, 30, 30))


def decided(status: str | None, score: float | None, shift: float = 0, **said: Any) -> Annotation:
    box = (CAR.box[0] + shift, *CAR.box[1:])
    return label(CAR._replace(box=box), status=status, score=score, **{"source": YOLO, **said})


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    """Images as a reviewer leaves them: what was accepted scored 0.5 or more, what was not 0.7 or less."""
    labels: dict[str, list[Annotation]] = {}
    for number in range(20):
        labels[f"{number:02}.png"] = [
            decided("accepted", 0.5 + number / 50),
            decided("accepted", 0.6 + number / 80, 40),
            decided("rejected", 0.3 + number / 50, 20),
        ]
    labels["open.png"] = [decided("suggestion", 0.9), decided("accepted", 0.9, 50)]
    labels["drawn.png"] = [label(CAR, author="ann"), decided("suggestion", 0.8, 2)]
    labels["negative.png"] = [decided("rejected", 0.35)]
    labels["wrong.png"] = [label(CAR), decided("accepted", 0.99, 50)]
    labels["tag.png"] = [Annotation(category=CATEGORIES[1], status="accepted", source=YOLO)]
    return put(tmp_path / "images", labels, {"wrong.png": {"review": {"state": "rejected"}}})


def test_what_people_decided_is_counted(reviewed: Path) -> None:
    result = evaluate(reviewed)
    assert result.report.done == {
        "images": 25,
        "suggestions": 66,
        "accepted": 43,
        "rejected": 21,
        "undecided": 2,
    }
    assert result.decided is not None and result.exit_code == 0
    assert (result.decided.all.right, result.decided.all.wrong) == (43, 21)
    assert {name: one.right for name, one in result.decided.categories.items()} == {"car": 42, "dog": 1}
    kept = {cut.min_score: (cut.kept.right, cut.kept.wrong) for cut in result.decided.cuts}
    assert kept[0.3] == (42, 21) and kept[0.6] == (37, 5)
    assert result.decided.advice.min_score is not None and 0.5 <= result.decided.advice.min_score <= 0.62
    text = str(result)
    assert text.startswith("evaluate: 25 images, 66 suggestions, 43 accepted, 21 rejected, 2 undecided")
    assert "note: model yolo, sha256 0123456789abcdef…" in text
    assert f"advice: --min-score {result.decided.advice.min_score:g} (F1 " in text
    data = json.loads(msgspec.json.encode(result))
    assert data["decided"]["all"]["right"] == 43


def test_images_that_nobody_has_looked_at_and_those_that_were_rejected_hold_no_truth(reviewed: Path) -> None:
    result = evaluate(reviewed)
    truth = result.truth
    assert truth is not None
    assert truth.images == 20 + 3  # and drawn, negative, tag; not open, where one is undecided, nor wrong
    assert truth.labels == 40 + 1
    assert (truth.judged.all.right, truth.judged.all.wrong) == (40 + 1, 20 + 1)
    (note,) = (note for note in result.report.notes if "the model's own" in note)
    assert note.startswith("40 of the 41 labels to compare with ")


def test_what_the_model_has_not_seen_it_has_not_missed(tmp_path: Path) -> None:
    labels = {
        "hit.png": [label(CAR), decided("suggestion", 0.9, 1)],
        "missed.png": [label(CAR)],
        "unseen.png": [label(CAR)],
    }
    by_chance = evaluate(put(tmp_path / "one", labels)).truth
    seen = {key: {"prelabelled": {"yolo": {"run": "1"}}} for key in ("hit.png", "missed.png")}
    noted = evaluate(put(tmp_path / "other", labels, seen)).truth
    assert by_chance is not None and noted is not None
    assert (by_chance.images, noted.images) == (3, 2)
    assert noted.judged.cuts[0].recall == 0.5


def test_the_command_says_it_too_and_refuses_what_makes_suggestions(reviewed: Path, tmp_path: Path) -> None:
    done = command("prelabel", reviewed, "--evaluate", "--model", "weights/yolo.onnx", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["truth"]["images"] == 23 and json.loads(done.stdout)["exit_code"] == 0
    refused = {
        ("--evaluate", "--min-score", "0.5"): "--evaluate runs no model and changes nothing: leave out",
        ("--evaluate", "--from", "coco"): "--from goes with --truth here",
        ("--model", "yolo.onnx", "--truth", "labels.json"): "--truth goes with --evaluate",
        (): "expected --model and its value, or --evaluate; see xlabel prelabel --help",
    }
    for options, message in refused.items():
        done = command("prelabel", reviewed, *options)
        assert done.returncode == 2 and message in done.stderr


def test_a_category_in_a_table_is_shown_as_text_and_many_are_cut_short(tmp_path: Path) -> None:
    evil = Category(id=9, name="\x1b[31mred")
    many = [Category(id=10 + number, name=f"c{number}") for number in range(40)]
    labels = [
        Annotation(category=c, bbox=(1, 2, 3, 4), status="rejected", source=YOLO) for c in (evil, *many)
    ]
    text = str(evaluate(put(tmp_path / "images", {"a.png": labels})))
    assert "\x1b" not in text and "... and 11 categories more; --json has all" in text
    assert "no advice for --min-score: too little to tell: 0 right and 0 wrong ones with a score" in text


def test_one_model_is_evaluated_and_several_are_an_error(tmp_path: Path) -> None:
    detr = Source(kind="model", name="detr")
    labels = [
        decided("accepted", 0.5),
        decided("rejected", 0.5, source=detr),
        decided("rejected", 0.4, source=detr),
    ]
    images = put(tmp_path / "images", {"a.png": labels})
    with pytest.raises(InputError, match=r"found detr \(2\), yolo \(1\); say which with --model"):
        evaluate(images)
    with pytest.raises(InputError, match=r"expected suggestions of other, found detr \(2\), yolo \(1\)"):
        evaluate(images, model="other")
    assert evaluate(images, model="yolo").report.done["accepted"] == 1
    drawn = put(tmp_path / "drawn", {"a.png": [label(CAR)]})
    with pytest.raises(InputError, match="found none; make some with xlabel prelabel"):
        evaluate(drawn)


def test_files_of_one_name_are_taken_together_and_told(tmp_path: Path) -> None:
    other = Source(kind="model", name="yolo", hash="fedcba9876543210ffff")
    labels = [decided("accepted", 0.5), decided("rejected", 0.5, source=other)]
    notes = evaluate(put(tmp_path / "images", {"a.png": labels})).report.notes
    assert notes[0].startswith(
        "model yolo, sha256 0123456789abcdef…, sha256 fedcba9876543210… of 2 files, whose"
    )


def test_without_a_library_given_labels_are_an_error_and_others_a_note(
    scenes: tuple[Path, list[Thing], list[Thing]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _, _ = scenes

    def missing() -> Any:
        raise MissingExtraError("COCO's measures need faster_coco_eval; pip install 'xlabel[evaluate]'")

    monkeypatch.setattr(against_truth, "_library", missing)
    result = evaluate(images)
    assert result.truth is not None and result.truth.coco is None and result.truth.judged.all.right
    assert any("pip install 'xlabel[evaluate]'" in note for note in result.report.notes)
    xlabel.extract(images, tmp_path / "truth.json", to="coco")
    with pytest.raises(MissingExtraError, match="xlabel"):
        evaluate(images, tmp_path / "truth.json")


def test_the_error_without_a_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: Callable[..., Any] = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith(("faster_coco_eval", "pycocotools")):
            raise ImportError(name=name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        MissingExtraError, match=r"^COCO's measures need .*; pip install 'xlabel\[evaluate\]'$"
    ):
        average_precision([1], [0], [], [])


def test_labels_of_other_images_are_an_error(
    scenes: tuple[Path, list[Thing], list[Thing]], tmp_path: Path
) -> None:
    image = xlabel.Image(key="other.png", width=9, height=9)
    label = Annotation(category=CATEGORIES[0], bbox=(1, 1, 2, 2))
    dataset = xlabel.Dataset(
        samples=[xlabel.Sample(image=image, annotations=(label,))], categories=CATEGORIES
    )
    xlabel.write(dataset, tmp_path / "other.json", to="coco")
    with pytest.raises(InputError, match="expected boxes of images with suggestions, found none"):
        evaluate(scenes[0], tmp_path / "other.json")
