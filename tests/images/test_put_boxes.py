"""Labels in AVIF, HEIC, JPEG XL and JPEG 2000 files that other tools made, as other tools read them."""

import io
import json
import re
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
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
    saved,
    tolerated,
    warnings,
)

from xlabel.images import NoRoomError, Parts, boxes, embedding, fingerprint, heif, heif_items, jxl, xmp
from xlabel.images.payload import Wrapped
from xlabel.images.splice import Edit, apply

DATA = Path(__file__).with_name("data")
SIZE = (64, 48)


def png(mode: str = "RGB") -> bytes:
    return saved(drawn(mode, SIZE), "PNG")


def jpeg(orientation: int = 1) -> bytes:
    """With all kinds of metadata."""
    orient = f"-Orientation#={orientation}"
    return edited(saved(drawn(size=SIZE), "JPEG"), "jpg", "-Artist=me", "-XMP:Title=hello", orient)


def moving(**options: Any) -> bytes:
    return saved(drawn(size=SIZE), "AVIF", save_all=True, append_images=[drawn(size=SIZE, seed=2)], **options)


def heic(count: int = 1, **options: Any) -> bytes:
    file = pillow_heif.from_pillow(drawn(size=SIZE))
    for seed in range(2, count + 1):
        file.add_from_pillow(drawn(size=SIZE, seed=seed))
    out = io.BytesIO()
    file.save(out, **options)
    return out.getvalue()


def grid() -> bytes:
    """Two pictures side by side, which an item of its own puts together."""
    return by("avifenc", saved(drawn(size=(128, 64)), "PNG"), "png", "--grid", "2x1", "IN", "OUT", to="avif")


def from_png(command: str, suffix: str, *arguments: str, mode: str = "RGB") -> bytes:
    return by(command, png(mode), "png", *arguments, to=suffix)


def from_jpeg(command: str, suffix: str, *arguments: str) -> bytes:
    return by(command, jpeg(), "jpg", *arguments, to=suffix)


def open_ended(data: bytes) -> bytes:
    """The same file with a last box that goes on to the end."""
    last = boxes.listed(memoryview(data))[-1]
    return data[: last.at] + bytes(4) + data[last.at + 4 :]


@cache
def get(kind: str) -> bytes:
    return KINDS[kind][1]()


