"""Labels in the bytes of PNG files that other tools made, as other tools read them."""

import io
import json
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tests import labelled
from tests.images import samples
from tests.images.samples.png import from_jpeg, jpeg, saved, turned
from tests.labelled import (
    by,
    drawn,
    edited,
    matrix,
    put,
    removed,
    restored,
    said,
    tags,
)

from xlabel.images import embedding, fingerprint

original, with_labels = partial(samples.original, "png"), partial(samples.with_labels, "png")
every_kind = pytest.mark.parametrize("kind", samples.kinds("png"))


def chunks(data: bytes) -> list[tuple[str, bytes]]:
    """What the file is made of, by its own reading of the specification."""
    found, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(body)
        found.append((body[:4].decode(), body[4:]))
        at += 12 + size
    return found


@every_kind
def test_checkers_find_nothing_wrong(kind: str) -> None:
    said("pngcheck", with_labels(kind), "png", "-q", "IN")
    by("pngcrush", with_labels(kind), "png", "-q", "IN", "OUT")
    by("optipng", with_labels(kind), "png", "-quiet", "-o0", "IN")


@every_kind
def test_readers_find_the_document_and_the_regions(kind: str) -> None:
    found = tags(with_labels(kind), "png")
    texts = [found[name] for name in ("PNG:Xlabel", "PNG:Copy1:Xlabel") if name in found]
    assert labelled.document_of(with_labels(kind)) in [
        json.loads(text)["labels"] for text in texts if text.startswith("{")
    ]
    if kind != "raw profile":
        assert json.loads(found["ExifIFD:UserComment"]) == json.loads(texts[-1])
        with Image.open(io.BytesIO(with_labels(kind))) as image:
            image.load()
            comment = image.getexif().get_ifd(0x8769)[0x9286]
        assert comment == b"ASCII\0\0\0" + found["ExifIFD:UserComment"].encode()
    if "EXIF and" not in kind and "behind" not in kind:
        assert labelled.shown(found)[-5:] == labelled.UPRIGHT


def test_new_chunks_stand_before_the_palette_and_the_pixels() -> None:
    names = [name for name, _ in chunks(with_labels("palette"))]
    assert names == ["IHDR", "eXIf", "iTXt", "tEXt", "PLTE", "tRNS", "IDAT", "IEND"]


def test_the_resolution_is_that_of_the_file() -> None:
    with Image.open(io.BytesIO(with_labels("texts"))) as image:
        assert image.getexif()[0x011A] == 300
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_labels_are_found_in_the_beginning_of_the_file() -> None:
    data, _ = put(saved(drawn(size=(300, 300))))
    start = data[: data.index(b"IDAT") + 4]
    assert embedding.get(start).newest == labelled.newest(data)


def test_an_exif_profile_in_a_text_is_not_hidden() -> None:
    data, done = put(original("raw profile"))
    assert done.forms["exif"] == "the file's EXIF is a text chunk, which an eXIf chunk would hide"
    assert done.forms["text"] == "plain"
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x013B] == "me"


def test_a_compressed_packet_of_others_is_left_alone() -> None:
    packet = dict(chunks(original("XMP")))["iTXt"].partition(bytes(5))[2]
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=True)
    data = saved(drawn(), pnginfo=info)
    out, done = put(data)
    assert done.forms["xmp"] == "the file's XMP is compressed and left alone"
    assert tags(out, "png")["XMP-dc:Title"] == "hello"
    assert restored(out) == data


