"""A pack at a URL: what is current there, and its JSON files with all changes folded in."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from xlabel.errors import ConflictError, CorruptError, InputError, MissingError
from xlabel.formats.unified_lines import lines
from xlabel.jobs.deltas import State, read_log
from xlabel.jobs.generations import Generation
from xlabel.model.head import DAMAGED, HEAD, HEADS, Head, Named, Segment, head_serial, parse
from xlabel.stores.file import folder_of
from xlabel.stores.transport import Transport, where

LARGEST = 16 << 20
"""Bytes of a head."""
RANGE = 8 << 20
"""Bytes that are read at a time."""
THREADS = 8
TRIES = 5
"""So often a state is read anew that somebody replaces while it is read."""


class HeadAt(NamedTuple):
    """A head, and the object that it was read from."""

    head: Head
    name: str
    tag: str


def read_head(store: Transport) -> HeadAt | None:
    """What is current at a URL; None where nothing is.

    Where a store knows no conditions there is one for each push; the one of the highest number counts.
    """
    for attempt in range(TRIES):
        try:
            return read_one(store, HEAD) or _read_newest(store)
        except (ConflictError, MissingError):  # replaced, or taken back, while it was read
            if attempt + 1 == TRIES:
                raise
    raise AssertionError


def read_one(store: Transport, name: str) -> HeadAt | None:
    """The head in an object; None where it is not there."""
    there = store.head(name)
    if there is None:
        return None
    if there.size > LARGEST:
        raise CorruptError(
            f"{where(store, name)}: expected a head object, found {there.size:,} bytes; {DAMAGED}"
        )
    (data,) = store.get_ranges(name, [(0, there.size)], if_match=there.tag)
    return HeadAt(parse(data, where(store, name)), name, there.tag)


def _read_newest(store: Transport) -> HeadAt | None:
    name = max(store.names(HEADS), key=head_serial, default="")
    return read_one(store, name) if head_serial(name) else None


def need_head(store: Transport) -> Head:
    """The same; MissingError where there is no pack."""
    found = read_head(store)
    if found is None:
        raise MissingError(
            f"{store.url}: expected a pack that was pushed, found no {HEAD}; is the URL right? "
            "if so, push one there"
        )
    return found.head


class Folded(NamedTuple):
    """The JSON files of a pack with all changes folded in."""

    annotations: bytes
    manifest: bytes
    log: list[Generation]
    """What is known of the updates that led there, the oldest first."""


def json_files(store: Transport) -> tuple[Head, Folded]:
    """The head, and the JSON files, that are current.

    CorruptError where an object is not what the head says of it.
    """
    for attempt in range(TRIES):
        head = need_head(store)
        try:
            with ThreadPoolExecutor(THREADS, "xlabel") as pool:
                contents = pool.map(lambda one: _checked(store, one), json_objects(head))
                return head, folded(store, head, contents)
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


def is_prefix(store: Transport, head: Head, end: bytes, size: int) -> bool:
    """Whether the media there goes on from one of `size` bytes, by the last line of that."""
    parts = media_ranges(head.media.segments, size - len(end), len(end))
    return b"".join(store.get_ranges(part.name, [(at, count)])[0] for part, at, count in parts) == end


def read_whole(store: Transport, name: str, size: int) -> bytearray:
    """All bytes of an object, in ranges, some at a time."""
    data = bytearray(size)

    def get(offset: int) -> None:
        (piece,) = store.get_ranges(name, [(offset, min(RANGE, size - offset))])
        data[offset : offset + len(piece)] = piece

    with ThreadPoolExecutor(THREADS, "xlabel") as pool:
        list(pool.map(get, range(0, size, RANGE)))
    return data


def damaged(store: Transport, found: str) -> CorruptError:
    """The error for what is not as it was pushed, with what helps."""
    return CorruptError(f"{found}; xlabel verify --full {store.url} names what is damaged; {DAMAGED}")


def refuse_folder(place: str, wanted: str, folder: Path) -> None:
    """InputError where a place is no URL, or one of the folder of the pack itself."""
    if "://" not in place:
        raise InputError(f"{place}: expected a URL {wanted}, such as s3://bucket/name or file:///folder")
    there = folder_of(place) if urlsplit(place).scheme == "file" else None
    if there is not None and there.resolve() == folder.resolve():
        raise InputError(f"{place}: expected a URL {wanted}, found {folder} itself; name another folder")


def json_objects(head: Head) -> list[Named]:
    """The objects that the JSON files are folded from: the whole ones, and the deltas in their order."""
    deltas = [Named(one.name, one.size, one.sha256) for one in head.deltas]
    log = [head.whole.log] if head.whole.log else []
    return [head.whole.annotations, head.whole.manifest, *log, *deltas]


def folded(store: Transport, head: Head, contents: Iterable[bytes]) -> Folded:
    """The JSON files that a head means, by the contents of its `json_objects`.

    CorruptError as `json_files`.
    """
    annotations, manifest, *deltas = contents
    log = read_log(deltas.pop(0), where(store, head.whole.log.name)) if head.whole.log else []
    if deltas:
        state = State(lines(annotations, where(store, head.whole.annotations.name)), manifest)
        for one, data in zip(head.deltas, deltas, strict=True):
            state.fold(data, where(store, one.name))
        annotations = _as_pushed(state.annotations(), head.annotations, store)
        manifest = _as_pushed(state.manifest(), head.manifest, store)
        log += state.log
    _refuse_other(store, head, annotations)
    return Folded(annotations, manifest, log)


class _Section(msgspec.Struct):
    """What the end of an annotation file says of the file."""

    generation: int = 1
    sha256: str = ""
    pack_id: str = ""


class _End(msgspec.Struct):
    xlabel: _Section


def _refuse_other(store: Transport, head: Head, annotations: bytes) -> None:
    """CorruptError where a head, which nothing else is a check of, says another state than its files."""
    start = annotations.rfind(b"\n", 0, -1) + 1
    try:
        there = msgspec.json.decode(b"{" + annotations[start:], type=_End).xlabel
    except (msgspec.DecodeError, UnicodeDecodeError):
        there = _Section()
    said = (head.generation, head.seal, head.pack_id)
    found = (there.generation, there.sha256, there.pack_id)
    for name, one, other in zip(("generation", "seal", "pack"), said, found, strict=True):
        if one != other:
            raise damaged(
                store, f"{store.url}: its head says {name} {one}, the annotation file that it means {other}"
            )


def _checked(store: Transport, named: Named) -> bytes:
    """The bytes of an object that a head names; CorruptError where they are not those."""
    there = store.head(named.name) if named.size > RANGE else None
    if there is not None and there.size != named.size:  # before there is memory for it
        raise damaged(store, f"{where(store, named.name)}: is not what the head says of it")
    data = bytes(read_whole(store, named.name, named.size))
    if hashlib.sha256(data).hexdigest() != named.sha256:
        raise damaged(store, f"{where(store, named.name)}: is not what the head says of it")
    return data


def _as_pushed(pieces: Iterable[bytes], expected: Named, store: Transport) -> bytes:
    data = b"".join(pieces)
    if hashlib.sha256(data).hexdigest() != expected.sha256:
        raise damaged(store, f"{store.url}: its changes do not give {expected.name} as it was pushed")
    return data
