"""Many small reads of one call, some at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

THREADS = 16
"""Reads of one store that are under way at once, whoever asks for them."""


class Threads:
    """Threads of one store, made when they are first needed."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._making = Lock()

    def read(self, get: Callable[[int, int], bytes], ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """What `get` gives for each (offset, size), in their order; the first error ends it."""
        if len(ranges) < 2:
            return [get(*which) for which in ranges]
        with self._making:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, "store")
        return list(self._pool.map(lambda which: get(*which), ranges))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
