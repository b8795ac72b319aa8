"""Cutting things out of images by clicks: what an encoder made of each image is kept for the next click."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from xlabel.detectors import propagation, sam
from xlabel.model import Annotation, Number
from xlabel.model.geometry import bounds

if TYPE_CHECKING:
    from xlabel.detectors import Picture
    from xlabel.detectors.propagation import Followed
    from xlabel.detectors.sam import Box, Click, Embedding, Segmenter

ROOM = 256 << 20
"""Bytes of embeddings that are kept; a picture takes some 4 MB."""

Image = tuple[int, str]
"""An image's number, and a text that changes when its picture does."""


class Cut(NamedTuple):
    """What was cut out of an image."""

    polygons: tuple[tuple[Number, ...], ...] | None
    """Of its parts; None where nothing was found."""
    bbox: "Box | None"
    score: float


class Segmenting:
    """A segmenter at work on the images of a folder, for several people."""

    def __init__(self, segmenter: "Segmenter", picture: "Callable[[int], Picture]") -> None:
        """`picture` gives an image as displayed; ValueError and OSError where there is none."""
        self.source = segmenter.source
        self._segmenter = segmenter
        self._picture = picture
        self._kept: OrderedDict[Image, Embedding] = OrderedDict()
        self._looking = threading.Lock()
        self._encoding = threading.Lock()
        self._asked: Image | None = None

    def prepare(self, image: Image) -> None:
        """Encode an image, unless another one is asked for before its turn comes."""
        self._asked = image
        self._embedding(image, lambda: self._asked == image)

    def segment(self, image: Image, points: "Sequence[Click]", box: "Box | None") -> Cut:
        """The thing at some points and in a box."""
        embedding = self._embedding(image)
        assert embedding is not None
        found = self._segmenter.segment(embedding, points, box)
        parts = sam.polygons(found)
        return Cut(parts or None, bounds([number for part in parts for number in part]), found.score)

    def followed(
        self, image: Image, label: Annotation, following: "Iterator[Image | None]"
    ) -> "Iterator[Followed | None]":
        """Where the thing that a label is about lies in each of the images that follow; None: not found.

        Those that cannot be decoded are passed over in the same way, as are those that are None.
        """
        first = self._embedding(image)
        assert first is not None
        return propagation.followed(self._segmenter, first, label, map(self._readable, following))

    def _readable(self, image: Image | None) -> "Embedding | None":
        try:
            return self._embedding(image) if image is not None else None
        except (ValueError, OSError):
            return None

    def _embedding(self, image: Image, wanted: Callable[[], bool] = lambda: True) -> "Embedding | None":
        """What the encoder makes of an image, one after the other, which takes a second or more."""
        found = self._known(image)
        if found is None:
            with self._encoding:
                found = self._known(image)
                if found is None and wanted():
                    found = self._segmenter.encode(self._picture(image[0]))
                    self._keep(image, found)
        return found

    def _known(self, image: Image) -> "Embedding | None":
        with self._looking:
            found = self._kept.get(image)
            if found is not None:
                self._kept.move_to_end(image)
            return found

    def _keep(self, image: Image, found: "Embedding") -> None:
        with self._looking:
            self._kept[image] = found
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > ROOM:
                self._kept.popitem(last=False)


def _size(embedding: "Embedding") -> int:
    return sum(array.nbytes for array in embedding.features.values())
