"""Edits: how a file is changed without copying what stays, and how the change is undone.

The undo record of a file says what to cut out and what to put back, and the hash of the file as it was. It is
stored in what the edits insert, so its length must not depend on the numbers in it: those have fixed widths.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from xxhash import xxh3_128, xxh3_128_hexdigest

from xlabel.images import Buffer


class Edit(NamedTuple):
    """Bytes [start, stop) of a file give way to `data`. Edits are sorted and do not overlap."""

    start: int
    stop: int
    data: bytes


class Undo(msgspec.Struct, frozen=True):
    """How to get the original file back.

    `edits` are like `0000000014+0000000123=AAAA`: where in the changed file, how many bytes, both as ten
    hexadecimal digits, and in base64 what stood there before; nothing behind `=` where nothing did.
    """

    original: str
    """xxh3-128 of the original file, 32 hexadecimal digits."""
    edits: tuple[str, ...]


def apply(data: Buffer, edits: Iterable[Edit]) -> list[Buffer]:
    """The pieces of the changed file, in their order; those that stay are views of `data`."""
    view = memoryview(data)
    pieces: list[Buffer] = []
    at = 0
    for start, stop, new in edits:
        if start > at:
            pieces.append(view[at:start])
        if new:
            pieces.append(new)
        at = stop
    if at < len(view):
        pieces.append(view[at:])
    return pieces


def undo(data: Buffer, edits: Sequence[Edit], original: str) -> Undo:
    """The record that undoes `edits` of `data`, whose hash is `original`."""
    shift = 0
    lines = []
    for start, stop, new in edits:
        size = len(new)
        old = b64encode(memoryview(data)[start:stop]).decode() if stop > start else ""
        lines.append(_TEXT % (start + shift, size, old))
        shift += size - (stop - start)
    return Undo(original, tuple(lines))


def grown(edits: tuple[str, ...], by: int) -> tuple[str, ...]:
    """The edits of an undo record, where those of another file insert more, if there is only one."""
    if len(edits) != 1:
        return edits
    (line,) = edits
    return (f"{line[:11]}{max(int(line[11:21], 16) + by, 0):010x}{line[21:]}",)


def undone(data: Buffer, record: Undo) -> list[Buffer] | None:
    """The pieces of the original file, or None where the bytes are not those that the record was made for."""
    edits = []
    end = 0
    for line in record.edits:
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        start, size = int(found[1], 16), int(found[2], 16)
        if start < end or start + size > len(data):
            return None
        end = start + size
        try:
            edits.append(Edit(start, end, b64decode(found[3], validate=True)))
        except ValueError:
            return None
    pieces = apply(data, edits)
    return pieces if digest(pieces) == record.original else None


def digest(pieces: Sequence[Buffer]) -> str:
    """xxh3-128 of pieces in a row, as 32 hexadecimal digits."""
    if len(pieces) == 1:
        return xxh3_128_hexdigest(pieces[0])
    hasher = xxh3_128()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


def joined(edits: Sequence[Edit]) -> list[Edit]:
    """Edits in order; those that touch become one. ValueError where two overlap, as in hostile files."""
    if len(edits) < 2:
        return list(edits)
    done: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: edit[:2]):
        if done and done[-1].stop > edit.start:
            raise ValueError(f"two values share the bytes from {edit.start} to {done[-1].stop}")
        if done and done[-1].stop == edit.start:
            before = done.pop()
            edit = Edit(before.start, edit.stop, before.data + edit.data)
        done.append(edit)
    return done


def growth(edits: Iterable[Edit]) -> int:
    """By how many bytes edits make longer what they change."""
    return sum(len(data) - (stop - start) for start, stop, data in edits)


def moved(edits: Iterable[Edit], by: int) -> list[Edit]:
    """Edits of a part that begins at byte `by` of a whole, as edits of the whole."""
    return [Edit(start + by, stop + by, data) for start, stop, data in edits]


_TEXT = "%010x+%010x=%s"
_LINE = re.compile(r"([0-9a-f]{10})\+([0-9a-f]{10})=([A-Za-z0-9+/=]*)")
