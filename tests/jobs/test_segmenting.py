"""Cutting out and finding again at the review's desk, with a segmenter whose things are what is bright."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.detectors import brightness

from xlabel.detectors import sam
from xlabel.errors import XlabelError
from xlabel.jobs.desk import Review
from xlabel.jobs.selection import select
from xlabel.web.app import Point, Prompt, Propagation, Refusal, Save

BOX = (20, 10, 16, 12)
OUTLINE = [20, 10, 36, 10, 36, 22, 20, 22]


def test_a_click_gives_an_outline_in_pixels_of_the_displayed_image(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg", BOX, orientation=6)
    desk = desk_of(tmp_path)
    assert desk.session()["segment"] is True
    found = desk.segment(Prompt(0, [Point(42, 28)]))
    assert found["score"] == 1
    x, y, width, height = found["bbox"]  # a quarter turn to the right: what was left is at the top
    assert (x, y, x + width, y + height) == pytest.approx((48 - 22, 20, 48 - 10, 36), abs=3)
    assert len(found["polygons"]) == 1


def test_without_a_click_the_image_is_made_ready_and_stays_so_while_labels_are_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "images" / "a.jpg", BOX)
    desk = desk_of(tmp_path)
    seen: list[Any] = []
    encode = sam.Segmenter.encode

    def counted(*given: Any) -> Any:
        seen.append(given)
        return encode(*given)

    monkeypatch.setattr(sam.Segmenter, "encode", counted)
    assert desk.segment(Prompt(0))["polygons"] is None
    drawn(desk, 0, 7)
    desk.segment(Prompt(0, box=BOX))
    assert len(seen) == 1
    picture(tmp_path / "images" / "a.jpg", (2, 2, 9, 9))
    desk.segment(Prompt(0, box=BOX))
    assert len(seen) == 2


def test_what_cannot_be_decoded_is_told(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg", BOX)
    (tmp_path / "images" / "b.jpg").write_bytes(b"no image")
    desk = desk_of(tmp_path)
    with pytest.raises(Refusal, match=r"b\.jpg: ") as told:
        desk.segment(Prompt(1, [Point(1, 1)]))
    assert told.value.code == "undecodable"


def test_without_a_segmenter_the_page_is_told_what_to_say(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg", BOX)
    desk = Review(select(tmp_path / "images"), None, "ann")
    assert desk.session()["segment"] is False
    with pytest.raises(Refusal, match="--sam DIR"):
        desk.segment(Prompt(0, [Point(1, 1)]))


def test_a_label_is_suggested_in_the_images_that_follow_until_the_thing_is_gone(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "images" / f"{number}.jpg", (20 + 2 * number, 10, 16, 12))
    for number in range(4, 9):
        picture(tmp_path / "images" / f"{number}.jpg", None)
    desk = desk_of(tmp_path)
    drawn(desk, 0, 7)
    answer = desk.propagate(Propagation(0, 7, 8))
    assert [one["key"] for one in answer["done"]] == ["1.jpg", "2.jpg", "3.jpg"]
    assert answer["stopped"].startswith("It was not found in 4.jpg, 5.jpg, 6.jpg;")
    (label,) = desk.picture(3)["labels"]
    assert label["status"] == "suggestion"
    assert label["category"] == "thing"
    assert label["source"] == {"kind": "model", "name": "bright", "hash": desk_source(tmp_path).hash}
    assert "author" not in label  # until a person changes it
    assert 0.7 < label["score"] <= 1
    assert label["polygons"][0][0] == pytest.approx(26, abs=4)
    assert desk.picture(4)["labels"] == []
    assert [one["id"] for one in desk.picture(0)["labels"]] == [7]


def test_again_only_what_was_suggested_before_is_replaced(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "images" / f"{number}.jpg", BOX)
    desk = desk_of(tmp_path)
    drawn(desk, 0, 7)
    drawn(desk, 3, 9)
    desk.propagate(Propagation(0, 7, 3))
    assert [one["id"] for one in desk.picture(3)["labels"]] == [9]  # a person has said it already
    (first,) = desk.picture(1)["labels"]
    (second,) = desk.picture(2)["labels"]
    accepted = {**second, "status": "accepted"}
    desk.save(Save(2, "2.jpg", [{"id": second["id"], "before": second, "after": accepted}]))
    before = [desk.picture(number)["labels"] for number in (2, 3)]
    desk.propagate(Propagation(0, 7, 3))
    assert [one["id"] for one in desk.picture(1)["labels"]] == [first["id"]]
    assert [desk.picture(number)["labels"] for number in (2, 3)] == before
    changed = {**first, "polygons": [[1, 1, 40, 1, 40, 30]]}
    desk.save(Save(1, "1.jpg", [{"id": first["id"], "before": first, "after": changed}]))
    desk.propagate(Propagation(0, 7, 3))
    (label,) = desk.picture(1)["labels"]
    assert label["polygons"] == ((1, 1, 40, 1, 40, 30),)


def test_a_box_is_followed_by_boxes(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "images" / f"{number}.jpg", BOX)
    desk = desk_of(tmp_path)
    drawn(desk, 0, 7, {"bbox": list(BOX)})
    desk.propagate(Propagation(0, 7, 1))
    (label,) = desk.picture(1)["labels"]
    assert label.get("polygons") is None
    assert label["bbox"] == pytest.approx(BOX, abs=4)


def test_labels_that_are_not_there_or_have_no_place_are_refused(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "images" / f"{number}.jpg", BOX)
    desk = desk_of(tmp_path)
    drawn(desk, 0, 7, {})
    for propagation, why in (
        (Propagation(0, 8, 1), r"0\.jpg: expected the id of a label, got 8"),
        (Propagation(0, 7, 1), "label 7: expected one with a place in the image"),
        (Propagation(0, 7, 0), "count: expected 1 to 200, got 0"),
    ):
        with pytest.raises(XlabelError, match=why):
            desk.propagate(propagation)


def picture(path: Path, box: tuple[int, int, int, int] | None, *, orientation: int = 1) -> None:
    """Something bright on black, 64 x 48 as stored."""
    path.parent.mkdir(exist_ok=True)
    pixels = np.zeros((48, 64, 3), np.uint8)
    if box is not None:
        x, y, width, height = box
        pixels[y : y + height, x : x + width] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, quality=95, exif=exif)


def desk_source(folder: Path) -> Any:
    return sam.opened(str(folder / "bright")).source


def desk_of(folder: Path) -> Review:
    segmenter = sam.opened(str(brightness.model(folder / "bright")))
    return Review(select(folder / "images"), None, "ann", segmenter=segmenter)


def drawn(desk: Review, number: int, id: int, geometry: dict[str, Any] | None = None) -> None:
    """A person's label in an image."""
    label = {"id": id, "category": "thing", **({"polygons": [OUTLINE]} if geometry is None else geometry)}
    desk.save(Save(number, desk.picture(number)["key"], [{"id": id, "before": None, "after": label}]))
