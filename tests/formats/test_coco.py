"""COCO in all its spellings, read and written again; pycocotools says whether others can read it."""

import contextlib
import io
import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tests.trees import Memory, folder, real

from xlabel.errors import InputError
from xlabel.formats import coco
from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Dataset,
    Image,
    OrientedBox,
    Points,
    Polyline,
    Sample,
)
from xlabel.model.dataset import Origin

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

Document = dict[str, Any]

RUNS = {"size": [20, 30], "counts": [65, 5, 15, 5, 510]}
PERSON = {
    "id": 3,
    "name": "Person",
    "supercategory": "human",
    "keypoints": ["head", "toe"],
    "skeleton": [[1, 2]],
}
TORTURE: Document = {
    "info": {"year": 2026, "version": "1.0", "contributor": None},
    "licenses": [{"id": 1, "name": "A", "url": "x"}, {"id": 7, "name": "B", "url": ""}],
    "type": "instances",
    "images": [
        {"id": 900100500200, "file_name": "b/same.jpg", "width": 640, "height": 480, "license": 7},
        {"id": 2, "file_name": "a/same.jpg", "width": 30, "height": 20, "date_captured": None},
        {"id": 0, "file_name": "größe/画.png", "height": 20, "width": 30, "coco_url": "x", "tags": [1, 2]},
        {"id": 5, "file_name": "unlabelled.jpg", "width": 8, "height": 8},
        {"id": "text", "file_name": "no_size.jpg"},
        {"id": 6, "file_name": "null_size.jpg", "width": None, "height": None},
    ],
    "annotations": [
        {
            "id": 900100000001, "image_id": 0, "category_id": 17, "bbox": [1, 2, 10.5, 8.0], "area": 84.125,
            "iscrowd": 0, "segmentation": [[1, 2, 11.5, 2, 11.5, 10], [1.0, 3, 5, 9, 2, 8, 1, 4]],
            "attributes": {"occluded": False, "colour": "red", "nested": {"a": [1, None]}}, "track_id": 4,
        },
        {"id": 0, "image_id": 2, "category_id": 3, "segmentation": RUNS, "iscrowd": 1, "area": 10},
        {
            "id": 12, "image_id": 0, "category_id": 90, "bbox": [0, 0, 30, 20], "area": 7, "iscrowd": 0,
            "segmentation": {"size": [20, 30], "counts": "P28<00JF2:NF2:400P="},
        },
        {
            "id": 13, "image_id": 2, "category_id": 3, "keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 1,
            "bbox": [1, 2, 0.1, 0.30000000000000004], "area": 1e-7, "iscrowd": 0, "segmentation": [],
        },
        {"id": 14, "image_id": 900100500200, "category_id": 1, "bbox": [600.0, 470.5, 40, 9.5]},
        {
            "id": 15, "image_id": 2, "category_id": 1, "bbox": None, "segmentation": None, "area": None,
            "iscrowd": None,
        },
        {"id": 16, "image_id": 2, "category_id": 1, "bbox": [1, 1, 1, 1], "segmentation": [1, 1, 2, 1, 2, 2]},
        {"id": 17, "image_id": 0, "category_id": 1, "bbox": [1, 1, 1, 1], "score": 0.25, "caption": "\"\n"},
        {"id": 18, "image_id": 0, "caption": "no category"},
        {"id": 19, "image_id": 0, "category_id": None, "bbox": [1, 1, 1, 1]},
        {"id": "a20", "image_id": "text", "category_id": 3, "bbox": [1, 1, 1, 1], "attributes": {}, "x": 0},
        {"id": 21, "image_id": 5000, "category_id": 3, "bbox": [1, 1, 1, 1]},
        {"id": 22, "image_id": 2, "category_id": 4000, "bbox": [1, 1, 1, 1]},
        {"id": 13, "image_id": 2, "category_id": 3, "keypoints": None, "num_keypoints": 0},
        {"id": 23, "image_id": 2, "category_id": 3, "bbox": [1, 1, -1, 0], "iscrowd": True, "area": 1},
        {"image_id": 2, "category_id": 3, "bbox": [1, 1, 1, 1], "score": "high", "attributes": [1, 2]},
        {"id": 24, "image_id": 2, "category_id": 3, "bbox": ["1", 1, 1, 1], "segmentation": [[1, 2, 3, 4]]},
        {"id": 25, "image_id": 2, "category_id": 3, "num_keypoints": 9, "keypoints": [1, 1, 2, 2, 2, 1]},
        {"id": 26, "image_id": 2, "category_id": 3, "keypoints": ["0", 1, 2], "segmentation": {"counts": ""}},
        {"id": 27, "image_id": 2, "category_id": 3, "bbox": [1e300, 1, 1, 1], "xlabel": "not ours"},
        {"id": 9007199254740993, "image_id": 2, "bbox": [-0.0, 1e-320, 1, 123456789012345678901]},
    ],
    "categories": [
        PERSON,
        {"id": 1, "name": "cup", "supercategory": "kitchen", "isthing": 1, "color": [1, 2, 3]},
        {"id": 17, "name": "cup", "supercategory": "sport"},
        {"id": 90, "name": "Ünüsed", "supercategory": None},
        {"id": 60, "name": "never used"},
    ],
}  # fmt: skip


def read(files: Mapping[str, Any] | Document | list[Any], *, named: bool = False) -> coco.CocoLabels:
    """Labels of documents by path, or of one document."""
    trees = files if named else {"a.json": files}
    assert isinstance(trees, Mapping)
    return coco.read(
        Memory({path: v if isinstance(v, bytes) else json.dumps(v) for path, v in trees.items()})
    )


def dataset(labels: coco.CocoLabels) -> Dataset:
    return Dataset(
        samples=labels.samples, categories=labels.categories, extra=labels.extra, origin=labels.origin
    )


def written(data: Dataset) -> dict[str, Any]:
    return {path: json.loads(b"".join(chunks)) for path, chunks in coco.write(data)}


def travelled(data: Dataset) -> Dataset:
    return msgspec.json.decode(msgspec.json.encode(data), type=Dataset)


def exact(value: Any) -> str:
    """A text that is equal for equal JSON only; 1, 1.0 and true are three, the order of fields is free."""
    return json.dumps(value, sort_keys=True)


def check(files: Mapping[str, Any]) -> Dataset:
    """Read files, write them again, and compare, also after the data set has travelled as JSON."""
    data = dataset(read(files, named=True))
    for one in (data, travelled(data)):
        again = written(one)
        assert again.keys() == files.keys()
        for path, value in files.items():
            assert exact(again[path]) == exact(json.loads(value) if isinstance(value, bytes) else value)
    return data


