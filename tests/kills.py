"""Processes that are killed: at every step that changes a folder, one after the other."""

import os
import signal
import sys
from collections.abc import Callable, Iterator

STEPS = frozenset(["os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"])
"""Events of Python's audit hooks that come right before a step; files that are opened to be written too."""


def often(short: int, long: int) -> int:
    """How often a test repeats what is left to chance: `long` times where XLABEL_LONG is set."""
    return long if os.environ.get("XLABEL_LONG") else short


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
    child = os.fork()
    if not child:
        code = 1
        try:
            _die_after(steps)
            job()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the job failed before it was killed"
    return os.WIFSIGNALED(status)


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
