"""Uploads of stores that know none: their ids, and where their parts wait, below `.xlabel-store/`."""

import re
import time
import uuid
from collections.abc import Iterable
from urllib.parse import quote, unquote

from xlabel.errors import MissingError
from xlabel.stores.transport import Upload

HIDDEN = ".xlabel-store"
"""The folder of what is unfinished; gone when nothing is."""

_PLACE = re.compile(rf"{re.escape(HIDDEN)}/([^/@]+)@([0-9a-f]{{16}})")


def new() -> str:
    """An id that nobody else has; it says when the upload was begun."""
    return f"{int(time.time()):08x}{uuid.uuid4().hex[:8]}"


def listed(name: str, ids: Iterable[str]) -> list[Upload]:
    """The uploads of an object with these ids, oldest first."""
    return [Upload(name=name, id=upload, begun=int(upload[:8], 16)) for upload in sorted(ids)]


def place(name: str, upload: str) -> str:
    """Where the parts of an upload are; that says of which object, so that all uploads can be listed."""
    flat = quote(name, safe="", errors="surrogateescape")  # it may have folders in it
    return f"{HIDDEN}/{flat}@{upload}"


def placed(place: str) -> tuple[str, str] | None:
    """The object and the id of the upload whose parts are at a place; None where it is no such place."""
    found = _PLACE.fullmatch(place)
    return (unquote(found[1], errors="surrogateescape"), found[2]) if found else None


def gone(where: str, upload: str) -> MissingError:
    """That an upload of the object at a URL was completed or aborted."""
    return MissingError(f"{where}: its upload {upload} is not there any more; begin again")
