"""Image files that other tools made, by container and kind, each made once; and the same with labels.

A container is named by the suffix of its files: so other tools know it.
"""

from collections.abc import Callable
from functools import cache, partial

from tests.images.samples import boxes, gif, png, tiff, webp
from tests.labelled import put, same_picture

BOXES = ("avif", "heic", "jxl", "jp2")
Makers = dict[str, Callable[[], bytes]]


def _by_container(of_boxes: Makers, others: dict[str, Makers]) -> dict[str, Makers]:
    return others | {
        container: {kind: make for kind, make in of_boxes.items() if boxes.suffix(kind) == container}
        for container in BOXES
    }


PLAIN = _by_container(
    boxes.PLAIN, {"png": png.PLAIN, "webp": webp.PLAIN, "gif": gif.PLAIN, "tif": tiff.PLAIN}
)
"""Without EXIF and XMP that ours is merged into."""
WITH = _by_container(boxes.WITH, {"png": png.WITH, "webp": webp.WITH, "gif": gif.WITH, "tif": tiff.WITH})
CONTAINERS = tuple(PLAIN)
SAME: dict[str, Callable[[bytes, bytes], bool]] = {
    "png": same_picture,
    "webp": webp.same,
    "gif": same_picture,
    "tif": tiff.same,
    **{container: partial(boxes.same, suffix=container) for container in BOXES},
}
"""Whether two files have the same pictures, as other tools decode them."""


def kinds(*containers: str) -> list[str]:
    return [kind for container in containers for kind in (PLAIN[container] | WITH[container])]


@cache
def original(container: str, kind: str) -> bytes:
    return (PLAIN[container] | WITH[container])[kind]()


@cache
def with_labels(container: str, kind: str) -> bytes:
    return put(original(container, kind))[0]
