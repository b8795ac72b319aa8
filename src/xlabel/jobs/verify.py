"""Verify: read a pack again, wholly, against its hashes, its order and its partners."""

import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack_into
from typing import Any

import msgspec

from xlabel import bundles
from xlabel.errors import CorruptError
from xlabel.jobs.bundle import Bundle, open_bundle
from xlabel.jobs.pack import ANNOTATIONS, MANIFEST
from xlabel.model import Problem, Report
from xlabel.model.manifest import VERSION, Frame, Manifest

PIECE = 4 << 20
Progress = Callable[[int, int], None]


def verify(path: str | os.PathLike[str], *, progress: Progress | None = None) -> Report:
    """Read every image of a pack against its hash, and the three files against each other.

    Each frame that is not what it was is a problem of the report. Raises CorruptError where the files cannot
    be read as a pack at all.

    >>> xlabel.verify("output").problems
    []
    """
    began = time.perf_counter()
    with open_bundle(path) as bundle:
        report = Report(job="verify")
        folder = bundle.media.parent
        manifest = read_manifest(folder / MANIFEST) if (folder / MANIFEST).exists() else None
        frames = _expected(bundle, manifest, folder, report)
        _compare_index(bundle, frames, report)
        face = has_face(bundle)
        for number, frame in enumerate(frames):
            _check_frame(bundle, frame, face, report)
            report.bytes += frame.size
            if progress and number % 64 == 0:
                progress(report.bytes, bundle.size)
        report.done = {"images": len(frames)}
        if bundle.described:
            report.done["annotations"] = bundle.unified.dataset.counts()["annotations"]
        report.notes.append(f"pack {bundle.pack_id}")
    report.problems.sort()
    report.seconds = time.perf_counter() - began
    return report


def read_manifest(path: Path) -> Manifest:
    """`frame_manifest.json`; CorruptError says where it is not one."""
    return parse_manifest(path.read_bytes(), str(path))


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in a JSON text; see `read_manifest`."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"{where}: expected a frame manifest: {error}; pack again to renew it") from None
    if manifest.version > VERSION:
        raise CorruptError(
            f"{where}: is of version {manifest.version}, this xlabel reads up to {VERSION}; upgrade xlabel"
        )
    for number, frame in enumerate(manifest.frames):
        if frame.index != number:
            raise CorruptError(f"{where}: expected frame {number}, found {frame.index}; the order is broken")
    return manifest


def _expected(bundle: Bundle, manifest: Manifest | None, folder: Path, report: Report) -> list[Frame]:
    """The frames as manifest and annotations have them; each difference between the two is a problem."""
    described = None
    if bundle.described:
        described = bundle.unified.frames
        _check_seal(folder / ANNOTATIONS, bundle.unified.section, report)
    if manifest is None and described is None:
        report.notes.append(f"neither {MANIFEST} nor {ANNOTATIONS}: only the bundle's own index was checked")
        return []
    if manifest is not None:
        if manifest.pack_id != bundle.pack_id:
            raise CorruptError(
                f"{folder / MANIFEST} is of pack {manifest.pack_id}, {bundle.media.name} of pack "
                f"{bundle.pack_id}: they do not belong together; put the right one back, or pack again"
            )
        if frames_id(manifest, bundle) != manifest.pack_id:
            report.problems.append(
                Problem(str(folder / MANIFEST), "manifest-changed", "its frames are not those of its pack id")
            )
    if manifest is None or described is None:
        return manifest.frames if manifest is not None else described or []
    if len(manifest.frames) != len(described):
        report.problems.append(
            Problem(
                str(folder / MANIFEST),
                "order",
                f"has {len(manifest.frames)} frames, {ANNOTATIONS} {len(described)} images",
            )
        )
    for ours, theirs in zip(manifest.frames, described, strict=False):
        if _place(ours) != _place(theirs):
            report.problems.append(
                Problem(
                    str(folder / ANNOTATIONS),
                    "order",
                    f"expected frame {ours.index} to be {ours.key}, found {theirs.key} at {theirs.index}",
                )
            )
    return manifest.frames


