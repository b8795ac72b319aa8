"""Whether labels are of the picture that an image is; what is done to the pictures is done by other tools."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from tests.scenes import BOX, SIZE, labelled, near, scene, seen
from tests.tools import run, tool

import xlabel
from xlabel.jobs.binding import Known, judge, known, labels_by
from xlabel.model import Annotation, Sample

Change = Callable[[Path, Path], None]


def pillow(do: Callable[[Image.Image], Image.Image], **options: Any) -> Change:
    """Pillow opens, does something and saves; labels in the comment survive where the comment is given."""

    def change(source: Path, target: Path) -> None:
        with Image.open(source) as image:
            extra = {"comment": image.info["comment"]} if target.suffix == ".jpg" else {}
            do(image).save(target, **(options | extra))

    return change


def command(*words: str) -> Change:
    """A command with SOURCE and TARGET in it."""

    def change(source: Path, target: Path) -> None:
        tool(words[0])
        run(*(word.replace("SOURCE", str(source)).replace("TARGET", str(target)) for word in words))

    return change


def jpegtran(*options: str) -> Change:
    return command("jpegtran", "-copy", "all", *options, "-outfile", "TARGET", "SOURCE")


STALE: dict[str, tuple[Change, str]] = {
    "pillow save": (pillow(lambda i: i, quality=60), "recompressed"),
    "pillow resize": (pillow(lambda i: i.resize((200, 150))), "resized"),
    "pillow nearest": (pillow(lambda i: i.resize((160, 120), Image.Resampling.NEAREST)), "resized"),
    "pillow enlarged": (pillow(lambda i: i.resize((640, 480), Image.Resampling.BICUBIC)), "resized"),
    "pillow stretched": (pillow(lambda i: i.resize((256, 256))), "resized"),
    "pillow crop": (pillow(lambda i: i.crop((21, 13, 250, 200))), "cropped"),
    "pillow crop of its shape": (pillow(lambda i: i.crop((40, 30, 200, 150))), "cropped"),
    "pillow quarter": (pillow(lambda i: i.transpose(Image.Transpose.ROTATE_90)), "turned"),
    "pillow half": (pillow(lambda i: i.transpose(Image.Transpose.ROTATE_180)), "turned"),
    "pillow mirror": (pillow(lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), "flipped"),
    "jpegtran quarter": (jpegtran("-rotate", "90"), "turned"),
    "jpegtran flip": (jpegtran("-flip", "vertical"), "flipped"),
    "jpegtran transpose": (jpegtran("-transpose"), "flipped"),
    "jpegtran crop": (jpegtran("-crop", "160x160+32+16"), "cropped"),
    "exiftool orientation": (
        command("exiftool", "-q", "-n", "-Orientation=6", "-o", "TARGET", "SOURCE"),
        "orientation",
    ),
    "exiftool mirrored": (
        command("exiftool", "-q", "-n", "-Orientation=5", "-o", "TARGET", "SOURCE"),
        "orientation",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six labelled images. Only to be read."""
    folder = tmp_path_factory.mktemp("known")
    for seed in range(6):
        labelled(folder / f"{seed}.jpg", seed)
    return folder


@pytest.fixture(scope="module")
def source(folder: Path) -> Known:
    return known(folder)


def moved(change: Any) -> tuple[float, ...] | None:
    """Where a verdict says that the thing's box is now."""
    annotations, _ = labels_by(
        Sample(image=xlabel.Image(key="a"), annotations=(Annotation(bbox=BOX),)), change
    )
    return annotations[0].bbox


@pytest.mark.parametrize("name", STALE)
def test_labels_of_a_changed_picture_are_stale_and_what_happened_is_told(
    name: str, folder: Path, source: Known, tmp_path: Path
) -> None:
    change, kind = STALE[name]
    change(folder / "2.jpg", target := tmp_path / "renamed.jpg")
    verdict = judge(target.read_bytes(), source)
    assert (verdict.state, verdict.kind) == ("stale", kind), verdict
    assert verdict.proved
    assert near(moved(verdict.change), seen(target))
    assert judge(target.read_bytes()).state == "stale"


def test_the_words_say_what_happened(folder: Path, source: Known, tmp_path: Path) -> None:
    said = {}
    for name in ("pillow resize", "pillow crop", "pillow mirror", "exiftool orientation"):
        STALE[name][0](folder / "2.jpg", target := tmp_path / f"{name}.jpg")
        said[name] = judge(target.read_bytes(), source).what
    assert said == {
        "pillow resize": "resized from 320x240 to 200x150",
        "pillow crop": "cropped to 21,13,229,187 of the original and recompressed",
        "pillow mirror": "flipped left to right and recompressed",
        "exiftool orientation": "turned by 90 degrees clockwise by EXIF orientation 6, which was 1 before",
    }


