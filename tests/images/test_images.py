"""What every container promises, driven by the table of signatures; Pillow is the reference."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, UnidentifiedImageError

from xlabel import images
from xlabel.images import Header, ShortError

DATA = Path(__file__).parent / "data"
REAL = Path(__file__).parents[2].parent / "shared" / "real"
TURNED = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
"""Pillow's names of the formats that it writes an orientation into."""


def drawn(mode: str = "RGB", size: tuple[int, int] = (13, 9)) -> Image.Image:
    return Image.linear_gradient("L").resize(size).convert(mode)


def saved(image: Image.Image, kind: str, orientation: int | None = None, **options: Any) -> bytes:
    if orientation is not None:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def samples() -> Iterator[tuple[str, str, bytes]]:
    """Container, what is special, the file."""
    yield "jpeg", "plain", saved(drawn(), "JPEG")
    yield "jpeg", "progressive", saved(drawn("L"), "JPEG", progressive=True, comment=b"c" * 300)
    yield "jpeg", "mpo", saved(drawn(), "MPO", save_all=True, append_images=[drawn("RGB", (5, 4))])
    yield "png", "palette", saved(drawn("P"), "PNG")
    yield "webp", "lossy", saved(drawn(), "WEBP")
    yield "webp", "lossless", saved(drawn("RGBA"), "WEBP", lossless=True)
    yield "webp", "canvas", saved(drawn("RGBA"), "WEBP", xmp=b"<x/>")
    yield "tiff", "little endian", saved(drawn(), "TIFF")
    yield "tiff", "big endian", saved(Image.new("I;16B", (13, 9)), "TIFF")
    yield "tiff", "big", saved(drawn(), "TIFF", big_tiff=True)
    yield "tiff", "pages", saved(drawn(), "TIFF", save_all=True, append_images=[drawn("L")])
    yield "tiff", "deflate", saved(drawn(), "TIFF", compression="tiff_deflate")
    yield "gif", "still", saved(drawn("L"), "GIF")
    yield (
        "gif",
        "animated",
        saved(drawn(), "GIF", save_all=True, append_images=[drawn().rotate(90)], comment="c"),
    )
    yield "bmp", "plain", saved(drawn(), "BMP")
    yield "bmp", "palette", saved(drawn("P"), "BMP")
    yield "heif", "avif", saved(drawn(), "AVIF", xmp=b"<x/>")
    yield "jp2", "boxes", saved(drawn(), "JPEG2000", no_jp2=False)
    for file in sorted(DATA.iterdir()):
        if file.suffix != ".md":
            yield (
                {".heic": "heif", ".j2k": "jp2"}.get(file.suffix, file.suffix[1:]),
                file.name,
                file.read_bytes(),
            )
    for kind in TURNED:
        for orientation in range(1, 9):
            data = saved(drawn(), kind, orientation)
            yield "heif" if kind == "AVIF" else kind.lower(), f"orientation {orientation}", data


SAMPLES = {f"{container}, {name}": data for container, name, data in samples()}

every_sample = pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES.keys())


def whole(data: bytes) -> Header:
    header = images.header(data)
    assert header is not None
    return header


def test_every_container_has_a_sample() -> None:
    assert {name.partition(",")[0] for name in SAMPLES} == set(images.SIGNATURES)
    for name, data in SAMPLES.items():
        module: Any = images.container(data)
        assert module.__name__ == f"xlabel.images.{name.partition(',')[0]}"


@every_sample
def test_kind_and_displayed_size_are_those_that_pillow_shows(data: bytes) -> None:
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        pytest.skip("Pillow does not read it")
    header = whole(data)
    # Pillow names a JPEG of several pictures, and writes JPEG 2000's second part, by their own names
    assert header.mime == {"image/mpo": "image/jpeg", "image/jpx": "image/jp2"}.get(
        image.get_format_mimetype() or "", image.get_format_mimetype()
    )
    assert header.orientation == image.getexif().get(0x0112, 1)
    assert header.displayed == ImageOps.exif_transpose(image).size
    # Pillow has already turned a TIFF when it opens it
    assert image.size == (header.displayed if image.format == "TIFF" else (header.width, header.height))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jxl_has_the_codestreams_orientation(orientation: int) -> None:
    data = (DATA / f"16x8_orientation_{orientation}.jxl").read_bytes()
    assert whole(data) == Header("image/jxl", 16, 8, orientation)


