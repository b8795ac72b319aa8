"""Sending a file as one object, by parts: some at a time, resumed after a kill, unchanged bytes copied.

What the store has of an upload is the truth. A journal beside the pack is a hint where to look, and tells
uploads of ours from those of others.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from xlabel.errors import ConflictError, MissingError
from xlabel.stores import crc64
from xlabel.stores.transport import Part, Stat, Transport, Upload, where

PART = 8 << 20
"""Bytes of a part, where an object of that many parts is large enough."""
IN_FLIGHT = 40 << 20
"""Bytes that are held while they are sent; with what a process needs besides, 150 MB in all."""
THREADS = 5
JOURNAL = ".xlabel-push"
LATE = 2.0
"""Seconds after a kill until which a request that was under way may still reach the store."""


class Prefix(NamedTuple):
    """The beginning of an object that stays as it is: of the object `name` with the tag `tag`."""

    name: str
    size: int
    tag: str


class Piece(NamedTuple):
    """A part: bytes [offset, offset + size) of the file, copied or sent."""

    number: int
    offset: int
    size: int
    copied: bool


class Pace:
    """Bytes a second that all threads together may send."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._free = time.monotonic()
        self._lock = Lock()

    def wait(self, size: int) -> None:
        """Wait until that many bytes may be sent: at no moment more have gone than there was time for."""
        if self._limit is None:
            return
        with self._lock:
            self._free = due = max(self._free, time.monotonic()) + size / self._limit
        time.sleep(max(0.0, due - time.monotonic()))


class _Begun(msgspec.Struct):
    """What is known of an object's uploads."""

    ids: list[str] = []
    others: list[str] | None = None
    """While one is being begun, those that there were: after a kill, another one without parts is ours.

    After a kill until the object is whole, as the one of then may reach the store after the next was begun.
    """


class Journal:
    """Uploads that were begun from here, by object; a file beside the pack, for this machine.

    It may be asked and told from several threads at once.
    """

    def __init__(self, folder: Path, url: str, *, kept: bool = True) -> None:
        """Where it is not `kept`, it is read and stays as it is."""
        self._kept = kept
        self._lock = Lock()
        self._path = folder / f"{JOURNAL}-{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
        try:
            self._begun = msgspec.json.decode(self._path.read_bytes(), type=dict[str, _Begun])
            self._last = self._path.stat().st_mtime
        except (OSError, msgspec.DecodeError):
            self._begun, self._last = {}, 0.0

    def ids(self, name: str) -> list[str]:
        """The uploads of an object that were begun and not ended."""
        return list(self._of(name).ids)

    def others(self, name: str) -> list[str] | None:
        """The uploads that there were before one that a kill kept from being noted; None without kill."""
        return self._of(name).others

    def names(self) -> list[str]:
        """The objects with uploads that were begun and not ended."""
        return list(self._begun)

    def beginning(self, name: str, others: list[str]) -> None:
        """Note that an upload is about to be begun, and which ones there are."""
        with self._lock:
            self._begun.setdefault(name, _Begun()).others = others
            self._write()

    def begin(self, name: str, upload: str, others: list[str] | None = None) -> None:
        """Note an upload, before its first part; and those that there were, where a kill has left one."""
        with self._lock:
            known = self._begun.setdefault(name, _Begun())
            known.ids, known.others = [*known.ids, upload], others
            self._write()

    def end(self, name: str, upload: str) -> None:
        """Forget an upload that is completed or aborted."""
        with self._lock:
            known = self._of(name)
            known.ids = [one for one in known.ids if one != upload]
            if not known.ids and known.others is None:
                self._begun.pop(name, None)
            self._write()

    def settle(self) -> None:
        """Wait until what the one before us has asked for last has reached the store."""
        if self._kept:
            time.sleep(min(LATE, max(0.0, self._last + LATE - time.time())))

    def forget(self, name: str) -> None:
        """Forget all uploads of an object."""
        with self._lock:
            if self._begun.pop(name, None) is not None:
                self._write()

    def _of(self, name: str) -> _Begun:
        return self._begun.get(name, _Begun())

    def _write(self) -> None:
        if not self._kept:
            return
        if not self._begun:
            self._path.unlink(missing_ok=True)
            return
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self._begun))
        draft.replace(self._path)


