"""CSV: rows kept as text, columns found by their header, and nothing guessed."""

import csv as standard
import io
import random
import time
import tracemalloc
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.strategies import datasets
from tests.trees import Memory, real

from xlabel.errors import InputError
from xlabel.formats import csv, csv_text
from xlabel.formats.labels import DocumentLabels
from xlabel.model import Annotation, Category, Dataset, Image, Points, Sample

replace = msgspec.structs.replace

TENSORFLOW = """filename,width,height,class,xmin,ymin,xmax,ymax
a.jpg,640,480,cat,1,2,30.50,40
b.jpg,640,480,dog,1,2,3,4
a.jpg,640,480,dog,5,6,7,8
"""
ROBOFLOW = {
    "train/_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,cat,1,2,3,4\n",
    "valid/_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,cat,2,2,3,4\n",
}
RETINANET = {
    "train.csv": "x/a.jpg,837,346,981,456,cow\nb.jpg,,,,,\n",
    "val.csv": "c.jpg,1,2,3,4,cat\n",
    "classes.csv": "cat,0\ncow,1\nbird,2\n",
}
WHEAT = 'image_id,width,height,bbox,source\nb6ab,99,99,"[83.0, 22.0, 5.0, 6.0]",usask_1\nc7,99,99,,\n'
OURS = """image,width,height,image_id,split,image_extra,id,category,category_id,x,y,w,h,polygons,mask,\
keypoints,shape,crowd,area,score,status,caption,attributes,author,time,source,extra
a.jpg,9,9,3,train,"{""lens"":50}",7,cat,17,1,2,3,4,"[[1,2,4,2,4,6]]","{""size"":[9,9],""counts"":""a2""}","[1,2,2]",\
"{""kind"":""points"",""points"":[1,2]}",1,6.50,0.5,accepted,"a ""cat"", sitting","{""wet"":true}",ann,noon,\
"{""kind"":""model"",""name"":""m""}",\
"{""z"":1}"
b.jpg,9,9,,,,,,,,,,,,,,,,,,,,,,,,
"""
SEMICOLONS = 'filename;class;xmin;ymin;xmax;ymax\r\n\r\na.jpg;"c;t";1;2;3;4\r\nb.jpg;dog;1;2;3;4'
EXAMPLES: dict[str, dict[str, str]] = {
    "tensorflow": {"a.csv": TENSORFLOW},
    "roboflow": ROBOFLOW,
    "retinanet": RETINANET,
    "classes": {"x.csv": "image,label\na.jpg,cat\na.jpg,dog\nb.jpg,\n"},
    "wheat": {"train.csv": WHEAT},
    "make sense": {"labels.csv": "cat,1,2,3,4,a.jpg,100,90\n"},
    "ours": {"labels.csv": OURS},
    "ours with categories": {
        "categories.csv": "id,name,supercategory\n17,cat,pet\n18,dog,\n",
        "labels.csv": "image,category,category_id\na.jpg,cat,17\n",
    },
    "semicolons, a BOM, CRLF, a blank line, no end": {"a.csv": "\ufeff" + SEMICOLONS},
    "tabs": {"a.tsv": TENSORFLOW.replace(",", "\t")},
    "old Mac": {"a.csv": TENSORFLOW.replace("\n", "\r")},
    "ends of both kinds": {"a.csv": "image,label\r\na.jpg,cat\nb.jpg,dog\r\n\n\r\n"},
    "quotes everywhere": {"a.csv": '"image","label"\n"a.jpg","c""a\nt"\n"b.jpg","dog"\n'},
    "other columns": {"a.csv": "image,label,Reader\na.jpg,cat,R1\nb.jpg,dog,\n"},
    "odd numbers": {"a.csv": "image,label,xmin,ymin,xmax,ymax\na.jpg,c,1.0,+2,3e1,04\n"},
    "words for splits": {"a.csv": "image,label,subset\na.jpg,c,TRAIN\nb.jpg,c,valid\nc.jpg,c,fold 3\n"},
}


def opened(files: dict[str, str] | str, variant: str | None = None) -> DocumentLabels:
    return csv.read(Memory({"a.csv": files} if isinstance(files, str) else files), variant)


def dataset(files: dict[str, str] | str, variant: str | None = None) -> Dataset:
    labels = opened(files, variant)
    return Dataset(samples=labels.samples, categories=labels.categories, origin=labels.origin)


