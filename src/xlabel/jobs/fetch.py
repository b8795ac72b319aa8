"""Bytes of the media at a URL written to a file: some ranges at a time, and on from where a kill ended it."""

import os
from array import array
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock

from xlabel.jobs.remote import RANGE, THREADS, damaged, media_ranges
from xlabel.model.head import Head
from xlabel.stores.local import write_at
from xlabel.stores.transport import Transport


def fetch(
    store: Transport,
    head: Head,
    start: int,
    file: Path,
    got: Callable[[int], None] | None = None,
) -> int:
    """Fetch the media from `start` on to the beginning of a file; gives the bytes that were fetched now.

    Which ranges are there already stands in a file beside it. CorruptError where the media is too short.
    """
    done = _Done(file.with_name(file.name + ".done"))
    size = head.media.size - start
    fetched = 0
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.ftruncate(fd, size)

        def get(number: int) -> int:
            offset = start + number * RANGE
            length = min(RANGE, head.media.size - offset)
            pieces = [
                store.get_ranges(segment.name, [(at, count)])[0]
                for segment, at, count in media_ranges(head.media.segments, offset, length)
            ]
            data = b"".join(pieces)
            if len(data) != length:
                raise damaged(
                    store,
                    f"{store.url}: expected {length:,} bytes at {offset:,} of the media, found {len(data):,}",
                )
            write_at(fd, data, number * RANGE)
            done.add(number)
            if got:
                got(length)
            return length

        missing = [number for number in range(-(-size // RANGE)) if number not in done.numbers]
        if got:
            got(size - sum(min(RANGE, size - number * RANGE) for number in missing))
        with ThreadPoolExecutor(THREADS, "xlabel") as pool:
            waiting = [pool.submit(get, number) for number in missing]
            ended, left = wait(waiting, return_when=FIRST_EXCEPTION)
            for one in left:
                one.cancel()
            fetched = sum(one.result() for one in ended)
    finally:
        os.close(fd)
    done.remove()
    return fetched


class _Done:
    """The numbers of the ranges that are written, kept in a file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        numbers = array("I")
        try:
            data = path.read_bytes()
            numbers.frombytes(data[: len(data) // 4 * 4])
        except OSError:
            pass
        self.numbers = set(numbers)

    def add(self, number: int) -> None:
        with self._lock, open(self._path, "ab") as file:
            file.write(array("I", [number]).tobytes())

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
