"""What is shown of an image's labels, in words and drawn."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps
from tests.tools import SAMPLE, run, tool
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import ExistsError, InputError

CAR = xlabel.Category(id=2, name="car")
BOX = xlabel.Annotation(category=CAR, bbox=(10, 20, 30, 40), score=0.875, author="Ada", time="2026-11-20")


def test_size_copies_and_each_label_are_told(image: Path) -> None:
    xlabel.embed(
        image, [BOX, xlabel.Annotation(category=xlabel.Category(id=3, name="猫"), bbox=(1, 2, 3, 4))]
    )
    shown = xlabel.show(image)
    picture = shown.images[0]
    assert (picture.width, picture.height, picture.mime) == (640, 427, "image/jpeg")
    assert [(copy.carrier, copy.revision, copy.room) for copy in picture.copies] == [
        ("exif", 1, 65_533),
        ("text", 1, 65_533),
    ]
    comment = json.loads(run(tool("exiftool"), "-json", "-UserComment", image))[0]["UserComment"]
    assert picture.copies[0].bytes == len(comment)
    assert picture.copies[0].time == json.loads(comment)["time"]
    assert picture.regions == 2 and not picture.problems and picture.comment is None
    text = str(shown)
    for word in (
        "640 x 427",
        "exif",
        "text",
        "car",
        "猫",
        "0.875",
        "Ada",
        "2026-11-20",
        "2 labels",
        "2 IPTC",
    ):
        assert word in text
    assert shown.exit_code == 0


def test_a_turned_picture_is_described_as_displayed(tmp_path: Path) -> None:
    image = Path(shutil.copy(SAMPLE / "raw_images/yard/turned.jpg", tmp_path))
    assert "300 x 400 as displayed (orientation 6, stored as 400 x 300)" in str(xlabel.show(image))


def test_words_of_others_and_no_labels_are_told(image: Path) -> None:
    run(tool("exiftool"), "-q", "-overwrite_original", "-UserComment=somebody's\nwords", image)
    shown = xlabel.show(image)
    assert shown.images[0].comment == "somebody's\nwords"
    assert shown.images[0].annotations is None
    assert "UserComment, not ours: somebody's\\nwords" in str(shown)
    assert "no labels inside" in str(shown)


def test_labels_that_others_wrote_into_exif_are_listed(image: Path) -> None:
    words = '{"annotations": [{"label": "cat", "bbox": [10, 20, 30, 40]}]}'
    run(tool("exiftool"), "-q", "-overwrite_original", f"-UserComment={words}", image)
    shown = xlabel.show(image)
    picture = shown.images[0]
    assert picture.comment == words and picture.others == "coco" and not picture.copies
    assert [(one.category.name, one.bbox) for one in picture.annotations or () if one.category] == [
        ("cat", (10, 20, 30, 40))
    ]
    assert "1 label, written into EXIF by others (as coco)" in str(shown)
    assert picture.annotations == xlabel.labels(image)


def test_what_is_no_image_is_a_problem(tmp_path: Path) -> None:
    text = tmp_path / "a.jpg"
    text.write_text("hello")
    shown = xlabel.show(text)
    assert [problem.code for problem in shown.images[0].problems] == ["undecodable"]
    assert shown.exit_code == 1 and "expected an image" in str(shown)


def test_copies_that_disagree_are_a_problem(image: Path) -> None:
    xlabel.embed(image, [BOX])
    with Pillow.open(image) as picture:
        old = picture.info["comment"]
    xlabel.embed(image, [])
    with Pillow.open(image) as picture:
        picture.save(image, exif=picture.info["exif"], comment=old)
    shown = xlabel.show(image)
    assert [problem.code for problem in shown.images[0].problems] == ["copies-disagree"]
    assert sorted(copy.revision or 0 for copy in shown.images[0].copies) == [1, 2]
    assert shown.exit_code == 1


def test_a_broken_file_is_a_problem_and_others_are_shown(image: Path, tmp_path: Path) -> None:
    broken = tmp_path / "b.jpg"
    broken.write_bytes(image.read_bytes()[:100])
    shown = xlabel.show([broken, image], draw=tmp_path / "out")
    assert [problem.code for problem in shown.images[0].problems] == ["cut-off", "undecodable"]
    assert shown.exit_code == 1 and not shown.images[1].problems
    assert list(shown.files) == [str(tmp_path / "out/a.jpg.png")]


def test_one_picture_is_drawn_into_a_file_and_several_into_a_folder(image: Path, tmp_path: Path) -> None:
    xlabel.embed(image, [BOX])
    out = tmp_path / "drawn.png"
    assert xlabel.show(image, draw=out).files == {str(out): out.stat().st_size}
    with Pillow.open(out) as drawn, Pillow.open(image) as before:
        assert drawn.format == "PNG"
        changed = np.asarray(drawn) != np.asarray(before.resize(drawn.size, Pillow.Resampling.BICUBIC))
    assert 0 < changed.any(axis=2).mean() < 0.2
    with pytest.raises(ExistsError, match="--overwrite"):
        xlabel.show(image, draw=out)
    xlabel.show(image, draw=out, overwrite=True)
    with pytest.raises(InputError, match="expected the name of a picture"):
        xlabel.show(image, draw=tmp_path / "drawn.doc")
    folder = tmp_path / "images"
    shutil.copytree(SAMPLE / "raw_images/table", folder)
    shown = xlabel.show(folder, draw=tmp_path / "some")
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == sorted(
        f"{path.name}.png" for path in folder.iterdir()
    )
    assert len(shown.files) == 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_drawn_where_the_displayed_picture_has_it(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.new("RGB", (900, 1000), "black").save(path, exif=exif)
    xlabel.embed(path, [xlabel.Annotation(category=CAR, bbox=(500, 600, 200, 100))])
    xlabel.show(path, draw=tmp_path / "out.png")
    with Pillow.open(path) as stored, Pillow.open(tmp_path / "out.png") as drawn:
        assert drawn.size == ImageOps.exif_transpose(stored).size
        seen = np.argwhere(np.asarray(drawn).max(axis=2) > 200)
    (top, left), (bottom, right) = seen.min(axis=0), seen.max(axis=0)
    assert 495 <= left <= 501 and 699 <= right <= 705 and 697 <= bottom <= 705
    assert 560 <= top <= 600, "the name stands above the box"


def test_the_command_prints_text_and_json(image: Path) -> None:
    xlabel.embed(image, [BOX])
    done = command("show", image)
    assert (done.returncode, done.stderr) == (0, "")
    assert "car" in done.stdout
    said = json.loads(command("show", image, "--json").stdout)
    assert said["images"][0]["annotations"][0]["bbox"] == [10, 20, 30, 40]
    assert said["exit_code"] == 0
    assert command("show").returncode == 2
    assert "found nothing there" in command("show", image.with_name("none.jpg")).stderr


def test_an_image_whose_name_leaves_no_room_for_a_file_beside_it_is_shown(image: Path) -> None:
    long = image.rename(image.with_name("a" * 251 + ".jpg"))
    assert xlabel.show(long).images[0].annotations is None
    assert xlabel.labels(long) == []


def test_a_notebook_shows_one_image_as_a_picture_and_several_as_a_page(image: Path, tmp_path: Path) -> None:
    xlabel.embed(image, [BOX])
    png = xlabel.show(image)._repr_png_()
    assert png is not None
    with Pillow.open(io.BytesIO(png)) as shown, Pillow.open(image) as plain:
        assert shown.width / shown.height == pytest.approx(plain.width / plain.height, rel=0.01)
        scale = shown.width / plain.width
        edge = shown.convert("RGB").getpixel((round(10 * scale), round(40 * scale)))
        inside = plain.convert("RGB").getpixel((10, 40))
    assert edge != inside, "the box's left edge is drawn there"
    assert xlabel.show(image)._repr_html_() is None
    Path(shutil.copy(image, tmp_path / "<b>.jpg"))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    several = xlabel.show([image, tmp_path / "<b>.jpg", tmp_path / "broken.jpg"])
    page = several._repr_html_()
    assert several._repr_png_() is None and page is not None
    assert page.count("data:image/png;base64,") == 2
    assert "&lt;b&gt;.jpg: 1 label" in page and "<b>" not in page
    assert "broken.jpg" in page
    broken = xlabel.show(tmp_path / "broken.jpg")
    assert broken._repr_png_() is None and "broken.jpg" in (broken._repr_html_() or "")