def written(data: Dataset, variant: str | None = None) -> dict[str, str]:
    return {path: b"".join(chunks).decode() for path, chunks in csv.write(data, variant)}


def edited(data: Dataset, change: Callable[[Sample], Sample], index: int = 0) -> Dataset:
    samples = list(data.samples)
    samples[index] = change(samples[index])
    return replace(data, samples=samples)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_untouched_table_is_written_again_to_the_byte(name: str) -> None:
    labels = opened(EXAMPLES[name])
    assert labels.problems == []
    data = dataset(EXAMPLES[name])
    assert written(data) == EXAMPLES[name]
    travelled = msgspec.json.decode(msgspec.json.encode(data), type=Dataset)
    assert written(travelled) == EXAMPLES[name]
    assert written(replace(travelled, samples=travelled.samples[::-1])) == EXAMPLES[name]
    assert list(csv.losses(data)) == []
    assert csv.sniff(Memory(EXAMPLES[name]))


def test_a_tensorflow_table_has_corners() -> None:
    data = dataset(TENSORFLOW)
    assert data.origin is not None
    assert data.origin.format == "csv-tensorflow"
    a, b = data.samples
    assert (a.image.key, a.image.width, a.image.height) == ("a.jpg", 640, 480)
    assert [label.bbox for label in a.annotations] == [(1, 2, 29.5, 38), (5, 6, 2, 2)]
    assert [label.category for label in b.annotations] == [Category(id=2, name="dog")]
    assert isinstance(b.annotations[0].bbox and b.annotations[0].bbox[2], int)


def test_tables_in_the_folders_of_splits_name_the_images_beside_them() -> None:
    data = dataset(ROBOFLOW)
    assert [(s.image.key, s.split) for s in data.samples] == [
        ("train/a.jpg", "train"),
        ("valid/a.jpg", "val"),
    ]


def test_a_retinanet_table_has_no_header_and_its_classes_beside_it() -> None:
    data = dataset(RETINANET)
    assert [(c.id, c.name) for c in data.categories] == [(0, "cat"), (1, "cow"), (2, "bird")]
    assert [(s.image.key, s.split, len(s.annotations)) for s in data.samples] == [
        ("x/a.jpg", "train", 1),
        ("b.jpg", "train", 0),
        ("c.jpg", "val", 1),
    ]
    assert data.samples[0].annotations[0].bbox == (837, 346, 144, 110)


def test_a_box_in_one_cell_is_corner_and_size() -> None:
    [wheat, empty] = dataset(WHEAT).samples
    assert wheat.annotations[0].bbox == (83.0, 22.0, 5.0, 6.0)
    assert wheat.annotations[0].extra == {"source": "usask_1"}
    assert (wheat.image.key, empty.annotations) == ("b6ab", ())


def test_our_own_columns_hold_every_field() -> None:
    a, b = dataset(OURS).samples
    [label] = a.annotations
    assert a.image == Image(key="a.jpg", width=9, height=9, id=3, extra={"lens": 50})
    assert a.split == "train"
    assert label.category == Category(id=17, name="cat")
    assert label.shape == Points((1, 2))
    assert (label.bbox, label.polygons, label.keypoints) == ((1, 2, 3, 4), ((1, 2, 4, 2, 4, 6),), (1, 2, 2))
    assert (label.crowd, label.area, label.score, label.status) == (True, 6.5, 0.5, "accepted")
    assert (label.caption, label.attributes) == ('a "cat", sitting', {"wet": True})
    assert (label.author, label.time, label.id, label.extra) == ("ann", "noon", 7, {"z": 1})
    assert b.annotations == ()


def test_a_mask_whose_lengths_do_not_fit_its_size_is_a_problem() -> None:
    labels = opened(OURS.replace('""counts"":""a2""', '""counts"":""0""'))
    assert [(problem.where, problem.code) for problem in labels.problems] == [("labels/a.csv:2", "bad-row")]
    assert "add up to 0, not to 9x9" in labels.problems[0].message


