"""One image's labels while people work on them: read from wherever they are, written into the image."""

import math
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, islice

import msgspec

from xlabel import images
from xlabel.checks import Finding
from xlabel.checks.samples import in_sample
from xlabel.errors import InputError
from xlabel.formats.embedded import SIDECAR, EmbeddedLabels
from xlabel.images import Buffer, embedding, fingerprint, payload, xmp
from xlabel.images.embedding import Found as Inside
from xlabel.images.payload import Wrapped
from xlabel.jobs import labels as labelling
from xlabel.jobs.categories import Categories
from xlabel.jobs.labels import Found
from xlabel.jobs.putting import ForeignError, embedded, now, picture
from xlabel.model import Annotation, Circle, Number, OrientedBox, Problem, Sample, Shape
from xlabel.model import document as documents
from xlabel.model.changes import Change, Clash, FieldChange, Stamp, applied, with_ids
from xlabel.stores import rewrite
from xlabel.stores.local import Folder
from xlabel.stores.paths import key_of

TRIES = 20
"""So often a save is begun again that another process was faster than."""
PAUSE = 0.05
"""Seconds between two of them."""

LOOKED = 1000
"""So many images tell whether their folders can be written."""


class ReadOnlyError(InputError):
    """An image cannot take labels; the message says why."""


class ReplacedError(InputError):
    """Another picture is where one was labelled."""


class How(msgspec.Struct, frozen=True):
    """How labels are put into images."""

    sidecar: bool = False
    """Labels of an image that cannot hold them go into a file beside it."""
    overwrite: bool = False
    """A UserComment of somebody else gives way."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An image's labels as they are now, and where they were found."""

    sample: Sample
    mime: str | None
    bytes: int
    time: int
    """When the file was changed last, in nanoseconds."""
    version: str
    """See `version_of`; behind it, after a +, how often the labels beside the image were written."""
    place: str
    """image, sidecar, files or none."""
    readonly: str | None
    """Why nothing can be saved, as far as was looked."""
    fingerprint: str | None = None
    """Of the picture itself, where it was asked for."""
    problems: list[Problem]
    """What was wrong when it was read."""
    findings: list[Finding] = []
    """What is wrong with the labels that were read."""


