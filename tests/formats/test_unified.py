"""The annotation file of a bundle: complete for us, and COCO for others."""

import contextlib
import io
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pycocotools.coco import COCO
from tests.strategies import datasets
from tests.trees import Memory, real

from xlabel.errors import CorruptError, InputError
from xlabel.formats import coco, unified_reading, unified_writing, yolo
from xlabel.model import Annotation, Category, Circle, Dataset, Image, OrientedBox, Sample
from xlabel.model.dataset import Origin
from xlabel.model.manifest import Frame

PACK = "0123456789abcdef0123456789abcdef"
ODD = {
    "info": {"year": 2026},
    "images": [
        {"id": 7, "file_name": "z.jpg", "width": 30, "height": 20, "offset": 5, "sha256": None},
        {"id": "x", "file_name": "a.jpg", "width": None},
        {"id": 3, "file_name": "deep/m.jpg", "width": 30, "height": 20, "license": 1},
    ],
    "annotations": [
        {"id": 4, "image_id": 3, "category_id": 0, "bbox": [1, 2, 3.5, 4], "segmentation": []},
        {"id": 0, "image_id": 7, "category_id": 9, "iscrowd": 1, "area": 6, "bbox": [0, 0, 3, 2],
         "segmentation": {"size": [20, 30], "counts": [0, 2, 18, 2, 18, 2, 558]}},
        {"id": "s", "image_id": 3, "category_id": 0, "bbox": [1, 2, 3, 4], "attributes": {}, "track": 1},
        {"image_id": "x", "category_id": 9, "bbox": [1, 2, "3", 4], "caption": "a", "score": 0.5},
        {"id": 6, "image_id": 99, "category_id": 9, "bbox": [1, 2, 3, 4]},
        {"id": 8, "image_id": 3, "category_id": 9, "keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 1},
    ],
    "categories": [{"id": 9, "name": "dog", "supercategory": None}, {"id": 0, "name": "cat"}],
    "licenses": [],
}  # fmt: skip


def frame_of(number: int, image: Image) -> Frame:
    return Frame(
        index=number,
        key=image.key,
        offset=1000 * number + 40,
        size=960,
        width=image.width,
        height=image.height,
        sha256=f"{number:064x}",
        mime="image/jpeg",
        orientation=image.orientation,
        placeholder=number == 1,
    )


def packed(data: Dataset, *, framed: bool = True, unmatched: tuple[Sample, ...] = ()) -> bytes:
    """The file of a data set, put together as a packing job does it."""
    samples = sorted(data.samples, key=lambda sample: sample.image.key.encode())
    every = [*samples, *unmatched]
    image_id = 1 + max((s.image.id for s in every if isinstance(s.image.id, int)), default=0)
    free = 1 + max((a.id for s in every for a in s.annotations if isinstance(a.id, int)), default=0)
    images, labels = [], []
    for number, sample in enumerate(samples):
        identity = sample.image.id
        if identity is None:
            identity, image_id = image_id, image_id + 1
        images.append(
            unified_writing.image_record(sample, identity, frame_of(number, sample.image) if framed else None)
        )
        if sample.annotations:
            text, free = unified_writing.annotation_records(sample, identity, free)
            labels.append(text)
    section: dict[str, Any] = {"version": 1, "origin": data.origin, "pack_id": PACK, "bundle": "m.mp4"}
    if unmatched:
        section["unmatched"] = list(unmatched)
    parts = [unified_writing.head(), b",\n".join(images), unified_writing.between(), b",\n".join(labels)]
    return b"".join([*parts, unified_writing.tail(data.categories, data.extra, section)])


def dataset(files: Mapping[str, bytes]) -> Dataset:
    labels = coco.read(Memory(files))
    return Dataset(
        samples=labels.samples, categories=labels.categories, extra=labels.extra, origin=labels.origin
    )


def exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def loaded(data: bytes, path: Path) -> COCO:
    (path / "unified_annotation.json").write_bytes(data)
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path / "unified_annotation.json"))


REAL = [
    "visdrone50_coco/visdrone2019-det-train-first50image.json",
    "coco_keypoints4/test_coco.json",
    "panoptic2/panoptic_coco_detection_format.json",
    "panoptic2/panoptic_examples.json",
    "panoptic2/images_info_examples.json",
    "terrain_labelme_coco/terrain_all_coco.json",
]


