"""Writing files under names that somebody else chose: nothing lands outside the folder that was given."""

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from xlabel.errors import ExistsError, InputError


class Extraction:
    """A folder that is filled with files by untrusted paths; use as a context.

    A new folder appears whole at the end, or not at all. With `overwrite`, files of a folder that exists are
    replaced one by one, each whole.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        """Raises ExistsError where the folder holds something and `overwrite` was not said."""
        self.folder = folder
        self._in_place = folder.is_dir() and any(folder.iterdir())
        if self._in_place and not overwrite:
            raise ExistsError(f"{folder}: is not empty; choose a new folder, or say --overwrite")
        if folder.exists() and not folder.is_dir():
            raise ExistsError(f"{folder}: expected a folder, found a file")
        self._root = folder if self._in_place else folder.parent / f".{folder.name}.xlabel-partial"
        self._made: set[str] = set()
        try:
            if not self._in_place:
                shutil.rmtree(self._root, ignore_errors=True)
                self._root.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
        self._real = os.path.realpath(self._root)

    def write(self, path: str | bytes, chunks: Iterable[bytes | memoryview]) -> None:
        """Write a file below the folder.

        Raises ValueError where the path would leave the folder or is no path, OSError where the system
        refuses it.
        """
        place = self._place(os.fsencode(path))
        draft = place + f".{secrets.token_hex(4)}.new" if self._in_place else place
        try:
            with open(draft, "xb" if not self._in_place else "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            if self._in_place:
                os.replace(draft, place)
        except FileExistsError:
            raise ValueError("another file has the same path") from None
        except BaseException:
            if self._in_place:
                Path(draft).unlink(missing_ok=True)
            raise

    def __enter__(self) -> "Extraction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_place:
            return
        if error is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            return
        if self.folder.is_dir():
            self.folder.rmdir()
        self._root.replace(self.folder)

    def _place(self, name: bytes) -> str:
        """The path on the disk of a name, its folder made."""
        parts = name.split(b"/")
        if b"\0" in name or any(part in (b"", b".", b"..") for part in parts):
            raise ValueError("leads outside the folder, or is no path")
        parent = os.path.join(self._real, os.fsdecode(b"/".join(map(_escaped, parts[:-1]))))
        if parent not in self._made:
            os.makedirs(parent, exist_ok=True)
            real = os.path.realpath(parent)
            if real != self._real and not real.startswith(self._real + os.sep):
                raise ValueError("a link there leads outside the folder")
            self._made.add(parent)
        return os.path.join(parent, os.fsdecode(_escaped(parts[-1])))


def _escaped(part: bytes) -> bytes:
    """A name without control characters: a newline becomes %0A."""
    if not any(byte < 32 or byte == 127 for byte in part):
        return part
    return b"".join(b"%%%02X" % byte if byte < 32 or byte == 127 else bytes((byte,)) for byte in part)
