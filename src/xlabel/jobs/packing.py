"""From images and labels that have been found to the files of a pack: all of them replaced, or none."""

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from xlabel import bundles
from xlabel.errors import ExistsError, InputError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.jobs import frames, notes, workers
from xlabel.jobs import labels as labelling
from xlabel.jobs.assembly import FPS, Assembly, fps_number, frame_rate, manifest_file
from xlabel.jobs.labels import Found
from xlabel.jobs.opening import refuse_pushed
from xlabel.jobs.records import AnnotationFile
from xlabel.model import Problem, Report
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, PROBLEMS, VERSION, empty_fields
from xlabel.model.report import Progress
from xlabel.stores import stats
from xlabel.stores.local import Scan
from xlabel.stores.transaction import Hidden, Transaction, told


class Files(msgspec.Struct, frozen=True):
    """Where the files of a pack go; None leaves one out."""

    media: Path
    manifest: Path | None = None
    annotations: Path | None = None

    @property
    def wanted(self) -> list[Path]:
        """Those that are not left out."""
        return [path for path in (self.media, self.annotations, self.manifest) if path is not None]


def in_folder(folder: Path, media: str) -> Files:
    """All three files in one folder; InputError where the media's name leads out of it."""
    if media != os.path.basename(media):
        raise InputError(f"{media}: expected the name of a file; its folder is --output")
    return Files(folder / media, folder / MANIFEST, folder / ANNOTATIONS)


class How(msgspec.Struct, frozen=True):
    """What is asked of a pack; see `pack`."""

    overwrite: bool = False
    skip_missing_images: bool = False
    fps: float = FPS
    plain: bool = False
    placeholders: bool = False
    """The images are marked as placeholders."""
    pixels: bool = False
    """The fingerprints that need decoding are taken too."""
    workers: int | None = None
    generation: int = 1
    video: str | None = None
    """Codec of a lossy video that takes the place of the image files."""
    crf: int | None = None
    preview: bool = False
    """With a track that players show which show no images."""


class Staged(msgspec.Struct, frozen=True):
    """The files of a pack, written and not yet in their place."""

    report: Report
    assembly: Assembly
    size: int
    """Bytes of the media file."""
    whole: dict[str, Any]
    """What the annotation file says of the whole: its own section, but for what follows from the rest."""


def write(
    images: Scan, found: Found | None, files: Files, how: How, progress: Progress | None = None
) -> Report:
    """Write the files of a pack, those of one folder at once."""
    began = time.perf_counter()
    if not how.overwrite:
        _refuse_existing(files)
    with ExitStack() as leaving, told(files.media.parent):
        folders = dict.fromkeys(path.parent for path in files.wanted)
        for folder in folders:
            refuse_pushed(folder)
        works = {folder: leaving.enter_context(Transaction(folder)) for folder in folders}
        made = stage(images, found, files, how, works, leaving, progress)
        publish(works, made.report, files)
        _note_seen(images, made.assembly, files, how)
    made.report.seconds = time.perf_counter() - began
    return made.report


