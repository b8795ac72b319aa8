"""Labels in the bytes of PNG files that other tools made, as other tools read them."""

import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from tests import labelled
from tests.labelled import (
    by,
    drawn,
    edited,
    matrix,
    put,
    removed,
    restored,
    said,
    same_picture,
    tags,
    warnings,
)

from xlabel.images import embedding, fingerprint
from xlabel.images.payload import Wrapped


def saved(image: Image.Image, **options: Any) -> bytes:
    return labelled.saved(image, "PNG", **options)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    return saved(drawn(), exif=exif)


def deep() -> bytes:
    noise = np.random.default_rng(2).integers(0, 65536, (16, 32, 3), dtype=np.uint16)
    return cv2.imencode(".png", noise)[1].tobytes()


def moving() -> bytes:
    return saved(drawn(), save_all=True, append_images=[drawn(seed=2), drawn(seed=3)], duration=40, loop=3)


def texts(**more: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a title")
    info.add_text("Long", "word " * 400, zip=True)
    info.add_itxt("Author", "Jos\u00e9", "pt", "Autor")
    for keyword, text in more.items():
        info.add_text(keyword, text)
    return saved(drawn(), pnginfo=info, dpi=(300, 300))


def from_jpeg(data: bytes) -> bytes:
    """By ImageMagick, which writes EXIF and texts behind the pixels and XMP as a profile."""
    return by("convert", data, "jpg", "IN", "OUT", to="png")


def jpeg() -> bytes:
    data = labelled.saved(drawn(), "JPEG", comment=b"a comment")
    return edited(data, "jpg", "-Artist=me", "-XMP:Title=hello", "-Orientation#=6")


PLAIN: dict[str, Callable[[], bytes]] = {
    "colours": lambda: saved(drawn()),
    "a pixel": lambda: saved(drawn(size=(1, 1))),
    "grey": lambda: saved(drawn("L")),
    "black and white": lambda: saved(drawn("1")),
    "palette": lambda: saved(drawn("P"), transparency=3),
    "transparent": lambda: saved(drawn("RGBA")),
    "16 bits": deep,
    "animated": moving,
    "interlaced": lambda: by("convert", saved(drawn()), "png", "IN", "-interlace", "PNG", "OUT"),
    "texts": texts,
    "a text of ours that is none": lambda: texts(xlabel="a note"),
    "raw profile": lambda: by("exiv2", saved(drawn()), "png", "-Mset Exif.Image.Artist Ascii me", "IN"),
}
"""Files without EXIF and XMP in chunks of their own."""
WITH: dict[str, Callable[[], bytes]] = {
    "EXIF": lambda: turned(1),
    "EXIF by exiftool": lambda: edited(saved(drawn()), "png", "-EXIF:Artist=me"),
    "XMP": lambda: edited(saved(drawn()), "png", "-XMP:Title=hello", "-XMP:Subject=a"),
    "EXIF and XMP": lambda: edited(turned(6), "png", "-XMP:Title=hello", "-Make=other"),
    "XMP by exiv2": lambda: by("exiv2", saved(drawn()), "png", "-Mset Xmp.dc.title lang=x-default hi", "IN"),
    "all behind the pixels": lambda: from_jpeg(jpeg()),
    "a region of others": lambda: edited(
        saved(drawn()),
        "png",
        "-ImageRegion={RegionBoundary={RbShape=circle,RbX=.5,RbY=.5,RbRx=.1},RId=r}",
    ),
}
KINDS = PLAIN | WITH

every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def original(kind: str) -> bytes:
    return KINDS[kind]()


@cache
def with_labels(kind: str) -> bytes:
    return put(original(kind))[0]


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
def test_the_original_comes_back_byte_for_byte(kind: str) -> None:
    assert with_labels(kind) != original(kind)
    assert restored(with_labels(kind)) == original(kind)


@pytest.mark.parametrize("kind", PLAIN)
def test_all_that_is_ours_can_be_found_without_the_record(kind: str) -> None:
    assert removed(with_labels(kind)) == original(kind)


@pytest.mark.parametrize("kind", WITH)
def test_metadata_of_others_that_ours_was_merged_into_stays(kind: str) -> None:
    left = removed(with_labels(kind))
    assert tags(left, "png") == tags(original(kind), "png")
    assert b"xlabel" not in left


@every_kind
def test_no_pixel_changes(kind: str) -> None:
    assert same_picture(with_labels(kind), original(kind))


@every_kind
def test_checkers_find_nothing_wrong(kind: str) -> None:
    said("pngcheck", with_labels(kind), "png", "-q", "IN")
    assert warnings(with_labels(kind), "png") <= warnings(original(kind), "png")
    by("pngcrush", with_labels(kind), "png", "-q", "IN", "OUT")
    by("optipng", with_labels(kind), "png", "-quiet", "-o0", "IN")


@every_kind
def test_exiftool_sees_what_was_there_and_what_is_ours(kind: str) -> None:
    before, after = tags(original(kind), "png"), tags(with_labels(kind), "png")
    regions = before.pop("XMP-iptcExt:ImageRegion", [])
    assert after.get("XMP-iptcExt:ImageRegion", [])[: len(regions)] == regions
    assert {name: after.get(name) for name in before} == before
    ours = re.compile(
        r"PNG:(Copy\d:)?Xlabel$|XMP-(xlabel|iptcExt|x|rdf):|ExifIFD:|IFD0:|File:ExifByteOrder|Composite:"
    )
    assert [name for name in after.keys() - before.keys() if not ours.match(name)] == []


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_are_of_the_stored_image_and_the_document_of_the_displayed_one(orientation: int) -> None:
    data, _ = put(turned(orientation))
    found = tags(data, "png")
    width, height = (16, 32) if orientation >= 5 else (32, 16)
    box = (width // 8, height // 4, width // 8 + width // 2, height // 4 + height // 4)
    assert labelled.boxed(found, data) == box
    document = labelled.document_of(data)
    assert document["annotations"][0]["bbox"] == [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    assert document["image"].get("orientation", 1) == orientation
    assert restored(data) == turned(orientation)


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


@every_kind
def test_labels_outlive_an_edit_by_exiftool_and_go_without_a_trace(kind: str) -> None:
    # -m: exiftool calls the profile that exiv2 wrote a minor error
    changed = edited(with_labels(kind), "png", "-m", "-EXIF:Artist=someone", "-XMP:Rating=3")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    assert restored(changed) is None
    left = removed(changed)
    assert same_picture(left, original(kind))
    found = tags(left, "png")
    assert found["IFD0:Artist"] == "someone"
    assert found["XMP-xmp:Rating"] == 3
    assert "xlabel" not in json.dumps(found).replace('"PNG:Xlabel": "a note"', "")
    assert embedding.get(left).copies == []


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


@pytest.mark.parametrize(
    ("length", "forms"),
    [
        (900_000, {"exif": "plain", "text": "plain"}),
        (1_200_000, {"exif": "plain", "text": "packed"}),
        (3_000_000, {"exif": "plain", "text": "a chunk"}),
        (8_000_000, {"exif": "packed", "text": "a chunk"}),
    ],
)
def test_a_document_is_stored_plain_then_packed_then_not_at_all(length: int, forms: dict[str, str]) -> None:
    data = saved(drawn())
    document = b'{"noise":"%b"}' % np.random.default_rng(0).bytes(length // 2).hex().encode()
    wrapped = Wrapped(document, 1, labelled.TIME)
    done = embedding.put(data, wrapped)
    out = b"".join(done.pieces)
    assert {name: form[: len(forms[name])] for name, form in done.forms.items()} == forms
    newest = labelled.newest(out)
    assert newest is not None
    assert newest.document == document
    assert same_picture(out, data)
    said("pngcheck", out, "png", "-q", "IN")
    assert same_picture(by("pngcrush", out, "png", "-q", "IN", "OUT"), data)
    assert same_picture(by("convert", out, "png", "IN", "OUT"), data)
    assert restored(out) == data


def test_a_document_that_no_chunk_takes_is_refused_with_its_size() -> None:
    document = b'{"noise":"%b"}' % np.random.default_rng(0).bytes(6_000_000).hex().encode()
    with pytest.raises(ValueError, match=r"^the labels are ([0-9,]+) bytes when packed") as caught:
        embedding.put(saved(drawn()), Wrapped(document, 1, labelled.TIME))
    assert "7,900,000" in str(caught.value)
    assert "1,000,000" in str(caught.value)


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


@pytest.mark.parametrize("kind", ["palette", "EXIF and XMP", "texts"])
def test_a_file_cut_off_anywhere_raises_nothing_but_value_error(kind: str) -> None:
    for size in range(len(with_labels(kind))):
        labelled.tolerated(with_labels(kind)[:size])


@settings(max_examples=500)
@given(
    kind=st.sampled_from(["palette", "animated", "EXIF and XMP", "all behind the pixels", "raw profile"]),
    labels=st.booleans(),
    changes=st.lists(st.tuples(st.integers(8, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_mangled_bytes_raise_nothing_but_value_error(
    kind: str, labels: bool, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(with_labels(kind) if labels else original(kind))
    for at, value in changes:
        data[at % len(data)] = value
    labelled.tolerated(bytes(data))


def test_a_text_that_unpacks_to_gigabytes_is_let_be() -> None:
    bomb = zlib.compress(b'{"xlabel":' + bytes(100_000_000), 9)
    body = b"zTXtxlabel\0\0" + bomb
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = saved(drawn())
    data = data[:33] + chunk + data[33:]
    assert embedding.get(data).copies == []
