"""Processes that are killed: at any moment, or at every step that changes a folder, one after the other."""

import fcntl
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

STEPS = frozenset(["os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"])
"""Events of Python's audit hooks that come right before a step; files that are opened to be written too."""


def often(short: int, long: int) -> int:
    """How often a test repeats what is left to chance: `long` times where XLABEL_LONG is set."""
    return long if os.environ.get("XLABEL_LONG") else short


def started(job: Callable[[], object]) -> int:
    """A job in a process and a group of its own; gives the process's number. What goes wrong is printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads here are servers and proxies
        child = os.fork()
    if child:
        os.setpgid(child, child)  # whichever of the two is first
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        job()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """The exit code of a process; negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(child: int, kill: Callable[[int, int], None] = os.kill) -> bool:
    """Kill a process as the system would; whether it was still at work. It must not have failed by itself.

    `os.killpg` kills those that it has started too; otherwise they take a moment to notice.
    """
    kill(child, signal.SIGKILL)
    code = ended(child)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def wait_until_free(folder: Path) -> None:
    """Wait until no process has the folder's lock: those whose parent was killed take a moment to notice."""
    for _ in range(300):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.1)
        finally:
            os.close(lock)
    pytest.fail("a process whose parent was killed still holds the folder's lock")


def at_each_step(job: Callable[[], object]) -> Iterator[int]:
    """Run a job in a process that is killed before its first step, then before its second, and so on.

    Gives the number of steps done after each kill, and ends when the job came to its end. What a test does
    between two kills is seen by the next process.
    """
    steps = 0
    while _killed(job, steps):
        yield steps
        steps += 1


def _killed(job: Callable[[], object], steps: int) -> bool:
    def doomed() -> None:
        _die_after(steps)
        job()

    code = ended(started(doomed))
    assert code in (0, -signal.SIGKILL), "the job failed before it was killed"
    return code != 0


def _die_after(steps: int) -> None:
    left = steps

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS or (event == "open" and _writes(arguments[2])):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(watch)


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
