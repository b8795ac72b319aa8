"""Label files and samples: one module a format, each with the functions of `Format`.

A format reads from a `Tree` and writes (path, chunks) pairs: it opens no file, so that folders, archives and
tests look the same to it. Adding one is a new module and a row in `FORMATS`; other packages add theirs by the
entry-point group `xlabel.formats`.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple, Protocol, TypeVar, cast

from xlabel.errors import InputError
from xlabel.formats.labels import Labels
from xlabel.images import Buffer
from xlabel.model import Dataset, Loss

T = TypeVar("T")


class Row(NamedTuple):
    """Where a format's module is, and the endings of its files: a tree without any is not shown to it."""

    module: str
    suffixes: tuple[str, ...] = ()


FORMATS = {
    "coco": Row("xlabel.formats.coco", (".json",)),
    "yolo": Row("xlabel.formats.yolo", (".txt",)),
    "voc": Row("xlabel.formats.voc", (".xml",)),
    "labelme": Row("xlabel.formats.labelme", (".json",)),
    "csv": Row("xlabel.formats.csv", (".csv", ".tsv")),
    "json": Row("xlabel.formats.native", (".json",)),
    "parquet": Row("xlabel.formats.parquet", (".parquet",)),
}
INSIDE = {"embedded": Row("xlabel.formats.embedded")}
"""The format of labels inside the images, which is asked where there are no label files."""


class Tree(Hashable, Protocol):
    """The files below a root, by posix path; a single file is a tree of one."""

    root: str
    """What a person calls it, for messages: the path as it was given."""

    @property
    def files(self) -> Sequence[str]:
        """Paths below the root of the files that are no images, sorted by their UTF-8 bytes."""

    def read(self, path: str) -> bytes:
        """A whole file; FileNotFoundError where there is none, InputError where it cannot be read."""

    @property
    def pictures(self) -> Sequence[str]:
        """Paths below the root of the images, sorted by their UTF-8 bytes."""

    def look(self, path: str, read: Callable[[Buffer], T]) -> T:
        """What `read` makes of an image's beginning, or of all of it where it raises ShortError.

        FileNotFoundError where there is none, InputError where it cannot be read.
        """


class Format(Protocol):
    """What a format's module offers."""

    NAME: str
    TITLE: str
    IMAGES: str
    """Folder in which the format's readers look for the images; empty for beside the label files."""
    VARIANTS: tuple[str, ...]
    """Narrower names that leave nothing to find out: `yolo-obb`. `--from` and `--to` take these too."""
    HOLDS: frozenset[str]
    """The fields of `xlabel.formats.losses.FIELDS` that survive being written in this format."""

    def sniff(self, tree: Tree) -> str | None:
        """Why the tree looks like this format ("312 .txt files of numbers, data.yaml"), or None.

        Looks at names and at a handful of files, never at all of them.
        """

    def read(self, tree: Tree, variant: str | None = None) -> Labels:
        """The labels of a tree. InputError names both readings where the content leaves two."""

    def write(self, dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Files (path below the target, chunks of bytes) that hold the data set.

        Where the dataset's origin is this format, layout and text of what is unchanged are the source's.
        """

    def losses(self, dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
        """What `write` would leave out."""


def table() -> dict[str, Row]:
    """Names of all formats, ours first, with their modules."""
    return FORMATS | INSIDE | _others()


@cache
def _others() -> dict[str, Row]:
    from importlib.metadata import entry_points

    return {point.name: Row(point.value) for point in entry_points(group="xlabel.formats")}


def split_name(name: str) -> tuple[str, str | None]:
    """A format's name and its variant: ("yolo", "yolo-obb") of "yolo-obb", ("coco", None) of "coco".

    Raises InputError that lists the known names.
    """
    base = name if name in FORMATS or name in table() else name.split("-")[0]
    if base in FORMATS or base in table():
        if base == name:
            return base, None
        if name in get(base).VARIANTS:
            return base, name
    known = [n for base in table() for n in (base, *get(base).VARIANTS)]
    raise InputError(f"expected a format out of {', '.join(known)}, got {name!r}")


def get(name: str) -> Format:
    """The module of a format by its name without variant."""
    row = FORMATS.get(name) or table()[name]
    return cast(Format, import_module(row.module))


def detect(tree: Tree) -> str | None:
    """The one format that a tree looks like, or None; InputError names all where there are several.

    Formats of other packages are asked where none of ours fits: looking for them takes time.
    """
    endings = {path[path.rfind(".") :].lower() for path in tree.files}
    found = (
        _fitting(FORMATS, tree, endings)
        or _fitting(_others(), tree, endings)
        or _fitting(INSIDE, tree, endings)
    )
    if len(found) > 1:
        readings = "; ".join(f"{name} ({why})" for name, why in found.items())
        raise InputError(f"{tree.root}: labels in more than one format: {readings}. Say which with --from")
    return next(iter(found), None)


def _fitting(rows: dict[str, Row], tree: Tree, endings: set[str]) -> dict[str, str]:
    """Why a tree looks like each of some formats."""
    asked = [name for name, row in rows.items() if not row.suffixes or endings.intersection(row.suffixes)]
    return {name: why for name in asked if (why := get(name).sniff(tree))}


def open_labels(tree: Tree, name: str | None = None) -> Labels | None:
    """The labels of a tree in the format `name`, or in the one found out; None where there are none."""
    if name is None:
        name = detect(tree)
        return get(name).read(tree) if name else None
    base, variant = split_name(name)
    return get(base).read(tree, variant)
