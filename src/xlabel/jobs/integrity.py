"""Whether a pack is what was packed: each image and its header, the order, the index, file against file."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from struct import Struct, pack_into
from struct import error as StructError
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from xlabel import bundles
from xlabel.bundles import mp4
from xlabel.bundles.preview import stored
from xlabel.errors import CorruptError, InputError
from xlabel.jobs.around import around, holders, written_names
from xlabel.jobs.assembly import FPS, frame_rate, pack_hash
from xlabel.jobs.batch import zip_records
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.seals import is_sealed_annotations, is_sealed_manifest
from xlabel.model import Problem, Report
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Frame, Manifest, name_bytes
from xlabel.model.report import Progress
from xlabel.stores.paths import key_of
from xlabel.stores.snapshot import Kept
from xlabel.stores.transaction import is_growing

LOOKS = 5
_json = msgspec.json.Encoder()


class Content(NamedTuple):
    """What was found of an image file."""

    sha256: str
    crc: int
    """CRC-32."""
    size: int


def check(
    bundle: Bundle,
    named: Path,
    report: Report,
    content: Callable[[Frame], Content],
    progress: Progress | None = None,
) -> None:
    """Check an open bundle; `content` gives what an image file was found to be, whoever has read it."""
    folder = bundle.media.parent
    manifest = bundle.manifest
    frames = _expected(bundle, folder, named, report)
    _compare_index(bundle, frames, report)
    _check_end(bundle, report)
    count = bundles.read_trailer(bundle.read, bundle.size, str(bundle.media)).count
    every = manifest is not None or len(frames) == count  # the annotation file leaves deleted ones out
    hashed = every and bool(frames) and frames[0].sha256 != ""
    face = bundle.has_face
    rate = _rate(bundle, manifest)
    if hashed and rate is not None and frames_id(bundle.kind, face, rate, frames) != bundle.pack_id:
        where = str(folder / (MANIFEST if manifest is not None else ANNOTATIONS))
        report.problems.append(
            Problem(where, "manifest-changed", "its frames are not those of its pack id; pack again")
        )
    crcs = array("I")
    first = holders(frames)
    written = {} if every else written_names(bundle)
    for offset in first.keys() & written.keys():
        name = written[offset]
        first[offset] = replace(first[offset], key=key_of(name), name_bytes=name_bytes(name))
    for number, frame in enumerate(frames):
        found = content(frame)
        crcs.append(found.crc)
        _check_frame(bundle, frame, first[frame.offset], face, found, report)
        report.bytes += frame.size
        if progress and number % 64 == 0:
            progress(report.bytes, bundle.size)
    _check_preview(bundle, report)
    if hashed and rate is not None and not report.problems:  # those would only be found once more
        _check_rest(bundle, frames, crcs, face, rate, report)
    report.done = {"images": len(bundle)}
    if bundle.described:
        report.problems += bundle.unified.problems
        report.done["annotations"] = bundle.unified.dataset.counts()["annotations"]
    report.notes.append(f"pack {bundle.pack_id}")


def check_fetched(bundle: Bundle, start: int, crcs: array[int], before: Bundle | None) -> list[Problem]:
    """What is wrong, from byte `start` on, with all that a bundle with a manifest has around its images.

    `crcs` are CRC-32s of the images that begin there, by frame number; the images themselves are known to be
    whole. Those of the others, which are not read, are taken from what the bundle was before it grew.
    """
    manifest = bundle.manifest
    rate = _rate(bundle, manifest)
    report = Report(job="verify")
    if manifest is None or rate is None:
        return report.problems
    face, first = bundle.has_face, holders(manifest.frames)
    crcs, known = array("I", crcs), bytearray(len(crcs))
    if before is not None and before.has_face:
        for number, (_, crc, _) in zip(before.numbers.tolist(), zip_records(before), strict=False):
            crcs[number], known[number] = crc, 1
    for frame in manifest.frames:
        holder = first[frame.offset]
        if frame.offset >= start:
            found = Content(frame.sha256, crcs[frame.index], frame.size)
            _check_frame(bundle, frame, holder, face, found, report)
        elif not known[frame.index] and not frame.deleted:  # it was renamed since
            crcs[frame.index] = _crc_before(bundle, holder, face)
    _check_preview(bundle, report)
    if not report.problems:
        _check_rest(bundle, manifest.frames, crcs, face, rate, report, start)
    return report.problems


def _crc_before(bundle: Bundle, holder: Frame, face: bool) -> int:
    """The CRC-32 in the header before an image; 0 where headers have none."""
    kind = bundles.kind(bundle.kind)
    place = kind.crc_at(face)
    if place is None:
        return 0
    prefix = len(kind.prefix(holder.raw_name, holder.size, face))
    return int.from_bytes(bundle.read(holder.offset - prefix + place, 4), "little")


def _expected(bundle: Bundle, folder: Path, named: Path, report: Report) -> list[Frame]:
    """The frames as manifest and annotations have them; each difference between the two is a problem."""
    manifest = bundle.manifest
    described = None
    if bundle.annotation_file is not None:
        described = bundle.unified.frames
        section = bundle.unified.section
        if not is_sealed_annotations(bundle.annotation_file, section):
            report.problems.append(_edited(bundle.annotation_file, "annotations-changed"))
        if described is None:
            message = "does not say where each image is; pack again"
            report.problems.append(Problem(str(folder / ANNOTATIONS), "no-places", message))
    elif folder == named and (folder / ANNOTATIONS).exists():
        message = "does not say which bundle it belongs to, so it was not compared; build it again"
        report.problems.append(Problem(str(folder / ANNOTATIONS), "annotations-changed", message))
    if manifest is None and described is None:
        report.notes.append(f"neither {MANIFEST} nor {ANNOTATIONS}: compared with its index and CRC-32s")
        return bundle.bare_frames()
    if manifest is not None and bundle.manifest_file is not None:
        if manifest.pack_id != bundle.pack_id:
            raise CorruptError(
                f"{folder / MANIFEST} is of pack {manifest.pack_id}, {bundle.media.name} of pack "
                f"{bundle.pack_id}: they do not belong together; put the right one back, or pack again"
            )
        if not is_sealed_manifest(bundle.manifest_file, manifest):
            report.problems.append(_edited(bundle.manifest_file, "manifest-changed"))
    if manifest is None or described is None:
        return manifest.frames if manifest is not None else described or []
    live = manifest.live
    if len(live) != len(described):
        report.problems.append(
            Problem(
                str(folder / MANIFEST),
                "order",
                f"has {len(live)} frames, {ANNOTATIONS} {len(described)} images",
            )
        )
    for ours, theirs in zip(live, described, strict=False):
        if _place(ours) != _place(theirs):
            report.problems.append(
                Problem(
                    str(folder / ANNOTATIONS),
                    "order",
                    f"expected frame {ours.index} to be {ours.key}, found {theirs.key} at {theirs.index}",
                )
            )
    return manifest.frames


def frames_id(kind: str, face: bool, rate: Fraction, frames: list[Frame]) -> str:
    """The pack id that follows from a bundle's frames; see docs/dataset_spec.md."""
    digest = pack_hash(kind, face, rate)
    for start in range(0, len(frames), 1000):
        digest.update(b"\n".join(map(_json.encode, frames[start : start + 1000])) + b"\n")
    return digest.hexdigest()[:32]


