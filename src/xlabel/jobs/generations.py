"""The generations of a pack: what each update has changed, and the annotation file as it was before.

`generation_log.jsonl` grows at its end: for each update a line about the whole, then a line a change, with
the records as they were and as they are. So a generation is read by undoing the changes since, the newest
first. A generation above that of the annotation file was cut off while it was written; the next update writes
over it. A log that does not lead to the pack beside it is set aside, and another one begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from xlabel.errors import CorruptError, InputError
from xlabel.formats import unified_reading, unified_writing
from xlabel.formats.unified_lines import Lines

LOG = "generation_log.jsonl"

_json = msgspec.json.Encoder()


class Generation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of an update; `before` and `size` are filled in when it goes into the log."""

    generation: int
    before: int = 0
    """The generation that it follows: not the one below where several were pulled at once, and 0 where
    nothing of what was before is here."""
    time: str
    """ISO 8601, UTC."""
    message: str = ""
    changes: dict[str, int]
    """Images added, changed, removed, renamed and relabelled."""
    pack_id: str
    media_size: int
    """Bytes of the media file then; those of the one before stand in the log's record of the whole."""
    anew: bool = False
    """The media was written anew, so that no generation before can be read."""
    pulled: tuple[Generation, ...] = ()
    """What those who made them say of the generations since `before`, this one too, where it was pulled."""
    theirs: tuple[tuple[int, int], ...] = ()
    """Frames of images that others have added, and that no folder of images here has had: first and last."""
    size: int = 0
    """Bytes of the lines of its changes, which follow its own."""


class Made(NamedTuple):
    """The generation that a pack is of, and its pack id."""

    number: int
    pack_id: str


class Records(NamedTuple):
    """The records of an image and of its annotations, as they stand in an annotation file."""

    image: bytes
    annotations: bytes = b""
    """Joined by commas and line ends."""


class Changes:
    """The lines of an update while they are made; they wait in a file."""

    def __init__(self, spool: Path, whole: bytes) -> None:
        """`whole`: the annotation file that was, from the end of its annotations on."""
        self._file = open(spool, "w+b")  # noqa: SIM115
        self._file.write(b'{"was":' + on_one_line(whole) + b"}\n")
        self.counts: dict[str, int] = {}
        self._end: tuple[Path, int] | None = None
        """The log that was written to, and where it ended."""
        self._aside: tuple[Path, Path] | None = None
        """What the log that was there is called now, and was called."""

    def add(self, kind: str, was: Records | None, now: Records | None) -> None:
        """Note a change: `kind` is added, changed, removed, renamed or relabelled."""
        parts = [
            b'"%b":{"image":%b,"annotations":[%b]}'
            % (name, records.image, records.annotations.replace(b"\n", b""))
            for name, records in ((b"was", was), (b"is", now))
            if records is not None
        ]
        self._file.write(b"{" + b",".join(parts) + b"}\n")
        self.count(kind)

    def count(self, kind: str) -> None:
        """Count a change."""
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def between(self, old: Lines, new: Lines) -> None:
        """Note how the images of one annotation file differ from those of another."""
        before, now = old.positions(), new.positions()
        for number in sorted({*before, *now}):
            was = records_at(old, before.get(number))
            is_ = records_at(new, now.get(number))
            if was != is_:
                self.add("relabelled" if was and is_ else "removed" if was else "added", was, is_)

    def append(self, log: Path, before: Made, line: Generation) -> str | None:
        """Append all to the log, behind the generation that it follows; tells of a log that was set aside."""
        self._file.flush()
        line = msgspec.structs.replace(line, before=before.number, size=self._file.tell())
        end = ended(log, before, before.number)
        told = self._set_aside(log, before) if not end and before.number > 1 else None
        with open(os.open(log, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666), "r+b") as out:
            self._end = log, end
            out.truncate(end)
            out.seek(end)
            out.write(_json.encode(line) + b"\n")
            self._file.seek(0)
            while piece := self._file.read(1 << 20):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        return told

    def undo(self) -> None:
        """Have the log be again what it was before `append`, as far as the system lets it."""
        with suppress(OSError):
            if self._end is not None and self._end[1]:
                os.truncate(*self._end)
            elif self._end is not None:
                self._end[0].unlink()
            if self._aside is not None:
                self._aside[0].rename(self._aside[1])
        self._end = self._aside = None

    def close(self) -> None:
        """Let go of the file. What it could not write has been told already."""
        with suppress(OSError):
            self._file.close()

    def _set_aside(self, log: Path, before: Made) -> str:
        """Give a log that does not lead to a generation another name; tells of it."""
        lost = f"generations below {before.number} cannot be read here"
        if not os.path.lexists(log) or not os.lstat(log).st_size:
            return f"{log.name} begins anew: {lost}"
        names = (log.with_name(f"{log.stem}.old{number}{log.suffix}") for number in range(1, 10_000))
        other = next(name for name in names if not os.path.lexists(name))
        log.rename(other)
        self._aside = other, log
        known = f"{log.name} does not lead to generation {before.number} of this pack"
        return f"{known}: {lost}; it is kept as {other.name}"