EXIV2 = ("-Mset Exif.Image.Artist Ascii me", "-Mset Xmp.dc.title lang=x-default hello")
PLAIN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "AVIF by avifenc": ("avif", lambda: from_png("avifenc", "avif", "IN", "OUT")),
    "AVIF by Pillow": ("avif", lambda: saved(drawn(size=SIZE), "AVIF")),
    "AVIF by heif-enc": ("avif", lambda: from_png("heif-enc", "avif", "-A", "IN", "-o", "OUT")),
    "AVIF, animated": ("avif", moving),
    "AVIF, transparent": ("avif", lambda: saved(drawn("RGBA", SIZE), "AVIF")),
    "AVIF, grid": ("avif", grid),
    "AVIF, open": ("avif", lambda: open_ended(saved(drawn(size=SIZE), "AVIF"))),
    "HEIC by heif-enc": ("heic", lambda: from_png("heif-enc", "heic", "IN", "-o", "OUT")),
    "HEIC by pillow-heif": ("heic", heic),
    "HEIC, pictures": ("heic", lambda: heic(3)),
    "HEIC, cropped": ("heic", lambda: (DATA / "13x9_in_64x64.heic").read_bytes()),
    "JXL, boxes": ("jxl", lambda: from_png("cjxl", "jxl", "--container=1", "IN", "OUT")),
    "JXL of a JPEG": (
        "jxl",
        lambda: by("cjxl", saved(drawn(size=SIZE), "JPEG"), "jpg", "IN", "OUT", to="jxl"),
    ),
    "JXL in parts": ("jxl", lambda: (DATA / "16x8_orientation_6.jxl").read_bytes()),
    "JXL, open": ("jxl", lambda: open_ended(from_png("cjxl", "jxl", "--container=1", "IN", "OUT"))),
    "JP2 by OpenJPEG": ("jp2", lambda: from_png("opj_compress", "jp2", "-i", "IN", "-o", "OUT")),
    "JP2 by Pillow": ("jp2", lambda: saved(drawn(size=SIZE), "JPEG2000")),
    "JP2, grey": ("jp2", lambda: from_png("opj_compress", "jp2", "-i", "IN", "-o", "OUT", mode="L")),
    "JP2, open": ("jp2", lambda: open_ended(saved(drawn(size=SIZE), "JPEG2000"))),
}
"""Files without EXIF and XMP."""
WITH: dict[str, tuple[str, Callable[[], bytes]]] = {
    "AVIF by avifenc of a JPEG": ("avif", lambda: from_jpeg("avifenc", "avif", "IN", "OUT")),
    "AVIF by exiftool": (
        "avif",
        lambda: edited(get("AVIF by Pillow"), "avif", "-Artist=me", "-XMP:Title=hello"),
    ),
    "AVIF, EXIF alone": ("avif", lambda: edited(get("AVIF by avifenc"), "avif", "-EXIF:UserComment=words")),
    "HEIC by heif-enc of a JPEG": ("heic", lambda: from_jpeg("heif-enc", "heic", "IN", "-o", "OUT")),
    "HEIC, XMP alone": ("heic", lambda: edited(heic(), "heic", "-XMP:Title=hello")),
    "JXL by exiftool": ("jxl", lambda: edited(get("JXL, boxes"), "jxl", "-Artist=me", "-XMP:Title=hello")),
    "JP2 by exiftool": ("jp2", lambda: edited(get("JP2 by Pillow"), "jp2", "-Artist=me", "-XMP:Title=hello")),
    "JP2 by exiv2": ("jp2", lambda: by("exiv2", get("JP2 by OpenJPEG"), "jp2", *EXIV2, "IN")),
}
KINDS: dict[str, tuple[str, Callable[[], bytes]]] = PLAIN | WITH
COMPRESSED = "JXL in parts"
"""A JPEG by libjxl, which compresses its EXIF; so it stays as it is, and the labels are in the XMP."""

every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def with_labels(kind: str) -> bytes:
    return put(get(kind))[0]


def suffix(kind: str) -> str:
    return KINDS[kind][0]


def tags(data: bytes, suffix: str) -> dict[str, Any]:
    """All that exiftool finds, but where the media data stands; a name that occurs twice has its group."""
    found = labelled.tags(data, suffix).items()
    return {re.sub(r"Copy\d+:", "", name): value for name, value in found if "MediaData" not in name}


def pixels(data: bytes, kind: str) -> list[Any]:
    """Every picture as another tool decodes it: libavif, libheif, libjxl or OpenJPEG."""
    if suffix(kind) == "heic":
        return [np.asarray(picture) for picture in pillow_heif.open_heif(io.BytesIO(data))]
    if suffix(kind) == "jxl":
        with Image.open(io.BytesIO(by("djxl", data, "jxl", "IN", "OUT", to="ppm"))) as image:
            return [np.asarray(image)]
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(np.asarray(image).copy())
        return frames


def same(one: bytes, other: bytes, kind: str) -> bool:
    pairs = zip(pixels(one, kind), pixels(other, kind), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


@every_kind
def test_the_original_comes_back_byte_for_byte(kind: str) -> None:
    assert with_labels(kind) != get(kind)
    assert restored(with_labels(kind)) == get(kind)


@every_kind
def test_no_pixel_changes(kind: str) -> None:
    assert same(with_labels(kind), get(kind), kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if suffix(kind) in ("avif", "jp2")])
def test_cv2_decodes_the_same(kind: str) -> None:
    assert np.array_equal(matrix(with_labels(kind)), matrix(get(kind)))


