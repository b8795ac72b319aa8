"""How much of what an image file takes its labels fill."""

from xlabel.images import gif, jpeg, png, webp

LIMITS = {
    jpeg.MIME: jpeg.MAX_SEGMENT,
    png.MIME: png.MAX_CHUNK,
    webp.MIME: webp.MAX_CHUNK,
    gif.MIME: gif.MAX_BLOCK,
}
"""Bytes of labels that one carrier of a container takes; others take as much as a file can be long."""
AROUND = 300
"""Bytes around a document: version, revision, check, and what undoes the change of the file."""
NEAR = 25
"""Below this percentage the estimate is told; from here on the labels are put in to see what becomes."""


def percent(size: int, mime: str) -> float:
    """Labels of `size` bytes, of what one carrier takes; 0 where there is no limit."""
    return 100 * size / LIMITS[mime] if mime in LIMITS else 0.0
