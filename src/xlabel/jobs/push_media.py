"""The media of a push: whole, grown by a copy of what has not changed, or as a segment behind it.

What is there is known again by its checksum, else by the last line of the media, which has the pack id.
"""

import random
import time

from msgspec.structs import replace

from xlabel import bundles
from xlabel.errors import ConflictError
from xlabel.jobs.commit import fence
from xlabel.jobs.outgoing import Outgoing
from xlabel.jobs.remote import HeadAt, damaged
from xlabel.jobs.upload import Object, Prefix, Sending, checksum, forget
from xlabel.model.head import HEAD, Media, Segment
from xlabel.stores import crc64
from xlabel.stores.transport import Stat, Transport, where

PATIENCE = 5.0
"""Seconds that media may be ahead of the head; then the push that wrote it is taken for dead."""


class AheadError(ConflictError):
    """The media there is longer than the head says: somebody else is pushing, or was killed."""


class Waiting:
    """For whom a push waits, and since when, over all its tries."""

    def __init__(self) -> None:
        self._for = ""
        self._since = 0.0

    def is_over(self, tag: str) -> bool:
        """Whether the media has stood there with this tag for long enough; waits a moment where not."""
        if tag != self._for:
            self._for, self._since = tag, time.monotonic()
        if time.monotonic() - self._since > PATIENCE:
            return True
        time.sleep(random.uniform(0.1, 0.4))
        return False


def send_whole(sending: Sending, mine: Outgoing, name: str, beside: bool) -> Media:
    """The media as one object: of that name where nobody has it, else of one of its own.

    `beside`: nothing may be written over, since the store would not say so.
    """
    bundle, store = mine.bundle, sending.store
    with open(bundle.media, "rb") as file:
        before, whole = _checksums(sending, file.fileno(), 0, None, mine)
        there = store.head(name) if store.conditional else None
        if beside or (there is not None and not _is_ours(store, name, there, mine, whole)):
            name = mine.own(bundle.media.name)
            there = store.head(name)
        if there is None or not _is_ours(store, name, there, mine, whole):
            absent = there is None and store.conditional
            wanted = Object(name, bundle.size, at=mine.media_index, absent=absent, crc64nvme=whole)
            sending.send(file.fileno(), wanted)
        forget(store, name, sending.journal)
    return Media(bundle.size, mine.media_index, (Segment(name, 0, bundle.size),), whole, before)


def send_grown(sending: Sending, mine: Outgoing, found: HeadAt, waiting: Waiting) -> tuple[Media, HeadAt]:
    """The media there with what is new, by a copy of what has not changed; and the head, maybe fenced."""
    bundle, old, store = mine.bundle, found.head.media, sending.store
    name = old.segments[0].name
    with open(bundle.media, "rb") as file:
        before, whole = _checksums(sending, file.fileno(), old.index, old.before_index, mine)
        there = store.head(name)
        if there is None or not _is_base(store, name, there, mine, old):
            raise damaged(store, f"{where(store, name)}: is not the media that {HEAD} says it is")
        if not _is_ours(store, name, there, mine, whole):
            if there.size != old.size:
                if not waiting.is_over(there.tag):
                    raise AheadError(
                        f"{where(store, name)}: is {there.size:,} bytes long, {HEAD} says "
                        f"{old.size:,}: somebody else is pushing; wait, or push again"
                    )
                found = fence(store, found)
            kept = Prefix(name, old.index, there.tag)
            wanted = Object(
                name, bundle.size, kept=kept, at=mine.media_index, if_match=there.tag, crc64nvme=whole
            )
            sending.send(file.fileno(), wanted)
        forget(store, name, sending.journal)
    return Media(bundle.size, mine.media_index, (Segment(name, 0, bundle.size),), whole, before), found


def send_beside(sending: Sending, mine: Outgoing, old: Media) -> Media:
    """What is new as an object of its own, where a store cannot join it to what it has."""
    size = mine.bundle.size - old.index
    name = mine.own(mine.bundle.media.name, str(old.index))
    there = sending.store.head(name)
    if there is None or there.size != size:
        with open(mine.bundle.media, "rb") as file:
            sending.send(file.fileno(), Object(name, size, start=old.index))
    forget(sending.store, name, sending.journal)
    *first, last = (segment for segment in old.segments if segment.offset < old.index)
    cut = replace(last, size=old.index - last.offset)
    return Media(mine.bundle.size, mine.media_index, (*first, cut, Segment(name, old.index, size)))


def _is_ours(store: Transport, name: str, there: Stat, mine: Outgoing, whole: str | None) -> bool:
    """Whether an object is our media, by its checksum; else by its last line, which has the pack id."""
    if there.size != mine.bundle.size:
        return False
    if whole is not None and there.crc64nvme is not None:
        return there.crc64nvme == whole
    return _last_line(store, name, there.size) == mine.last_line(there.size)


def _is_base(store: Transport, name: str, there: Stat, mine: Outgoing, old: Media) -> bool:
    """Whether an object begins with the media that a head names, by the last line of that."""
    return there.size >= old.size and _last_line(store, name, old.size) == mine.last_line(old.size)


def _last_line(store: Transport, name: str, size: int) -> bytes:
    return store.get_ranges(name, [(size - bundles.TRAILER, bundles.TRAILER)])[0]


def _checksums(
    sending: Sending, file: int, start: int, known: str | None, mine: Outgoing
) -> tuple[str | None, str | None]:
    """CRC-64/NVME of the media before its index, and whole; `known` is of the bytes before `start`."""
    if sending.rehearsed or not sending.store.keeps_crc64nvme or (start and known is None):
        return None, None
    value = crc64.value(known) if known else 0
    before = checksum(file, start, mine.media_index, value)
    return crc64.text(before), crc64.text(checksum(file, mine.media_index, mine.bundle.size, before))
