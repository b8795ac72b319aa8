"""What every label format has to keep to; they are found by the table, so that a new one is tested too."""

import random
import time
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from tests.strategies import datasets
from tests.trees import Memory

from xlabel import formats
from xlabel.errors import InputError
from xlabel.formats import Format
from xlabel.formats.losses import FIELDS, RECORDS, annotation_fields
from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Dataset,
    Image,
    Problem,
    Sample,
)
from xlabel.model.geometry import bbox_of, rle_counts

NAMES = list(formats.FORMATS)
VARIANTS = [(name, None) for name in NAMES] + [
    (name, variant) for name in NAMES for variant in formats.get(name).VARIANTS
]

CAT = Category(id=3, name="cat")
DOG = Category(id=7, name="guide dog", supercategory="animal")
SMALL = Dataset(
    samples=[
        Sample(
            image=Image(key="park/a.jpg", width=64, height=48),
            annotations=(
                Annotation(category=CAT, bbox=(4, 8, 16, 12)),
                Annotation(category=DOG, bbox=(10.5, 3.25, 20, 30.5), score=0.5, attributes={"wet": True}),
            ),
            split="train",
        ),
        Sample(image=Image(key="park/b.jpg", width=32, height=32), split="train"),
        Sample(
            image=Image(key="pond/c.jpg", width=100, height=80),
            annotations=(
                Annotation(category=CAT, bbox=(1, 2, 30, 40), polygons=((1, 2, 31, 2, 31, 42),)),
                Annotation(category=DOG, bbox=(0, 0, 9, 9), mask=RLE((80, 100), (5, 7995))),
                Annotation(category=DOG, shape=Circle(20, 20, 5)),
                Annotation(category=CAT),
            ),
            split="val",
        ),
    ],
    categories=[CAT, DOG],
    extra={"info": {"year": 2026}},
)
BOXES = Dataset(
    samples=[
        msgspec.structs.replace(
            sample,
            annotations=tuple(
                Annotation(category=a.category, bbox=a.bbox) for a in sample.annotations if a.bbox
            ),
            split=None,
        )
        for sample in SMALL.samples
    ],
    categories=[CAT, Category(id=7, name="guide dog")],
)


def written(module: Format, dataset: Dataset, variant: str | None = None) -> dict[str, bytes]:
    """The files of a data set."""
    return {path: b"".join(chunks) for path, chunks in module.write(dataset, variant)}


def read(
    module: Format, files: dict[str, bytes], images: list[Image], variant: str | None = None
) -> tuple[Dataset, list[Problem]]:
    """The labels in files, for these images, in the way that a job asks for them."""
    labels = module.read(Memory(files), variant)
    labels.bind(sorted((image.key for image in images), key=str.encode))
    samples = []
    for image in images:
        ref = labels.find(image.key)
        sample = labels.load(ref, image) if ref is not None else None
        samples.append(sample or Sample(image=image))
    found = Dataset(samples=samples, categories=labels.categories, extra=labels.extra, origin=labels.origin)
    return found, labels.problems


def images_of(dataset: Dataset) -> list[Image]:
    return [Image(key=s.image.key, width=s.image.width, height=s.image.height) for s in dataset.samples]


def again(dataset: Dataset) -> Dataset:
    """A data set that has travelled as JSON."""
    return msgspec.json.decode(msgspec.json.encode(dataset), type=Dataset)


def lost_fields(module: Format, dataset: Dataset, variant: str | None) -> dict[str, set[str]]:
    lost: dict[str, set[str]] = {}
    for loss in module.losses(dataset, variant):
        assert loss.field in FIELDS
        assert loss.count >= 1
        lost.setdefault(loss.where, set()).add(loss.field)
    return lost


GEOMETRY = {
    "bbox": "bbox",
    "polygons": "polygons",
    "polygon parts": "polygons",
    "mask": "mask",
    "keypoints": "keypoints",
    "oriented_box": "shape",
    "polyline": "shape",
    "points": "shape",
    "circle": "shape",
}
FIELD_OF = GEOMETRY | {
    name: name for name in ("crowd", "score", "status", "caption", "attributes", "extra", "id", "area")
}


