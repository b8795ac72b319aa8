"""The project's own JSON: one file, in it for each image the document that would be stored in the image.

It holds all that the model holds. `{"xlabel": 1, "images": [...], "categories": [...]}`; a record is a
document of `xlabel.model.document` with the image's `file_name`, its categories being those of the file.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.formats.category_ids import Categories
from xlabel.formats.labels import DocumentLabels
from xlabel.formats.losses import FIELDS
from xlabel.formats.names import spread
from xlabel.formats.pairing import has_ending
from xlabel.formats.untrusted import is_deep, is_inside
from xlabel.model import Annotation, Category, Dataset, Loss, Problem, Sample
from xlabel.model import document as documents
from xlabel.model.dataset import Origin
from xlabel.model.document import Document

if TYPE_CHECKING:
    from xlabel.formats import Tree

NAME = "json"
TITLE = "JSON of xlabel's own: the documents that are stored in images, in one file"
IMAGES = "images"
VARIANTS: tuple[str, ...] = ()
HOLDS = frozenset(FIELDS)

VERSION = 1
FILE = "labels.json"
_LOOKED_AT = 12
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FIELDS = ("xlabel", "images", "categories", "extra")


class Record(Document, frozen=True, omit_defaults=True, kw_only=True):
    """An image's document in a file of many."""

    file_name: str


def sniff(tree: "Tree") -> str | None:
    """Which file is such a one; looks into a dozen JSON files at most."""
    found = next(_ours(tree), None)
    return found and f"{found} with xlabel's documents"


def read(tree: "Tree", variant: str | None = None) -> DocumentLabels:
    """The labels of the one file in the tree; records that cannot be read are problems.

    Raises InputError where there is no such file, or where there are several.
    """
    paths = list(islice(_ours(tree), 2))
    if len(paths) != 1:
        several = f"found {paths[0]} and {paths[1]}; name one" if paths else "found none; is it damaged?"
        raise InputError(f"{tree.root}: expected one JSON file with xlabel's documents, {several}")
    where = f"{tree.root}/{paths[0]}"
    try:
        top = _top(tree.read(paths[0]))
        version = msgspec.json.decode(top["xlabel"], type=int)
        categories = msgspec.json.decode(top.get("categories", b"[]"), type=list[Category])
        records = msgspec.json.decode(top["images"], type=list[Raw])
        extra = msgspec.json.decode(top["extra"], type=dict[str, Any]) if "extra" in top else None
        others = {key: msgspec.json.decode(raw) for key, raw in top.items() if key not in _FIELDS}
    except _BAD as error:
        raise InputError(f"{where}: {error}; correct it, or make it again") from None
    if version > VERSION:
        raise InputError(f"{where}: of version {version}, this xlabel reads up to {VERSION}; update it")
    by_id = {category.id: category for category in categories}
    samples: list[Sample] = []
    problems: list[Problem] = []
    for number, raw in enumerate(records):
        try:
            samples.append(_sample(raw, by_id))
        except (ValueError, *_BAD) as error:
            message = f"record {number:,} of images: {error}; left out, correct it"
            problems.append(Problem(where, "bad-record", message))
    origin = Origin(format=NAME, extra={"path": paths[0]} | ({"fields": others} if others else {}))
    return DocumentLabels(where, samples, categories, origin, extra, problems)


def write(dataset: Dataset, variant: str | None = None) -> Iterator[tuple[str, Iterable[bytes]]]:
    """One file, a line an image. It is written as the samples are read."""
    notes = dataset.origin.extra if dataset.origin and dataset.origin.format == NAME else None
    path, fields = (notes or {}).get("path"), (notes or {}).get("fields")
    yield (
        path if isinstance(path, str) and is_inside(path) else FILE,
        _text(dataset, fields if isinstance(fields, dict) else {}),
    )


def losses(dataset: Dataset, variant: str | None = None) -> Iterator[Loss]:
    """Nothing but ids of categories that two of them have."""
    known = Categories(dataset.categories)
    if known.renumbered:
        yield Loss("the data set", "id", known.renumbered)


