"""Images by number, in files or in a bundle: what validate looks through, and repair looks in."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from xlabel.formats.embedded import EmbeddedLabels
from xlabel.images import Buffer
from xlabel.jobs.bundle import Bundle
from xlabel.stores import rewrite
from xlabel.stores.local import Scan

T = TypeVar("T")


class Files:
    """Image files that were selected."""

    def __init__(self, selected: Scan) -> None:
        self._selected = selected
        self._root = os.fsencode(selected.root) + b"/"

    def __len__(self) -> int:
        return len(self._selected.keys)

    def key(self, number: int) -> str:
        return self._selected.keys[number]

    def where(self, number: int) -> str:
        return f"{self._selected.root}/{self.key(number)}"

    def path(self, number: int) -> bytes:
        """Where the file lies, its name as the system has it."""
        (name,) = self._selected.keys.raw(number, number + 1)
        return self._root + name

    @contextmanager
    def opened(self, number: int) -> Iterator[Buffer]:
        with rewrite.opened(self.path(number)) as (data, _):
            yield data


class Frames:
    """The frames of a bundle, and the labels inside its images, beside which no files lie."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._inside = EmbeddedLabels(_Nowhere(str(bundle.media)))

    def __len__(self) -> int:
        return len(self._bundle)

    def key(self, number: int) -> str:
        return self._bundle.keys[number]

    def where(self, number: int) -> str:
        return f"{self._bundle.media}/{self.key(number)}"

    @contextmanager
    def opened(self, number: int) -> Iterator[Buffer]:
        yield self._bundle.image_bytes(number)


class _Nowhere:
    """A tree without files."""

    files: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()

    def __init__(self, root: str) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        raise FileNotFoundError(path)

    def look(self, path: str, read: Callable[[Buffer], T]) -> T:
        raise FileNotFoundError(path)
