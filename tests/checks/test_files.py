"""Image files that are not what they seem, as other tools made them."""

import io
from pathlib import Path

import pytest
from PIL import Image as Pillow
from tests.awkward import picture
from tests.tools import run, tool

from xlabel.checks import files

KINDS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp"}


def codes(data: bytes, name: str) -> list[str]:
    return [fault.code for fault in files.look(data, name)[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_pillow_is_what_its_name_says_and_nothing_else(kind: str) -> None:
    data = picture(kind, (16, 12))
    assert codes(data, f"a/b.{KINDS[kind]}") == []
    assert codes(data, f"a/b.{KINDS[kind].upper()}") == []
    assert codes(data, "a.jpg/b") == []  # no ending says nothing
    other = "png" if kind != "PNG" else "jpg"
    assert codes(data, f"b.{other}") == ["wrong-suffix"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_a_file_that_pillow_cannot_load_to_its_end_is_cut_off(kind: str) -> None:
    data = picture(kind, (64, 48))[:-40]
    with pytest.raises((OSError, SyntaxError, ValueError)), Pillow.open(io.BytesIO(data)) as image:
        image.load()
    assert codes(data, f"a.{KINDS[kind]}") == ["cut-off"]


def test_a_file_that_is_no_image_is_undecodable() -> None:
    assert codes(b"<html>not found</html>", "a.jpg") == ["undecodable"]
    assert codes(b"", "a.jpg") == ["undecodable"]
    assert codes(picture("JPEG", (16, 12))[:20], "a.jpg") == ["undecodable"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", [0, 1, 6, 8, 9, 300])
def test_an_orientation_that_exiftool_writes_is_told_where_it_is_illegal(
    kind: str, value: int, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{KINDS[kind]}"
    path.write_bytes(picture(kind, (16, 12)))
    run(tool("exiftool"), "-q", "-overwrite_original", "-n", f"-IFD0:Orientation={value}", path)
    stated = run(tool("exiftool"), "-s3", "-n", "-IFD0:Orientation", path).decode().strip()
    assert stated == str(value)
    header, faults = files.look(path.read_bytes(), path.name)
    assert header is not None
    assert header.orientation == (value if 1 <= value <= 8 else 1)
    assert [fault.code for fault in faults] == ([] if 1 <= value <= 8 else ["bad-orientation"])
