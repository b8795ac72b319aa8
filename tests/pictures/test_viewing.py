"""Pictures for a browser, against how Pillow and OpenCV decode the same files."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from xlabel import images
from xlabel.pictures import viewing


def scene(mode: str = "RGB", size: tuple[int, int] = (640, 400)) -> Image.Image:
    """A picture with another colour in each corner."""
    picture = Image.new("RGB", size, (30, 90, 160))
    half = size[0] // 2, size[1] // 2
    picture.paste((220, 40, 40), (0, 0, *half))
    picture.paste((240, 240, 60), (half[0], half[1], *size))
    return picture.convert(mode)


def file_of(picture: Image.Image, kind: str, orientation: int = 1, **how: object) -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    picture.save(file, kind, exif=exif, **how)
    return file.getvalue()


def decoded(data: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_thumbnail_shows_the_picture_as_displayed(kind: str, orientation: int) -> None:
    data = file_of(scene(), kind, orientation)
    small = decoded(viewing.thumbnail(data, 160))
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    assert small.shape[:2] == ((160, 100) if orientation >= 5 else (100, 160))
    wanted = np.asarray(upright.resize((small.shape[1], small.shape[0])), float)
    assert np.abs(small.astype(float) - wanted).mean() < 6


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
def test_every_kind_of_pixel_has_a_thumbnail(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    picture = scene("L").convert("I;16") if mode == "I;16" else scene(mode)
    assert decoded(viewing.thumbnail(file_of(picture, kind), 100)).shape == (63, 100, 3)


def test_a_picture_is_never_made_larger() -> None:
    assert decoded(viewing.thumbnail(file_of(scene(size=(30, 20)), "PNG"), 320)).shape == (20, 30, 3)


def viewed(data: bytes) -> tuple[str, bytes] | None:
    header = images.header(data)
    assert header is not None
    return viewing.viewable(data, header)


@pytest.mark.parametrize(("kind", "orientation"), [("JPEG", 6), ("PNG", 8), ("WEBP", 1), ("BMP", 1)])
def test_what_browsers_show_as_it_should_be_is_sent_as_it_is(kind: str, orientation: int) -> None:
    how = {} if kind == "BMP" else {"orientation": orientation}
    assert viewed(file_of(scene(), kind, **how)) is None


@pytest.mark.parametrize(("kind", "orientation"), [("TIFF", 1), ("TIFF", 5), ("WEBP", 6), ("GIF", 1)])
def test_other_pictures_are_decoded_without_loss(kind: str, orientation: int) -> None:
    picture = scene().quantize() if kind == "GIF" else scene()
    how = {"lossless": True} if kind == "WEBP" else {}
    data = file_of(picture, kind, orientation, **how)
    shown = viewed(data)
    assert shown is not None and shown[0] == "image/png"
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = cv2.imdecode(np.frombuffer(shown[1], np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert np.array_equal(pixels[:, :, ::-1], upright)


def test_of_an_animation_the_first_picture_is_shown() -> None:
    frames = [scene().convert("L").convert("RGB"), scene()]
    shown = viewed(file_of(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:]))
    assert shown is not None
    assert np.array_equal(decoded(shown[1]), np.asarray(frames[0]))


def test_a_huge_picture_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewing, "HUGE", 50_000)
    shown = viewed(file_of(scene(), "JPEG", 6))
    assert shown is not None
    height, width, _ = decoded(shown[1]).shape
    assert height * width <= 50_000 and abs(height / width - 640 / 400) < 0.01


@pytest.mark.parametrize("function", [viewed, lambda data: viewing.thumbnail(data, 64)])
def test_a_broken_picture_is_an_error_that_says_so(function: object) -> None:
    data = file_of(scene(), "TIFF", compression="tiff_deflate")
    broken = data[: len(data) // 2]
    with pytest.raises(ValueError):
        function(broken)  # type: ignore[operator]