def _place(frame: Frame) -> tuple[Any, ...]:
    return (frame.index, frame.key, frame.offset, frame.size, frame.sha256)


def _rate(bundle: Bundle, manifest: Manifest | None) -> Fraction | None:
    """Frames a second: the manifest's, else those of the .mp4's header; None where nothing says them."""
    try:
        if manifest is not None:
            return frame_rate(manifest.fps or FPS)
        if bundle.described and (fps := bundle.unified.section.get("fps")):
            return frame_rate(fps)
        if bundle.kind == "mp4" and len(bundle):
            trailer = bundles.read_trailer(bundle.read, bundle.size, str(bundle.media))
            scale, duration = Struct(">IQ").unpack(bundle.read(trailer.index + 36, 12))
            return Fraction(scale * len(bundle), duration)
    except (InputError, StructError, ZeroDivisionError):
        pass
    return None


def _edited(file: Kept, code: str) -> Problem:
    return Problem(str(file.path), code, "is not as it was packed; if you edited it, pack again")


def _compare_index(bundle: Bundle, every: list[Frame], report: Report) -> None:
    """The media's own index against the frames that are not deleted."""
    where = str(bundle.media)
    frames = [frame for frame in every if not frame.deleted]
    if frames and len(bundle) != len(frames):
        report.problems.append(
            Problem(where, "index", f"its own index has {len(bundle)} frames, expected {len(frames)}")
        )
    keys = bundle.keys
    numbers = bundle.numbers
    for at, frame in enumerate(frames[: len(bundle)]):
        found = (int(bundle.offsets[at]), int(bundle.sizes[at]), keys[at], int(numbers[at]))
        if found != (frame.offset, frame.size, frame.key, frame.index):
            report.problems.append(
                Problem(
                    where,
                    "index",
                    f"frame {frame.index}: expected {frame.key}, {frame.size} bytes at {frame.offset}; "
                    f"its own index has {found[2]}, {found[1]} bytes at {found[0]}, as frame {found[3]}",
                )
            )