def codes(labels: coco.CocoLabels) -> list[str]:
    return sorted(problem.code for problem in labels.problems)


def document(annotations: Any, **more: Any) -> Document:
    """A document with two images, sorted by name, and two categories."""
    return {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80},
            {"id": 2, "file_name": "b.jpg", "width": 100, "height": 80},
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 4, "name": "dog"}],
    } | more


def box(identity: int, image_id: int = 1, **more: Any) -> Document:
    return {
        "id": identity,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [1, 2, 3, 4],
        "area": 12,
        "iscrowd": 0,
    } | more


def loaded(data: Dataset, path: Path) -> COCO:
    """The first file of a data set as pycocotools has it."""
    _, chunks = next(iter(coco.write(data)))
    (path / "x.json").write_bytes(b"".join(chunks))
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path / "x.json"))


REAL = [
    ("visdrone50_coco/visdrone2019-det-train-first50image.json", (50, 3326, 2)),
    ("coco_keypoints4/test_coco.json", (4, 14, 1)),
    ("panoptic2/panoptic_coco_detection_format.json", (2, 50, 133)),
    ("panoptic2/panoptic_examples.json", (2, 50, 133)),
    ("panoptic2/images_info_examples.json", (2, 0, 133)),
    ("terrain_labelme_coco/terrain_all_coco.json", (3, 22, 2)),
    ("terrain_labelme_coco/terrain1_coco.json", (1, 7, 1)),
]


@pytest.mark.parametrize(("path", "counts"), REAL)
def test_real_documents_come_back_equal(path: str, counts: tuple[int, int, int]) -> None:
    file = real(path.partition("/")[0]).parent / path
    data = check({file.name: file.read_bytes()})
    assert tuple(data.counts().values()) == counts


def test_real_documents_without_oddities_have_no_problems() -> None:
    for path, _ in REAL:
        file = real(path.partition("/")[0]).parent / path
        expected = ["panoptic"] if path.endswith("panoptic_examples.json") else []
        assert codes(coco.read(Memory({file.name: file.read_bytes()}))) == expected


def test_a_folder_of_real_documents_is_one_data_set_and_comes_back_as_its_files() -> None:
    tree = folder(real("terrain_labelme_coco"))
    files = {path: tree.read(path) for path in tree.files if path.endswith("_coco.json")}
    data = check(files)
    assert len(data.samples) == 3
    assert [category.name for category in data.categories] == ["human", "car"]


def test_pycocotools_finds_in_our_file_what_it_found_in_the_real_one(tmp_path: Path) -> None:
    file = real("panoptic2") / "panoptic_coco_detection_format.json"
    with contextlib.redirect_stdout(io.StringIO()):
        before = COCO(str(file))
    after = loaded(dataset(coco.read(Memory({"a.json": file.read_bytes()}))), tmp_path)
    assert before.anns.keys() == after.anns.keys()
    assert len(after.anns) == 50
    for identity, annotation in before.anns.items():
        assert (before.annToMask(annotation) == after.annToMask(after.anns[identity])).all()


def test_the_torture_document_comes_back_equal() -> None:
    data = check({"torture.json": TORTURE})
    assert len(data.samples) == 6
    assert data.samples[3].annotations == ()
    assert [category.id for category in data.categories] == [3, 1, 17, 90, 60]


def test_the_torture_document_is_read_right() -> None:
    labels = read(TORTURE)
    by_id = {a.id: a for s in labels.samples for a in s.annotations}
    first = by_id[900100000001]
    assert first.category is not None
    assert (first.category.name, first.category.supercategory) == ("cup", "sport")
    assert first.bbox == (1, 2, 10.5, 8.0)
    assert [type(number) for number in first.bbox or ()] == [int, int, float, float]
    assert len(first.polygons or ()) == 2
    assert first.extra == {"track_id": 4}
    assert by_id[0].mask == RLE((20, 30), (65, 5, 15, 5, 510))
    assert by_id[0].crowd
    assert by_id[16].polygons == ((1, 1, 2, 1, 2, 2),)
    assert by_id[15].bbox is None
    assert by_id[15].area is None
    assert by_id[18].category is None
    assert by_id[22].category is None
    assert by_id[24].bbox is None
    assert by_id[24].polygons is None
    assert by_id[25].keypoints == (1, 1, 2, 2, 2, 1)
    assert labels.samples[0].image.id == 900100500200
    assert labels.samples[4].image.width is None
    assert PERSON["name"] == labels.categories[0].name
    assert labels.categories[0].skeleton == ((1, 2),)
    assert codes(labels) == sorted(
        [
            "unknown-image", "unknown-category", "annotation-id-twice", "bad-bbox", "bad-segmentation",
            "bad-keypoints", "bad-segmentation", "bad-bbox", "bad-bbox",
        ]
    )  # fmt: skip


def test_a_problem_says_where_what_and_what_to_do() -> None:
    labels = read(document([box(1), box(2, bbox=[1, 2, 3])]))
    assert [(problem.where, problem.code) for problem in labels.problems] == [
        ("labels/a.json: annotations[1]", "bad-bbox")
    ]
    assert labels.problems[0].message == "expected four numbers as bbox (x, y, width, height), got [1,2,3]"
    assert len(labels.samples[0].annotations) == 2


def test_labels_in_the_order_of_their_images_keep_no_origin() -> None:
    data = check({"a.json": document([box(1), box(2), box(3, 2)])})
    assert [a.origin for s in data.samples for a in s.annotations] == [None, None, None]
    assert [sample.origin for sample in data.samples] == [{}, {}]


def test_a_scrambled_order_is_restored_after_the_images_were_sorted() -> None:
    names = ["z.jpg", "a.jpg", "m.jpg"]
    images = [{"id": n, "file_name": name, "width": 9, "height": 9} for n, name in enumerate(names)]
    labels = [box(n, (n * 2 + 1) % 3) for n in range(9)]
    data = check({"a.json": document(labels, images=images)})
    data.samples.sort(key=lambda sample: sample.image.key)
    again = written(travelled(data))["a.json"]
    assert again["images"] == images
    assert again["annotations"] == labels


