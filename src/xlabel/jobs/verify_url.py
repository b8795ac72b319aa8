"""Verify at a URL: by the checksums that the store keeps; else by reading, some ranges at a time."""

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from xlabel.bundles import mp4
from xlabel.bundles.zip import crc32
from xlabel.errors import CorruptError, MissingExtraError, StoreError
from xlabel.jobs.integrity import Content, check
from xlabel.jobs.opening import open_bundle
from xlabel.jobs.remote import (
    RANGE,
    THREADS,
    TRIES,
    Folded,
    folded,
    json_objects,
    media_ranges,
    need_head,
    read_whole,
)
from xlabel.model import Problem, Report
from xlabel.model.head import DAMAGED, Head, Named
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Frame, frames_in
from xlabel.model.report import Progress, size_text
from xlabel.stores import crc64
from xlabel.stores.local import write_at
from xlabel.stores.transport import Stat, Transport, open_store, where

NONE = Content("", 0, 0)
"""What is found of a frame behind the media's end."""


def verify_url(url: str, full: bool, report: Report, progress: Progress | None) -> None:
    """Check what is current at a URL; what is wrong is told in the report."""
    store = open_store(url)
    try:
        head, files = _current(store, report)
        report.notes.append(f"generation {head.generation} of {store.url}")
        there = {one.name: store.head(one.name) for one in head.media.segments}
        whole = _sizes(store, head, there, report)
        if not full and whole and _compared(store, head, there, report):
            if files:
                report.done = {"images": sum(not frame.deleted for frame in _frames(store, files.manifest))}
        elif files and whole:
            _read(store, head, files, report, progress)
    finally:
        store.close()


def _current(store: Transport, report: Report) -> tuple[Head, Folded | None]:
    """The head and the JSON files that it means; None, and problems, where they are not what it says."""
    head = need_head(store)
    for _ in range(TRIES):
        found = len(report.problems)
        files = _json_files(store, head, report)
        again = head if files else need_head(store)
        if again == head:
            break
        del report.problems[found:]  # a fold has replaced the plain pair meanwhile, which is none of theirs
        head = again
    return head, files


def _json_files(store: Transport, head: Head, report: Report) -> Folded | None:
    """The annotation file and the manifest, folded; None where they cannot be."""
    found = [_object(store, one) for one in json_objects(head)]
    problems = [one for one in found if isinstance(one, Problem)]
    if problems:
        report.problems += problems
        return None
    try:
        return folded(store, head, (one for one in found if isinstance(one, bytes)))
    except CorruptError as error:
        report.problems.append(Problem(store.url, "annotations-changed", str(error)))
        return None


def _object(store: Transport, named: Named) -> bytes | Problem:
    """An object that a head names by size and hash, or what is wrong with it."""
    there = store.head(named.name)
    if there is None:
        return Problem(where(store, named.name), "missing", "expected an object, found none; restore it")
    if there.size != named.size:
        message = f"expected {named.size:,} bytes, found {there.size:,}; restore it"
        return Problem(where(store, named.name), "cut-off", message)
    data = bytes(read_whole(store, named.name, named.size))
    if hashlib.sha256(data).hexdigest() != named.sha256:
        return Problem(where(store, named.name), "hash-mismatch", "is not what was pushed; restore it")
    return data


def _sizes(store: Transport, head: Head, there: dict[str, Stat | None], report: Report) -> bool:
    """Whether each object of the media is there, as long as it must be; what is not, is a problem."""
    good = True
    for segment in head.media.segments:
        found = there[segment.name]
        if found is None:
            message = "expected a part of the media, found none; restore it, or push to another place"
            report.problems.append(Problem(where(store, segment.name), "missing", message))
        elif found.size < segment.size:
            message = f"expected {segment.size:,} bytes, found {found.size:,}: its end is gone; restore it"
            report.problems.append(Problem(where(store, segment.name), "cut-off", message))
        good = good and found is not None and found.size >= segment.size
    return good


def _compared(store: Transport, head: Head, there: dict[str, Stat | None], report: Report) -> bool:
    """Whether the checksum that the store keeps has decided; a note says why where it has not."""
    (name, *more) = (one.name for one in head.media.segments)
    found = there[name]
    if more or found is None or head.media.crc64nvme is None or found.crc64nvme is None:
        report.notes.append("the store keeps no checksum of the media, so it was read")
    elif found.size != head.media.size:
        report.notes.append("media of a push that is not finished stands behind the current one: it was read")
    else:
        if found.crc64nvme != head.media.crc64nvme:
            message = f"its checksum is {found.crc64nvme}, of what was pushed {head.media.crc64nvme}; "
            message += f"xlabel verify --full {store.url} names the images"
            report.problems.append(Problem(where(store, name), "hash-mismatch", message))
        size = size_text(head.media.size)
        report.notes.append(f"{size} of media compared by the store's checksum, and not read: --full reads")
        return True
    return False


