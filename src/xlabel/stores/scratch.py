"""A folder for a while: gone at the end, and after a kill with the next one of its kind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xlabel.errors import InputError
from xlabel.stores.transaction import locked


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A new folder below the system's temporary one; `prefix` begins its name and is ours alone.

    A lock on the folder tells one in use from one that a killed process left; those are taken away.
    """
    top = Path(tempfile.gettempdir())
    for old in top.glob(f"{prefix}*"):
        with suppress(OSError, InputError):
            if old.lstat().st_uid == os.getuid() and not old.is_symlink():
                lock = locked(old, wait=False)
                shutil.rmtree(old, ignore_errors=True)
                os.close(lock)
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        lock = locked(folder, wait=False)
    except OSError as error:
        raise InputError(f"{tempfile.gettempdir()}: cannot be written to: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