def test_the_boxes_of_a_real_set_are_those_of_its_own_files() -> None:
    table, expected = io.StringIO(), []
    writer = standard.writer(table)
    writer.writerow(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"])
    for path in sorted(real("raccoon_voc").rglob("*.xml")):
        root = ElementTree.parse(path).getroot()
        for thing in root.iter("object"):
            texts = [thing.findtext(f"bndbox/{name}") or "" for name in ("xmin", "ymin", "xmax", "ymax")]
            head = [root.findtext(name) for name in ("filename", "size/width", "size/height")]
            writer.writerow([*head, thing.findtext("name"), *texts])
            left, top, right, bottom = map(int, texts)
            expected.append((left, top, right - left, bottom - top))
    data = dataset(table.getvalue())
    assert (len(data.samples), len(expected)) == (200, 217)
    assert sorted(a.bbox for s in data.samples for a in s.annotations if a.bbox) == sorted(expected)
    assert written(data)["a.csv"] == table.getvalue()


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("image,label,x,y,w,h\na.jpg,c,10,10,5,5\n", ("csv-xywh", "csv-cxcywh")),
        ("name,file,x,y,width,height,class\nq,a.jpg,10,10,5,5,c\n", ("csv-xywh", "csv-cxcywh")),
        ('image,label,bbox\na.jpg,c,"[1,2,3,4]"\n', ("csv-xywh", "csv-xyxy")),
        ("a.jpg,10,10,5,5,c\n", ("csv-xywh", "csv-xyxy")),
    ],
)
def test_numbers_that_may_mean_two_things_are_refused_with_both(text: str, readings: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        opened(text)
    assert all(f"--from {reading}" in str(caught.value) for reading in readings)
    assert csv.sniff(Memory({"a.csv": text}))
    boxes = {opened(text, reading).samples[0].annotations[0].bbox for reading in readings}
    assert len(boxes) == 2


@pytest.mark.parametrize(
    ("text", "bbox"),
    [
        ("image,label,x,y,w,h\na.jpg,c,1,1,5,5\n", (1, 1, 5, 5)),
        ("file,width,height,label,cx,cy,w,h\na.jpg,9,9,c,4,4,2,4\n", (3, 2, 2, 4)),
        ("file,image_width,image_height,label,x,y,w,h\na.jpg,9,9,c,7,7,4,4\n", (5, 5, 4, 4)),
        ('image,label,bbox\na.jpg,c,"[8,8,3,3]"\n', (8, 8, 3, 3)),
        ('image,width,height,label,bbox\na.jpg,9,9,c,"5 ,5, 7,7"\n', (5, 5, 2, 2)),
        ("image,category,x,y,w,h\na.jpg,c,10,10,5,5\n", (10, 10, 5, 5)),
    ],
)
def test_the_one_reading_that_fits_every_row_is_taken(text: str, bbox: tuple[int, ...]) -> None:
    assert opened(text).samples[0].annotations[0].bbox == bbox


def test_no_width_is_taken_for_a_corner() -> None:
    with pytest.raises(InputError, match="say which"):
        opened("image,label,x,y,w,h\na.jpg,c,10,10,5,5\n", "csv-xyxy")


def test_boxes_from_0_to_1_are_not_taken_for_pixels() -> None:
    with pytest.raises(InputError, match="parts of the image's size"):
        opened("ImageID,LabelName,XMin,XMax,YMin,YMax\nabc,/m/1,0.1,0.2,0.3,0.4\n")


@pytest.mark.parametrize("text", ["", "\n\n", "epoch,loss\n1,2\n", "a;b;c", "\0", "image\xff"])
def test_other_tables_are_not_claimed(text: str) -> None:
    assert csv.sniff(Memory({"results.csv": text})) is None
    with pytest.raises(InputError, match="expected a CSV table"):
        opened(text)


def test_rows_without_header_that_name_images_ask_for_one() -> None:
    with pytest.raises(InputError, match=r"a\.csv:1: expected a header"):
        opened("a.jpg,3\nb.jpg,4\n")


def test_tables_of_something_else_are_left_alone() -> None:
    assert len(opened({"a.csv": TENSORFLOW, "results.csv": "epoch,loss\n1,2\n"}).samples) == 2


def test_a_broken_row_is_a_problem_and_the_rest_is_read() -> None:
    labels = opened(
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "a.jpg,9,9,cat,1,2,x,4\n"
        "a.jpg,9,9,cat,1,2,3\n"
        '"a.jpg,9,9,cat,1,2,3,4\n'
        "a.jpg,0,9,cow,1,2,3,4\n"
        ",9,9,cat,1,2,3,4\n"
        "a.jpg,9,9,cat,1,2,1e999,4\n"
        "a.jpg,9,9,cat,1,nan,3,4\n"
        f"a.jpg,9,9,cat,1,2,3,{'9' * 5000}\n"
        "a.jpg,9,9,cat,1_0,2,3,4\n"
        "a\0.jpg,9,9,cat,1,2,3,4\n"
        'b.jpg,9,9,"d\nog",1,2,3,4\n'
        "b.jpg,8,9,cat,,,,4\n"
        "c.jpg,9,9,dog,1,2,3,4\n"
    )
    assert [problem.where for problem in labels.problems] == [
        f"labels/a.csv:{line}" for line in (*range(2, 12), 14)
    ]
    assert {problem.code for problem in labels.problems} == {"bad-row"}
    assert "column xmax, got 'x'" in labels.problems[0].message
    assert "expected 8 cells, got 7" in labels.problems[1].message
    assert [sample.image.key for sample in labels.samples] == ["b.jpg", "c.jpg"]
    assert [category.name for category in labels.categories] == ["d\nog", "dog"]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("polygons", "[[1,2,3]]"),
        ("polygons", "[[1,2,1e300,4]]"),
        ("polygons", "[" * 100_000),
        ("mask", '{"size":[1],"counts":"0"}'),
        ("keypoints", "[1,2]"),
        ("shape", '{"kind":"star"}'),
        ("shape", '{"kind":"circle","x":1e300,"y":1,"radius":1}'),
        ("crowd", "maybe"),
        ("score", "Infinity"),
        ("status", "done"),
        ("attributes", "[1]"),
        ("extra", '{"a":' * 100_000),
    ],
)
def test_a_cell_of_ours_that_holds_something_else_is_a_problem(column: str, cell: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    labels = opened(f"image,category,{column}\na.jpg,cat,{quoted}\nb.jpg,cat,\n")
    [problem] = labels.problems
    assert (problem.where, problem.code) == ("labels/a.csv:2", "bad-row")
    assert f"in column {column}" in problem.message
    assert len(problem.message) < 300
    assert [sample.image.key for sample in labels.samples] == ["b.jpg"]


def test_a_line_that_is_not_utf8_is_a_problem() -> None:
    labels = csv.read(Memory({"a.csv": b"image,label\na.jpg,stra\xdfe\nb.jpg,road\n"}))
    assert [(p.where, p.code) for p in labels.problems] == [("labels/a.csv:2", "not-utf8")]
    assert [sample.image.key for sample in labels.samples] == ["b.jpg"]


def test_rows_that_no_label_has_come_back_where_they_stood() -> None:
    source = (
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "a.jpg,9,9,cat,1,2,x,4\n"
        "a.jpg,9,9,cat,1,2,3,4\n"
        "a.jpg,9,9,cat\n"
        "a.jpg,9,9,dog,1,2,3,4\n"
        "a.jpg,9,9,,,,,\n"
        "\n"
        "b.jpg,9,9,,,,,\n"
        "c.jpg,9,9,cat,5,6,7,8\n"
        "b.jpg,9,9,dog,1,2,3,4\n"
        "b.jpg,9,9,cat,1,2,3,4\n"
        '"c.jpg,9,9,cat,5,6,7,8'
    )
    second = "filename,width,height,class,xmin,ymin,xmax,ymax\nd.jpg,9,9,cat,1,2,x,4\nb.jpg,9,9,cat,0,0,7,8\n"
    files = {"a.csv": source, "b.csv": second}
    labels = opened(files)
    assert [problem.where.removeprefix("labels/") for problem in labels.problems] == [
        "a.csv:2", "a.csv:4", "a.csv:6", "a.csv:10", "a.csv:12", "b.csv:2",
    ]  # fmt: skip
    assert [(s.image.key, len(s.annotations)) for s in labels.samples] == [
        ("a.jpg", 2), ("b.jpg", 3), ("c.jpg", 1),
    ]  # fmt: skip
    travelled = msgspec.json.decode(msgspec.json.encode(dataset(files)), type=Dataset)
    assert written(travelled) == files
    assert written(replace(travelled, samples=travelled.samples[::-1])) == files


def test_one_id_for_two_categories_is_a_problem() -> None:
    labels = opened("image,category,category_id\na.jpg,cat,1\nb.jpg,dog,1\n")
    assert [(p.where, p.code) for p in labels.problems] == [("labels/a.csv:3", "bad-row")]


def test_a_second_size_and_a_needless_row_are_problems() -> None:
    labels = opened(
        "filename,width,height,class\na.jpg,9,9,cat\na.jpg,8,9,cat\na.jpg,9,9,\nb.jpg,9,9,\nb.jpg,9,9,cat\n"
    )
    assert [(p.where, p.code) for p in labels.problems] == [
        ("labels/a.csv:3", "size-twice"),
        ("labels/a.csv:4", "empty-row"),
        ("labels/a.csv:6", "empty-row"),
    ]
    assert [len(sample.annotations) for sample in labels.samples] == [2, 1]


@pytest.mark.parametrize(
    "text",
    [
        'image,label\n"' + "a" * 3_000_000,
        "image,label\n" + '"a\n' * 100_001,
        "image,label\n" + '"' * 1_000_001,
        "image,label\n" + ',"""x' * 200_000,
        "image,label\n" + '"",' * 1_000_000,
        "image,label," + "," * 1_000_000 + "\n" + "," * 1_000_000,
        "image,label\n" + "\n" * 1_000_000,
        "image,label\n" + "\r\n\r" * 300_000,
    ],
)
def test_huge_cells_and_open_quotes_do_not_hang(text: str) -> None:
    began = time.process_time()
    opened(text)
    assert time.process_time() - began < 10


@given(
    table=st.lists(st.lists(st.text('ab,;"\n\t é'), min_size=2, max_size=4), min_size=1, max_size=4),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    every=st.booleans(),
)
def test_cells_are_those_of_the_standard_library(
    table: list[list[str]], delimiter: str, end: str, every: bool
) -> None:
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = standard.QUOTE_ALL if every else standard.QUOTE_MINIMAL
    standard.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(table)
    found = csv_text.rows(text.getvalue(), 0, end, delimiter)
    assert [[csv_text.plain(cell) for cell in cells or ()] for _, _, cells, _ in found] == table


HEADERS = (
    TENSORFLOW.partition("\n")[0],
    "image,label",
    "image,category,x,y,w,h,score,extra",
    "image_id,width,height,bbox,source",
    "file;label;iscrowd;Reader",
    "image,category_id,category,split",
    "image,category,polygons,attributes,id,image_id,image_extra",
    "a.jpg,1,2,3,4,cat",
)
CELLS = ["", "a.jpg", "b.jpg", "1", "30.5", "cat", "0", "train", "x", "9" * 30, "1e5", "-3"]
QUOTED = ['"[1,2,3,4]"', '"x ""y"""', '"{""a"":1}"', '"[[1,2,3,4]]"', '"a\nb"']


@settings(max_examples=300)
@given(
    head=st.sampled_from(HEADERS),
    rows=st.lists(st.lists(st.sampled_from(CELLS + QUOTED), min_size=8, max_size=8), max_size=6),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    first=st.sampled_from(["", "\ufeff"]),
    last=st.booleans(),
)
def test_any_table_without_problems_comes_back_to_the_byte(
    head: str, rows: list[list[str]], end: str, first: str, last: bool
) -> None:
    delimiter = ";" if ";" in head else ","
    lines = [delimiter.join(["a.jpg", *row][: head.count(delimiter) + 1]) for row in rows]
    text = first + end.join([head, *lines]) + (end if last else "")
    try:
        labels = opened(text)
    except InputError:
        return
    data = Dataset(samples=labels.samples, categories=labels.categories, origin=labels.origin)
    if not labels.problems:
        assert written(data) == {"a.csv": text}
    back = dataset(written(data))
    assert (bare(back), back.categories) == (bare(data), data.categories)


def bare(data: Dataset) -> list[tuple[Image, str | None, list[Annotation]]]:
    """The samples without what only CSV's own code reads."""
    return [(s.image, s.split, [replace(a, origin=None) for a in s.annotations]) for s in data.samples]


# Edits


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    one=datasets(),
    other=datasets(),
    variant=st.sampled_from([None, "csv-xyxy", "csv-tensorflow", "csv-classes"]),
    chance=st.randoms(),
)
def test_any_edit_is_written_as_edited(
    one: Dataset, other: Dataset, variant: str | None, chance: random.Random
) -> None:
    try:
        data = dataset(written(one, variant), variant)
    except InputError:  # the variant holds nothing of it
        return
    categories = {c.id: c for c in data.categories} | {c.id + 200: c for c in other.categories}
    named = [replace(category, id=number) for number, category in categories.items()]
    new = [replace(a, category=chance.choice(named)) for s in other.samples for a in s.annotations]
    for index, sample in enumerate(data.samples):
        labels = [label for label in sample.annotations if chance.random() < 0.7]
        for label in new:
            if chance.random() < 0.5:
                labels.insert(chance.randrange(len(labels) + 1), label)
        split = chance.choice([None, "train", "val", "fold 1", *[sample.split] * 5])
        data.samples[index] = replace(sample, annotations=tuple(labels), split=split)
    data = replace(data, categories=named)
    assert list(csv.losses(data)) == []
    found = opened(written(data), variant)
    assert found.problems == []
    back = {s.image.key: s for s in found.samples}
    assert bare(replace(data, samples=[back[s.image.key] for s in data.samples])) == bare(data)
    assert found.categories == data.categories


