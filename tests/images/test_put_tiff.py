"""Labels in the bytes of TIFF and BigTIFF files that other tools made, as other tools read them."""

import io
import json
import mmap
import re
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests import labelled
from tests.images import samples
from tests.images.samples.tiff import PLAIN, arrays, pillow_reads, saved, turned, written
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

from xlabel.images import NoRoomError, Parts, embedding, fingerprint, tiff, xmp

original, with_labels = partial(samples.original, "tif"), partial(samples.with_labels, "tif")
every_kind = pytest.mark.parametrize("kind", samples.kinds("tif"))


@every_kind
def test_all_but_one_offset_stays_and_the_rest_stands_behind(kind: str) -> None:
    before, after = original(kind), with_labels(kind)
    first, width = (8, 8) if before[2:4] in (b"+\0", b"\0+") else (4, 4)
    assert after[:first] == before[:first]
    assert after[first + width : len(before)] == before[first + width :]


@every_kind
def test_libtiff_finds_the_same_pages(kind: str) -> None:
    def pages(data: bytes) -> list[str]:
        printed = said("tiffinfo", data, "tif", "IN")
        kept = re.sub(r" at offset \S+| \(\S+\)|.*(EXIF|Exif|UserComment|XMP|xpacket|<|>).*\n", "", printed)
        return [line for line in kept.splitlines() if "IFD Offset" not in line]

    directories = [
        said("tiffdump", f(kind), "tif", "IN").count("Directory ") for f in (original, with_labels)
    ]
    assert directories[0] == directories[1] >= 1
    before, after = pages(original(kind)), pages(with_labels(kind))
    assert [line for line in before if line not in after] == []


@every_kind
def test_readers_find_the_document_and_the_regions(kind: str) -> None:
    found = tags(with_labels(kind), "tif")
    payload = found.get("ExifIFD:UserComment") or found["ExifOffset:UserComment"]
    assert json.loads(payload)["labels"] == labelled.document_of(with_labels(kind))
    assert json.loads(found["XMP-xlabel:Document"]) == json.loads(payload)
    if kind != "EXIF and XMP":  # which is turned
        assert labelled.shown(found)[-5:] == labelled.UPRIGHT
    if not pillow_reads(with_labels(kind)):
        return
    with Image.open(io.BytesIO(with_labels(kind))) as image:
        assert image.getexif().get_ifd(0x8769)[0x9286] == b"ASCII\0\0\0" + payload.encode()
        assert xmp.document(image.info["xmp"]) == payload.encode()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_are_of_the_stored_image_and_the_document_of_the_displayed_one(orientation: int) -> None:
    data, _ = put(turned(orientation))
    width, height = (16, 32) if orientation >= 5 else (32, 16)
    box = (width // 8, height // 4, width // 8 + width // 2, height // 4 + height // 4)
    x, y, w, h = labelled.shown(tags(data, "tif"))[0][1]
    stored = np.zeros((16, 32), np.uint8)
    stored[round(y * 16) : round((y + h) * 16), round(x * 32) : round((x + w) * 32)] = 255
    file = io.BytesIO()
    tifffile.imwrite(file, stored, extratags=[(274, "H", 1, orientation, True)])
    with Image.open(file) as image:  # Pillow turns a TIFF when it loads it
        image.load()
        assert image.getbbox() == box
    document = labelled.document_of(data)
    assert document["image"].get("orientation", 1) == orientation
    assert document["annotations"][0]["bbox"] == [box[0], box[1], box[2] - box[0], box[3] - box[1]]


@pytest.mark.parametrize("kind", PLAIN)
def test_taking_out_ours_without_the_record_leaves_only_zeros(kind: str) -> None:
    left = removed(with_labels(kind))
    assert tags(left, "tif") == tags(original(kind), "tif")
    assert np.array_equal(matrix(left), matrix(original(kind)))
    assert b"xlabel" not in left
    assert len(left) == len(with_labels(kind))


@pytest.mark.parametrize("kind", ["colours", "LZW", "pages", "Motorola's order", "big", "EXIF and XMP"])
@pytest.mark.parametrize(
    "command",
    [("tiffset", "-s", "315", "someone", "IN"), ("exiv2", "-Mset Exif.Image.Artist Ascii someone", "IN")],
    ids=lambda command: str(command[0]),
)
def test_labels_outlive_other_tools_and_go_without_a_trace(kind: str, command: tuple[str, ...]) -> None:
    if (kind, command[0]) == ("big", "exiv2"):
        pytest.skip("exiv2 does not write BigTIFF")
    changed = by(command[0], with_labels(kind), "tif", *command[1:])
    assert labelled.document_of(changed) == labelled.document_of(with_labels(kind))
    left = removed(changed)
    assert embedding.get(left).copies == []
    found = tags(left, "tif")
    assert found["IFD0:Artist"] == "someone"
    assert "xlabel" not in json.dumps(found)


@pytest.mark.parametrize("kind", ["colours", "palette", "JPEG", "pages", "Motorola's order", "tiles", "EXIF"])
def test_the_stream_stays_where_tools_leave_the_picture_alone(kind: str) -> None:
    data = original(kind)
    same = fingerprint.stream(data)
    assert fingerprint.stream(with_labels(kind)) == same
    assert fingerprint.stream(by("tiffset", data, "tif", "-s", "315", "someone", "IN")) == same
    assert fingerprint.stream(edited(data, "tif", "-Artist=me", "-Orientation#=3")) == same
    assert fingerprint.stream(by("exiv2", data, "tif", "-Mset Exif.Image.Artist Ascii x", "IN")) == same


def test_the_stream_follows_the_pixels_of_each_page_and_picture_and_what_they_mean() -> None:
    pictures = [
        saved(drawn()),
        saved(drawn(seed=2)),
        saved(drawn("L")),
        saved(drawn(), compression="tiff_lzw"),
        saved(drawn(), save_all=True, append_images=[drawn(seed=2)]),
        saved(drawn(), save_all=True, append_images=[drawn(seed=3)]),
        saved(drawn("P")),
        written(1, 1),
        written(1, 2),
        by("tiffset", saved(drawn("L")), "tif", "-s", "262", "0", "IN"),  # white is zero
        by("tiffset", saved(drawn("L", (32, 16))), "tif", "-s", "256", "16", "IN"),
    ]
    assert len({fingerprint.stream(data) for data in pictures}) == len(pictures)


def test_a_packet_that_cannot_be_changed_is_left_alone() -> None:
    data = saved(drawn(), tiffinfo={700: b"no packet at all"})
    out, done = put(data)
    assert done.forms["exif"] == "plain"
    assert "XMP is left alone" in done.forms["xmp"]
    assert restored(out) == data
    with Image.open(io.BytesIO(out)) as image:
        assert image.tag_v2[700] == b"no packet at all"  # type: ignore[attr-defined]


@pytest.mark.parametrize("pages", [1, 2])
def test_a_chain_that_leads_back_to_the_first_page_gets_no_further_page(pages: int) -> None:
    data = bytearray(written(pages))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        first, last = file.pages[0].offset, file.pages[-1].offset
    (entries,) = struct.unpack_from("<H", data, last)
    struct.pack_into("<I", data, last + 2 + 12 * entries, first)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == pages  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="names the first one"):
        put(bytes(data))