@every_kind
def test_exiftool_sees_what_was_there_and_what_is_ours(kind: str) -> None:
    before, after = tags(get(kind), suffix(kind)), tags(with_labels(kind), suffix(kind))
    before.pop("ExifIFD:UserComment", None)
    assert {name: after.get(name) for name in before} == before
    ours = re.compile(
        r"XMP-(xlabel|iptcExt|x):|ExifIFD:|File:ExifByteOrder|IFD0:(Software|[XYR]\w+)$|(File|Composite):(Image|Mega)"
    )
    assert [name for name in after.keys() - before.keys() if not ours.match(name)] == []
    assert warnings(with_labels(kind), suffix(kind)) <= warnings(get(kind), suffix(kind))
    if kind == COMPRESSED:
        assert "ExifIFD:UserComment" not in after
        return
    assert json.loads(after["ExifIFD:UserComment"])["labels"] == labelled.document_of(with_labels(kind))
    assert json.loads(after["XMP-xlabel:Document"])["labels"] == labelled.document_of(with_labels(kind))
    assert labelled.shown(after) == labelled.UPRIGHT


@pytest.mark.parametrize("kind", [kind for kind in KINDS if suffix(kind) in ("avif", "heic")])
def test_readers_of_items_find_them(kind: str) -> None:
    data = with_labels(kind)
    document = labelled.document_of(data)
    if suffix(kind) == "heic":
        picture = pillow_heif.open_heif(io.BytesIO(data))
        exif, packet = picture.info["exif"], picture.info["xmp"]
        assert "Exif" in said("heif-info", data, "heic", "IN")
    else:
        with Image.open(io.BytesIO(data)) as image:
            if getattr(image, "n_frames", 1) > 1:
                return  # of an image sequence, libavif reads what stands in the track
            exif, packet = image.info["exif"], image.info["xmp"]
    found = Image.Exif()
    found.load(exif)
    comment = found.get_ifd(0x8769)[0x9286]
    assert json.loads(comment.removeprefix(b"ASCII\0\0\0"))["labels"] == document
    held = xmp.document(packet)
    assert held is not None
    assert json.loads(held)["labels"] == document


@pytest.mark.parametrize("kind", [kind for kind in PLAIN if "open" not in kind])
def test_all_that_is_ours_can_be_found_without_the_record(kind: str) -> None:
    assert removed(with_labels(kind)) == get(kind)


@pytest.mark.parametrize("kind", WITH)
def test_metadata_of_others_that_ours_was_merged_into_stays(kind: str) -> None:
    left = removed(with_labels(kind))
    assert tags(left, suffix(kind)) == tags(get(kind), suffix(kind))
    assert same(left, get(kind), kind)
    assert b"xlabel" not in left


@every_kind
def test_labels_outlive_an_edit_by_exiftool_and_go_without_a_trace(kind: str) -> None:
    changed = edited(with_labels(kind), suffix(kind), "-EXIF:Artist=someone", "-XMP:Rating=3")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    assert restored(changed) is None
    left = removed(changed)
    assert same(left, get(kind), kind)
    found = tags(left, suffix(kind))
    if kind not in (COMPRESSED, "AVIF, animated"):  # which exiftool takes for a film
        assert found["IFD0:Artist"] == "someone"
    assert found["XMP-xmp:Rating"] == 3
    assert found.get("ExifIFD:UserComment") == tags(get(kind), suffix(kind)).get("ExifIFD:UserComment")
    assert "xlabel" not in json.dumps(found)
    assert embedding.get(left).copies == []


@pytest.mark.parametrize("kind", ["JP2 by OpenJPEG", "JP2 by exiftool", "JP2 by exiv2"])
def test_labels_outlive_an_edit_by_exiv2(kind: str) -> None:
    changed = by("exiv2", with_labels(kind), "jp2", "-Mset Exif.Image.Artist Ascii someone", "IN")
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    left = removed(changed)
    assert "xlabel" not in json.dumps(tags(left, "jp2"))
    assert same(left, get(kind), kind)


@pytest.mark.parametrize(
    "kind", ["AVIF by Pillow", "AVIF by avifenc of a JPEG", "HEIC, pictures", "JP2 by Pillow"]
)
def test_the_stream_stays_where_tools_leave_the_picture_alone(kind: str) -> None:
    data = get(kind)
    assert fingerprint.stream(with_labels(kind)) == fingerprint.stream(data)
    assert fingerprint.stream(edited(data, suffix(kind), "-Artist=me")) == fingerprint.stream(data)
    assert fingerprint.stream(edited(data, suffix(kind), "-all=")) == fingerprint.stream(data)
    assert fingerprint.stream(removed(with_labels(kind))) == fingerprint.stream(data)


