"""Cutting things out by clicks: MobileSAM beside its own code, and what other exports ask for."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tests import mobile_sam, weights
from tests.detectors import brightness
from tests.detectors.constant import constant

from xlabel.detectors import sam
from xlabel.errors import InputError

Bits = NDArray[np.bool_]


def test_clicks_and_boxes_find_what_the_models_own_predictor_finds() -> None:
    segmenter = sam.opened(str(mobile_sam.folder()))
    theirs = mobile_sam.predictor()
    picture = weights.photograph("chelsea")
    embedding = segmenter.encode(picture)
    theirs.set_image(picture)
    for points, box in (
        ([(200.5, 150.5, True)], None),
        ([(200.5, 150.5, True), (420.5, 260.5, False)], None),
        ([], (115, 20, 190, 250)),
    ):
        clicks = np.array([point[:2] for point in points]) - 0.5 if points else None  # of pixels, not corners
        labels = np.array([point[2] for point in points]) if points else None
        corners = np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]]) - 0.5 if box else None
        masks, scores, _ = theirs.predict(clicks, labels, corners, multimask_output=len(points) == 1)
        best = int(scores.argmax())
        found = segmenter.segment(embedding, points, box)
        assert found.score == pytest.approx(min(1, scores[best]), abs=0.01)
        assert iou(sam.mask(found), masks[best]) > 0.99
        assert iou(filled(sam.polygons(found), picture.shape[:2]), masks[best]) > 0.97


@pytest.mark.parametrize("kind", [brightness.model, brightness.fine, brightness.raw])
@pytest.mark.parametrize("size", [(60, 200), (200, 60), (64, 64), (11, 7)])
def test_a_thing_lies_where_it_is_in_the_picture_whatever_the_export(
    kind: brightness.Kind, size: tuple[int, int], tmp_path: Path
) -> None:
    height, width = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[height // 4 : height // 2, width // 4 :] = 255
    segmenter = sam.opened(str(kind(tmp_path)))
    found = segmenter.segment(segmenter.encode(picture), [(width / 2, height / 3, True)])
    assert found.score == 1
    assert sam.mask(found).shape == (height, width)
    (polygon,) = sam.polygons(found)
    corners = np.array(polygon).reshape(-1, 2)
    cell = 4 * max(size) / brightness.SIDE + 1  # of the decoder's, in pixels of the picture
    assert corners.min(axis=0) == pytest.approx((width // 4, height // 4), abs=cell)
    assert corners.max(axis=0) == pytest.approx((width, height // 2), abs=cell)


def test_nothing_has_no_outline(tmp_path: Path) -> None:
    segmenter = sam.opened(str(brightness.model(tmp_path)))
    found = segmenter.segment(segmenter.encode(np.zeros((20, 30, 3), np.uint8)), [(1, 1, True)])
    assert sam.polygons(found) == ()


def test_without_point_and_box_there_is_nothing_to_find(tmp_path: Path) -> None:
    segmenter = sam.opened(str(brightness.model(tmp_path)))
    embedding = segmenter.encode(np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(InputError, match="expected a point or a box"):
        segmenter.segment(embedding)


def test_suggestions_name_the_folder_and_a_hash_of_both_files(tmp_path: Path) -> None:
    first = sam.opened(str(brightness.model(tmp_path / "bright")))
    assert first.source.name == "bright"
    other = brightness.raw(tmp_path / "other")
    (other / "decoder.onnx").replace(tmp_path / "bright" / "b.onnx")
    assert sam.opened(str(tmp_path / "bright")).source.hash != first.source.hash


def test_folders_that_hold_no_such_models_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"nowhere: expected a folder .* which is no folder; docs/segment.md"
    ):
        sam.opened(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"which has no file NAME.onnx"):
        sam.opened(str(tmp_path))
    constant(tmp_path / "one.onnx", [1, 3, 64, 64], {"boxes": np.zeros((5, 4), np.float32)})
    with pytest.raises(InputError) as told:
        sam.opened(str(tmp_path))
    assert "found none that fit" in str(told.value)
    assert "  input picture: float32 1 x 3 x 64 x 64\n  output boxes: float32 5 x 4" in str(told.value)
    brightness.model(tmp_path)
    sam.opened(str(tmp_path))  # what else lies there does no harm
    brightness.raw(tmp_path)
    with pytest.raises(InputError, match="found several that fit"):
        sam.opened(str(tmp_path))


def iou(a: Bits, b: Bits) -> float:
    return float((a & b).sum() / (a | b).sum())


def filled(polygons: tuple[tuple[float, ...], ...], size: tuple[int, int]) -> Bits:
    """The pixels that Pillow finds in polygons."""
    image = Image.new("1", size[::-1])
    for polygon in polygons:
        ImageDraw.Draw(image).polygon([number - 0.5 for number in polygon], fill=1)
    return np.asarray(image)
