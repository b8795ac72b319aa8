"""YOLO rows, data.yaml in its spellings, and the way back. Expected numbers are worked out by hand."""

import tracemalloc
from collections import Counter
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trees import Memory, folder, real

from xlabel.errors import InputError
from xlabel.formats import yolo
from xlabel.formats.yolo_yaml import load_yaml
from xlabel.model import RLE, Annotation, Category, Dataset, Image, OrientedBox, Sample
from xlabel.model.dataset import Origin

NAMES = "names: [cat, dog]\ntrain: images/train\nval: images/val\n"
SQUARE = "0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3"


def image(key: str = "a.jpg", width: int | None = 200, height: int | None = 100) -> Image:
    return Image(key=key, width=width, height=height)


def read(
    files: Mapping[str, str | bytes], images: list[Image], variant: str | None = None
) -> tuple[Dataset, list[tuple[str, str]]]:
    """All of it, as the engine reads it, and the place and code of each problem."""
    labels = yolo.read(Memory(files), variant)
    labels.bind(sorted(i.key for i in images))
    samples = []
    for one in images:
        ref = labels.find(one.key)
        samples.append((ref and labels.load(ref, one)) or Sample(image=one))
    data = Dataset(samples=samples, categories=labels.categories, origin=labels.origin)
    return data, [(problem.where, problem.code) for problem in labels.problems]


def dataset(files: Mapping[str, str | bytes], images: list[Image], variant: str | None = None) -> Dataset:
    return read(files, images, variant)[0]


def one(text: str | bytes, yaml: str | None = None, variant: str | None = None) -> Dataset:
    return dataset({"a.txt": text} | ({"data.yaml": yaml} if yaml else {}), [image()], variant)


def problems(text: str | bytes, yaml: str | bytes | None = None) -> list[tuple[str, str]]:
    return read({"a.txt": text} | ({"data.yaml": yaml} if yaml else {}), [image()])[1]


def written(data: Dataset, variant: str | None = None) -> dict[str, bytes]:
    return {path: b"".join(chunks) for path, chunks in yolo.write(data, variant)}


def through_json(data: Dataset) -> Dataset:
    return msgspec.json.decode(msgspec.json.encode(data), type=Dataset)


def lost(data: Dataset, variant: str | None = None) -> list[tuple[str, str, int]]:
    return [(loss.where, loss.field, loss.count) for loss in yolo.losses(data, variant)]


def edited(data: Dataset, position: int = 0, **changes: object) -> Dataset:
    sample = data.samples[0]
    annotations = list(sample.annotations)
    annotations[position] = msgspec.structs.replace(annotations[position], **changes)
    sample = msgspec.structs.replace(sample, annotations=tuple(annotations))
    return msgspec.structs.replace(data, samples=[sample, *data.samples[1:]])


# Rows


def test_a_box_is_centre_and_size_in_shares_of_the_image() -> None:
    (label,) = one("1 0.5 0.5 0.25 0.5\n", NAMES).samples[0].annotations
    assert label.bbox == (75.0, 25.0, 50.0, 50.0)
    assert label.category == Category(id=1, name="dog")
    assert label.origin == "1 0.5 0.5 0.25 0.5"


def test_a_polygon_is_x_and_y_in_turn() -> None:
    (label,) = one("0 0.1 0.2 0.3 0.2 0.3 0.4\n").samples[0].annotations
    assert label.polygons == ((20.0, 20.0, 60.0, 20.0, 60.0, 40.0),)
    assert label.bbox is None


def test_keypoints_have_a_visibility_of_their_own_or_two() -> None:
    three = one("0 0.5 0.5 0.2 0.2 0.5 0.5 2 0 0 0\n", NAMES + "kpt_shape: [2, 3]\n")
    (label,) = three.samples[0].annotations
    assert label.keypoints == (100.0, 50.0, 2, 0.0, 0.0, 0)
    assert label.bbox == (80.0, 40.0, 40.0, 20.0)
    two = one("0 0.5 0.5 0.2 0.2 0.5 0.5 0 0\n", NAMES + "kpt_shape: [2, 2]\n")
    assert two.samples[0].annotations[0].keypoints == (100.0, 50.0, 2, 0.0, 0.0, 0)


def test_an_oriented_box_keeps_the_order_of_its_corners() -> None:
    (label,) = one("0 0.3 0.1 0.5 0.3 0.3 0.5 0.1 0.3\n", variant="yolo-obb").samples[0].annotations
    assert label.shape == OrientedBox(corners=(60.0, 10.0, 100.0, 30.0, 60.0, 50.0, 20.0, 30.0))


@pytest.mark.parametrize(
    "row", ["0\t.5  .5\t.1 .1", " 0 0.5 0.5 1e-1 1E-1 ", "0.0 0.5 0.5 0.1 0.1", "+0 .5 .5 .1 .1"]
)
def test_tabs_spaces_exponents_and_whole_floats_are_read_and_kept(row: str) -> None:
    data = one(row + "\n", NAMES)
    assert data.samples[0].annotations[0].bbox == pytest.approx((90, 45, 20, 10))
    assert not problems(row, NAMES)
    assert written(data)["a.txt"].decode() == row + "\n"


def test_a_sixth_column_with_a_fraction_is_a_score() -> None:
    data = one("0 .5 .5 .1 .1 0.75\n0 .5 .5 .1 .1 1\n0 .5 .5 .1 .1\n")
    assert [a.score for a in data.samples[0].annotations] == [0.75, 1.0, None]
    assert data.origin and data.origin.extra == {"tail": "score"}


def test_a_sixth_column_of_whole_numbers_beyond_one_is_a_track() -> None:
    data = one("0 .5 .5 .1 .1 1\n0 .5 .5 .1 .1 7\n")
    assert [a.attributes for a in data.samples[0].annotations] == [{"track_id": 1}, {"track_id": 7}]


def test_a_sixth_column_of_zeros_and_ones_has_two_readings() -> None:
    with pytest.raises(InputError, match=r"scores or track ids.*decimal point"):
        one("0 .5 .5 .1 .1 1\n0 .5 .5 .1 .1 0\n", variant="yolo-detect")


# What a set holds


