"""Compact: a pack written anew without the bytes that nobody needs, in an order of one's choice."""

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from struct import pack_into
from typing import BinaryIO

import msgspec

from xlabel import bundles
from xlabel.bundles import flatter
from xlabel.bundles.zip import crc32
from xlabel.errors import CorruptError, InputError
from xlabel.formats import unified
from xlabel.formats.unified_lines import Lines
from xlabel.jobs.assembly import FPS, Assembly, frame_rate, manifest_file, manifest_tail
from xlabel.jobs.bundle import Bundle, open_bundle, read_lines
from xlabel.jobs.frames import Ask, Described, Making
from xlabel.jobs.generations import LOG, Changes, Generation
from xlabel.jobs.putting import now
from xlabel.jobs.records import AnnotationFile
from xlabel.jobs.seen import as_seen
from xlabel.model import Report
from xlabel.model.geometry import turned_size
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Frame, Manifest, empty_fields
from xlabel.model.report import Progress, counted, size_text
from xlabel.stores.transaction import Transaction, told

_json = msgspec.json.Encoder()


def compact(
    folder: str | os.PathLike[str],
    *,
    order: str = "key",
    message: str = "",
    progress: Progress | None = None,
) -> Report:
    """Write a pack anew without the bytes of deleted images; gives a report of what that saved.

    `order` is `key`, which gives the media file that packing the same images gives, `frame` for the order
    that the frames have, or a text file with a key a line. Frames are numbered from 0 again. The generations
    before stay in the log, and can no longer be read. Raises InputError where the pack cannot be read, or a
    key of the order is missing; CorruptError where an image is damaged. Nothing was changed then.
    """
    began = time.perf_counter()
    place = Path(folder)
    report = Report(job="compact")
    with ExitStack() as leaving, told(place):
        bundle = leaving.enter_context(open_bundle(place))
        manifest = bundle.manifest
        if not bundle.described or manifest is None or manifest.pack_id != bundle.pack_id:
            raise InputError(f"{place}: expected a pack with manifest and annotation file; pack again")
        manifest.refuse_fixed(str(bundle.media))
        lines = read_lines(bundle, leaving)
        positions = _ordered(lines, manifest, order)
        work = leaving.enter_context(Transaction(place))
        generation = int(lines.top.section.get("generation", 1)) + 1
        changes = Changes(work.staged("spool-log"), lines.tail)
        leaving.callback(changes.close)
        kind = bundles.kind(bundle.kind)
        face = bundle.has_face
        rate = frame_rate(manifest.fps or FPS)
        frames = manifest_file(work.staged(MANIFEST), bundle.media.name, kind, rate)
        annotations = AnnotationFile(work, ANNOTATIONS)
        making = Making(kind, face, noted=True)
        assembly = Assembly(work, making, rate, frames, annotations, [], (1, 1))
        leaving.callback(assembly.close)
        media = work.staged(bundle.media.name)
        with open(media, "w+b") as out:
            out.write(kind.HEAD)
            for number, position in enumerate(positions):
                assembly.accept(_moved(bundle, lines, position, making, assembly, out))
                report.bytes += int(bundle.sizes[position])
                if progress and number % 64 == 0:
                    progress(report.bytes, bundle.size)
        empty = bundle.empty_names()
        assembly.finish_media(media, empty)
        size = media.stat().st_size
        said = {"generation": generation, "media_size": size}
        tail = empty_fields(empty) | {"problems": manifest.problems} | said
        frames.end(manifest_tail(tail | {"sha256": "0" * 64, "pack_id": assembly.pack_id}))
        top = lines.top
        section = {key: value for key, value in top.section.items() if key not in _LAST} | said
        section |= {"sha256": "0" * 64, "media_size": size, "bundle": bundle.media.name}
        annotations.finish(top.categories, top.extra, _sealed(section) | {"pack_id": assembly.pack_id})
        line = Generation(
            generation=generation,
            time=now(),
            message=message or "compacted",
            changes={},
            pack_id=assembly.pack_id,
            media_size=size,
            anew=True,
            size=0,
        )
        changes.append(place / LOG, generation - 1, line)
        names = [bundle.media.name, ANNOTATIONS, MANIFEST]
        report.files = {str(place / name): work.staged(name).stat().st_size for name in names}
        work.commit(names)
        report.done = {"images": len(positions), "annotations": assembly.counted.annotations}
        dead = len(manifest.frames) - len(positions)
        report.notes.append(
            f"generation {generation}: {size_text(bundle.media_bytes)} before, {size_text(size)} now; "
            f"{counted(dead, 'deleted frames')} taken out"
        )
    report.seconds = time.perf_counter() - began
    return report


