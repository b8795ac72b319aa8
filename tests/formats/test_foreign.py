"""Labels that others wrote into an image's metadata, put there by ExifTool."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from tests.tools import run, tool

from xlabel.formats import foreign
from xlabel.images import embedding
from xlabel.model import Image

IMAGE = Image(key="a.jpg", width=640, height=480)
BOX = (10, 20, 30.5, 40)


def boxes(document: Any) -> list[tuple[str, Any, Any]] | None:
    found = foreign.read(json.dumps(document), IMAGE)
    if found is None:
        return None
    return [(one.category.name if one.category else "", one.bbox, one.score) for one in found[1]]


@pytest.mark.parametrize("tag", ["UserComment", "ImageDescription", "XPComment"])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_what_exiftool_wrote_is_read(tag: str, order: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Pillow.new("RGB", (640, 480)).save(file, "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(file.getvalue())
    text = json.dumps([{"label": "größe", "bbox": BOX, "score": 0.5}], ensure_ascii=False)
    run(tool("exiftool"), "-q", "-overwrite_original", f"-ExifByteOrder={order}", f"-{tag}={text}", path)
    (stored,) = embedding.others(path.read_bytes())
    assert stored == text
    read = foreign.read(stored, IMAGE)
    assert read is not None and read[0] == "boxes"
    (annotation,) = read[1]
    assert annotation.category is not None and annotation.category.name == "größe"
    assert (annotation.bbox, annotation.score) == (BOX, 0.5)


@pytest.mark.parametrize(
    "record",
    [
        {"label": "car", "bbox": [10, 20, 30.5, 40]},
        {"class": "car", "x": 10, "y": 20, "width": 30.5, "height": 40},
        {"name": "car", "x": 10, "y": 20, "w": 30.5, "h": 40},
        {"category": "car", "xmin": 10, "ymin": 20, "xmax": 40.5, "ymax": 60},
        {"label": "car", "box": {"xmin": 10, "ymin": 20, "xmax": 40.5, "ymax": 60}},
        {"class_name": "car", "x1": 10, "y1": 20, "x2": 40.5, "y2": 60},
        {"category_name": "car", "left": 10, "top": 20, "right": 40.5, "bottom": 60},
        {"label": "car", "left": 10, "top": 20, "width": 30.5, "height": 40},
    ],
    ids=lambda record: " ".join(record),
)
def test_a_list_of_boxes_is_read_in_all_its_spellings(record: dict[str, Any]) -> None:
    assert boxes([record]) == [("car", BOX, None)]
    assert boxes({"boxes": [{**record, "confidence": 1}]}) == [("car", BOX, 1)]


def test_a_box_without_coco_s_word_is_read_only_where_one_reading_is_possible() -> None:
    assert boxes([{"label": "car", "box": [600, 400, 630, 470]}]) == [("car", (600, 400, 30, 70), None)]
    assert boxes([{"label": "car", "box": [600, 400, 30, 70]}]) == [("car", (600, 400, 30, 70), None)]
    assert boxes([{"label": "car", "box": [10, 20, 40, 60]}]) is None


def test_coco_is_read_with_its_categories_and_polygons() -> None:
    document = {
        "images": [{"id": 1, "width": 640, "height": 480}],
        "categories": [{"id": 5, "name": "car"}],
        "annotations": [
            {"id": 9, "image_id": 1, "category_id": 5, "bbox": BOX, "segmentation": [[1, 2, 3, 4, 5, 6]]},
            {"category_name": "bird", "bbox": BOX, "confidence": 0.25, "tracked": True},
            {"category_id": 7, "bbox": BOX},
        ],
    }
    found = foreign.read(json.dumps(document), IMAGE)
    assert found is not None and found[0] == "coco"
    one, two, three = found[1]
    assert (one.id, one.category and one.category.id, one.polygons) == (9, 5, ((1, 2, 3, 4, 5, 6),))
    assert (two.category and two.category.name, two.score, two.extra) == ("bird", 0.25, {"tracked": True})
    assert (three.category and three.category.id, three.bbox) == (7, BOX)


def test_labelme_is_read_with_its_shapes() -> None:
    shapes = [
        {"label": "car", "points": [[10, 20], [40.5, 60]], "shape_type": "rectangle"},
        {"label": "bird", "points": [[1, 2], [3, 4], [5, 6]], "shape_type": "polygon"},
    ]
    found = foreign.read(json.dumps({"shapes": shapes, "imageWidth": 640, "imageHeight": 480}), IMAGE)
    assert found is not None and found[0] == "labelme"
    assert [one.bbox for one in found[1]] == [BOX, None]
    assert found[1][1].polygons == ((1, 2, 3, 4, 5, 6),)


@pytest.mark.parametrize(
    "text",
    [
        "at the lake",
        "",
        "0 0.5 0.5 0.25 0.25",
        "{}",
        "[]",
        "[1, 2, 3, 4]",
        '{"prompt": "a car", "seed": 1}',
        '[{"label": "car"}]',
        '[{"bbox": [1, 2, 3, 4]}]',
        '[{"label": "car", "name": "bird", "bbox": [1, 2, 3, 4]}]',
        '[{"label": "car", "bbox": [0.1, 0.2, 0.3, 0.4]}]',
        '[{"label": "car", "bbox": [600, 400, 100, 10]}]',
        '[{"label": "car", "bbox": [1, 2, -3, 4]}]',
        '[{"label": "car", "bbox": [1, 2, 3, 1e999]}]',
        '[{"label": "car", "bbox": [1, 2, 3, 4]}, {"label": "car"}]',
        '{"annotations": [{"bbox": [1, 2, 3, 4]}]}',
        '{"annotations": [{"category_id": 1, "bbox": [1, 2, "3", 4]}]}',
        '{"images": [{}, {}], "annotations": []}',
        '{"images": [{"width": 5, "height": 5}], "annotations": [{"category_id": 1, "bbox": [1, 2, 3, 4]}]}',
        '{"shapes": [{"label": "car", "points": [[1, 2]], "shape_type": "polygon"}]}',
        '{"shapes": [], "imageWidth": 5, "imageHeight": 5}',
        "[" * 100_000,
        '{"shapes":' + "[" * 500 + "]" * 500 + "}",
    ],
    ids=range(23),
)
def test_what_is_not_wholly_understood_is_left_alone(text: str) -> None:
    assert foreign.read(text, IMAGE) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "annotations",
                    "categories",
                    "images",
                    "shapes",
                    "points",
                    "label",
                    "name",
                    "id",
                    "bbox",
                    "box",
                    "score",
                    "category_id",
                    "segmentation",
                    "counts",
                    "size",
                    "xmin",
                    "ymin",
                    "xmax",
                    "ymax",
                    "boxes",
                    "shape_type",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_or_left_alone(document: Any) -> None:
    found = foreign.read(json.dumps(document), IMAGE)
    assert found is None or found[0] in ("coco", "labelme", "boxes")
