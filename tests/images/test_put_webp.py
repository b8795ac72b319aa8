"""Labels in the bytes of WebP files that other tools made, as other tools read them."""

import io
import json
import re
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests import labelled
from tests.labelled import (
    by,
    drawn,
    edited,
    frames,
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
    return labelled.saved(image, "WEBP", **options)


def turned(orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    return saved(drawn(), exif=exif, **options)


def moving(**options: Any) -> bytes:
    others = [drawn(seed=2), drawn(seed=3)]
    return saved(drawn(), save_all=True, append_images=others, duration=40, loop=3, **options)


def by_cwebp(*options: str) -> bytes:
    jpeg = labelled.saved(drawn(size=(31, 15)), "JPEG", quality=90)
    return by(
        "cwebp",
        edited(jpeg, "jpg", "-Artist=me"),
        "jpg",
        "-quiet",
        *options,
        "IN",
        "-o",
        "OUT",
        to="webp",
    )


def by_gif2webp() -> bytes:
    frames = [drawn(seed=2), drawn(seed=3)]
    gif = labelled.saved(drawn(), "GIF", save_all=True, append_images=frames, duration=40)
    return by("gif2webp", gif, "gif", "-quiet", "IN", "-o", "OUT", to="webp")


def with_prefix() -> bytes:
    r"""EXIF that begins with `Exif\0\0`, as in a JPEG; Pillow leaves that out, other tools did not."""
    data = turned(1)
    at = data.index(b"EXIF")
    (size,) = struct.unpack_from("<I", data, at + 4)
    parts = (
        data[8:at],
        b"EXIF",
        struct.pack("<I", size + 6),
        b"Exif\0\0",
        data[at + 8 :],
    )
    return data[:4] + struct.pack("<I", len(data) - 2) + b"".join(parts)


SIMPLE: dict[str, Callable[[], bytes]] = {
    "lossy": lambda: saved(drawn()),
    "lossless": lambda: saved(drawn(), lossless=True),
    "lossless, transparent": lambda: saved(drawn("RGBA"), lossless=True),
    "a pixel": lambda: saved(drawn(size=(1, 1))),
    "odd sides": lambda: by_cwebp(),
}
EXTENDED: dict[str, Callable[[], bytes]] = {
    "lossy, transparent": lambda: saved(drawn("RGBA")),
    "profile": lambda: saved(drawn(), icc_profile=b"profile" * 31),
    "animated": moving,
    "animated by gif2webp": by_gif2webp,
}
WITH: dict[str, Callable[[], bytes]] = {
    "EXIF": lambda: turned(1),
    "EXIF with a prefix": with_prefix,
    "EXIF by cwebp": lambda: by_cwebp("-metadata", "all"),
    "EXIF by exiftool": lambda: edited(saved(drawn()), "webp", "-EXIF:Artist=me"),
    "XMP": lambda: edited(saved(drawn()), "webp", "-XMP:Title=hello"),
    "XMP, a byte longer": lambda: edited(saved(drawn()), "webp", "-XMP:Title=hello!"),
    "XMP by exiv2": lambda: by("exiv2", saved(drawn()), "webp", "-Mset Xmp.dc.title lang=x-default hi", "IN"),
    "EXIF and XMP": lambda: edited(turned(6), "webp", "-XMP:Title=hello"),
    "EXIF, XMP and profile": lambda: edited(turned(1, icc_profile=b"p" * 99), "webp", "-XMP:Title=hello"),
    "animated, with EXIF": lambda: edited(moving(), "webp", "-EXIF:Artist=me"),
}
KINDS = SIMPLE | EXTENDED | WITH

every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def original(kind: str) -> bytes:
    return KINDS[kind]()


@cache
def with_labels(kind: str) -> bytes:
    return put(original(kind))[0]


def chunks(data: bytes) -> list[tuple[str, bytes]]:
    """What the file is made of, by its own reading of the specification."""
    assert data[:4] == b"RIFF"
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    found, at = [], 12
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        found.append((data[at : at + 4].decode(), data[at + 8 : at + 8 + size]))
        assert size % 2 == 0 or data[at + 8 + size] == 0
        at += 8 + size + size % 2
    return found


def test_the_files_are_of_the_kinds_that_they_are_called() -> None:
    for kind in KINDS:
        assert (chunks(original(kind))[0][0] != "VP8X") == (kind in SIMPLE), kind
    lengths = [len(dict(chunks(original(kind)))["XMP "]) for kind in ("XMP", "XMP, a byte longer")]
    assert {length % 2 for length in lengths} == {0, 1}
    assert dict(chunks(original("EXIF with a prefix")))["EXIF"].startswith(b"Exif\0\0")


@every_kind
def test_the_original_comes_back_byte_for_byte(kind: str) -> None:
    assert with_labels(kind) != original(kind)
    assert restored(with_labels(kind)) == original(kind)


@pytest.mark.parametrize("kind", SIMPLE | EXTENDED)
def test_all_that_is_ours_can_be_found_without_the_record(kind: str) -> None:
    assert removed(with_labels(kind)) == original(kind)


@pytest.mark.parametrize("kind", WITH)
def test_metadata_of_others_that_ours_was_merged_into_stays(kind: str) -> None:
    left = removed(with_labels(kind))
    assert tags(left, "webp") == tags(original(kind), "webp")
    assert b"xlabel" not in left


@every_kind
def test_no_pixel_changes(kind: str) -> None:
    assert same_picture(with_labels(kind), original(kind))


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
    assert warnings(with_labels(kind), "webp") <= warnings(original(kind), "webp")
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
def test_exiftool_sees_what_was_there_and_what_is_ours(kind: str) -> None:
    before, after = tags(original(kind), "webp"), tags(with_labels(kind), "webp")
    for name in ("File:FileType", "RIFF:WebP_Flags"):  # "WEBP" and "Extended WEBP"
        before.pop(name, None), after.pop(name, None)
    assert {name: after.get(name) for name in before if "VP8" not in name} == {
        name: value for name, value in before.items() if "VP8" not in name
    }
    ours = re.compile(
        r"XMP-(xlabel|iptcExt|x|rdf):|ExifIFD:|IFD0:|File:ExifByteOrder|Composite:|RIFF:(Copy1:)?(Alpha|Image)"
    )
    assert [name for name in after.keys() - before.keys() if not ours.match(name)] == []


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_are_of_the_stored_image_and_the_document_of_the_displayed_one(
    orientation: int,
) -> None:
    data, _ = put(turned(orientation))
    width, height = (16, 32) if orientation >= 5 else (32, 16)
    box = (width // 8, height // 4, width // 8 + width // 2, height // 4 + height // 4)
    assert labelled.boxed(tags(data, "webp"), data) == box
    document = labelled.document_of(data)
    assert document["annotations"][0]["bbox"] == [
        box[0],
        box[1],
        box[2] - box[0],
        box[3] - box[1],
    ]
    assert document["image"].get("orientation", 1) == orientation
    assert restored(data) == turned(orientation)


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


@every_kind
def test_labels_outlive_an_edit_by_exiftool_and_go_without_a_trace(kind: str) -> None:
    changed = edited(with_labels(kind), "webp", "-EXIF:Artist=someone", "-XMP:Rating=3")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    assert restored(changed) is None
    left = removed(changed)
    chunks(left)
    assert same_picture(left, original(kind))
    found = tags(left, "webp")
    assert found["IFD0:Artist"] == "someone"
    assert found["XMP-xmp:Rating"] == 3
    assert "xlabel" not in json.dumps(found)
    assert embedding.get(left).copies == []


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


@pytest.mark.parametrize(
    ("length", "form"),
    [(6_000_000, "plain"), (8_000_000, "packed"), (10_000_000, "packed")],
)
def test_a_document_is_stored_plain_then_packed(length: int, form: str) -> None:
    data = saved(drawn())
    document = b'{"noise":"%b"}' % np.random.default_rng(0).bytes(length // 2).hex().encode()
    done = embedding.put(data, Wrapped(document, 1, labelled.TIME))
    out = b"".join(done.pieces)
    assert done.forms == {"exif": form, "xmp": form}
    newest = labelled.newest(out)
    assert newest is not None
    assert newest.document == document
    assert same_picture(out, data)
    said("webpmux", out, "webp", "-info", "IN")
    by("dwebp", out, "webp", "-quiet", "IN", "-o", "OUT", to="png")
    assert restored(out) == data


def test_a_document_that_no_chunk_takes_is_refused_with_its_size() -> None:
    document = b'{"noise":"%b"}' % np.random.default_rng(0).bytes(7_000_000).hex().encode()
    with pytest.raises(ValueError, match=r"^the labels are ([0-9,]+) bytes when packed") as caught:
        embedding.put(saved(drawn()), Wrapped(document, 1, labelled.TIME))
    assert "more than 7,900,000" in str(caught.value)


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


@pytest.mark.parametrize("kind", ["a pixel", "EXIF and XMP", "animated"])
def test_a_file_cut_off_anywhere_raises_nothing_but_value_error(kind: str) -> None:
    for size in range(len(with_labels(kind))):
        labelled.tolerated(with_labels(kind)[:size])


@settings(max_examples=500)
@given(
    kind=st.sampled_from(
        [
            "a pixel",
            "lossy, transparent",
            "animated",
            "EXIF and XMP",
            "XMP, a byte longer",
        ]
    ),
    labels=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_mangled_bytes_raise_nothing_but_value_error(
    kind: str, labels: bool, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(with_labels(kind) if labels else original(kind))
    for at, value in changes:
        data[12 + at % (len(data) - 12)] = value
    labelled.tolerated(bytes(data))
