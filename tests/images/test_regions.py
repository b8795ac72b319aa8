"""IPTC regions and MWG faces of every geometry, by hand's arithmetic and by ExifTool."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.images.jpegs import camera, picture
from tests.tools import run, tool

from xlabel.images import embedding, regions
from xlabel.images.payload import Wrapped
from xlabel.model import Annotation, Category, Circle, OrientedBox, Points, Polyline
from xlabel.model.annotation import RLE

CAR, PERSON = Category(id=1, name="car"), Category(id=2, name="Person")


def seen(path: Path, *annotations: Annotation, orientation: int = 1, tag: str = "ImageRegion") -> list[Any]:
    """What ExifTool reads in a picture of 96 x 64 that holds them."""
    data = camera(orientation=orientation) if orientation != 1 else picture()
    size = (64, 96) if orientation >= 5 else (96, 64)
    projected = regions.iptc(annotations, *size, orientation)
    faces = regions.faces(annotations, *size, orientation)
    put = embedding.put(data, Wrapped(b'{"image":{}}', 1, ""), regions=projected, faces=faces)
    path.write_bytes(b"".join(put.pieces))
    assert orientation != 1 or run(tool("exiftool"), "-validate", "-s3", path) == b"OK\n"
    (tags,) = json.loads(run(tool("exiftool"), "-json", "-struct", f"-{tag}", path))
    found = tags.get(tag, [])
    return found if isinstance(found, list) else [found]


def outline(region: dict[str, Any]) -> list[tuple[float, float]]:
    return [(one["RbX"] * 96, one["RbY"] * 64) for one in region["RegionBoundary"]["RbVertices"]]


@pytest.mark.parametrize(
    ("annotation", "vertices"),
    [
        (Annotation(polygons=((0, 0, 48, 0, 48, 32),)), [[(0, 0), (48, 0), (48, 32)]]),
        (
            Annotation(polygons=((0, 0, 48, 0, 48, 32), (1, 1, 2, 1, 2, 2))),
            [[(0, 0), (48, 0), (48, 32)], [(1, 1), (2, 1), (2, 2)]],
        ),
        (
            Annotation(shape=OrientedBox((10, 0, 20, 10, 10, 20, 0, 10))),
            [[(10, 0), (20, 10), (10, 20), (0, 10)]],
        ),
        (Annotation(shape=Polyline((1, 2, 3, 4, 5, 6))), [[(1, 2), (3, 4), (5, 6)]]),
        (Annotation(shape=Points((1, 2, 3, 4))), [[(1, 2)], [(3, 4)]]),
    ],
    ids=["polygon", "parts", "oriented box", "polyline", "points"],
)
def test_outlines_have_the_vertices_of_the_annotation(
    annotation: Annotation, vertices: list[list[tuple[int, int]]], tmp_path: Path
) -> None:
    found = seen(tmp_path / "a.jpg", annotation)
    assert [outline(one) for one in found] == [
        [pytest.approx(point, abs=1e-3) for point in one] for one in vertices
    ]


def test_a_circle_has_its_centre_and_its_radius_in_widths(tmp_path: Path) -> None:
    (found,) = seen(tmp_path / "a.jpg", Annotation(shape=Circle(24, 16, 12)))
    boundary = found["RegionBoundary"]
    assert boundary["RbShape"] == "Circle"
    assert [boundary[side] for side in ("RbX", "RbY", "RbRx")] == [0.25, 0.25, 0.125]


def test_a_mask_shows_its_bounds(tmp_path: Path) -> None:
    mask = RLE((64, 96), (64 * 24 + 16, 8, 64 - 8, 8, 64 * 96 - (64 * 24 + 16 + 8 + 56 + 8)))
    (found,) = seen(tmp_path / "a.jpg", Annotation(mask=mask))
    boundary = found["RegionBoundary"]
    sides = [boundary[side] for side in ("RbX", "RbY", "RbW", "RbH")]
    assert sides == pytest.approx([24 / 96, 16 / 64, 2 / 96, 8 / 64], abs=1e-5)


def test_names_scores_and_kinds_stand_beside_the_boundary(tmp_path: Path) -> None:
    box = (1, 2, 3, 4)
    nasty = Category(id=3, name='<&> "größe" \u732b\x01')
    found = seen(
        tmp_path / "a.jpg",
        Annotation(category=CAR, bbox=box, score=0.25),
        Annotation(category=nasty, bbox=box),
        Annotation(bbox=box),
    )
    assert [one.get("Name") for one in found] == ["car", '<&> "größe" \u732b', None]
    kinds = found[0]["RCtype"][0]["Identifier"]
    assert kinds == ["http://cv.iptc.org/newscodes/imageregiontype/vehicle"]
    assert "RCtype" not in found[1]


def test_labels_of_the_whole_image_have_no_region(tmp_path: Path) -> None:
    assert seen(tmp_path / "a.jpg", Annotation(category=CAR)) == []


@pytest.mark.parametrize("orientation", [1, 6])
def test_faces_are_centres_of_people_in_the_stored_image(orientation: int, tmp_path: Path) -> None:
    person = Annotation(category=PERSON, bbox=(10, 20, 8, 4), attributes={"name": 'Ada "B" <C>'})
    car = Annotation(category=CAR, bbox=(1, 2, 3, 4))
    (found,) = seen(tmp_path / "a.jpg", person, car, orientation=orientation, tag="RegionInfo")
    assert found["AppliedToDimensions"] == {"H": 64, "Unit": "pixel", "W": 96}
    (face,) = found["RegionList"]
    assert (face["Name"], face["Type"]) == ('Ada "B" <C>', "Face")
    area = [float(face["Area"][side]) for side in "XYWH"]
    stored = (14, 22, 8, 4) if orientation == 1 else (22, 64 - 14, 4, 8)
    assert area == pytest.approx([a / b for a, b in zip(stored, (96, 64) * 2, strict=True)], abs=1e-5)
