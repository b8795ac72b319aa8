"""Items of a HEIF file: what they are, where their data lies, and what it takes to add, drop and move them.

ISO/IEC 14496-12, 8.11 (meta, iinf, iloc, iref) and 8.7.5 (chunk offsets of image sequences).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from xlabel.images import boxes
from xlabel.images.boxes import Box
from xlabel.images.splice import Edit, joined

FULL = 4
"""Bytes of version and flags before a "full box"'s own content."""
Shift = Callable[[int, int], int]
"""How far the bytes from a place on, so many, move; ValueError where they do not stay together."""
PROBED = 500
"""Bytes by which OpenCV decides whether it opens an AVIF: the whole box meta, but not the data of metadata,
may end in there."""
IN_FILE, IN_IDAT = 0, 1
"""How an item's data is found: by offsets into the file, or into the box idat."""


class Item(NamedTuple):
    number: int
    kind: bytes
    mime: bytes
    """Content type, of an item of kind `mime`."""
    encoding: bytes
    """How the content is compressed; empty where it is not."""
    box: Box


class Entry(NamedTuple):
    """Where an item's data lies: extents of index, offset and length; offsets count from `base`."""

    number: int
    method: int
    reference: int
    """0 where the data is in this file."""
    base: int
    extents: tuple[tuple[int, int, int], ...]


class Widths(NamedTuple):
    """Bytes of the numbers in the table of locations; 0 where there are none."""

    offset: int
    length: int
    base: int
    ordinal: int


class Meta(NamedTuple):
    """The file's own meta box."""

    box: Box
    children: dict[bytes, Box]
    primary: int
    items: list[Item]
    version: int
    """Of the table of locations."""
    widths: Widths
    entries: list[Entry]
    references: list[tuple[Box, int]]
    """References, and the item that each is from."""
    wide: bool
    """Whether references have numbers of 32 bits."""


def read(data: memoryview, found: Iterable[Box]) -> Meta:
    """The meta box among the boxes of a file; ValueError where it is broken, missing or not the only one."""
    try:
        return _read(data, found)
    except (LookupError, StructError):
        raise ValueError("the box meta is cut off") from None


def _read(data: memoryview, found: Iterable[Box]) -> Meta:
    metas = [box for box in found if box.kind == b"meta"]
    if len(metas) != 1:
        raise ValueError(f"expected one box meta, found {len(metas)}")
    (meta,) = metas
    children: dict[bytes, Box] = {}
    for child in boxes.within(data, meta.start + FULL, meta.end):
        if children.setdefault(child.kind, child) is not child and child.kind in _NEEDED:
            raise ValueError(f"two boxes {child.kind.decode()} in the box meta")
    for kind in _NEEDED:
        if kind not in children:
            raise ValueError(f"no box {kind.decode()} in the box meta")
    wide, references = _references(data, children.get(b"iref"))
    version, widths, entries = _entries(data, children[b"iloc"])
    pitm = children[b"pitm"].start
    return Meta(
        meta,
        children,
        _number(data, pitm + FULL, 4 if data[pitm] else 2),
        list(_items(data, children[b"iinf"])),
        version,
        widths,
        entries,
        references,
        wide,
    )


def ranges(meta: Meta, entry: Entry, end: int) -> list[tuple[int, int]]:
    """Where an item's data lies in the file, which ends at byte `end`; ValueError where it does not."""
    start, stop = 0, end
    if entry.method == IN_IDAT and b"idat" in meta.children:
        start, stop = meta.children[b"idat"].start, meta.children[b"idat"].end
    elif entry.method != IN_FILE or entry.reference:
        raise ValueError(f"the data of item {entry.number} is part of another's, or not in this file")
    found = []
    for _, offset, length in entry.extents:
        at = start + entry.base + offset
        last = at + length if length else stop
        if not at <= last <= stop:
            raise ValueError(f"the data of item {entry.number} goes on to byte {last}")
        found.append((at, last))
    return found