def test_an_edit_is_written_and_its_neighbours_stay_as_they_were() -> None:
    data = dataset(read(TORTURE))
    names = {"bbox": (7, 8, 9, 10), "score": 0.5, "status": "accepted", "polygons": ((0, 0, 5, 0, 5, 5),)}
    for number, sample in enumerate(data.samples):
        changed = tuple(
            replace(a, mask=None, **names) if a.id in (900100000001, 24, 23, 15, 0) else a
            for a in sample.annotations
        )
        data.samples[number] = replace(sample, annotations=changed)
    after = written(travelled(data))["a.json"]
    for before, now in zip(TORTURE["annotations"], after["annotations"], strict=True):
        if now.get("id") not in (900100000001, 24, 23, 15, 0):
            assert exact(before) == exact(now)
            continue
        assert now["bbox"] == [7, 8, 9, 10]
        assert now["score"] == 0.5
        assert now["segmentation"] == [[0, 0, 5, 0, 5, 5]]
        assert now["xlabel"]["status"] == "accepted"
        assert now["image_id"] == before["image_id"]
        assert {k: now[k] for k in ("track_id", "attributes") if k in before} == {
            k: before[k] for k in ("track_id", "attributes") if k in before
        }
        assert now["id"] == before["id"]
    assert exact(after["images"]) == exact(TORTURE["images"])


def test_what_is_removed_stays_removed() -> None:
    data = dataset(read(document([box(1, score=0.5, track_id=7, note="x"), box(2), box(3, 2)])))
    first = data.samples[0].annotations[0]
    gone = replace(first, score=None, extra={"note": "y"}, category=None)
    data.samples[0] = replace(data.samples[0], annotations=(gone,))
    del data.samples[1]
    after = written(data)["a.json"]
    assert after["annotations"] == [box(1, category_id=None, note="y")]
    assert [image["id"] for image in after["images"]] == [1]


@pytest.mark.parametrize("names", [("z.png", "a.png"), ("a.png", "z.png")])
def test_a_second_image_of_one_id_gets_its_own_in_the_model_and_the_old_one_when_written(
    names: tuple[str, str],
) -> None:
    images = [{"id": 1, "file_name": name, "width": 100, "height": 80} for name in names]
    source = document([box(1), box(2)], images=[*images, {"id": 1, "file_name": "q.png"}])
    labels = read(source)
    assert codes(labels) == ["image-id-twice"] * 2
    assert [sample.image.id for sample in labels.samples] == [1, 2, 3]
    assert [len(sample.annotations) for sample in labels.samples] == [2, 0, 0]
    check({"a.json": source})
    moved = replace(labels.samples[1], image=replace(labels.samples[1].image, key="moved.png"))
    data = replace(dataset(labels), samples=[labels.samples[0], moved, labels.samples[2]])
    assert [image["id"] for image in written(data)["a.json"]["images"]] == [1, 1, 1]


def test_many_categories_and_images_that_need_new_names_are_read_in_time() -> None:
    count = 4000
    names = [{"id": 7, "file_name": f"{number}.jpg"} for number in range(count)]
    twice = [{"id": 1, "name": f"c{number}"} for number in range(count)]
    files = {f"{split}.json": document([], images=names, categories=twice) for split in ("train", "val")}
    began = time.process_time()
    labels = read(files, named=True)
    assert len({sample.image.id for sample in labels.samples}) == 2 * count
    assert len({sample.image.key for sample in labels.samples}) == 2 * count
    assert len({category.id for category in labels.categories}) == count
    results = read([{"image_id": n, "category_id": n, "score": 1} for n in range(count)])
    assert len(results.categories) == count
    assert time.process_time() - began < 10


def test_new_images_labels_and_categories_get_free_ids() -> None:
    data = dataset(read(document([box(7)])))
    new = Annotation(category=Category(id=4, name="bird"), bbox=(0, 0, 2, 3))
    data.samples[0] = replace(data.samples[0], annotations=(*data.samples[0].annotations, new))
    data.samples.append(Sample(image=Image(key="c.jpg", width=5, height=5), annotations=(new,)))
    data.samples.append(Sample(image=Image(key="d.jpg", width=5, height=5)))
    after = written(data)["a.json"]
    assert [image["id"] for image in after["images"]] == [1, 2, 3]
    assert [(a["id"], a["image_id"], a["category_id"]) for a in after["annotations"]] == [
        (7, 1, 1), (8, 1, 5), (9, 3, 5),
    ]  # fmt: skip
    assert after["categories"][-1] == {"id": 5, "name": "bird"}


def test_renamed_categories_and_edited_info_are_written() -> None:
    data = dataset(read(TORTURE))
    renamed = [replace(c, name="mug") if c.id in (1, 90) else c for c in data.categories]
    by_id = {c.id: c for c in renamed}
    samples = [
        replace(
            s,
            annotations=tuple(
                replace(a, category=a.category and by_id[a.category.id]) for a in s.annotations
            ),
        )
        for s in data.samples
    ]
    after = written(replace(data, samples=samples, categories=renamed, extra={"info": {"year": 1}}))["a.json"]
    assert after["info"] == {"year": 1}
    assert "licenses" not in after
    assert after["categories"][1] == TORTURE["categories"][1] | {"name": "mug"}
    assert after["categories"][3] == TORTURE["categories"][3] | {"name": "mug"}
    assert exact(after["annotations"]) == exact(TORTURE["annotations"])


def turned_document() -> Document:
    rows = [
        box(1, bbox=[0.1, 0.2, 0.30000000000000004, 7], area=3.3),
        box(2, segmentation=[[0.1, 0.2, 5, 0.2, 5.7, 6.1]]),
        box(3, segmentation={"size": [80, 100], "counts": [5, 10, 7985]}, track=1),
        box(4, keypoints=[1.1, 2.3, 2, 0, 0, 0], num_keypoints=1),
    ]
    return document(rows)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_labels_drawn_on_the_stored_matrix_are_turned_and_come_back(orientation: int) -> None:
    labels = read(turned_document())
    shown = [Image(key=k, width=80, height=100, orientation=orientation) for k in ("x/a.jpg", "x/b.jpg")]
    labels.bind([image.key for image in shown])
    samples = []
    for image in shown:
        ref = labels.find(image.key)
        assert ref is not None
        sample = labels.load(ref, image)
        assert sample is not None
        samples.append(sample)
    assert labels.problems == []
    assert samples[0].drawn == (100, 80)
    mask = samples[0].annotations[2].mask
    assert mask is not None
    assert mask.size == (100, 80)
    data = replace(dataset(labels), samples=samples)
    assert exact(written(travelled(data))["a.json"]) == exact(turned_document())
    edited = replace(samples[0].annotations[0], bbox=(0, 0, 10, 20), area=200)
    data.samples[0] = replace(samples[0], annotations=(edited, *samples[0].annotations[1:]))
    after = written(data)["a.json"]
    assert after["annotations"][0]["bbox"][2:] == [20, 10]
    assert exact(after["annotations"][1:]) == exact(turned_document()["annotations"][1:])


