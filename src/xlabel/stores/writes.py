"""What became of a write: whether its condition holds, whether it was done, what is there now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xlabel.errors import ConflictError, MissingError
from xlabel.stores.transport import Stat


def check(where: str, there: Stat | None, *, if_match: str | None = None, absent: bool = False) -> None:
    """Raise ConflictError where the object at a URL, as it is now, is not what a write says it replaces."""
    if absent and there is not None:
        raise ConflictError(f"{where}: expected no such object, and there is one by now")
    if if_match is not None and (there is None or there.tag != if_match):
        raise changed(where, there)


def changed(where: str, there: Stat | None) -> ConflictError:
    """That the object at a URL is another than the one that was read, or none."""
    found = "was deleted" if there is None else "was changed"
    return ConflictError(f"{where}: {found} by somebody else; read it and try again")


def made(where: str, there: Stat | None) -> Stat:
    """What was written, as it is there; MissingError where it is not."""
    if there is None:
        raise MissingError(f"{where}: was written, and is gone; somebody else deletes here")
    return there


@contextmanager
def unless_done(write: str, there: Callable[[], str | None]) -> Iterator[None]:
    """Let a write fail, but not since it was done before, and the answer to that lost.

    `write` is what the write notes down with the object, and nobody else does; `there` reads what is noted.
    """
    try:
        yield
    except (ConflictError, MissingError):
        if there() != write:
            raise