def test_the_stream_follows_the_pixels() -> None:
    pictures = [
        *(saved(drawn(size=SIZE, seed=seed), kind) for seed in (1, 2) for kind in ("AVIF", "JPEG2000")),
        moving(),
        saved(drawn(size=SIZE), "AVIF", save_all=True, append_images=[drawn(size=SIZE, seed=3)]),
        heic(),
        heic(2),
        heic(3),
        get("JP2, grey"),
    ]
    assert len({fingerprint.stream(data) for data in pictures}) == len(pictures)


def test_the_stream_of_jpeg_xl_is_the_same_with_and_without_boxes() -> None:
    bare = (DATA / "13x9_bare.jxl").read_bytes()
    out, _ = put(bare)
    assert fingerprint.stream(out) == fingerprint.stream(bare)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", ["0", "1", None])
def test_the_orientation_of_an_avif_is_that_of_its_properties(turns: int, mirror: str | None) -> None:
    arguments = [*(["--irot", str(turns)] if turns else []), *(["--imir", mirror] if mirror else [])]
    original = by("avifenc", png(), "png", *arguments, "IN", "OUT", to="avif")
    data, _ = put(original)
    document = labelled.document_of(data)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get_ifd(0x8769)[0x9286]
        turned = image.getexif().get(0x0112, 1) >= 5
        assert (document["image"]["height"] > document["image"]["width"]) == turned == turns % 2
    assert restored(data) == original
    assert removed(data) == original


def test_a_bare_jpeg_xl_gets_boxes_and_loses_them_again() -> None:
    bare = (DATA / "13x9_bare.jxl").read_bytes()
    out, done = put(bare)
    assert done.forms == {"exif": "plain", "xmp": "plain"}
    assert restored(out) == bare
    assert tags(out, "jxl")["XMP-xlabel:Version"] == 1
    one, other = (by("djxl", data, "jxl", "IN", "OUT", to="ppm") for data in (bare, out))
    assert np.array_equal(matrix(one), matrix(other))
    left = removed(out)
    assert left == jxl.CONTAINER + boxes.made(b"jxlc", bare)


def test_a_jpeg_in_a_jpeg_xl_is_reconstructed_byte_for_byte() -> None:
    original = saved(drawn(size=SIZE), "JPEG")
    data, _ = put(by("cjxl", original, "jpg", "IN", "OUT", to="jxl"))
    assert by("djxl", data, "jxl", "IN", "OUT", to="jpg") == original


def test_what_a_jpeg_is_reconstructed_from_is_left_alone() -> None:
    data = from_jpeg("cjxl", "jxl", "IN", "OUT")  # with its metadata compressed
    with pytest.raises(
        ValueError, match=r"exif: the file's EXIF is compressed .* xmp: the file's XMP is compressed"
    ):
        put(data)
    uncompressed = jxl.CONTAINER + boxes.made(b"jbrd", b"") + get("JXL by exiftool")[len(jxl.CONTAINER) :]
    with pytest.raises(NoRoomError, match="part of the JPEG"):
        jxl.edits(memoryview(uncompressed), Parts(b"ASCII\0\0\0", None, None))


def test_a_bare_jpeg_2000_codestream_is_refused_with_what_to_do() -> None:
    data = (DATA / "13x9_bare.j2k").read_bytes()
    assert embedding.get(data).copies == []
    assert removed(data) == data
    with pytest.raises(ValueError, match=r"put it into a \.jp2 file first"):
        put(data)


def test_an_animation_with_metadata_in_its_track_takes_xmp_alone() -> None:
    exif = Image.Exif()
    exif[0x013B] = "me"
    data = moving(exif=exif)
    out, done = put(data)
    assert done.forms["xmp"] == "plain"
    assert done.forms["exif"].startswith("no item can be added: the movie has metadata of its own")
    assert restored(out) == data == removed(out)
    assert labelled.shown(tags(out, "avif")) == labelled.UPRIGHT
    assert same(out, data, "AVIF, animated")
    with Image.open(io.BytesIO(out)) as image:
        assert image.getexif()[0x013B] == "me"


