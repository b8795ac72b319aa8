"""xlabel: image labels are metadata. They stay with their images, and a data set travels as two files."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "annotate": "xlabel.jobs.annotate",
    "compact": "xlabel.jobs.compact",
    "convert": "xlabel.jobs.convert",
    "diff": "xlabel.jobs.history",
    "evaluate": "xlabel.jobs.evaluate",
    "log": "xlabel.jobs.history",
    "open_bundle": "xlabel.jobs.opening",
    "pack": "xlabel.jobs.pack",
    "prelabel": "xlabel.jobs.prelabel",
    "pull": "xlabel.jobs.pull",
    "push": "xlabel.jobs.push",
    "read": "xlabel.jobs.convert",
    "read_exif_tag": "xlabel.jobs.tags",
    "repair": "xlabel.jobs.repair",
    "unpack": "xlabel.jobs.unpack",
    "update": "xlabel.jobs.update",
    "validate": "xlabel.jobs.validate",
    "verify": "xlabel.jobs.verify",
    "write": "xlabel.jobs.convert",
    "write_exif_tag": "xlabel.jobs.tags",
    "Bundle": "xlabel.jobs.bundle",
    "Stream": "xlabel.jobs.stream",
    "Evaluation": "xlabel.jobs.evaluation",
    "Finding": "xlabel.checks",
    "Validation": "xlabel.jobs.validation",
    "Annotation": "xlabel.model",
    "Category": "xlabel.model",
    "embed": "xlabel.jobs.embed",
    "extract": "xlabel.jobs.extract",
    "labels": "xlabel.jobs.extract",
    "review": "xlabel.jobs.review",
    "show": "xlabel.jobs.show",
    "stream": "xlabel.jobs.stream",
    "strip": "xlabel.jobs.strip",
    "Dataset": "xlabel.model",
    "Image": "xlabel.model",
    "Sample": "xlabel.model",
    "Source": "xlabel.model",
    "Problem": "xlabel.model",
    "Loss": "xlabel.model",
    "Report": "xlabel.model",
    "XlabelError": "xlabel.errors",
    "InputError": "xlabel.errors",
    "ExistsError": "xlabel.errors",
    "CorruptError": "xlabel.errors",
    "LossError": "xlabel.errors",
    "MissingExtraError": "xlabel.errors",
    "StoreError": "xlabel.errors",
}

__all__ = [
    "Annotation",
    "Bundle",
    "Category",
    "CorruptError",
    "Dataset",
    "Evaluation",
    "ExistsError",
    "Finding",
    "Image",
    "InputError",
    "Loss",
    "LossError",
    "MissingExtraError",
    "Problem",
    "Report",
    "Sample",
    "Source",
    "StoreError",
    "Stream",
    "Validation",
    "XlabelError",
    "__version__",
    "annotate",
    "compact",
    "convert",
    "diff",
    "embed",
    "evaluate",
    "extract",
    "labels",
    "log",
    "open_bundle",
    "pack",
    "prelabel",
    "pull",
    "push",
    "read",
    "read_exif_tag",
    "repair",
    "review",
    "show",
    "stream",
    "strip",
    "unpack",
    "update",
    "validate",
    "verify",
    "write",
    "write_exif_tag",
]

if TYPE_CHECKING:
    from xlabel.checks import Finding
    from xlabel.errors import (
        CorruptError,
        ExistsError,
        InputError,
        LossError,
        MissingExtraError,
        StoreError,
        XlabelError,
    )
    from xlabel.jobs.annotate import annotate
    from xlabel.jobs.bundle import Bundle
    from xlabel.jobs.compact import compact
    from xlabel.jobs.convert import convert, read, write
    from xlabel.jobs.embed import embed
    from xlabel.jobs.evaluate import evaluate
    from xlabel.jobs.evaluation import Evaluation
    from xlabel.jobs.extract import extract, labels
    from xlabel.jobs.history import diff, log
    from xlabel.jobs.opening import open_bundle
    from xlabel.jobs.pack import pack
    from xlabel.jobs.prelabel import prelabel
    from xlabel.jobs.pull import pull
    from xlabel.jobs.push import push
    from xlabel.jobs.repair import repair
    from xlabel.jobs.review import review
    from xlabel.jobs.show import show
    from xlabel.jobs.stream import Stream, stream
    from xlabel.jobs.strip import strip
    from xlabel.jobs.tags import read_exif_tag, write_exif_tag
    from xlabel.jobs.unpack import unpack
    from xlabel.jobs.update import update
    from xlabel.jobs.validate import validate
    from xlabel.jobs.validation import Validation
    from xlabel.jobs.verify import verify
    from xlabel.model import Annotation, Category, Dataset, Image, Loss, Problem, Report, Sample, Source


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import xlabel` stays quick."""
    if name in _HOME:
        found: object = getattr(import_module(_HOME[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'xlabel' has no attribute {name!r}")
