"""Pictures for training: an image file as an array in RGB, as displayed.

JPEG by simplejpeg, which is libjpeg-turbo without anything around it; all else, and JPEGs that it refuses, by
Pillow. Both give the pixels of libjpeg-turbo's defaults, so a JPEG looks the same as in cv2 and Pillow.
"""

from typing import TYPE_CHECKING, Any

from xlabel.errors import extra
from xlabel.images import Buffer
from xlabel.model.geometry import turned
from xlabel.pictures.pillow import opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_JPEG = b"\xff\xd8\xff"


def rgb(data: Buffer, orientation: int) -> "NDArray[np.uint8]":
    """Height x width x 3 bytes; a view that is not contiguous where the picture is turned.

    `orientation` is that of a JPEG; other files say theirs themselves. Transparency is left out, of 16 bits
    the upper 8 are taken. ValueError where the picture cannot be decoded to its end.
    """
    if bytes(data[:3]) == _JPEG:
        with extra("torch", "decoded images"):
            from simplejpeg import decode_jpeg
        try:
            return turned(decode_jpeg(data), orientation)
        except ValueError:
            pass  # of a kind that it does not know, or damaged: Pillow tells which
    return _by_pillow(data)


def _by_pillow(data: Buffer) -> "NDArray[np.uint8]":
    import numpy as np
    from PIL import ImageOps

    with opened(data) as image:
        picture = ImageOps.exif_transpose(image)
        picture.load()
    if picture.mode.startswith("I"):
        array: NDArray[Any] = (np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(array[:, :, None], 3, axis=2)
    found = np.array(picture.convert("RGB"))
    return found