class Labelled:
    """The labels of a folder of images, one image at a time, from several threads."""

    def __init__(self, root: str, found: Found | None, how: How | None = None) -> None:
        """`found` are label files, whose labels count until an image has some inside."""
        self._root = os.fsencode(root) + b"/"
        self._tree = Folder(root)
        self._how = how or How()
        self._files = None if found is None or isinstance(found.labels, EmbeddedLabels) else found.labels
        self.categories = Categories(self._files.categories if self._files else ())
        self._reading = threading.Lock()
        self._writing: dict[bytes, threading.Lock] = {}

    def load(self, name: bytes) -> Held:
        """What the labels are of an image, by its name below the root. OSError where it cannot be read."""
        with rewrite.opened(self._root + name) as (data, seen):
            return _checked(self._held(name, data, seen))

    def examined(self, name: bytes) -> Held:
        """The same with the fingerprint, for which the whole file is read."""
        with rewrite.copied(self._root + name) as (data, seen):
            return _checked(_examined(self._held(name, data, seen), data))

    def save(
        self,
        name: bytes,
        changes: Iterable[Change | FieldChange],
        author: str | None,
        fingerprint: str | None = None,
    ) -> tuple[Held, list[Clash]]:
        """Make changes and write them into the image; gives what is there then, and what clashed.

        `fingerprint` is that of the picture on which they were made. The file is as it was where there is an
        error: ReadOnlyError, ReplacedError, rewrite.TakenError where other processes write it all the time,
        OSError and StoreError where the system refuses.
        """
        changes = list(changes)
        with self._alone(name):
            for left in reversed(range(TRIES)):
                try:
                    clashes = self._save(name, changes, Stamp(author or None, now()), fingerprint)
                    break
                except rewrite.TakenError:
                    if not left:
                        raise
                    time.sleep(PAUSE)
            return self.examined(name), clashes

    def _save(
        self, name: bytes, changes: list[Change | FieldChange], stamp: Stamp, fingerprint: str | None
    ) -> list[Clash]:
        with ExitStack() as stack:
            beside = None
            with suppress(FileNotFoundError):
                beside = stack.enter_context(rewrite.opened(self._root + name + SIDECAR.encode()))[1]
            data, seen = stack.enter_context(rewrite.copied(self._root + name))
            held = _examined(self._held(name, data, seen), data)
            if fingerprint is not None and held.fingerprint not in (None, fingerprint):
                raise ReplacedError(
                    "another picture is here now than the one that was labelled; load it anew"
                )
            if held.readonly is not None:
                raise ReadOnlyError(held.readonly)
            sample, clashes = applied(held.sample, changes, stamp)
            if sample != held.sample:
                if held.place == "files":
                    _refuse_no_numbers(sample)
                self._write(name, data, seen, beside, sample)
            return clashes

    def _write(
        self, name: bytes, data: Buffer, seen: rewrite.Seen, beside: rewrite.Seen | None, sample: Sample
    ) -> None:
        """Put labels into an image, or beside it where it cannot hold them."""
        try:
            change = embedded(data, sample, mwg=_has_faces(data), overwrite=self._how.overwrite)
        except ForeignError as error:
            raise ReadOnlyError(str(error)) from None
        except ValueError as error:
            if not self._how.sidecar:
                raise ReadOnlyError(_with_advice(str(error))) from None
            self._write_beside(name, data, seen, beside, sample, str(error))
            return
        if change is not None:
            rewrite.replace(seen, change.pieces, durable=True)
        if beside is not None:  # what it says is in the image now, and more
            with suppress(OSError):
                os.unlink(beside.path)

    def _write_beside(
        self,
        name: bytes,
        data: Buffer,
        seen: rewrite.Seen,
        beside: rewrite.Seen | None,
        sample: Sample,
        why: str,
    ) -> None:
        document = documents.encode(documents.document(sample, picture(data, sample, pixels=False)))
        before = None
        if beside is not None:
            with suppress(ValueError):
                before = payload.unwrap(os.pread(beside.fd, beside.info.st_size, 0))
        text = payload.sidecar(Wrapped(document, before.revision + 1 if before else 1, now()), why)
        if beside is None:
            path = self._root + name + SIDECAR.encode()
            rewrite.create(path, [text], seen.info, durable=True)
        else:
            rewrite.replace(beside, [text], durable=True)
        inside = _inside(data)
        if inside is not None and inside.copies:  # which would go before what is beside
            newest = inside.newest
            restored = embedding.restore(data, newest) if newest else None
            rewrite.replace(seen, restored or embedding.remove(data), durable=True)

    def _held(self, name: bytes, data: Buffer, seen: rewrite.Seen) -> Held:
        key = key_of(name)
        problems: list[Problem] = []
        try:
            header = images.header(data)
        except ValueError as error:
            header = None
            problems.append(Problem(key, "undecodable", str(error)))
        image = images.image_of(key, header)
        inside = _inside(data)
        reader = EmbeddedLabels(self._tree)
        sample = reader.load_from(data, image)
        problems += reader.problems
        place = "image"
        if sample is not None and not (inside and inside.copies) and "revision" in (sample.origin or {}):
            place = "sidecar"
        if sample is None and self._files is not None:
            place = "files"
            with self._reading:
                loaded, _ = labelling.load(self._files, image)
                problems += self._files.problems
                self._files.problems.clear()
            sample = loaded if loaded.origin is not None else None
        if sample is None:
            place, sample = "none", Sample(image=image)
        annotations = tuple(map(self._joined, sample.annotations))
        info = seen.info
        version = version_of(info.st_mtime_ns, info.st_size, info.st_ino)
        if place == "sidecar" and sample.origin:
            version += f"+{sample.origin['revision']}"
        return Held(
            sample=with_ids(msgspec.structs.replace(sample, annotations=annotations)),
            mime=header.mime if header else None,
            bytes=info.st_size,
            time=info.st_mtime_ns,
            version=version,
            place=place,
            readonly=self._why_readonly(data, seen, inside, problems),
            problems=problems,
        )

    def _joined(self, annotation: Annotation) -> Annotation:
        """An annotation with the category that the folder's images share."""
        if annotation.category is None:
            return annotation
        category = self.categories.met(annotation.category)
        return (
            annotation
            if category == annotation.category
            else msgspec.structs.replace(annotation, category=category)
        )

    def _why_readonly(
        self, data: Buffer, seen: rewrite.Seen, inside: Inside | None, problems: list[Problem]
    ) -> str | None:
        """Why nothing can be saved, by what is known without reading all of the file."""
        for problem in problems:
            if problem.code == "undecodable":
                return f"the image cannot be read: {problem.message}"
            if problem.code == "unreadable-labels":
                return f"its labels cannot be read, and would be lost: {problem.message}"
        if images.carrying(data) is None and not self._how.sidecar:
            container = images.container(data)
            kind = (
                f"{container.MIME} files hold no labels" if container else "it is no image that xlabel knows"
            )
            return _with_advice(kind)
        if inside is not None and inside.foreign is not None and not self._how.overwrite:
            return (
                "its EXIF UserComment holds somebody else's text; start xlabel review with --overwrite to "
                "put the labels in its place, and strip puts it back"
            )
        return why_not_writable(seen.path, seen.info.st_mode)

    @contextmanager
    def _alone(self, name: bytes) -> Iterator[None]:
        with self._reading:
            lock = self._writing.setdefault(name, threading.Lock())
        with lock:
            yield


