"""The JSON files of a pack while they are written: records as they come, and a seal at the end."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xlabel.formats import unified_writing
from xlabel.model import Category, Sample
from xlabel.model.manifest import Frame
from xlabel.stores.transaction import Transaction

PIECE = 1 << 20
SPOOL = "spool-annotations"
UNSEALED = "0" * 64
"""What stands for the hash of a JSON file until all before it is written."""


class Lines:
    """A file that grows by records, which `joint` parts."""

    def __init__(self, path: Path, head: bytes = b"", joint: bytes = b",\n") -> None:
        self._file = open(path, "w+b", buffering=1 << 18)  # noqa: SIM115
        self._file.write(head)
        self._joint = joint
        self._count = 0

    def add(self, records: bytes) -> None:
        """Add records that are joined already; none where there are no bytes."""
        if records:
            if self._count and self._joint:
                self._file.write(self._joint)
            self._file.write(records)
            self._count += 1

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.tell()

    def pieces(self) -> Iterator[bytes]:
        """All bytes so far, a piece at a time."""
        self._file.flush()
        place = 0
        while piece := os.pread(self._file.fileno(), PIECE, place):
            yield piece
            place += len(piece)

    def write(self, data: bytes) -> None:
        """Add bytes that are no record."""
        self._file.write(data)

    def end(self, tail: bytes) -> None:
        """Write the end of a JSON file, its field `sha256` filled in with the hash of all before it."""
        empty = b'"sha256":"' + UNSEALED.encode()
        before, _, after = tail.rpartition(empty)
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        digest.update(before)
        self._file.write(before + b'"sha256":"' + digest.hexdigest().encode() + after)
        self._file.close()

    def close(self) -> None:
        """Let go of the file. What it could not write has been told already, or is not wanted."""
        with suppress(OSError):
            self._file.close()


class Records:
    """Records of images and of their annotations, with ids for those that have none."""

    def __init__(self, image_id: int, annotation_id: int) -> None:
        """`image_id` and `annotation_id` are the first ones that are free."""
        self._image_id = image_id
        self._annotation_id = annotation_id
        self._images: list[bytes] = []
        self._annotations: list[bytes] = []
        self.annotations = 0
        self.labelled = 0
        self.turned: list[str] = []
        """Keys of images whose labels were drawn on the stored matrix."""

    def add(
        self,
        sample: Sample,
        frame: Frame | None,
        category_ids: Mapping[int, int] | None = None,
        prints: Mapping[str, str] | None = None,
    ) -> None:
        """Add an image, its labels and its fingerprints by their names.

        See `unified_writing.annotation_records` for `category_ids`.
        """
        image_id = sample.image.id
        if image_id is None:
            image_id = self._image_id
            self._image_id += 1
        self._images.append(unified_writing.image_record(sample, image_id, frame, prints))
        if sample.annotations:
            records, self._annotation_id = unified_writing.annotation_records(
                sample, image_id, self._annotation_id, category_ids
            )
            self._annotations.append(records)
            self.annotations += len(sample.annotations)
            self.labelled += 1
        if sample.turned:
            self.turned.append(sample.image.key)

    def take(self) -> tuple[bytes, bytes]:
        """The records of images and of annotations that were added since they were last taken."""
        taken = b",\n".join(self._images), b",\n".join(self._annotations)
        self._images.clear()
        self._annotations.clear()
        return taken


class AnnotationFile:
    """The annotation file: images are written as they come, their annotations wait in a file of their own."""

    def __init__(self, work: Transaction, name: str) -> None:
        self._images = Lines(work.staged(name), unified_writing.head())
        self._annotations = Lines(work.staged(SPOOL))

    def add(self, images: bytes, annotations: bytes) -> None:
        """Add records as `Records.take` gives them."""
        self._images.add(images)
        self._annotations.add(annotations)

    def finish(
        self, categories: list[Category], extra: Mapping[str, Any] | None, section: Mapping[str, Any]
    ) -> None:
        """Write all that stands behind the images; `section` is the file's own, its `sha256` is filled in."""
        self._images.write(unified_writing.between())
        for piece in self._annotations.pieces():
            self._images.write(piece)
        self._images.end(unified_writing.tail(categories, extra, section))

    def close(self) -> None:
        """Let go of both files."""
        self._images.close()
        self._annotations.close()