@pytest.mark.parametrize("path", REAL)
def test_real_documents_come_back_equal_out_of_a_bundle(path: str) -> None:
    source = (real(path.partition("/")[0]).parent / path).read_bytes()
    data = dataset({"source.json": source})
    text = packed(data)
    found = unified_reading.read(text, "unified_annotation.json")
    assert found.problems == []
    for back in (found.dataset, dataset({"unified_annotation.json": text})):
        ((name, chunks),) = coco.write(back)
        assert name == "source.json"
        assert exact(json.loads(b"".join(chunks))) == exact(json.loads(source))


@pytest.mark.parametrize(
    "files",
    [
        {"odd.json": ODD},
        {"a_train.json": ODD, "b_train.json": ODD | {"categories": []}, "c_val.json": ODD},
        {"results.json": [{"image_id": 5, "category_id": 3, "score": 0.5, "bbox": [1, 2, 3, 4]}] * 2},
    ],
)
def test_odd_documents_come_back_equal_out_of_a_bundle(files: dict[str, Any]) -> None:
    data = dataset({path: json.dumps(value).encode() for path, value in files.items()})
    for framed in (True, False):
        back = unified_reading.read(packed(data, framed=framed), "x").dataset
        after = {path: json.loads(b"".join(chunks)) for path, chunks in coco.write(back)}
        assert exact(after) == exact(files)


def everything() -> Dataset:
    cat = Category(id=3, name="cat", supercategory="animal", extra={"c": None})
    labels = (
        Annotation(category=cat, bbox=(1, 2, 3, 4), origin="0 .1 .2 .3 .4"),
        Annotation(category=cat, bbox=(1.5, 2, 3, 4), id=77, area=9, origin={"a": [1]}),
        Annotation(category=cat, polygons=((1, 2, 3, 4, 5, 6),), score=0.5, status="suggestion"),
        Annotation(category=cat, shape=OrientedBox((1, 0, 2, 1, 1, 2, 0, 1)), author="me", time="now"),
        Annotation(category=cat, shape=Circle(5, 5, 2), extra={"xlabel": 1, "bbox": 2, "free": 3}),
        Annotation(bbox=(0, 0, 1, 1), crowd=True, origin=0),
        Annotation(caption="words", attributes={}, origin={}),
        Annotation(category=cat, status="rejected", origin=[]),
    )
    samples = [
        Sample(
            image=Image(
                key="a.jpg", width=30, height=20, orientation=6, extra={"offset": "taken", "free": None}
            ),
            annotations=labels,
            split="val",
            drawn=(20, 30),
            named="other/a.png",
            origin={},
        ),
        Sample(image=Image(key="b.jpg"), origin=[1, "x"]),
        Sample(image=Image(key="größe/画.png", width=3, height=3, id=5)),
        Sample(image=Image(key="last.png", width=3, height=3, id="text")),
    ]
    origin = Origin(format="yolo-segment", files={"data.yaml": "names: [cat]"}, extra={"x": 1})
    return Dataset(samples=samples, categories=[cat], extra={"info": {"a": 1}, "images": 5}, origin=origin)


def test_all_of_the_model_comes_back() -> None:
    before = everything()
    lost = Sample(image=Image(key="gone.jpg", width=9, height=9), annotations=before.samples[0].annotations)
    found = unified_reading.read(packed(before, unmatched=(lost,)), "x")
    assert found.problems == []
    assert found.dataset == before
    assert found.unmatched == [lost]
    assert found.section["pack_id"] == PACK
    frames = [frame_of(number, sample.image) for number, sample in enumerate(before.samples)]
    assert found.frames == frames
    assert unified_reading.read(packed(before, framed=False), "x").frames is None
    whole = coco.read(Memory({"unified_annotation.json": packed(before, unmatched=(lost,))}))
    assert whole.samples == [*before.samples, lost]
    assert whole.origin == before.origin
    assert whole.extra == before.extra


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=datasets())
def test_any_data_set_comes_back(data: Dataset) -> None:
    found = unified_reading.read(packed(data), "x")
    assert found.problems == []
    assert found.dataset == replace(data, samples=sorted(data.samples, key=lambda sample: sample.image.key))


