"""Pack: a folder of images and their labels become a media bundle, a manifest and one annotation file."""

import os
from pathlib import Path

from xlabel.errors import InputError
from xlabel.jobs import labels as labelling
from xlabel.jobs import twin
from xlabel.jobs.assembly import FPS
from xlabel.jobs.packing import Files, How, in_folder, write
from xlabel.jobs.selection import wants_pixels
from xlabel.model import Report
from xlabel.model.manifest import MEDIA
from xlabel.model.report import Progress
from xlabel.stores.local import no_images, scan


def pack(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] = "output",
    *,
    media: str = MEDIA,
    format: str | None = None,
    pattern: str | None = None,
    overwrite: bool = False,
    skip_missing_images: bool = False,
    fps: float = FPS,
    plain: bool = False,
    fingerprint: str | None = None,
    video: str | None = None,
    crf: int | None = None,
    preview: bool = False,
    parquet: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Pack a folder of images and their labels into `output`; gives a report.

    Writes the bundle `media` (its suffix picks mp4, tar or zip), `frame_manifest.json` and
    `unified_annotation.json`; `problems.json` too where there are any. Frames are in the bytewise order of
    their keys. Labels are those in `labels`, else those inside or beside the images; `format` names their
    format, which is found out otherwise. `plain` leaves out the ZIP face of an .mp4 and stores equal files
    once. `fingerprint="pixels"` decodes the images and notes fingerprints of them in the annotation file.
    `preview` adds a small H.264 track that browsers play. `parquet` writes the annotation file once more, as
    `unified_annotation.parquet`, which later updates keep current. `video` ("av1" or "h264", with the
    quality `crf`) puts a lossy video of a sequence of one size in place of the image files, which are then
    not in the bundle. The three files are replaced as one, or not at all.

    Raises InputError where nothing was changed: a missing folder, no images, an output that exists.

    >>> report = xlabel.pack("sample/raw_images", "sample/raw_labels", "output")
    >>> report.done["images"], report.exit_code
    (24, 0)
    """
    pixels = wants_pixels(fingerprint)
    if parquet:
        twin.needed()
    found_images = scan(images, pattern)
    if not len(found_images.keys):
        raise InputError(no_images(found_images, pattern))
    found = labelling.find(found_images, Path(labels) if labels is not None else None, format)
    how = How(
        overwrite=overwrite,
        skip_missing_images=skip_missing_images or pattern is not None,
        fps=fps,
        plain=plain,
        pixels=pixels,
        video=video,
        crf=crf,
        preview=preview,
        workers=workers,
    )
    report = write(found_images, found, in_folder(Path(output), media), how, progress)
    twin.renew(Path(output), report, wanted=parquet)
    return report


def bundle(
    images: str | os.PathLike[str],
    media: Path,
    manifest: Path | None,
    *,
    pattern: str | None = None,
    overwrite: bool = False,
    fps: float = FPS,
    plain: bool = False,
) -> Report:
    """Pack images alone: the media file, and its manifest where one is wanted, in any folder.

    Without a manifest nobody would know the hashes of the images, and they are not computed.
    """
    found_images = scan(images, pattern)
    if not len(found_images.keys):
        raise InputError(no_images(found_images, pattern))
    if manifest is not None and manifest.parent.resolve() == media.parent.resolve():
        manifest = media.parent / manifest.name
    files = Files(media, manifest)
    return write(found_images, None, files, How(overwrite=overwrite, fps=fps, plain=plain))
