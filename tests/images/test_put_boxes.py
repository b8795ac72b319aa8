"""Labels in AVIF, HEIC, JPEG XL and JPEG 2000 files that other tools made, as other tools read them."""

import io
import json
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from tests import labelled
from tests.images import samples
from tests.images.samples.boxes import COMPRESSED, DATA, SIZE, from_jpeg, heic, moving, png, suffix
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
    tags,
)

from xlabel.images import NoRoomError, Parts, boxes, embedding, fingerprint, heif, heif_items, jxl, xmp
from xlabel.images.splice import Edit, apply

every_kind = pytest.mark.parametrize("kind", samples.kinds(*samples.BOXES))


def get(kind: str) -> bytes:
    return samples.original(suffix(kind), kind)


def with_labels(kind: str) -> bytes:
    return samples.with_labels(suffix(kind), kind)


def same(one: bytes, other: bytes, kind: str) -> bool:
    return samples.SAME[suffix(kind)](one, other)


@pytest.mark.parametrize("kind", samples.kinds("avif", "jp2"))
def test_cv2_decodes_the_same(kind: str) -> None:
    assert np.array_equal(matrix(with_labels(kind)), matrix(get(kind)))


@every_kind
def test_exiftool_finds_the_document_and_the_regions(kind: str) -> None:
    found = tags(with_labels(kind), suffix(kind))
    document = labelled.document_of(with_labels(kind))
    assert json.loads(found["XMP-xlabel:Document"])["labels"] == document
    if kind == COMPRESSED:  # which is turned, too
        assert "ExifIFD:UserComment" not in found
    else:
        assert labelled.shown(found) == labelled.UPRIGHT
        assert json.loads(found["ExifIFD:UserComment"])["labels"] == document


@pytest.mark.parametrize("kind", samples.kinds("avif", "heic"))
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