def test_nine_numbers_a_row_have_two_readings() -> None:
    with pytest.raises(InputError, match=r"yolo-segment.*yolo-obb.*--from"):
        one(SQUARE + "\n", NAMES)
    assert one(SQUARE, NAMES, "yolo-segment").samples[0].annotations[0].polygons
    assert one(SQUARE, NAMES, "yolo-obb").samples[0].annotations[0].shape
    assert one(SQUARE, NAMES + "task: obb\n").samples[0].annotations[0].shape
    assert one(SQUARE, NAMES + "kpt_shape: [2, 2]\n").samples[0].annotations[0].keypoints
    assert one(f"{SQUARE}\n{SQUARE} 0.2 0.4").samples[0].annotations[0].polygons


def test_keypoints_are_inferred_only_where_nothing_else_fits() -> None:
    row = "0 .5 .5 .2 .2" + " .5 .5 2" * 17
    data = one(row)
    assert data.origin and data.origin.format == "yolo-pose"
    assert data.origin.extra == {"kpt_shape": [17, 3]}
    with pytest.raises(InputError, match="kpt_shape"):
        one(row, NAMES)  # a data.yaml had the chance to say it
    assert one(row, NAMES, "yolo-pose").samples[0].annotations[0].keypoints
    odd = one("0 .5 .5 .2 .2 .5 .5 .3 .4 .4 .6")
    assert odd.origin and odd.origin.format == "yolo-segment"


def test_rows_of_another_task_are_problems_and_are_kept_where_they_have_one_reading() -> None:
    boxes = "0 .5 .5 .1 .1\n" * 3
    text = boxes + "0 .1 .1 .2 .1 .2 .2\n" + SQUARE + "\n"
    data = one(text)
    assert problems(text) == [("labels/a.txt:4", "mixed-tasks"), ("labels/a.txt:5", "row-length")]
    assert [bool(a.polygons) for a in data.samples[0].annotations] == [False, False, False, True]
    polygons = "0 .1 .1 .2 .1 .2 .2\n" * 3
    text = polygons + "0 .5 .5 .1 .1\n"
    data = one(text)
    assert problems(text) == [("labels/a.txt:4", "mixed-tasks")]
    assert data.samples[0].annotations[3].bbox
    assert written(through_json(data))["a.txt"].decode() == text
    assert not lost(data)


# What is wrong with rows


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("0 nan .5 .1 .1", "not-a-number"),
        ("0 .5 inf .1 .1", "not-a-number"),
        ("0 .5 1e999 .1 .1", "not-a-number"),
        ("0 .5 .5 .1 1_0", "not-a-number"),
        ("0 .5 .5 .1 .١", "not-a-number"),
        ("cat .5 .5 .1 .1", "not-a-number"),
        ("0 .5 .5 -.1 .1", "negative-size"),
        ("2 .5 .5 .1 .1", "unknown-class"),
        ("0.5 .5 .5 .1 .1", "bad-class"),
        ("-1 .5 .5 .1 .1", "bad-class"),
        ("9" * 5000 + " .5 .5 .1 .1", "not-a-number"),
        ("0 .5 .5 .1", "row-length"),
        ("0", "row-length"),
        ("0,.5,.5,.1,.1", "not-a-number"),
    ],
)
def test_a_bad_row_is_a_problem_with_its_line_and_the_rest_goes_on(row: str, code: str) -> None:
    text = f"0 .5 .5 .1 .1\n{row}\n1 .5 .5 .1 .1\n"
    data = one(text, NAMES)
    assert problems(text, NAMES) == [("labels/a.txt:2", code)]
    assert len(data.samples[0].annotations) == 2
    assert written(through_json(data))["a.txt"].decode() == text  # what nobody could read is still there


def test_numbers_outside_the_image_are_listed_beyond_one_percent_and_pass_unchanged() -> None:
    text = "0 1.01 .5 .1 .1\n0 1.02 .5 .1 .1\n"
    data = one(text, NAMES)
    assert problems(text, NAMES) == [("labels/a.txt:2", "outside-image")]
    assert data.samples[0].annotations[1].bbox == ((1.02 - 0.1 / 2) * 200, 45.0, 20.0, 10.0)


def test_a_row_without_size_of_the_image_says_what_to_give() -> None:
    labels = yolo.read(Memory({"a.txt": "0 .5 .5 .1 .1"}))
    with pytest.raises(InputError, match=r"--images.*--placeholder-size WxH"):
        labels.load("a.txt", image(width=None, height=None))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"  ",
        b"0 .5 .5 .1 .1",
        b"\xef\xbb\xbf0 .5 .5 .1 .1\n",
        b"0 .5 .5 .1 .1\r\n1 .5 .5 .1 .1\r\n",
        b"0 .5 .5 .1 .1\r1 .5 .5 .1 .1\r",
        b"\n\n0 .5 .5 .1 .1\n\n# a comment\n1 0.50 .5 .1 .1\n\n",
        b"0 .5 .5 .1 .1\n\xff\xfe\n",
        b"\x00\x01\x02\n\x00",
        "0 .5 .5 .1 .1\n\u2028\n".encode(),
    ],
)
def test_a_file_is_written_again_byte_for_byte(data: bytes) -> None:
    read = through_json(one(data, NAMES))
    assert read.samples[0].origin is not None
    assert written(read) == {"a.txt": data, "data.yaml": NAMES.encode()}


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="0123456789. -+eEnaif_#\r\n\t", max_size=200))
def test_any_bytes_are_read_without_failing_and_written_again(data: str | bytes) -> None:
    read = one(data, NAMES, "yolo-segment")
    raw = data.encode() if isinstance(data, str) else data
    assert written(through_json(read))["a.txt"] == raw


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_as_data_yaml_is_a_problem_at_most(text: str) -> None:
    yaml = text.encode("utf-8", "replace")
    data, found = read({"a.txt": "0 .5 .5 .1 .1", "data.yaml": yaml}, [image()])
    assert len(data.samples[0].annotations) + len(found) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "names: " + "[" * 100_000,
        "a: &a [x, x]\nb: &b [*a, *a]\nnames: &c [*b, *b]\n",
        "names: &a [*a]",
        "names: {[a]: b}",
        "nc: " + "9" * 5000,
        "names: [a]\nkpt_shape: [99999999, 3]",
        "names: [a]\nkpt_shape: yes",
        "names: [a]\n---\nnames: [b]",
        "\x00",
        "- a",
    ],
)
def test_a_hostile_data_yaml_is_a_problem_and_never_a_hang(text: str) -> None:
    assert problems("0 .5 .5 .1 .1", text)