_LAST = frozenset({"sha256", "media_size", "generation", "bundle", "pack_id"})


def _sealed(section: dict[str, object]) -> dict[str, object]:
    """A section with its generation before its seal, as a packing job has it."""
    first = {key: value for key, value in section.items() if key not in ("sha256", "media_size", "bundle")}
    return first | {key: section[key] for key in ("sha256", "media_size", "bundle")}


def _ordered(lines: Lines, manifest: Manifest, order: str) -> list[int]:
    """The positions of the images in the order that is asked for."""
    every = list(range(len(lines)))
    if order == "frame":
        return every
    frames = manifest.frames
    names = [frames[lines.frame_index(at)].raw_name for at in every]
    if order == "key":
        keys = [frames[lines.frame_index(at)].key.encode() for at in every]
        return sorted(every, key=lambda at: keys[at])
    try:
        with open(order, "rb") as file:
            wanted = [line for line in file.read().split(b"\n") if line]
    except OSError as error:
        raise InputError(f"{order}: expected key, frame or a file of keys: {error.strerror}") from None
    places = {name: at for at, name in enumerate(names)}
    if len(wanted) != len(names) or set(wanted) != set(names):
        odd = next(iter(set(wanted) ^ set(names)), wanted[0] if wanted else b"")
        raise InputError(
            f"{order}: expected each of the {counted(len(names), 'keys')} of the pack once, got "
            f"{counted(len(wanted), 'lines')}; look at {odd.decode(errors='backslashreplace')!r}"
        )
    return [places[name] for name in wanted]


def _moved(
    bundle: Bundle, lines: Lines, position: int, making: Making, assembly: Assembly, out: BinaryIO
) -> Described:
    """One image at its new place: written, and described."""
    kind, face = making.kind, making.face
    told_of = lines.sample(position)
    old = told_of.frame
    if old is None:
        raise CorruptError(f"{lines.where}: does not say where {told_of.sample.image.key} is; pack again")
    name = old.raw_name
    pieces: Iterable[memoryview] = bundle.pieces(old.offset, old.size)
    size, digest = old.size, old.sha256
    if told_of.seen is not None:
        data = as_seen(bundle.image_bytes(position), told_of.sample, told_of.seen)
        pieces, size, digest = [memoryview(data)], told_of.seen.size, told_of.seen.sha256
    contents = [(digest, size)] if making.shared else []
    prefix = bytearray(kind.prefix(name, size, face))
    padding = kind.padding(size)
    grant = assembly.grant(Ask(1, len(prefix) + size + padding, 0, 0, [], contents))
    place, crc = grant.offset + len(prefix), 0
    stored = grant.stored[0] if grant.stored else None
    if stored is None:
        out.seek(place)
        crc = _copied(pieces, size, digest, out, f"{bundle.media}: {old.key}")
        out.write(bytes(padding))
        at = kind.crc_at(face)
        if at is not None:
            pack_into("<I", prefix, at, crc)
        out.seek(grant.offset)
        out.write(prefix)
    else:
        place = stored
    frame = msgspec.structs.replace(old, index=grant.index, offset=place, size=size, sha256=digest)
    return _described(lines, position, frame, told_of, kind.record(name, size, crc, place - len(prefix)))


def _copied(pieces: Iterable[memoryview], size: int, digest: str, out: BinaryIO, where: str) -> int:
    """Write an image; gives its CRC-32. CorruptError where it is not what it was."""
    from hashlib import sha256

    crc, total, found = 0, 0, sha256()
    for piece in pieces:
        found.update(piece)
        crc = crc32(piece, crc)
        total += len(piece)
        out.write(piece)
    if total != size or found.hexdigest() != digest:
        raise CorruptError(f"{where}: its bytes are not those that were packed; update the pack first")
    return crc


def _described(
    lines: Lines, position: int, frame: Frame, told_of: unified.Described, record: bytes
) -> Described:
    image_id, _ = lines.ids(position)
    annotations = lines.annotations(position)
    extents = {}
    if frame.width and frame.height:
        extents[frame.mime] = flatter((0, 0), turned_size(frame.width, frame.height, frame.orientation))
    return Described(
        frames=_json.encode(frame),
        images=unified.image_record(told_of.sample, image_id, frame, told_of.prints),
        annotations=annotations,
        names=frame.raw_name + b"\0",
        records=record,
        offsets=[frame.offset],
        sizes=[frame.size],
        mimes=[frame.mime],
        extents=extents,
        annotation_count=annotations.count(b",\n") + 1 if annotations else 0,
        labelled=bool(annotations),
        used=0,
        unread=[],
        turned=[],
        problems=[],
    )
