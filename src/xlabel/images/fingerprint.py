"""Fingerprints bind labels to the image that they were drawn on.

The stream's is of the compressed image data, without any metadata, and needs no decoding: any tool that
leaves the picture alone leaves it equal. The pixels' is of what decoding gives, and equal also where the same
pixels were compressed anew without loss. The perceptual one is nearly equal for alike pictures, and equal for
many frames of a video: it proposes, and never proves.
"""

import io
from typing import TYPE_CHECKING

from xxhash import xxh3_128

from xlabel import images
from xlabel.images import Buffer

if TYPE_CHECKING:
    from PIL.Image import Image


def stream(data: Buffer) -> str | None:
    """xxh3-128 of the compressed image data of a whole file, in hexadecimal; None where there is no rule."""
    container = images.container(data)
    if container is None or not hasattr(container, "stream"):
        return None
    hasher = xxh3_128()
    with memoryview(data) as view:
        for start, stop in container.stream(view):
            hasher.update(view[start:stop])
    return hasher.hexdigest()


def pixels(data: Buffer) -> str:
    """xxh3-128 of the decoded pixels as stored, by Pillow; ValueError where it cannot decode them.

    Hashed are, for each frame, its mode, width and height as text ("RGB 640x480 ") and then its rows from
    the top. The mode is 1, L, LA, RGB, RGBA, I;16, I, F or CMYK; a palette is resolved into RGB or RGBA.
    JPEGs are decoded by libjpeg-turbo's accurate integer transform, which is Pillow's default.
    """
    from PIL import ImageSequence

    hasher = xxh3_128()
    with _opened(data) as image:
        for frame in ImageSequence.Iterator(image):
            flat = _flat(frame)
            hasher.update(f"{flat.mode} {flat.width}x{flat.height} ".encode())
            hasher.update(flat.tobytes())
    return hasher.hexdigest()


def perceptual(data: Buffer) -> str:
    """A hash of 256 bits of the first frame, 64 hexadecimal digits; ValueError where it cannot be decoded.

    The 16 x 16 lowest cosines of the picture in grey at 64 x 64, each a bit: above the median or not.
    """
    import numpy as np
    from PIL import Image

    with _opened(data) as image:
        grey = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.LANCZOS), dtype=np.float64)
    places = np.arange(64)
    cosines = np.cos(np.pi * (2 * places[None, :] + 1) * places[:16, None] / 128)
    low = cosines @ grey @ cosines.T
    return np.packbits(low > np.median(low)).tobytes().hex()


def distance(one: str, other: str) -> int:
    """In how many bits two perceptual hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _opened(data: Buffer) -> "Image":
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"the image cannot be decoded: {error}") from None
    return image


def _flat(image: "Image") -> "Image":
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("RGBA") if image.mode in ("PA", "RGBa", "La") else image