FOUR = "0 0.5 0.5 0.2 0.2" + " 0.5 0.5 2" * 4
FIVE = "kpt_shape: [5, 3]\n"


@pytest.mark.parametrize("yaml", [NAMES + FIVE, NAMES + FIVE + "task: pose\n"])
def test_rows_that_contradict_kpt_shape_are_an_error_that_says_both(yaml: str) -> None:
    expected = r"kpt_shape: \[5, 3\].* rows of 20 numbers, found rows of 17; .*\[4, 3\] or \[6, 2\].*segment"
    with pytest.raises(InputError, match=expected):
        one(f"{FOUR}\n{FOUR}\n", yaml)
    assert one(f"{FOUR}\n", NAMES + "kpt_shape: [4, 3]\n").samples[0].annotations[0].keypoints
    assert one("0 .5 .5 .1 .1\n", NAMES + FIVE).samples[0].annotations[0].bbox
    assert one(SQUARE, NAMES + FIVE, "yolo-segment").samples[0].annotations[0].polygons


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("data.yaml", "names: a\n", "bad-name"),
        ("data.yaml", "names: a\ntrain: images\nval: images\n", "bad-name"),
        ("data.yaml", "names: [cat\r\n# by hand", "bad-yaml"),
        ("set/mine.yaml", "names: {0: cat\n", "bad-yaml"),
    ],
)
def test_a_data_yaml_that_cannot_be_used_is_a_problem_and_comes_back(path: str, text: str, code: str) -> None:
    files = {"labels/a.txt": "0 .5 .5 .1 .1\n", path: text}
    data, found = read(files, [image("images/a.jpg")])
    assert found == [(f"labels/{path}", code)]
    assert [category.name for category in data.categories] == ["0"]
    assert yolo.read(Memory(files)).notes == []
    assert written(through_json(data)) == {name: content.encode() for name, content in files.items()}


def test_a_data_yaml_without_names_is_named_as_such() -> None:
    files = {"labels/a.txt": "0 .5 .5 .1 .1\n"}
    yaml = {"data.yaml": "train: images\nval: images\n"}
    note = "classes are named by their numbers"
    assert yolo.read(Memory(files | yaml)).notes == [f"no names in data.yaml: {note}"]
    assert yolo.read(Memory(files)).notes == [f"no data.yaml or classes.txt: {note}"]


# data.yaml and its relatives


def names(data: Dataset) -> dict[int, str]:
    return {category.id: category.name for category in data.categories}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"data.yaml": "names: [cat, dog]\nnc: 2"}, {0: "cat", 1: "dog"}),
        ({"data.yaml": "names:\n  1: cat\n  90: dog\n"}, {1: "cat", 90: "dog"}),
        ({"config.yaml": "names: {0: no, 1: 007, 2: ~}"}, {0: "no", 1: "007", 2: "~"}),
        ({"data.yaml": "names: !!python/object/apply:os.system [ls]"}, {0: "ls"}),
        ({"data.yaml": "nc: 2"}, {0: "0", 1: "1"}),
        ({"data.yaml": "\ufeffnames: [猫]"}, {0: "猫"}),
        ({"classes.txt": "cat\r\n\r\ndog\r\n"}, {0: "cat", 2: "dog"}),
        ({"labels/classes.txt": "cat\ndog"}, {0: "cat", 1: "dog"}),
        ({"obj.names": "cat\ndog\n"}, {0: "cat", 1: "dog"}),
        ({"_darknet.labels": "cat\ndog\n"}, {0: "cat", 1: "dog"}),
        ({"obj.data": "classes = 1\nnames = data/my.names\n", "my.names": "cat\n"}, {0: "cat"}),
        ({"data.yaml": "names: [cat]", "classes.txt": "other\n"}, {0: "cat"}),
        ({"coco.json": "{}"}, {}),
    ],
)
def test_class_names_come_from_any_of_the_usual_files(
    files: dict[str, str], expected: dict[int, str]
) -> None:
    data = dataset({"labels/a.txt": "", **files}, [image()])
    assert names(data) == expected
    kept = {path: text.encode() for path, text in files.items() if not path.endswith(".json")}
    assert written(through_json(data)) == {"labels/a.txt": b"", **kept}


def test_without_names_a_class_is_named_by_its_number() -> None:
    data = one("7 .5 .5 .1 .1\n2 .5 .5 .1 .1\n")
    assert names(data) == {7: "7", 2: "2"}
    assert set(written(data)) == {"a.txt"}


def test_nc_that_contradicts_the_names_is_a_problem() -> None:
    assert problems("", "names: [cat]\nnc: 3") == [("labels/data.yaml", "nc-mismatch")]


SPLIT = {
    "images/train/a.jpg": "train",
    "images/val/b.jpg": "val",
    "images/test/sub/c.jpg": "test",
}
ROBOFLOW = {"train/images/a.jpg": "train", "valid/images/b.jpg": "val", "test/images/c.jpg": "test"}


@pytest.mark.parametrize(
    ("yaml", "keys"),
    [
        ("train: images/train\nval: images/val\ntest: images/test", SPLIT),
        ("path: ../datasets/x\ntrain: images/train\nvalidation: images/val\ntest: images/test", SPLIT),
        (
            "path: .\ntrain: [images/train]\nval: [images/val, ./images/test]",
            SPLIT | {"images/test/sub/c.jpg": "val"},
        ),
        ("train: /home/u/x/images/train\nval: /home/u/x/images/val/\ntest:", SPLIT),
        ("train: C:\\x\\images\\train\nval: C:\\x\\images\\val", SPLIT),
        ("train: ../train/images\nval: ../valid/images\ntest: ../test/images", ROBOFLOW),
        ("train: ./images\nval: ./images", {"images/a.jpg": None}),
        ("train: images\nval:", {"images/a.jpg": "train"}),
        ("train: images/one\nval: images/two", {"images/one/a.jpg": "train", "images/two/a.jpg": "val"}),
        ("", {"images/train2017/a.jpg": "train", "images/other/a.jpg": None}),
    ],
)
def test_splits_come_from_the_folders_of_data_yaml_or_from_their_names(
    yaml: str, keys: dict[str, str | None]
) -> None:
    images = [image(key) for key in sorted(keys)]
    files = {key.replace("images", "labels").replace(".jpg", ".txt"): "" for key in keys}
    data = dataset({**files, "data.yaml": f"names: [cat]\n{yaml}\n"}, images)
    assert {sample.image.key: sample.split for sample in data.samples} == keys
    assert written(through_json(data)).keys() == {*files, "data.yaml"}
    assert written(data)["data.yaml"].decode() == f"names: [cat]\n{yaml}\n"