def test_an_edited_box_changes_its_own_cells_alone() -> None:
    data = edited(
        dataset(TENSORFLOW),
        lambda s: replace(
            s, annotations=(replace(s.annotations[0], bbox=(1, 2, 29.5, 20)), *s.annotations[1:])
        ),
    )
    assert written(data)["a.csv"] == TENSORFLOW.replace("1,2,30.50,40", "1,2,30.50,22")


def test_an_edited_category_changes_its_own_cell_alone() -> None:
    data = dataset(EXAMPLES["quotes everywhere"])
    bird = Category(id=3, name="bird")
    data = edited(data, lambda s: replace(s, annotations=(replace(s.annotations[0], category=bird),)), 1)
    data = replace(data, categories=[data.categories[0], Category(id=2, name="bird")])
    assert written(data) == {"a.csv": EXAMPLES["quotes everywhere"]["a.csv"].replace("dog", "bird")}


def test_labels_come_and_go_and_the_rest_stays() -> None:
    data = dataset(TENSORFLOW)
    dog = data.categories[1]
    data = edited(data, lambda s: replace(s, annotations=s.annotations[1:]))
    data = edited(
        data,
        lambda s: replace(s, annotations=(*s.annotations, Annotation(category=dog, bbox=(1, 1, 1, 1)))),
        1,
    )
    new = Image(key="new.jpg", width=5, height=6)
    data.samples.append(Sample(image=new, annotations=(Annotation(category=dog, bbox=(0, 0, 5, 6)),)))
    data.samples.append(Sample(image=Image(key="unlabelled.jpg", width=5, height=6)))
    data = replace(data, categories=[Category(id=1, name="dog")])
    assert written(data)["a.csv"].splitlines()[1:] == [
        "b.jpg,640,480,dog,1,2,3,4",
        "b.jpg,640,480,dog,1,1,2,2",
        "a.jpg,640,480,dog,5,6,7,8",
        "new.jpg,5,6,dog,0,0,5,6",
    ]