@pytest.mark.parametrize("kind", ["colours", "palette", "16 bits", "EXIF and XMP"])
@pytest.mark.parametrize(
    "command",
    [
        ("exiv2", "-Mset Exif.Image.Artist Ascii someone", "IN"),
        ("pngcrush", "-q", "IN", "OUT"),
        ("optipng", "-quiet", "IN"),
        ("convert", "IN", "OUT"),
        ("convert", "IN", "-resize", "50%", "OUT"),
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_labels_outlive_other_tools_and_go_without_a_trace(kind: str, command: tuple[str, ...]) -> None:
    changed = by(command[0], with_labels(kind), "png", *command[1:])
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    left = removed(changed)
    assert embedding.get(left).copies == []
    printed = json.dumps(tags(left, "png"))
    assert "xlabel" not in printed.replace("IFD0:Software", "")
    assert "RegionBoundary" not in printed


def test_labels_that_came_from_a_jpeg_are_found_behind_the_pixels_and_go() -> None:
    labels = put(jpeg())[0]
    data = from_jpeg(labels)
    assert {name for name, _ in chunks(data)[-4:]} <= {"tEXt", "zTXt", "IEND"}
    assert labelled.document_of(data) == labelled.document_of(labels)
    assert [copy.carrier for copy in embedding.get(data).copies] == ["exif"]
    left = removed(data)
    assert embedding.get(left).copies == []
    found = tags(left, "png")
    assert "xlabel" not in json.dumps(found)
    assert found["IFD0:Artist"] == "me"
    assert found["XMP-dc:Title"] == "hello"


def test_labels_in_a_profile_of_exiv2_are_found_and_go() -> None:
    """A PNG that an older exiv2 edited has its EXIF in a text chunk."""
    out, _ = put(turned(6))
    block = dict(chunks(out))["eXIf"]
    stripped = removed(out)
    exif = Image.Exif()
    exif.load(block)
    profile = b"\nexif\n%8d\n%b\n" % (len(block) + 6, (b"Exif\0\0" + block).hex().encode())
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", profile, zip=True)
    with Image.open(io.BytesIO(stripped)) as image:
        image.load()
        image.info.clear()
        data = saved(image, pnginfo=info)
    assert labelled.document_of(data) == labelled.document_of(out)
    left = removed(data)
    assert embedding.get(left).copies == []
    with Image.open(io.BytesIO(left)) as image:
        assert image.getexif()[0x010F] == "Maker"
        assert 0x9286 not in image.getexif().get_ifd(0x8769)


def test_regions_that_do_not_fit_are_left_out() -> None:
    out, done = put(saved(drawn()), count=4000)
    assert done.forms["regions"].endswith("more than the 1,000,000 that readers take")
    assert done.forms["exif"] == "plain"
    assert "XMP-iptcExt:ImageRegion" not in tags(out, "png")
    assert restored(out) == saved(drawn())


@pytest.mark.parametrize("kind", ["colours", "palette", "animated", "16 bits"])
def test_the_fingerprint_is_of_the_picture_alone(kind: str) -> None:
    expected = fingerprint.stream(original(kind))
    bare = edited(with_labels(kind), "png", "-all=")
    assert fingerprint.stream(with_labels(kind)) == expected
    assert fingerprint.stream(bare) == expected
    names = [name for name, _ in chunks(original(kind)) if name in ("IHDR", "PLTE", "tRNS", "IDAT", "fdAT")]
    for name in dict.fromkeys(names):
        at = original(kind).index(name.encode()) + 4 + 4 * (name == "fdAT")
        other = bytearray(original(kind))
        other[at + 3] ^= 1
        assert fingerprint.stream(bytes(other)) != expected


def test_the_fingerprint_does_not_see_how_the_data_is_divided() -> None:
    data = saved(drawn(size=(64, 64)))
    body = dict(chunks(data))["IDAT"]
    pieces = [
        struct.pack(">I", len(piece)) + b"IDAT" + piece + struct.pack(">I", zlib.crc32(b"IDAT" + piece))
        for piece in (body[:100], b"", body[100:])
    ]
    divided = data[: data.index(b"IDAT") - 4] + b"".join(pieces) + data[-12:]
    assert np.array_equal(matrix(divided), matrix(data))
    assert fingerprint.stream(divided) == fingerprint.stream(data)


def test_a_text_that_unpacks_to_gigabytes_is_let_be() -> None:
    bomb = zlib.compress(b'{"xlabel":' + bytes(100_000_000), 9)
    body = b"zTXtxlabel\0\0" + bomb
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = saved(drawn())
    data = data[:33] + chunk + data[33:]
    assert embedding.get(data).copies == []