@pytest.mark.parametrize(
    "line", ["./images/{}", "images/{}", "/home/u/x/images/{}", "data/x/images/{}", "{}"]
)
@pytest.mark.parametrize(
    "yaml", ["train: train.txt\nval: val.txt\n", "path: x\ntrain: ./train.txt\nval: val.txt\n", ""]
)
def test_splits_come_from_lists_of_images(line: str, yaml: str) -> None:
    files = {
        "train.txt": line.format("a.jpg") + "\r\n",
        "val.txt": line.format("b.jpg"),
        "labels/a.txt": "0 .5 .5 .1 .1\n",
        "labels/b.txt": "",
    } | ({"data.yaml": "names: [cat]\n" + yaml} if yaml else {})
    labels = yolo.read(Memory(files))
    assert list(labels.refs()) == ["labels/a.txt", "labels/b.txt"]
    data = dataset(dict(files), [image("a.jpg"), image("b.jpg")])
    assert [sample.split for sample in data.samples] == ["train", "val"]
    assert written(through_json(data)) == {path: text.encode() for path, text in files.items()}


def test_lists_that_a_data_yaml_of_folders_passes_over_come_back() -> None:
    files = {
        "data.yaml": "names: [cat]\ntrain: images/train\n",
        "labels/train/a.txt": "0 .5 .5 .1 .1\n",
        "val.txt": "/home/u/x/images/train/a.jpg\n",
    }
    data = dataset(dict(files), [image("images/train/a.jpg")])
    assert [sample.split for sample in data.samples] == ["train"]
    assert written(through_json(data)) == {path: text.encode() for path, text in files.items()}


def test_an_image_without_label_file_gets_none() -> None:
    data = dataset(
        {"labels/train/a.txt": "0 .5 .5 .1 .1\n", "data.yaml": NAMES},
        [image("images/train/a.jpg"), image("images/train/b.jpg")],
    )
    assert data.samples[1].origin is None
    assert written(data).keys() == {"labels/train/a.txt", "data.yaml"}


LAYOUTS = {
    "folders of data.yaml": {"data.yaml": "names: [cat]\ntrain: images/a\nval: images/b\ntest: images/c\n"},
    "lists of data.yaml": {
        "data.yaml": "names: [cat]\ntrain: train.txt\nval: val.txt\ntest: test.txt\n",
        "train.txt": "./images/a/1.jpg\n./images/a/2.jpg\n",
        "val.txt": "./images/b/3.jpg\n",
        "test.txt": "./images/c/4.jpg\n",
    },
}
SPLIT_OF = {"a/1.jpg": "train", "a/2.jpg": "train", "b/3.jpg": "val", "c/4.jpg": "test"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("root", ["images/", ""])
def test_an_image_without_label_file_has_its_split_and_keeps_it(layout: str, root: str) -> None:
    files: dict[str, str | bytes] = {**LAYOUTS[layout], "labels/a/1.txt": "0 .5 .5 .1 .1\n"}
    data = dataset(files, [image(root + key) for key in SPLIT_OF])
    assert [sample.split for sample in data.samples] == list(SPLIT_OF.values())
    assert [sample.origin is None for sample in data.samples] == [False, True, True, True]
    assert written(through_json(data)) == {path: str(text).encode() for path, text in files.items()}


def test_an_image_without_label_file_has_the_split_that_its_folder_is_called_by() -> None:
    files: dict[str, str | bytes] = {"train/a.txt": "0 .5 .5 .1 .1\n"}
    keys = ["testing/x.jpg", "train/a.jpg", "train/b.jpg", "valid/c.jpg", "z/d.jpg"]
    data = dataset(files, [image(key) for key in keys])
    assert [sample.split for sample in data.samples] == ["test", "train", "train", "val", None]
    assert written(data).keys() == files.keys()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_split_of_an_image_without_label_file_is_written(layout: str) -> None:
    files: dict[str, str | bytes] = {**LAYOUTS[layout], "labels/a/1.txt": "0 .5 .5 .1 .1\n"}
    data = dataset(files, [image(key) for key in SPLIT_OF])
    splits = ["train", "val", "val", None]
    samples = [
        msgspec.structs.replace(sample, split=split)
        for sample, split in zip(data.samples, splits, strict=True)
    ]
    new = written(msgspec.structs.replace(data, samples=samples))
    assert "labels/a/2.txt" not in new
    back = dataset(new, [image(key) for key in SPLIT_OF])
    assert [sample.split for sample in back.samples] == splits
    odd = [*samples[:3], msgspec.structs.replace(samples[3], split="extra")]
    assert ("c/4.jpg", "split", 1) in lost(msgspec.structs.replace(data, samples=odd))


def test_rows_of_an_image_that_was_moved_go_with_it() -> None:
    files = {"labels/train/a.txt": "0 .5 .5 .1 .1\n", "labels/train/b.txt": "", "data.yaml": NAMES}
    data = dataset(files, [image("train/a.jpg"), image("train/b.jpg")])
    moved = msgspec.structs.replace(data.samples[0], image=image("val/a.jpg"), split="val")
    new = written(msgspec.structs.replace(data, samples=[moved, data.samples[1]]))
    assert new.keys() == {"labels/val/a.txt", "labels/train/b.txt", "data.yaml"}
    back = dataset(new, [image("train/b.jpg"), image("val/a.jpg")])
    assert [(s.split, len(s.annotations)) for s in back.samples] == [("train", 0), ("val", 1)]


def test_darknet_sets_have_their_rows_beside_the_images() -> None:
    files: dict[str, str | bytes] = {
        "obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
        "obj.names": "cat\ndog\n",
        "train.txt": "data/obj_train_data/a.jpg\n",
        "obj_train_data/a.txt": "1 .5 .5 .1 .1\n",
    }
    data = dataset(files, [image("obj_train_data/a.jpg")])
    assert data.samples[0].split == "train"
    assert data.samples[0].annotations[0].category == Category(id=1, name="dog")
    assert written(through_json(data)) == {path: str(text).encode() for path, text in files.items()}


# Looking like YOLO


def test_what_speaks_for_yolo_says_how_many_files_were_looked_at() -> None:
    files = {f"{number}.txt": "0 .5 .5 .1 .1\n" for number in range(40)}
    assert yolo.sniff(Memory(files)) == "40 .txt files, 10 of the 10 looked at with rows of numbers"
    few = {"a.txt": "0 .5 .5 .1 .1\n", "b.txt": "", "data.yaml": NAMES}
    assert yolo.sniff(Memory(few)) == "2 .txt files, 1 of them with rows of numbers, data.yaml"


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": "0 .5 .5 .1 .1\n"},
        {
            "labels/a.txt": "0 .5 .5 .1 .1\n",
            "labels/b.txt": "",
            "README.txt": "Read me\n",
            "data.yaml": NAMES,
        },
        {"labels/a.txt": "", "data.yaml": NAMES},
        {"a.txt": SQUARE},
        {"labels/test.txt": "0 .5 .5 .1 .1\n"},
        {"a.txt": "0 .5 .5 .1 .1\n0 .5 .5 1.2 .1\n0 x\n0 .5 .5 .1 .1"},
    ],
)
def test_rows_of_numbers_look_like_yolo(files: dict[str, str | bytes]) -> None:
    assert "number" in (yolo.sniff(Memory(files)) or "")


