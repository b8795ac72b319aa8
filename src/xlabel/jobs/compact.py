"""Compact: a pack written anew without the bytes that nobody needs, in an order of one's choice."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

from xlabel import bundles
from xlabel.errors import InputError
from xlabel.formats import unified_writing
from xlabel.formats.unified_lines import Lines
from xlabel.jobs import twin
from xlabel.jobs.assembly import FPS, Assembly, frame_rate, manifest_file
from xlabel.jobs.batch import Batch
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.frames import Making
from xlabel.jobs.generations import LOG, Changes, Generation, Records, spans, theirs
from xlabel.jobs.opening import open_bundle, pack_folder, read_lines, refuse_pushed
from xlabel.jobs.placing import placed
from xlabel.jobs.putting import now
from xlabel.jobs.records import AnnotationFile
from xlabel.jobs.seals import is_edited
from xlabel.model import Report
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Manifest, empty_fields, empty_names
from xlabel.model.report import Progress, counted, size_text
from xlabel.stores.transaction import Transaction, told


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

    >>> xlabel.compact("output").done
    {'images': 24, 'annotations': 114}
    """
    began = time.perf_counter()
    place = pack_folder(folder)
    refuse_pushed(place)
    with ExitStack() as leaving, told(place):
        work = leaving.enter_context(Transaction(place))
        bundle = leaving.enter_context(open_bundle(place))
        lines = read_lines(bundle, leaving)
        manifest = _manifest(bundle, lines)
        positions = _ordered(lines, manifest, order)
        rate = frame_rate(manifest.fps or FPS)
        making = Making(bundles.kind(bundle.kind), bundle.has_face, noted=True)
        frames = manifest_file(work.staged(MANIFEST), bundle.media.name, making.kind, rate)
        annotations = AnnotationFile(work, ANNOTATIONS)
        assembly = Assembly(work, making, rate, frames, annotations, lines.top.categories, (1, 1))
        leaving.callback(assembly.close)
        media = work.staged(bundle.media.name)
        _copy(bundle, lines, positions, making, assembly, media, progress)
        empty = empty_names(manifest.empty, manifest.empty_bytes)
        assembly.finish_media(media, empty)
        size, generation, top = media.stat().st_size, bundle.generation + 1, lines.top
        section = top.section | empty_fields(empty)
        assembly.finish_json(media.name, size, generation, section, top.extra, manifest.problems)
        report = Report(job="compact", bytes=assembly.counted.bytes)
        changes = Changes(work.staged("spool-log"), lines.tail)
        leaving.callback(changes.close)
        work.unless_committed(changes.undo)
        absent = theirs(place / LOG, bundle.made)
        line = Generation(
            generation=generation,
            time=now(),
            message=message or "compacted",
            changes={},
            pack_id=assembly.pack_id,
            media_size=size,
            anew=True,
            theirs=spans(number for number, at in enumerate(positions) if lines.frame_index(at) in absent),
        )
        set_aside = changes.append(place / LOG, bundle.made, line)
        report.notes += [set_aside] if set_aside else []
        names = [media.name, ANNOTATIONS, MANIFEST]
        report.files = {str(place / name): work.staged(name).stat().st_size for name in names}
        work.commit(names)
        report.done = {"images": len(positions), "annotations": assembly.counted.annotations}
        dead = len(manifest.frames) - len(positions)
        report.notes.append(
            f"generation {generation}: {size_text(bundle.media_bytes)} before, {size_text(size)} now; "
            f"{counted(dead, 'deleted frames')} taken out"
        )
    twin.renew(place, report)
    report.seconds = time.perf_counter() - began
    return report


def _manifest(bundle: Bundle, lines: Lines) -> Manifest:
    """The manifest of a pack that can be written anew; InputError where it cannot."""
    folder, manifest = bundle.media.parent, bundle.manifest
    if manifest is None or manifest.pack_id != bundle.pack_id:
        raise InputError(f"{folder}: expected a pack with manifest and annotation file; pack again")
    manifest.refuse_fixed(str(bundle.media))
    if is_edited(bundle, lines):
        raise InputError(
            f"{lines.where}: was edited since it was written, so the pack is not written anew from it; "
            "put back what was written, or bring the pack up to date first: xlabel pack --update"
        )
    return manifest


def _copy(
    bundle: Bundle,
    lines: Lines,
    positions: list[int],
    making: Making,
    assembly: Assembly,
    media: Path,
    progress: Progress | None,
) -> None:
    """Put the images at some positions of a bundle, in their order, into a new media file."""
    with open(media, "w+b") as out:
        out.write(making.kind.HEAD)
        for position in positions:
            told_of = lines.sample(position)
            frame, entry = placed(bundle, position, told_of, making, assembly, out)
            image_id, _ = lines.ids(position)
            image = unified_writing.image_record(told_of.sample, image_id, frame, told_of.prints)
            batch = Batch()
            batch.add(frame, Records(image, lines.annotations(position)), entry)
            assembly.accept(batch.described())
            if progress:
                progress(assembly.counted.bytes, bundle.size)


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
    places = {name: at for at, name in enumerate(names)}
    found: dict[bytes, int] = {}
    try:
        with open(order, "rb") as file:
            for number, line in enumerate(file.read().split(b"\n"), 1):
                if line and (line not in places or line in found):
                    what = f"is {_shown(line)} again" if line in found else f"is no key: {_shown(line)}"
                    raise InputError(_misordered(order, names, f"line {number} {what}"))
                if line:
                    found[line] = places[line]
    except OSError as error:
        raise InputError(f"{order}: expected key, frame or a file of keys: {error.strerror}") from None
    if len(found) < len(names):
        lacking = next(name for name in names if name not in found)
        what = f"{counted(len(names) - len(found), 'keys')} not found, such as {_shown(lacking)}"
        raise InputError(_misordered(order, names, what))
    return list(found.values())


def _misordered(order: str, names: list[bytes], what: str) -> str:
    return f"{order}: expected each of the {counted(len(names), 'keys')} of the pack once, one a line; {what}"


def _shown(name: bytes) -> str:
    return repr(name.decode(errors="backslashreplace"))
