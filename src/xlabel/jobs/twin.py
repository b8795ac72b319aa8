"""The twin of a pack's annotation file: the same in Parquet, beside it, for who asks it in SQL.

It is made of the annotation file once that is published, and never read in its place. Its metadata has what
stands behind the annotations in that file, to the byte: so anybody can tell which of them it was made from.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from xlabel.errors import InputError, XlabelError, why
from xlabel.formats import parquet
from xlabel.formats.category_ids import Categories
from xlabel.formats.unified_lines import Lines
from xlabel.formats.unified_reading import Described
from xlabel.jobs.opening import file_lines
from xlabel.jobs.writing import write_files
from xlabel.model import Problem, Report
from xlabel.model.manifest import ANNOTATIONS, TWIN
from xlabel.stores.snapshot import Kept


def write(annotations: Path, target: Path, report: Report, *, overwrite: bool) -> None:
    """Write an annotation file as Parquet: below a folder, or where the target has a suffix the one file.

    Counts of what was written go into the report, and what was wrong with the annotation file.
    """
    with ExitStack() as closing:
        from xlabel.formats.parquet_writing import chunks

        read = _opened(annotations, closing)
        counts = {"images": 0, "annotations": 0, "categories": len(read.top.categories)}
        rows = _described(read, counts, report)
        data = chunks(rows, Categories(read.top.categories), lambda: parquet.metadata(read.tail))
        write_files(target, [(parquet.FILE, data)], overwrite, report)
        report.problems += read.top.problems
    report.done = counts | report.done


def needed() -> None:
    """MissingExtraError where a twin cannot be written, for who wants to know before the pack is."""
    import xlabel.formats.parquet_writing  # noqa: F401


def is_of_pack(annotations: Path) -> bool:
    """Whether a file is the annotation file of a pack, which says so at its end."""
    file = Kept(annotations)
    try:
        return _PACK.search(file.read(max(0, file.size - END), END)) is not None
    finally:
        file.close()


def renew(folder: Path, report: Report, *, wanted: bool = False) -> None:
    """Write the twin in a folder anew where it is of another annotation file, or `wanted` and not there.

    The pack is published then: where this fails, it is a problem.
    """
    made, twin = Report(job=report.job), folder / TWIN
    problems: list[Problem] = []
    try:
        found = old(folder)
        if twin.exists() and not twin.is_file():
            problems = found
        elif found or (wanted and not twin.exists()):
            write(folder / ANNOTATIONS, twin, made, overwrite=True)
    except XlabelError as error:
        message = f"could not be written: {error}; {_ADVICE}"
        problems = [Problem(str(twin), "old-twin", message)]
    report.problems = sorted([*report.problems, *problems])
    report.files |= made.files


def old(folder: Path) -> list[Problem]:
    """A problem where the twin in a folder is not of the annotation file beside it, or is no file at all."""
    twin = Kept(folder / TWIN)
    with ExitStack() as closing:
        closing.callback(twin.close)
        if not twin.there:
            return []
        tail = parquet.metadata(_opened(folder / ANNOTATIONS, closing).tail)
        try:
            if tail in _footer(twin):
                return []
            message = f"is not of the annotation file beside it; {_ADVICE}"
        except InputError as error:
            message = f"{why(error, str(twin.path))}; take it away, and {_ADVICE}"
    return [Problem(str(folder / TWIN), "old-twin", message)]


END = 4096
_PACK = re.compile(rb'"pack_id"\s*:\s*"[0-9a-f]{32}"')
_ADVICE = f"make it again: xlabel convert DIR DIR/{TWIN} --to parquet --overwrite"


def _described(read: Lines, counts: dict[str, int], report: Report) -> Iterator[Described]:
    for position in range(len(read)):
        one = read.sample(position)
        counts["images"] += 1
        counts["annotations"] += len(one.sample.annotations)
        report.problems += one.problems
        yield one


def _footer(twin: Kept) -> bytes:
    """What stands at the end of a Parquet file, with its metadata; empty where it is none."""
    size = twin.size
    end = twin.read(max(0, size - 8), 8)
    length = int.from_bytes(end[:4], "little")
    return twin.read(max(0, size - 8 - length), length) if end[4:] == parquet.MAGIC else b""


def _opened(path: Path, closing: ExitStack) -> Lines:
    file = Kept(path)
    closing.callback(file.close)
    return file_lines(file, closing)
