"""A pack at a URL: what is current there, and its JSON files with all changes folded in."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from xlabel.errors import ConflictError, CorruptError, InputError, MissingError
from xlabel.formats.unified_lines import lines
from xlabel.jobs.deltas import State
from xlabel.model.head import HEAD, HEADS, Head, Named, Segment, head_serial, parse
from xlabel.stores.transport import Transport, where

RANGE = 8 << 20
"""Bytes that are read at a time."""
THREADS = 8
TRIES = 5
"""So often a state is read anew that somebody replaces while it is read."""


def read_head(store: Transport) -> tuple[Head, str] | None:
    """What is current at a URL, and the name and tag of the object that says so; None where nothing is.

    Where a store knows no conditions there is one for each push; the one of the highest generation counts.
    """
    found = store.head(HEAD)
    if found is not None:
        (data,) = store.get_ranges(HEAD, [(0, found.size)])
        return parse(data, where(store, HEAD)), found.tag
    name = max(store.names(HEADS), key=head_serial, default="")
    if not head_serial(name):
        return None
    found = store.head(name)
    if found is None:
        return read_head(store)
    (data,) = store.get_ranges(name, [(0, found.size)])
    return parse(data, where(store, name)), name


def need_head(store: Transport) -> Head:
    """The same; MissingError where there is no pack."""
    found = read_head(store)
    if found is None:
        raise MissingError(f"{store.url}: expected a pack that was pushed, found no {HEAD}; push one there")
    return found[0]


def json_files(store: Transport) -> tuple[Head, bytes, bytes]:
    """The head, annotation file and manifest that are current.

    CorruptError where an object is not what the head says of it.
    """
    for attempt in range(TRIES):
        head = need_head(store)
        try:
            return head, *_folded(store, head)
        except (CorruptError, ConflictError, MissingError):
            if attempt + 1 == TRIES or need_head(store) == head:
                raise
    raise AssertionError


def media_ranges(segments: Iterable[Segment], offset: int, size: int) -> Iterator[tuple[Segment, int, int]]:
    """(object, offset in it, size) of the bytes [offset, offset + size) of the media."""
    for segment in segments:
        start = max(offset, segment.offset)
        end = min(offset + size, segment.offset + segment.size)
        if start < end:
            yield segment, start - segment.offset, end - start


def read_whole(store: Transport, name: str, size: int) -> bytearray:
    """All bytes of an object, in ranges, some at a time."""
    data = bytearray(size)

    def get(offset: int) -> None:
        (piece,) = store.get_ranges(name, [(offset, min(RANGE, size - offset))])
        data[offset : offset + len(piece)] = piece

    with ThreadPoolExecutor(THREADS, "xlabel") as pool:
        list(pool.map(get, range(0, size, RANGE)))
    return data


def checked(store: Transport, named: Named) -> bytearray:
    """The bytes of an object that a head names; CorruptError where they are not those."""
    data = read_whole(store, named.name, named.size)
    if hashlib.sha256(data).hexdigest() != named.sha256:
        raise CorruptError(f"{where(store, named.name)}: is not what the head says of it; push again")
    return data


def refuse_folder(place: str, wanted: str) -> None:
    """InputError where a place is a folder and a URL is expected."""
    if "://" not in place:
        raise InputError(f"{place}: expected a URL {wanted}, such as s3://bucket/name or file:///folder")


def _folded(store: Transport, head: Head) -> tuple[bytes, bytes]:
    annotations = checked(store, head.whole.annotations)
    manifest = checked(store, head.whole.manifest)
    state = State(lines(annotations, where(store, head.whole.annotations.name)), bytes(manifest))
    if not head.deltas:
        return bytes(annotations), bytes(manifest)
    for one in head.deltas:
        state.fold(bytes(checked(store, Named(one.name, one.size, one.sha256))), where(store, one.name))
    return (
        _joined(state.annotations(), head.annotations, store),
        _joined(state.manifest(), head.manifest, store),
    )


def _joined(pieces: Iterable[bytes], expected: Named, store: Transport) -> bytes:
    data = b"".join(pieces)
    if hashlib.sha256(data).hexdigest() != expected.sha256:
        raise CorruptError(
            f"{store.url}: its changes do not give {expected.name} as it was pushed; push again"
        )
    return data