def test_an_image_whose_labels_were_all_removed_is_still_there() -> None:
    data = edited(dataset(TENSORFLOW), lambda s: replace(s, annotations=()))
    text = written(data)["a.csv"]
    assert "a.jpg,640,480,,,,,\n" in text
    assert [len(s.annotations) for s in opened(text).samples] == [0, 1]


def test_an_edit_that_the_table_has_no_column_for_adds_one() -> None:
    polygon = ((1, 2, 3, 4, 5, 6),)
    data = edited(
        dataset(TENSORFLOW),
        lambda s: replace(
            s, annotations=(replace(s.annotations[0], score=0.5, polygons=polygon), *s.annotations[1:])
        ),
    )
    text = written(data)["a.csv"]
    assert text.splitlines()[:3] == [
        "filename,width,height,class,xmin,ymin,xmax,ymax,xlabel_polygons,xlabel_score",
        'a.jpg,640,480,cat,1,2,30.50,40,"[[1,2,3,4,5,6]]",0.5',
        "b.jpg,640,480,dog,1,2,3,4,,",
    ]
    label = opened(text).samples[0].annotations[0]
    assert (label.score, label.polygons) == (0.5, polygon)
    assert list(csv.losses(data)) == []


def test_a_label_that_says_nothing_is_added_to_another_tools_table_as_one() -> None:
    data = edited(dataset(TENSORFLOW), lambda s: replace(s, annotations=(*s.annotations, Annotation())))
    rows = list(standard.DictReader(io.StringIO(written(data)["a.csv"])))
    assert [row["xlabel_crowd"] for row in rows if row["filename"] == "a.jpg"] == ["", "", "0"]
    assert [len(sample.annotations) for sample in dataset(written(data)).samples] == [3, 1]


