"""The whole pair under the names that it has in a folder, for who reads a URL without the head.

The head goes on naming the pair that it was committed with, which nobody replaces. The plain one follows
behind, and is never older than the last fold but for the moment of its writing, or after a kill.
"""

import hashlib
import os
from pathlib import Path

from xlabel.errors import ConflictError
from xlabel.jobs.remote import read_head
from xlabel.jobs.upload import PART, Object, Prefix, Sending
from xlabel.model.head import Head, Named
from xlabel.model.manifest import ANNOTATIONS, MANIFEST
from xlabel.stores.transport import Stat

TRIES = 10
"""So often it is begun anew since another writer was faster."""
TAIL = 1024
"""Bytes at the end of a JSON file in which its seal stands."""


def put_plain(sending: Sending, head: Head, folder: Path) -> None:
    """Put the whole pair of a head that is committed under the plain names too, where those are the pack's.

    Nothing where somebody has committed another whole pair since: who did that puts theirs there.
    """
    if not head.has_plain_pair:
        return
    for named, name in ((head.whole.annotations, ANNOTATIONS), (head.whole.manifest, MANIFEST)):
        if named.name != name:
            _put(sending, head, named, folder / name)


def _put(sending: Sending, head: Head, named: Named, path: Path) -> None:
    store = sending.store
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != named.sha256:
            return  # the folder has a later generation by now
        for attempt in range(TRIES):
            there = store.head(path.name)
            if there is not None and _is_there(sending, there, file.fileno(), path.name, named):
                return
            # Looked at after the tag: who commits later finds another tag, or makes ours not hold.
            found = None if sending.rehearsed else read_head(store)
            if not sending.rehearsed and (found is None or found.head.whole != head.whole):
                return
            tag = there.tag if there else None
            try:
                if named.size <= PART:
                    data = os.pread(file.fileno(), named.size, 0)
                    sending.put(path.name, data, if_match=tag, absent=there is None)
                else:
                    source = store.head(named.name)
                    kept = Prefix(named.name, named.size, source.tag) if source else None
                    wanted = Object(path.name, named.size, kept=kept, if_match=tag, absent=there is None)
                    sending.send(file.fileno(), wanted)
                return
            except ConflictError:
                if attempt + 1 == TRIES:
                    raise


def _is_there(sending: Sending, there: Stat, file: int, name: str, named: Named) -> bool:
    """Whether an object ends as the file does: with its seal."""
    start = max(0, named.size - TAIL)
    if there.size != named.size:
        return False
    return sending.store.get_ranges(name, [(start, TAIL)])[0] == os.pread(file, TAIL, start)
