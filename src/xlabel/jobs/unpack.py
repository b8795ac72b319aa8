"""Unpack: the image tree byte for byte, and the labels in the form that they came in or in another."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from xlabel import formats
from xlabel.errors import InputError
from xlabel.formats.losses import refuse
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.labels import Layout
from xlabel.jobs.opening import open_bundle
from xlabel.jobs.seen import as_seen
from xlabel.model import Dataset, Loss, Problem, Report, Sample
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, Frame, Seen
from xlabel.model.report import Progress
from xlabel.pictures import pillow
from xlabel.stores.extract import Extraction, put


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

    Of a video the frames are decoded and written as PNG, since the image files are not in it; a note says so.

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
        frames = _frames(bundle, report)
        dataset = bundle.unified.dataset if bundle.described else None
        if bundle.video is not None:
            frames, dataset = _as_pictures(bundle, frames, dataset, report)
        layout, name = _plan(bundle, dataset, to)
        if dataset is not None and name is not None:
            report.losses = _losses(dataset, name, on_loss)
        with Extraction(target, overwrite) as out:
            later = _later(bundle) if bundle.described else {}
            for number, frame in enumerate(frames):
                if bundle.video is None:
                    _write_image(bundle, frame, later.get(frame.index), layout, out, report)
                report.bytes += frame.size
                if progress and number % 64 == 0:
                    progress(report.bytes, bundle.size)
            if bundle.video is not None:
                _write_pictures(bundle, frames, layout, out, report)
            for empty in bundle.empty_names():
                put(out, layout.image(empty), [b""], report.problems)
            report.done = {"images": len(frames)}
            if dataset is not None and name is not None:
                _write_labels(bundle, dataset, name, layout, out, report)
    if name is None:
        report.notes.append("the pack holds no labels in another form; only images were written")
    report.files = {str(target): report.bytes}
    report.seconds = time.perf_counter() - began
    return report


class Expected(Layout, frozen=True):
    """Where another format's readers look for images; one whose key has that folder already stays there."""

    def image(self, name: bytes) -> bytes:
        return name if self.images.encode() in name.split(b"/")[:-1] else super().image(name)


def _frames(bundle: Bundle, report: Report) -> list[Frame]:
    """The frames, by whichever file tells them."""
    folder = bundle.media.parent
    if bundle.described:
        report.problems += bundle.unified.problems
        if bundle.unified.frames is not None or not len(bundle):
            return bundle.unified.frames or []
        message = "does not say where each image is; taken from elsewhere, and hashes are not its own"
        report.problems.append(Problem(str(folder / ANNOTATIONS), "no-places", message))
    manifest = bundle.manifest
    if manifest is not None and manifest.pack_id == bundle.pack_id:
        return manifest.live
    report.notes.append(f"neither {ANNOTATIONS} nor {MANIFEST} tell its frames: hashes cannot be checked")
    return bundle.bare_frames()


def _later(bundle: Bundle) -> dict[int, tuple[Sample, Seen]]:
    """By frame number: the labels of images in which they were embedded anew since they were packed."""
    unified = bundle.unified
    placed = zip(unified.frames or (), unified.dataset.samples, unified.seen, strict=False)
    return {frame.index: (sample, seen) for frame, sample, seen in placed if seen is not None}


def _plan(bundle: Bundle, dataset: Dataset | None, to: str | None) -> tuple[Layout, str | None]:
    """Where things go, and the format of the labels."""
    if dataset is None:
        if to is not None:
            raise InputError(f"there is no {ANNOTATIONS} beside the bundle, so no labels to write as {to}")
        return Layout(), None
    origin = dataset.origin.format if dataset.origin else None
    if to is None and bundle.video is not None and origin in formats.INSIDE:
        raise InputError(
            "the labels were inside the image files, which a video does not keep; say --to FORMAT for them"
        )
    if to is None or to == origin or to == (origin or "").split("-")[0]:
        return bundle.said("layout", Layout, Layout()), origin
    base, _ = formats.split_name(to)
    if base in formats.INSIDE:
        raise InputError("labels go into images by `xlabel embed IMAGES LABELS`; unpack without --to first")
    return Expected(images=formats.get(base).IMAGES), to