def test_two_entries_of_one_tag_of_which_readers_take_either_are_left_alone() -> None:
    data = bytearray(saved(drawn("L")))
    (first,) = struct.unpack_from("<I", data, 4)
    at = bytes(data).index(struct.pack("<HH", 259, 3), first)
    struct.pack_into("<H", data, at, 258)  # Compression is a second BitsPerSample
    with pytest.raises(ValueError, match="two entries of one tag"):
        put(bytes(data))


def test_a_classic_file_does_not_grow_over_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    path.write_bytes(saved(drawn()))
    most = 2**32 - 1
    ours = Parts(b"ASCII\0\0\0" + bytes(1000), None, None)
    with path.open("r+b") as file:
        file.truncate(most - 1600)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
            changes = tiff.edits(view, ours)
            assert most - 500 < len(view) + len(changes[-1].data) <= most
            with pytest.raises(
                NoRoomError, match=r"4,294,965,695 bytes and .* holds 4,294,967,295"
            ) as refused:
                tiff.edits(view, ours._replace(ours=xmp.Ours(document=bytes(1000))))
            assert refused.value.carrier == "xmp"
            with pytest.raises(NoRoomError) as refused:
                tiff.edits(view, ours._replace(comment=bytes(2000)))
            assert refused.value.carrier == "exif"


def test_labels_in_a_large_file_are_found_by_its_last_pages(tmp_path: Path) -> None:
    data = written(big=True)
    path = tmp_path / "large.tif"
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(6 * 2**30)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
            comment = b"ASCII\0\0\0" + b'{"xlabel":1}'
            changes = tiff.edits(view, Parts(comment, None, None))
    with path.open("r+b") as file:
        for start, _, new in changes:
            file.seek(start)
            file.write(new)
        file.flush()
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
            assert tiff.find(view).comment == (comment, "<")
    with tifffile.TiffFile(path) as pages:
        assert np.array_equal(pages.asarray(), arrays(data)[0])
        assert pages.pages.first.tags["ExifTag"].value["UserComment"]


def test_strips_that_are_named_again_and_again_are_refused() -> None:
    data = bytearray(saved(Image.new("L", (1, 4000)), tiffinfo={278: 1}))
    with Image.open(io.BytesIO(data)) as image:
        count = len(image.tag_v2[279])  # type: ignore[attr-defined]
    form = struct.Struct(f"<{count}I")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offsets, sizes = (file.pages.first.tags[tag] for tag in (273, 279))
        assert offsets.dtype == sizes.dtype == 4
        form.pack_into(data, offsets.valueoffset, *[0] * count)
        form.pack_into(data, sizes.valueoffset, *[len(data) // 2] * count)
    with pytest.raises(ValueError, match="again and again"):
        fingerprint.stream(bytes(data))
