"""Image files changed one after the other, in place or as copies: what embed, repair and strip share."""

import os
from pathlib import Path

from xlabel.errors import ExistsError, InputError
from xlabel.model import Problem
from xlabel.stores.local import Scan


class listed:
    """What keeps one image, or its copy in the folder `target`, from being written becomes a problem.

    A full disk (StoreError), which keeps the next ones from it too, is raised.
    """

    __slots__ = ("_problems", "_target", "_where")

    def __init__(self, where: str, problems: list[Problem], target: bytes | None = None) -> None:
        self._where = where
        self._problems = problems
        self._target = target

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, OSError):
            copy = "" if self._target is None else "its copy cannot be written: "
            message = f"{copy}{error.strerror}; it is as it was"
        elif isinstance(error, InputError):
            message = str(error).removeprefix(f"{self._where}: ")
        else:
            return False
        self._problems.append(Problem(self._where, "not-written", message))
        return True


def target_folder(output: str | os.PathLike[str], selected: Scan) -> bytes:
    """The folder for copies, with a slash at its end.

    ExistsError where something is in it, InputError where it lies inside the folder of the images.
    """
    target = Path(output)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExistsError(f"{target}: expected a new or empty folder for the copies")
    if target.resolve().is_relative_to(Path(selected.root).resolve()):
        raise InputError(f"{target}: lies inside {selected.root}; give a folder outside")
    return os.fsencode(target) + b"/"
