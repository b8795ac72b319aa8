"""Pictures for a browser: small ones for a list, and what browsers do not show as it should be."""

import io

from PIL import Image, ImageOps

from xlabel.images import Buffer, Header
from xlabel.pictures import drawing
from xlabel.pictures.pillow import reading

SHOWN = frozenset(("image/jpeg", "image/png", "image/webp", "image/bmp"))
"""Types that every browser shows. Of animations, which move under their labels, the first picture is."""
TURNED = frozenset(("image/jpeg", "image/png"))
"""Types whose EXIF orientation browsers apply. Chromium does not for WebP."""
HUGE = 50_000_000
"""Pixels above which a picture is made smaller: a browser may refuse it, and decodes it for long."""
EXACT = 4_000_000
"""Pixels up to which a decoded picture is sent without loss."""
QUALITY = 90


def thumbnail(data: Buffer, side: int) -> bytes:
    """A WebP of at most `side` pixels each way, as displayed; ValueError where it cannot be decoded.

    A JPEG is decoded at about that size only, which takes a fraction of the time.
    """
    with reading(io.BytesIO(data)) as image:
        plain = image.mode in ("RGB", "L")
        if plain:
            image.draft("RGB", (side, side))
            picture = ImageOps.exif_transpose(image).convert("RGB")
    if not plain:
        picture = drawing.displayed(data)
    picture.thumbnail((side, side), Image.Resampling.BOX if plain else Image.Resampling.BILINEAR)
    return _encoded(picture, "WEBP", quality=75, method=0)


def viewable(data: Buffer, header: Header) -> tuple[str, bytes] | None:
    """A picture that a browser shows as displayed, and its type; None where it does so with the file itself.

    One that is huge is smaller than the file's. ValueError where it cannot be decoded.
    """
    turned = header.orientation != 1 and header.mime not in TURNED
    huge = header.width * header.height > HUGE
    moving = header.mime == "image/webp" and b"ANIM" in bytes(data[:64])
    if header.mime in SHOWN and not turned and not huge and not moving:
        return None
    with reading(io.BytesIO(data)) as image:
        if huge and image.mode in ("RGB", "L"):
            image.draft("RGB", _smaller(image.size))
            picture = ImageOps.exif_transpose(image).convert("RGB")
        else:
            picture = drawing.displayed(data)
    if huge:
        picture.thumbnail(_smaller(picture.size))
    if picture.width * picture.height <= EXACT:
        return "image/png", _encoded(picture, "PNG", compress_level=1)
    return "image/jpeg", _encoded(picture, "JPEG", quality=QUALITY)


def _smaller(size: tuple[int, int]) -> tuple[int, int]:
    """The same ratio with no more pixels than are sent at most."""
    factor = min(1, (HUGE / (size[0] * size[1])) ** 0.5)
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def _encoded(picture: Image.Image, kind: str, **how: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()
