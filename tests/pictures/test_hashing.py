"""Fingerprints: what leaves them equal and what does not, as other tools change the picture."""

import io
import math
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.images.jpegs import jpeg, picture, turned
from xxhash import xxh3_128_hexdigest

from xlabel.images import fingerprint
from xlabel.pictures import hashing, matching


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Soft shapes and a gradient, as far as that is like a photograph."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:1:240j, 0:1:320j]
    grey = 90 * (random.random() * rows + random.random() * columns)
    for x, y, radius, light in random.random((9, 4)):
        grey += (
            120
            * (light - 0.5)
            * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (0.02 + radius * radius / 9))
        )
    return Image.fromarray(np.clip(grey + 60, 0, 255).astype(np.uint8)).convert("RGB").resize(size)


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_pixels_are_hashed_as_the_specification_says() -> None:
    with Image.open(io.BytesIO(picture())) as image:
        assert hashing.pixels(picture()) == xxh3_128_hexdigest(b"RGB 96x64 " + image.tobytes())


@pytest.mark.parametrize("options", [["-progressive"], ["-optimize"], ["-arithmetic"], ["-restart", "1"]])
def test_pixels_stay_where_jpegtran_writes_the_same_coefficients_anew(options: list[str]) -> None:
    data = jpeg("plain")
    again = turned(data, *options)
    assert fingerprint.stream(again) != fingerprint.stream(data)
    assert hashing.pixels(again) == hashing.pixels(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_pixels_stay_where_a_jpeg_is_saved_without_loss(kind: str) -> None:
    with Image.open(io.BytesIO(picture())) as image:
        assert hashing.pixels(saved(image, kind)) == hashing.pixels(picture())


def test_other_pixels_have_another_hash() -> None:
    images = [scene(1), scene(2), scene(1, (240, 320)), scene(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    one = scene(1)
    one.putpixel((0, 0), (1, 2, 3))
    hashes = {hashing.pixels(saved(image, "PNG")) for image in [*images, one, scene(1).convert("L")]}
    assert len(hashes) == 6


def test_the_perceptual_hash_is_that_of_a_cosine_transform_written_out() -> None:
    with Image.open(io.BytesIO(saved(scene(3)))) as image:
        grey = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.LANCZOS), float)
    terms = [
        sum(
            math.cos(math.pi * (2 * y + 1) * v / 128)
            * sum(math.cos(math.pi * (2 * x + 1) * u / 128) * grey[y, x] for x in range(64))
            for y in range(64)
        )
        for v in range(16)
        for u in range(16)
    ]
    bits = "".join("1" if term > np.median(terms) else "0" for term in terms)
    assert hashing.distance(hashing.perceptual(saved(scene(3))), f"{int(bits, 2):064x}") <= 1


@pytest.mark.parametrize("seed", range(5))
def test_alike_pictures_are_near_and_others_are_far(seed: int) -> None:
    image = scene(seed)
    base = hashing.perceptual(saved(image))
    alike = [
        saved(image, quality=40),
        saved(image.resize((160, 120))),
        saved(image.resize((640, 480)), "PNG"),
        saved(image.convert("L")),
        saved(ImageEnhance.Brightness(image).enhance(1.1)),
    ]
    near = [hashing.distance(base, hashing.perceptual(data)) for data in alike]
    others = [scene(other) for other in range(20, 40)] + [image.rotate(180)]
    far = [hashing.distance(base, hashing.perceptual(saved(other))) for other in others]
    assert max(near) < min(far) and min(far) > 40, (near, far)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", picture()[:400], b"no picture at all"])
def test_what_cannot_be_decoded_has_no_fingerprint_of_pixels(data: bytes) -> None:
    for hashed in (hashing.pixels, hashing.perceptual):
        with pytest.raises(ValueError, match="cannot be decoded"):
            hashed(data)


def test_a_broken_later_frame_is_told_as_one_in_the_first() -> None:
    data = saved(scene(1).quantize(), "GIF", save_all=True, append_images=[scene(2).quantize()])
    at = data.rindex(struct.pack("<B4H", 0x2C, 0, 0, 320, 240))
    huge = data[: at + 5] + b"\xff\xff\xff\xff" + data[at + 9 :]
    for decode in (hashing.pixels, matching.decode):
        assert decode(data)
        with pytest.raises(ValueError, match="exceeds limit"):
            decode(huge)