def backgrounds(count: int, labelled: dict[str, str | bytes]) -> dict[str, str | bytes]:
    """A set with many images on which there is nothing, each with its empty file."""
    return {f"labels/{number:05}.txt": "" for number in range(count)} | labelled


class Counting(Memory):
    """A tree that counts how often each file is read."""

    def __init__(self, files: dict[str, str | bytes]) -> None:
        super().__init__(files)
        self.reads: Counter[str] = Counter()

    def read(self, path: str) -> bytes:
        self.reads[path] += 1
        return super().read(path)


@pytest.mark.parametrize("name", ["labels/00000a.txt", "labels/00777a.txt", "labels/z.txt"])
def test_one_labelled_image_among_many_backgrounds_is_found(name: str) -> None:
    files = backgrounds(2000, {name: "0 .1 .1 .3 .1 .3 .3\n"})
    assert "number" in (yolo.sniff(Memory(files)) or "")
    assert yolo.read(Memory(files)).origin.format == "yolo-segment", "and says what its rows are"


def test_a_set_of_backgrounds_only_is_looked_through_once() -> None:
    tree = Counting(backgrounds(2000, {}))
    assert yolo.sniff(tree) is None
    few = sum(tree.reads.values()) - 2000
    assert 0 < few < 20, "those that were looked at first"
    yolo.read(tree, "yolo-detect")
    assert sum(tree.reads.values()) == 2000 + few + 200


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.txt": ""},
        {"label_2/000000.txt": "Car 0.00 0 -1.57 614.2 181.7 727.3 284.7 1.5 1.7 4.1 1.0 1.7 13.2 -1.6\n"},
        {"ImageSets/Main/train.txt": "000001\n000002\n", "Annotations/a.xml": "<annotation/>"},
        {"ImageSets/Main/car_train.txt": "000001 -1\n000002  1\n"},
        {"requirements.txt": "numpy==1.26\n"},
        {"a.txt": "a photo of a cat\n", "b.txt": "two dogs play in the snow\n"},
        {"det.txt": "1,-1,589.14,182.55,51.407,125.08,37.344,-1,-1,-1\n"},
        {"a.txt": "P0: 7.070912000000e+02 0.000000000000e+00 6.018873000000e+02\n"},
        {"tile.txt": "2753.0 2408.0 2861.0 2385.0 2888.0 2468.0 2805.0 2502.0 plane 0\n"},
        {"points.txt": "1 100.5 200.25 300 400\n2 100.5 200.25 300 400\n"},
        {"data.yaml": NAMES},
    ],
)
def test_other_text_does_not(files: dict[str, str | bytes]) -> None:
    assert yolo.sniff(Memory(files)) is None


@pytest.mark.parametrize("name", ["raccoon_voc", "kitti3", "terrain_labelme_coco", "cvat", "label_studio"])
def test_real_sets_in_other_formats_do_not(name: str) -> None:
    assert yolo.sniff(folder(real(name))) is None


def test_an_image_may_be_called_train() -> None:
    files = {"labels/train.txt": "0 .5 .5 .1 .1\n"}
    assert list(yolo.read(Memory(files)).refs()) == ["labels/train.txt"]
    data = dataset(files, [image("train.jpg")])
    assert data.samples[0].annotations
    assert written(through_json(data)).keys() == files.keys()


# Edits


def test_an_edited_number_is_written_anew_and_the_others_keep_their_text() -> None:
    data = one("0 0.50 0.50 0.250000 0.5\n1 .5 .5 .1 .1\n", NAMES)
    moved = edited(data, bbox=(85.0, 25.0, 50.0, 50.0))
    assert written(moved)["a.txt"] == b"0 0.55 0.50 0.250000 0.5\n1 .5 .5 .1 .1\n"
    other = edited(data, category=Category(id=1, name="dog"))
    assert written(other)["a.txt"] == b"1 0.50 0.50 0.250000 0.5\n1 .5 .5 .1 .1\n"


@settings(deadline=None)
@given(box=st.tuples(*[st.floats(0, 200)] * 4), before=st.sampled_from(["0 .5 .5 .1 .1", "0 0 0 0 0"]))
def test_an_edited_box_is_never_overruled_by_the_row_it_came_from(
    box: tuple[float, float, float, float], before: str
) -> None:
    moved = edited(one(before, NAMES), bbox=box)
    again = one(written(moved)["a.txt"], NAMES)
    assert again.samples[0].annotations[0].bbox == pytest.approx(box, abs=1e-6)