def mapping(annotation: Annotation, lost: set[str]) -> dict[str, Any]:
    """What has to survive of an annotation."""
    gone = {FIELD_OF.get(field) for field in annotation_fields(annotation) if field in lost}
    kept = {field: getattr(annotation, field) for field in set(FIELD_OF.values()) - gone}
    if "author" not in lost:
        kept |= {field: getattr(annotation, field) for field in ("author", "time", "source")}
    if "no category" not in lost or annotation.category is not None:
        kept["category"] = annotation.category.name if annotation.category is not None else None
    return {field: value for field, value in kept.items() if value is not None and value is not False}


def may_go(annotation: Annotation, lost: set[str]) -> bool:
    """Whether nothing of an annotation can be held, by the losses that are listed."""
    fields = set(annotation_fields(annotation))
    if fields & lost & {"image labels", "no category"}:
        return True
    geometry = fields & GEOMETRY.keys()
    if annotation.caption is not None and not geometry:
        return "caption" in lost
    return bool(geometry) and geometry <= lost


def same(a: Any, b: Any) -> bool:
    """Equal, with numbers to a millionth."""
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool):
        return abs(a - b) <= 1e-6
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, RLE) and isinstance(b, RLE):  # one may have its lengths as text, the other as numbers
        return a.size == b.size and rle_counts(a).tolist() == rle_counts(b).tolist()
    if isinstance(a, msgspec.Struct) and type(a) is type(b):
        return same(msgspec.structs.astuple(a), msgspec.structs.astuple(b))
    return bool(a == b)


def is_near(box: Any, other: Any) -> bool:
    """Whether two boxes are the same to a pixel: one around the rest of a label then goes without saying."""
    return bool(box and other) and all(abs(a - b) <= 1 for a, b in zip(box, other, strict=True))


def survives(wanted: dict[str, Any], found: Annotation) -> bool:
    got = {field: getattr(found, field) for field in (*FIELD_OF.values(), "author", "time", "source")}
    if found.bbox is None and is_near(wanted.get("bbox"), bbox_of(found)):
        got["bbox"] = wanted["bbox"]
    got["category"] = found.category.name if found.category is not None else None
    return all(same(value, got[field]) for field, value in wanted.items())


def invented(wanted: Annotation, found: Annotation) -> list[str]:
    """What is there now and was not.

    A format may need a box, an area or an id where there was none; it may turn a box into an oriented one,
    and say of keypoints that none is labelled.
    """
    free = {"bbox", "area", "id"} | ({"shape"} if found.bbox is None else set())
    if not any((found.keypoints or ())[2::3]):
        free.add("keypoints")
    fields = set(FIELD_OF.values()) - free
    return [field for field in fields if getattr(found, field) and not getattr(wanted, field)]


def fits(before: tuple[Annotation, ...], after: tuple[Annotation, ...], lost: set[str]) -> bool:
    """Whether `after` is `before`, in order, without what the losses name."""
    if not before:
        return not after
    first, rest = before[0], before[1:]
    stays = after and survives(mapping(first, lost), after[0]) and not invented(first, after[0])
    if stays and fits(rest, after[1:], lost):
        return True
    return may_go(first, lost) and fits(rest, after, lost)


def grouped(sample: Sample) -> tuple[Annotation, ...]:
    """The annotations in order, those of the whole image last: some formats keep these elsewhere."""
    return tuple(sorted(sample.annotations, key=lambda a: "image labels" in annotation_fields(a)))


def may_leave_no_record(sample: Sample, lost: set[str]) -> bool:
    """Whether the losses say that a format has nothing to write about an image."""
    if not sample.annotations:
        return "unlabelled" in lost
    return all(may_go(annotation, lost) for annotation in sample.annotations)


def leaves_nothing(dataset: Dataset, lost: dict[str, set[str]]) -> bool:
    """Whether there is nothing in the files: some formats cannot be told from nothing then."""
    return all(may_leave_no_record(sample, lost.get(sample.image.key, set())) for sample in dataset.samples)


