"""Fingerprints of decoded pictures, which bind labels to the image that they were drawn on.

The pixels' is of what decoding gives, and equal also where the same pixels were compressed anew without loss.
The perceptual one is nearly equal for alike pictures, and equal for many frames of a video: it proposes, and
never proves. That of the compressed data is in `images.fingerprint`.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128

from xlabel.images import Buffer
from xlabel.images.fingerprint import stream
from xlabel.pictures.pillow import opened

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


def fingerprints(data: Buffer, *, decoded: bool) -> dict[str, str]:
    """The fingerprints of an image by their names, as far as it can be read; with decoding where said."""
    found = {}
    for name, take in _DECODED.items() if decoded else _UNDECODED.items():
        try:
            text = take(data)
        except ValueError:
            continue
        if text is not None:
            found[name] = text
    return found


def pixels(data: Buffer) -> str:
    """xxh3-128 of the decoded pixels as stored, by Pillow; ValueError where it cannot decode them.

    Hashed are, for each frame, its mode, width and height as text ("RGB 640x480 ") and then its rows from
    the top. The mode is 1, L, LA, RGB, RGBA, I;16, I, F or CMYK; a palette is resolved into RGB or RGBA.
    JPEGs are decoded by libjpeg-turbo's accurate integer transform, which is Pillow's default.
    """
    with opened(data) as image:
        return str(_hashed(image))


def turn_of(data: Buffer, digest: str) -> int | None:
    """The EXIF orientation that displays the picture of `digest` like this one, or None where none does.

    ValueError where the file cannot be decoded.
    """
    return next((turn for turn, found in turns(data) if found == digest), None)


def turns(data: Buffer) -> Iterator[tuple[int, str]]:
    """The fingerprints of the pictures that an EXIF orientation displays like this one, with it.

    Grey that is stored as colour, and opaque colour with an alpha channel, are the same pixels.
    ValueError where the file cannot be decoded.
    """
    with opened(data) as image:
        modes = [None, *_COLOURS] if image.mode in _COLOURS or image.mode == "P" else [None]
        for mode in modes:
            for turn in range(1, 9):
                if found := _hashed(image, turn, mode):
                    yield turn, found


def perceptual(data: Buffer) -> str:
    """A hash of 256 bits of the first frame, 64 hexadecimal digits; ValueError where it cannot be decoded.

    The 16 x 16 lowest cosines of the picture in grey at 64 x 64, each a bit: above the median or not.
    """
    import numpy as np
    from PIL import Image

    with opened(data) as image:
        grey = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.LANCZOS), dtype=np.float64)
    return cosines(grey)


def cosines(grey: "NDArray[Any]") -> str:
    """The perceptual hash of a picture in grey, 64 x 64."""
    import numpy as np

    places = np.arange(64)
    waves = np.cos(np.pi * (2 * places[None, :] + 1) * places[:16, None] / 128)
    low = waves @ grey @ waves.T
    return np.packbits(low > np.median(low)).tobytes().hex()


def distance(one: str, other: str) -> int:
    """In how many bits two perceptual hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


_UNDECODED: dict[str, Callable[[Buffer], str | None]] = {"stream": stream}
_DECODED = _UNDECODED | {"pixels": pixels, "perceptual": perceptual}

_COLOURS = ("L", "LA", "RGB", "RGBA")
_UNDONE = (None, None, 0, 3, 1, 5, 2, 6, 4)
"""Pillow's transposition that takes back each EXIF orientation."""


def _hashed(image: "Image", turn: int = 1, mode: str | None = None) -> str | None:
    """The hash of all frames, what `turn` did to them taken back, as pictures of another mode.

    None where they are none of that mode: the conversion would lose something.
    """
    from PIL import Image, ImageSequence

    hasher = xxh3_128()
    for frame in ImageSequence.Iterator(image):
        flat = _flat(frame)
        if mode is not None and mode != flat.mode:
            other = flat.convert(mode)
            if other.convert(flat.mode).tobytes() != flat.tobytes():
                return None
            flat = other
        undone = _UNDONE[turn]
        if undone is not None:
            flat = flat.transpose(Image.Transpose(undone))
        hasher.update(f"{flat.mode} {flat.width}x{flat.height} ".encode())
        hasher.update(flat.tobytes())
    return hasher.hexdigest()


def _flat(image: "Image") -> "Image":
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("RGBA") if image.mode in ("PA", "RGBa", "La") else image