def frames_id(manifest: Manifest, bundle: Bundle) -> str:
    """The pack id that follows from a manifest's frames; see docs/dataset_spec.md."""
    from fractions import Fraction

    from xlabel.jobs.assembly import pack_hash
    from xlabel.jobs.pack import frame_rate

    rate = frame_rate(manifest.fps) if manifest.fps else Fraction(10)
    digest = pack_hash(manifest.kind, has_face(bundle), rate)
    for start in range(0, len(manifest.frames), 1000):
        piece = manifest.frames[start : start + 1000]
        digest.update(b"\n".join(map(msgspec.json.encode, piece)) + b"\n")
    return digest.hexdigest()[:32]


def has_face(bundle: Bundle) -> bool:
    """Whether an .mp4 bundle is a ZIP besides."""
    tail = bytes(bundle.read(bundle.size - bundles.TRAILER - 22, 22))
    return bundle.kind == "mp4" and tail[:4] == b"PK\x05\x06"


def _place(frame: Frame) -> tuple[Any, ...]:
    return (frame.index, frame.key, frame.offset, frame.size, frame.sha256)


def _check_seal(path: Path, section: dict[str, Any], report: Report) -> None:
    """Whether the annotation file is as it was packed."""
    seal = section.get("sha256")
    if not isinstance(seal, str):
        return
    data = path.read_bytes()
    end = data.rfind(b'"sha256":"' + seal.encode())
    if end < 0 or hashlib.sha256(data[:end]).hexdigest() != seal:
        report.problems.append(
            Problem(str(path), "annotations-changed", "is not as it was packed; if you edited it, pack again")
        )


def _compare_index(bundle: Bundle, frames: list[Frame], report: Report) -> None:
    """The media's own index against the frames."""
    where = str(bundle.media)
    if frames and len(bundle) != len(frames):
        report.problems.append(
            Problem(where, "index", f"its own index has {len(bundle)} frames, expected {len(frames)}")
        )
    keys = bundle.keys
    for number, frame in enumerate(frames[: len(bundle)]):
        found = (int(bundle.offsets[number]), int(bundle.sizes[number]), keys[number])
        if found != (frame.offset, frame.size, frame.key):
            report.problems.append(
                Problem(
                    where,
                    "index",
                    f"frame {number}: expected {frame.key}, {frame.size} bytes at {frame.offset}; "
                    f"its own index has {found[2]}, {found[1]} bytes at {found[0]}",
                )
            )


def _check_frame(bundle: Bundle, frame: Frame, face: bool, report: Report) -> None:
    where = f"{bundle.media}: {frame.key}"
    digest, crc, total = hashlib.sha256(), 0, 0
    for piece in _pieces(bundle, frame.offset, frame.size):
        digest.update(piece)
        crc = zlib.crc32(piece, crc)
        total += len(piece)
    if digest.hexdigest() != frame.sha256:
        why = "" if total == frame.size else f" ({total} of {frame.size} bytes are there)"
        report.problems.append(
            Problem(where, "hash-mismatch", f"its bytes are not those that were packed{why}; restore it")
        )
        return
    kind = bundles.kind(bundle.kind)
    prefix = bytearray(kind.prefix(frame.raw_name, frame.size, face))
    place = kind.crc_at(face)
    if place is not None:
        pack_into("<I", prefix, place, crc)
    if bytes(bundle.read(frame.offset - len(prefix), len(prefix))) != prefix:
        report.problems.append(
            Problem(where, "header-damaged", f"the .{bundle.kind} header before it is damaged; pack again")
        )


def _pieces(bundle: Bundle, offset: int, size: int) -> Iterator[memoryview]:
    end = offset + size
    while offset < end:
        piece = bundle.read(offset, min(PIECE, end - offset))
        if not piece:
            return
        yield piece
        offset += len(piece)
