"""Cutting things out of images by clicks: what an encoder made of each image is kept for the next click."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xlabel.detectors import Picture
    from xlabel.detectors.sam import Box, Click, Embedding, Segment, Segmenter

ROOM = 256 << 20
"""Bytes of embeddings that are kept; a picture takes some 4 MB."""

Image = tuple[int, str]
"""An image's number, and the version of its file."""


class Segmenting:
    """An encoder and its decoder at work on the images of a folder, for several people."""

    def __init__(self, segmenter: "Segmenter", picture: Callable[[int], "Picture"]) -> None:
        """`picture` gives an image as displayed; ValueError and OSError where there is none."""
        self.segmenter = segmenter
        self._picture = picture
        self._kept: OrderedDict[Image, Embedding] = OrderedDict()
        self._looking = threading.Lock()
        self._encoding: dict[Image, threading.Lock] = {}

    def embedding(self, number: int, version: str) -> "Embedding":
        """What the encoder makes of an image, which takes a second or more the first time."""
        image = number, version
        with self._looking:
            found = self._kept.get(image)
            if found is not None:
                self._kept.move_to_end(image)
                return found
            alone = self._encoding.setdefault(image, threading.Lock())
        with alone:
            with self._looking:
                found = self._kept.get(image)
            if found is None:
                found = self.segmenter.encode(self._picture(number))
                self._keep(image, found)
        return found

    def segment(
        self, number: int, version: str, points: "list[Click]", box: "Box | None"
    ) -> "Segment | None":
        """The thing at some points and in a box; None without any, when the image is only encoded."""
        embedding = self.embedding(number, version)
        return self.segmenter.segment(embedding, points, box) if points or box else None

    def _keep(self, image: Image, found: "Embedding") -> None:
        with self._looking:
            self._kept[image] = found
            self._encoding.pop(image, None)
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > ROOM:
                self._kept.popitem(last=False)


def _size(embedding: "Embedding") -> int:
    return sum(array.nbytes for array in embedding.features.values())
