"""Unpack: the image tree byte for byte, and the labels in the form that they came in or in another."""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from xlabel import formats
from xlabel.errors import InputError, LossError
from xlabel.jobs.bundle import Bundle, open_bundle
from xlabel.jobs.labels import Layout
from xlabel.jobs.verify import empty_files, read_manifest, said
from xlabel.model import Dataset, Loss, Problem, Report, Sample
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Frame
from xlabel.model.report import loss_lines
from xlabel.stores.extract import Extraction
from xlabel.stores.local import key_of

Progress = Callable[[int, int], None]
PIECE = 4 << 20
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that are not about one file: the place as a whole takes no more."""


def unpack(
    path: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None = None,
    to: str | None = None,
    on_loss: str = "stop",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write the images of a pack to `dest` again, byte for byte, and their labels.

    Without `to`, images and labels lie to each other as they did when they were packed, and the labels are in
    the form that they had. With it, images go where that format's readers look for them (`dest/images`), and
    what it cannot hold is refused with LossError unless `on_loss` is "drop". `annotations` names the
    annotation file where it does not lie beside the bundle.

    >>> report = xlabel.unpack("output", "restored")
    >>> report.done["images"]
    24
    """
    began = time.perf_counter()
    target = Path(dest)
    report = Report(job="unpack")
    with open_bundle(path, annotations) as bundle:
        frames, section = _described(bundle, report)
        dataset = bundle.unified.dataset if section is not None else None
        layout, name = _plan(dataset, section or {}, to)
        if dataset is not None and name is not None:
            report.losses = _losses(dataset, name, on_loss)
        with Extraction(target, overwrite) as out:
            for number, frame in enumerate(frames):
                _write_image(bundle, frame, layout, out, report)
                report.bytes += frame.size
                if progress and number % 64 == 0:
                    progress(report.bytes, bundle.size)
            path = bundle.media.parent / MANIFEST
            manifest = read_manifest(path) if section is None and path.exists() else None
            for empty in empty_files(bundle, section, manifest):
                put(out, layout.image(empty), [b""], report)
            report.done = {"images": len(frames)}
            if dataset is not None and name is not None:
                _write_labels(dataset, section or {}, name, layout, out, report)
    if name is None:
        report.notes.append("the pack holds no labels in another form; only images were written")
    report.files = {str(target): report.bytes}
    report.seconds = time.perf_counter() - began
    return report


class Expected(Layout, frozen=True):
    """Where another format's readers look for images; one whose key has that folder already stays there."""

    def image(self, name: bytes) -> bytes:
        return name if self.images.encode() in name.split(b"/")[:-1] else super().image(name)


def _described(bundle: Bundle, report: Report) -> tuple[list[Frame], dict[str, Any] | None]:
    """The frames, and what the annotation file says of the whole; None where there is no such file."""
    folder = bundle.media.parent
    section = None
    if bundle.described:
        section = bundle.unified.section
        report.problems += bundle.unified.problems
        if bundle.unified.frames is not None or not len(bundle):
            return bundle.unified.frames or [], section
        message = "does not say where each image is; taken from elsewhere, and hashes are not its own"
        report.problems.append(Problem(str(folder / ANNOTATIONS), "no-places", message))
    if (folder / MANIFEST).exists():
        manifest = read_manifest(folder / MANIFEST)
        if manifest.pack_id == bundle.pack_id:
            return manifest.frames, section
    report.notes.append(f"neither {ANNOTATIONS} nor {MANIFEST} tell its frames: hashes cannot be checked")
    return bundle.bare_frames(), section


def _plan(dataset: Dataset | None, section: dict[str, Any], to: str | None) -> tuple[Layout, str | None]:
    """Where things go, and the format of the labels."""
    if dataset is None:
        if to is not None:
            raise InputError(f"there is no {ANNOTATIONS} beside the bundle, so no labels to write as {to}")
        return Layout(), None
    origin = dataset.origin.format if dataset.origin else None
    if to is None or to == origin or to == (origin or "").split("-")[0]:
        return said(section, "layout", Layout, Layout()), origin
    base, _ = formats.split_name(to)
    return Expected(images=formats.get(base).IMAGES), to


def _losses(dataset: Dataset, name: str, on_loss: str) -> list[Loss]:
    """What the format leaves out; LossError where that was not asked for."""
    base, variant = formats.split_name(name)
    losses = list(formats.get(base).losses(dataset, variant))
    refuse_losses(losses, name, on_loss)
    return losses


def refuse_losses(losses: list[Loss], name: str, on_loss: str) -> None:
    """LossError where labels would lose something and `on_loss` is not "drop"."""
    from xlabel.formats.losses import RECORDS

    if on_loss not in ("stop", "drop"):
        raise InputError(f"expected on-loss to be stop or drop, got {on_loss!r}")
    lost = [loss for loss in losses if loss.field not in RECORDS]
    if lost and on_loss == "stop":
        lines = "\n".join(f"  {line}" for line in loss_lines(lost))
        raise LossError(
            f"{name} cannot hold everything, and nothing was written:\n{lines}\n"
            "say --on-loss drop to leave these out, or choose another format (xlabel formats)",
            losses,
        )


def _write_image(bundle: Bundle, frame: Frame, layout: Layout, out: Extraction, report: Report) -> None:
    digest = hashlib.sha256()

    def pieces() -> Iterator[memoryview]:
        end = frame.offset + frame.size
        for start in range(frame.offset, end, PIECE):
            piece = bundle.read(start, min(PIECE, end - start))
            if not piece:
                return
            digest.update(piece)
            yield piece

    try:
        name = frame.raw_name
    except ValueError as error:
        report.problems.append(Problem(frame.key, "unsafe-name", f"{error}; it was not written"))
        return
    if put(out, layout.image(name), pieces(), report) and frame.sha256 not in (
        "",
        digest.hexdigest(),
    ):
        report.problems.append(
            Problem(
                frame.key,
                "hash-mismatch",
                "its bytes are not those that were packed; written as they are, restore it from elsewhere",
            )
        )


def put(out: Extraction, path: str | bytes, chunks: Any, report: Report) -> bool:
    """Write a file by an untrusted path; where that cannot be it is a problem, and False."""
    try:
        out.write(path, chunks)
    except ValueError as error:
        report.problems.append(Problem(shown(path), "unsafe-name", f"{error}; it was not written"))
        return False
    except OSError as error:
        if error.errno in HOPELESS:
            raise InputError(f"{out.folder}: cannot be written to: {error.strerror}") from None
        report.problems.append(Problem(shown(path), "unwritable", f"{error.strerror}; it was not written"))
        return False
    return True


def shown(path: str | bytes) -> str:
    """A path as a key."""
    return path if isinstance(path, str) else key_of(path)


def _write_labels(
    dataset: Dataset, section: dict[str, Any], name: str, layout: Layout, out: Extraction, report: Report
) -> None:
    base, variant = formats.split_name(name)
    same = dataset.origin is not None and dataset.origin.format == name
    left = said(section, "unmatched", list[Sample], []) if same else []
    whole = msgspec.structs.replace(dataset, samples=[*dataset.samples, *left])
    files = 0
    for path, chunks in formats.get(base).write(whole, variant):
        files += put(out, layout.label(path), chunks, report)
    if same:
        for path, text in said(section, "unmatched_files", dict[str, str], {}).items():
            files += put(out, layout.label(path), [text.encode()], report)
        for path, data in said(section, "unmatched_base64", dict[str, bytes], {}).items():
            files += put(out, layout.label(path), [data], report)
    report.done |= {"annotations": dataset.counts()["annotations"], f"{name} files": files}
