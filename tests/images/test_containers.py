"""What only some containers can get wrong, by example."""

import io
import itertools
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xlabel import images
from xlabel.images import Header, ShortError, exif

TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What `ImageOps.exif_transpose` does for an orientation."""


def saved(kind: str, size: tuple[int, int] = (13, 9), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, kind, **options)
    return file.getvalue()


def packet(order: str, kind: int, value: int, count: int = 1) -> bytes:
    """An EXIF packet with one tag, the orientation."""
    code = {1: "Bxxx", 3: "Hxx", 4: "I"}[kind]
    magic = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    return magic + struct.pack(f"{order}HHHI{code}I", 1, 0x0112, kind, count, value, 0)


def box(kind: bytes, *content: bytes) -> bytes:
    inner = b"".join(content)
    return struct.pack(">I4s", 8 + len(inner), kind) + inner


def heif(*properties: bytes, brands: bytes = b"mif1\0\0\0\0mif1heic") -> bytes:
    """ISO/IEC 23008-12: one item, all properties its own."""
    associations = bytes([len(properties), *(0x80 | number for number in range(1, len(properties) + 1))])
    meta = box(
        b"meta",
        bytes(4),
        box(b"pitm", bytes(4), struct.pack(">H", 7)),
        box(
            b"iprp",
            box(b"ipco", *properties),
            box(b"ipma", bytes(4), struct.pack(">IH", 2, 6), b"\x01\x00", struct.pack(">H", 7), associations),
        ),
    )
    return box(b"ftyp", brands) + meta + box(b"mdat", b"pixels")


ISPE = box(b"ispe", struct.pack(">III", 0, 64, 48))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("value", range(1, 9))
def test_an_orientation_is_read_in_either_byte_order(order: str, kind: int, value: int) -> None:
    assert exif.orientation(memoryview(packet(order, kind, value))) == value
    assert exif.orientation(memoryview(b"Exif\0\0" + packet(order, kind, value))) == value


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value", [0, 9, 65537, 0x06000000, 0xFFFFFFFF])
def test_an_illegal_orientation_means_1(order: str, value: int) -> None:
    stated = exif.orientation(memoryview(packet(order, 4, value)))
    short = exif.orientation(memoryview(packet(order, 3, value & 0xFF00)))
    assert (stated, short) == (value, value & 0xFF00)
    assert [Header("image/jpeg", 13, 9, number).orientation for number in (stated, short)] == [1, 1]
    assert exif.orientation(memoryview(packet(order, 3, 6, count=0xFFFFFFFF))) == 1


def test_a_broken_packet_means_1() -> None:
    good = packet("<", 3, 6)
    for size in range(len(good) - 4):
        assert exif.orientation(memoryview(good[:size])) == (6 if size >= 22 else 1)
    itself = b"II*\0" + struct.pack("<IH", 0, 65535)
    assert exif.orientation(memoryview(itself)) == 1
    far = b"II*\0" + struct.pack("<I", 0xFFFFFFFF)
    assert exif.orientation(memoryview(far)) == 1


def test_a_jpeg_may_hold_fill_bytes_and_junk_between_its_segments() -> None:
    data = saved("JPEG")
    assert images.header(data[:2] + b"\xff" * 7 + data[2:]) == Header("image/jpeg", 13, 9)
    app0 = 4 + int.from_bytes(data[4:6])
    assert images.header(data[:app0] + b"\0junk\xff\0" + data[app0:]) == Header("image/jpeg", 13, 9)
    assert images.cut(data[:app0] + b"\0junk\xff\0" + data[app0:]) is None


def test_a_jpeg_of_nothing_but_fill_bytes_asks_for_more() -> None:
    with pytest.raises(ShortError):
        images.header(b"\xff\xd8" + b"\xff" * 1_000_000 + b"\0")


def test_a_jpeg_without_height_is_refused() -> None:
    data = saved("JPEG")
    at = data.index(b"\xff\xc0") + 5
    with pytest.raises(ValueError, match=r"^states a size of 13 x 0$"):
        images.header(data[:at] + b"\0\0" + data[at + 2 :])


def test_the_thumbnails_end_does_not_end_a_jpeg() -> None:
    thumbnail = b"Exif\0\0" + packet(">", 3, 8) + saved("JPEG", (4, 3))
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    data = saved("JPEG")
    data = data[:2] + segment + data[2:]
    assert images.header(data) == Header("image/jpeg", 13, 9, 8)
    assert data[: 2 + len(segment)].endswith(b"\xff\xd9")
    for size in (2 + len(segment), len(data) - 3, len(data) - 1):
        assert images.cut(data[:size])
    assert images.cut(data) is None


def test_a_png_with_exif_behind_its_pixels_is_taken_as_upright() -> None:
    data = saved("PNG")
    chunk = packet("<", 3, 6)
    late = data[:-12] + struct.pack(">I", len(chunk)) + b"eXIf" + chunk + bytes(4) + data[-12:]
    assert images.header(late) == Header("image/png", 13, 9)


def test_a_png_of_no_size_is_refused() -> None:
    data = saved("PNG")
    with pytest.raises(ValueError, match=r"^states a size of 0 x 20$"):
        images.header(data[:16] + struct.pack(">II", 0, 20) + data[24:])
    with pytest.raises(ValueError, match="4294967295"):
        images.header(data[:16] + b"\xff" * 8 + data[24:])


def test_a_webp_that_announces_exif_is_needed_whole() -> None:
    data = saved("WEBP", exif=packet("<", 3, 6))
    with pytest.raises(ShortError) as caught:
        images.header(data[:64])
    assert caught.value.need == len(data)
    assert images.header(data) == Header("image/webp", 13, 9, 6)


def test_a_bmp_may_run_downwards_or_be_of_os2() -> None:
    data = saved("BMP")
    turned = data[:22] + struct.pack("<i", -9) + data[26:]
    assert images.header(turned) == Header("image/bmp", 13, 9)
    assert images.cut(turned) is None
    core = b"BM" + struct.pack("<IHHIIHHHH", 26 + 40 * 9, 0, 0, 26, 12, 13, 9, 1, 24) + bytes(40 * 9)
    with Image.open(io.BytesIO(core)) as image:
        assert image.size == (13, 9)
    assert images.header(core) == Header("image/bmp", 13, 9)
    assert images.cut(core) is None
    assert images.cut(core[:-1]) == "the pixels end at byte 386, the file at byte 385"


def test_a_bmp_with_a_wrong_file_size_is_whole() -> None:
    data = saved("BMP")
    assert images.cut(data[:2] + struct.pack("<I", 999_999) + data[6:]) is None


@pytest.mark.parametrize("length", range(4))
def test_heif_turns_are_applied_in_their_order(length: int) -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    turns = [(b"irot", angle) for angle in range(4)] + [(b"imir", axis) for axis in range(2)]
    for chosen in itertools.product(turns, repeat=length):
        shown = stored
        for kind, value in chosen:
            shown = np.rot90(shown, value) if kind == b"irot" else np.flip(shown, value)
        header = images.header(heif(ISPE, *(box(kind, bytes([value])) for kind, value in chosen)))
        assert header is not None
        transpose = TRANSPOSED.get(header.orientation)
        image = Image.fromarray(stored)
        turned = image if transpose is None else image.transpose(transpose)
        assert np.array_equal(np.asarray(turned), shown)


def test_a_heif_file_shows_its_clean_aperture() -> None:
    clap = box(b"clap", struct.pack(">8I", 63, 1, 47, 1, 0, 1, 0, 1))
    assert images.header(heif(ISPE, clap, box(b"irot", b"\1"))) == Header("image/heic", 63, 47, 8)


def test_a_heif_file_is_what_its_first_telling_brand_says() -> None:
    for brands, mime in (
        (b"avif\0\0\0\0mif1heic", "image/avif"),
        (b"heic\0\0\0\0mif1avif", "image/heic"),
        (b"mif1\0\0\0\0miafavif", "image/avif"),
    ):
        assert images.header(heif(ISPE, brands=brands)) == Header(mime, 64, 48)
    with pytest.raises(ValueError, match=r"^expected a brand of AVIF or HEIC, found b'mif1 jpeg'$"):
        images.header(heif(ISPE, brands=b"mif1\0\0\0\0jpeg"))


def test_a_box_may_state_a_large_size_or_none() -> None:
    data = heif(ISPE)
    endless = data[:-14] + struct.pack(">I4s", 0, b"mdat") + b"pixels"
    large = data[:-14] + struct.pack(">I4sQ", 1, b"mdat", 22) + b"pixels"
    for changed in (endless, large):
        assert images.header(changed) == Header("image/heic", 64, 48)
        assert images.cut(changed) is None
    assert (
        images.cut(large[:-1]) == f"box b'mdat' ends at byte {len(large)}, the file at byte {len(large) - 1}"
    )


@pytest.mark.parametrize(
    ("size", "begins"),
    # the first bytes that libjxl 0.11.2 (imagecodecs 2026.3.6) writes for a black picture of that size
    [
        ((13, 9), "ff0a40401009080201009802"),
        ((256, 8), "ff0a013e880408020100a802"),
        ((1200, 1000), "ff0a3a1f0291080201008002"),
        ((400, 300), "ff0a58391009080201008002"),
        ((600, 400), "ff0a784c1009080201008002"),
        ((1600, 900), "ff0a1a1c0591080201008002"),
        ((500, 400), "ff0a786c1009080201008002"),
        ((1000, 500), "ff0a987f1009080201008002"),
        ((1, 1), "ff0a00101009080201008402"),
        ((513, 1), "ff0a00800004880408020100"),
        ((9000, 3), "ff0a10004f46009108020100"),
        ((3, 9000), "ff0a3c190108009108020100"),
        ((512, 512), "ff0af81f1009080201008002"),
    ],
)
def test_a_jxl_states_its_sides_or_their_ratio(size: tuple[int, int], begins: str) -> None:
    assert images.header(bytes.fromhex(begins)) == Header("image/jxl", *size)


def test_a_tiff_whose_strips_are_missing_is_cut() -> None:
    data = saved("TIFF")
    end = len(data)
    reason = f"what the directory at byte 8 names ends at byte {end}, the file at byte {end - 1}"
    assert images.cut(data[:-1]) == reason


def test_a_tiff_that_goes_round_in_circles_comes_to_an_end() -> None:
    data = bytearray(saved("TIFF"))
    following = 8 + 2 + 12 * int.from_bytes(data[8:10], "little")
    data[following : following + 4] = struct.pack("<I", 8)
    assert images.cut(data) is None


def test_a_tiff_is_not_refused_for_its_orientation() -> None:
    data = bytearray(saved("TIFF", tiffinfo={0x0112: 6}))
    assert images.header(data) == Header("image/tiff", 13, 9, 6)
    at = data.index(struct.pack("<HHI", 0x0112, 3, 1))
    data[at + 4] = 2
    assert images.header(data) == Header("image/tiff", 13, 9)
