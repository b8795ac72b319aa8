"""Samples as the rows of a Parquet file, written a row group at a time. docs/formats.md, "Parquet"."""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

import msgspec

from xlabel.errors import extra
from xlabel.formats.category_ids import Categories
from xlabel.formats.parquet_numbers import doubles, is_small, shape_numbers, spelled
from xlabel.formats.unified_reading import Described
from xlabel.model import RLE, Annotation, Shape
from xlabel.model.document import FINGERPRINTS

with extra("parquet", "Parquet files"):
    import pyarrow as pa
    import pyarrow.parquet as pq

IMAGES = 8192
LABELS = 16384
TEXT = 32 << 20
"""A row group ends where it has so many images, labels, or characters of JSON."""
KEY = "xlabel"
"""Of the metadata: what an annotation file says behind its annotations, as a JSON object."""

_NUMBERS = pa.list_(pa.float64())
LABEL = pa.struct(
    {
        "id": pa.int64(),
        "category_id": pa.int64(),
        "category": pa.string(),
        "bbox": _NUMBERS,
        "area": pa.float64(),
        "iscrowd": pa.bool_(),
        "segmentation": pa.list_(_NUMBERS),
        "mask": pa.struct(
            {"size": pa.list_(pa.int64()), "counts": pa.string(), "runs": pa.list_(pa.int64())}
        ),
        "keypoints": _NUMBERS,
        "shape": pa.struct({"kind": pa.string(), "numbers": _NUMBERS}),
        "score": pa.float64(),
        "status": pa.string(),
        "caption": pa.string(),
        "attributes": pa.string(),
        "author": pa.string(),
        "time": pa.string(),
        "source": pa.string(),
        "extra": pa.string(),
        "decimal": pa.string(),
        "more": pa.string(),
    }
)
SCHEMA = pa.schema(
    {
        "file_name": pa.string(),
        "width": pa.int64(),
        "height": pa.int64(),
        "orientation": pa.int64(),
        "id": pa.int64(),
        "split": pa.string(),
        "frame_index": pa.int64(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "sha256": pa.string(),
        "mime": pa.string(),
        "annotations": pa.list_(LABEL),
        "extra": pa.string(),
        "more": pa.string(),
    }
)
_FEW = ["split", "mime"] + [
    f"annotations.list.element.{name}" for name in ("category", "status", "author", "decimal", "shape.kind")
]
"""Columns of few different values, which are stored once each."""
_WIDEST = 1 << 63
_encode = msgspec.json.Encoder().encode


def chunks(
    described: Iterable[Described], categories: Categories, head: Callable[[], bytes]
) -> Iterator[bytes]:
    """The bytes of a file, a row group at a time; `head` is asked for the metadata when all is written."""
    out = _Out()
    with pq.ParquetWriter(
        out, SCHEMA, compression="zstd", use_dictionary=_FEW, store_schema=False, write_page_checksum=True
    ) as writer:
        for group in _groups(described, categories):
            writer.write_table(group, row_group_size=IMAGES)
            yield out.taken()
        writer.add_key_value_metadata({KEY: head()})
    yield out.taken()


class _Out:
    """A file whose bytes are taken away as they come."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def flush(self) -> None:
        """There is nothing behind it."""

    def taken(self) -> bytes:
        """What was written since this was last asked."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _groups(described: Iterable[Described], categories: Categories) -> Iterator[Any]:
    images: list[tuple[Any, ...]] = []
    counts = [0]
    labels: list[tuple[Any, ...]] = []
    text = 0
    for one in described:
        image = _image(one)
        images.append(image)
        text += len(image[-1] or "") + len(image[-2] or "")
        for annotation in one.sample.annotations:
            label = _label(annotation, categories)
            labels.append(label)
            text += len(label[-1] or "") + len(label[-3] or "")
        counts.append(len(one.sample.annotations))
        if len(images) >= IMAGES or len(labels) >= LABELS or text >= TEXT:
            yield _table(images, counts, labels)
            images, counts, labels, text = [], [0], [], 0
    if images:
        yield _table(images, counts, labels)


def _table(images: list[tuple[Any, ...]], counts: list[int], labels: list[tuple[Any, ...]]) -> Any:
    fields = list(LABEL)
    columns = zip(*labels, strict=True) if labels else ((),) * len(fields)
    inside = pa.StructArray.from_arrays(
        [_array(column, field.type) for column, field in zip(columns, fields, strict=True)], fields=fields
    )
    lists = pa.ListArray.from_arrays(pa.array(list(accumulate(counts)), pa.int32()), inside)
    arrays = [_array(column, kind) for column, kind in zip(zip(*images, strict=True), _BARE, strict=True)]
    at = SCHEMA.get_field_index("annotations")
    return pa.Table.from_arrays([*arrays[:at], lists, *arrays[at:]], schema=SCHEMA)


_BARE = [field.type for field in SCHEMA if field.name != "annotations"]


def _array(column: tuple[Any, ...], kind: Any) -> Any:
    return (
        pa.array(column, kind) if any(value is not None for value in column) else pa.nulls(len(column), kind)
    )


def _image(one: Described) -> tuple[Any, ...]:
    """The row of an image, all but its annotations."""
    sample, frame = one.sample, one.frame
    image = sample.image
    more: dict[str, Any] = {}
    place: tuple[Any, ...] = (None,) * 5
    if frame is not None:
        place = (frame.index, frame.offset, frame.size, frame.sha256, frame.mime)
        more = {
            name: value
            for name in ("placeholder", "name_bytes", "psnr", "original")
            if (value := getattr(frame, name))
        }
    more |= {name: one.prints[name] for name in FINGERPRINTS if name in one.prints}
    if one.seen is not None:
        more["file"] = one.seen
    for name in ("drawn", "named", "origin"):
        value = getattr(sample, name)
        if value is not None:
            more[name] = value
    width = _integer(image.width, "width", more)
    height = _integer(image.height, "height", more)
    identity = _integer(image.id, "id", more)
    return (
        image.key,
        width,
        height,
        image.orientation,
        identity,
        sample.split,
        *place,
        _text(image.extra),
        _text(more or None),
    )


def _label(annotation: Annotation, categories: Categories) -> tuple[Any, ...]:
    """An annotation, in the order of the fields of `LABEL`."""
    category = None if annotation.category is None else categories.of(annotation.category)
    decimal, more = spelled(annotation)
    polygons, shape = annotation.polygons, annotation.shape
    keypoints: Any = annotation.keypoints
    bbox: Any = annotation.bbox
    area, score = annotation.area, annotation.score
    if more:  # else there is nothing that a double does not hold
        polygons = polygons if polygons is None or all(map(doubles, polygons)) else None
        keypoints, bbox = keypoints and doubles(keypoints), bbox and doubles(bbox)
        area, score = (number if number is None or is_small(number) else None for number in (area, score))
    if annotation.origin is not None:
        more["origin"] = annotation.origin
    return (
        _integer(annotation.id, "id", more),
        None if category is None else _integer(category.id, "category_id", more),
        None if category is None else category.name,
        bbox,
        area,
        annotation.crowd,
        polygons,
        None if annotation.mask is None else _mask(annotation.mask, more),
        keypoints,
        None if shape is None else _shape(shape),
        score,
        annotation.status,
        annotation.caption,
        _text(annotation.attributes),
        annotation.author,
        annotation.time,
        _text(annotation.source),
        _text(annotation.extra),
        decimal,
        _text(more or None),
    )


def _integer(value: Any, name: str, more: dict[str, Any]) -> int | None:
    """A value for a column of integers; any other goes to `more`."""
    if value is None or (type(value) is int and -_WIDEST <= value < _WIDEST):
        return value
    more[name] = value
    return None


def _mask(mask: RLE, more: dict[str, Any]) -> dict[str, Any] | None:
    text = isinstance(mask.counts, str)
    if max(map(abs, (*mask.size, *(() if text else mask.counts)))) >= _WIDEST:
        more["mask"] = mask
        return None
    return {
        "size": mask.size,
        "counts": mask.counts if text else None,
        "runs": None if text else mask.counts,
    }


def _shape(shape: Shape) -> dict[str, Any]:
    return {"kind": shape.__struct_config__.tag, "numbers": doubles(shape_numbers(shape))}


def _text(value: Any) -> str | None:
    """A value as JSON."""
    return None if value is None else _encode(value).decode()
