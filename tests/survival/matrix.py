"""What common tools leave of labels, what validate then says, and what repair does: docs/survival.md.

Run as a script it prints the page: `python -m tests.survival.matrix > docs/survival.md`.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from tests.scenes import BOX, CAR, box_in, scene
from tests.survival.operations import OPERATIONS, Operation

import xlabel
from xlabel import images
from xlabel.images import embedding
from xlabel.jobs.binding import Verdict, judge, known
from xlabel.jobs.repair import Repairs

SUFFIXES = {"jpeg": "jpg"}
TITLES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "gif": "GIF",
    "tiff": "TIFF",
    "avif": "AVIF",
    "heic": "HEIC",
    "jxl": "JPEG XL",
    "jp2": "JPEG 2000",
}
LETTERS = {"exif": "E", "xmp": "X", "extended xmp": "X", "text": "T"}


class Row(NamedTuple):
    """What became of one image."""

    operation: Operation
    path: Path
    """The file that the operation made, after repair."""
    kept: str
    """Letters of the carriers that still hold the labels."""
    same: bool | None
    """Whether the picture is displayed as before, by Pillow; None where it cannot decode it."""
    verdict: Verdict
    outcome: str
    """intact, restored, carried over, renewed, proposed or left."""
    box: tuple[float, ...] | None
    """Where the labels say that the thing is, after repair."""


def rows(kind: str, folder: Path, operations: list[Operation]) -> list[Row]:
    """The rows of a container: all operations are done to one image, then all images are repaired at once.

    The source has images of the same scene with the thing elsewhere, so that a wrong one would be found.
    """
    suffix = SUFFIXES.get(kind, kind)
    source = folder / "source"
    source.mkdir()
    for number, place in enumerate((BOX, (150, 60, 64, 48), (100, 42, 64, 48))):
        path = source / f"{'abc'[number]}.{suffix}"
        _saved(scene(1, place), path)
        xlabel.embed(path, [xlabel.Annotation(category=CAR, bbox=place)])
    original = source / f"a.{suffix}"
    work = folder / "work"
    made = []
    for number, operation in enumerate(operations):
        path = work / f"{number:03}" / original.name
        path.parent.mkdir(parents=True)
        with TemporaryDirectory(dir=folder) as beside:
            target = Path(beside) / original.name
            operation.act(original, target)
            shutil.move(target, path)
        made.append((operation, path, path.read_bytes()))
    index = known(source)
    verdicts = [judge(data, index, key=path.name) for _, path, data in made]
    report = xlabel.repair(work, source)
    return [
        Row(
            operation,
            path,
            kept(data),
            same(original, data),
            verdict,
            _outcome(path, data, report, verdict),
            box_in(path),
        )
        for (operation, path, data), verdict in zip(made, verdicts, strict=True)
    ]


def kept(data: bytes) -> str:
    """The carriers that hold whole labels, as letters."""
    try:
        copies = embedding.get(data).copies
    except ValueError:
        return ""
    return "".join(sorted({LETTERS[copy.carrier] for copy in copies if copy.wrapped}, key="EXT".index))


def same(original: Path, data: bytes) -> bool | None:
    """Whether an image file shows exactly what the original did, by Pillow, its orientation not applied."""
    import io

    try:
        with Image.open(original) as one, Image.open(io.BytesIO(data)) as other:
            return np.array_equal(np.asarray(one.convert("RGBA")), np.asarray(other.convert("RGBA")))
    except UnidentifiedImageError:
        return None


def page(folder: Path) -> Iterator[str]:
    """The page, a line at a time."""
    yield HEAD
    for kind, operations in OPERATIONS.items():
        missing = sorted({name for operation in operations for name in operation.missing})
        if missing:
            sys.exit(f"not installed: {', '.join(missing)}")
        place = folder / kind
        place.mkdir()
        found = rows(kind, place, operations)
        yield from table(kind, found)


def table(kind: str, found: list[Row]) -> Iterator[str]:
    """The table of a container."""
    yield f"\n## {TITLES[kind]}\n"
    left = sum(1 for row in found if row.kept)
    back = sum(1 for row in found if row.outcome != "proposed" and row.outcome != "left")
    yield f"{len(found)} operations: {left} keep labels, {back} end with the right ones by themselves.\n"
    yield "| operation | keeps | validate | repair |\n|---|---|---|---|"
    yield from map(line, found)


def line(row: Row) -> str:
    """The row as Markdown."""
    state, kind = row.verdict.state, row.verdict.kind
    said = state if kind == state else f"{state}: {kind}"
    return f"| `{row.operation.name}` | {row.kept or '-'} | {said} | {row.outcome} |"


HEAD = """\
# What survives

Other tools change image files without knowing of the labels in them. This page says what some common
operations leave, what `xlabel validate IMAGES --against SOURCE` says of the image afterwards, and what
`xlabel repair IMAGES --from SOURCE` does. `python -m tests.survival.matrix > docs/survival.md` prints it by
running the tools; a test holds it to what they do.

- **keeps**: which copies of the labels are left. E: EXIF UserComment, X: XMP, T: comment or text chunk.
- **validate**: *intact*: the labels are right. *stale*: they are of a picture that the file no longer is, and
  what happened. *stripped*: no labels are left, and SOURCE has the picture.
- **repair**: *intact*: nothing to do. *restored*: labels put back from SOURCE. *carried over*: the image's
  own labels moved with its picture. *renewed*: they were right, their fingerprints are new. *proposed*: named
  in the report and not done, since only likeness or its name speaks for it.

The source holds two more pictures of the same scene, with the labelled thing elsewhere. Each file keeps its
name; where the decoded pixels are unchanged, or changed by a turn, a flip, a crop or a resize that can be
reproduced, the name does not matter. [Repair](repair.md) says what is proved, and how."""


def _outcome(path: Path, before: bytes, report: Repairs, verdict: Verdict) -> str:
    where = str(path)
    if any(proposal.where == where for proposal in report.proposals):
        return "proposed"
    if path.read_bytes() == before:
        return "intact" if verdict.kind == "intact" else "left"
    if verdict.number is not None:
        return "restored"
    return "renewed" if verdict.change is None or verdict.change.nothing else "carried over"


def _saved(picture: Image.Image, path: Path) -> None:
    """A picture in a container, by Pillow, or by the reference encoder of JPEG XL."""
    if path.suffix == ".jxl":
        picture.save(plain := path.with_suffix(".png"))
        subprocess.run(["cjxl", "--quiet", "-d", "0", plain, path], check=True, stderr=subprocess.DEVNULL)
        plain.unlink()
    elif path.suffix == ".heic":
        from pillow_heif import from_pillow

        from_pillow(picture).save(path, quality=90)
    elif path.suffix == ".webp":
        picture.save(path, lossless=True)
    elif path.suffix == ".gif":
        picture.quantize(256).save(path)
    else:
        picture.save(path, quality=90)
    assert images.header(path.read_bytes()) is not None


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        for text in page(Path(place)):
            print(text)
