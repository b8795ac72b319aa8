"""EXIF blocks: comments in every coding, changed without moving anything, and attacks."""

import io
import struct
import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.images import jpegs

from xlabel.images import exif
from xlabel.images.splice import apply

PAYLOAD = exif.ASCII + b'{"xlabel":1,"labels":{}}'
EXIF_IFD, USER_COMMENT, MAKE = 0x8769, 0x9286, 0x010F


def pillow_block(order: str, comment: bytes = b"") -> bytes:
    block = Image.Exif()
    block.endian = order
    block[MAKE] = "Maker"
    if comment:
        block.get_ifd(EXIF_IFD)[USER_COMMENT] = comment
    return block.tobytes().removeprefix(b"Exif\0\0")


def loaded(block: bytes) -> Image.Exif:
    found = Image.Exif()
    found.load(b"Exif\0\0" + block)
    return found


def put(block: bytes, comment: bytes = PAYLOAD, size: tuple[int, int] | None = None) -> bytes:
    return b"".join(apply(block, exif.edits(memoryview(block), comment, size=size)))


def removed(block: bytes) -> bytes | None:
    inner = exif.removal(memoryview(block))
    return None if inner is None else b"".join(apply(block, inner))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("comment", [b"", b"ASCII\0\0\0theirs"])
@pytest.mark.parametrize("size", [None, (64, 48)])
def test_pillow_reads_the_comment_and_all_that_was_there(
    order: str, comment: bytes, size: tuple[int, int] | None
) -> None:
    block = pillow_block(order, comment)
    changed = put(block, size=size)
    found = loaded(changed)
    assert found[MAKE] == "Maker"
    assert found.get_ifd(EXIF_IFD)[USER_COMMENT] == PAYLOAD
    assert changed[8 : len(block)] == block[8:] or comment  # only the pointer in the header has changed
    left = removed(changed)
    assert left is not None
    assert b"xlabel" not in left and loaded(left)[MAKE] == "Maker"
    assert USER_COMMENT not in loaded(left).get_ifd(EXIF_IFD)
    assert removed(pillow_block(order, comment)) == block


@pytest.mark.parametrize("order", "<>")
def test_a_comment_that_was_replaced_comes_back(order: str) -> None:
    for before in (b"ASCII\0\0\0theirs", b"a", b"abcd", bytes(300)):
        ours = exif.ASCII + b'{"xlabel":1,"replaced":"%b","labels":{}}' % b64encode(before)
        left = removed(put(pillow_block(order, before), ours))
        assert left is not None and loaded(left).get_ifd(EXIF_IFD)[USER_COMMENT] == before


def test_a_fresh_block_is_read_by_pillow_and_known_as_ours() -> None:
    block = exif.fresh(PAYLOAD, (64, 48), (3, 118, 119))
    found = loaded(block)
    assert found.get_ifd(EXIF_IFD)[USER_COMMENT] == PAYLOAD
    assert (found[0x011A], found[0x011B], found[0x0128]) == (118, 119, 3)
    assert (found.get_ifd(EXIF_IFD)[0xA002], found.get_ifd(EXIF_IFD)[0xA003]) == (64, 48)
    assert removed(block) is None


@pytest.mark.parametrize(
    ("comment", "order", "text"),
    [
        (b"ASCII\0\0\0a b", "<", "a b"),
        (b"ASCII\0\0\0" + "größe".encode(), "<", "größe"),
        (b"ASCII\0\0\0" + "größe".encode("latin-1"), "<", "größe"),
        (b"UNICODE\0" + "größe".encode("utf-16-le"), "<", "größe"),
        (b"UNICODE\0" + "größe".encode("utf-16-be"), ">", "größe"),
        (b"UNICODE\0" + "größe".encode("utf-16-be"), "<", "größe"),
        (b"UNICODE\0" + "größe".encode("utf-16"), ">", "größe"),
        (b"UNICODE\0" + "猫".encode("utf-16-be"), ">", "猫"),
        (b'UNICODE\0{"a": "gr\xc3\xb6"}', "<", '{"a": "grö"}'),
        (b"JIS\0\0\0\0\0" + "猫".encode("shift_jis"), "<", "猫"),
        (bytes(8) + "größe".encode(), "<", "größe"),
        (b'{"no": "code"}', "<", '{"no": "code"}'),
        (b"ASCII\0\0\0padded \0\0 ", "<", "padded"),
        (b"ASCII\0\0\0" + b" " * 20, "<", None),
        (b"UNICODE\0" + b" \0" * 20, "<", None),
        (bytes(64), "<", None),
        (b"", "<", None),
        (b"abc", "<", "abc"),
    ],
    ids=range(18),
)
def test_a_comment_is_text_in_every_coding_that_tools_write(
    comment: bytes, order: str, text: str | None
) -> None:
    assert exif.text(comment, order) == text