def added(data: memoryview, meta: Meta, new: Iterable[tuple[int, bytes, bytes]]) -> list[Edit]:
    """The edits of the meta box that make items about the primary one: number, kind and content type."""
    names = links = b""
    count = 0
    for number, kind, mime in new:
        count += 1
        if max(number, meta.primary) > 0xFFFF and not meta.wide:
            raise ValueError("references of 16 bits cannot name the item")
        width = 4 if number > 0xFFFF else 2
        stated = number.to_bytes(width, "big") + bytes(2) + kind + b"\0" + (mime and mime + b"\0")
        names += boxes.made(b"infe", bytes([2 + (width > 2), 0, 0, 0]), stated)
        size = 4 if meta.wide else 2
        link = number.to_bytes(size, "big") + b"\0\1" + meta.primary.to_bytes(size, "big")
        links += boxes.made(b"cdsc", link)
    if not count:
        return []
    iinf, iref = meta.children[b"iinf"], meta.children.get(b"iref")
    inner = [*_recounted(data, iinf, count), Edit(iinf.end, iinf.end, names)]
    changes = boxes.resized(data, iinf, inner)
    if iref is None:
        return [*changes, Edit(iinf.at, iinf.at, boxes.made(b"iref", bytes(FULL), links))]
    return [*changes, *boxes.resized(data, iref, [Edit(iref.end, iref.end, links)])]


def dropped(data: memoryview, meta: Meta, gone: set[int]) -> list[Edit]:
    """The edits of the meta box that take out items and what refers from them."""
    if not gone:
        return []
    iinf, iref = meta.children[b"iinf"], meta.children.get(b"iref")
    names = [Edit(item.box.at, item.box.end, b"") for item in meta.items if item.number in gone]
    changes = boxes.resized(data, iinf, [*_recounted(data, iinf, -len(names)), *names])
    links = [Edit(box.at, box.end, b"") for box, number in meta.references if number in gone]
    if iref is not None and links:
        whole = len(links) == len(meta.references)
        changes += [Edit(iref.at, iref.end, b"")] if whole else boxes.resized(data, iref, links)
    return changes


def located(meta: Meta, number: int, start: int, length: int) -> Entry:
    """The entry of an item whose data is one piece of the file."""
    if meta.widths.length == 0 or meta.widths.offset == meta.widths.base == 0:
        raise ValueError("the table of locations has no room for offsets or lengths")
    by_offset = meta.widths.offset > 0
    return Entry(number, 0, 0, 0 if by_offset else start, ((0, start if by_offset else 0, length),))


def relocated(
    data: memoryview,
    found: list[Box],
    meta: Meta,
    changes: list[Edit],
    inner: list[Edit],
    entries: list[Entry],
    new: Mapping[int, bytes],
) -> list[Edit]:
    """`changes` outside of the meta box, `inner` in it, and a table of locations that fits what has moved.

    `new` is the data of items by their numbers, with or without an entry in `entries`; it stands in a box
    mdat behind the boxes meta and moov. Chunk offsets of image sequences are made right too. ValueError where
    data of an item is cut through, where an offset finds no room, and where the file has other offsets.
    """
    iloc = meta.children[b"iloc"]
    data_of_new = boxes.made(b"mdat", *new.values()) if new else b""
    place = max(box.end for box in found if box.kind in (b"meta", b"moov"))
    behind = [Edit(place, place, data_of_new)] if new else []

    def whole(entries: list[Entry], at: int) -> list[Edit]:
        """The edits but for chunks; `at` is where the new data begins in the changed file."""
        placed = {entry.number: entry for entry in entries}
        for number, content in new.items():
            placed[number] = located(meta, number, at, len(content))
            at += len(content)
        table = boxes.made(b"iloc", _table(data, meta, list(placed.values())))
        own = [] if table == data[iloc.at : iloc.end] else [Edit(iloc.at, iloc.end, table)]
        inside = [*inner, *own]
        return [*(boxes.resized(data, meta.box, inside) if inside else []), *changes]

    draft = whole(entries, 0)
    resizing = [edit for edit in draft if len(edit.data) != edit.stop - edit.start]
    end = place + _shifts(resizing)(place, 0)
    if new and end <= PROBED < end + 8:
        filled = [*inner, Edit(iloc.at, iloc.at, boxes.made(b"free"))]
        return relocated(data, found, meta, changes, filled, entries, new)
    if not new and all(edit.stop == len(data) for edit in resizing):
        return joined(draft)
    if any(box.kind in _FRAGMENTS for box in found):
        raise ValueError("the file has movie fragments, whose offsets are not followed")
    shift = _shifts([*resizing, *behind])
    edits = whole([entry if entry.number in new else _moved(entry, shift) for entry in entries], end + 8)
    for start, form, offsets in chunk_tables(data, found):
        moved = [offset + shift(offset, 1) for offset in offsets]
        if moved != list(offsets):
            edits.append(Edit(start, start + form.size, form.pack(*moved)))
    if behind and place == len(data):
        edits = boxes.closed(data, found, edits)
    return joined([*edits, *behind])