def stage(
    images: Scan,
    found: Found | None,
    files: Files,
    how: How,
    works: dict[Path, Transaction],
    leaving: ExitStack,
    progress: Progress | None = None,
) -> Staged:
    """Write the files of a pack where `works`, by their folders, stage them."""
    kind = bundles.kind(bundles.kind_of(files.media.name))
    if how.workers is not None and how.workers < 1:
        raise InputError(f"expected at least one worker, got {how.workers}")
    rate = frame_rate(how.fps)
    crf = _checked_video(how, kind.NAME)
    making = frames.Making(
        kind,
        face=_has_face(kind.NAME, how, len(images.keys)),
        noted=bool(files.manifest or files.annotations),
        placeholders=how.placeholders,
        pixels=how.pixels,
    )
    work = works[files.media.parent]
    _refuse_full(work.folder, sum(images.sizes))
    media = work.staged(files.media.name)
    media.write_bytes(kind.HEAD)
    coded = None
    threads = how.workers or workers.available()
    if how.video is not None:
        from xlabel.jobs import video

        spool = work.staged("spool-video")
        coded = video.encode(images, how.video, crf, rate, spool, threads, progress)
        images, progress = coded.images, None
    early = bound(found, images)
    manifest = annotations = None
    if files.manifest is not None:
        place = works[files.manifest.parent].staged(files.manifest.name)
        manifest = manifest_file(place, files.media.name, kind, rate)
    if files.annotations is not None:
        annotations = AnnotationFile(works[files.annotations.parent], files.annotations.name)
    labels = found.labels if found else None
    categories = list(labels.categories) if labels else []
    assembly = Assembly(work, making, rate, manifest, annotations, categories, labelling.first_ids(labels))
    leaving.callback(assembly.close)
    assembly.problems += early
    packer = frames.Packer(images, found, making, str(media))
    if coded:
        packer = video.VideoPacker(coded, found, making, str(media))
    leaving.callback(packer.close)
    run_packer(packer, images, assembly, how.workers, progress)
    report, whole = reported(assembly, images, found, files, how)
    if coded:
        video.note(coded, report)
        whole = {"video": coded.video} | whole
    if how.preview:
        from xlabel.jobs import video

        spool = work.staged("spool-preview")
        small, sizes = video.preview(media, assembly.places, images, rate, spool, threads)
        assembly.finish_media(media, images.empty, preview=video.playable(small, sizes, spool))
        whole = {"preview": video.stated(media, small)} | whole
    else:
        assembly.finish_media(media, images.empty, coded.video if coded else None)
    size = media.stat().st_size
    extra = found.labels.extra if found else None
    problems = below(report.problems, images, found)
    assembly.finish_json(media.name, size, how.generation, whole, extra, problems)
    return Staged(report, assembly, size, whole)


def _note_seen(images: Scan, assembly: Assembly, files: Files, how: How) -> None:
    """Note sizes and times of the images, so that an update need not read those that have not changed."""
    whole = assembly.next_number == len(images.keys)
    if whole and files.annotations is not None and files.media.suffix == ".mp4" and how.video is None:
        of = stats.mark(stats.IMAGES, assembly.pack_id, how.generation, images.root)
        stats.Stats.of(images).write(stats.place(files.media.parent, stats.IMAGES), of, len(images.keys))


def _has_face(kind: str, how: How, count: int) -> bool:
    """Whether the bundle is a ZIP besides: packets of a video are no files that one would unzip."""
    return kind == "mp4" and not how.plain and not how.video and count <= bundles.FACE_LIMIT


def _checked_video(how: How, kind: str) -> int:
    """The quality of the video that is asked for, 0 for none; InputError for what does not go together."""
    if how.video is None and not how.preview:
        if how.crf is not None:
            raise InputError("--crf is the quality of a video; say --video av1 or --video h264 too")
        return 0
    asked = "--video" if how.video else "--preview"
    if kind != "mp4":
        raise InputError(f"{asked}: expected a bundle ending in .mp4, got .{kind}; leave out {asked}")
    if how.video and how.preview:
        raise InputError("--preview: players show a video as it is; leave out --preview")
    if how.video and how.pixels:
        raise InputError("--fingerprint: a video holds no image files; leave out --fingerprint or --video")
    if how.placeholders:
        raise InputError(f"{asked}: placeholders are no pictures; leave out {asked}")
    from xlabel.bundles.video import check

    return check(how.video or "h264", how.crf)


def bound(found: Found | None, images: Scan) -> list[Problem]:
    """Say to the labels which images there are; gives the problems so far, which else each process would."""
    problems: list[Problem] = []
    for labels in (found.labels, found.inside) if found else ():
        if labels is not None:
            labels.bind(images.keys)
            problems += labels.problems if found and labels is found.labels else []
            labels.problems.clear()
    return problems