def begin(log: Path, line: Generation) -> None:
    """Begin a log with a generation of which nothing before is here but what `pulled` tells."""
    log.write_bytes(_json.encode(line) + b"\n")


def records_at(lines: Lines, position: int | None) -> Records | None:
    """The records of the image at a position."""
    return None if position is None else Records(lines.image(position), lines.annotations(position))


def entries(log: Path, current: Made) -> list[tuple[Generation, int]]:
    """The updates that led to a generation, the oldest first, and where the lines of its changes begin.

    None where the log does not lead to it: it is missing, cut off, edited, or of another pack.
    """
    found: list[tuple[Generation, int]] = []
    try:
        with open(os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            whole = os.fstat(file.fileno()).st_size
            while line := file.readline():
                known = msgspec.json.decode(line, type=Generation)
                if not 0 <= known.size <= whole - file.tell() or known.generation > current.number:
                    break
                if known.before >= known.generation or (found and known.before != found[-1][0].generation):
                    break
                found.append((known, file.tell()))
                file.seek(known.size, os.SEEK_CUR)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{log}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # what was cut off while it was written
    last = found[-1][0] if found else None
    return found if last and (last.generation, last.pack_id) == current else []


def told(log: Path, current: Made) -> list[Generation]:
    """What is known of the updates that led to a generation, the oldest first: as those say who made them."""
    return [one for line, _ in entries(log, current) for one in line.pulled or (line,)]


def travelling(lines: Iterable[Generation], since: int) -> tuple[Generation, ...]:
    """Lines of a log of generations above `since`, without what only the log that they stand in has."""
    return tuple(msgspec.structs.replace(one, theirs=(), size=0) for one in lines if one.generation > since)


def theirs(log: Path, current: Made) -> set[int]:
    """Frame numbers of the images that others have added, and that no folder of images here has had.

    They came with a pull, or a push that took in others' changes; an update cannot tell of them.
    """
    there = entries(log, current)
    spans = there[-1][0].theirs if there else ()
    return {number for first, last in spans for number in range(first, last + 1)}


def removed_by_others(log: Path, current: Made) -> set[int]:
    """Numbers of the frames that others have removed, or renamed, and that a pull or a push took out here.

    Those from before the media was written anew are of other frames, and left out.
    """
    numbers: set[int] = set()
    for line, at in entries(log, current):
        if line.anew or any(one.anew for one in line.pulled):
            numbers.clear()
        elif line.pulled:
            numbers.update(_removed(log, line, at))
    return numbers


def spans(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """First and last of each run of numbers, for `Generation.theirs`."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return tuple(found)


def ended(log: Path, current: Made, generation: int) -> int:
    """Bytes of a log up to the end of a generation that led to the current one; 0 where it has none."""
    there = entries(log, current)
    return max((at + line.size for line, at in there if line.generation <= generation), default=0)


def as_of(lines: Lines, folder: Path, current: Made, wanted: int) -> Iterator[bytes]:
    """The annotation file of generation `wanted`, by that of generation `current` and the log beside it."""
    log = folder / LOG
    known = {line.generation: (line, at) for line, at in entries(log, current)}
    anew = max((number for number, (line, _) in known.items() if line.anew), default=0)
    if anew > wanted >= 1:
        raise InputError(
            f"{folder}: generation {wanted} cannot be read any more: the media was written anew in "
            f"generation {anew}; see xlabel log {folder}"
        )
    changed: dict[int, Records | None] = {}
    whole: Any = None
    number = current.number
    while number > wanted and number in known and known[number][0].before:
        line, at = known[number]
        whole, undone = _undone(log, line, at)
        changed |= undone
        number = line.before
    if number != wanted or wanted < 1:
        there = sorted({current.number, *known, *(line.before for line, _ in known.values())} - {0})
        have = f"one of the generations {', '.join(map(str, there))}"
        if len(there) == 1:
            have = f"generation {there[0]}, the only one that can be read here"
        raise InputError(f"{folder}: expected {have}, got {wanted}; see xlabel log {folder}")
    top = lines.top if whole is None else unified_reading.read_top(whole, str(log))
    yield from merged(lines, changed, unified_writing.tail(top.categories, top.extra, top.section))


def merged(lines: Lines, changed: Mapping[int, Records | None], tail: bytes) -> Iterator[bytes]:
    """An annotation file with other records of some frames, by number; None takes a frame out."""
    numbers = lines.positions()
    order = sorted(number for number in {*numbers, *changed} if changed.get(number, True) is not None)

    def records(number: int) -> Records:
        return changed.get(number) or Records(
            lines.image(numbers[number]), lines.annotations(numbers[number])
        )

    yield unified_writing.head()
    for position, number in enumerate(order):
        yield (b",\n" if position else b"") + records(number).image
    yield unified_writing.between()
    some = False
    for number in order:
        if annotations := records(number).annotations:
            yield (b",\n" if some else b"") + annotations
            some = True
    yield tail


def on_one_line(tail: bytes) -> bytes:
    """What stands behind the annotations of an annotation file, as an object on one line."""
    return b"{" + tail.lstrip(b"],\n").rstrip(b"\n").replace(b"\n", b"")


def numbers_since(log: Path, before: int, current: Made) -> set[int] | None:
    """Numbers of the frames whose records have changed since; None where that cannot be known.

    So it is where the media was written anew, or pulled whole, since.
    """
    numbers: set[int] = set()
    for line, at in entries(log, current):
        if before < line.generation:
            if line.anew or not line.before:
                return None
            numbers.update(_undone(log, line, at)[1])
    return numbers


def seals(log: Path, lines: Lines, current: Made) -> dict[int, str]:
    """By generation, the seals of the annotation files that there have been, as far as they can be read."""
    found = {current.number: str(lines.top.section.get("sha256", ""))}
    for line, at in entries(log, current):
        with open(log, "rb") as file, suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            file.seek(at)
            found[line.before] = msgspec.json.decode(file.readline(), type=_Was).was.xlabel.sha256
    return found


class _Section(msgspec.Struct):
    sha256: str = ""


class _Whole(msgspec.Struct):
    xlabel: _Section


class _Was(msgspec.Struct):
    was: _Whole


class _Side(msgspec.Struct):
    image: msgspec.Raw
    annotations: list[msgspec.Raw]


class _Change(msgspec.Struct):
    was: _Side | None = None
    is_: _Side | None = msgspec.field(default=None, name="is")


class _Placed(msgspec.Struct):
    frame_index: int


def _removed(log: Path, line: Generation, at: int) -> Iterator[int]:
    """Numbers of the frames that an update has taken out, up to where its changes cannot be read."""
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError), open(log, "rb") as file:
        file.seek(at)
        file.readline()
        while file.tell() < at + line.size:
            change = msgspec.json.decode(file.readline(), type=_Change)
            if change.was is not None and change.is_ is None:
                yield msgspec.json.decode(change.was.image, type=_Placed).frame_index


def _undone(log: Path, line: Generation, at: int) -> tuple[bytes, dict[int, Records | None]]:
    """The whole before an update, and the records of the images that it has changed; None: not there."""
    records: dict[int, Records | None] = {}
    try:
        with open(log, "rb") as file:
            file.seek(at)
            whole = bytes(msgspec.json.decode(file.readline(), type=dict[str, msgspec.Raw])["was"])[1:]
            end = at + line.size
            while file.tell() < end:
                change = msgspec.json.decode(file.readline(), type=_Change)
                for side, stays in ((change.is_, False), (change.was, True)):
                    if side is not None:
                        number = msgspec.json.decode(side.image, type=_Placed).frame_index
                        annotations = b",\n".join(map(bytes, side.annotations))
                        records[number] = Records(bytes(side.image), annotations) if stays else None
    except (OSError, LookupError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(
            f"{log}: the changes of generation {line.generation} cannot be read: {error}; only the newest "
            "generation is whole"
        ) from None
    return whole, records