def test_an_edit_that_a_table_without_header_cannot_hold_is_a_loss() -> None:
    data = edited(
        dataset(RETINANET), lambda s: replace(s, annotations=(replace(s.annotations[0], score=0.5),))
    )
    assert [loss.field for loss in csv.losses(data)] == ["score"]
    assert written(data) == RETINANET


def test_a_new_split_moves_an_image_to_the_table_of_that_split() -> None:
    data = edited(dataset(RETINANET), lambda s: replace(s, split="val"))
    assert written(data)["val.csv"] == "c.jpg,1,2,3,4,cat\nx/a.jpg,837,346,981,456,cow\n"
    data = edited(dataset(RETINANET), lambda s: replace(s, split="test"))
    assert written(data)["test.csv"] == "x/a.jpg,837,346,981,456,cow\n"
    assert sorted(s.split or "" for s in dataset(written(data)).samples) == ["test", "train", "val"]


def test_a_split_in_a_column_changes_there() -> None:
    text = EXAMPLES["words for splits"]["a.csv"]
    data = edited(dataset(text), lambda s: replace(s, split="test"))
    assert written(data)["a.csv"] == text.replace("TRAIN", "test")


def test_a_renamed_image_is_renamed_in_all_its_rows() -> None:
    data = edited(dataset(TENSORFLOW), lambda s: replace(s, image=replace(s.image, key="z.jpg")))
    assert written(data)["a.csv"] == TENSORFLOW.replace("a.jpg", "z.jpg")