def test_sizes_that_the_image_file_tells_are_not_written_into_a_document_that_has_none() -> None:
    source = document([box(1)], images=[{"id": 1, "file_name": "deep/a.jpg"}])
    labels = read(source)
    labels.bind(["a.jpg"])
    sample = labels.load(0, Image(key="a.jpg", width=30, height=20, orientation=3))
    assert sample is not None
    assert (sample.image.width, sample.named) == (30, "deep/a.jpg")
    assert exact(written(replace(dataset(labels), samples=[sample]))["a.json"]) == exact(source)


RESULTS = [
    {"image_id": 42, "category_id": 18, "bbox": [258.15, 41.29, 348.26, 243.78], "score": 0.236},
    {"image_id": 73, "category_id": 11, "bbox": [61, 22.75, 504, 609.67], "score": 0.318},
    {"image_id": 42, "category_id": 18, "segmentation": {"size": [4, 4], "counts": [3, 5, 8]}, "score": 1},
    {"image_id": 73, "caption": "a cat", "id": 5},
    {"image_id": 74, "category_id": 1, "keypoints": [1.5, 2, 1, 4, 5, 1], "score": 0.1},
]


def test_a_list_of_results_is_suggestions_and_comes_back() -> None:
    data = check({"results.json": RESULTS})
    assert [sample.image.key for sample in data.samples] == ["42", "73", "74"]
    assert {a.status for s in data.samples for a in s.annotations} == {"suggestion"}
    assert sorted(category.name for category in data.categories) == ["1", "11", "18"]
    assert all(sample.origin is None for sample in data.samples)
    judged = replace(data.samples[2].annotations[0], status="accepted")
    data.samples[2] = replace(data.samples[2], annotations=(judged,))
    after = written(travelled(data))["results.json"]
    assert after[:-1] == RESULTS[:-1]
    assert after[-1] == RESULTS[-1] | {"xlabel": {"status": "accepted"}}
    assert read(after).samples[2].annotations[0].status == "accepted"


def test_results_find_their_images_by_number() -> None:
    labels = read(RESULTS)
    labels.bind(["train/000000000042.jpg", "train/000000000073.jpg"])
    assert labels.find("train/000000000042.jpg") == 0
    assert labels.find("train/000000000073.jpg") == 1
    assert labels.problems == []


def test_results_beside_their_document_have_its_images_and_names() -> None:
    source = document([box(1)])
    found = [{"image_id": 2, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.5}]
    data = check({"a_results.json": found, "instances.json": source})
    label = data.samples[1].annotations[0]
    assert label.category is not None
    assert (label.category.name, label.status) == ("dog", "suggestion")


def ids(data: Dataset) -> list[Any]:
    return [sample.image.id for sample in data.samples]


def test_results_of_no_split_find_the_images_of_all_documents() -> None:
    val = {**document([]), "images": [{"id": 7, "file_name": "v.jpg", "width": 8, "height": 8}]}
    found = [{"image_id": n, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.5} for n in (1, 7)]
    data = check({"results.json": found, "instances_train.json": document([]), "instances_val.json": val})
    assert [len(sample.annotations) for sample in data.samples if sample.image.id in (1, 7)] == [1, 1]
    assert len(set(ids(data))) == len(ids(data)) == 3


def test_results_that_name_an_image_of_another_split_are_of_an_image_of_their_own_and_listed() -> None:
    val = {**document([]), "images": [{"id": 7, "file_name": "v.jpg", "width": 8, "height": 8}]}
    found = [{"image_id": n, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.5} for n in (7, 1, 1, 99)]
    files = {"results_val.json": found, "instances_train.json": document([]), "instances_val.json": val}
    labels = read(files, named=True)
    assert [(problem.where, problem.code) for problem in labels.problems] == [
        ("labels/results_val.json: [1]", "unknown-image")
    ]
    data = check(files)
    assert len(set(ids(data))) == len(ids(data)) == 5
    assert {s.image.key: len(s.annotations) for s in data.samples} == {
        "a.jpg": 0, "b.jpg": 0, "v.jpg": 1, "1": 2, "99": 1,
    }  # fmt: skip


def test_two_lists_of_results_of_one_split_share_their_images_and_those_of_two_do_not() -> None:
    found = [{"image_id": 5, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.5}]
    data = check({"bbox_val.json": found, "segm_val.json": found})
    assert [len(sample.annotations) for sample in data.samples] == [2]
    data = check({"results_train.json": found, "results_val.json": found})
    assert [len(sample.annotations) for sample in data.samples] == [1, 1]
    assert len(set(ids(data))) == 2


def test_files_of_one_split_share_their_images_and_files_of_two_do_not() -> None:
    train = document([box(1, keypoints=None), box(2, 2)])
    captions = {
        "images": [*train["images"], {"id": 3, "file_name": "c.jpg", "width": 7, "height": 7}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "a"}, {"id": 9, "image_id": 3, "caption": "b"}],
        "info": {"year": 2014},
    }
    val = document(
        [box(1, bbox=[0, 0, 9, 9], area=81)], categories=[{"id": 1, "name": "dog"}], info={"year": 1}
    )
    data = check(
        {
            "annotations/instances_train2017.json": train,
            "annotations/captions_train2017.json": captions,
            "annotations/instances_val2017.json": val,
        }
    )
    assert [(s.image.key, s.split, len(s.annotations)) for s in data.samples] == [
        ("a.jpg", "train", 2), ("b.jpg", "train", 1), ("c.jpg", "train", 1),
        ("val/a.jpg", "val", 1), ("val/b.jpg", "val", 0),
    ]  # fmt: skip
    assert len({s.image.id for s in data.samples}) == 5
    identities = [a.id for s in data.samples for a in s.annotations]
    assert len(set(identities)) == len(identities)
    named = [a.category.name for s in data.samples for a in s.annotations if a.category]
    assert sorted(named) == ["cat", "cat", "dog"]


def test_instances_and_keypoints_of_the_same_person_are_one_label() -> None:
    instances = document([box(1, segmentation=[[1, 2, 4, 2, 4, 6]]), box(2, 2)])
    keypoints = document(
        [box(1, segmentation=[[1, 2, 4, 2, 4, 6]], keypoints=[1, 2, 2], num_keypoints=1)],
        categories=[{"id": 1, "name": "cat", "keypoints": ["head"], "skeleton": []}],
    )
    files = {"instances_val.json": instances, "person_keypoints_val.json": keypoints}
    data = check(files)
    (label,) = data.samples[0].annotations
    assert label.keypoints == (1, 2, 2)
    assert label.category is not None
    assert label.category.keypoints == ("head",)
    moved = replace(label, bbox=(0, 0, 1, 1), area=1)
    data.samples[0] = replace(data.samples[0], annotations=(moved,))
    after = written(travelled(data))
    for path in files:
        assert after[path]["annotations"][0]["bbox"] == [0, 0, 1, 1]
    assert "keypoints" not in after["instances_val.json"]["annotations"][0]
    assert after["person_keypoints_val.json"]["annotations"][0]["keypoints"] == [1, 2, 2]


