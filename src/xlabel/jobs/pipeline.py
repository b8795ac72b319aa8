"""Pipeline: a pack that also works where the images are missing, with placeholders drawn for them."""

import os
from pathlib import Path

from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.jobs import labels as labelling
from xlabel.jobs import placeholder, twin
from xlabel.jobs.assembly import FPS
from xlabel.jobs.packing import How, in_folder, write
from xlabel.model import Report
from xlabel.model.manifest import MEDIA
from xlabel.stores.local import no_images, scan
from xlabel.stores.scratch import scratch


def pipeline(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    output: str | os.PathLike[str] = "output",
    *,
    format: str | None = None,
    placeholders: bool = True,
    placeholder_size: tuple[int, int] | None = None,
    pattern: str | None = None,
    overwrite: bool = False,
    skip_missing_images: bool = False,
    fps: float = FPS,
) -> Report:
    """Pack images and labels; where the folder holds no image, grey placeholders stand in for them.

    Placeholders have the sizes that the labels state, or `placeholder_size` (width, height) where those state
    none. They are marked in both JSON files, and the report says so.
    """
    found_images = scan(images, pattern)
    files = in_folder(Path(output), MEDIA)
    found = labelling.find(found_images, Path(labels), format)
    assert found is not None
    how = How(overwrite=overwrite, skip_missing_images=skip_missing_images or pattern is not None, fps=fps)
    if len(found_images.keys):
        report = write(found_images, found, files, how)
        twin.renew(Path(output), report)
        return report
    if not placeholders or (pattern and len(scan(images).keys)):
        raise InputError(no_images(found_images, pattern))
    with scratch("xlabel-placeholders-") as folder:
        drawn = folder / Path(images).resolve().name
        made = placeholder.make(found, drawn, placeholder_size) and scan(drawn, pattern)
        if not made or not len(made.keys):
            raise InputError(f"{images}: no images, and {labels} has no labels to draw placeholders for")
        found.layout = labelling.layout(Path(images), Path(found.root))
        report = write(made, found, files, replace(how, placeholders=True))
    twin.renew(Path(output), report)
    report.notes.insert(
        0,
        f"NO IMAGES in {images}: {len(made.keys):,} grey PLACEHOLDERS were made from the labels' sizes; "
        "they are marked in both JSON files",
    )
    return report
