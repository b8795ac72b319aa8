"""TIFF and BigTIFF files that other tools made."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from tests import labelled
from tests.labelled import by, drawn, edited, matrix, same_picture


def saved(image: Image.Image, **options: Any) -> bytes:
    return labelled.saved(image, "TIFF", **options)


def written(
    pages: int = 1, subifds: int = 0, *, byteorder: str = "<", big: bool = False, **options: Any
) -> bytes:
    """By tifffile, which writes what Pillow does not: each byte order, BigTIFF, tiles, pictures in pages."""
    file = io.BytesIO()
    noise = np.random.default_rng(5).integers(0, 65536, (32, 48), dtype=np.uint16)
    with tifffile.TiffWriter(file, byteorder=byteorder, bigtiff=big) as writer:  # type: ignore[arg-type]
        for page in range(pages):
            writer.write(noise + page, subifds=subifds, photometric="minisblack", **options)
            for step in range(1, subifds + 1):
                writer.write(noise[::step, ::step], photometric="minisblack", subfiletype=1)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    return edited(saved(drawn(), tiffinfo={274: 1}), "tif", f"-Orientation#={orientation}")


def arrays(data: bytes) -> list[Any]:
    """Every page, and every picture in one, as tifffile decodes it."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return [picture.asarray() for page in file.pages for picture in (page, *(page.pages or ()))]


def pillow_reads(data: bytes) -> bool:
    """All but BigTIFF in Motorola's order."""
    return not data.startswith(b"MM\0+")


def same(one: bytes, other: bytes) -> bool:
    """The same pages by Pillow and cv2, and by tifffile what tifffile wrote."""
    if b"tifffile.py" in other:
        pages, others = arrays(one), arrays(other)
        if len(pages) != len(others) or not all(map(np.array_equal, pages, others)):
            return False
    return same_picture(one, other) if pillow_reads(other) else np.array_equal(matrix(one), matrix(other))


PLAIN: dict[str, Callable[[], bytes]] = {
    "colours": lambda: saved(drawn()),
    "a pixel": lambda: saved(drawn(size=(1, 1))),
    "grey": lambda: saved(drawn("L")),
    "palette": lambda: saved(drawn("P")),
    "CMYK": lambda: saved(drawn("CMYK")),
    "transparent": lambda: saved(drawn("RGBA")),
    "fax": lambda: saved(drawn("1"), compression="group4"),
    "LZW": lambda: saved(drawn(), compression="tiff_lzw"),
    "JPEG": lambda: saved(drawn(), compression="jpeg"),
    "pages": lambda: saved(drawn(), save_all=True, append_images=[drawn(seed=2), drawn("L", seed=3)]),
    "an odd end": lambda: saved(drawn()) + b"\0",
    "strips by ImageMagick": lambda: by("convert", saved(drawn(size=(64, 64))), "tif", "IN", "OUT"),
    "16 bits": lambda: written(),
    "Motorola's order": lambda: written(2, byteorder=">"),
    "tiles": lambda: written(tile=(16, 16), compression="zlib", predictor=True),
    "pictures in pages": lambda: written(2, 2),
    "big": lambda: written(3, 1, big=True),
    "big tiles": lambda: written(2, big=True, byteorder=">", tile=(16, 16), compression="zlib"),
}
"""Files without EXIF and XMP."""
WITH: dict[str, Callable[[], bytes]] = {
    "EXIF": lambda: edited(saved(drawn()), "tif", "-Artist=me", "-FNumber=2.8", "-UserComment=a comment"),
    "XMP": lambda: edited(written(2, byteorder=">"), "tif", "-XMP:Title=hello"),
    "EXIF and XMP": lambda: edited(turned(6), "tif", "-XMP:Title=hello", "-FNumber=2.8", "-GPSLatitude=1"),
    "a region of others": lambda: edited(
        saved(drawn()),
        "tif",
        "-ImageRegion={RegionBoundary={RbShape=circle,RbX=.5,RbY=.5,RbRx=.1},RId=r}",
    ),
    "XMP by exiv2": lambda: by("exiv2", saved(drawn()), "tif", "-Mset Xmp.dc.title lang=x-default hi", "IN"),
}