def chunk_tables(data: memoryview, found: Iterable[Box]) -> Iterator[tuple[int, Struct, tuple[int, ...]]]:
    """Place, form and values of the chunk offsets of each track."""
    for track in tracks(data, found):
        if b"saio" in track:
            raise ValueError("the file has auxiliary data, whose offsets are not followed")
        if b"meta" in track:
            raise ValueError("the movie has metadata of its own, whose offsets are not followed")
        for kind, code in ((b"stco", "I"), (b"co64", "Q")):
            if kind in track:
                start = track[kind].start + FULL + 4
                offsets = _words(data, track[kind], FULL + 4, code)
                yield start, Struct(f">{len(offsets)}{code}"), offsets


def tracks(data: memoryview, found: Iterable[Box]) -> Iterator[dict[bytes, Box]]:
    """The boxes of each track, those of its sample table and of the movie among them, by their types."""
    for movie in found:
        if movie.kind == b"moov":
            inside = list(boxes.within(data, movie.start, movie.end))
            for track in inside:
                if track.kind == b"trak":
                    known = {box.kind: box for box in inside}
                    for kind in (b"trak", b"mdia", b"minf", b"stbl"):
                        outer = track if kind == b"trak" else known.get(kind)
                        if outer is not None:
                            known |= {box.kind: box for box in boxes.within(data, outer.start, outer.end)}
                    yield known


def samples(data: memoryview, found: list[Box]) -> Iterator[tuple[int, int]]:
    """Where the samples of the tracks of an image sequence lie, a range for each chunk."""
    for track in tracks(data, found):
        kinds = [kind for kind in (b"stco", b"co64") if kind in track]
        if not kinds:
            continue
        if b"stsz" not in track or b"stsc" not in track:
            raise ValueError("a track does not say how long its samples are")
        offsets = _words(data, track[kinds[0]], FULL + 4, "I" if kinds[0] == b"stco" else "Q")
        (common,) = _words(data, track[b"stsz"], FULL, "I", 1)
        sizes = _words(data, track[b"stsz"], FULL + 8, "I") if not common else ()
        runs = _words(data, track[b"stsc"], FULL + 4, "I")
        begun = dict(zip(runs[::3], runs[1::3], strict=False))  # first chunk of a run, samples in each
        done = count = 0
        for chunk, offset in enumerate(offsets, 1):
            count = begun.get(chunk, count)
            size = count * common if common else sum(sizes[done : done + count])
            done += count
            if offset + size > len(data):
                raise ValueError(f"a chunk of {size} bytes at byte {offset} goes on behind the file")
            yield offset, offset + size


_NEEDED = (b"pitm", b"iinf", b"iloc")
_FRAGMENTS = frozenset({b"moof", b"mfra", b"sidx", b"ssix"})


def _number(data: memoryview, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "big")


