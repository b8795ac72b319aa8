"""Trees of label files for the tests: in memory, on disk, and the real sets beside the checkout."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from xlabel.errors import InputError
from xlabel.images import IMAGE_SUFFIXES, Buffer

T = TypeVar("T")

REAL = Path(__file__).parents[1].parent / "shared" / "real"


class Memory:
    """A tree out of a dict of path to text or bytes."""

    def __init__(self, files: Mapping[str, str | bytes], root: str = "labels") -> None:
        self.root = root
        self._files = {k: v.encode() if isinstance(v, str) else v for k, v in files.items()}

    @property
    def files(self) -> list[str]:
        return sorted(self._files, key=lambda path: path.encode())

    def read(self, path: str) -> bytes:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    @property
    def pictures(self) -> list[str]:
        return []

    def look(self, path: str, read: Callable[[Buffer], T]) -> T:
        return read(self.read(path))


def folder(path: Path) -> Memory:
    """All files below a folder that are no images, in memory."""
    if not path.is_dir():
        raise InputError(f"{path}: no such folder")
    files = {
        p.relative_to(path).as_posix(): p.read_bytes()
        for p in path.rglob("*")
        if p.is_file() and p.suffix[1:].lower() not in IMAGE_SUFFIXES
    }
    return Memory(files, str(path))


def real(name: str) -> Path:
    """The folder of a real data set by others; the test is skipped where it is absent."""
    path = REAL / name
    if not path.is_dir():
        message = f"the real set {name} is not beside this checkout"
        if "real" in os.environ.get("XLABEL_MUST_RUN", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    return path