def directory(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


HEAD = b"II*\0\x08\0\0\0"
HOSTILE = {
    "empty": b"",
    "header only": HEAD,
    "no entries": HEAD + directory(),
    "count beyond the block": HEAD + b"\xff\xff" + bytes(40),
    "Exif directory that is the first": HEAD + directory((EXIF_IFD, 4, 1, 8), (USER_COMMENT, 7, 12, 8)),
    "next directory that is the first": HEAD + directory((MAKE, 2, 1, 0), following=8),
    "Exif directory at 0": HEAD + directory((EXIF_IFD, 4, 1, 0)),
    "Exif directory beyond the block": HEAD + directory((EXIF_IFD, 4, 1, 0xFFFFFFFF)),
    "pointer of one byte": HEAD + directory((EXIF_IFD, 1, 1, 8)),
    "pointer of two bytes": HEAD + directory((EXIF_IFD, 3, 1, 26)) + directory((USER_COMMENT, 7, 4, 0)),
    "huge comment": HEAD + directory((EXIF_IFD, 4, 1, 26)) + directory((USER_COMMENT, 7, 0xFFFFFFFF, 8)),
    "comment over its directory": HEAD + directory((USER_COMMENT, 7, 20, 8)),
    "same tag twice": HEAD + directory((EXIF_IFD, 4, 1, 8), (EXIF_IFD, 4, 1, 8)),
    "BigTIFF": b"II+\0\x08\0\0\0\x10" + bytes(7) + b"\xff" * 8,
    "first directory beyond the block": b"MM\0*\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_blocks_are_read_or_refused(name: str) -> None:
    block = HOSTILE[name]
    exif.comment(memoryview(block))
    assert exif.orientation(memoryview(block)) == 1
    data = jpegs.with_segments(jpegs.picture(), jpegs.segment(0xE1, b"Exif\0\0" + block))
    from tests.images.test_put_jpeg import LABELS, annotations, labelled, restored

    from xlabel.images import embedding

    changed, _ = labelled(data)
    assert annotations(embedding.get(changed)) == LABELS and restored(changed) == data


@given(st.data())
def test_mangled_blocks_are_read_or_refused(data: st.DataObject) -> None:
    block = bytearray(put(pillow_block("<", b"ASCII\0\0\0theirs")))
    for _ in range(data.draw(st.integers(1, 4))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    del block[data.draw(st.integers(0, len(block))) :]
    begun = time.process_time()
    exif.comment(memoryview(block))
    for what in (removed, put):
        try:
            what(bytes(block))
        except (ValueError, LookupError, ArithmeticError, struct.error):
            continue
    assert time.process_time() - begun < 1


def test_images_of_pillow_with_the_comment_in_the_first_directory_are_read() -> None:
    block = Image.Exif()
    block[USER_COMMENT] = b"ASCII\0\0\0theirs"
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG", exif=block)
    found = exif.comment(memoryview(block.tobytes().removeprefix(b"Exif\0\0")))
    assert found is not None and exif.text(*found) == "theirs"


def test_a_directory_as_piexif_writes_it_whose_values_begin_at_once_keeps_them() -> None:
    values = 26 + 2 + 2 * 12  # where another writer would put the offset of the next directory
    entries = directory((0x829A, 5, 1, values), (USER_COMMENT, 7, len(PAYLOAD), values + 8))[:-4]
    block = HEAD + directory((EXIF_IFD, 4, 1, 26)) + entries + struct.pack("<II", 1, 250) + PAYLOAD
    left = removed(block)
    assert left is not None and b"xlabel" not in left
    assert loaded(left).get_ifd(EXIF_IFD) == {0x829A: 1 / 250}
    foreign = block.replace(PAYLOAD, b"ASCII\0\0\0theirs".ljust(len(PAYLOAD)))
    assert removed(foreign) == foreign
    assert loaded(put(foreign)).get_ifd(EXIF_IFD) == {0x829A: 1 / 250, USER_COMMENT: PAYLOAD}


def test_entries_out_of_order_and_twice_stay_as_they_stand() -> None:
    odd = directory((0x9207, 3, 1, 1), (0x9003, 3, 1, 2), (0x9207, 3, 1, 3), (0xA405, 3, 1, 4))
    made = put(HEAD + directory((EXIF_IFD, 4, 1, 26)) + odd)
    (at,) = struct.unpack_from("<I", made, 18)
    entries = struct.iter_unpack("<HHII", made[at + 2 : at + 62])
    assert [(tag, value) for tag, _, _, value in entries if tag != USER_COMMENT] == [
        (0x9207, 1),
        (0x9003, 2),
        (0x9207, 3),
        (0xA405, 4),
    ]