@pytest.mark.parametrize(
    "change",
    [
        command("exiftool", "-q", "-Artist=somebody", "-o", "TARGET", "SOURCE"),
        command("jpegtran", "-copy", "all", "-outfile", "TARGET", "SOURCE"),
    ],
    ids=["exiftool", "jpegtran"],
)
def test_an_edit_of_metadata_leaves_labels_intact(change: Change, folder: Path, tmp_path: Path) -> None:
    change(folder / "1.jpg", target := tmp_path / "a.jpg")
    assert judge(target.read_bytes()).state == "intact"


@pytest.mark.parametrize("options", [("-progressive",), ("-optimize", "-restart", "1")])
def test_labels_hold_where_the_same_pixels_were_compressed_anew(
    options: tuple[str, ...], folder: Path, source: Known, tmp_path: Path
) -> None:
    jpegtran(*options)(folder / "1.jpg", target := tmp_path / "a.jpg")
    verdict = judge(target.read_bytes(), source)
    assert (verdict.state, verdict.kind) == ("intact", "recoded")
    assert judge(target.read_bytes()).kind == "changed"


def test_labels_hold_where_an_orientation_was_applied_to_the_pixels(tmp_path: Path) -> None:
    """Done by jpegtran and exiftool, as `jhead -autorot` and photo software do it."""
    tool("jpegtran"), tool("exiftool")
    scene(3).save(plain := tmp_path / "plain.jpg", quality=90)
    run("exiftool", "-q", "-n", "-overwrite_original", "-Orientation=6", plain)
    box = seen(plain)
    assert box is not None
    xlabel.embed(plain, [Annotation(bbox=box)])
    jpegtran("-rotate", "90")(plain, target := tmp_path / "turned.jpg")
    run("exiftool", "-q", "-n", "-overwrite_original", "-Orientation=1", target)
    verdict = judge(target.read_bytes(), known(plain))
    assert (verdict.state, verdict.kind) == ("intact", "oriented"), verdict
    assert near(seen(target), box)


@pytest.mark.parametrize("name", STALE)
def test_labels_that_were_stripped_are_known_by_the_picture(
    name: str, folder: Path, source: Known, tmp_path: Path
) -> None:
    tool("exiftool")
    change, kind = STALE[name]
    change(folder / "2.jpg", target := tmp_path / "renamed.jpg")
    kept = ["-tagsfromfile", "@", "-n", "-Orientation"] if kind == "orientation" else []
    run("exiftool", "-q", "-overwrite_original", "-all=", *kept, target)
    verdict = judge(target.read_bytes(), source)
    if name.startswith("pillow crop"):  # compressed anew, not one pixel is where it was
        assert verdict.state == "never"
        verdict = judge(target.read_bytes(), source, key="2.jpeg")
    assert (verdict.state, verdict.kind, verdict.source) == ("stripped", kind, "2.jpg"), verdict
    assert verdict.proved
    assert near(moved(verdict.change), seen(target))
    assert judge(target.read_bytes()).state == "never"


def test_a_picture_that_nobody_knows_was_never_labelled(source: Known) -> None:
    file = io.BytesIO()
    scene(77).save(file, "JPEG")
    assert judge(file.getvalue(), source).state == "never"
    assert judge(b"no image", source).state == "never"


def test_the_pixels_fingerprint_tells_without_a_source(tmp_path: Path) -> None:
    tool("exiftool")
    path = labelled(tmp_path / "a.png", 1, fingerprint="pixels")
    said = {}
    for name, turned in (("same", None), *((turn.name, turn) for turn in Image.Transpose)):
        with Image.open(path) as image:
            target = tmp_path / f"{name}.png"
            (image if turned is None else image.transpose(turned)).save(target, compress_level=1)
        run("exiftool", "-q", "-overwrite_original", "-tagsfromfile", path, "-all:all", target)
        verdict = judge(target.read_bytes())
        assert near(moved(verdict.change), seen(target), by=0), name
        said[name] = verdict.state, verdict.kind, verdict.what
    assert said["same"][:2] == ("intact", "recoded")
    assert said["FLIP_LEFT_RIGHT"] == ("stale", "flipped", "flipped left to right")
    assert said["ROTATE_270"] == ("stale", "turned", "turned by 90 degrees clockwise")
    assert all(state == "stale" for name, (state, _, _) in said.items() if name != "same")


