"""Many names in little memory, and words that all formats share."""

import tracemalloc
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trees import Memory

from xlabel import formats
from xlabel.formats import coco, coco_layout, csv_layout, imagesets, labelme, voc, yolo_yaml
from xlabel.formats.labels import FileLabels
from xlabel.formats.names import Names, Seen, lines, repeated, spread
from xlabel.formats.splits import SPLITS
from xlabel.images import Buffer
from xlabel.model import Annotation, Category, Dataset, Image, Sample

MANY = 15_000
T = TypeVar("T")


class Numbered(Sequence[str]):
    """So many paths, made as they are asked for."""

    def __init__(self, count: int, name: Callable[[int], str], also: Sequence[str] = ()) -> None:
        self._count, self._name, self._also = count, name, also

    def __len__(self) -> int:
        return self._count + len(self._also)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._name(index) if index < self._count else self._also[index - self._count]


class Large:
    """A tree of many label files of one text."""

    root = "labels"
    pictures: Sequence[str] = ()

    def __init__(self, files: Sequence[str], text: bytes, others: dict[str, bytes]) -> None:
        self.files = files
        self._text, self._others = text, others

    def read(self, path: str) -> bytes:
        return self._others.get(path, self._text)

    def look(self, path: str, read: Callable[[Buffer], T]) -> T:
        return read(self.read(path))


