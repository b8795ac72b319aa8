"""Image files changed one after the other, in place or as copies: what embed, repair and strip share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlabel.errors import ExistsError, InputError, StoreError
from xlabel.model import Problem
from xlabel.stores.local import Scan


@contextmanager
def listed(where: str, problems: list[Problem], target: bytes | None = None) -> Iterator[None]:
    """What keeps one image, or its copy in the folder `target`, from being written becomes a problem.

    A full disk (StoreError), which keeps the next ones from it too, is raised.
    """
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        copy = "" if target is None else "its copy cannot be written: "
        problems.append(Problem(where, "not-written", f"{copy}{error.strerror}; it is as it was"))
    except InputError as error:
        problems.append(Problem(where, "not-written", str(error).removeprefix(f"{where}: ")))


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