def _ours(tree: "Tree") -> Iterator[str]:
    """Paths of files of this format, of those that are looked at."""
    likely = [path for path in tree.files if path.rpartition("/")[2] == FILE][:_LOOKED_AT]
    _, others = spread(
        tree.files,
        lambda path: has_ending(path, (".json",)) and path not in likely,
        _LOOKED_AT - len(likely),
    )
    for path in (*likely, *others):
        try:
            if b'"xlabel"' in (data := tree.read(path)):
                top = _top(data)
                version = msgspec.json.decode(top["xlabel"])
                if top["images"] and "annotations" not in top and type(version) is int:
                    yield path
        except (FileNotFoundError, InputError, LookupError, *_BAD):
            continue


def _top(data: bytes) -> dict[str, Raw]:
    return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=dict[str, Raw])


_decode = msgspec.json.Decoder(Record).decode


def _sample(raw: Raw, categories: dict[int, Category]) -> Sample:
    """The sample of a record; its origin is what the model has no place for."""
    record = _decode(raw)
    if not record.file_name:
        raise ValueError("expected a file_name, got an empty one")
    used = {label.category for label in record.annotations} - {None}
    unknown = used - categories.keys()
    if unknown:
        raise ValueError(f"expected categories of the file, got {unknown.pop()}")
    held = replace(record, categories=tuple(categories[number] for number in used if number is not None))
    sample = documents.sample(held, record.file_name)
    origin: dict[str, Any] = {**documents.fingerprints(record)}
    sample = replace(sample, origin=origin)
    canonical = _record(sample, sample.annotations, record.file_name)
    if canonical != bytes(raw):
        found = msgspec.json.decode(raw)
        if is_deep(found):
            raise ValueError("expected a record, got one nested deeper than 64 levels")
        if found != msgspec.json.decode(canonical):
            sample = replace(sample, origin=origin | {"record": found})
    return sample


def _text(dataset: Dataset, fields: dict[str, Any]) -> Iterator[bytes]:
    known = Categories(dataset.categories)
    again = dataset.origin is not None and dataset.origin.format == NAME
    before = b'{"xlabel":%d,\n"images":[\n' % VERSION
    for sample in dataset.samples:
        annotations = known.on(sample.annotations)
        name = sample.named if again and sample.named is not None else sample.image.key
        canonical = _record(sample, annotations, name)
        yield before + (_as_it_was(sample, canonical) if again else canonical)
        before = b",\n"
    parts = [b"\n]" if before == b",\n" else before + b"]"]
    listed = [_ascii(category) for category in known.all.values()]
    parts.append(b'"categories":[\n%b\n]' % b",\n".join(listed))
    if dataset.extra:
        parts.append(b'"extra":' + _ascii(dataset.extra))
    for key, value in fields.items():
        parts.append(b"%b:%b" % (_ascii(key), _ascii(value)))
    yield b",\n".join(parts) + b"}\n"


def _record(sample: Sample, annotations: tuple[Annotation, ...], name: str) -> bytes:
    known = sample.origin if isinstance(sample.origin, dict) else {}
    prints = {name: value for name in documents.FINGERPRINTS if isinstance(value := known.get(name), str)}
    picture = documents.picture_of(sample, prints)
    document = documents.document(replace(sample, annotations=annotations), picture)
    return _line(name, replace(document, categories=()))


def _line(name: str, document: Document) -> bytes:
    return b'{"file_name":%b,%b' % (_ascii(name), documents.encode(document)[1:])


def _as_it_was(sample: Sample, canonical: bytes) -> bytes:
    """The source's own record, while it says what the sample says."""
    record = sample.origin.get("record") if isinstance(sample.origin, dict) else None
    if record is None:
        return canonical
    try:
        said = msgspec.convert(record, Record)
    except (ValueError, RecursionError):
        return canonical
    document = Document(image=said.image, annotations=said.annotations)
    return _ascii(record) if _line(said.file_name, document) == canonical else canonical


def _ascii(value: object) -> bytes:
    return documents.to_ascii(msgspec.json.encode(value))