VOC = b"<annotation><size><width>9</width><height>9</height></size></annotation>"
LISTS = {
    name: "".join(f"{start}{i:07d}{end}\n" for i in range(first, last)).encode()
    for name, start, end, first, last in [
        ("ImageSets/Main/train.txt", "", "", 0, MANY // 2),
        ("ImageSets/Main/val.txt", "", "", MANY // 2, MANY),
        ("train.txt", "./images/", ".jpg", 0, MANY // 2),
        ("val.txt", "./images/", ".jpg", MANY // 2, MANY),
    ]
}
LARGE: dict[str, tuple[str, str, bytes, dict[str, bytes]]] = {
    "yolo": ("labels/{:07d}.txt", "images/{:07d}.jpg", b"0 .5 .5 .1 .1\n", {"data.yaml": b"names: [cat]\n"}),
    "yolo with lists": (
        "labels/{:07d}.txt",
        "images/{:07d}.jpg",
        b"0 .5 .5 .1 .1\n",
        {name: text for name, text in LISTS.items() if "/" not in name}
        | {"data.yaml": b"names: [cat]\ntrain: train.txt\nval: val.txt\n"},
    ),
    "yolo in two cases": (
        "labels/{:07d}.txt",
        "images/{:07d}.jpg",
        b"0 .5 .5 .1 .1\n",
        {"data.yaml": b"names: [cat]\n"},
    ),
    "voc": ("Annotations/{:07d}.xml", "JPEGImages/{:07d}.jpg", VOC, {}),
    "voc with lists": (
        "Annotations/{:07d}.xml",
        "JPEGImages/{:07d}.jpg",
        VOC,
        {name: text for name, text in LISTS.items() if "/" in name},
    ),
    "labelme": ("labels/{:07d}.json", "images/{:07d}.jpg", b'{"shapes":[],"imagePath":"a.jpg"}', {}),
}


def cased(number: int) -> str:
    """Label files of which half end otherwise than the others, in runs."""
    return f"labels/{number:07d}" + (".txt", ".TXT")[number // 3 % 2]


@pytest.mark.parametrize("name", LARGE)
def test_opening_many_label_files_takes_few_bytes_for_each(name: str) -> None:
    label, key, text, others = LARGE[name]
    paths = cased if "two cases" in name else label.format
    tree = Large(Numbered(MANY, paths, sorted(others)), text, others)
    keys = Numbered(MANY, key.format)
    formats.open_labels(Large(["a" + label[-4:]], text, others))  # loads what is loaded once
    repeated(array("q", range(10_000)))
    tracemalloc.start()
    try:
        assert formats.detect(tree) == name.split(" ")[0]
        labels = formats.open_labels(tree)
        assert isinstance(labels, FileLabels)
        labels.bind(keys)
        texts = sum(map(len, (labels.origin.files or {}).values()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert labels.problems == []
    assert labels.find(keys[MANY - 1]) == tree.files[MANY - 1]
    if others and "lists" in name:
        sample = labels.load(tree.files[MANY - 1], Image(key=keys[MANY - 1], width=9, height=9))
        assert sample is not None
        assert sample.split == "val"
    assert peak - texts < 60 * MANY  # the texts of the lists are written again


@pytest.mark.parametrize("module", [voc, labelme])
def test_labels_from_elsewhere_are_written_while_they_are_read(module: formats.Format) -> None:
    cat = Category(id=1, name="cat")

    class Stream(list[Sample]):
        def __iter__(self) -> Iterator[Sample]:
            for number in range(20_000):
                annotation = Annotation(category=cat, bbox=(1, 2, 3, 4))
                image = Image(key=f"images/{number:07d}.jpg", width=9, height=9)
                yield Sample(image=image, annotations=(annotation,), split="train")

    tracemalloc.start()
    try:
        count = sum(1 for _ in module.write(Dataset(samples=Stream(), categories=[cat])))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count >= 20_000
    assert peak < 100 * 20_000


@given(st.lists(st.text(max_size=5)), st.text(max_size=5))
def test_a_set_of_names_has_those_that_it_was_made_of(names: list[str], other: str) -> None:
    found = Names(names)
    assert all(name in found for name in names)
    assert (other in found) == (other in names)
    assert bool(found) == bool(names)


def test_a_set_of_names_that_grows_tells_new_names_from_old_ones() -> None:
    seen = Seen()
    names = [str(number % 7000) for number in range(20_000)]
    assert [seen.add(name) for name in names] == [number < 7000 for number in range(20_000)]
    assert "6999" in seen
    assert "7000" not in seen


@pytest.mark.parametrize("count", [10, 10_000])
def test_what_is_there_more_than_once_is_found(count: int) -> None:
    assert repeated(array("q", [*range(count), 3, 5, 5])) == {3, 5}
    assert "3" in Names(map(str, range(count)))


@given(st.text(st.sampled_from("ab\n")))
def test_lines_are_those_between_line_feeds(text: str) -> None:
    assert list(lines(text)) == text.split("\n")


@given(st.integers(0, 500), st.integers(1, 20))
def test_a_sample_of_files_comes_from_all_over(number: int, count: int) -> None:
    files = [f"{i:03d}" for i in range(number)]
    total, some = spread([*files, "x"], str.isdigit, count)
    assert total == number
    assert len(some) == min(number, count)
    assert some == sorted(set(some))
    if number >= 2 * count > 2:
        assert some[0] == "000"
        assert some[-1] >= files[number // 3]


@pytest.mark.parametrize("word", SPLITS)
def test_every_format_knows_the_same_words_for_a_split(word: str) -> None:
    assert csv_layout.split_of(f"{word}.csv") == SPLITS[word]
    assert coco_layout.split_of(f"annotations/instances_{word}2017.json") == SPLITS[word]
    yaml = Memory({"data.yaml": f"names: [cat]\n{word}: images/one\n"})
    assert yolo_yaml.describe(yaml.files, yaml.files, yaml.read, ["labels/one"]).folders == {
        "labels/one": SPLITS[word]
    }
    folder = f"labels/{word}"
    assert yolo_yaml.describe([], [], yaml.read, [folder]).folders == {folder: SPLITS[word]}


def test_coco_looks_into_a_dozen_of_many_json_files_and_at_those_first_that_are_called_so() -> None:
    read: list[str] = []

    class Tree(Large):
        def read(self, path: str) -> bytes:
            read.append(path)
            return b'{"images":[],"annotations":[]}' if path == "z/instances.json" else b"{}"

    files = Numbered(1000, "a/{:04d}.json".format, ["z/instances.json"])
    assert coco.sniff(Tree(files, b"", {})) == "z/instances.json with images, annotations"
    assert read == ["z/instances.json"]
    assert coco.sniff(Tree(files[:1000], b"", {})) is None
    assert len(read) <= 13


def test_lists_of_a_new_set_name_the_images_of_each_split() -> None:
    made = imagesets.Lists()
    for path, split in [("Annotations/b.xml", "val"), ("Annotations/x/a.xml", "train"), ("c.xml", None)]:
        made.add(path, split)
    assert dict(made.files()) == {
        "ImageSets/Main/train.txt": [b"x/a\n"],
        "ImageSets/Main/trainval.txt": [b"b\nx/a\n"],
        "ImageSets/Main/val.txt": [b"b\n"],
    }
