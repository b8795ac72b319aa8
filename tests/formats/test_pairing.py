"""Which label file belongs to which image: found in every usual layout, and never another image's."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlabel.formats.pairing import Pairing, match_names, stem

LAYOUTS = {
    "side by side": {"a.jpg": "a.txt", "b.png": "b.txt"},
    "in folders": {"x/a.jpg": "x/a.txt", "y/a.jpg": "y/a.txt"},
    "Roboflow": {"train/images/a.jpg": "train/labels/a.txt", "valid/images/a.jpg": "valid/labels/a.txt"},
    "Ultralytics": {"images/train/a.jpg": "labels/train/a.txt", "images/val/a.jpg": "labels/val/a.txt"},
    "labels in the tree, images below a folder": {"images/day/a.jpg": "day/a.txt", "images/b.jpg": "b.txt"},
    "VOC": {"JPEGImages/a.jpg": "Annotations/a.txt"},
    "flat labels of nested images": {"x/a.jpg": "a.txt", "y/z/b.jpg": "b.txt", "c.jpg": "c.txt"},
    "flat labels in a folder": {"images/x/a.jpg": "labels/a.txt", "images/y/b.jpg": "labels/b.txt"},
    "folders of any name": {"photos/a.jpg": "truth/a.txt", "photos/b.jpg": "truth/b.txt"},
    "any names, one word in common": {"rgb/1/a.jpg": "gt/1/a.txt", "rgb/2/a.jpg": "gt/2/a.txt"},
    "any names, told apart by stems": {"p/a.jpg": "r/a.txt", "p/b.jpg": "r/b.txt", "q/c.jpg": "s/c.txt"},
    "dots": {"a.b.c.jpg": "a.b.c.txt", "a.b.jpg": "a.b.txt", "x.jpg.rf.9.jpg": "x.jpg.rf.9.txt"},
    "no suffix": {"a": "a.txt", "b.jpg": "b.txt"},
    "hidden": {".a.jpg": ".a.txt"},
    "other scripts": {"straße/übergang.jpg": "straße/übergang.txt"},
    "case of folders": {"Images/a.jpg": "Labels/a.txt"},
}


def paired(files: list[str], keys: list[str]) -> dict[str, str]:
    """Those images that have one of the files."""
    pairing = Pairing(lambda: sorted(files, key=str.encode))
    pairing.bind(sorted(keys, key=str.encode))
    found = {key: pairing.find(key) for key in keys}
    there = set(files)
    return {key: path for key, path in found.items() if path in there}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_labels_of_a_layout_are_found(layout: str) -> None:
    wanted = LAYOUTS[layout]
    assert paired([*wanted.values(), "data.yaml"], [*wanted]) == wanted


@pytest.mark.parametrize(
    ("files", "keys", "wanted"),
    [
        (["x/a.txt"], ["x/a.jpg", "y/a.jpg"], {"x/a.jpg": "x/a.txt"}),
        (
            ["labels/train/a.txt"],
            ["images/train/a.jpg", "images/val/a.jpg"],
            {"images/train/a.jpg": "labels/train/a.txt"},
        ),
        (["labels/a.txt"], ["images/x/a.jpg", "images/y/a.jpg"], {}),
        (["a.txt", "b.txt"], ["a.jpg", "x/a.jpg", "x/b.jpg"], {"a.jpg": "a.txt", "x/b.jpg": "b.txt"}),
        (["p/a.txt", "q/a.txt"], ["x/a.jpg", "y/a.jpg"], {}),
        (["p/a.txt", "q/a.txt"], ["x/a.jpg"], {}),
        (["x/a.txt", "y/b.txt"], ["y/a.jpg"], {}),
        ([], ["a.jpg"], {}),
        (["a.txt"], [], {}),
    ],
)
def test_labels_of_another_image_are_never_taken(
    files: list[str], keys: list[str], wanted: dict[str, str]
) -> None:
    assert paired(files, keys) == wanted


@given(
    images=st.sets(st.tuples(st.sampled_from(["x", "y", "x/y", "z"]), st.sampled_from("abc"))),
    labels=st.sets(st.tuples(st.sampled_from(["x", "y", "x/y", "w"]), st.sampled_from("abc"))),
)
def test_a_label_file_has_one_image_at_most(
    images: set[tuple[str, str]], labels: set[tuple[str, str]]
) -> None:
    keys = [f"images/{folder}/{name}.jpg" for folder, name in images]
    files = [f"labels/{folder}/{name}.txt" for folder, name in labels]
    found = paired(files, keys)
    assert len(set(found.values())) == len(found)
    for folder, name in images & labels:
        assert found[f"images/{folder}/{name}.jpg"] == f"labels/{folder}/{name}.txt"


ENDINGS = [".txt", ".TXT", ".Txt", ".tXT"]


@given(
    st.dictionaries(st.text("abcAB.", min_size=1, max_size=3), st.sampled_from(ENDINGS), min_size=1),
    st.sampled_from(["", "labels/"]),
)
def test_each_image_has_its_own_label_file_whatever_the_case_of_its_ending(
    files: dict[str, str], folder: str
) -> None:
    wanted = {f"{name}.jpg": f"{folder}{name}{ending}" for name, ending in files.items()}
    assert paired([*wanted.values()], [*wanted]) == wanted


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from(ENDINGS), min_size=1), min_size=1))
def test_of_several_label_files_of_an_image_the_last_counts_and_the_others_are_named(
    files: dict[str, set[str]],
) -> None:
    paths = sorted(name + ending for name, endings in files.items() for ending in endings)
    pairing = Pairing(lambda: paths)
    pairing.bind([f"{name}.jpg" for name in sorted(files)])
    for name, endings in files.items():
        last = max(name + ending for ending in endings)
        assert pairing.find(f"{name}.jpg") == last
        assert {path for path, counts in pairing.passed_over.items() if counts == last} == {
            name + ending for ending in endings
        } - {last}


def test_more_files_than_are_sampled_are_still_paired() -> None:
    keys = [f"images/x/{number:06d}.jpg" for number in range(3000, 6000)]
    files = [f"labels/{number:06d}.txt" for number in range(6000)]
    assert len(paired(files, keys)) == 3000


def test_many_folders_with_the_same_names_do_not_hang() -> None:
    keys = [f"rgb/p{folder}/{frame:03d}.jpg" for folder in range(3000) for frame in range(10)]
    files = [f"gt/q{folder}/{frame:03d}.txt" for folder in range(3000) for frame in range(10)]
    began = time.process_time()
    assert paired(files, keys) == {}
    assert time.process_time() - began < 10


def test_a_stem_is_a_name_without_its_last_suffix() -> None:
    names = ("a.jpg", "a.b.jpg", "a", ".a", ".a.jpg", "a.")
    assert [stem(name) for name in names] == ["a", "a.b", "a", ".a", ".a", "a"]


@pytest.mark.parametrize(
    ("names", "keys", "wanted"),
    [
        (["b.jpg", "a.jpg"], ["a.jpg", "b.jpg"], {"a.jpg": 1, "b.jpg": 0}),
        (["x/a.jpg", "y/a.jpg"], ["p/x/a.jpg", "p/y/a.jpg"], {"p/x/a.jpg": 0, "p/y/a.jpg": 1}),
        (["/home/u/x/a.jpg", "C:\\d\\y\\a.jpg"], ["x/a.jpg", "y/a.jpg"], {"x/a.jpg": 0, "y/a.jpg": 1}),
        (["images\\x\\a.jpg", "./b.jpg"], ["x/a.jpg", "y/a.jpg", "b.jpg"], {"x/a.jpg": 0, "b.jpg": 1}),
        (
            ["42", "7"],
            ["000000000007.jpg", "000000000042.jpg"],
            {"000000000042.jpg": 0, "000000000007.jpg": 1},
        ),
        (["42"], ["000000000042.jpg", "42.jpg"], {"42.jpg": 0}),
        (["a.png"], ["a.jpg"], {"a.jpg": 0}),
        (["a.png", "a.jpg"], ["a.jpg"], {"a.jpg": 1}),
        (["b6ab"], ["train/b6ab.jpg"], {"train/b6ab.jpg": 0}),
        (["v1.2"], ["v1.2.jpg", "v1.3.jpg", "v1.jpg"], {"v1.2.jpg": 0}),
        (["q/a.jpg", "x/a.jpg"], ["x/a.jpg"], {"x/a.jpg": 1}),
        (["nowhere.jpg", ""], ["a.jpg"], {}),
    ],
)
def test_names_in_a_document_find_their_images(
    names: list[str], keys: list[str], wanted: dict[str, int]
) -> None:
    assert match_names(names, keys, "l.json") == (wanted, [])


@pytest.mark.parametrize(
    ("names", "keys", "wanted", "codes"),
    [
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], {}, ["ambiguous-image"]),
        (["z/a.jpg"], ["x/a.jpg", "y/a.jpg"], {}, ["ambiguous-image"]),
        (["a.jpg", "a.jpg"], ["a.jpg"], {"a.jpg": 0}, ["image-twice"]),
        (["a.png", "a.bmp"], ["a.jpg"], {"a.jpg": 0}, ["image-twice"]),
        (["a.jpg", "x/a.jpg"], ["p/x/a.jpg"], {"p/x/a.jpg": 1}, ["image-twice"]),
        (["7"], ["007.jpg", "07.jpg"], {}, ["ambiguous-image"]),
    ],
)
def test_names_that_fit_badly_are_problems(
    names: list[str], keys: list[str], wanted: dict[str, int], codes: list[str]
) -> None:
    found, problems = match_names(names, keys, "l.json")
    assert found == wanted
    assert [(problem.where, problem.code) for problem in problems] == [("l.json", code) for code in codes]


def test_many_images_of_the_same_name_are_told_apart_in_time() -> None:
    keys = sorted(f"{folder}/{frame:03d}.jpg" for folder in range(3000) for frame in range(10))
    began = time.process_time()
    found, problems = match_names([f"images/{key}" for key in keys], keys, "l.json")
    assert (found, problems) == ({key: position for position, key in enumerate(keys)}, [])
    deep = ["/" * 100_000 + "a.jpg", "b/" * 100_000 + "a.jpg"]
    assert match_names(deep, ["b/a.jpg", "c/a.jpg"], "l.json")[0] == {"b/a.jpg": 1}
    assert time.process_time() - began < 10
