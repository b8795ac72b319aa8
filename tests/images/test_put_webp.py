"""Labels in the bytes of WebP files that other tools made, as other tools read them."""

import io
import json
import struct
from functools import partial

import pytest
from PIL import Image
from tests import labelled
from tests.images import samples
from tests.images.samples.webp import SIMPLE, chunks, moving, saved, turned
from tests.labelled import (
    by,
    drawn,
    edited,
    frames,
    put,
    removed,
    restored,
    said,
    tags,
)

from xlabel.images import embedding, fingerprint

original, with_labels = partial(samples.original, "webp"), partial(samples.with_labels, "webp")
every_kind = pytest.mark.parametrize("kind", samples.kinds("webp"))


def test_the_files_are_of_the_kinds_that_they_are_called() -> None:
    for kind in samples.kinds("webp"):
        assert (chunks(original(kind))[0][0] != "VP8X") == (kind in SIMPLE), kind
    lengths = [len(dict(chunks(original(kind)))["XMP "]) for kind in ("XMP", "XMP, a byte longer")]
    assert {length % 2 for length in lengths} == {0, 1}
    assert dict(chunks(original("EXIF with a prefix")))["EXIF"].startswith(b"Exif\0\0")


@every_kind
def test_chunks_are_in_their_order_and_the_flags_say_which_there_are(kind: str) -> None:
    names = [name for name, _ in chunks(with_labels(kind))]
    order = ["VP8X", "ICCP", "ANIM", "ANMF", "ALPH", "VP8 ", "VP8L", "EXIF", "XMP "]
    assert names == sorted(names, key=order.index)
    printed = said("webpmux", with_labels(kind), "webp", "-info", "IN")
    assert {"EXIF", "XMP"} <= set(printed.split("Features present:")[1].split("\n")[0].split())
    before = said("webpmux", original(kind), "webp", "-info", "IN")
    for word in ("animation", "transparency", "ICC"):
        assert (word in printed) == (word in before), word


@every_kind
def test_checkers_find_nothing_wrong(kind: str) -> None:
    for part in ("exif", "xmp"):
        taken = by(
            "webpmux",
            with_labels(kind),
            "webp",
            "-get",
            part,
            "IN",
            "-o",
            "OUT",
            to=part,
        )
        assert taken == dict(chunks(with_labels(kind)))[f"{part.upper():4}"]


@every_kind
def test_readers_find_the_document_and_the_regions(kind: str) -> None:
    found = tags(with_labels(kind), "webp")
    comment = found["ExifIFD:UserComment"]
    assert json.loads(comment)["labels"] == labelled.document_of(with_labels(kind))
    assert found["XMP-xlabel:Document"] == comment
    if kind != "EXIF and XMP":
        assert labelled.shown(found) == labelled.UPRIGHT
    with Image.open(io.BytesIO(with_labels(kind))) as image:
        assert image.getexif().get_ifd(0x8769)[0x9286] == b"ASCII\0\0\0" + comment.encode()
        assert b"xlabel:Document" in image.info["xmp"]


def test_metadata_that_the_flags_do_not_announce_is_not_brought_to_life() -> None:
    """No decoder turns a picture by an EXIF chunk that the flags are silent about."""
    data = bytearray(turned(6))
    data[20] &= ~0x08
    out, done = put(bytes(data))
    assert done.forms["exif"] == "the file's flags do not announce its EXIF: left alone"
    assert done.forms["xmp"] == "plain"
    with Image.open(io.BytesIO(out)) as image:
        assert 0x0112 not in image.getexif()
    assert restored(out) == bytes(data)
    assert removed(out) == bytes(data)