def forget(store: Transport, name: str, journal: Journal) -> None:
    """Take away what a kill has left of the uploads of an object that is there and whole."""
    left, others = journal.ids(name), journal.others(name)
    if others is not None:
        journal.settle()
        left += [one.id for one in store.uploads(name) if _is_lost(store, one, [*left, *others])]
    for upload in left:
        store.abort(name, upload)
    journal.forget(name)


def planned(store: Transport, size: int, kept: int, at: int = 0) -> list[Piece]:
    """The parts of an object of `size` bytes; its first `kept` are copied, where a part may be that small.

    Where parts may be of any size, one begins at `at`: a store that copies whole parts alone, as Azure does,
    can then copy all that is before it.
    """
    if kept < store.part_min:
        kept = 0
    ends = [at, size] if store.part_min == 1 and kept < at < size else [size]
    step = max(PART, store.part_min, math.ceil(size / (store.parts_max - 20)))
    pieces: list[Piece] = []
    copies = math.ceil(kept / min(store.part_max, 1 << 30)) if kept else 0
    for number in range(copies):
        start, end = kept * number // copies, kept * (number + 1) // copies
        pieces.append(Piece(len(pieces) + 1, start, end - start, True))
    for start, end in pairwise([kept, *ends]):
        for offset in range(start, end, step):
            pieces.append(Piece(len(pieces) + 1, offset, min(step, end - offset), False))
    return pieces


class Object(NamedTuple):
    """An object as it is to be: bytes [start, start + size) of a file, and on which conditions it is made."""

    name: str
    size: int
    start: int = 0
    kept: Prefix | None = None
    """What of the object is there already; it is copied where the store can."""
    at: int = 0
    """Where a part begins, if it may."""
    if_match: str | None = None
    absent: bool = False
    crc64nvme: str | None = None


class Sending:
    """What all that a push writes goes through: where to, how fast, and what is told of it."""

    def __init__(
        self,
        store: Transport,
        journal: Journal,
        pace: Pace,
        told: Callable[[int], None],
        *,
        adopt: bool = True,
        rehearsed: bool = False,
    ) -> None:
        """`told` is called with the bytes of each part that is there.

        `adopt`: go on with an upload that the journal does not know, where it has nothing but our parts.
        `rehearsed`: nothing is sent, and so nothing is read.
        """
        self.store, self.journal, self.pace, self.told = store, journal, pace, told
        self.adopt, self.rehearsed = adopt, rehearsed
        self.sent: dict[str, int] = {}
        """Bytes by the name of the object; what is copied does not count."""
        self.copied = 0

    def put(self, name: str, data: bytes, *, if_match: str | None = None, absent: bool = False) -> Stat:
        """Write a small object whole."""
        self.pace.wait(len(data))
        stat = self.store.put(name, data, if_match=if_match, absent=absent)
        self.count(name, len(data))
        self.told(len(data))
        return stat

    def send(self, file: int, wanted: Object) -> Stat:
        """Make bytes of a file, which is a descriptor, an object by parts.

        Raises as `Transport.complete` does.
        """
        return _Upload(self, file, wanted).run()

    def count(self, name: str, size: int) -> None:
        """Bytes of an object were sent."""
        self.sent[name] = self.sent.get(name, 0) + size


