"""Sending a file as one object, by parts: some at a time, resumed after a kill, unchanged bytes copied.

What the store has of an upload is the truth. A journal beside the pack is a hint where to look, and tells
uploads of ours from those of others.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from xlabel.errors import MissingError
from xlabel.stores import crc64
from xlabel.stores.transport import Part, Stat, Transport

PART = 8 << 20
"""Bytes of a part, where an object of that many parts is large enough."""
IN_FLIGHT = 96 << 20
"""Bytes that are held while they are sent."""
THREADS = 8
JOURNAL = ".xlabel-push"


class Kept(NamedTuple):
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
        """Wait until that many bytes may be sent."""
        if self._limit is None:
            return
        with self._lock:
            start = max(self._free, time.monotonic())
            self._free = start + size / self._limit
        time.sleep(max(0.0, self._free - time.monotonic()))


class Journal:
    """Uploads that were begun from here, by object; a file beside the pack, for this machine."""

    def __init__(self, folder: Path, url: str) -> None:
        self._path = folder / f"{JOURNAL}-{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
        try:
            self._ids = msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        except (OSError, msgspec.DecodeError):
            self._ids = {}

    def ids(self, name: str) -> list[str]:
        """The uploads of an object that were begun and not ended."""
        return list(self._ids.get(name, ()))

    def begin(self, name: str, upload: str) -> None:
        """Note an upload, before its first part."""
        self._ids.setdefault(name, []).append(upload)
        self._write()

    def end(self, name: str, upload: str) -> None:
        """Forget an upload that is completed or aborted."""
        left = [one for one in self._ids.get(name, ()) if one != upload]
        self._ids = {key: ids for key, ids in self._ids.items() if key != name} | (
            {name: left} if left else {}
        )
        self._write()

    def _write(self) -> None:
        if not self._ids:
            self._path.unlink(missing_ok=True)
            return
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self._ids))
        draft.replace(self._path)


def planned(store: Transport, size: int, kept: int) -> list[Piece]:
    """The parts of an object of `size` bytes; its first `kept` are copied, where a part may be that small."""
    if kept < store.part_min:
        kept = 0
    step = max(PART, store.part_min, math.ceil(size / (store.parts_max - 20)))
    pieces: list[Piece] = []
    copies = math.ceil(kept / min(store.part_max, 1 << 30)) if kept else 0
    for number in range(copies):
        start, end = kept * number // copies, kept * (number + 1) // copies
        pieces.append(Piece(len(pieces) + 1, start, end - start, True))
    for offset in range(kept, size, step):
        pieces.append(Piece(len(pieces) + 1, offset, min(step, size - offset), False))
    return pieces


class Sender:
    """Sends parts of one file to one object."""

    def __init__(
        self,
        store: Transport,
        name: str,
        file: int,
        journal: Journal,
        pace: Pace,
        sent: Callable[[int], None],
    ) -> None:
        """`file` is a descriptor; `sent` is called with the bytes of each part that is there."""
        self._store, self._name, self._file = store, name, file
        self._journal, self._pace, self._sent = journal, pace, sent
        self.wire = 0
        """Bytes that were sent."""

    def send(
        self,
        size: int,
        kept: Kept | None = None,
        *,
        if_match: str | None = None,
        absent: bool = False,
        crc64nvme: str | None = None,
        start: int = 0,
    ) -> Stat:
        """Make bytes [start, start + size) of the file the object; raises as `Transport.complete` does."""
        pieces = planned(self._store, size, kept.size if kept and self._store.copies_ranges else 0)
        upload, there = self._found(pieces, start)
        missing = [piece for piece in pieces if piece.number not in there]
        for piece in pieces:
            if piece.number in there:
                self._sent(piece.size)
        held = max((piece.size for piece in missing if not piece.copied), default=PART)
        threads = max(1, min(THREADS, IN_FLIGHT // held))
        with ThreadPoolExecutor(threads, "xlabel") as pool:
            waiting = [pool.submit(self._put, upload, piece, kept, start) for piece in missing]
            done, left = wait(waiting, return_when=FIRST_EXCEPTION)
            for one in left:
                one.cancel()
            there |= {part.number: part for one in done for part in [one.result()]}
        parts = [there[piece.number] for piece in pieces]
        try:
            stat = self._store.complete(
                self._name, upload, parts, if_match=if_match, absent=absent, crc64nvme=crc64nvme
            )
        except BaseException:
            self.drop(upload)
            raise
        self._journal.end(self._name, upload)
        for old in self._journal.ids(self._name):
            self.drop(old)
        return stat

    def drop(self, upload: str) -> None:
        """Take an upload away."""
        self._store.abort(self._name, upload)
        self._journal.end(self._name, upload)

    def _found(self, pieces: list[Piece], start: int) -> tuple[str, dict[int, Part]]:
        """An upload to go on with, and its parts that are as they should be; else a new one."""
        ours = self._journal.ids(self._name)
        known = [one.id for one in self._store.uploads(self._name)] if ours else []
        for upload in reversed(ours):
            if upload in known:
                try:
                    parts = self._store.parts(self._name, upload)
                except MissingError:
                    parts = []
                if good := self._good(pieces, parts, start):
                    return upload, good
                self.drop(upload)
            else:
                self._journal.end(self._name, upload)
        upload = self._store.create(self._name)
        self._journal.begin(self._name, upload)
        return upload, {}

    def _good(self, pieces: list[Piece], parts: list[Part], start: int) -> dict[int, Part]:
        """The parts that hold what they should, by their numbers."""
        planned = {piece.number: piece for piece in pieces}
        good: dict[int, Part] = {}
        for part in parts:
            piece = planned.get(part.number)
            if piece is None or piece.size != part.size or piece.copied:
                continue  # a copy is made again: it costs nothing, and what it was made of is not told
            if _same(part, self._read(piece, start)):
                good[part.number] = part
        return good

    def _put(self, upload: str, piece: Piece, kept: Kept | None, start: int) -> Part:
        if piece.copied:
            assert kept is not None
            part = self._store.copy_part(
                self._name, upload, piece.number, kept.name, piece.offset, piece.size, kept.tag
            )
        else:
            self._pace.wait(piece.size)
            part = self._store.put_part(self._name, upload, piece.number, self._read(piece, start))
            self.wire += piece.size
        self._sent(piece.size)
        return part

    def _read(self, piece: Piece, start: int) -> bytes:
        return os.pread(self._file, piece.size, start + piece.offset)


def checksum(file: int, start: int, end: int, before: int) -> int:
    """CRC-64/NVME of bytes that have the value `before` and the bytes [start, end) of a file behind them."""
    value = before
    for offset in range(start, end, PART):
        value = crc64.checksum(os.pread(file, min(PART, end - offset), offset), value)
    return value


def _same(part: Part, data: bytes) -> bool:
    """Whether a part that the store has holds these bytes, by a checksum; not where it tells none."""
    if part.md5 is not None:
        return part.md5 == hashlib.md5(data, usedforsecurity=False).digest()
    if part.crc64nvme is not None:
        return part.crc64nvme == crc64.text(crc64.checksum(data))
    return False
