"""Image files decoded by Pillow, which is the defined decoder."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from xlabel.images import Buffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@contextmanager
def opened(data: Buffer) -> Iterator["Image"]:
    """An image file with its first frame decoded; errors as in `reading`."""
    with reading(io.BytesIO(data)) as image:
        image.load()
        yield image


@contextmanager
def reading(file: BinaryIO) -> Iterator["Image"]:
    """An image file of which nothing but the header is read yet.

    ValueError for all that Pillow runs into on broken or huge files, also later, within. Its warnings are not
    shown: what can be decoded is.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file) as image:
                yield image
        except (*_BROKEN, Image.DecompressionBombError) as error:
            raise ValueError(f"the image cannot be decoded: {error}") from None


def displayed(data: Buffer) -> "NDArray[np.uint8]":
    """The first picture of an image file as displayed: height x width x 3, RGB, 8 bits.

    ValueError where it cannot be decoded.
    """
    import numpy as np
    from PIL import ImageOps

    with opened(data) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def fitted(data: Buffer, size: tuple[int, int]) -> "NDArray[np.uint8]":
    """The same at a size (width, height), with black bars where its sides have another ratio.

    A JPEG is decoded at about that size only, which takes a fraction of the time.
    """
    import numpy as np
    from PIL import ImageOps

    with reading(io.BytesIO(data)) as image:
        image.draft("RGB", (min(size), min(size)))
        return np.asarray(ImageOps.pad(ImageOps.exif_transpose(image).convert("RGB"), size))


def png(picture: "NDArray[np.uint8]") -> bytes:
    """A picture as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def beyond_rgb(data: Buffer) -> str | None:
    """What an image has that 8 bits of red, green and blue do not hold: transparency, or finer steps."""
    with opened(data) as image:
        if image.mode not in ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr"):
            return "more than 8 bits a colour"
        if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            return "transparent pixels"
    return None


_BROKEN = (
    OSError, EOFError, ValueError, SyntaxError, RuntimeError, LookupError, TypeError, AttributeError,
    ArithmeticError, AssertionError, MemoryError, struct.error,
)  # fmt: skip
"""What its decoders were seen to raise."""