def _read(store: Transport, head: Head, files: Folded, report: Report, progress: Progress | None) -> None:
    """Read the media against everything that is known of it.

    Images are hashed as they come and not kept. All else, which is little, is put at its place in a file that
    is empty where the images would be, and checked as in a folder.
    """
    frames = sorted({(one.offset, one.size) for one in _frames(store, files.manifest)})
    with TemporaryDirectory(prefix="xlabel-verify-") as temporary:
        folder = Path(temporary)
        for name, data in ((ANNOTATIONS, files.annotations), (MANIFEST, files.manifest)):
            (folder / name).write_bytes(data)
        media = folder / head.bundle
        found: dict[tuple[int, int], Content] = {}
        with open(media, "wb") as file:
            os.ftruncate(file.fileno(), head.media.size)
            sorting = _Sorting(frames, found, file.fileno())
            crc = 0 if head.media.crc64nvme and _knows_crc64() else None
            for offset, piece in _pieces(store, head):
                sorting.add(offset, piece)
                crc = None if crc is None else crc64.checksum(_shown(head, offset, piece), crc)
                if progress:
                    progress(offset + len(piece), head.media.size)
            if head.kind == mp4.NAME:  # hidden, where media of a later push has come behind it
                os.pwrite(file.fileno(), mp4.SHOWN, head.media.index + 4)
        try:
            with open_bundle(folder) as bundle:
                check(bundle, folder, report, lambda frame: found.get((frame.offset, frame.size), NONE))
        except CorruptError as error:
            report.problems.append(Problem(str(media), "index-damaged", str(error)))
        if not report.problems and crc is not None and crc64.text(crc) != head.media.crc64nvme:
            message = (
                f"its checksum is {crc64.text(crc)}, of what was pushed {head.media.crc64nvme}; the images "
            )
            message += (
                f"and their index are whole, what an earlier generation has around them is not; {DAMAGED}"
            )
            report.problems.append(Problem(str(media), "hash-mismatch", message))
        report.bytes = head.media.size
        report.problems = [_at(problem, temporary, store.url) for problem in report.problems]


def _knows_crc64() -> bool:
    """Whether there is what CRC-64s are reckoned with: a head may have come from S3 to a folder by a copy."""
    try:
        return crc64.checksum(b"") == 0
    except MissingExtraError:
        return False


def _shown(head: Head, offset: int, piece: bytes) -> bytes:
    """A piece of the media with its index as it was pushed; media of a later push hides it."""
    at = head.media.index + 4 - offset
    if head.kind != mp4.NAME or not -len(mp4.SHOWN) < at < len(piece):
        return piece
    shown = mp4.SHOWN[max(0, -at) : len(piece) - at]
    at = max(0, at)
    return piece[:at] + shown + piece[at + len(shown) :]


def _frames(store: Transport, manifest: bytes) -> list[Frame]:
    return frames_in(manifest, where(store, MANIFEST))


def _at(problem: Problem, folder: str, url: str) -> Problem:
    return msgspec.structs.replace(
        problem, where=problem.where.replace(folder, url), message=problem.message.replace(folder, url)
    )


def _pieces(store: Transport, head: Head) -> Iterator[tuple[int, bytes]]:
    """The media's bytes in their order; some ranges are on their way."""

    def get(offset: int) -> bytes:
        size = min(RANGE, head.media.size - offset)
        ranges = media_ranges(head.media.segments, offset, size)
        data = b"".join(store.get_ranges(part.name, [(at, count)])[0] for part, at, count in ranges)
        if len(data) != size:
            raise StoreError(f"{store.url}: its media was replaced while it was read; verify again")
        return data

    with ThreadPoolExecutor(THREADS, "xlabel") as pool:
        waiting: deque[tuple[int, Future[bytes]]] = deque()
        for offset in range(0, head.media.size, RANGE):
            waiting.append((offset, pool.submit(get, offset)))
            if len(waiting) > THREADS:
                start, first = waiting.popleft()
                yield start, first.result()
        while waiting:
            start, first = waiting.popleft()
            yield start, first.result()


class _Sorting:
    """The media's bytes as they come: images are hashed, what is between them goes to a file."""

    def __init__(
        self, frames: list[tuple[int, int]], found: dict[tuple[int, int], Content], file: int
    ) -> None:
        """`frames`: offsets and sizes, in the order of the offsets; `found` gets their contents."""
        self._frames, self._found, self._file = frames, found, file
        self._number = 0
        self._digest, self._crc, self._had = hashlib.sha256(), 0, 0

    def add(self, offset: int, piece: bytes) -> None:
        """The bytes at an offset, which follow those of the call before."""
        view = memoryview(piece)
        while view:
            start, size = self._next()
            if offset < start:
                taken = min(len(view), start - offset)
                write_at(self._file, view[:taken], offset)
            else:
                taken = min(len(view), size - self._had)
                self._digest.update(view[:taken])
                self._crc = crc32(view[:taken], self._crc)
                self._had += taken
                if self._had == size:
                    self._found[start, size] = Content(self._digest.hexdigest(), self._crc, self._had)
                    self._number += 1
                    self._digest, self._crc, self._had = hashlib.sha256(), 0, 0
            offset, view = offset + taken, view[taken:]

    def _next(self) -> tuple[int, int]:
        return self._frames[self._number] if self._number < len(self._frames) else (1 << 62, 0)