def test_the_perceptual_fingerprint_says_what_it_looks_like_and_proves_nothing(tmp_path: Path) -> None:
    path = labelled(tmp_path / "a.jpg", 1, fingerprint="pixels")
    for name, kind in (
        ("pillow save", "recompressed"),
        ("pillow resize", "resized"),
        ("pillow stretched", "resized"),
        ("pillow mirror", "flipped"),
        ("pillow crop", "cropped"),
    ):
        STALE[name][0](path, target := tmp_path / f"{name}.jpg")
        verdict = judge(target.read_bytes())
        assert (verdict.state, verdict.kind) == ("stale", kind), name
        assert not verdict.proved


def test_metadata_copied_to_another_picture_is_found(folder: Path, source: Known, tmp_path: Path) -> None:
    """By `exiftool -tagsfromfile`, which photographers use to keep EXIF over an edit."""
    tool("exiftool")
    scene(50).save(target := tmp_path / "a.jpg")
    run("exiftool", "-q", "-overwrite_original", "-tagsfromfile", folder / "1.jpg", "-all:all", target)
    verdict = judge(target.read_bytes(), source)
    assert (verdict.state, verdict.kind, verdict.change) == ("stale", "changed", None)
    run("jpegtran", "-copy", "none", "-outfile", target, folder / "4.jpg")
    run("exiftool", "-q", "-overwrite_original", "-tagsfromfile", folder / "1.jpg", "-all:all", target)
    verdict = judge(target.read_bytes(), source)
    assert (verdict.state, verdict.kind, verdict.source) == ("stale", "foreign", "4.jpg")


@pytest.mark.parametrize(
    "do",
    [
        lambda image: image.rotate(7),
        lambda image: ImageOps.expand(image, 40),
        lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    ],
    ids=["turned by seven degrees", "framed", "darker"],
)
def test_what_is_beyond_telling_is_stale_and_nothing_is_proved(
    do: Callable[[Image.Image], Image.Image], folder: Path, source: Known, tmp_path: Path
) -> None:
    pillow(do)(folder / "2.jpg", target := tmp_path / "a.jpg")
    verdict = judge(target.read_bytes(), source)
    assert (verdict.state, verdict.proved) == ("stale", False)
    assert verdict.kind in ("changed", "recompressed")


def test_a_source_whose_own_labels_are_stale_gives_none(folder: Path, tmp_path: Path) -> None:
    source, stripped = tmp_path / "source", tmp_path / "b.jpg"
    source.mkdir()
    STALE["pillow crop"][0](folder / "1.jpg", source / "a.jpg")
    run(tool("jpegtran"), "-copy", "none", "-outfile", stripped, source / "a.jpg")
    assert judge(stripped.read_bytes(), known(source)).state == "never"


def test_grey_and_opaque_pictures_are_the_same_however_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    grey = scene(5).convert("L")
    grey.save(path := tmp_path / "source" / "a.png")
    xlabel.embed(path, [Annotation(bbox=BOX)])
    source = known(tmp_path / "source")
    for mode in ("L", "LA", "RGB", "RGBA", "P"):
        file = io.BytesIO()
        grey.convert(mode).save(file, "PNG")
        assert judge(file.getvalue(), source).proof == "exact", mode


def test_sixteen_bits_are_not_taken_for_eight(tmp_path: Path) -> None:
    deep = (np.asarray(scene(5).convert("L")).astype(np.uint16) << 8) | 7
    (tmp_path / "source").mkdir()
    Image.fromarray(deep).save(path := tmp_path / "source" / "a.png")
    xlabel.embed(path, [Annotation(bbox=BOX)])
    again, other = io.BytesIO(), io.BytesIO()
    Image.fromarray(deep).save(again, "PNG", compress_level=1)
    Image.fromarray(deep ^ 1).save(other, "PNG")
    source = known(tmp_path / "source")
    assert judge(again.getvalue(), source).proof == "exact"
    assert not judge(other.getvalue(), source).proved


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(xlabel.InputError, match="found nothing"):
        known(tmp_path / "nowhere")
    (tmp_path / "labels.json").write_text('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}')
    with pytest.raises(xlabel.InputError, match="annotation file"):
        known(tmp_path / "labels.json")


def test_sizes_are_those_of_the_scenes() -> None:
    assert scene(0).size == SIZE
