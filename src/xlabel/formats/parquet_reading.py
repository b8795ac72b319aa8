"""The rows of a Parquet file as samples, read a row group at a time. docs/formats.md, "Parquet".

A file that another tool has written from one of ours is read too: columns may be missing or of narrower
types, and where the metadata is gone the rows name the categories.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from math import isfinite
from typing import Any, overload

import msgspec

from xlabel.errors import InputError, extra
from xlabel.formats.parquet_numbers import whole, whole_visibility
from xlabel.formats.parquet_writing import KEY, LABEL, SCHEMA
from xlabel.formats.unified_reading import Top, read_top
from xlabel.formats.untrusted import is_deep
from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Image,
    Number,
    OrientedBox,
    Points,
    Polyline,
    Problem,
    Sample,
    Shape,
    Source,
)

with extra("parquet", "Parquet files"):
    import pyarrow as pa
    import pyarrow.parquet as pq

_BAD = (ValueError, TypeError, KeyError, RecursionError)
_object = msgspec.json.Decoder(dict[str, Any]).decode
_TEXTS = ("status", "caption", "author", "time")


class Rows(Sequence[Sample]):
    """The samples of a file. The row group that was asked for last stays in memory."""

    def __init__(self, data: bytes, where: str, problems: list[Problem]) -> None:
        """Raises InputError where there is no such file, or none that has images and annotations."""
        self.where = where
        self.problems = problems
        with _told(where):
            self._file = pq.ParquetFile(
                pa.BufferReader(data), pre_buffer=False, page_checksum_verification=True
            )
            _check(self._file.schema_arrow, where)
            groups = self._file.metadata.num_row_groups
            self._firsts = [
                0,
                *accumulate(self._file.metadata.row_group(at).num_rows for at in range(groups)),
            ]
            names = self._texts("file_name")
            self._rows = [row for row, name in enumerate(names) if name]
            if len(self._rows) < len(names):
                missing = next(row for row, name in enumerate(names) if not name)
                message = "expected a file_name, found none; rows without one are left out, add it"
                problems.append(Problem(f"{where}: row {missing}", "no-file-name", message))
            self.top = self._head()
        self.names = [name for name in names if name]
        self.by_id = {category.id: category for category in reversed(self.top.categories)}
        self.everything = False
        """Whether all row groups stay in memory, for those who ask in another order."""
        self._read: dict[int, list[Sample]] = {}
        self._reported: set[int] = set()
        self._damaged: dict[int, str] = {}
        """Row groups that cannot be read, and why."""

    def __len__(self) -> int:
        return len(self._rows) + len(self.top.unmatched)

    def __iter__(self) -> Iterator[Sample]:
        return (self[at] for at in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        if index >= len(self._rows):
            return self.top.unmatched[index - len(self._rows)]
        row = self._rows[index]
        group = self.group(index)
        found = self._read.get(group)
        if found is None:
            if not self.everything:
                self._read.clear()
            found = self._read[group] = self._decoded(group)
        sample: Sample = found[row - self._firsts[group]]
        return sample

    def group(self, index: int) -> int:
        """The row group that a sample is in."""
        return bisect_right(self._firsts, self._rows[index]) - 1 if index < len(self._rows) else 0

    def _texts(self, column: str) -> list[str | None]:
        table = self._file.read(columns=[column], use_threads=False)
        found: list[str | None] = table.column(0).cast(pa.string()).to_pylist()
        return found

    def _head(self) -> Top:
        """What the file says of the whole; where it says nothing, the categories that its rows name."""
        text = (self._file.metadata.metadata or {}).get(KEY.encode())
        if text is not None:
            return read_top(text.removeprefix(b"{"), self.where)
        found: dict[int, Category] = {}
        unnumbered: dict[str, None] = {}
        columns = [f"annotations.list.element.{name}" for name in ("category_id", "category")]
        for at in range(len(self._firsts) - 1):
            table = self._file.read_row_group(at, columns=columns, use_threads=False)
            if table.num_columns:
                ids, names = (
                    _values(inner)
                    for inner in _children(table.column(0), ("category_id", "category"), LABEL).values()
                )
                for number, name in zip(ids, names, strict=True):
                    if number is not None:
                        found.setdefault(
                            number, Category(id=number, name=str(number) if name is None else name)
                        )
                    elif name is not None:
                        unnumbered[name] = None
        known = {category.name for category in found.values()}
        for name in unnumbered:
            if name not in known:
                number = max(found, default=0) + 1
                found[number] = Category(id=number, name=name)
        return Top(list(found.values()), {}, None, {}, [], None, [])

    def _decoded(self, group: int) -> list[Sample]:
        if group in self._damaged:
            raise InputError(self._damaged[group])
        try:
            with _told(self.where):
                return self._samples(group)
        except InputError as error:
            self._damaged[group] = str(error)
            raise
        finally:
            self._reported.add(group)

    def _samples(self, group: int) -> list[Sample]:
        table = self._file.read_row_group(group, use_threads=False)
        columns = {
            field.name: _values(_cast(table.column(field.name), field))
            for field in SCHEMA
            if field.name != "annotations" and field.name in table.column_names
        }
        lists = _joined(table.column("annotations"))
        ends = list(accumulate(_lengths(lists), initial=0))
        labels = self._labels(lists, group, columns["file_name"], ends)
        samples = []
        for row, (start, end) in enumerate(pairwise(ends)):
            said = {name: value for name, column in columns.items() if (value := column[row]) is not None}
            annotations = tuple(label for label in labels[start:end] if label is not None)
            try:
                samples.append(_sample(said, annotations))
            except _BAD as error:
                name = said.get("file_name") or ""
                self._problem(group, name, f"{error}; all but size and labels is left out, correct it")
                bare = {key: said[key] for key in ("width", "height") if key in said}
                samples.append(Sample(image=Image(key=name, **bare), annotations=annotations))
        return samples

    def _labels(self, lists: Any, group: int, names: list[Any], ends: list[int]) -> list[Annotation | None]:
        """The annotations of a row group, None for those that are left out."""
        columns = {
            name: values
            for name, column in _children(lists, [field.name for field in LABEL], LABEL).items()
            if column.null_count < len(column) and (values := _values(column)) is not None
        }
        by_name = {category.name: category for category in reversed(self.top.categories)}
        found: list[Annotation | None] = []
        for at in range(ends[-1]):
            said = {name: value for name, column in columns.items() if (value := column[at]) is not None}
            try:
                found.append(_annotation(said, self.by_id, by_name))
            except _BAD as error:
                row = bisect_right(ends, at) - 1
                message = f"label {at - ends[row]}: {error}; left out, correct it"
                self._problem(group, names[row] or "", message)
                found.append(None)
        return found

    def _problem(self, group: int, name: str, message: str) -> None:
        if group not in self._reported:
            self.problems.append(Problem(f"{self.where}: {name}", "bad-row", message))


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except TypeError as error:
        raise InputError(f"{where}: {error}; is it another table?") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, KeyError) as error:
        message = str(error).partition("\n")[0][:300]
        raise InputError(f"{where}: no Parquet file, or a damaged one: {message}; make it again") from None


def _check(schema: Any, where: str) -> None:
    """InputError where a file does not have the columns that make it one of labels."""
    kinds = {field.name: field.type for field in schema}
    inside = getattr(kinds.get("annotations"), "value_type", None)
    if "file_name" not in kinds or inside is None or not pa.types.is_struct(inside):
        found = ", ".join(sorted(kinds))[:200] or "none"
        raise InputError(
            f"{where}: expected the columns file_name and annotations, a list of structs, found {found}; "
            "is it another table?"
        )


def _cast(column: Any, field: Any) -> Any:
    try:
        return _joined(column).cast(field.type)
    except pa.ArrowException as error:
        raise TypeError(f"column {field.name}: expected {field.type}, {error}") from None


def _joined(column: Any) -> Any:
    """A column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [pa.nulls(0, column.type)])
    )