class _Upload:
    """Parts of one file sent to one object."""

    def __init__(self, sending: Sending, file: int, wanted: Object) -> None:
        self._sending, self._file, self._wanted = sending, file, wanted
        self._store, self._journal, self._name = sending.store, sending.journal, wanted.name

    def run(self) -> Stat:
        """Send what is missing, and make the parts the object."""
        sending, wanted = self._sending, self._wanted
        kept = wanted.kept.size if wanted.kept and self._store.copies_ranges else 0
        pieces = planned(self._store, wanted.size, kept, wanted.at)
        upload, there = self._found(pieces)
        missing = [piece for piece in pieces if piece.number not in there]
        for piece in pieces:
            if piece.number in there:
                sending.told(piece.size)
        held = max((piece.size for piece in missing if not piece.copied), default=PART)
        threads = max(1, min(THREADS, IN_FLIGHT // held))
        with ThreadPoolExecutor(threads, "xlabel") as pool:
            waiting = [pool.submit(self._put, upload, piece) for piece in missing]
            done, left = wait(waiting, return_when=FIRST_EXCEPTION)
            for one in left:
                one.cancel()
            with self._ended(upload):
                there |= {part.number: part for one in done for part in [one.result()]}
        sending.copied += sum(piece.size for piece in missing if piece.copied)
        sending.count(self._name, sum(piece.size for piece in missing if not piece.copied))
        parts = [there[piece.number] for piece in pieces]
        with self._ended(upload):
            stat = self._store.complete(
                self._name,
                upload,
                parts,
                if_match=wanted.if_match,
                absent=wanted.absent,
                crc64nvme=wanted.crc64nvme,
            )
        self._journal.end(self._name, upload)
        forget(self._store, self._name, self._journal)
        return stat

    @contextmanager
    def _ended(self, upload: str) -> Iterator[None]:
        """Forget an upload that cannot be completed any more; one that only a failure ended stays."""
        try:
            yield
        except MissingError:
            self._drop(upload)
            raise ConflictError(
                f"{where(self._store, self._name)}: its upload was ended by somebody else; push again"
            ) from None
        except ConflictError:
            self._drop(upload)
            raise

    def _drop(self, upload: str) -> None:
        """Take an upload away."""
        self._store.abort(self._name, upload)
        self._journal.end(self._name, upload)

    def _found(self, pieces: list[Piece]) -> tuple[str, dict[int, Part]]:
        """An upload to go on with, and its parts that are as they should be; else a new one."""
        journal, name = self._journal, self._name
        ours, others = journal.ids(name), journal.others(name)
        unfinished = [one.id for one in self._store.uploads(name)]
        for upload in ours:
            if upload not in unfinished:
                journal.end(name, upload)
        for upload in reversed(unfinished):
            if upload not in ours and others is None and not self._sending.adopt:
                continue
            try:
                parts = self._store.parts(name, upload)
            except MissingError:
                continue
            good = self._good(pieces, parts)
            if upload in ours:
                if good:
                    return upload, good
                self._drop(upload)
            elif others is not None and upload not in others and not parts:
                self._drop(upload)  # we were killed before we could note it
            elif self._sending.adopt and good and _only(good, parts, pieces):
                journal.begin(name, upload, others)
                return upload, good
        there = [one for one in unfinished if one not in ours]
        journal.beginning(name, there)
        upload = self._store.create(name)
        journal.begin(name, upload, None if others is None else there)
        return upload, {}

    def _good(self, pieces: list[Piece], parts: list[Part]) -> dict[int, Part]:
        """The parts that hold what they should, by their numbers."""
        planned = {piece.number: piece for piece in pieces}
        good: dict[int, Part] = {}
        for part in parts:
            piece = planned.get(part.number)
            if piece is None or piece.size != part.size or piece.copied:
                continue  # a copy is made again: it costs nothing, and what it was made of is not told
            if _same(part, self._read(piece)):
                good[part.number] = part
        return good

    def _put(self, upload: str, piece: Piece) -> Part:
        sending, kept = self._sending, self._wanted.kept
        if piece.copied:
            assert kept is not None
            part = self._store.copy_part(
                self._name, upload, piece.number, kept.name, piece.offset, piece.size, kept.tag
            )
        else:
            sending.pace.wait(piece.size)
            data = bytes(piece.size) if sending.rehearsed else self._read(piece)
            part = self._store.put_part(self._name, upload, piece.number, data)
        sending.told(piece.size)
        return part

    def _read(self, piece: Piece) -> bytes:
        return os.pread(self._file, piece.size, self._wanted.start + piece.offset)


def checksum(file: int, start: int, end: int, before: int) -> int:
    """CRC-64/NVME of bytes that have the value `before` and the bytes [start, end) of a file behind them."""
    value = before
    for offset in range(start, end, PART):
        value = crc64.checksum(os.pread(file, min(PART, end - offset), offset), value)
    return value


def _is_lost(store: Transport, one: Upload, known: list[str]) -> bool:
    """Whether an upload is one that a kill kept from being noted: unknown, and without parts."""
    try:
        return one.id not in known and not store.parts(one.name, one.id)
    except MissingError:
        return False


def _only(good: dict[int, Part], parts: list[Part], pieces: list[Piece]) -> bool:
    """Whether an upload has no parts but ours."""
    copied = {piece.number for piece in pieces if piece.copied}
    return all(part.number in good or part.number in copied for part in parts)


def _same(part: Part, data: bytes) -> bool:
    """Whether a part that the store has holds these bytes, by a checksum; not where it tells none."""
    if part.md5 is not None:
        return part.md5 == hashlib.md5(data, usedforsecurity=False).digest()
    if part.crc64nvme is not None:
        return part.crc64nvme == crc64.text(crc64.checksum(data))
    return False
