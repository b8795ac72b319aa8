"""What a server that speaks like S3 can do: asked by an object of ours, and known for a day.

The answers are in the user's cache, and so is the name of that object while it is asked by: the next who asks
from here, at the same URL, takes away what a killed one has left.
"""

import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from xlabel.errors import ConflictError, InputError
from xlabel.stores import cache
from xlabel.stores.s3_answers import LackingError
from xlabel.stores.transaction import locked
from xlabel.stores.transport import PROBE, Transport

DAY = 86_400.0
"""Seconds for which an answer is kept: a server may be replaced by another version, or another one."""

_KNOWN: dict[str, "Abilities"] = {}
_ASKING = Lock()


class Abilities(NamedTuple):
    """See `Transport`."""

    conditional: bool
    copies_ranges: bool


def abilities(store: Transport, server: str) -> Abilities:
    """What the server of a store can do. It is asked where that is not known; `server` names it."""
    with _ASKING:
        if server not in _KNOWN:
            _KNOWN[server] = _kept(server) or _asked(store, server)
        return _KNOWN[server]


def forget(server: str) -> None:
    """Ask again when it matters next: the server has refused what it was known to do."""
    _KNOWN.pop(server, None)
    with suppress(OSError):
        _note(server).unlink(missing_ok=True)


def _kept(server: str) -> Abilities | None:
    note = _note(server)
    try:
        if 0 <= time.time() - note.stat().st_mtime < DAY:
            return msgspec.json.decode(note.read_bytes(), type=Abilities)
    except (OSError, msgspec.DecodeError):
        pass
    return None


def _keep(server: str, found: Abilities) -> None:
    note = _note(server)
    draft = note.with_name(f".{uuid.uuid4().hex}")
    with suppress(OSError):
        draft.write_bytes(msgspec.json.encode(found))
        draft.replace(note)


def _note(server: str) -> Path:
    return cache.place("s3", hashlib.sha256(server.encode()).hexdigest()[:32])


def _asked(store: Transport, server: str) -> Abilities:
    with _name(store, server) as name:
        try:
            tag = store.put(name, b"0123456789").tag
            copies = _copies(store, name, tag)
            found = Abilities(_honours_conditions(store, name, tag), copies)
        finally:
            store.delete(name)
        _keep(server, found)
        return found


@contextmanager
def _name(store: Transport, server: str) -> Iterator[str]:
    """The name of an object to ask by, which nobody has asked by: what is late of a killed one does no harm.

    It is noted while it is asked by, one at a time, and what the one noted before has left is taken away.
    """
    name = PROBE + uuid.uuid4().hex
    note = _note(f"{server} {store.url}").with_suffix(".asking")
    lock = None
    with suppress(OSError, InputError):  # no cache, or another one asks just now
        note.parent.mkdir(parents=True, exist_ok=True)
        lock = locked(note.parent, wait=False)
    try:
        if lock is not None:
            _clear(store, note)
            with suppress(OSError):
                note.write_text(name)
        yield name
        if lock is not None:
            with suppress(OSError):
                note.unlink()
    finally:
        if lock is not None:
            os.close(lock)


def _clear(store: Transport, note: Path) -> None:
    """Take away what was asked by, where a kill kept that from being done."""
    try:
        left = note.read_text("utf-8", "replace")
    except OSError:
        return
    if re.fullmatch(re.escape(PROBE) + "[0-9a-f]{32}", left):
        for upload in store.uploads(left):
            store.abort(left, upload.id)
        store.delete(left)


def _honours_conditions(store: Transport, name: str, tag: str) -> bool:
    other = '"' + "0" * 32 + '"'
    upload = store.create(name)
    try:
        part = store.put_part(name, upload, 1, b"0123456789")
        return (
            _refuses(lambda: store.put(name, b"", absent=True))
            and _refuses(lambda: store.put(name, b"", if_match=other))
            and _refuses(lambda: store.complete(name, upload, [part], if_match=other))
            and _takes(lambda: store.put(name, b"0123456789", if_match=tag))
        )
    finally:
        store.abort(name, upload)


def _copies(store: Transport, name: str, tag: str) -> bool:
    upload = store.create(name)
    try:
        if not _takes(lambda: store.copy_part(name, upload, 1, name, 2, 4, tag)):
            return False
        return [part.size for part in store.parts(name, upload)] == [4]
    finally:
        store.abort(name, upload)


def _refuses(write: Callable[[], object]) -> bool:
    """Whether a condition that does not hold is found out; some servers write all the same, or say so."""
    try:
        write()
    except ConflictError:
        return True
    except LackingError:
        return False
    return False


def _takes(write: Callable[[], object]) -> bool:
    try:
        write()
    except (LackingError, ConflictError):
        return False
    return True
