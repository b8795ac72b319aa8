"""One image's labels while a person works on them: read from wherever they are, written into the image."""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from xlabel import images
from xlabel.errors import InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs import labels as labelling
from xlabel.jobs.labels import Found
from xlabel.jobs.putting import ForeignError, embedded, now
from xlabel.model import Problem, Sample
from xlabel.model.changes import Change, Clash, FieldChange, Stamp, applied, with_ids
from xlabel.stores import rewrite
from xlabel.stores.local import Folder
from xlabel.stores.paths import key_of


class Held(msgspec.Struct, frozen=True):
    """An image's labels as they are now, and where they were found."""

    sample: Sample
    mime: str | None
    bytes: int
    time: int
    """When the file was changed last, in nanoseconds."""
    version: str
    place: str
    """image, sidecar, files or none."""
    problems: list[Problem]


class Labelled:
    """The labels of a folder of images, one image at a time, from several threads."""

    def __init__(self, root: str, found: Found | None) -> None:
        """`found` are label files, whose labels count until an image has some inside."""
        self._root = os.fsencode(root) + b"/"
        self._inside = EmbeddedLabels(Folder(root))
        self._found = None if found is None or isinstance(found.labels, EmbeddedLabels) else found
        self._reading = threading.Lock()
        self._writing: dict[bytes, threading.Lock] = {}

    def load(self, name: bytes) -> Held:
        """What the labels are of an image, by its name below the root. OSError where it cannot be read."""
        with rewrite.opened(self._root + name) as (data, seen):
            return self._held(key_of(name), data, seen)

    def save(
        self, name: bytes, changes: Iterable[Change | FieldChange], author: str | None
    ) -> tuple[Held, list[Clash]]:
        """Make changes and write them into the image; gives what is there then, and what clashed.

        ForeignError and ValueError where the image cannot hold them, OSError and StoreError where it cannot
        be written; it is then as it was.
        """
        with self._alone(name):
            with rewrite.opened(self._root + name) as (data, seen):
                held = self._held(key_of(name), data, seen)
                sample, clashes = applied(held.sample, changes, Stamp(author, now()))
                change = embedded(data, sample)
                if change is not None:
                    rewrite.replace(seen, change.pieces)
            return self.load(name), clashes

    def _held(self, key: str, data: images.Buffer, seen: rewrite.Seen) -> Held:
        problems: list[Problem] = []
        try:
            header = images.header(data)
        except ValueError as error:
            header = None
            problems.append(Problem(key, "undecodable", str(error)))
        image = images.image_of(key, header)
        with self._reading:
            place = "image"
            sample = self._inside.load_from(data, image)
            problems += self._inside.problems
            self._inside.problems.clear()
            if sample is None and self._found is not None:
                place = "files"
                loaded, _ = labelling.load(self._found.labels, image)
                problems += self._found.labels.problems
                self._found.labels.problems.clear()
                sample = loaded if loaded.origin is not None else None
        if sample is None:
            place, sample = "none", Sample(image=image)
        info = seen.info
        return Held(
            sample=with_ids(sample),
            mime=header.mime if header else None,
            bytes=info.st_size,
            time=info.st_mtime_ns,
            version=version_of(info.st_mtime_ns, info.st_size, info.st_ino),
            place=place,
            problems=problems,
        )

    @contextmanager
    def _alone(self, name: bytes) -> Iterator[None]:
        with self._reading:
            lock = self._writing.setdefault(name, threading.Lock())
        with lock:
            yield


def version_of(time: int, size: int, inode: int) -> str:
    """A text that changes when a file does; `time` is that of its last change in nanoseconds."""
    return f"{time:x}-{size:x}-{inode:x}"


def why_readonly(held: Held, data: images.Buffer) -> str | None:
    """Why an image cannot take labels; None where it can."""
    try:
        embedded(data, held.sample)
    except (ForeignError, InputError, ValueError) as error:
        return str(error)
    return None