def test_labels_of_yolo_come_back_with_their_rows() -> None:
    rows = "0 0.1000 .5 1e-1 0.2\n1 0.25 0.25 0.125 0.1\n"
    labels = yolo.read(Memory({"labels/a.txt": rows, "data.yaml": "names: [a, b]\n"}))
    image = Image(key="images/a.jpg", width=640, height=480)
    labels.bind([image.key])
    ref = labels.find(image.key)
    assert ref is not None
    sample = labels.load(ref, image)
    assert sample is not None
    before = Dataset(samples=[sample], categories=labels.categories, origin=labels.origin)
    found = unified_reading.read(packed(before), "x")
    assert found.dataset == before
    written = {path: b"".join(chunks).decode() for path, chunks in yolo.write(found.dataset)}
    assert rows in written.values()


def test_category_ids_are_mapped_and_others_kept() -> None:
    one, other = Category(id=1, name="a"), Category(id=2, name="b")
    sample = Sample(
        image=Image(key="a"),
        annotations=(Annotation(category=one), Annotation(category=other), Annotation(id=9)),
    )
    text, free = unified_writing.annotation_records(sample, 5, 10, {1: 8})
    records = json.loads(b"[" + text + b"]")
    assert free == 12
    assert [(r["id"], r["image_id"], r["category_id"]) for r in records] == [
        (10, 5, 8),
        (11, 5, 2),
        (9, 5, None),
    ]


def test_labels_stay_with_their_image_where_a_document_has_one_id_twice() -> None:
    images = [{"id": 1, "file_name": name, "width": 9, "height": 9} for name in ("z.png", "a.png")]
    label = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
    source = {"images": images, "annotations": [label], "categories": [{"id": 1, "name": "cat"}]}
    data = dataset({"x.json": json.dumps(source).encode()})
    back = unified_reading.read(packed(data), "x").dataset
    assert {sample.image.key: len(sample.annotations) for sample in back.samples} == {"a.png": 0, "z.png": 1}
    again = {path: json.loads(b"".join(chunks)) for path, chunks in coco.write(back)}
    assert exact(again) == exact({"x.json": source})


def test_each_record_has_a_line_and_the_end_tells_the_pack() -> None:
    text = packed(everything())
    lines = text.split(b"\n")
    assert lines[0] == b'{"images":['
    assert [json.loads(line.rstrip(b","))["file_name"] for line in lines[1:5]] == [
        "a.jpg", "b.jpg", "größe/画.png", "last.png",
    ]  # fmt: skip
    assert lines[5:7] == [b"],", b'"annotations":[']
    assert all(json.loads(line.rstrip(b","))["image_id"] == 6 for line in lines[7:15])
    assert text.endswith(b',"bundle":"m.mp4","pack_id":"' + PACK.encode() + b'"}}\n')
    assert list(json.loads(text))[-1] == "xlabel"


def test_places_stand_at_the_top_of_an_images_record() -> None:
    frame = frame_of(3, Image(key="a.jpg"))
    record = json.loads(unified_writing.image_record(everything().samples[0], 1, frame))
    assert {name: record[name] for name in unified_writing.PLACED} == {
        "frame_index": 3, "offset": 3040, "size": 960, "sha256": f"{3:064x}",
    }  # fmt: skip
    assert (record["file_name"], record["width"], record["height"]) == ("a.jpg", 30, 20)


def test_pycocotools_reads_boxes_and_captions(tmp_path: Path) -> None:
    others = loaded(packed(everything()), tmp_path)
    assert len(others.imgs) == 4
    assert len(others.anns) == 8
    labels = list(others.anns.values())
    assert labels[0]["bbox"] == [1, 2, 3, 4]
    assert [labels[n]["area"] for n in range(4)] == [12, 9, 0, 2]
    assert labels[3]["segmentation"] == [[1, 0, 2, 1, 1, 2, 0, 1]]
    assert labels[4]["bbox"] == [3, 3, 4, 4]
    assert all(label["iscrowd"] in (0, 1) for label in labels)
    captions = Dataset(samples=[Sample(image=Image(key="a.jpg"), annotations=(Annotation(caption="a"),))])
    text = packed(captions)
    assert "categories" not in json.loads(text)
    assert loaded(text, tmp_path).loadAnns(1)[0]["caption"] == "a"


