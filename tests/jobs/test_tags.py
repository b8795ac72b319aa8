"""EXIF tags as ExifTool reads what we write, and we what it writes."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags
from PIL import Image as Pillow
from tests.tools import SAMPLE, run, tool

import xlabel
from xlabel.errors import CorruptError, InputError
from xlabel.images.tags import NAMES, Text

KINDS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "AVIF": "avif", "JPEG2000": "jp2"}
TEXTS = {
    "UserComment": "Größe: 3 m, 猫, 😀",
    "ImageDescription": "one line\nand another é",
    "Artist": "Ada",
    "Copyright": "© 2026 Ada",
    "Software": "s",
    "Make": "Acme",
    "Model": "X 1",
    "XPComment": "Äpfel und 猫",
    "XPKeywords": "a;b",
    "LensModel": "35 mm",
    "SerialNumber": "00012",
    "ImageUniqueID": "0123456789abcdef0123456789abcdef",
}


def picture(path: Path, kind: str, **options: Any) -> Path:
    Pillow.linear_gradient("L").resize((60, 40)).convert("RGB").save(path, kind, **options)
    return path


def pixels(path: Path) -> bytes:
    with Pillow.open(path) as opened:
        return opened.convert("RGB").tobytes()


def exiftool(path: Path, *options: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(run(tool("exiftool"), "-json", *options, path))
    return {name: value for name, value in found[0].items() if name != "SourceFile"}


@pytest.mark.parametrize("kind", KINDS)
def test_exiftool_reads_what_we_write(kind: str, tmp_path: Path) -> None:
    path = picture(tmp_path / f"a.{KINDS[kind]}", kind)
    before = pixels(path)
    for tag, text in TEXTS.items():
        xlabel.write_exif_tag(path, text, tag)
    names = [f"-EXIF:{tag}" for tag in TEXTS]
    assert exiftool(path, *names) == {
        tag: int(text) if text.isdigit() and not text.startswith("0") else text for tag, text in TEXTS.items()
    }
    assert {tag: xlabel.read_exif_tag(path, tag) for tag in TEXTS} == TEXTS
    assert pixels(path) == before
    assert "rror" not in run(tool("exiftool"), "-validate", "-error", path).decode()


@pytest.mark.parametrize("kind", KINDS)
def test_we_read_what_exiftool_writes(kind: str, tmp_path: Path) -> None:
    path = picture(tmp_path / f"a.{KINDS[kind]}", kind)
    assert xlabel.read_exif_tag(path) is None
    words = [f"-EXIF:{tag}={text}" for tag, text in TEXTS.items()]
    run(tool("exiftool"), "-q", "-overwrite_original", *words, path)
    assert {tag: xlabel.read_exif_tag(path, tag) for tag in TEXTS} == TEXTS
    xlabel.write_exif_tag(path, "another", "Artist")
    seen = exiftool(path, *(f"-EXIF:{tag}" for tag in ("Artist", "UserComment", "XPComment")))
    assert seen == {"Artist": "another", "UserComment": TEXTS["UserComment"], "XPComment": TEXTS["XPComment"]}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50).filter(
        lambda text: text == text.strip(" \t\r\n\ufeff")
    ),
    tag=st.sampled_from(sorted(NAMES)),
    order=st.sampled_from(("II", "MM")),
)
def test_any_text_comes_back_in_either_byte_order(text: str, tag: str, order: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = io.BytesIO()
    mode = "I;16" if order == "II" else "I;16B"
    Pillow.new(mode, (4, 4)).save(data, "TIFF")
    assert data.getvalue()[:2].decode() == order
    path.write_bytes(data.getvalue())
    xlabel.write_exif_tag(path, text, tag)
    found = xlabel.read_exif_tag(path, tag)
    assert found == text or (tag == "UserComment" and text.isascii() is False and found is not None)


def test_pillow_reads_what_we_write(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", "JPEG")
    xlabel.write_exif_tag(path, "Acme", "Make")
    xlabel.write_exif_tag(path, "Grüße", "XPComment")
    with Pillow.open(path) as opened:
        held = opened.getexif()
    assert held[ExifTags.Base.Make] == "Acme"
    assert held[ExifTags.Base.XPComment] == Text(0x9C9C, "Grüße").value("<")[1]


def test_what_a_camera_wrote_stays(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", "JPEG")
    run(
        tool("exiftool"),
        "-q",
        "-overwrite_original",
        "-Make=Canon",
        "-FNumber=2.8",
        "-GPSLatitude=12.5",
        "-GPSLatitudeRef=N",
        "-Orientation#=6",
        "-ImageDescription=old",
        "-XMP:Title=Title",
        "-ThumbnailImage<=" + str(SAMPLE / "raw_images/table/003.jpg"),
        path,
    )
    before = exiftool(path, "-b", "-EXIF:all", "-XMP:all")
    xlabel.write_exif_tag(path, "new", "ImageDescription")
    after = exiftool(path, "-b", "-EXIF:all", "-XMP:all")
    assert before | {"ImageDescription": "new"} == after


def test_an_equal_text_writes_nothing(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", "JPEG")
    xlabel.write_exif_tag(path, "Ada", "Artist")
    before = path.stat()
    xlabel.write_exif_tag(path, "Ada", "Artist")
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_labels_in_a_comment_are_not_overwritten_and_other_tags_may_be(tmp_path: Path) -> None:
    path = Path(shutil.copy(SAMPLE / "raw_images/street/001.jpg", tmp_path))
    box = xlabel.Annotation(bbox=(1, 2, 3, 4))
    xlabel.embed(path, [box])
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"its UserComment holds labels; choose another tag"):
        xlabel.write_exif_tag(path, "words")
    assert path.read_bytes() == before
    xlabel.write_exif_tag(path, "words", "ImageDescription")
    assert xlabel.labels(path) == [box]
    assert exiftool(path, "-ImageDescription") == {"ImageDescription": "words"}


@pytest.mark.parametrize("kind", KINDS)
def test_strip_leaves_a_text_that_was_written_beneath_the_labels(kind: str, tmp_path: Path) -> None:
    path = picture(tmp_path / f"a.{KINDS[kind]}", kind)
    bare = Path(shutil.copy(path, tmp_path / f"bare.{KINDS[kind]}"))
    xlabel.write_exif_tag(bare, "Ada", "Artist")
    person = xlabel.Annotation(category=xlabel.Category(id=1, name="person"), bbox=(1, 2, 3, 4))
    xlabel.embed(path, [person], mwg=True)
    before = exiftool(path, "-struct", "-XMP:all", "-UserComment")
    xlabel.write_exif_tag(path, "Ada", "Artist")
    after = exiftool(path, "-struct", "-XMP:all", "-UserComment")
    assert after.keys() == before.keys() and after["ImageRegion"] == before["ImageRegion"]
    shown = xlabel.show(path).images[0]
    assert shown.annotations == [person] and not shown.problems and shown.copies[0].revision == 1
    assert exiftool(path, "-EXIF:Artist") == {"Artist": "Ada"}
    assert not xlabel.strip(path).problems
    assert path.read_bytes() == bare.read_bytes()


def test_errors_say_where_what_and_what_to_do(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", "JPEG")
    before = path.read_bytes()
    for text, tag, message in (
        ("a", "Nonsense", r"expected a tag that holds text, out of Artist, .* got 'Nonsense'"),
        ("", "Artist", r"a\.jpg: expected a text for Artist, got none"),
        ("a\0b", "Artist", r"a\.jpg: expected a text for Artist, got a NUL in it"),
        ("\ud800", "Artist", r"a\.jpg: .* half of a surrogate pair"),
        ("a" * 70_000, "Artist", r"a\.jpg: no room for 70,000 characters in Artist: .*65,533"),
    ):
        with pytest.raises(InputError, match=message):
            xlabel.write_exif_tag(path, text, tag)
    assert path.read_bytes() == before
    path.chmod(0o444)
    with pytest.raises(
        InputError, match=r"a\.jpg: cannot be written: the file is read-only; it is as it was"
    ):
        xlabel.write_exif_tag(path, "a")
    gif = picture(tmp_path / "a.gif", "GIF")
    with pytest.raises(InputError, match=r"image/gif has no EXIF"):
        xlabel.write_exif_tag(gif, "a")
    assert xlabel.read_exif_tag(gif) is None
    bmp = picture(tmp_path / "a.bmp", "BMP")
    (tmp_path / "notes.txt").write_text("no picture")
    for other, found in (
        (bmp, "image/bmp"),
        (tmp_path / "notes.txt", "no image"),
        (tmp_path, "expected a file"),
    ):
        with pytest.raises(InputError, match=found):
            xlabel.read_exif_tag(other)
    with pytest.raises(InputError, match=r"none\.jpg: cannot be read: No such file"):
        xlabel.read_exif_tag(tmp_path / "none.jpg")


def test_broken_exif_is_told_and_left_alone(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    before = path.read_bytes()
    with pytest.raises(CorruptError, match="cannot be read"):
        xlabel.read_exif_tag(path)
    with pytest.raises(InputError):
        xlabel.write_exif_tag(path, "a")
    assert path.read_bytes() == before
