"""AVIF, HEIC, JPEG XL and JPEG 2000 files that other tools made, each kind named by its container first."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image
from tests.labelled import by, drawn, edited, saved

from xlabel.images import boxes

DATA = Path(__file__).parents[1] / "data"
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


def by_pillow(kind: str) -> bytes:
    return saved(drawn(size=SIZE), kind)


def by_avifenc() -> bytes:
    return from_png("avifenc", "avif", "IN", "OUT")


def by_openjpeg(mode: str = "RGB") -> bytes:
    return from_png("opj_compress", "jp2", "-i", "IN", "-o", "OUT", mode=mode)


def boxed_jxl() -> bytes:
    return from_png("cjxl", "jxl", "--container=1", "IN", "OUT")


def open_ended(data: bytes) -> bytes:
    """The same file with a last box that goes on to the end."""
    last = boxes.listed(memoryview(data))[-1]
    return data[: last.at] + bytes(4) + data[last.at + 4 :]


def suffix(kind: str) -> str:
    """Of its name: the word that each kind begins with."""
    return kind.split()[0].rstrip(",").lower()


def pixels(data: bytes, suffix: str) -> list[Any]:
    """Every picture as another tool decodes it: libavif, libheif, libjxl or OpenJPEG."""
    if suffix == "heic":
        return [np.asarray(picture) for picture in pillow_heif.open_heif(io.BytesIO(data))]
    if suffix == "jxl":
        with Image.open(io.BytesIO(by("djxl", data, "jxl", "IN", "OUT", to="ppm"))) as image:
            return [np.asarray(image)]
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(np.asarray(image).copy())
        return frames


def same(one: bytes, other: bytes, suffix: str) -> bool:
    pairs = zip(pixels(one, suffix), pixels(other, suffix), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


WORDS = ("-Artist=me", "-XMP:Title=hello")
EXIV2 = ("-Mset Exif.Image.Artist Ascii me", "-Mset Xmp.dc.title lang=x-default hello")
PLAIN: dict[str, Callable[[], bytes]] = {
    "AVIF by avifenc": by_avifenc,
    "AVIF by Pillow": lambda: by_pillow("AVIF"),
    "AVIF by heif-enc": lambda: from_png("heif-enc", "avif", "-A", "IN", "-o", "OUT"),
    "AVIF, animated": moving,
    "AVIF, transparent": lambda: saved(drawn("RGBA", SIZE), "AVIF"),
    "AVIF, grid": grid,
    "AVIF, open": lambda: open_ended(by_pillow("AVIF")),
    "HEIC by heif-enc": lambda: from_png("heif-enc", "heic", "IN", "-o", "OUT"),
    "HEIC by pillow-heif": heic,
    "HEIC, pictures": lambda: heic(3),
    "HEIC, cropped": lambda: (DATA / "13x9_in_64x64.heic").read_bytes(),
    "JXL, boxes": boxed_jxl,
    "JXL of a JPEG": lambda: by("cjxl", saved(drawn(size=SIZE), "JPEG"), "jpg", "IN", "OUT", to="jxl"),
    "JXL in parts": lambda: (DATA / "16x8_orientation_6.jxl").read_bytes(),
    "JXL, open": lambda: open_ended(boxed_jxl()),
    "JP2 by OpenJPEG": by_openjpeg,
    "JP2 by Pillow": lambda: by_pillow("JPEG2000"),
    "JP2, grey": lambda: by_openjpeg("L"),
    "JP2, open": lambda: open_ended(by_pillow("JPEG2000")),
}
"""Files without EXIF and XMP."""
WITH: dict[str, Callable[[], bytes]] = {
    "AVIF by avifenc of a JPEG": lambda: from_jpeg("avifenc", "avif", "IN", "OUT"),
    "AVIF by exiftool": lambda: edited(by_pillow("AVIF"), "avif", "-Artist=me", "-XMP:Title=hello"),
    "AVIF, EXIF alone": lambda: edited(by_avifenc(), "avif", "-EXIF:UserComment=words"),
    "HEIC by heif-enc of a JPEG": lambda: from_jpeg("heif-enc", "heic", "IN", "-o", "OUT"),
    "HEIC, XMP alone": lambda: edited(heic(), "heic", "-XMP:Title=hello"),
    "JXL by exiftool": lambda: edited(boxed_jxl(), "jxl", "-Artist=me", "-XMP:Title=hello"),
    "JP2 by exiftool": lambda: edited(by_pillow("JPEG2000"), "jp2", "-Artist=me", "-XMP:Title=hello"),
    "JP2 by exiv2": lambda: by("exiv2", by_openjpeg(), "jp2", *EXIV2, "IN"),
}
COMPRESSED = "JXL in parts"
"""A JPEG by libjxl, which compresses its EXIF; so it stays as it is, and the labels are in the XMP."""