def _check_end(bundle: Bundle, report: Report) -> None:
    """What stands behind the media's end: a later generation, or bytes that are nothing."""
    for _ in range(LOOKS):  # updates may begin and end meanwhile
        behind = bundle.media_bytes - bundle.size
        if not behind:
            return
        if bundle.newest_is_later:
            file = bundle.annotation_file
            beside = file is None or file.path.parent == bundle.media.parent
            than = ANNOTATIONS if beside else f"generation {bundle.generation}"
            report.notes.append(f"its last {behind:,} bytes are of a later generation than {than}")
            return
        if is_growing(bundle.media.parent):
            report.notes.append("an update of it is going on")
            return
        time.sleep(0.01)
    message = f"{behind:,} bytes behind its end, of an update that was cut off or of somebody else"
    report.problems.append(Problem(str(bundle.media), "bytes-behind", message))


def _check_frame(
    bundle: Bundle, frame: Frame, holder: Frame, face: bool, found: Content, report: Report
) -> None:
    """Check a frame's bytes, by what was found of them, and the header before them.

    `holder` is the frame that the bytes were written for; this one may have another name by now.
    """
    where = f"{bundle.media}: {frame.key}"
    if found.size != frame.size or frame.sha256 not in ("", found.sha256):
        why = "" if found.size == frame.size else f" ({found.size} of {frame.size} bytes are there)"
        report.problems.append(
            Problem(where, "hash-mismatch", f"its bytes are not those that were packed{why}; restore it")
        )
        return
    kind = bundles.kind(bundle.kind)
    try:
        prefix = bytearray(kind.prefix(holder.raw_name, frame.size, face))
    except (ValueError, StructError) as error:
        report.problems.append(Problem(where, "bad-name", f"{error}; pack again"))
        return
    place = kind.crc_at(face)
    if place is not None:
        pack_into("<I", prefix, place, found.crc)
    if bytes(bundle.read(frame.offset - len(prefix), len(prefix))) != prefix:
        report.problems.append(
            Problem(where, "header-damaged", f"it or its header in the .{bundle.kind} is damaged; pack again")
        )


def _check_preview(bundle: Bundle, report: Report) -> None:
    """Whether the preview is the one that was packed."""
    if bundle.preview is None:
        return
    trailer = bundles.read_trailer(bundle.read, bundle.size, str(bundle.media))
    try:
        found = stored(bundle.read, bundle.size, trailer)
    except (CorruptError, StructError, StopIteration):
        found = None
    if found is None or found.sha256 != bundle.preview.sha256:
        message = "its preview is not the one that was packed; images are not concerned; pack again"
        report.problems.append(Problem(str(bundle.media), "preview-damaged", message))


def _check_rest(
    bundle: Bundle,
    frames: list[Frame],
    crcs: array[int],
    face: bool,
    rate: Fraction,
    report: Report,
    start: int = 0,
) -> None:
    """Compare all that is no image with what its writer makes of the frames, so that no byte is left out.

    What stands before `start` is left alone.
    """
    where = str(bundle.media)
    try:
        for offset, data in around(bundle, frames, crcs, face, rate):
            if offset < start:
                continue
            hidden = data[:4] + mp4.HIDDEN + data[8:] if data[4:8] == b"moov" else data
            for _ in range(LOOKS):  # an update may hide the index just now, before its own can be read
                found = bundle.read(offset, len(data))
                if found == data or (found == hidden and bundle.newest_is_later):
                    break
                time.sleep(0.01)
            else:
                message = f"bytes {offset:,} to {offset + len(data):,} are not what its frames make of them"
                report.problems.append(Problem(where, "index-damaged", f"{message}; pack again"))
    except (ValueError, OverflowError, StructError, TypeError, AttributeError, LookupError) as error:
        report.problems.append(Problem(where, "index-damaged", f"cannot be compared: {error}; pack again"))