def test_a_packet_of_others_in_a_box_of_its_own_takes_ours() -> None:
    packet = xmp.packet(xmp.Ours()).replace(
        b"<xlabel:Version>1</xlabel:Version>",
        b'<dc:source xmlns:dc="http://purl.org/dc/elements/1.1/">s</dc:source>',
    )
    box = boxes.made(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), packet)
    plain = get("AVIF by Pillow")
    for data in (plain + box, plain[: plain.index(b"meta") - 4] + box + plain[plain.index(b"meta") - 4 :]):
        if data != plain + box:  # moved by hand: what the offsets lead to has to move with it
            view = memoryview(plain)
            found = boxes.listed(view)
            meta = heif_items.read(view, found)
            inserted = [Edit(meta.box.at, meta.box.at, box)]
            data = b"".join(
                apply(plain, heif_items.relocated(view, found, meta, inserted, [], meta.entries, {}))
            )
        out, done = put(data)
        assert done.forms == {"exif": "plain", "xmp": "plain"}
        found_tags = tags(out, "avif")
        assert found_tags["XMP-dc:Source"] == "s"
        assert labelled.shown(found_tags) == labelled.UPRIGHT
        assert same(out, plain, "AVIF by Pillow")
        assert restored(out) == data
        left = removed(out)
        assert tags(left, "avif")["XMP-dc:Source"] == "s"
        assert b"xlabel:" not in left
        assert same(left, plain, "AVIF by Pillow")


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("widths", [(4, 4, 0, 0), (4, 4, 4, 0), (0, 4, 4, 0), (8, 8, 0, 8), (4, 8, 8, 4)])
@pytest.mark.parametrize("parts", [1, 3])
def test_offsets_are_made_right_in_every_table_of_locations(
    version: int, widths: tuple[int, int, int, int], parts: int
) -> None:
    """ISO/IEC 14496-12, 8.11.3: numbers of 0, 4 or 8 bytes, a base or none, data in one piece or several."""
    offset, length, base, ordinal = widths
    if parts > 1 and not offset:
        return
    plain = get("AVIF by Pillow")
    (size,) = struct.unpack_from(">I", plain, (iloc := plain.index(b"iloc") - 4))
    start = plain.index(b"mdat") + 4
    piece = (len(plain) - start) // parts

    def table(start: int) -> bytes:
        number = 4 if version == 2 else 2
        ends = [*range(start, start + piece * parts, piece), start + len(plain) - plain.index(b"mdat") - 4]
        content = bytes([version, 0, 0, 0, offset << 4 | length, base << 4 | (ordinal if version else 0)])
        content += (1).to_bytes(number, "big") + (1).to_bytes(number, "big") + bytes(4 if version else 2)
        content += (start if base else 0).to_bytes(base, "big") + parts.to_bytes(2, "big")
        for one, end in zip(ends[:parts], [*ends[1:parts], ends[-1]], strict=True):
            content += bytes(ordinal if version else 0)
            content += (one - start if base else one).to_bytes(offset, "big") + (end - one).to_bytes(
                length, "big"
            )
        return boxes.made(b"iloc", content)

    grown = len(table(0)) - size
    data = bytearray(plain[:iloc] + table(start + grown) + plain[iloc + size :])
    meta = data.index(b"meta") - 4
    struct.pack_into(">I", data, meta, struct.unpack_from(">I", data, meta)[0] + grown)
    original = bytes(data)
    assert same(original, plain, "AVIF by Pillow")
    out, done = put(original)
    assert done.forms == {"exif": "plain", "xmp": "plain"}
    assert same(out, plain, "AVIF by Pillow")
    with Image.open(io.BytesIO(out)) as image:
        assert image.getexif().get_ifd(0x8769)[0x9286]
    assert "ExifIFD:UserComment" in tags(out, "avif")
    assert restored(out) == original
    assert len(removed(out)) - len(original) in (0, 8)  # see the next test


