"""WebP files that other tools made."""

import struct
from collections.abc import Callable
from typing import Any

from PIL import Image
from tests import labelled
from tests.labelled import by, drawn, edited


def saved(image: Image.Image, **options: Any) -> bytes:
    return labelled.saved(image, "WEBP", **options)


def turned(orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    return saved(drawn(), exif=exif, **options)


def moving(**options: Any) -> bytes:
    others = [drawn(seed=2), drawn(seed=3)]
    return saved(drawn(), save_all=True, append_images=others, duration=40, loop=3, **options)


def by_cwebp(*options: str) -> bytes:
    jpeg = labelled.saved(drawn(size=(31, 15)), "JPEG", quality=90)
    return by(
        "cwebp",
        edited(jpeg, "jpg", "-Artist=me"),
        "jpg",
        "-quiet",
        *options,
        "IN",
        "-o",
        "OUT",
        to="webp",
    )


def by_gif2webp() -> bytes:
    frames = [drawn(seed=2), drawn(seed=3)]
    gif = labelled.saved(drawn(), "GIF", save_all=True, append_images=frames, duration=40)
    return by("gif2webp", gif, "gif", "-quiet", "IN", "-o", "OUT", to="webp")


def with_prefix() -> bytes:
    r"""EXIF that begins with `Exif\0\0`, as in a JPEG; Pillow leaves that out, other tools did not."""
    data = turned(1)
    at = data.index(b"EXIF")
    (size,) = struct.unpack_from("<I", data, at + 4)
    parts = (
        data[8:at],
        b"EXIF",
        struct.pack("<I", size + 6),
        b"Exif\0\0",
        data[at + 8 :],
    )
    return data[:4] + struct.pack("<I", len(data) - 2) + b"".join(parts)


def chunks(data: bytes) -> list[tuple[str, bytes]]:
    """What the file is made of, by its own reading of the specification."""
    assert data[:4] == b"RIFF"
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    found, at = [], 12
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        found.append((data[at : at + 4].decode(), data[at + 8 : at + 8 + size]))
        assert size % 2 == 0 or data[at + 8 + size] == 0
        at += 8 + size + size % 2
    return found


def same(one: bytes, other: bytes) -> bool:
    """The same pictures, and chunks as they are specified."""
    return bool(chunks(one)) and labelled.same_picture(one, other)


SIMPLE: dict[str, Callable[[], bytes]] = {
    "lossy": lambda: saved(drawn()),
    "lossless": lambda: saved(drawn(), lossless=True),
    "lossless, transparent": lambda: saved(drawn("RGBA"), lossless=True),
    "a pixel": lambda: saved(drawn(size=(1, 1))),
    "odd sides": lambda: by_cwebp(),
}
EXTENDED: dict[str, Callable[[], bytes]] = {
    "lossy, transparent": lambda: saved(drawn("RGBA")),
    "profile": lambda: saved(drawn(), icc_profile=b"profile" * 31),
    "animated": moving,
    "animated by gif2webp": by_gif2webp,
}
PLAIN = SIMPLE | EXTENDED
WITH: dict[str, Callable[[], bytes]] = {
    "EXIF": lambda: turned(1),
    "EXIF with a prefix": with_prefix,
    "EXIF by cwebp": lambda: by_cwebp("-metadata", "all"),
    "EXIF by exiftool": lambda: edited(saved(drawn()), "webp", "-EXIF:Artist=me"),
    "XMP": lambda: edited(saved(drawn()), "webp", "-XMP:Title=hello"),
    "XMP, a byte longer": lambda: edited(saved(drawn()), "webp", "-XMP:Title=hello!"),
    "XMP by exiv2": lambda: by("exiv2", saved(drawn()), "webp", "-Mset Xmp.dc.title lang=x-default hi", "IN"),
    "EXIF and XMP": lambda: edited(turned(6), "webp", "-XMP:Title=hello"),
    "EXIF, XMP and profile": lambda: edited(turned(1, icc_profile=b"p" * 99), "webp", "-XMP:Title=hello"),
    "animated, with EXIF": lambda: edited(moving(), "webp", "-EXIF:Artist=me"),
}