def test_documents_that_label_images_twice_are_noted() -> None:
    whole = document([box(1), box(2, 2, bbox=[5, 5, 9, 9.5])])
    part = document([box(11), box(12, 2, bbox=[5.5, 5, 9, 9]), box(13, bbox=[50, 50, 4, 4])])
    labels = read({"all.json": whole, "part1.json": part}, named=True)
    assert sum(len(sample.annotations) for sample in labels.samples) == 5
    assert labels.notes == [
        "all.json and part1.json both label 2 images; if one is a copy, give the other alone as LABELS"
    ]
    dogs = document([box(11, category_id=4), box(12, bbox=[50, 50, 4, 4])])
    points = document([box(21, keypoints=[1, 2, 2], num_keypoints=1)])
    captions = document([{"id": 31, "image_id": 1, "caption": "a cat"}])
    results = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    other = {"dogs.json": dogs, "points.json": points, "captions.json": captions, "results.json": results}
    assert read({"all.json": whole, **other}, named=True).notes == []
    assert read({"all.json": whole, "same_ids.json": whole}, named=True).notes == []  # one label each
    assert read(whole).notes == []


def test_a_panoptic_file_beside_its_detections_is_noted() -> None:
    labels = coco.read(folder(real("panoptic2")))
    assert [note for note in labels.notes if "both label 2 images" in note]


def test_documents_beside_their_images_find_them() -> None:
    one, other = document([box(1)]), document([box(5, 2)])
    files = {"train/_annotations.coco.json": one, "valid/_annotations.coco.json": other}
    check(files)
    labels = read(files, named=True)
    keys = ["train/a.jpg", "train/b.jpg", "valid/a.jpg", "valid/b.jpg"]
    labels.bind(keys)
    assert labels.problems == []
    assert [labels.find(key) for key in keys] == [0, 1, 2, 3]
    samples = [labels.load(n, Image(key=key, width=100, height=80)) for n, key in enumerate(keys)]
    data = replace(dataset(labels), samples=[sample for sample in samples if sample])
    assert [(s.image.key, s.split, s.named) for s in data.samples[1:3]] == [
        ("train/b.jpg", "train", "b.jpg"), ("valid/a.jpg", "val", "a.jpg"),
    ]  # fmt: skip
    assert exact(written(travelled(data))) == exact(files)


def test_coco_2017_finds_its_images_in_the_folders_of_its_splits() -> None:
    files = {
        "annotations/instances_train2017.json": document([]),
        "annotations/instances_val2017.json": document([]),
    }
    labels = read(files, named=True)
    labels.bind(["train2017/a.jpg", "train2017/b.jpg", "val2017/a.jpg"])
    assert [labels.find(k) for k in ("train2017/a.jpg", "train2017/b.jpg", "val2017/a.jpg")] == [0, 1, 2]
    assert labels.problems == []


@pytest.mark.parametrize("names", [("a.jpg", "b.jpg"), ("b.jpg", "a.jpg"), ("a.jpg", "\0.jpg"), ("", "/")])
def test_images_of_one_id_or_without_a_name_come_back(names: tuple[str, str]) -> None:
    first, second = ({"id": 1, "file_name": name, "width": 9, "height": 8} for name in names)
    check({"a.json": {"images": [first, second], "annotations": []}})
    check({"a.json": {"images": [first, second | {"id": 2}], "annotations": []}})


def test_segments_of_a_panoptic_file_are_labels_and_the_missing_masks_are_said() -> None:
    file = real("panoptic2") / "panoptic_examples.json"
    labels = coco.read(Memory({"p.json": file.read_bytes()}))
    assert [problem.code for problem in labels.problems] == ["panoptic"]
    assert sum(a.crowd for s in labels.samples for a in s.annotations) == 3
    ids = [s["id"] for a in json.loads(file.read_bytes())["annotations"] for s in a["segments_info"]]
    assert (len(ids), len(set(ids))) == (50, 46)  # unique within an image alone, and in COCO everywhere
    assert len({a.id for s in labels.samples for a in s.annotations}) == 50
    data = dataset(labels)
    first = data.samples[0]
    moved = replace(first.annotations[0], bbox=(1, 2, 3, 4))
    data.samples[0] = replace(first, annotations=(moved, *first.annotations[1:]))
    after = written(travelled(data))["p.json"]
    before = json.loads(file.read_bytes())
    before["annotations"][0]["segments_info"][0]["bbox"] = [1, 2, 3, 4]
    assert exact(after) == exact(before)


def test_lvis_has_no_iscrowd_and_says_what_is_not_there() -> None:
    source = {
        "images": [
            {"id": 1, "coco_url": "http://x/a.jpg", "file_name": "a.jpg", "width": 9, "height": 9,
             "neg_category_ids": [3], "not_exhaustive_category_ids": []},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 5.5,
             "segmentation": [[1, 2, 3, 4, 5, 6]]}
        ],
        "categories": [{"id": 2, "name": "bun", "synset": "bun.n.01", "frequency": "r", "synonyms": ["bun"]}],
    }  # fmt: skip
    data = check({"lvis_val.json": source})
    assert data.samples[0].annotations[0].origin is None
    assert (data.samples[0].image.extra or {})["neg_category_ids"] == [3]
    assert data.samples[0].split == "val"


def test_a_document_without_categories_goes_by_their_ids() -> None:
    source = document([box(1), box(2, category_id=9)])
    del source["categories"]
    data = check({"a.json": source})
    assert [category.name for category in data.categories] == ["1", "9"]


def test_lists_that_are_none_are_kept_and_said() -> None:
    for key in ("annotations", "categories"):
        source = document([]) | {key: {"1": {}}}
        assert "bad-list" in codes(read(source))
        check({"a.json": source})
    source = document(
        [], images=[None, {"id": 1, "file_name": "a"}, [], {"id": None}, {"id": 1, "file_name": "b"}]
    )
    assert codes(read(source)) == sorted(
        ["bad-image", "bad-image", "bad-id", "no-file-name", "image-id-twice"]
    )
    check({"a.json": source})
    source = document(
        [], categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}, None, {"name": "c"}, {"id": "x"}]
    )
    assert codes(read(source)) == sorted(
        ["category-id-twice", "bad-category", "bad-category", "bad-category"]
    )
    data = check({"a.json": source})
    assert len({category.id for category in data.categories}) == len(data.categories)