def _words(data: memoryview, box: Box, at: int, code: str, most: int = 1 << 30) -> tuple[int, ...]:
    """The numbers in a box, from byte `at` of its content on."""
    width = 8 if code == "Q" else 4
    count = min((box.end - box.start - at) // width, most)
    if count < 0 or box.start + at > box.end:
        raise ValueError(f"a box {box.kind.decode('latin-1')} of {box.end - box.start} bytes")
    return Struct(f">{count}{code}").unpack_from(data, box.start + at)


def _items(data: memoryview, iinf: Box) -> Iterator[Item]:
    start = iinf.start + FULL + (4 if data[iinf.start] else 2)
    for box in boxes.within(data, start, iinf.end):
        version = data[box.start]
        if box.kind != b"infe" or version < 2:  # earlier ones have no kind
            continue
        width = 2 if version == 2 else 4
        at = box.start + FULL + width + 2
        texts = bytes(data[at + 4 : box.end]).split(b"\0")[1:]  # behind the name
        mime, encoding = (*texts, b"", b"")[:2]
        yield Item(_number(data, box.start + FULL, width), bytes(data[at : at + 4]), mime, encoding, box)


def _references(data: memoryview, iref: Box | None) -> tuple[bool, list[tuple[Box, int]]]:
    if iref is None:
        return False, []
    wide = bool(data[iref.start])
    inside = boxes.within(data, iref.start + FULL, iref.end)
    return wide, [(box, _number(data, box.start, 4 if wide else 2)) for box in inside]


def _entries(data: memoryview, iloc: Box) -> tuple[int, Widths, list[Entry]]:
    at, end = iloc.start, iloc.end
    version = data[at]
    if version > 2:
        raise ValueError(f"a table of locations of version {version}")
    first, second = data[at + FULL], data[at + FULL + 1]
    widths = Widths(first >> 4, first & 15, second >> 4, second & 15 if version else 0)
    if any(width not in (0, 4, 8) for width in widths):
        raise ValueError(f"a table of locations with numbers of {tuple(widths)} bytes")
    at += FULL + 2

    def take(width: int) -> int:
        nonlocal at
        if at + width > end:
            raise ValueError("the table of locations is cut off")
        at += width
        return _number(data, at - width, width)

    wide = 4 if version == 2 else 2
    entries = []
    extent = widths.ordinal + widths.offset + widths.length
    for _ in range(take(wide)):
        number, method, reference = take(wide), take(2) & 15 if version else 0, take(2)
        base, count = take(widths.base), take(2)
        if count > 1 and count * extent == 0:
            raise ValueError(f"item {number} has {count} extents without a place")
        extents = tuple(
            (take(widths.ordinal), take(widths.offset), take(widths.length)) for _ in range(count)
        )
        entries.append(Entry(number, method, reference, base, extents))
    return version, widths, entries


def _table(data: memoryview, meta: Meta, entries: list[Entry]) -> bytes:
    """The content of the table of locations. ValueError where a number does not fit."""
    start = meta.children[b"iloc"].start
    wide = 4 if meta.version == 2 else 2
    widths = meta.widths
    try:
        parts = [bytes(data[start : start + FULL + 2]), len(entries).to_bytes(wide, "big")]
        for entry in entries:
            parts.append(entry.number.to_bytes(wide, "big"))
            parts += [entry.method.to_bytes(2, "big")] if meta.version else []
            parts += [entry.reference.to_bytes(2, "big"), entry.base.to_bytes(widths.base, "big")]
            parts.append(len(entry.extents).to_bytes(2, "big"))
            for extent in entry.extents:
                both = zip(extent, (widths.ordinal, widths.offset, widths.length), strict=True)
                parts += [value.to_bytes(width, "big") for value, width in both]
    except OverflowError:
        raise ValueError("a number does not fit into the table of locations") from None
    return b"".join(parts)


def _recounted(data: memoryview, iinf: Box, by: int) -> list[Edit]:
    at, width = iinf.start + FULL, 4 if data[iinf.start] else 2
    try:
        return [Edit(at, at + width, (_number(data, at, width) + by).to_bytes(width, "big"))]
    except OverflowError:
        raise ValueError("the count of items does not fit") from None


def _moved(entry: Entry, shift: Shift) -> Entry:
    if entry.method != IN_FILE or entry.reference:
        return entry
    for _, _, length in entry.extents:
        if not length:
            raise ValueError(f"the data of item {entry.number} goes on to the end of the file")
    shifts = [shift(entry.base + offset, length) for _, offset, length in entry.extents]
    if entry.base and len(set(shifts)) == 1:
        return entry._replace(base=entry.base + shifts[0])
    extents = tuple(
        (index, offset + by, length)
        for (index, offset, length), by in zip(entry.extents, shifts, strict=True)
    )
    return entry._replace(extents=extents)


def _shifts(resizing: list[Edit]) -> Shift:
    """Where edits move what they leave."""
    edits = sorted(resizing, key=lambda edit: edit[:2])
    totals = [0, *accumulate(len(edit.data) - (edit.stop - edit.start) for edit in edits)]
    stops = [edit.stop for edit in edits]

    def shift(start: int, length: int) -> int:
        number = bisect_right(stops, start)
        if number < len(edits) and edits[number].start < start + length:
            raise ValueError(
                f"data of an image lies at byte {edits[number].start}, where the file would change"
            )
        return totals[number]

    return shift