def _losses(dataset: Dataset, name: str, on_loss: str) -> list[Loss]:
    """What the format leaves out; LossError where that was not asked for."""
    base, variant = formats.split_name(name)
    losses = list(formats.get(base).losses(dataset, variant))
    refuse(losses, name, on_loss)
    return losses


def _write_image(
    bundle: Bundle,
    frame: Frame,
    later: tuple[Sample, Seen] | None,
    layout: Layout,
    out: Extraction,
    report: Report,
) -> None:
    """Write an image file; `later` has its labels, and what else it was, when they were embedded anew."""
    digest = hashlib.sha256()
    expected = later[1].sha256 if later else frame.sha256

    def pieces() -> Iterator[bytes | memoryview]:
        found: Iterable[bytes | memoryview] = bundle.pieces(frame.offset, frame.size)
        if later is not None:
            found = [as_seen(b"".join(found), *later)]
        for piece in found:
            digest.update(piece)
            yield piece

    try:
        name = frame.raw_name
    except ValueError as error:
        report.problems.append(Problem(frame.key, "unsafe-name", f"{error}; it was not written"))
        return
    try:
        written = put(out, layout.image(name), pieces(), report.problems)
    except ValueError as error:
        message = f"its labels cannot be embedded again: {error}; it was not written"
        report.problems.append(Problem(frame.key, "not-embedded", message))
        return
    if written and expected not in ("", digest.hexdigest()):
        report.problems.append(
            Problem(
                frame.key,
                "hash-mismatch",
                "its bytes are not those that were packed; written as they are, restore it from elsewhere",
            )
        )


def _as_pictures(
    bundle: Bundle, frames: list[Frame], dataset: Dataset | None, report: Report
) -> tuple[list[Frame], Dataset | None]:
    """The frames and labels of a video under the names of the pictures that are written."""
    if dataset is None:
        raise InputError(f"{bundle.media}: a video is decoded by its {ANNOTATIONS}, which is not beside it")
    from xlabel.jobs.video import picture_names

    report.notes.append(
        "LOSSY: the pictures are decoded frames of a video, as PNG; the image files are not in the pack"
    )
    names = picture_names(frame.key for frame in frames)
    samples = [
        msgspec.structs.replace(sample, image=msgspec.structs.replace(sample.image, key=name), named=None)
        for sample, name in zip(dataset.samples, names, strict=True)
    ]
    renamed = [
        msgspec.structs.replace(frame, key=name, name_bytes=None)
        for frame, name in zip(frames, names, strict=True)
    ]
    return renamed, msgspec.structs.replace(dataset, samples=samples)


def _write_pictures(
    bundle: Bundle, frames: list[Frame], layout: Layout, out: Extraction, report: Report
) -> None:
    for frame, picture in zip(frames, bundle.pictures(0, len(frames)), strict=True):
        put(out, layout.image(frame.raw_name), [pillow.png(picture)], report.problems)


def _write_labels(
    bundle: Bundle, dataset: Dataset, name: str, layout: Layout, out: Extraction, report: Report
) -> None:
    base, variant = formats.split_name(name)
    same = dataset.origin is not None and dataset.origin.format == name
    left = bundle.said("unmatched", list[Sample], []) if same else []
    whole = msgspec.structs.replace(dataset, samples=[*dataset.samples, *left])
    files = 0
    for path, chunks in formats.get(base).write(whole, variant):
        files += put(out, layout.label(path), chunks, report.problems)
    if same:
        for path, text in bundle.said("unmatched_files", dict[str, str], {}).items():
            files += put(out, layout.label(path), [text.encode()], report.problems)
        for path, data in bundle.said("unmatched_base64", dict[str, bytes], {}).items():
            files += put(out, layout.label(path), [data], report.problems)
    report.done["annotations"] = dataset.counts()["annotations"]
    if name in formats.INSIDE:
        report.notes.append("the labels are inside the images")
    else:
        report.done[f"{name} files"] = files