def test_nothing_is_a_file_too(tmp_path: Path) -> None:
    text = packed(Dataset(samples=[]))
    found = unified_reading.read(text, "x")
    assert (found.dataset.samples, found.frames) == ([], None)
    assert loaded(text, tmp_path).imgs == {}


def test_a_file_that_another_tool_has_written_again_is_still_read() -> None:
    text = json.dumps(json.loads(packed(everything())), indent=2, sort_keys=True).encode()
    assert unified_reading.read(text, "x").dataset == everything()


def test_an_edit_by_hand_is_read() -> None:
    document = json.loads(packed(everything()))
    first = document["annotations"][0]
    first |= {"bbox": [9, 9, 9, 9], "note": "moved", "keypoints": None}
    document["annotations"].append({"id": 500, "image_id": first["image_id"], "category_id": 4, "bbox": "x"})
    document["annotations"].append({"id": 501, "image_id": 12345, "category_id": 3, "bbox": [1, 2, 3, 4]})
    found = unified_reading.read(json.dumps(document).encode(), "u.json")
    label = found.dataset.samples[0].annotations[0]
    assert (label.bbox, label.extra, label.origin) == ((9, 9, 9, 9), {"note": "moved"}, "0 .1 .2 .3 .4")
    assert [(problem.where, problem.code) for problem in found.problems] == [
        ("u.json: annotations[8]", "unknown-category"),
        ("u.json: annotations[8]", "bad-bbox"),
        ("u.json: annotations[9]", "unknown-image"),
    ]


def test_a_record_that_json_parsers_refuse_is_a_problem_and_the_rest_is_read() -> None:
    document = json.loads(packed(everything()))
    document["annotations"][1]["area"] = float("nan")
    document["images"][2]["note"] = float("inf")
    document["annotations"][6]["caption"] = "\udc80"
    found = unified_reading.read(json.dumps(document).encode(), "u.json")
    assert [problem.where for problem in found.problems] == [
        "u.json: images[2]", "u.json: annotations[1]", "u.json: annotations[6]",
    ]  # fmt: skip
    before, after = everything().samples, found.dataset.samples
    assert [sample.image.key for sample in after] == [sample.image.key for sample in before]
    assert len(found.frames or ()) == len(before)
    labels = after[0].annotations
    assert (labels[1].area, labels[1].bbox) == (None, (1.5, 2, 3, 4))
    assert labels[2:6] == before[0].annotations[2:6]
    assert labels[6:] == before[0].annotations[7:]


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"images":[]}', b'{"images":{},"xlabel":{}}', b'{"images":[],"xlabel":5}',
     b'{"images":[],"xlabel":{"unmatched":5}}', b'{"images":[],"xlabel":{"extra":[1]}}',
     b'{"images":[],"xlabel":{"a":' + b"[" * 300 + b"]" * 300 + b"}}",
     b'{"images":[],"info":1e999,"xlabel":{}}'],
)  # fmt: skip
def test_what_is_no_annotation_file_is_an_input_error(text: bytes) -> None:
    with pytest.raises(InputError, match=r"u\.json"):
        unified_reading.read(text, "u.json")


def test_a_later_version_is_refused() -> None:
    with pytest.raises(CorruptError, match="upgrade xlabel"):
        unified_reading.read(b'{"images":[],"xlabel":{"version":99}}', "u.json")


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_mangled_files_end_in_problems_or_an_input_error(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(packed(everything(), unmatched=(everything().samples[0],)))
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = chance.choice(
            [b"", b"\xff", b"9" * 30, b"null", b"[", b"}", b"-", b'"']
        )
    try:
        found = unified_reading.read(bytes(data), "x")
    except InputError:
        return
    msgspec.json.encode(found.dataset)
    for origin in (found.dataset.origin, Origin(format="coco", extra={"files": [{"path": "a.json"}]})):
        for _, chunks in coco.write(replace(found.dataset, origin=origin)):
            json.loads(b"".join(chunks))