def _children(column: Any, names: Sequence[str], fields: Any) -> dict[str, Any]:
    """The columns of a list of structs, those of `names` that it has, one value an element."""
    inside = _joined(column).flatten()
    has = {field.name: at for at, field in enumerate(inside.type)}
    flat = inside.flatten()
    return {
        name: _cast(flat[has[name]], fields.field(name))
        if name in has
        else pa.nulls(len(inside), fields.field(name).type)
        for name in names
    }


def _lengths(lists: Any) -> list[int]:
    import pyarrow.compute as pc

    return [length or 0 for length in pc.list_value_length(lists).to_pylist()]


def _values(column: Any) -> list[Any]:
    """The values of an array; lists are tuples."""
    kind = column.type
    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_list(kind):
        inner = _values(column.values)
        edges = column.offsets.to_numpy().tolist()
        found: list[Any] = [tuple(inner[start:end]) for start, end in pairwise(edges)]
        if column.null_count:
            there = column.is_valid().to_numpy(zero_copy_only=False).tolist()
            found = [value if is_there else None for value, is_there in zip(found, there, strict=True)]
        return found
    if column.null_count == 0 and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        values: list[Any] = column.to_numpy().tolist()
        return values
    found = column.to_pylist()
    return found


def _sample(said: dict[str, Any], annotations: tuple[Annotation, ...]) -> Sample:
    more = _decoded(said, "more") or {}
    orientation = said.get("orientation", 1)
    if not 1 <= orientation <= 8:
        raise ValueError(f"expected an orientation from 1 to 8, got {orientation}")
    drawn, named = more.get("drawn"), more.get("named")
    image = Image(
        key=said["file_name"],
        width=said.get("width", more.get("width")),
        height=said.get("height", more.get("height")),
        orientation=orientation,
        id=said.get("id", more.get("id")),
        extra=_decoded(said, "extra"),
    )
    for value, kinds in ((image.width, int), (image.height, int), (image.id, (int, str)), (named, str)):
        if value is not None and not isinstance(value, kinds):
            raise ValueError(f"more: got {value!r:.60}")
    return Sample(
        image=image,
        annotations=annotations,
        split=said.get("split"),
        drawn=None if drawn is None else msgspec.convert(drawn, tuple[int, int]),
        named=named,
        origin=more.get("origin"),
    )


