"""docs/embedding_spec.md is enough: a reader built from its rules alone, without a line of xlabel."""

import base64
import io
import json
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import xxhash
from PIL import Image
from tests.images import jpegs
from tests.images.test_put_jpeg import LABELS, filled, labelled

NAMESPACE = "urn:uuid:7a1cbe3e-5d0f-4c1e-9a52-0f6d6f4b8c11#"


def read(payload: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The payload and its document, where the copy is whole."""
    payload = payload.rstrip(b"\0 ")
    try:
        stored = json.loads(payload)
    except ValueError:
        return None
    if isinstance(stored["labels"], str):
        document = zlib.decompress(base64.b64decode(stored["labels"]))
    else:
        document = payload[payload.index(b'"labels":') + 9 : -1]
    return (stored, json.loads(document)) if xxhash.xxh3_64_hexdigest(document) == stored["check"] else None


def strip(data: bytes, stored: dict[str, Any]) -> bytes | None:
    """The original file, where it is provable."""
    out, at = b"", 0
    for edit in stored["undo"]["edits"]:
        place, size, old = re.fullmatch("(.{10})[+](.{10})=(.*)", edit).groups()  # type: ignore[union-attr]
        out += data[at : int(place, 16)] + base64.b64decode(old)
        at = int(place, 16) + int(size, 16)
    out += data[at:]
    return out if xxhash.xxh3_128_hexdigest(out) == stored["undo"]["original"] else None


def user_comment(tiff: bytes) -> bytes:
    """Of a classic block; a payload begins behind the code."""
    order = {b"II": "<", b"MM": ">"}[tiff[:2]]

    def entries(at: int) -> Iterator[tuple[int, int, int]]:
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for one in range(count):
            yield struct.unpack_from(order + "H2xII", tiff, at + 2 + 12 * one)

    (first,) = struct.unpack_from(order + "I", tiff, 4)
    (exif,) = (offset for tag, _, offset in entries(first) if tag == 0x8769)
    ((size, at),) = ((size, at) for tag, size, at in entries(exif) if tag == 0x9286)
    return tiff[at : at + size].removeprefix(b"ASCII\0\0\0")


def in_xmp(packet: bytes) -> bytes:
    found = ET.fromstring(packet.rstrip(b"\0")).find(f".//{{{NAMESPACE}}}Document")
    return b"" if found is None or found.text is None else found.text.encode()


def in_jpeg(data: bytes) -> Iterator[bytes]:
    extended = b""
    for marker, at, end in jpegs.segments(data):
        content = data[at + 4 : end]
        if marker == 0xE1 and content.startswith(b"Exif\0\0") and b'{"xlabel":' in content:
            yield user_comment(content[6:])
        elif marker == 0xE1 and content.startswith(b"http://ns.adobe.com/xmp/extension/\0"):
            extended += content[35 + 32 + 8 :]
        elif marker == 0xFE and content.startswith(b'{"xlabel":'):
            yield content
    if extended:
        yield in_xmp(extended)


def in_png(data: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        if kind == b"eXIf":
            yield user_comment(content)
        elif kind == b"tEXt" and content.startswith(b"xlabel\0"):
            yield content[7:]
        at += 12 + size


def in_webp(data: bytes) -> Iterator[bytes]:
    at = 12
    while at < len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + size]
        if kind in (b"EXIF", b"XMP "):
            yield user_comment(content) if kind == b"EXIF" else in_xmp(content)
        at += 8 + size + size % 2


def in_gif(data: bytes) -> Iterator[bytes]:
    at = data.index(b"\x21\xfe") + 2
    text = b""
    while data[at]:
        text += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    yield text
    at = data.index(b"XMP DataXMP") + 11
    yield in_xmp(data[at : data.index(b"\x01\xff\xfe", at)])


def in_tiff(data: bytes) -> Iterator[bytes]:
    yield user_comment(data)


def in_jp2(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        if kind == b"uuid" and content.startswith(b"JpgTiffExif->JP2"):
            yield user_comment(content[16:])
        elif kind == b"uuid":
            yield in_xmp(content[16:])
        at += size or len(data)


READERS: dict[str, tuple[Callable[[bytes], Iterator[bytes]], int]] = {
    "JPEG": (in_jpeg, 2),
    "PNG": (in_png, 2),
    "WEBP": (in_webp, 2),
    "GIF": (in_gif, 2),
    "TIFF": (in_tiff, 1),
    "JPEG2000": (in_jp2, 2),
}
"""By Pillow's format: a reader, and how many copies it is to find."""


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((96, 64)).convert("P" if kind == "GIF" else "RGB").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("size", [0, 70_000])
def test_labels_are_read_and_stripped_by_the_rules_of_the_specification(kind: str, size: int) -> None:
    original = picture(kind)
    labels = LABELS + (filled(size) if size else ())
    data, _ = labelled(original, labels, revision=4)
    reader, count = READERS[kind]
    found = [read(payload) for payload in reader(data)]
    assert len(found) == count
    for one in found:
        assert one is not None
        stored, document = one
        assert (stored["xlabel"], stored["revision"]) == (1, 4)
        assert (document["image"]["width"], document["image"]["height"]) == (96, 64)
        names = {category["id"]: category["name"] for category in document["categories"]}
        assert [names[label["category"]] for label in document["annotations"]] == [
            label.category.name for label in labels if label.category
        ]
        assert document["annotations"][0]["bbox"] == [24, 16.5, 32, 8.25]
        assert strip(data, stored) == original
        assert strip(data + b"\0", stored) is None


def test_extended_xmp_is_read_by_the_rules_of_the_specification() -> None:
    original = jpegs.jpeg("camera, Motorola")
    data, _ = labelled(original, filled(150_000))
    (found,) = [read(payload) for payload in in_jpeg(data)]
    assert found is not None and found[1]["annotations"][0]["caption"] == filled(150_000)[0].caption
    assert strip(data, found[0]) == original


def test_the_stream_of_a_jpeg_is_hashed_by_the_rules_of_the_specification() -> None:
    for name in ("plain", "cmyk", "camera, Intel", "MPO", "fill bytes", "trailer", "progressive"):
        data, _ = labelled(jpegs.jpeg(name))
        hashed = data[:2]
        for marker, at, end in jpegs.segments(data):
            if not (0xE0 <= marker <= 0xEF and marker != 0xEE) and marker != 0xFE:
                hashed += data[at:end]
        hashed += data[end : data.index(b"\xff\xd9", end) + 2]
        ((_, document), *_) = [one for payload in in_jpeg(data) if (one := read(payload))]
        assert document["image"]["stream"] == xxhash.xxh3_128_hexdigest(hashed), name