def test_samples_that_pillow_does_not_read_have_the_size_of_their_name() -> None:
    assert whole((DATA / "13x9_bare.jxl").read_bytes()) == Header("image/jxl", 13, 9)
    assert whole((DATA / "13x9_in_64x64.heic").read_bytes()) == Header("image/heic", 13, 9)


@every_sample
def test_a_beginning_gives_the_same_header_or_asks_for_more(data: bytes) -> None:
    header = whole(data)
    for size in range(len(data)):
        try:
            assert images.header(data[:size]) in (header, None)
        except ShortError as error:
            assert size < error.need <= len(data)


@every_sample
def test_asking_for_more_comes_to_an_end(data: bytes) -> None:
    size = 32
    for _ in range(20):
        try:
            assert images.header(data[:size]) == whole(data)
            return
        except ShortError as error:
            size = error.need
    pytest.fail(f"still asks for {size} bytes")


@every_sample
def test_a_whole_file_is_not_cut(data: bytes) -> None:
    assert images.cut(data) is None


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "jxl, 13x9_bare.jxl"])
def test_a_cut_file_has_a_reason(name: str) -> None:
    data = SAMPLES[name]
    silent = [size for size in range(len(data)) if images.cut(data[:size]) is None]
    # a picture of several is whole where the first one ends, a box file where a dispensable box begins
    assert len(silent) <= (len(data) if "mpo" in name else 1), silent


@every_sample
def test_bytes_behind_the_end_are_no_cut(data: bytes) -> None:
    assert images.cut(data + bytes(40)) is None


@every_sample
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do_and_none_is_held(data: bytes, kind: Callable[[bytes], images.Buffer]) -> None:
    assert images.header(kind(data)) == whole(data)
    buffer = bytearray(data)
    images.header(buffer)
    images.cut(buffer)
    buffer.clear()  # BufferError while a view of it is alive


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"BM is a text",
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
        b"{}" * 20,
    ],
)
def test_other_files_are_no_images(data: bytes) -> None:
    assert images.header(data) is None
    assert images.container(data) is None
    assert images.cut(data) == "no signature of an image file"


def tolerated(data: bytes) -> None:
    try:
        images.header(data)
    except ShortError as error:
        assert error.need > len(data)
    except ValueError as error:
        assert str(error)
    images.cut(data)


@settings(max_examples=3000, deadline=None)
@given(
    data=st.sampled_from(list(SAMPLES.values())),
    changes=st.lists(
        st.tuples(st.integers(2, 400), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)),
        max_size=8,
    ),
    end=st.none() | st.integers(0, 600),
)
def test_mangled_bytes_raise_nothing_but_value_error(
    data: bytes, changes: list[tuple[int, int]], end: int | None
) -> None:
    mangled = bytearray(data)
    for at, value in changes:
        mangled[at % len(mangled)] = value
    tolerated(bytes(mangled[:end]))


@settings(max_examples=1000, deadline=None)
@given(
    beginning=st.sampled_from([data[:size] for data in SAMPLES.values() for size in (12, 20, 32, 64)]),
    rest=st.binary(max_size=200) | st.binary(max_size=8).map(lambda piece: piece * 30),
)
def test_noise_behind_a_signature_raises_nothing_but_value_error(beginning: bytes, rest: bytes) -> None:
    tolerated(beginning + rest)


def real() -> list[Path]:
    folders = (REAL / "exif_orientation", REAL / "raccoon_voc" / "images")
    return [file for folder in folders for file in sorted(folder.glob("*.jpg"))]


@pytest.mark.skipif(not real(), reason="the shared real files are not here")
def test_real_files_are_as_pillow_shows_them() -> None:
    for file in real():
        data = file.read_bytes()
        with Image.open(file) as image:
            header = whole(data)
            assert (header.width, header.height) == image.size
            assert header.displayed == ImageOps.exif_transpose(image).size
            assert header.orientation == (image.getexif().get(0x0112) or 1)  # one of them says 0
        assert images.cut(data) is None
        assert images.cut(data[: len(data) // 2])
