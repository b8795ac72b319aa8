"""What formats keep for themselves in `origin`: each of its fields is told in docs/dataset_spec.md."""

import re
from pathlib import Path

import msgspec
import pytest
from tests.trees import Memory

from xlabel import formats
from xlabel.formats.coco_layout import Place
from xlabel.formats.labels import Labels
from xlabel.model import Image, Sample

SPEC = (Path(__file__).parents[2] / "docs" / "dataset_spec.md").read_text("utf-8")
VOC = "<annotation><filename>a.jpg</filename><object><name>cat</name></object></annotation>"
SETS: dict[str, tuple[str, dict[str, str | bytes]]] = {
    "YOLO": (
        "yolo",
        {
            "truth/a.txt": b"\xef\xbb\xbf0 .5 .5 .1 .1 0.5\rno row\r0 .5 .5 .1 .1 0.25",
            "truth/b.txt": b"0 .5 .5 .1 .1 0.5\n\xff\n",
        },
    ),
    "YOLO with keypoints": ("yolo", {"a.txt": b"0 .5 .5 .1 .1 .5 .5 2 .4 .4 1\n" * 2}),
    "Pascal VOC": (
        "voc",
        {
            "truth/a.xml": VOC.encode("utf-16"),
            "ImageSets/Main/train.txt": "a\nnobody\n",
            "ImageSets/Main/dog_train.txt": "a 1\n",
        },
    ),
    "LabelMe": (
        "labelme",
        {
            "truth/a.json": '{"shapes":[{"label":"c","points":[[1,2]],"shape_type":"point"}],'
            '"imagePath":"a.jpg"}'
        },
    ),
    "CSV": ("csv", {"a.csv": "image,category,x,y,w,h\na.jpg,cat,1,1,2,2\nb.jpg,,,,,\na.jpg,cat,1,1,2,2\n"}),
}


def told(name: str) -> set[str]:
    """The words in backticks in a format's row of the spec's table."""
    table = SPEC.partition("### What origin holds")[2].partition("\n### ")[0]
    (row,) = [line for line in table.split("\n") if line.startswith(f"| {name} ")]
    return set(re.findall(r"`(\w+)`", row))


def read(labels: Labels, keys: list[str]) -> list[Sample]:
    labels.bind(keys)
    found = []
    for key in keys:
        ref = labels.find(key)
        sample = None if ref is None else labels.load(ref, Image(key=key, width=9, height=9))
        found += [] if sample is None else [sample]
    return found


@pytest.mark.parametrize("name", SETS)
def test_every_field_of_an_origin_is_told_in_the_spec(name: str) -> None:
    kind, files = SETS[name]
    labels = formats.get(kind).read(Memory(files))
    samples = read(labels, ["photos/a.jpg", "photos/b.jpg"])
    assert samples
    fields = {field for sample in samples for field in sample.origin} | set(labels.origin.extra or {})
    assert fields <= told(name.partition(" with")[0])
    if any(path.startswith("truth/") for path in files):
        assert {"path", "of"} <= fields


def test_every_field_of_a_place_in_a_coco_document_is_told_in_the_spec() -> None:
    assert {field.name for field in msgspec.structs.fields(Place)} <= told("COCO")