def test_a_removed_label_and_a_new_one_are_written() -> None:
    data = one("0 .5 .5 .1 .1\r\n\r\n1 .5 .5 .1 .1\r\n", NAMES)
    sample = data.samples[0]
    new = Annotation(category=data.categories[0], bbox=(0, 0, 20, 10))
    sample = msgspec.structs.replace(sample, annotations=(sample.annotations[1], new))
    text = written(msgspec.structs.replace(data, samples=[sample]))["a.txt"]
    assert text == b"1 .5 .5 .1 .1\r\n\r\n0 0.05 0.05 0.1 0.1\n"


def test_a_changed_score_track_keypoint_or_corner_is_written() -> None:
    score = one("0 .5 .5 .1 .1 0.123456789012\n0 .5 .5 .1 .1 .5\n", NAMES)
    assert written(edited(score, 1, score=1))["a.txt"] == (
        b"0 .5 .5 .1 .1 0.123456789012\n0 .5 .5 .1 .1 1.0\n"
    )
    track = one("0 .5 .5 .1 .1 3\n0 .5 .5 .1 .1 4", NAMES)
    assert written(edited(track, attributes={"track_id": 9}))["a.txt"] == b"0 .5 .5 .1 .1 9\n0 .5 .5 .1 .1 4"
    pose = one("0 .5 .50 .1 .1 .5 .50 2\n", NAMES + "kpt_shape: [1, 3]")
    assert written(edited(pose, keypoints=(100.0, 25.0, 1)))["a.txt"] == b"0 .5 .50 .1 .1 .5 0.25 1\n"
    box = one(SQUARE, NAMES, "yolo-obb")
    corners = OrientedBox(corners=(22.0, 10.0, 60.0, 10.0, 60.0, 30.0, 20.0, 30.0))
    assert written(edited(box, shape=corners))["a.txt"].decode() == SQUARE.replace("0.1", "0.11", 1)


def test_a_renamed_class_and_a_new_split_are_written_and_the_rest_of_data_yaml_stays() -> None:
    yaml = "# ours\npath: .\ntrain: images/train\nval: images/val\nnc: 2\nnames: [cat, no]\nlicence: MIT\n"
    files: dict[str, str | bytes] = {"labels/train/a.txt": "1 .5 .5 .1 .1\n", "data.yaml": yaml}
    data = dataset(files, [image("images/train/a.jpg")])
    renamed = [Category(id=0, name="cat"), Category(id=1, name="off")]
    again = load_yaml(written(msgspec.structs.replace(data, categories=renamed))["data.yaml"].decode())
    assert again["names"] == ["cat", "off"]
    assert (again["licence"], again["train"], again["path"]) == ("MIT", "images/train", ".")
    other = msgspec.structs.replace(data.samples[0], split="test")
    out = written(msgspec.structs.replace(data, samples=[other]))
    assert load_yaml(out["data.yaml"].decode())["test"] == "images/train"
    assert out["labels/train/a.txt"] == b"1 .5 .5 .1 .1\n"


def test_a_renamed_class_of_classes_txt_is_written_there() -> None:
    data = dataset({"labels/a.txt": "1 .5 .5 .1 .1\n", "classes.txt": "cat\ndog\n"}, [image()])
    renamed = [Category(id=0, name="cat"), Category(id=3, name="wolf")]
    kept = edited(msgspec.structs.replace(data, categories=renamed), category=renamed[1])
    assert written(kept) == {"labels/a.txt": b"3 .5 .5 .1 .1\n", "classes.txt": b"cat\n\n\nwolf\n"}


# From other formats

CAT, DOG = Category(id=3, name="cat"), Category(id=17, name="no")


def foreign(*samples: Sample, categories: tuple[Category, ...] = (CAT, DOG)) -> Dataset:
    return Dataset(samples=list(samples), categories=list(categories))


def test_another_format_becomes_a_set_that_reads_back_the_same() -> None:
    boxes = (
        Annotation(category=DOG, bbox=(10, 20, 30.5, 40)),
        Annotation(category=CAT, bbox=(0.1, 0.2, 1e-4, 3)),
    )
    data = foreign(
        Sample(image=image("train/a.jpg", 640, 480), annotations=boxes, split="train"),
        Sample(image=image("val/é.png", 640, 480), split="val"),
    )
    out = written(data)
    assert out.keys() == {"data.yaml", "labels/train/a.txt", "labels/val/é.txt"}
    assert (
        out["labels/train/a.txt"].decode().splitlines()[0]
        == "1 0.039453125 0.08333333333 0.04765625 0.08333333333"
    )
    assert b"e" not in out["labels/train/a.txt"]
    assert load_yaml(out["data.yaml"].decode()) == {
        "train": "images/train",
        "val": "images/val",
        "task": "detect",
        "names": ["cat", "no"],
    }
    again = dataset(dict(out), [s.image for s in data.samples])
    assert [s.split for s in again.samples] == ["train", "val"]
    for before, after in zip(boxes, again.samples[0].annotations, strict=True):
        assert after.bbox == pytest.approx(before.bbox, abs=1e-6)
        assert before.category and after.category and before.category.name == after.category.name
    assert lost(data) == [("the data set", "id", 2)]


def test_splits_that_share_a_folder_become_lists() -> None:
    data = foreign(
        Sample(image=image("a.jpg"), split="train"),
        Sample(image=image("b.jpg"), split="test"),
        Sample(image=image("c.jpg")),
    )
    out = written(data)
    assert out["train.txt"] == b"./images/a.jpg\n"
    assert out["test.txt"] == b"./images/b.jpg\n"
    again = dataset(dict(out), [s.image for s in data.samples])
    assert [s.split for s in again.samples] == ["train", "test", None]


@pytest.mark.parametrize(
    ("key", "path", "train"),
    [
        ("a.jpg", "labels/a.txt", "images"),
        ("x/a.b.jpg", "labels/x/a.b.txt", "images/x"),
        ("images/x/a.jpg", "labels/x/a.txt", "images/x"),
        ("x/images/a.jpg", "x/labels/a.txt", "x/images"),
    ],
)
def test_labels_lie_where_ultralytics_looks_for_them(key: str, path: str, train: str) -> None:
    out = written(foreign(Sample(image=image(key), split="train")))
    assert out.keys() == {"data.yaml", path}
    assert load_yaml(out["data.yaml"].decode())["train"] == train