@pytest.mark.parametrize("kind", ["lossy", "lossless, transparent", "EXIF and XMP", "animated"])
@pytest.mark.parametrize(
    ("command", "left"),
    [
        (("exiv2", "-Mset Exif.Image.Artist Ascii someone", "IN"), {"exif", "xmp"}),
        (("exiftool", "-q", "-XMP:all=", "-overwrite_original", "IN"), {"exif"}),
        (("webpmux", "-strip", "exif", "IN", "-o", "OUT"), {"xmp"}),
    ],
    ids=lambda command: command[0] if isinstance(command, tuple) else "",
)
def test_labels_outlive_other_tools_and_go_without_a_trace(
    kind: str, command: tuple[str, ...], left: set[str]
) -> None:
    changed = by(command[0], with_labels(kind), "webp", *command[1:])
    assert {copy.carrier for copy in embedding.get(changed).copies} == left
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    bare = removed(changed)
    assert embedding.get(bare).copies == []
    assert frames(bare) == frames(original(kind))
    assert "RegionBoundary" not in json.dumps(tags(bare, "webp"))


def test_labels_that_came_from_a_jpeg_are_found_and_go() -> None:
    jpeg, _ = put(edited(labelled.saved(drawn(), "JPEG"), "jpg", "-Artist=me"))
    data = by("cwebp", jpeg, "jpg", "-quiet", "-metadata", "all", "IN", "-o", "OUT", to="webp")
    assert labelled.document_of(data) == labelled.document_of(jpeg)
    found = tags(removed(data), "webp")
    assert found["IFD0:Artist"] == "me"
    assert "xlabel" not in json.dumps(found)


def test_bytes_behind_the_last_chunk_are_refused_and_labels_before_them_still_go() -> None:
    with pytest.raises(
        ValueError,
        match=r"^the RIFF header states \d+ bytes, the last chunk ends at byte",
    ):
        put(saved(drawn()) + b"trailer")
    assert removed(with_labels("lossy") + b"trailer") == original("lossy") + b"trailer"


@pytest.mark.parametrize("change", [-2, 2])
def test_a_wrong_length_is_refused(change: int) -> None:
    data = bytearray(saved(drawn()))
    struct.pack_into("<I", data, 4, len(data) - 8 + change)
    with pytest.raises(ValueError, match=r"RIFF|the first \d+ bytes"):
        embedding.put(data, labelled.labels(saved(drawn()))[0])


def test_pixels_are_not_read_to_find_labels() -> None:
    data = with_labels("lossy")
    at = data.index(b"VP8 ") + 60
    blank = data[:at] + bytes(data.index(b"EXIF") - at) + data[data.index(b"EXIF") :]
    assert embedding.get(blank).newest == labelled.newest(data)
    assert embedding.get(original("lossy")[:64]).copies == []


@pytest.mark.parametrize("kind", ["lossy", "lossless", "lossy, transparent", "animated"])
def test_the_fingerprint_is_of_the_picture_alone(kind: str) -> None:
    expected = fingerprint.stream(original(kind))
    assert fingerprint.stream(with_labels(kind)) == expected
    assert fingerprint.stream(edited(with_labels(kind), "webp", "-all=")) == expected
    assert fingerprint.stream(edited(with_labels(kind), "webp", "-EXIF:Artist=me")) == expected
    rebuilt = by("webpmux", original(kind), "webp", "-set", "xmp", "IN", "IN", "-o", "OUT")
    assert fingerprint.stream(rebuilt) == expected
    for name in {name for name, _ in chunks(original(kind))} & {
        "VP8 ",
        "VP8L",
        "ALPH",
        "ANMF",
    }:
        other = bytearray(original(kind))
        other[original(kind).rindex(name.encode()) + 40] ^= 1
        assert fingerprint.stream(bytes(other)) != expected


def test_the_fingerprint_of_an_animation_is_of_its_canvas_too_and_not_of_its_loops() -> None:
    assert fingerprint.stream(moving()) == fingerprint.stream(
        by("webpmux", moving(), "webp", "-set", "loop", "7", "IN", "-o", "OUT")
    )
    for at in (24, 27, moving().index(b"ANIM") + 8):
        other = bytearray(moving())
        other[at] ^= 4
        assert fingerprint.stream(bytes(other)) != fingerprint.stream(moving())