def run_packer(
    packer: frames.Packer,
    images: Scan,
    assembly: Assembly,
    processes: int | None,
    progress: Progress | None,
    accepted: Callable[[frames.Described], None] | None = None,
) -> None:
    """Pack all images; `accepted` is called with each batch that has gone into the files."""
    total = sum(images.sizes)

    def accept(batch: frames.Described) -> None:
        assembly.accept(batch)
        if accepted:
            accepted(batch)
        if progress:
            progress(assembly.counted.bytes, total)

    if processes is None:
        small = len(images.keys) < workers.SMALL
        processes = 1 if small else workers.available()
    workers.run(packer, lambda: frames.batches(images.sizes), assembly.grant, accept, processes)


def reported(
    assembly: Assembly, images: Scan, found: Found | None, files: Files, how: How
) -> tuple[Report, dict[str, Any]]:
    """The report, and the annotation file's own section, but for what follows from the rest."""
    packed = assembly.counted
    report = Report(job="pack", bytes=packed.bytes)
    report.done = {"images": packed.frames}
    report.problems = images.problems + assembly.problems
    embedded = found is not None and isinstance(found.labels, EmbeddedLabels)
    if embedded and not packed.used:
        found = None
    section: dict[str, Any] = {
        "version": VERSION,
        "kind": files.media.suffix[1:].lower(),
        "fps": fps_number(assembly.fps),
    } | empty_fields(images.empty)
    if how.placeholders:
        section["placeholders"] = packed.frames
    if files.annotations is not None:
        report.done |= {"annotations": packed.annotations, "categories": len(assembly.categories.all)}
        if found is not None:
            left = labelling.leftovers(
                found, images.keys, packed.used, packed.unread, report, wanted=not how.skip_missing_images
            )
            section |= left
        notes.note_turned(report, packed.turned)
        notes.note_unlabelled(report, packed.frames - packed.labelled)
    if found is None or embedded or found.root != images.root:
        notes.note_others(report, images, labelled=found is not None)
    else:
        notes.note_strangers(report, images, found.labels.origin)
    if section["kind"] == "tar":
        notes.note_webdataset(images.keys, report)
    report.problems.sort()
    return report, section


def publish(
    works: dict[Path, Transaction],
    report: Report,
    files: Files,
    hide: Hidden | None = None,
    *,
    in_place: bool = False,
) -> None:
    """Put the new files in place at once; the media is there already where it was changed `in_place`."""
    home = files.media.parent
    wanted = [path for path in files.wanted if not in_place or path != files.media]
    written = {folder: [path.name for path in wanted if path.parent == folder] for folder in works}
    stale = []
    if report.problems:
        text = msgspec.json.format(msgspec.json.encode({"problems": report.problems}), indent=1)
        works[home].staged(PROBLEMS).write_bytes(text + b"\n")
        written[home].append(PROBLEMS)
    else:
        stale.append(PROBLEMS)
    if files.manifest is None and files.media.exists():
        stale.append(MANIFEST)  # of the media that is replaced
    if files.annotations is None and (home / ANNOTATIONS).exists():
        report.notes.append(f"{ANNOTATIONS} there is of another pack now; build the annotations again")
    for folder, names in written.items():
        work = works[folder]
        report.files |= {str(folder / name): work.staged(name).stat().st_size for name in names}
        work.commit(names, stale if folder == home else None, hide)


def below(problems: list[Problem], images: Scan, found: Found | None) -> list[Problem]:
    """Problems with paths below the folders that were given: a manifest does not say where it was made."""
    roots = {images.root, found.root if found else images.root}
    prefixes = "|".join(re.escape(root + "/") for root in sorted(roots, key=len, reverse=True))
    root = re.compile(rf"""(?<![^\s'"(])(?:{prefixes})""")
    return sorted(Problem(root.sub("", p.where), p.code, root.sub("", p.message)) for p in problems)


def _refuse_existing(files: Files) -> None:
    listed = (files.media, files.manifest, files.annotations)
    there = [path for path in listed if path is not None and path.exists()]
    if there:
        names = " and ".join(path.name for path in there)
        raise ExistsError(f"{there[0].parent}: {names} exist already; say --overwrite to replace them")


def _refuse_full(output: Path, size: int) -> None:
    free = shutil.disk_usage(output).free
    if free < size:
        raise InputError(f"{output}: needs {size:,} bytes, the disk has {free:,} left; nothing was changed")