def test_class_numbers_that_fit_already_stay() -> None:
    categories = (Category(id=1, name="b"), Category(id=0, name="a"))
    data = foreign(
        Sample(image=image(), annotations=(Annotation(category=categories[0], bbox=(0, 0, 20, 10)),)),
        categories=categories,
    )
    out = written(data)
    assert out["labels/a.txt"] == b"1 0.05 0.05 0.1 0.1\n"
    assert load_yaml(out["data.yaml"].decode())["names"] == ["a", "b"]
    assert not lost(data)


KEYPOINTS = Annotation(category=CAT, bbox=(0, 0, 20, 10), keypoints=(10, 5, 2, 0, 0, 0))
POLYGON = Annotation(category=CAT, bbox=(0, 0, 20, 10), polygons=((0, 0, 20, 0, 20, 10),))
CORNERS = Annotation(category=CAT, shape=OrientedBox(corners=(10, 0, 20, 5, 10, 10, 0, 5)))
BOX = Annotation(category=CAT, bbox=(0, 0, 20, 10))


@pytest.mark.parametrize(
    ("label", "task", "row"),
    [
        (KEYPOINTS, "pose", "0 0.05 0.05 0.1 0.1 0.05 0.05 2 0 0 0"),
        (POLYGON, "segment", "0 0 0 0.1 0 0.1 0.1"),
        (CORNERS, "obb", "0 0.05 0 0.1 0.05 0.05 0.1 0 0.05"),
        (BOX, "detect", "0 0.05 0.05 0.1 0.1"),
    ],
)
def test_the_task_is_picked_by_what_is_there_and_reads_back(label: Annotation, task: str, row: str) -> None:
    data = foreign(Sample(image=image(), annotations=(label,)), categories=(CAT,))
    out = written(data)
    assert out["labels/a.txt"].decode() == row + "\n"
    assert [field for _, field, _ in lost(data)] == ["id"]
    again = dataset(dict(out), [image()])
    assert again.origin and again.origin.format == f"yolo-{task}"
    after = again.samples[0].annotations[0]
    assert (after.keypoints, after.polygons, after.shape) == (label.keypoints, label.polygons, label.shape)
    assert written(through_json(again)) == out


def test_a_score_is_a_sixth_column_of_boxes() -> None:
    data = foreign(
        Sample(image=image(), annotations=(msgspec.structs.replace(BOX, score=1),)), categories=(CAT,)
    )
    assert written(data)["labels/a.txt"] == b"0 0.05 0.05 0.1 0.1 1.0\n"
    assert lost(data, "yolo-pose")[-1] == ("a.jpg", "score", 1)


def test_several_parts_become_one_outline_of_the_same_area() -> None:
    parts = ((0, 0, 20, 0, 20, 10, 0, 10), (40, 0, 60, 0, 60, 10, 40, 10), (80, 0, 90, 0, 90, 10, 80, 10))
    data = foreign(Sample(image=image(), annotations=(Annotation(category=CAT, polygons=parts),)))
    (row,) = written(data)["labels/a.txt"].decode().splitlines()
    values = [float(token) for token in row.split()[1:]]
    points = list(zip((x * 200 for x in values[::2]), (y * 100 for y in values[1::2]), strict=True))
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, points[1:] + points[:1], strict=True)) / 2
    assert area == pytest.approx(200 + 200 + 100)
    assert ("a.jpg", "polygon parts", 1) in lost(data)


@pytest.mark.parametrize(
    ("label", "variant", "fields"),
    [
        (POLYGON, "yolo-detect", ["polygons"]),
        (BOX, "yolo-segment", ["bbox"]),
        (BOX, "yolo-obb", ["bbox"]),
        (KEYPOINTS, "yolo-detect", ["keypoints"]),
        (Annotation(category=CAT, mask=RLE(size=(100, 200), counts="0")), None, ["mask"]),
        (Annotation(category=CAT, bbox=(0, 0, 1, 1), crowd=True), None, ["crowd", "bbox"]),
        (Annotation(category=CAT), None, ["image labels"]),
        (Annotation(bbox=(0, 0, 1, 1)), None, ["no category", "bbox"]),
        (Annotation(caption="a cat"), None, ["caption"]),
        (msgspec.structs.replace(BOX, attributes={"pose": "Left"}), None, ["attributes"]),
        (msgspec.structs.replace(BOX, attributes={"track_id": 5}), None, []),
        (msgspec.structs.replace(BOX, attributes={"track_id": 1}), None, ["attributes"]),
        (msgspec.structs.replace(BOX, attributes={"track_id": 5}, score=0.5), None, ["attributes"]),
        (msgspec.structs.replace(POLYGON, bbox=(0, 0, 50, 50)), None, ["bbox"]),
        (msgspec.structs.replace(BOX, id=7, status="suggestion"), None, ["status", "id"]),
    ],
)
def test_what_a_row_cannot_hold_is_listed(label: Annotation, variant: str | None, fields: list[str]) -> None:
    data = foreign(Sample(image=image(), annotations=(label,)), categories=(Category(id=0, name="x"),))
    label_losses = [field for where, field, _ in lost(data, variant) if where == "a.jpg"]
    assert label_losses == fields


def test_two_images_of_one_stem_cannot_both_have_their_labels() -> None:
    first = Sample(image=image("a.jpg"), annotations=(BOX,))
    data = foreign(first, Sample(image=image("a.png"), annotations=(KEYPOINTS, BOX)))
    assert ("a.png", "bbox", 2) in lost(data)
    assert written(data, "yolo-detect")["labels/a.txt"] == b"0 0.05 0.05 0.1 0.1\n"
    same = foreign(first, Sample(image=image("a.png"), annotations=(BOX,)))
    assert [field for _, field, _ in lost(same)] == ["id"]


def test_labels_of_an_image_without_size_are_listed_and_left_out() -> None:
    data = foreign(Sample(image=image(width=None, height=None), annotations=(BOX,)), categories=(CAT,))
    assert ("a.jpg", "bbox", 1) in lost(data)
    assert written(data).keys() == {"data.yaml"}


