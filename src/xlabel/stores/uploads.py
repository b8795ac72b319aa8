"""Uploads of stores that know none: their ids, and where their parts wait, below `.xlabel-store/`."""

import hashlib
import time
import uuid
from collections.abc import Iterable

from xlabel.errors import MissingError
from xlabel.stores.transport import Upload

HIDDEN = ".xlabel-store"
"""The folder of what is unfinished; gone when nothing is."""


def new() -> str:
    """An id that nobody else has; it says when the upload was begun."""
    return f"{int(time.time()):08x}{uuid.uuid4().hex[:8]}"


def listed(name: str, ids: Iterable[str]) -> list[Upload]:
    """The uploads of an object with these ids, oldest first."""
    return [Upload(name=name, id=upload, begun=int(upload[:8], 16)) for upload in sorted(ids)]


def place(name: str, upload: str = "") -> str:
    """Where the parts of an upload are; without id, how the places of all uploads of an object begin."""
    flat = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]  # it may have folders in it
    return f"{HIDDEN}/{flat}@{upload}"


def gone(where: str, upload: str) -> MissingError:
    """That an upload of the object at a URL was completed or aborted."""
    return MissingError(f"{where}: its upload {upload} is not there any more; begin again")