@pytest.mark.parametrize("name", NAMES)
def test_a_format_has_a_name_a_title_and_known_fields(name: str) -> None:
    module = formats.get(name)
    assert name == module.NAME
    assert module.TITLE
    assert FIELDS.keys() >= module.HOLDS
    assert all(variant.startswith(name + "-") for variant in module.VARIANTS)
    assert all(formats.split_name(variant) == (name, variant) for variant in module.VARIANTS)
    assert FIELDS.keys() >= RECORDS


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(dataset=datasets())
def test_what_is_written_is_read_again_except_for_the_losses(
    name: str, variant: str | None, dataset: Dataset
) -> None:
    module = formats.get(name)
    lost = lost_fields(module, dataset, variant)
    files = written(module, dataset, variant)
    if leaves_nothing(dataset, lost):
        return
    found, problems = read(module, files, images_of(dataset), variant)
    assert problems == []
    for before, after in zip(dataset.samples, found.samples, strict=True):
        gone = lost.get(before.image.key, set())
        as_it_was = fits(before.annotations, after.annotations, gone)
        assert as_it_was or fits(grouped(before), grouped(after), gone)
        if "split" not in gone and not may_leave_no_record(before, gone):
            assert before.split == after.split
    if "info" not in lost.get("the data set", set()):
        assert (found.extra or None) == (dataset.extra or None)
    used = {a.category.name for s in found.samples for a in s.annotations if a.category is not None}
    assert used <= {category.name for category in found.categories}


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(dataset=datasets())
def test_its_own_text_is_written_again_as_it_was(name: str, variant: str | None, dataset: Dataset) -> None:
    module = formats.get(name)
    files = written(module, dataset, variant)
    assert files == written(module, dataset, variant)
    if leaves_nothing(dataset, lost_fields(module, dataset, variant)):
        return
    found, _ = read(module, files, images_of(dataset), variant)
    assert written(module, found) == files
    assert written(module, again(found)) == files
    assert list(module.losses(found)) == []
    assert read(module, files, images_of(dataset), variant)[0] == found


@pytest.mark.parametrize("name", NAMES)
def test_a_format_knows_its_own_files_and_no_others(name: str) -> None:
    module = formats.get(name)
    tree = Memory(written(module, BOXES))
    assert [other for other in NAMES if formats.get(other).sniff(tree)] == [name]
    assert formats.detect(tree) == name
    assert formats.open_labels(tree) is not None


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_mangled_files_are_problems_and_no_crash(name: str, variant: str | None) -> None:
    module = formats.get(name)
    files = written(module, SMALL, variant)
    images = images_of(SMALL)
    chance = random.Random(name)
    began = time.process_time()
    for _ in range(150):
        mangled = dict(files)
        path = chance.choice(sorted(files))
        mangled[path] = mangle(mangled[path], chance)
        try:
            found, _ = read(module, mangled, images, variant)
            written(module, found)
        except InputError:
            continue
        msgspec.json.encode(found)
    assert time.process_time() - began < 60


NOISE = (b"\0", b"\xff", b'"', b"-", b"nan", b"1e999", b"\r\n", b"9" * 400, b"[" * 3000)


def mangle(data: bytes, chance: random.Random) -> bytes:
    """Cut off, with some bits turned over, or not the same file at all."""
    kind = chance.randrange(4)
    if kind == 0:
        return data[: chance.randrange(len(data) + 1)]
    if kind == 1:
        return chance.randbytes(chance.randrange(400))
    changed = bytearray(data or b"\0")
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(changed))
        if kind == 2:
            changed[at] ^= 1 << chance.randrange(8)
        else:
            changed[at:at] = chance.choice(
                (b"\0", b"\xff", b'"', b"9" * 400, b"-", b"[" * 3000, b"nan", b"1e999", b"\r\n")
            )
    return bytes(changed)


HOSTILE = {
    "nothing": b"",
    "nul": b"\0" * 100,
    "utf-16": "filename,class\na.jpg,b\n".encode("utf-16"),
    "deep json": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep markup": b"<annotation>" + b"<a>" * 100_000,
    "bomb": b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>',
    "open quote": b'image,label\n"a.jpg,b\n' * 2000,
    "quotes": b"image,label\n" + b'"' * 200_001,
    "long number": b"0 " + b"9" * 100_000 + b" 0.5 0.5 0.5\n",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_problems_and_no_hang(name: str, kind: str) -> None:
    module = formats.get(name)
    images = images_of(BOXES)
    began = time.process_time()
    for path in written(module, BOXES):
        files = written(module, BOXES) | {path: HOSTILE[kind]}
        try:
            found, _ = read(module, files, images)
            written(module, found)
        except InputError as error:
            assert len(str(error)) < 2000
    assert time.process_time() - began < 20