def test_a_yolo_set_of_one_task_becomes_one_of_another_in_the_same_folders() -> None:
    files: dict[str, str | bytes] = {
        "train/labels/a.txt": "1 .1 .1 .3 .1 .3 .3\nbroken\n",
        "data.yaml": "names: [cat, no]\ntrain: ../train/images\nval: ../valid/images\n",
    }
    data = dataset(files, [image("train/images/a.jpg")])
    out = written(data, "yolo-detect")
    assert out["train/labels/a.txt"] == b"1 0.2 0.2 0.2 0.2\n"
    again = load_yaml(out["data.yaml"].decode())
    assert again == {
        "names": ["cat", "no"],
        "train": "../train/images",
        "val": "../valid/images",
        "task": "detect",
    }
    assert [field for _, field, _ in lost(data, "yolo-detect")] == ["polygons"]


def test_a_new_image_has_its_labels_beside_those_of_its_neighbours() -> None:
    data = dataset({"labels/a.txt": "0 .5 .5 .1 .1\n", "data.yaml": NAMES}, [image("a.jpg")])
    new = Sample(
        image=image("b.jpg"), annotations=(Annotation(category=data.categories[0], bbox=(0, 0, 20, 10)),)
    )
    out = written(msgspec.structs.replace(data, samples=[*data.samples, new]))
    assert out["labels/b.txt"] == b"0 0.05 0.05 0.1 0.1\n"


def test_a_real_coco_set_keeps_each_box_in_yolo() -> None:
    (path,) = real("visdrone50_coco").glob("*.json")
    document = msgspec.json.decode(path.read_bytes())
    categories = {c["id"]: Category(id=c["id"], name=c["name"]) for c in document["categories"]}
    boxes: dict[int, list[tuple[int, list[float]]]] = {one["id"]: [] for one in document["images"]}
    for record in document["annotations"]:
        boxes[record["image_id"]].append((record["category_id"], record["bbox"]))
    samples = [
        Sample(
            image=Image(key=one["file_name"], width=one["width"], height=one["height"]),
            annotations=tuple(
                Annotation(category=categories[number], bbox=(box[0], box[1], box[2], box[3]))
                for number, box in boxes[one["id"]]
            ),
        )
        for one in document["images"]
    ]
    out = written(foreign(*samples, categories=tuple(categories.values())))
    again = dataset(dict(out), [sample.image for sample in samples])
    assert len(out) == 50 + 1
    assert sum(out[path].count(b"\n") for path in out if path.endswith(".txt")) == 3326
    assert names(again) == {number: category.name for number, category in categories.items()}
    for one, sample in zip(document["images"], again.samples, strict=True):
        expected = boxes[one["id"]]
        assert [a.category and a.category.id for a in sample.annotations] == [
            number for number, _ in expected
        ]
        for (_, box), annotation in zip(expected, sample.annotations, strict=True):
            assert annotation.bbox == pytest.approx(box, abs=1e-6)


# A pack may have been written by anybody

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FILES = st.sampled_from(["data.yaml", "classes.txt", "../x", "train.txt", "obj.data"])
NOTES = st.fixed_dictionaries(
    {},
    optional={
        "path": JSON | st.just("../../a.txt"),
        "rows": JSON | st.lists(st.tuples(st.integers(), st.text(max_size=5)).map(list), max_size=3),
        "end": JSON,
        "eol": JSON,
        "bom": JSON,
        "encoding": JSON | st.just("latin-1"),
    },
)


@settings(deadline=None)
@given(
    notes=JSON | NOTES,
    row=JSON | st.just("0 .5 .5 .1 .1"),
    files=st.dictionaries(
        st.sampled_from(["data.yaml", "classes.txt", "../x", "train.txt"]), st.text(), max_size=3
    ),
    extra=st.dictionaries(st.sampled_from(["tail", "kpt_shape"]), JSON, max_size=2),
    task=st.sampled_from(yolo.VARIANTS),
    variant=st.sampled_from([None, *yolo.VARIANTS]),
)
def test_whatever_an_origin_says_writing_never_fails_nor_leaves_its_folder(
    notes: object,
    row: object,
    files: dict[str, str],
    extra: dict[str, object],
    task: str,
    variant: str | None,
) -> None:
    label = msgspec.structs.replace(KEYPOINTS, origin=row, polygons=POLYGON.polygons, shape=CORNERS.shape)
    data = msgspec.structs.replace(
        foreign(Sample(image=image(), annotations=(label,), origin=notes)),
        origin=Origin(format=task, files=files, extra=extra),
    )
    out = written(data, variant)
    assert not any(path.startswith((".", "/")) for path in out)
    assert lost(data, variant)


@pytest.mark.parametrize(
    ("annotations", "task"),
    [
        ([BOX, BOX, CORNERS], "detect"),
        ([BOX, POLYGON, POLYGON, CORNERS], "segment"),
        ([BOX, POLYGON, CORNERS], "segment"),
        ([BOX, CORNERS], "obb"),
        ([CORNERS, KEYPOINTS, KEYPOINTS], "pose"),
        ([BOX, BOX, KEYPOINTS], "detect"),
        ([BOX, msgspec.structs.replace(POLYGON, crowd=True), Annotation(category=CAT)], "detect"),
        ([], "detect"),
    ],
)
def test_the_task_is_the_one_that_holds_most_labels(annotations: list[Annotation], task: str) -> None:
    for order in (annotations, annotations[::-1]):
        data = Dataset(samples=[Sample(image=image(), annotations=tuple(order))], categories=[CAT])
        assert f"task: {task}\n" in written(data)["data.yaml"].decode()


@pytest.mark.parametrize("number", [b"0.5 ", b"1 ", b"\xff"])
def test_a_row_without_end_is_listed_and_kept_and_costs_little(number: bytes) -> None:
    data = b"0 .5 .5 .1 .1\n0 " + number * (20_000_000 // len(number)) + b"\n0 .4 .4 .1 .1\n"
    images = [Image(key="a.jpg", width=9, height=9)]
    read({"a.txt": b"0 .5 .5 .1 .1\n"}, images)  # loads what is loaded once
    tracemalloc.start()
    try:
        found, problems = read({"a.txt": data}, images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ("labels/a.txt:2", "row-too-long") in problems
    assert len(found.samples[0].annotations) == 2
    assert b"".join(dict(yolo.write(found))["a.txt"]) == data
    assert peak < 6 * len(data)
