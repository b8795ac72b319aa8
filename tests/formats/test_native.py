"""The project's own JSON, as any JSON parser sees it."""

import json
from typing import Any

import pytest
from tests.trees import Memory

from xlabel import formats
from xlabel.errors import InputError
from xlabel.formats import native
from xlabel.formats.labels import DocumentLabels
from xlabel.model import Annotation, Category, Dataset, Image, Sample

CAT = Category(id=3, name="Käfer 猫", supercategory="animal")
SET = Dataset(
    samples=[
        Sample(
            image=Image(key="straße/a.jpg", width=64, height=48, orientation=6, id=7, extra={"site": "A"}),
            annotations=(Annotation(id="x", category=CAT, bbox=(1, 2.5, 3, 4), score=0.5, author="Ada"),),
            split="train",
        ),
        Sample(image=Image(key="b.jpg")),
    ],
    categories=[CAT],
    extra={"info": {"year": 2026}},
)
SAID = {
    "xlabel": 1,
    "images": [
        {
            "file_name": "straße/a.jpg",
            "image": {
                "width": 64,
                "height": 48,
                "orientation": 6,
                "id": 7,
                "split": "train",
                "extra": {"site": "A"},
            },
            "annotations": [
                {"id": "x", "category": 3, "bbox": [1, 2.5, 3, 4], "score": 0.5, "author": "Ada"}
            ],
        },
        {"file_name": "b.jpg", "image": {}},
    ],
    "categories": [{"id": 3, "name": "Käfer 猫", "supercategory": "animal"}],
    "extra": {"info": {"year": 2026}},
}


def written(dataset: Dataset) -> dict[str, bytes]:
    return {path: b"".join(chunks) for path, chunks in native.write(dataset)}


def opened(document: Any, path: str = "labels.json") -> DocumentLabels:
    return native.read(Memory({path: document if isinstance(document, bytes) else json.dumps(document)}))


def dataset(labels: DocumentLabels) -> Dataset:
    return Dataset(
        samples=labels.samples, categories=labels.categories, extra=labels.extra, origin=labels.origin
    )


def test_the_file_is_ascii_and_says_what_the_documents_say() -> None:
    (data,) = written(SET).values()
    assert data.isascii()
    assert json.loads(data) == SAID
    assert len([line for line in data.split(b"\n") if b"file_name" in line]) == 2, "a line an image"


def test_it_is_read_as_it_was_written_by_hand() -> None:
    labels = opened(json.dumps(SAID, indent=4, ensure_ascii=False).encode("utf-8-sig"))
    assert labels.problems == []
    assert [(s.image, s.annotations, s.split) for s in labels.samples] == [
        (s.image, s.annotations, s.split) for s in SET.samples
    ]
    assert (labels.categories, labels.extra) == (SET.categories, SET.extra)


def test_what_the_model_has_no_word_for_and_fingerprints_come_back() -> None:
    said = json.loads(json.dumps(SAID))
    said["images"][0] |= {"note": "kept"}
    said["images"][0]["annotations"][0]["colour"] = "red"
    said["images"][1]["image"] = {"stream": "0" * 32, "width": None}
    said["made by"] = {"hand": True}
    (path, data), *_ = written(dataset(opened(said, "mine/set.json"))).items()
    assert path == "mine/set.json"
    assert json.loads(data) == said


def test_a_broken_record_is_a_problem_and_the_others_are_read() -> None:
    said = json.loads(json.dumps(SAID))
    records: list[dict[str, Any]] = [
        {"image": {}},
        {"file_name": "", "image": {}},
        {"file_name": "c.jpg", "image": {"width": "wide"}},
        {"file_name": "d.jpg", "image": {}, "annotations": [{"category": 99}]},
        {"file_name": "e.jpg", "image": {}, "annotations": [{"bbox": [1, 2, 3]}]},
    ]
    said["images"][1:1] = records
    labels = opened(said)
    assert [sample.image.key for sample in labels.samples] == ["straße/a.jpg", "b.jpg"]
    assert [problem.code for problem in labels.problems] == ["bad-record"] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xlabel": 2}, "of version 2, this xlabel reads up to 1"),
        ({"images": {}}, "Expected `array`"),
        ({"categories": [{"id": 1}]}, "missing required field `name`"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(SAID | change)


def test_two_files_are_not_guessed_between() -> None:
    with pytest.raises(InputError, match=r"found a\.json and b\.json; name one"):
        native.read(Memory({"a.json": json.dumps(SAID), "b.json": json.dumps(SAID)}))


def test_another_tools_files_are_none_of_ours() -> None:
    coco = SAID | {"annotations": []}
    others: list[Any] = [coco, {"images": []}, {"xlabel": {}, "images": []}, [], {"xlabel": 1}]
    for document in others:
        assert native.sniff(Memory({"labels.json": json.dumps(document)})) is None
    assert formats.detect(Memory({"labels.json": json.dumps(SAID)})) == "json"


def test_categories_of_one_id_are_told_apart() -> None:
    cat, dog = Category(id=1, name="cat"), Category(id=1, name="dog")
    labels = tuple(Annotation(category=category) for category in (cat, dog))
    clash = Dataset(samples=[Sample(image=Image(key="a"), annotations=labels)], categories=[cat, dog])
    assert [(loss.field, loss.count) for loss in native.losses(clash)] == [("id", 1)]
    (data,) = written(clash).values()
    said = json.loads(data)
    names = {category["id"]: category["name"] for category in said["categories"]}
    assert [names[label["category"]] for label in said["images"][0]["annotations"]] == ["cat", "dog"]
