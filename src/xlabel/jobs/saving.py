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
        self.root = root
        self._inside = EmbeddedLabels(Folder(root))
        self._found = None if found is None or isinstance(found.labels, EmbeddedLabels) else found
        self._reading = threading.Lock()
        self._writing: dict[str, threading.Lock] = {}

    def load(self, key: str) -> Held:
        """What an image's labels are. OSError where the file cannot be read."""
        with rewrite.opened(self._path(key)) as (data, seen):
            return self._held(key, data, seen)

    def save(
        self, key: str, changes: Iterable[Change | FieldChange], author: str | None
    ) -> tuple[Held, list[Clash]]:
        """Make changes and write them into the image; gives what is there then, and what clashed.

        ForeignError and ValueError where the image cannot hold them, OSError and StoreError where it cannot
        be written; it is then as it was.
        """
        with self._alone(key):
            with rewrite.opened(self._path(key)) as (data, seen):
                held = self._held(key, data, seen)
                sample, clashes = applied(held.sample, changes, Stamp(author, now()))
                change = embedded(data, sample)
                if change is not None:
                    rewrite.replace(seen, change.pieces)
            return self.load(key), clashes

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
            version=version_of(info),
            place=place,
            problems=problems,
        )

    def _path(self, key: str) -> bytes:
        return os.fsencode(self.root) + b"/" + os.fsencode(key)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._reading:
            lock = self._writing.setdefault(key, threading.Lock())
        with lock:
            yield


def version_of(info: os.stat_result) -> str:
    """A text that changes when a file does."""
    return f"{info.st_mtime_ns:x}-{info.st_size:x}-{info.st_ino:x}"


def why_readonly(held: Held, data: images.Buffer) -> str | None:
    """Why an image cannot take labels; None where it can."""
    try:
        embedded(data, held.sample)
    except (ForeignError, InputError, ValueError) as error:
        return str(error)
    return None