def test_labels_drawn_on_the_stored_matrix_are_turned_and_written_as_they_were() -> None:
    labels = opened(TENSORFLOW)
    labels.bind(["dir/a.jpg"])
    image = Image(key="dir/a.jpg", width=480, height=640, orientation=6)
    ref = labels.find("dir/a.jpg")
    assert ref is not None
    sample = labels.load(ref, image)
    assert sample is not None
    assert (sample.drawn, sample.named) == ((640, 480), "a.jpg")
    assert sample.annotations[1].bbox == (472, 5, 2, 2)
    data = Dataset(samples=[sample, labels.samples[1]], categories=labels.categories, origin=labels.origin)
    assert written(data)["a.csv"] == TENSORFLOW
    moved = replace(sample.annotations[1], bbox=(472, 5, 2, 4))
    data = edited(data, lambda s: replace(s, annotations=(s.annotations[0], moved)))
    assert written(data)["a.csv"] == TENSORFLOW.replace("5,6,7,8", "5,6,9,8")


def test_an_origin_that_is_not_ours_is_not_used() -> None:
    data = dataset(TENSORFLOW)
    strange = [None, 3, {"row": -1}, {"row": "x"}, {"row": 0, "text": 7}, ["x"]]
    for origin in strange:
        odd = edited(data, lambda s, o=origin: replace(s, origin=o))  # type: ignore[misc]
        label = replace(data.samples[0].annotations[0], origin=origin)
        odd = edited(odd, lambda s, a=label: replace(s, annotations=(a, *s.annotations[1:])))  # type: ignore[misc]
        assert sorted(written(odd)["a.csv"].replace("30.5,", "30.50,").split()) == sorted(TENSORFLOW.split())


@pytest.mark.parametrize(
    "note",
    [
        {"path": "../x.csv"},
        {"path": "/x.csv"},
        {"path": "x.csv", "delimiter": ""},
        {"path": "x.csv", "header": "q"},
        7,
    ],
)
def test_a_hostile_origin_is_refused(note: object) -> None:
    data = dataset(TENSORFLOW)
    assert data.origin is not None
    with pytest.raises(InputError):
        written(replace(data, origin=replace(data.origin, extra={"tables": [note]})))


# New tables


PICTURE = Image(key="a.jpg", width=20, height=10)
CAT, DOG = Category(id=3, name="cat"), Category(id=1, name="dog", supercategory="pet")
LABELS = (Annotation(category=CAT, bbox=(1, 2, 0.5, 4)), Annotation(category=DOG), Annotation(caption="hi"))
MIXED = Dataset(
    samples=[
        Sample(image=PICTURE, annotations=LABELS, split="train"),
        Sample(image=Image(key="b.jpg", width=20, height=10), split="train"),
    ],
    categories=[CAT, DOG],
)


def test_a_new_table_has_the_columns_that_are_used() -> None:
    assert written(MIXED) == {
        "labels.csv": "image,width,height,split,category,category_id,x,y,w,h,caption\n"
        "a.jpg,20,10,train,cat,3,1,2,0.5,4,\n"
        "a.jpg,20,10,train,dog,1,,,,,\n"
        "a.jpg,20,10,train,,,,,,,hi\n"
        "b.jpg,20,10,train,,,,,,,\n",
        "categories.csv": "id,name,supercategory\n3,cat,\n1,dog,pet\n",
    }