def everything() -> Dataset:
    """Each field of the model, from nowhere."""
    cat = Category(
        id=3, name="cat", supercategory="animal", keypoints=("a", "b"), skeleton=((1, 2),), extra={"c": 1}
    )
    corners = (10, 10, 20.5, 15, 15, 25, 5, 20)
    triangle = ((1, 1, 9, 1, 9, 9),)
    mask = RLE((80, 100), (85, 5, 7910))
    labels = [
        Annotation(category=cat, bbox=(1, 2, 3, 4)),
        Annotation(category=cat, polygons=triangle),
        Annotation(category=cat, polygons=(*triangle, (20, 20, 30, 20, 30, 30)), bbox=(0, 0, 50, 50), area=3),
        Annotation(category=cat, mask=mask, crowd=True),
        Annotation(category=cat, mask=mask, polygons=triangle),
        Annotation(category=cat, keypoints=(4, 5, 2, 9, 9, 1)),
        Annotation(category=cat, shape=OrientedBox(corners)),
        Annotation(category=cat, shape=OrientedBox(corners), polygons=(corners,)),
        Annotation(category=cat, shape=Polyline((1, 1, 5, 5, 9, 1))),
        Annotation(category=cat, shape=Points((1, 1))),
        Annotation(category=cat, shape=Circle(50, 50, 10)),
        Annotation(category=cat),
        Annotation(bbox=(1, 1, 1, 1)),
        Annotation(caption="words"),
        Annotation(
            category=cat, bbox=(1, 1, 1, 1), score=0.5, status="rejected", attributes={"a": [1]}, author="me",
            time="now", extra={"track": 1, "area": "taken", "score": 3, "xlabel": 5, "id": None},
        ),
    ]  # fmt: skip
    image = Image(key="d/a.jpg", width=100, height=80, orientation=6, extra={"license": 1, "width": "taken"})
    return Dataset(
        samples=[
            Sample(
                image=image,
                annotations=tuple(labels),
                split="val",
                drawn=(80, 100),
                named="other",
                origin={"x": 1},
            ),
            Sample(image=Image(key="d/b.jpg", width=7, height=7)),
        ],
        categories=[cat],
        extra={"info": {"a": 1}},
        origin=Origin(format="voc", extra={"a": 1}),
    )


def test_coco_holds_every_field_of_the_model() -> None:
    before = everything()
    assert list(coco.losses(before)) == []
    after = dataset(read(written(before)["annotations.json"]))
    assert [sample.split for sample in after.samples] == ["val", None]
    assert after.samples[0].image.orientation == 6
    assert after.samples[0].image.extra == {"license": 1, "width": "taken"}
    assert after.categories == before.categories
    assert after.extra == before.extra
    fields = set(Annotation.__struct_fields__) - {"id", "area", "bbox", "origin"}
    for one, other in zip(before.samples[0].annotations, after.samples[0].annotations, strict=True):
        for name in fields:
            assert getattr(other, name) == getattr(one, name)
        if one.area is not None or one.shape is not None:
            assert other.area == one.area
        if one.bbox is not None or one.shape is not None:
            assert other.bbox == one.bbox
    assert after.samples[0].origin is not None
    assert "origin" not in json.dumps(written(before))


def test_pycocotools_takes_labels_of_any_source(tmp_path: Path) -> None:
    read_by_others = loaded(everything(), tmp_path)
    assert len(read_by_others.imgs) == 2
    labels = list(read_by_others.anns.values())
    assert [label["id"] for label in labels] == list(range(1, 16))
    assert all(label["iscrowd"] in (0, 1) for label in labels)
    assert [label["bbox"] for label in labels[:4]] == [
        [1, 2, 3, 4],
        [1, 1, 8, 8],
        [0, 0, 50, 50],
        [1, 5, 1, 5],
    ]
    assert [label["area"] for label in labels[:4]] == [12, 32, 3, 5]
    oriented = labels[6]
    assert oriented["bbox"] == [5, 10, 15.5, 15]
    assert oriented["area"] == pytest.approx(128.75)
    # Rasterised by pycocotools; a thin edge on either side may count or not.
    assert read_by_others.annToMask(oriented).sum() == pytest.approx(128.75, abs=20)
    assert (read_by_others.annToMask(labels[3]) == np.pad(np.ones((5, 1)), ((5, 70), (1, 98)))).all()
    assert len(read_by_others.getAnnIds(catIds=[3], iscrowd=False)) == 12
    assert read_by_others.getAnnIds(catIds=[3], iscrowd=True) == [4]


