"""One job over several processes, with one order of results.

Batch i goes to process i mod N. Each process prepares its batch, asks for its place, writes, reports; the
places are given in the order of the batches, so that the number of processes changes nothing in the output.
"""

import gc
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from typing import Any

from xlabel.errors import XlabelError
from xlabel.jobs.frames import Ask, Described, Grant, Packer

SMALL = 256
"""Below so many images one process is done before others have started."""

Batch = tuple[int, int]


def available() -> int:
    """How many processes this machine is good for."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


def run(
    packer: Packer,
    batches: Callable[[], Iterator[Batch]],
    grant: Callable[[Ask], Grant],
    accept: Callable[[Described], None],
    processes: int,
) -> None:
    """Pack all batches; `grant` and `accept` are called in their order, in this process.

    `batches` begins anew at each call, and gives the same.
    """
    if processes < 2 or "fork" not in get_all_start_methods():
        for batch in batches():
            accept(packer.describe(packer.store(grant(packer.prepare(*batch)))))
        return
    count = sum(1 for _ in batches())
    team: list[tuple[Connection, Any]] = []
    context = get_context("fork")
    try:
        for number in range(processes):
            ours, theirs = context.Pipe()
            parents = [ours, *(pipe for pipe, _ in team)]
            worker = context.Process(
                target=_work,
                args=(packer, islice(batches(), number, None, processes), theirs, parents),
                daemon=True,
            )
            worker.start()
            theirs.close()
            team.append((ours, worker))
        for step in range(count + processes):
            pipe, worker = team[step % processes]
            described, ask = _received(pipe, worker)
            if described is not None:
                accept(described)
            if ask is not None:
                _sent(pipe, worker, grant(ask))
    finally:
        for pipe, worker in team:
            pipe.close()
            if worker.is_alive():
                worker.terminate()
            worker.join()


def _received(pipe: Connection, worker: Any) -> Any:
    try:
        message = pipe.recv()
    except (EOFError, OSError):  # OSError: within a message
        raise _died(worker) from None
    if isinstance(message, BaseException):
        raise message
    return message


def _sent(pipe: Connection, worker: Any, message: object) -> None:
    try:
        pipe.send(message)
        return
    except OSError:
        pass  # let go of, with the buffers that its frames hold, before the next one is raised
    raise _died(worker)


def _died(worker: Any) -> XlabelError:
    worker.join(5)
    return XlabelError(
        f"a worker process died (exit code {worker.exitcode}); nothing was changed. "
        "Is the memory full? Try again with --workers 1"
    )


def _work(packer: Packer, plan: Iterator[Batch], pipe: Connection, parents: list[Connection]) -> None:
    for other in parents:
        other.close()  # else the end of a parent that was killed would stay open, and we wait forever
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent ends its workers with it
    gc.disable()  # nothing here makes cycles, and samples come and go by the million
    try:
        described = None
        for batch in plan:  # what a batch has become goes with the question for the next one's place
            pipe.send((described, packer.prepare(*batch)))
            described = packer.describe(packer.store(pipe.recv()))
        pipe.send((described, None))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        os._exit(1)  # the parent is gone, or going, and has said why
    except (XlabelError, OSError) as error:
        _tell(pipe, error)
    except BaseException as error:
        _tell(pipe, RuntimeError(f"{error!r} in a worker process\n{traceback.format_exc()}"))


def _tell(pipe: Connection, error: BaseException) -> None:
    try:
        pipe.send(error)
    except OSError:
        os._exit(1)