@pytest.mark.parametrize("variant", ["csv-tensorflow", "csv-retinanet", "csv-classes"])
def test_images_whose_labels_have_no_row_are_lost_as_images(variant: str) -> None:
    data = Dataset(samples=[Sample(image=Image(key="a.jpg"), annotations=(Annotation(caption="a cat"),))])
    lost = [(loss.where, loss.field) for loss in csv.losses(data, variant)]
    assert lost == [("a.jpg", "caption"), ("a.jpg", "unlabelled")]
    assert "a.jpg" not in b"".join(b for _, chunks in csv.write(data, variant) for b in chunks).decode()


def test_a_new_tensorflow_table_has_its_columns_and_says_what_is_lost() -> None:
    files = written(MIXED, "csv-tensorflow")
    assert (
        files["train.csv"] == "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,20,10,cat,1,2,1.5,6\n"
    )
    lost = sorted((loss.where, loss.field) for loss in csv.losses(MIXED, "csv-tensorflow"))
    assert lost == [("a.jpg", "caption"), ("a.jpg", "image labels"), ("b.jpg", "unlabelled")]


def test_a_new_retinanet_table_has_its_class_map() -> None:
    assert written(MIXED, "csv-retinanet") == {
        "train.csv": "a.jpg,1,2,1.5,6,cat\nb.jpg,,,,,\n",
        "classes.csv": "cat,0\ndog,1\n",
    }


def test_ids_and_texts_that_look_like_something_else_come_back() -> None:
    names = ["7", "007", '"q"', "-1", "--5", "x,y", "a\nb", "-"]
    samples = [
        Sample(image=Image(key=f"{i}.jpg", id=name), annotations=(Annotation(category=CAT, id=name),))
        for i, name in enumerate(names)
    ]
    back = dataset(written(Dataset(samples=samples, categories=[CAT])))
    assert [(s.image.id, s.annotations[0].id) for s in back.samples] == [(name, name) for name in names]


def test_an_annotation_that_says_nothing_is_still_one() -> None:
    data = Dataset(samples=[Sample(image=PICTURE, annotations=(Annotation(), Annotation()))])
    [sample] = dataset(written(data)).samples
    assert len(sample.annotations) == 2


def test_corners_of_decimals_come_back_as_they_were() -> None:
    box = (0.1, 0.2, 0.3, 7.7)
    data = Dataset(
        samples=[Sample(image=PICTURE, annotations=(Annotation(category=CAT, bbox=box),))], categories=[CAT]
    )
    for variant in ("csv-xyxy", "csv-cxcywh", "csv-tensorflow", None):
        assert dataset(written(data, variant), variant).samples[0].annotations[0].bbox == box
    assert ",0.1,0.2,0.4,7.9" in written(data, "csv-xyxy")["labels.csv"]


@pytest.mark.parametrize("cell", ["", "1", '"12"', "9" * 20_000_000, '"' + "9" * 20_000_000 + '"'])
def test_a_row_without_end_is_listed_and_costs_little(cell: str) -> None:
    long = ",".join([cell] * (20_000_000 // (len(cell) + 1) or 1))
    data = f"image,category,x,y,w,h\na.jpg,cat,1,1,2,2\nb.jpg,cat,1,1,2,{long}\nc.jpg,cat,1,1,2,2\n".encode()
    tree = Memory({"a.csv": data})
    csv.read(Memory({"a.csv": data[:40]}))  # loads what is loaded once
    tracemalloc.start()
    try:
        assert csv.sniff(tree)
        labels = csv.read(tree)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(problem.where, problem.code) for problem in labels.problems] == [("labels/a.csv:3", "bad-row")]
    assert [sample.image.key for sample in labels.samples] == ["a.jpg", "c.jpg"]
    assert peak < 6 * len(data)


def test_a_row_of_more_cells_than_any_table_has_costs_little_too() -> None:
    data = ("image,category\na.jpg,cat" + ",12" * 5_000_000 + "\nb.jpg,cat\n").encode()
    assert len(data) < csv_text.LONGEST
    tree = Memory({"a.csv": data})
    tracemalloc.start()
    try:
        labels = csv.read(tree)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(problem.where, problem.code) for problem in labels.problems] == [("labels/a.csv:2", "bad-row")]
    assert peak < 6 * len(data)
