"""Parquet: a row an image, its annotations a list of structs, for duckdb, pandas, polars and `datasets`.

Apache Parquet format 2.6; the columns are those of `SCHEMA` in `parquet_writing`. What stands behind the
annotations in an annotation file (categories, info, where the labels came from) is in the metadata.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.formats import unified_writing
from xlabel.formats.category_ids import Categories
from xlabel.formats.labels import DocumentLabels, Ref, peek, settle
from xlabel.formats.losses import FIELDS
from xlabel.formats.names import spread
from xlabel.formats.pairing import has_ending, match_names
from xlabel.formats.unified_reading import Described
from xlabel.formats.untrusted import is_inside
from xlabel.model import Dataset, Image, Loss, Problem, Sample
from xlabel.model.dataset import Origin
from xlabel.model.manifest import VERSION

if TYPE_CHECKING:
    from xlabel.formats import Tree
    from xlabel.formats.parquet_reading import Rows

NAME = "parquet"
TITLE = "Parquet, a row an image"
IMAGES = "images"
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(FIELDS)

FILE = "labels.parquet"
MAGIC = b"PAR1"
_LOOKED_AT = 12


class ParquetLabels(DocumentLabels):
    """The labels of one file, which are read when they are asked for."""

    def __init__(self, where: str, rows: "Rows", origin: Origin, problems: list[Problem]) -> None:
        top = rows.top
        super().__init__(where, cast(list[Sample], rows), top.categories, origin, top.extra, problems)
        self._rows = rows

    def bind(self, keys: Sequence[str]) -> None:
        names = [*self._rows.names, *(sample.image.key for sample in self._rows.top.unmatched)]
        self._refs, problems = match_names(names, keys, self.where)
        self.problems += problems
        groups = [self._rows.group(ref) for ref in map(self._refs.get, keys) if ref is not None]
        self._rows.everything = any(after < before for before, after in pairwise(groups))

    def load(self, ref: Ref, image: Image) -> Sample | None:
        sample = self.samples[int(ref)]
        stated = sample.image
        before = replace(sample, image=replace(stated, key=sample.named)) if sample.named else sample
        settled = settle(before, image, f"{self.where}: {stated.key}", self.problems)
        if sample.drawn is not None and settled.drawn != sample.drawn:
            settled = replace(settled, drawn=sample.drawn)
        return settled


def sniff(tree: "Tree") -> str | None:
    """Which file has the columns; the ends of a dozen are looked at, without a library."""
    return next((f"{path} with file_name and annotations" for path in _ours(tree)), None)


def read(tree: "Tree", variant: str | None = None) -> ParquetLabels:
    """The labels of the one file in the tree; rows that cannot be read are problems when they are asked for.

    Raises InputError where there is no such file, or where there are several; MissingExtraError without
    pyarrow.
    """
    paths = list(islice(_ours(tree), 2))
    if len(paths) != 1:
        several = f"found {paths[0]} and {paths[1]}; name one" if paths else "found none; is it damaged?"
        raise InputError(
            f"{tree.root}: expected one Parquet file with the columns file_name and annotations, {several}"
        )
    from xlabel.formats.parquet_reading import Rows

    where = f"{tree.root}/{paths[0]}"
    problems: list[Problem] = []
    rows = Rows(tree.read(paths[0]), where, problems)
    problems += rows.top.problems
    origin = rows.top.origin or Origin(format=NAME, extra={"path": paths[0]})
    return ParquetLabels(where, rows, origin, problems)


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """One file, written as the samples are read."""
    origin = dataset.origin if dataset.origin is not None and dataset.origin.format != NAME else None
    notes = dataset.origin.extra if dataset.origin is not None and origin is None else None
    path = (notes or {}).get("path")
    yield path if isinstance(path, str) and is_inside(path) else FILE, _chunks(dataset, origin)


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    """Nothing but ids of categories that two of them have."""
    known = Categories(dataset.categories)
    if known.renumbered:
        yield Loss("the data set", "id", known.renumbered)


def metadata(tail: bytes) -> bytes:
    """The metadata of a file that has the labels of an annotation file, whose `tail` this is."""
    return b"{" + tail.lstrip(b"\n],")


def _chunks(dataset: Dataset, origin: Origin | None) -> Iterator[bytes]:
    from xlabel.formats.parquet_writing import chunks

    known = Categories(dataset.categories)

    def head() -> bytes:
        for category in dataset.categories:  # those that only came to be known while samples were read
            known.of(category)
        section = {"version": VERSION} | ({"origin": origin} if origin is not None else {})
        return metadata(unified_writing.tail(list(known.all.values()), dataset.extra, section))

    described = (Described(sample, None, {}, None, []) for sample in dataset.samples)
    yield from chunks(described, known, head)


def _ours(tree: "Tree") -> Iterator[str]:
    """Paths of files of this format, of those that are looked at."""
    _, paths = spread(tree.files, lambda path: has_ending(path, (".parquet",)), _LOOKED_AT)
    for path in paths:
        data = peek(tree, path)
        if len(data) < 12 or data[-4:] != MAGIC:
            continue
        footer = memoryview(data)[-8 - min(int.from_bytes(data[-8:-4], "little"), len(data) - 8) :].tobytes()
        if b"file_name" in footer and b"annotations" in footer:
            yield path
