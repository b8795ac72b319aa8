"""PNG files that other tools made."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image, PngImagePlugin
from tests import labelled
from tests.labelled import by, drawn, edited


def saved(image: Image.Image, **options: Any) -> bytes:
    return labelled.saved(image, "PNG", **options)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    return saved(drawn(), exif=exif)


def deep() -> bytes:
    noise = np.random.default_rng(2).integers(0, 65536, (16, 32, 3), dtype=np.uint16)
    return cv2.imencode(".png", noise)[1].tobytes()


def moving() -> bytes:
    return saved(drawn(), save_all=True, append_images=[drawn(seed=2), drawn(seed=3)], duration=40, loop=3)


def texts(**more: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a title")
    info.add_text("Long", "word " * 400, zip=True)
    info.add_itxt("Author", "Jos\u00e9", "pt", "Autor")
    for keyword, text in more.items():
        info.add_text(keyword, text)
    return saved(drawn(), pnginfo=info, dpi=(300, 300))


def from_jpeg(data: bytes) -> bytes:
    """By ImageMagick, which writes EXIF and texts behind the pixels and XMP as a profile."""
    return by("convert", data, "jpg", "IN", "OUT", to="png")


def jpeg() -> bytes:
    data = labelled.saved(drawn(), "JPEG", comment=b"a comment")
    return edited(data, "jpg", "-Artist=me", "-XMP:Title=hello", "-Orientation#=6")


PLAIN: dict[str, Callable[[], bytes]] = {
    "colours": lambda: saved(drawn()),
    "a pixel": lambda: saved(drawn(size=(1, 1))),
    "grey": lambda: saved(drawn("L")),
    "black and white": lambda: saved(drawn("1")),
    "palette": lambda: saved(drawn("P"), transparency=3),
    "transparent": lambda: saved(drawn("RGBA")),
    "16 bits": deep,
    "animated": moving,
    "interlaced": lambda: by("convert", saved(drawn()), "png", "IN", "-interlace", "PNG", "OUT"),
    "texts": texts,
    "a text of ours that is none": lambda: texts(xlabel="a note"),
    "raw profile": lambda: by("exiv2", saved(drawn()), "png", "-Mset Exif.Image.Artist Ascii me", "IN"),
}
"""Files without EXIF and XMP in chunks of their own."""
WITH: dict[str, Callable[[], bytes]] = {
    "EXIF": lambda: turned(1),
    "EXIF by exiftool": lambda: edited(saved(drawn()), "png", "-EXIF:Artist=me"),
    "XMP": lambda: edited(saved(drawn()), "png", "-XMP:Title=hello", "-XMP:Subject=a"),
    "EXIF and XMP": lambda: edited(turned(6), "png", "-XMP:Title=hello", "-Make=other"),
    "XMP by exiv2": lambda: by("exiv2", saved(drawn()), "png", "-Mset Xmp.dc.title lang=x-default hi", "IN"),
    "all behind the pixels": lambda: from_jpeg(jpeg()),
    "a region of others": lambda: edited(
        saved(drawn()),
        "png",
        "-ImageRegion={RegionBoundary={RbShape=circle,RbX=.5,RbY=.5,RbRx=.1},RId=r}",
    ),
}