def version_of(time: int, size: int, inode: int) -> str:
    """A text that changes when a file does; `time` is that of its last change in nanoseconds."""
    return f"{time:x}-{size:x}-{inode:x}"


def why_not_writable(path: bytes, mode: int) -> str | None:
    """Why a file cannot be replaced by another, which is done in its folder."""
    folder = _why_not_in(os.path.dirname(path) or b".")
    if folder is None and (not mode & 0o222 or not os.access(path, os.W_OK)):
        return "the file is read-only; chmod +w makes it writable"
    return folder


def why_no_folder(root: str, names: Iterable[bytes]) -> str | None:
    """Why nothing can be saved in any folder of the images; None where it can in some of the first ones."""
    folders = {os.path.dirname(name) for name in islice(names, LOOKED)}
    reasons = {_why_not_in(os.fsencode(root) + b"/" + folder) for folder in folders}
    return None if None in reasons else min(map(str, reasons), default=None)


def _why_not_in(folder: bytes) -> str | None:
    try:
        fixed = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        fixed = False
    if fixed:
        return "it lies on a file system that is read-only"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {key_of(folder)} cannot be written; chmod +w makes it writable"
    return None


def _examined(held: Held, data: Buffer) -> Held:
    try:
        if cut := images.cut(data):
            problem = Problem(
                held.sample.image.key, "cut-off", f"the image is cut off: {cut}; fetch it again"
            )
            held = msgspec.structs.replace(held, problems=[*held.problems, problem])
        return msgspec.structs.replace(held, fingerprint=fingerprint.stream(data))
    except ValueError as error:
        why = held.readonly or f"the image is broken: {error}; fetch it again"
        return msgspec.structs.replace(held, readonly=why)


def _checked(held: Held) -> Held:
    return msgspec.structs.replace(held, findings=in_sample(held.sample, held.sample.image.key))


def _refuse_no_numbers(sample: Sample) -> None:
    """ReadOnlyError where a label file had what JSON has no word for."""
    for annotation in sample.annotations:
        if not _is_finite(annotation):
            raise ReadOnlyError(
                f"label {annotation.id} has a coordinate that is no number; delete it first, or mend its file"
            )


def _is_finite(annotation: Annotation) -> bool:
    """Whether all numbers of a label are some."""
    shape = annotation.shape
    numbers: list[Number | None] = [annotation.score, annotation.area]
    numbers += chain(annotation.bbox or (), annotation.keypoints or (), *(annotation.polygons or ()))
    numbers += () if shape is None else _of_shape(shape)
    return all(math.isfinite(number) for number in numbers if number is not None)


def _of_shape(shape: Shape) -> tuple[Number, ...]:
    match shape:
        case OrientedBox():
            return shape.corners
        case Circle():
            return shape.x, shape.y, shape.radius
    return shape.points


def _inside(data: Buffer) -> Inside | None:
    try:
        return embedding.get(data)
    except ValueError:
        return None


def _has_faces(data: Buffer) -> bool:
    """Whether people are face regions of ours in it."""
    inside = _inside(data)
    packet = inside.carriers.xmp if inside else None
    return packet is not None and f"{xmp.REGION}face-".encode() in packet


def _with_advice(why: str) -> str:
    return f"{why}; start xlabel review with --sidecar to save labels in a file beside it"