def _annotation(said: dict[str, Any], by_id: dict[int, Category], by_name: dict[str, Category]) -> Annotation:
    more = _decoded(said, "more") or {}
    decimal = said.get("decimal", "").split()
    given: dict[str, Any] = {}
    number, name = said.get("category_id", more.get("category_id")), said.get("category")
    if number is not None or name is not None:
        category = by_id.get(number) if number is not None else by_name.get(name or "")
        if category is None:
            raise ValueError(
                f"expected a category of the file, got {name if number is None else number!r:.60}"
            )
        given["category"] = category
    identity = said.get("id", more.get("id"))
    if identity is not None:
        if not isinstance(identity, int | str):
            raise ValueError(f"expected a number or a text as id, got {identity!r:.60}")
        given["id"] = identity
    if said.get("iscrowd"):
        given["crowd"] = True
    for field in ("area", "score"):
        if field in said or field in more:
            (given[field],) = _numbers(said, more, decimal, field, 1)
    if "bbox" in said or "bbox" in more:
        given["bbox"] = _numbers(said, more, decimal, "bbox", 4)
    if "keypoints" in said or "keypoints" in more:
        given["keypoints"] = _numbers(said, more, decimal, "keypoints", None, 3)
    if "segmentation" in said or "segmentation" in more:
        given["polygons"] = _polygons(said, more, decimal)
    if "shape" in said:
        given["shape"] = _shape(said, more, decimal)
    if "mask" in said or "mask" in more:
        given["mask"] = _mask(said.get("mask") or more["mask"])
    for field in _TEXTS:
        if field in said:
            given[field] = said[field]
    for field in ("attributes", "extra"):
        if field in said:
            given[field] = _decoded(said, field)
    if "source" in said:
        given["source"] = msgspec.json.decode(said["source"], type=Source)
    if "origin" in more:
        given["origin"] = more["origin"]
    return Annotation(**given)


def _numbers(
    said: dict[str, Any],
    more: dict[str, Any],
    decimal: Sequence[str],
    field: str,
    count: int | None = None,
    step: int = 1,
) -> tuple[Number, ...]:
    """The numbers of a field, `count` of them or a multiple of `step`, as they were written."""
    values: Any = said.get(field)
    values = (values,) if isinstance(values, float) else values
    exact: Any = None
    if field in more:
        exact = msgspec.convert(more[field] if count != 1 else [more[field]], tuple[Number, ...])
        if values is not None and values != exact:
            exact = None
    found: Any = values if exact is None else exact
    if (count is not None and len(found) != count) or len(found) % step:
        raise ValueError(f"{field}: expected {count or f'a multiple of {step}'} numbers, got {len(found)}")
    return found if found is exact else _spelled(found, field in decimal, field)


def _spelled(values: tuple[Any, ...], decimal: bool, field: str) -> tuple[Number, ...]:
    if not all(map(isfinite, values)):
        raise ValueError(f"{field}: expected numbers, got {next(v for v in values if not isfinite(v))}")
    if decimal:
        return whole_visibility(values) if field == "keypoints" else values
    return whole(values)


def _polygons(said: dict[str, Any], more: dict[str, Any], decimal: Sequence[str]) -> tuple[Any, ...]:
    parts = said.get("segmentation")
    if "segmentation" in more:
        exact = msgspec.convert(more["segmentation"], tuple[tuple[Number, ...], ...])
        if parts is None or parts == exact:
            return exact
    if parts is None or any(part is None or len(part) % 2 for part in parts):
        raise ValueError("segmentation: expected lists of x and y in turn")
    return tuple(_spelled(part, "segmentation" in decimal, "segmentation") for part in parts)


def _shape(said: dict[str, Any], more: dict[str, Any], decimal: Sequence[str]) -> Shape:
    shape = said["shape"]
    kind = shape["kind"]
    numbers = _numbers({"shape": shape["numbers"] and tuple(shape["numbers"])}, more, decimal, "shape")
    if kind == "circle" and len(numbers) == 3:
        return Circle(*numbers)
    if kind == "oriented_box" and len(numbers) == 8:
        return OrientedBox(numbers)
    if kind in ("polyline", "points") and len(numbers) % 2 == 0:
        return Polyline(numbers) if kind == "polyline" else Points(numbers)
    raise ValueError(f"shape: expected a kind and its numbers, got {kind!r:.60} and {len(numbers)} numbers")


def _mask(said: dict[str, Any]) -> RLE:
    counts = said.get("counts")
    return msgspec.convert(
        {"size": said.get("size"), "counts": said.get("runs") if counts is None else counts}, RLE
    )


def _decoded(said: dict[str, Any], field: str) -> dict[str, Any] | None:
    """The object in a column of JSON."""
    text = said.get(field)
    if text is None:
        return None
    found = _object(text)
    if is_deep(found):
        raise ValueError(f"{field}: expected JSON, got some that is nested deeper than 64 levels")
    return found
