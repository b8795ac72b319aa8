"""A data set's labels written as the files of a format: all of them, or none."""

from collections.abc import Iterable
from pathlib import Path

from xlabel import formats
from xlabel.errors import ExistsError, InputError
from xlabel.formats.losses import refuse
from xlabel.model import Dataset, Report
from xlabel.stores.extract import Extraction, put
from xlabel.stores.transaction import Transaction, told

BESIDE = ("categories.csv", "classes.csv")
"""What describes a single file of labels, and lies beside it."""


def write_labels(
    dataset: Dataset,
    target: Path,
    report: Report,
    *,
    to: str,
    on_loss: str,
    overwrite: bool,
    dry_run: bool = False,
) -> None:
    """Write the files of the format `to`: below a folder, or where the target has a suffix the one file.

    What was written and lost goes into the report. LossError where the format cannot hold everything, unless
    `on_loss` is "drop".
    """
    base, variant = formats.split_name(to)
    module = formats.get(base)
    report.losses = list(module.losses(dataset, variant))
    refuse(report.losses, to, on_loss)
    if dry_run:
        return
    write_files(target, module.write(dataset, variant), overwrite, report)


def write_files(
    target: Path, files: Iterable[tuple[str, Iterable[bytes]]], overwrite: bool, report: Report
) -> None:
    """Write files (path and chunks): below a folder, or where the target has a suffix the one file."""
    if target.suffix and not target.is_dir():
        _write_file(target, files, overwrite, report)
        return
    with Extraction(target, overwrite) as out:
        report.done["files"] = sum(put(out, name, chunks, report.problems) for name, chunks in files)
    report.files[str(target)] = out.written


def _write_file(
    target: Path, files: Iterable[tuple[str, Iterable[bytes]]], overwrite: bool, report: Report
) -> None:
    names: list[str] = []
    with Transaction(target.parent) as work, told(target):
        for path, chunks in files:
            name = path if names else target.name
            if names and path not in BESIDE:
                raise InputError(f"{target}: this takes several files ({path} too); give a folder")
            if (target.parent / name).exists() and not overwrite:
                raise ExistsError(f"{target.parent / name}: exists already; say --overwrite to replace it")
            with open(work.staged(name), "wb") as out:
                out.writelines(chunks)
            names.append(name)
            report.files[str(target.parent / name)] = work.staged(name).stat().st_size
        if not names:
            raise InputError(f"{target}: there is nothing to write")
        work.commit(names)