def test_cocoeval_runs_on_what_we_write(tmp_path: Path) -> None:
    cat = Category(id=5, name="cat")
    labels = tuple(Annotation(category=cat, bbox=(10 * n, 10, 8, 8)) for n in range(5))
    data = Dataset(
        samples=[Sample(image=Image(key="a.jpg", width=90, height=80), annotations=labels)], categories=[cat]
    )
    truth = loaded(data, tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes(
            [{"image_id": 1, "category_id": 5, "bbox": [10 * n, 10, 8, 8], "score": 0.9} for n in range(5)]
        )
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_ids_of_merged_sets_are_made_unique() -> None:
    one, other = dataset(read(document([box(1), box(2)]))), dataset(read(document([box(1)])))
    cat = Category(id=1, name="another cat")
    moved = [
        replace(
            sample,
            image=replace(sample.image, key="x/" + sample.image.key),
            annotations=tuple(replace(a, category=cat) for a in sample.annotations),
        )
        for sample in other.samples
    ]
    data = Dataset(samples=one.samples + moved, categories=[*one.categories, cat])
    after = written(data)["annotations.json"]
    assert [image["id"] for image in after["images"]] == [1, 2, 3, 4]
    assert [(a["id"], a["image_id"], a["category_id"]) for a in after["annotations"]] == [
        (1, 1, 1),
        (2, 1, 1),
        (3, 3, 5),
    ]
    assert after["categories"][-1] == {"id": 5, "name": "another cat"}


def test_an_origin_by_somebody_else_does_no_harm() -> None:
    for files in (
        None,
        5,
        [{"path": "../../etc/x.json"}],
        [{"path": "/x.json"}],
        [{"path": "a.json", "images": "x"}],
    ):
        data = dataset(read(document([box(1)])))
        for sample in data.samples:
            marks: list[Any] = [
                10**30,
                -5,
                "x",
                [1],
                {"record": 3},
                {"at": "x"},
                {"form": {"bbox": "x", "no": "null"}},
            ]
            marks += [
                {"record": {"bbox": {"a": []}, "id": []}},
                {"without": ["crowd", "no"], "also": [{"at": -(10**9)}]},
            ]
            labels = tuple(Annotation(bbox=(1, 2, 3, 4), origin=mark) for mark in marks)
            data = replace(data, samples=[replace(sample, annotations=labels, origin=mark) for mark in marks])
        assert written(replace(data, origin=Origin(format="coco", extra={"files": files}))).keys() == {
            "annotations.json"
        }
        assert written(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "complete"),
        (b"{", "complete"),
        (b'{"images": [\n\n{"id": NaN}]}', ":3: expected a number, got NaN"),
        (b'{"images": [-Infinity]}', ":1: expected a number, got -Infinity"),
        (b'{"images": [\n1,]}', ":2: no JSON"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe{\x00", "no JSON"),
        (b"{}", "is it another format"),
        (b'{"shapes": [], "imagePath": "a.jpg"}', "is it another format"),
        (b'[{"image": "a.jpg", "annotations": []}]', "is it another format"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text: bytes, expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        coco.read(Memory({"a.json": text}))
    assert str(caught.value).startswith("labels")


def test_a_byte_order_mark_and_other_line_ends_do_not_matter() -> None:
    text = json.dumps(document([box(1)]), indent=1).replace("\n", "\r\n")
    assert codes(coco.read(Memory({"a.json": b"\xef\xbb\xbf" + text.encode()}))) == []


@pytest.mark.parametrize("other", [{"tool": "x"}, {"version": "1.0"}, {"version": True}, {}, "x", 5, None])
def test_what_another_tool_calls_xlabel_is_an_unknown_field(other: Any) -> None:
    source = document([box(1, score=None), box(2, 2, xlabel={"theirs": 1})], xlabel=other)
    source["images"][0] |= {"size": 77, "offset": 5, "sha256": "z", "frame_index": 3}
    source["images"][1] |= {"frame_index": "x", "xlabel": {"theirs": [1]}}
    data = check({"a.json": source})
    assert (data.extra or {})["xlabel"] == other
    assert (data.samples[0].image.extra or {})["frame_index"] == 3


def test_one_bad_record_or_file_leaves_the_rest() -> None:
    text = json.dumps(document([box(1), box(2), box(3), box(4)])).encode()
    deep = b'"x": ' + b"[" * 200 + b"]" * 200 + b', "id": 2'
    for broken in (b'"id": 1e999', b'"id": 2, "note": "\xff"', deep, b'"id": ' + b"9" * 5000):
        labels = coco.read(Memory({"a.json": text.replace(b'"id": 2, "image', broken + b', "image')}))
        assert codes(labels) == ["bad-annotation"]
        assert [a.id for a in labels.samples[0].annotations] == [1, 3, 4]
        assert len(written(dataset(labels))["a.json"]["annotations"]) == 3
    labels = coco.read(Memory({"a.json": text, "b.json": text[:-50], "c.json": "[1]", "d.json": '{"x": 1}'}))
    assert codes(labels) == ["unreadable"]
    assert len(labels.samples[0].annotations) == 4


def test_numbers_that_are_none_are_problems_of_their_records_and_pycocotools_has_the_same_labels(
    tmp_path: Path,
) -> None:
    odd = float("nan")
    source = document([box(1, area=odd), box(2, 2), box(3, bbox=[1, 2, odd, 4]), box(4, score=float("-inf"))])
    source["images"][0]["exposure"] = odd
    source["categories"][0]["weight"] = float("inf")
    source["info"] = {"note": 'NaN, "Infinity" and [', "mean": odd}
    (tmp_path / "nan.json").write_text(json.dumps(source))
    labels = coco.read(folder(tmp_path))
    assert [(p.where.rpartition(": ")[2], p.code) for p in labels.problems] == [
        ("categories[0]", "bad-category"), ("images[0]", "bad-image"),
        ("annotations[0]", "bad-annotation"), ("annotations[2]", "bad-annotation"),
        ("annotations[2]", "bad-bbox"), ("annotations[3]", "bad-annotation"), ("info", "bad-field"),
    ]  # fmt: skip
    assert labels.problems[0].message == (
        "expected a number, got Infinity, which is no JSON; it is read as null, write that in its place"
    )
    with contextlib.redirect_stdout(io.StringIO()):
        others = COCO(str(tmp_path / "nan.json"))
    ours = {a.id: a for sample in labels.samples for a in sample.annotations}
    assert ours.keys() == others.anns.keys()
    assert [labels.samples[n].image.key for n in (0, 1)] == [others.imgs[n]["file_name"] for n in (1, 2)]
    for identity, label in ours.items():
        if identity != 3:
            assert list(label.bbox or ()) == others.anns[identity]["bbox"]
    assert (ours[1].area, ours[3].bbox, ours[4].score) == (None, None, None)
    again = written(dataset(labels))["nan.json"]
    assert again["info"] == {"note": source["info"]["note"], "mean": None}
    assert [record["id"] for record in again["annotations"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rb'"\udcff.jpg"', "half of a surrogate pair"),
        (rb'"\ud83d"', "half of a surrogate pair"),
        (rb'"C:\images"', "escape"),
        (b'"a\nb"', "invalid character"),
        (b"01", "invalid number"),
        (b"nan", "invalid character"),
        (b"[1, 2,]", "trailing comma"),
        (b"[" * 100_000 + b"]" * 100_000, "recursion"),
        (b'"a" "b"', "expected"),
    ],
)
def test_what_json_parsers_refuse_takes_its_own_record_alone(text: bytes, said: str) -> None:
    good = json.dumps(document([box(1), box(2, note=77), box(3, 2)])).encode()
    with pytest.raises((ValueError, RecursionError)):
        json.dumps(json.loads(good.replace(b"77", text)), ensure_ascii=False).encode()
    labels = coco.read(Memory({"a.json": good.replace(b"77", text)}))
    assert [(p.where, p.code) for p in labels.problems] == [
        ("labels/a.json: annotations[1]", "bad-annotation")
    ]
    assert said in labels.problems[0].message
    assert labels.problems[0].message.endswith("it is left out, correct it")
    assert [a.id for sample in labels.samples for a in sample.annotations] == [1, 3]
    found = json.dumps([*RESULTS[:2], RESULTS[3] | {"caption": 77}]).encode().replace(b"77", text)
    assert sum(len(s.annotations) for s in coco.read(Memory({"r.json": found})).samples) == 2


@pytest.mark.parametrize("text", [b'{"id": NaN', b'{"id": NaN]', b'{"id": "NaN}', b"NaN]", b'NaN, "a'])
def test_a_document_whose_brackets_or_quotes_do_not_close_is_refused(text: bytes) -> None:
    good = json.dumps(document([77, box(1)])).encode()
    with pytest.raises(InputError, match=r"labels/a.json"):
        coco.read(Memory({"a.json": good.replace(b"77", text)}))


@pytest.mark.parametrize(
    "text",
    [
        b'{"x": NaN},' * 100_000 + b"1",
        b"NaN," * 200_000 + b"1",
        b"NaN" + b"[" * 5_000_000,
        b"NaN" + b"[1" * 2_000_000 + b"]" * 2_000_000,
        b"NaN" + b'"a' * 2_000_000,
        b"NaN" + b"\\" * 5_000_000,
        b'NaN,"' + b"\\n" * 5_000_000 + b'"',
    ],
)
def test_damage_takes_time_by_the_size_of_the_file_alone(text: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(InputError):
        coco.read(Memory({"a.json": b'{"images": [], "annotations": [' + text + b"]}"}))
    assert time.process_time() - began < 10


def test_other_json_beside_it_is_left_alone() -> None:
    tree = Memory({"a.json": json.dumps(document([])), "b.json": '{"shapes": []}', "c.txt": "x"})
    assert coco.sniff(tree) == "a.json with images, annotations, categories"
    assert len(coco.read(tree).samples) == 2
    assert coco.sniff(Memory({"b.json": '{"shapes": []}', "c.json": "[]"})) is None
    assert coco.sniff(Memory({"r.json": json.dumps(RESULTS)})) == "r.json, a list of 5 results"
    many = {f"{n}.json": '{"shapes": []}' for n in range(500)} | {"z_coco.json": json.dumps(document([]))}
    assert coco.sniff(Memory(many)) == "z_coco.json with images, annotations, categories"


def test_a_cut_off_document_is_named_and_not_overlooked() -> None:
    tree = Memory({"a.json": json.dumps(document([box(1)]))[:-60]})
    assert coco.sniff(tree) == "a.json, JSON with category_id, damaged"
    with pytest.raises(InputError, match=r"labels/a.json: the JSON ends in the middle"):
        coco.read(tree)


plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
coordinates = st.integers(0, 30) | st.floats(0, 30)
identities = st.integers(0, 5) | st.sampled_from(["a", "b"])


def odd(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, anything)


labels_of_any_kind = st.fixed_dictionaries(
    {"image_id": odd(identities)},
    optional={
        "id": odd(st.integers(0, 20)),
        "category_id": odd(st.integers(0, 4)),
        "bbox": odd(st.lists(coordinates, min_size=4, max_size=4)),
        "segmentation": odd(
            st.just([])
            | st.lists(st.lists(coordinates, min_size=5, max_size=8), max_size=2)
            | st.builds(
                lambda counts: {"size": [4, 5], "counts": counts},
                st.sampled_from([[3, 17], [20], "X", "35O", [1]]),
            )
        ),
        "area": odd(coordinates),
        "iscrowd": odd(st.integers(0, 1)),
        "keypoints": odd(st.lists(st.integers(0, 2), max_size=6)),
        "num_keypoints": odd(st.integers(0, 2)),
        "score": odd(st.floats(0, 1)),
        "caption": odd(st.text(max_size=3)),
        "attributes": odd(st.dictionaries(st.text(max_size=2), plain, max_size=2)),
        "xlabel": odd(st.fixed_dictionaries({}, optional={
            "status": st.sampled_from(["accepted", None]),
            "shape": anything,
            "derived": st.lists(st.sampled_from(["id", "bbox", "area", "segmentation", "x"])),
            "author": st.text(max_size=2),
        })),
        "other": anything,
    },
)  # fmt: skip
documents = st.fixed_dictionaries(
    {
        "images": st.lists(
            odd(
                st.fixed_dictionaries(
                    {"id": odd(identities), "file_name": odd(st.text("ab/", max_size=3))},
                    optional={
                        "width": odd(st.integers(1, 9)),
                        "height": odd(st.integers(1, 9)),
                        "xlabel": anything,
                        "x": anything,
                    },
                )
            ),
            max_size=4,
        ),
        "annotations": st.lists(odd(labels_of_any_kind), max_size=6),
    },
    optional={
        "categories": st.lists(
            odd(
                st.fixed_dictionaries(
                    {"id": odd(st.integers(0, 4)), "name": odd(st.text(max_size=2))},
                    optional={"supercategory": odd(st.text(max_size=2)), "keypoints": anything},
                )
            ),
            max_size=4,
        ),
        "info": anything,
    },
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=documents)
def test_any_document_comes_back_equal(source: Document) -> None:
    check({"a.json": source})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(sources=st.lists(documents, min_size=2, max_size=3), split=st.booleans())
def test_any_documents_come_back_equal_together(sources: list[Document], split: bool) -> None:
    names = ["a_train.json", "b_train.json", "c_val.json"] if split else ["x/a.json", "y/b.json", "c.json"]
    check(dict(zip(names, sources, strict=False)))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=documents, seed=st.integers(0, 1000))
def test_documents_that_tell_of_the_same_things_come_back_equal_together(source: Document, seed: int) -> None:
    chance = random.Random(seed)
    other = json.loads(json.dumps(source))
    for records in other.values():
        if isinstance(records, list):
            for record in [record for record in records if isinstance(record, dict)]:
                for field in [field for field in record if chance.random() < 0.15]:
                    del record[field]
                record |= chance.choice([{}, {}, {"keypoints": [1, 2, 2], "num_keypoints": 1}, {"note": 1}])
            records[:] = [record for record in records if chance.random() < 0.9]
    check({"a_train.json": source, "b_train.json": other, "c_val.json": source})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=st.lists(labels_of_any_kind, min_size=1, max_size=5))
def test_any_results_come_back_equal(source: list[Any]) -> None:
    source[0] |= {"score": 0.5, "image_id": 3}
    check({"a.json": [item for item in source if "image_id" in item]})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_mangled_bytes_end_in_problems_or_an_input_error(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(json.dumps(TORTURE).encode())
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = chance.choice(
            [b"", b"\xff", b"9" * 30, b"null", b"[", b"}", b"-", b'"']
        )
    try:
        found = dataset(coco.read(Memory({"a.json": bytes(data)})))
    except InputError:
        return
    written(travelled(found))
