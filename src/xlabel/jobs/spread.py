"""A function over many ranges of images, in several processes, with results in order."""

import gc
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from threading import Thread
from typing import Any, TypeVar

from xlabel.errors import InputError, XlabelError
from xlabel.jobs.workers import available

BATCH = 64
"""Images that are handled at a time."""
SMALL = 256
"""Below so many images one process is done before others have started."""

T = TypeVar("T")
_work: Callable[[int, int], Any] | None = None


def spread(work: Callable[[int, int], T], count: int, processes: int | None = None) -> Iterator[T]:
    """`work(start, stop)` for ranges of [0, count), in order; each result is sent between processes.

    A worker that dies ends the run with an error. Only so many results wait that memory stays bounded.
    """
    global _work
    if processes is not None and processes < 1:
        raise InputError(f"expected at least one worker, got {processes}")
    if processes is None:
        processes = 1 if count < SMALL else available()
    ranges = ((start, min(start + BATCH, count)) for start in range(0, count, BATCH))
    if processes < 2 or "fork" not in get_all_start_methods():
        collecting = gc.isenabled()
        gc.disable()  # as in `_begin`
        try:
            for start, stop in ranges:
                yield work(start, stop)
        finally:
            if collecting:
                gc.enable()
        return
    _work = work
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("fork"), initializer=_begin, initargs=(os.getpid(),)
    )
    waiting: deque[Future[T]] = deque()
    try:
        for start, stop in ranges:
            waiting.append(pool.submit(_call, start, stop))
            if len(waiting) >= 4 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise XlabelError(
            "a worker process died; what is done is done, run again for the rest. "
            "Is the memory full? Try again with --workers 1"
        ) from None
    finally:
        _work = None
        pool.shutdown(wait=True, cancel_futures=True)


def _call(start: int, stop: int) -> Any:
    assert _work is not None
    return _work(start, stop)


def _begin(parent: int) -> None:
    gc.disable()  # nothing here makes cycles, and samples come and go by the million
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """End with a parent that is killed: the queue that we wait at would never tell us."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