@pytest.mark.parametrize("length", range(485, 512))
def test_opencv_opens_an_avif_however_long_its_header_is(length: int) -> None:
    """It decides by the first 500 bytes, in which an item of metadata must not be named but not begin.

    A box of 8 bytes, which nothing is in, keeps the end of the box meta out of the last of these.
    """
    plain = get("AVIF by Pillow")
    view = memoryview(plain)
    found = boxes.listed(view)
    meta = heif_items.read(view, found)
    grown = boxes.listed(memoryview(with_labels("AVIF by Pillow")))[1].end
    filler = boxes.made(b"free", bytes(length - grown - 8))
    inner = [Edit(meta.box.end, meta.box.end, filler)]
    data = b"".join(apply(plain, heif_items.relocated(view, found, meta, [], inner, meta.entries, {})))
    out, _ = put(data)
    assert np.array_equal(matrix(out), matrix(plain))
    assert restored(out) == data
    assert len(removed(out)) - len(data) in (0, 8)


def test_labels_of_an_avif_are_found_in_the_beginning_of_the_file() -> None:
    data, _ = put(saved(drawn(size=(500, 500)), "AVIF", quality=90))
    assert len(data) > 60_000
    assert embedding.get(data[:16384]).newest == labelled.newest(data)


@pytest.mark.parametrize("kind", ["AVIF by Pillow", "HEIC by pillow-heif", "JXL, boxes", "JP2 by Pillow"])
def test_a_megabyte_of_labels_is_stored_plain(kind: str) -> None:
    document = b'{"noise":"%b"}' % np.random.default_rng(0).bytes(500_000).hex().encode()
    done = embedding.put(get(kind), Wrapped(document, 1, labelled.TIME))
    out = b"".join(done.pieces)
    assert done.forms == {"exif": "plain", "xmp": "plain"}
    assert len(tags(out, suffix(kind))["ExifIFD:UserComment"]) > 1_000_000
    assert same(out, get(kind), kind)
    assert restored(out) == get(kind)


def test_offsets_that_find_no_room_leave_the_xmp_at_the_end() -> None:
    """Offsets of four bytes, and an item just below 4 GiB."""
    plain = get("AVIF by Pillow")
    view = memoryview(plain)
    meta = heif_items.read(view, boxes.listed(view))
    (entry,) = meta.entries
    ((_, offset, _),) = entry.extents
    at = plain.index(struct.pack(">I", offset), meta.children[b"iloc"].start)
    data = plain[:at] + struct.pack(">I", 2**32 - 16) + plain[at + 4 :]
    with pytest.raises(NoRoomError, match="a number does not fit") as refused:
        heif.edits(memoryview(data), Parts(b"ASCII\0\0\0", xmp.Ours(), None))
    assert refused.value.carrier == "exif"
    (edit,) = heif.edits(memoryview(data), Parts(None, xmp.Ours(), None))
    assert (edit.start, edit.stop) == (len(data), len(data))


def test_an_item_to_the_end_of_the_file_lets_nothing_stand_behind_it() -> None:
    plain = get("AVIF by Pillow")
    view = memoryview(plain)
    ((_, offset, length),) = heif_items.read(view, boxes.listed(view)).entries[0].extents
    place = struct.pack(">II", offset, length)
    data = plain.replace(place, struct.pack(">II", offset, 0))
    with pytest.raises(ValueError, match="item 1 goes on to the end of the file"):
        put(data)


@pytest.mark.parametrize(
    "kind",
    ["AVIF by avifenc of a JPEG", "AVIF, animated", "HEIC, pictures", "JXL by exiftool", "JP2 by exiftool"],
)
def test_a_file_that_is_cut_off_anywhere_raises_nothing_but_value_errors(kind: str) -> None:
    data = with_labels(kind)
    for length in {*range(0, len(data), max(1, len(data) // 1000)), *range(700)}:
        tolerated(data[:length])


@given(
    kind=st.sampled_from(
        ["AVIF by exiftool", "AVIF, animated", "HEIC, pictures", "JXL by exiftool", "JP2, grey"]
    ),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
    front=st.booleans(),
)
@settings(max_examples=400)
def test_mangled_bytes_raise_nothing_but_value_errors(
    kind: str, changes: list[tuple[float, int]], front: bool
) -> None:
    data = bytearray(with_labels(kind))
    for share, value in changes:
        data[int(share * (min(len(data), 900) if front else len(data)))] = value
    tolerated(bytes(data))
