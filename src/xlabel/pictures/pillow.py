"""Image files decoded by Pillow, which is the defined decoder."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from xlabel.images import Buffer

if TYPE_CHECKING:
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


_BROKEN = (
    OSError, EOFError, ValueError, SyntaxError, RuntimeError, LookupError, TypeError, AttributeError,
    ArithmeticError, AssertionError, MemoryError, struct.error,
)  # fmt: skip
"""What its decoders were seen to raise."""
