"""Images with an EXIF orientation: labels are about the image as displayed, whichever way they were drawn.

The stored matrix is 40 x 20, and holds a box at x 2, y 3 of 10 x 4. Where the boxes lie as displayed was
worked out by hand on squared paper, and is what Pillow makes of a painted box.
"""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from tests import awkward

import xlabel

STORED = (40, 20)
BOX = (2, 3, 10, 4)
DISPLAYED = {
    1: (2, 3, 10, 4),
    2: (28, 3, 10, 4),
    3: (28, 13, 10, 4),
    4: (2, 13, 10, 4),
    5: (3, 2, 4, 10),
    6: (13, 2, 4, 10),
    7: (13, 28, 4, 10),
    8: (3, 28, 4, 10),
}
ORIENTATIONS = range(1, 9)
TURNING = (5, 6, 7, 8)


def size(orientation: int) -> tuple[int, int]:
    return STORED[::-1] if orientation in TURNING else STORED


def coco(box: tuple[int, ...], drawn: tuple[int, int]) -> dict[str, str]:
    x, y, w, h = box
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    label = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": w * h, "iscrowd": 0}
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": drawn[0], "height": drawn[1]}],
        "annotations": [label | {"segmentation": [corners]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    return {"labels.json": json.dumps(document)}


def voc(box: tuple[int, ...], drawn: tuple[int, int]) -> dict[str, str]:
    x, y, w, h = box
    return {
        "a.xml": f"""<annotation><filename>a.jpg</filename>
<size><width>{drawn[0]}</width><height>{drawn[1]}</height><depth>3</depth></size>
<object><name>thing</name>
<bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox>
</object></annotation>"""
    }


def labelme(box: tuple[int, ...], drawn: tuple[int, int]) -> dict[str, str]:
    x, y, w, h = box
    shape = {"label": "thing", "points": [[x, y], [x + w, y + h]], "shape_type": "rectangle", "flags": {}}
    document: dict[str, Any] = {
        "version": "5.2.1",
        "flags": {},
        "shapes": [shape | {"group_id": None}],
        "imagePath": "a.jpg",
        "imageData": None,
        "imageWidth": drawn[0],
        "imageHeight": drawn[1],
    }
    return {"a.json": json.dumps(document)}


STATING = {"coco": coco, "voc": voc, "labelme": labelme}


def packed(folder: Path, orientation: int, labels: dict[str, str]) -> tuple[dict[str, Any], xlabel.Report]:
    """The annotation file of a pack of one image, and the report."""
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    (folder / "images" / "a.jpg").write_bytes(awkward.turned(orientation, STORED))
    for name, text in labels.items():
        (folder / "labels" / name).write_text(text)
    report = xlabel.pack(folder / "images", folder / "labels", folder / "pack")
    return json.loads((folder / "pack" / "unified_annotation.json").read_bytes()), report


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_boxes_worked_out_by_hand_are_where_pillow_displays_them(orientation: int) -> None:
    x, y, w, h = BOX
    stored = Image.new("L", STORED)
    stored.paste(255, (x, y, x + w, y + h))
    exif = Image.Exif()
    exif[awkward.ORIENTATION] = orientation
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    displayed = ImageOps.exif_transpose(Image.open(file))
    left, top, right, bottom = displayed.getbbox() or (0, 0, 0, 0)
    assert (left, top, right - left, bottom - top) == DISPLAYED[orientation]
    assert displayed.size == size(orientation)


@pytest.mark.parametrize("form", STATING)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_labels_drawn_on_the_displayed_image_stay(orientation: int, form: str, tmp_path: Path) -> None:
    labels = STATING[form](DISPLAYED[orientation], size(orientation))
    document, report = packed(tmp_path, orientation, labels)
    (image,), (label,) = document["images"], document["annotations"]
    assert (image["width"], image["height"]) == size(orientation)
    assert tuple(label["bbox"]) == DISPLAYED[orientation]
    assert report.exit_code == 0 and not any("turned" in note for note in report.notes)


@pytest.mark.parametrize("form", STATING)
@pytest.mark.parametrize("orientation", TURNING)
def test_labels_drawn_on_the_stored_matrix_are_turned_and_the_image_is_listed(
    orientation: int, form: str, tmp_path: Path
) -> None:
    document, report = packed(tmp_path, orientation, STATING[form](BOX, STORED))
    (image,), (label,) = document["images"], document["annotations"]
    assert (image["width"], image["height"]) == size(orientation)
    assert tuple(label["bbox"]) == DISPLAYED[orientation]
    assert report.exit_code == 0
    (note,) = (note for note in report.notes if "turned" in note)
    assert note.startswith("1 image ") and note.endswith(": a.jpg")


@pytest.mark.parametrize("orientation", TURNING)
def test_polygons_are_turned_point_by_point(orientation: int, tmp_path: Path) -> None:
    document, _ = packed(tmp_path, orientation, coco(BOX, STORED))
    (part,) = document["annotations"][0]["segmentation"]
    x, y, w, h = DISPLAYED[orientation]
    points = list(zip(part[::2], part[1::2], strict=True))
    assert set(points) == {(x, y), (x + w, y), (x + w, y + h), (x, y + h)}
    corner = {5: (3, 2), 6: (17, 2), 7: (17, 38), 8: (3, 38)}[orientation]
    assert points[0] == corner  # of the stored x 2, y 3


@pytest.mark.parametrize("form", STATING)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("displayed", [True, False])
def test_labels_come_back_as_they_were_drawn(
    orientation: int, form: str, displayed: bool, tmp_path: Path
) -> None:
    drawn = size(orientation) if displayed else STORED
    labels = STATING[form](DISPLAYED[orientation] if displayed else BOX, drawn)
    packed(tmp_path, orientation, labels)
    xlabel.unpack(tmp_path / "pack", tmp_path / "restored")
    ((name, text),) = labels.items()
    found = (tmp_path / "restored" / "labels" / name).read_text()
    if form == "voc":
        assert found.split() == text.split()
    else:
        assert json.loads(found) == json.loads(text)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_shares_of_the_image_are_shares_of_it_as_displayed(orientation: int, tmp_path: Path) -> None:
    width, height = size(orientation)
    x, y, w, h = DISPLAYED[orientation]
    row = f"0 {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}\n"
    document, report = packed(tmp_path, orientation, {"a.txt": row})
    assert document["annotations"][0]["bbox"] == pytest.approx(DISPLAYED[orientation])
    assert report.exit_code == 0


@pytest.mark.parametrize("form", STATING)
@pytest.mark.parametrize(
    ("orientation", "drawn"), [(1, (20, 40)), (3, (20, 40)), (6, (41, 20)), (8, (80, 40))]
)
def test_any_other_contradiction_of_sizes_is_a_problem_and_nothing_moves(
    form: str, orientation: int, drawn: tuple[int, int], tmp_path: Path
) -> None:
    document, report = packed(tmp_path, orientation, STATING[form](BOX, drawn))
    assert tuple(document["annotations"][0]["bbox"]) == BOX
    assert [problem.code for problem in report.problems] == ["size-mismatch"]
    assert f"{drawn[0]}x{drawn[1]}" in report.problems[0].message


@pytest.mark.parametrize("orientation", TURNING)
def test_annotate_follows_the_same_rule(orientation: int, tmp_path: Path) -> None:
    packed(tmp_path, orientation, voc(BOX, STORED))
    report = xlabel.annotate(tmp_path / "images", tmp_path / "labels", tmp_path / "labels.json")
    (label,) = json.loads((tmp_path / "labels.json").read_bytes())["annotations"]
    assert tuple(label["bbox"]) == DISPLAYED[orientation]
    assert any("turned" in note and note.endswith(": a.jpg") for note in report.notes)
