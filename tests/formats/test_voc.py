"""Pascal VOC: what is read, that an untouched file keeps its bytes, and that an edit is what is written."""

import math
import time
from collections.abc import Mapping
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.trees import Memory, folder, real

from xlabel.errors import InputError
from xlabel.formats import detect, voc
from xlabel.model import RLE, Annotation, Category, Circle, Dataset, Image, OrientedBox, Points, Sample
from xlabel.model.geometry import turn

OBJECT = """<object>
		<name>{name}</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>{0}</xmin>
			<ymin>{1}</ymin>
			<xmax>{2}</xmax>
			<ymax>{3}</ymax>
		</bndbox>
	</object>"""
CAT = OBJECT.format(10, 20, 30, 60, name="cat")
DOG = OBJECT.format(1, 2, 3, 4, name="dog")


def page(*objects: str, size: str = "<size><width>100</width><height>80</height></size>") -> str:
    inner = "".join(f"\n\t{text}" for text in ("<filename>a.jpg</filename>", size, *objects) if text)
    return f"<annotation>{inner}\n</annotation>\n"


def read(files: Mapping[str, str | bytes], *images: Image) -> tuple[Dataset, list[str]]:
    """The data set after a travel through JSON, and the codes of its problems."""
    labels = voc.read(Memory(files))
    labels.bind([image.key for image in images])
    samples = []
    for image in images:
        ref = labels.find(image.key)
        sample = labels.load(ref, image) if ref is not None else None
        samples.append(sample or Sample(image=image))
    dataset = Dataset(samples=samples, categories=labels.categories, origin=labels.origin)
    back = msgspec.json.decode(msgspec.json.encode(dataset), type=Dataset)
    return back, [problem.code for problem in labels.problems]


def one(text: str | bytes, image: Image | None = None) -> Sample:
    return read({"a.xml": text}, image or Image(key="a.jpg", width=100, height=80))[0].samples[0]


def problems(text: str | bytes) -> list[str]:
    return read({"a.xml": text}, Image(key="a.jpg", width=100, height=80))[1]


def written(dataset: Dataset) -> dict[str, bytes]:
    return {path: b"".join(chunks) for path, chunks in voc.write(dataset)}


def edited(dataset: Dataset, *annotations: Annotation) -> str:
    sample = replace(dataset.samples[0], annotations=annotations)
    return written(replace(dataset, samples=[sample]))["a.xml"].decode()


A = Image(key="a.jpg", width=100, height=80)


def test_an_empty_file_name_stays_empty() -> None:
    text = page("<object><name>cat</name></object>").replace("<filename>a.jpg<", "<filename><")
    assert "<filename></filename>" in text
    for source in (text, text.replace("<object><name>cat</name></object>", "")):
        dataset, _ = read({"a.xml": source}, A)
        assert written(dataset)["a.xml"].decode() == source


# --- The real set -----------------------------------------------------------------------------------------


def raccoon() -> tuple[Memory, voc.VocLabels, list[Sample]]:
    from PIL import Image as Pillow

    path = real("raccoon_voc")
    tree = folder(path)
    labels = voc.read(tree)
    images = []
    for file in (path / "images").iterdir():
        with Pillow.open(file) as picture:
            images.append(Image(key=f"images/{file.name}", width=picture.width, height=picture.height))
    images.sort(key=lambda image: image.key.encode())
    labels.bind([image.key for image in images])
    samples = [labels.load(labels.find(image.key) or "", image) for image in images]
    return tree, labels, [sample for sample in samples if sample is not None]


def test_raccoon_has_the_labels_that_were_counted_by_hand_and_no_problem() -> None:
    _, labels, samples = raccoon()
    boxes = [annotation for sample in samples for annotation in sample.annotations]
    assert (len(samples), len(boxes)) == (200, 217)
    assert [category.name for category in labels.categories] == ["raccoon"]
    assert sum((box.attributes or {}).get("truncated") == 1 for box in boxes) == 59
    grey = [s.image.key for s in samples if (s.image.extra or {})["size"]["depth"] == 1]
    assert grey == ["images/raccoon-150.jpg", "images/raccoon-152.jpg", "images/raccoon-161.jpg"]
    assert labels.problems == []


def test_raccoon_is_written_again_byte_for_byte() -> None:
    tree, labels, samples = raccoon()
    files = written(Dataset(samples=samples, categories=labels.categories, origin=labels.origin))
    assert files == {path: tree.read(path) for path in tree.files if path.endswith(".xml")}


def test_raccoon_keeps_all_that_its_files_say_when_they_are_written_anew() -> None:
    tree, labels, samples = raccoon()
    files = written(Dataset(samples=samples, categories=labels.categories))
    for sample in samples:
        name = sample.image.key.removeprefix("images/").replace(".jpg", ".xml")
        new = ElementTree.fromstring(files[f"Annotations/images/{name}"])
        old = ElementTree.fromstring(tree.read(f"annotations/{name}"))
        assert [(e.tag, (e.text or "").strip()) for e in new.iter()] == [
            (e.tag, (e.text or "").strip()) for e in old.iter()
        ]


# --- Reading ----------------------------------------------------------------------------------------------


def test_numbers_pass_unchanged_and_whole_ones_stay_whole() -> None:
    sample = one(page(CAT, OBJECT.format("10.5", "0.1", "20", "0.3", name="cat")))
    assert repr(sample.annotations[0].bbox) == "(10, 20, 20, 40)"
    assert sample.annotations[1].bbox == (10.5, 0.1, 9.5, 0.2)


def test_what_an_object_says_besides_is_its_attributes_with_their_types() -> None:
    body = """<object id="7"><bndbox><ymax>4</ymax><xmin>1</xmin><xmax>3</xmax><ymin>2</ymin></bndbox>
    <pose>Left</pose><truncated>1</truncated><occluded>0</occluded><score>0.50</score><code>007</code>
    <actions><jumping>1</jumping><running>0</running></actions>
    <part><name>head</name><bndbox><xmin>1</xmin></bndbox></part><part><name>hand</name></part>
    <name> person </name></object>"""
    annotation = one(page(body)).annotations[0]
    assert annotation.bbox == (1, 2, 2, 2)
    assert annotation.category == Category(id=1, name="person")
    assert annotation.attributes == {
        "@id": 7,
        "pose": "Left",
        "truncated": 1,
        "score": "0.50",
        "code": "007",
        "actions": {"jumping": 1, "running": 0},
        "part": [{"name": "head", "bndbox": {"xmin": 1}}, {"name": "hand"}],
    }


def test_flags_that_say_nothing_are_no_attributes() -> None:
    assert one(page(CAT)).annotations[0].attributes is None


def test_a_rotated_box_has_the_corners_of_its_centre_size_and_angle() -> None:
    body = """<object><type>robndbox</type><name>ship</name><robndbox><cx>50</cx><cy>40</cy><w>20</w>
    <h>10</h><angle>1.5707963267948966</angle></robndbox></object>"""
    shape = one(page(body)).annotations[0].shape
    # A quarter turn clockwise as seen: the top left corner (40, 35) goes to the top right one, (55, 30).
    assert isinstance(shape, OrientedBox)
    assert shape.corners == pytest.approx((55, 30, 55, 50, 45, 50, 45, 30))


def test_polygons_of_both_spellings_are_read() -> None:
    flat = "<polygon><x1>1</x1><y1>2</y1><x2>3</x2><y2>4.5</y2><x3>5</x3><y3>6</y3></polygon>"
    corners = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((1, 2), (3, 4), (5, 7)))
    points = f"<polygon><user>u</user>{corners}</polygon>"
    body = f"<object><name>a</name>{flat}{points}</object>"
    assert one(page(body)).annotations[0].polygons == ((1, 2, 3, 4.5, 5, 6), (1, 2, 3, 4, 5, 7))


def test_an_object_without_geometry_is_a_label_of_the_image() -> None:
    text = page("<object><name>night</name></object>")
    annotation = one(text).annotations[0]
    assert (annotation.bbox, annotation.polygons, annotation.shape) == (None, None, None)
    assert problems(text) == []


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ("", None),
        ("<size><width>0</width><height>0</height></size>", None),
        ("<size><depth>3</depth></size>", None),
        ("<size><width>100.0</width><height>80</height></size>", None),
    ],
)
def test_a_file_need_not_state_the_size(size: str, drawn: None) -> None:
    text = page(CAT, size=size)
    sample = one(text)
    assert (sample.image.width, sample.image.height, sample.drawn) == (100, 80, drawn)
    assert problems(text) == []


def test_a_file_may_call_its_image_by_another_name() -> None:
    text = page(CAT).replace("a.jpg", "IMG_1.JPG")
    assert one(text).named == "IMG_1.JPG"
    assert problems(text) == []
    assert one(page(CAT).replace("a.jpg", "C:\\x\\a.jpg")).named is None


def test_labels_drawn_on_the_stored_matrix_are_turned_and_written_as_they_were() -> None:
    image = Image(key="a.jpg", width=80, height=100, orientation=6)
    text = page(OBJECT.format("10.3", "20", "30.9", "60", name="cat"))
    dataset, found = read({"a.xml": text}, image)
    sample = dataset.samples[0]
    flat = Annotation(bbox=(10.3, 20, 20.6, 40))
    assert sample.drawn == (100, 80)
    assert sample.annotations[0].bbox == turn(flat, 6, 100, 80).bbox
    assert found == []
    assert written(dataset) == {"a.xml": text.encode()}
    moved = replace(sample.annotations[0], bbox=(5, 6, 7, 8))
    back = read({"a.xml": edited(dataset, moved)}, image)[0].samples[0]
    assert back.annotations[0].bbox == (5, 6, 7, 8)
    assert back.drawn == (100, 80)


def test_labels_without_images_name_them() -> None:
    labels = voc.read(Memory({"set/Annotations/b/1.xml": page(CAT).replace("a.jpg", "x.png"), "2.xml": ""}))
    assert [labels.image(ref) for ref in labels.refs()] == [
        Image(key="2"),
        Image(key="set/b/1.png", width=100, height=80),
    ]


def test_the_name_inside_says_which_of_two_images_with_one_stem_is_meant() -> None:
    labels = voc.read(Memory({"a.xml": page(CAT), "b.xml": page(CAT), "b.png.xml": page(DOG)}))
    labels.bind(["a.jpg", "a.png", "b.jpg", "b.png", "c.png"])
    found = [labels.find(key) for key in ("a.jpg", "a.png", "b.jpg", "b.png", "c.png")]
    assert found == ["a.xml", None, "b.xml", "b.png.xml", "c.xml"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad-xml"),
        ("<annotation><object>", "bad-xml"),
        ("<annotations/>", "not-voc"),
        (b"<annotation>\xff</annotation>", "bad-encoding"),
        (b'<?xml version="1.0" encoding="zlib"?><annotation/>', "bad-encoding"),
        (b'<?xml version="1.0" encoding="nope"?><annotation/>', "bad-encoding"),
        (
            "<!DOCTYPE annotation [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><annotation>&b;</annotation>",
            "doctype",
        ),
        ("<!DOCTYPE annotation SYSTEM 'http://example.org/voc.dtd'><annotation/>", "doctype"),
        ("<annotation>" + "<a>" * 100_000, "too-deep"),
        ("<annotation>\0</annotation>", "bad-xml"),
        (page(CAT).replace("<width>100", "<width>many"), "bad-size"),
        (page(CAT).replace("<width>100", "<width>1e999"), "bad-size"),
        (page(CAT).replace("<width>100", "<width>90"), "size-mismatch"),
        (page(CAT).replace(">cat<", "> <"), "no-name"),
        (page(CAT).replace("<xmin>10</xmin>", ""), "bad-box"),
        (page(CAT).replace("<xmin>10", "<xmin>nan"), "bad-box"),
        (page(CAT).replace("<xmin>10", "<xmin>inf"), "bad-box"),
        (page(CAT).replace("<xmin>10", "<xmin>1_0"), "bad-box"),
        (page(CAT).replace("<xmin>10", "<xmin>" + "9" * 10_000), "bad-box"),
        (page(CAT).replace("<xmin>10", "<xmin>40"), "inverted-box"),
        (page("<object><name>a</name><polygon><x1>1</x1><y1>2</y1></polygon></object>"), "bad-polygon"),
        (page("<object><name>a</name><bndbox/><bndbox/></object>"), "bad-box"),
    ],
)
def test_what_is_wrong_is_one_problem(text: str | bytes, code: str) -> None:
    assert problems(text) == [code]


def test_a_broken_object_is_named_by_its_line_and_the_others_are_read() -> None:
    text = page(CAT, CAT.replace("<xmin>10", "<xmin>x"), DOG)
    labels = voc.read(Memory({"a.xml": text}, root="set"))
    sample = labels.load("a.xml", A)
    assert sample is not None
    assert [a.bbox for a in sample.annotations] == [(10, 20, 20, 40), (1, 2, 2, 2)]
    line = text[: text.index("<object>", text.index("</object>"))].count("\n") + 1
    assert [p.where for p in labels.problems] == [f"set/a.xml:{line}"]
    assert labels.problems[0].message.startswith(
        "expected numbers xmin, ymin, xmax, ymax in <bndbox>, got 'x'"
    )


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything(data: bytes) -> None:
    for text in (
        data,
        page(CAT).encode()[:300] + data,
        b"<annotation><object>" + data + b"</object></annotation>",
    ):
        dataset, found = read({"a.xml": text}, A)
        assert found or written(dataset)


# --- Writing the same -------------------------------------------------------------------------------------

ODD = {
    "comments": page("<!-- <object><name>x</name></object> -->", CAT, "<!-- between -->", DOG),
    "cdata": page("<note><![CDATA[<object>]]></note>", CAT),
    "spaces": page(CAT).replace("\t", "    "),
    "one line": page(CAT).replace("\n", "").replace("\t", ""),
    "crlf": page(CAT, DOG).replace("\n", "\r\n"),
    "order": page(
        "<object><bndbox><ymax>1</ymax><xmax>2</xmax><ymin>0</ymin><xmin>1</xmin></bndbox><name>a</name></object>"
    ),
    "numbers": page(OBJECT.format("1.50", "02", "+3", "4e0", name="cat")),
    "escapes": page(OBJECT.format(1, 2, 3, 4, name="a &amp; b &#60;&#x63;")),
    "attributes": '<annotation verified="yes" xmlns="urn:x"><object a=">" b=\'"\'><name>x</name></object>'
    "</annotation>",
    "prologue": '<?xml version="1.0" encoding="utf-8"?>\n<!-- <annotation> -->\n' + page(CAT),
    "empty": "<annotation/>",
    "broken object": page(CAT, "<object><name/></object>", DOG),
    "mark": "\ufeff" + page(CAT),
    "parts": page(CAT.replace("<bndbox>", "<part><name>head</name></part><part/><empty/>\n<bndbox>")),
    "pose": page(CAT.replace("Unspecified", "")),
    "actions": page(CAT.replace("<pose>", "<actions><jumping>1</jumping></actions><pose>")),
    "names": page(OBJECT.format(1, 2, 3, 4, name="straße 象")),
    "rotated": page(
        "<object><name>a</name><robndbox><cx>5.10</cx><cy>5</cy><w>3</w><h>2</h><angle>0.3</angle></robndbox>"
        "</object>"
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_untouched_file_keeps_its_bytes(name: str) -> None:
    dataset, _ = read({"a.xml": ODD[name]}, A)
    assert written(dataset) == {"a.xml": ODD[name].encode()}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-be", "gbk", "utf-8-sig"])
def test_an_untouched_file_keeps_its_encoding(encoding: str) -> None:
    declared = encoding if encoding not in ("utf-16-be", "utf-8-sig") else encoding[:6].rstrip("-")
    name = "象" if encoding == "gbk" else "straße"
    head = f'<?xml version="1.0" encoding="{declared}"?>\n'
    data = (head + page(OBJECT.format(1, 2, 3, 4, name=name))).encode(encoding)
    dataset, found = read({"a.xml": data}, A)
    assert [category.name for category in dataset.categories] == [name]
    assert found == []
    assert written(dataset) == {"a.xml": data}
    moved = replace(dataset.samples[0].annotations[0], category=Category(id=1, name="狗"))
    new = replace(dataset, samples=[replace(dataset.samples[0], annotations=(moved,))])
    back, found = read({"a.xml": written(new)["a.xml"]}, A)
    assert [category.name for category in back.categories] == ["狗"]
    assert found == []


def test_an_image_without_a_file_gets_none_and_one_without_objects_keeps_its_own() -> None:
    b = Image(key="b.jpg", width=1, height=1)
    dataset, _ = read({"a.xml": page()}, A, b)
    assert [sample.origin is not None for sample in dataset.samples] == [True, False]
    assert written(dataset) == {"a.xml": page().encode()}


# --- Writing what has changed -----------------------------------------------------------------------------


def test_an_edited_box_changes_its_numbers_and_nothing_else() -> None:
    text = page(CAT.replace("<ymax>60", "<ymax>60.0").replace("<name>", '<!-- mine --><name a="1">'), DOG)
    dataset, _ = read({"a.xml": text}, A)
    cat, dog = dataset.samples[0].annotations
    assert edited(dataset, replace(cat, bbox=(11, 20, 19, 40)), dog) == text.replace("<xmin>10<", "<xmin>11<")
    assert edited(dataset, replace(cat, bbox=(10, 20, 20.5, 40)), dog) == text.replace(
        "<xmax>30<", "<xmax>30.5<"
    )


def test_another_category_changes_the_name() -> None:
    text = page(CAT.replace("\n\t\t", "\n  "))
    dataset, _ = read({"a.xml": text}, A)
    cat = dataset.samples[0].annotations[0]
    assert edited(dataset, replace(cat, category=Category(id=2, name="a<b"))) == text.replace(
        ">cat<", ">a&lt;b<"
    )


def test_edited_attributes_change_their_elements() -> None:
    text = page(CAT.replace("<bndbox>", "<odd>  1 </odd>\n\t\t<gone>x</gone>\n\t\t<bndbox>"))
    dataset, _ = read({"a.xml": text}, A)
    cat = dataset.samples[0].annotations[0]
    assert cat.attributes == {"odd": 1, "gone": "x"}
    new = edited(dataset, replace(cat, attributes={"odd": 1, "truncated": True, "new": {"a": [1, 2]}}))
    assert new == text.replace("<truncated>0", "<truncated>1").replace("\n\t\t<gone>x</gone>", "").replace(
        "</bndbox>", "</bndbox>\n\t\t<new>\n\t\t\t<a>1</a>\n\t\t\t<a>2</a>\n\t\t</new>"
    )


def test_objects_go_and_come_without_a_gap() -> None:
    text = page(CAT, "<!-- kept -->", DOG)
    dataset, _ = read({"a.xml": text}, A)
    cat, dog = dataset.samples[0].annotations
    assert edited(dataset, dog) == page(DOG, "<!-- kept -->")
    assert edited(dataset) == page("<!-- kept -->")
    assert edited(dataset, cat, dog, dog) == page(CAT, "<!-- kept -->", DOG, DOG)
    spaced, _ = read({"a.xml": page().replace("\t", "  ")}, A)
    assert edited(spaced, dog) == page(DOG).replace("\n\t<f", "\n  <f").replace("\n\t<s", "\n  <s").replace(
        "\n\t<object>", "\n  <object>"
    )


def test_an_image_that_has_another_name_or_size_is_written_with_it() -> None:
    text = "<!-- mine -->" + page(CAT)
    dataset, _ = read({"old/a.xml": text}, A)
    image = Image(key="b/c.png", width=90, height=80)
    new = written(replace(dataset, samples=[replace(dataset.samples[0], image=image)]))
    assert new == {"old/b/c.xml": text.replace("a.jpg", "c.png").replace(">100<", ">90<").encode()}


@pytest.mark.parametrize(
    ("files", "key", "new", "path"),
    [
        (
            ["Annotations/train/a.xml"],
            "JPEGImages/train/a.jpg",
            "JPEGImages/val/a.jpg",
            "Annotations/val/a.xml",
        ),
        (["train/labels/a.xml"], "train/images/a.jpg", "val/images/a.jpg", "val/labels/a.xml"),
        (["xmls/a.xml"], "pics/a.jpg", "pics/deep/a.jpg", "xmls/deep/a.xml"),
        (["Annotations/a.xml", "Annotations/val/b.xml"], "a.jpg", "val/a.jpg", "Annotations/val/a.xml"),
        (["Annotations/a.xml", "Annotations/b.xml"], "a.jpg", "new/c.jpg", "Annotations/new/c.xml"),
        (["Annotations/a.xml"], "images/a.jpg", "images/b.jpg", "Annotations/b.xml"),
    ],
)
def test_labels_of_an_image_that_was_moved_go_with_it(
    files: list[str], key: str, new: str, path: str
) -> None:
    others = [file.replace("Annotations/", "").replace(".xml", ".jpg") for file in files[1:]]
    keys = sorted([key, *others])
    dataset, _ = read(dict.fromkeys(files, page(CAT)), *(replace(A, key=name) for name in keys))
    assert written(dataset).keys() == set(files)
    samples = list(dataset.samples)
    at = keys.index(key)
    assert len(samples[at].annotations) == 1
    samples[at] = replace(samples[at], image=replace(samples[at].image, key=new))
    assert written(replace(dataset, samples=samples)).keys() == {path, *files[1:]}


def test_many_bad_objects_and_many_equal_names_are_told_apart_in_time() -> None:
    began = time.process_time()
    text = "\n" * 20 + page(*["<object>\n<name/></object>"] * 20_000)
    labels = voc.read(Memory({"a.xml": text}))
    labels.load("a.xml", A)
    assert [p.where for p in labels.problems[:2]] == ["labels/a.xml:24", "labels/a.xml:26"]
    assert len(labels.problems) == 20_000
    samples = [Sample(image=A)] * 20_000
    assert len({path for path, _ in voc.write(Dataset(samples=samples))}) == 20_000
    assert time.process_time() - began < 10


def test_an_origin_from_elsewhere_is_not_believed() -> None:
    for origin in (
        {"path": "../../x.xml", "text": ["<annotation>", "</annotation>"]},
        {"path": "/etc/x.xml", "text": "no list"},
        {"path": 3, "text": ["<b>", "</b>"], "encoding": "zlib"},
        {"path": "a.xml", "text": [page(DOG)], "encoding": 7},
        [1],
    ):
        cat = Annotation(category=Category(id=1, name="cat"), bbox=(10, 20, 20, 40), origin="<object/>")
        sample = Sample(image=A, annotations=(cat,), origin=origin)
        files = written(Dataset(samples=[sample], origin=read({}, A)[0].origin))
        assert [path.rpartition("/")[2] for path in files] == ["a.xml"]
        assert not any(".." in path or path.startswith("/") for path in files)
        assert [a.bbox for a in one(next(iter(files.values()))).annotations] == [(10, 20, 20, 40)]


numbers = st.integers(-1000, 10_000) | st.decimals(-100, 10_000, places=2).map(float)
values = st.integers(-1000, 1000) | st.booleans() | st.text("ab<&> é\n", max_size=5).map(str.strip)
annotations = st.builds(
    Annotation,
    category=st.builds(Category, id=st.just(1), name=st.sampled_from(["cat", "a & b", "ß"])),
    bbox=st.none() | st.tuples(numbers, numbers, numbers.map(abs), numbers.map(abs)),
    attributes=st.none()
    | st.dictionaries(
        st.sampled_from(["pose", "truncated", "occluded", "kind", "x.y"]),
        values | st.fixed_dictionaries({"a": values, "b": values}),
        min_size=1,
    ),
)


def said(annotation: Annotation) -> tuple[object, ...]:
    assert annotation.category is not None
    attributes = {
        k: int(v) if isinstance(v, bool) and k in ("pose", "truncated", "occluded") else v
        for k, v in (annotation.attributes or {}).items()
    }
    quiet = {"pose": ("Unspecified", ""), "truncated": (0, ""), "occluded": (0, "")}
    loud = {k: v for k, v in attributes.items() if v not in quiet.get(k, ())}
    return annotation.category.name, annotation.bbox, loud


@given(st.lists(annotations, max_size=4), st.sampled_from(sorted(set(ODD) - {"attributes", "broken object"})))
def test_an_edited_file_says_what_the_sample_says(new: list[Annotation], name: str) -> None:
    dataset, _ = read({"a.xml": ODD[name]}, A)
    old = dataset.samples[0].annotations
    mixed = [
        replace(annotation, origin=old[index].origin if index < len(old) else None)
        for index, annotation in enumerate(new)
    ]
    back = one(edited(dataset, *mixed))
    assert [said(annotation) for annotation in back.annotations] == [said(annotation) for annotation in new]


@given(st.lists(annotations, max_size=4))
def test_a_new_file_says_what_the_sample_says(new: list[Annotation]) -> None:
    files = written(Dataset(samples=[Sample(image=A, annotations=tuple(new))]))
    back = one(files["Annotations/a.xml"])
    assert [said(annotation) for annotation in back.annotations] == [said(annotation) for annotation in new]


# --- Writing for others -----------------------------------------------------------------------------------


def test_a_new_file_has_the_usual_layout() -> None:
    cat = Annotation(category=Category(id=5, name="cat"), bbox=(98.44, 80.34, 187.68, 187.68), id=3)
    image = Image(key="street/a.jpg", width=640, height=427)
    files = written(
        Dataset(samples=[Sample(image=image, annotations=(cat,))], categories=[Category(id=5, name="cat")])
    )
    assert files["Annotations/street/a.xml"].decode() == (
        "<annotation>\n\t<folder>street</folder>\n\t<filename>a.jpg</filename>\n\t<size>\n\t\t<width>640</width>"
        "\n\t\t<height>427</height>\n\t</size>\n\t"
        + OBJECT.format(98.44, 80.34, 286.12, 268.02, name="cat")
        + "\n</annotation>\n"
    )
    assert files["labelmap.txt"] == b"# label:color_rgb:parts:actions\ncat:::\n"


def test_every_image_has_a_file_of_its_own() -> None:
    keys = ["a.jpg", "a.png", "a.png.jpg", "b/a.jpg"]
    files = written(Dataset(samples=[Sample(image=Image(key=key)) for key in keys]))
    assert list(files) == [f"Annotations/{name}.xml" for name in ("a", "a.png", "a.png.jpg", "b/a")]
    labels = voc.read(Memory(files))
    labels.bind(keys)
    assert [labels.find(key) for key in keys] == list(files)


def test_a_polygon_has_a_box_too_and_an_oriented_box_keeps_its_corners() -> None:
    corners = tuple(10 + v for p in ((0, 0), (30, 40), (22, 46), (-8, 6)) for v in p)
    assert math.dist(corners[:2], corners[2:4]) == 50
    polygon = Annotation(
        category=Category(id=1, name="p"), polygons=((1, 2, 9, 2, 5, 8.5), (0, 0, 1, 0, 1, 1))
    )
    box = Annotation(category=Category(id=1, name="p"), shape=OrientedBox(corners))  # type: ignore[arg-type]
    dataset = Dataset(samples=[Sample(image=A, annotations=(polygon, box))])
    back = one(written(dataset)["Annotations/a.xml"])
    assert back.annotations[0].polygons == polygon.polygons
    assert back.annotations[0].bbox == (0, 0, 9, 8.5)
    assert isinstance(back.annotations[1].shape, OrientedBox)
    assert back.annotations[1].shape.corners == pytest.approx(corners)
    assert (back.annotations[1].bbox, back.annotations[1].attributes) == (None, None)
    assert list(voc.losses(dataset)) == []


def test_what_cannot_be_written_is_a_loss() -> None:
    category = Category(id=1, name="cat")
    crooked = Annotation(category=category, shape=OrientedBox((0, 0, 9, 1, 7, 7, 0, 5)))
    odd = Annotation(category=category, bbox=(0, 0, 1, 1), attributes={"two words": 1, "name": 2, "fine": 3})
    nothing = Annotation(category=category, bbox=(0, 0, 1, 1), attributes={"empty": None})
    image = Image(key="a.jpg", extra={"filename": "b", "license": 3})
    sample = Sample(image=image, annotations=(crooked, odd, nothing), split="extra")
    found = {(loss.field, loss.count) for loss in voc.losses(Dataset(samples=[sample]))}
    assert found == {("oriented_box", 1), ("attributes", 2), ("image extra", 1), ("split", 1)}
    back = one(written(Dataset(samples=[sample]))["Annotations/a.xml"])
    assert [a.attributes for a in back.annotations] == [None, {"fine": 3}, None]
    assert back.annotations[0].bbox == (0, 0, 9, 7)
    assert back.image.extra == {"license": 3}


def test_other_geometry_leaves_its_box_and_a_line_or_a_point_leaves_nothing() -> None:
    category = Category(id=1, name="cat")
    annotations = (
        Annotation(category=category, mask=RLE((80, 100), (85, 2, 78, 2, 7833))),
        Annotation(category=category, shape=Circle(10, 20, 5)),
        Annotation(category=category, keypoints=(1, 2, 2, 0, 0, 0, 7, 9, 1)),
        Annotation(category=category, shape=Points((1, 2))),
        Annotation(category=category, mask=RLE((80, 100), "nonsense")),
        Annotation(bbox=(1, 2, 3, 4)),
        Annotation(category=category, caption="a cat"),
    )
    dataset = Dataset(samples=[Sample(image=A, annotations=annotations)])
    back = one(written(dataset)["Annotations/a.xml"])
    assert [a.bbox for a in back.annotations] == [(1, 5, 2, 2), (5, 15, 10, 10), (1, 2, 6, 7)]
    lost = {loss.field: loss.count for loss in voc.losses(dataset)}
    assert lost == {"mask": 2, "circle": 1, "keypoints": 1, "points": 1, "no category": 1, "caption": 1}


def test_the_fields_of_images_that_have_no_element_are_lost_and_no_others() -> None:
    extra = {"license": 3, "coco_url": "http://a", "flickr": None, "neg_category_ids": []}
    data = Dataset(samples=[Sample(image=replace(A, extra=extra))])
    assert [(loss.where, loss.field) for loss in voc.losses(data)] == [("a.jpg", "image extra")]
    data = Dataset(samples=[Sample(image=replace(A, extra={"license": 3, "coco_url": "http://a"}))])
    assert list(voc.losses(data)) == []
    assert one(written(data)["Annotations/a.xml"]).image.extra == {"license": 3, "coco_url": "http://a"}
    assert "image extra" not in voc.HOLDS


def test_category_ids_are_lost_where_they_are_not_the_numbers_of_the_label_map() -> None:
    cat, dog, odd = Category(id=1, name="cat"), Category(id=7, name="dog"), Category(id=3, name="a:b")
    labels = (Annotation(category=dog),)
    data = Dataset(samples=[Sample(image=A, annotations=labels)], categories=[cat, dog, odd])
    found = [(loss.where, loss.field, loss.count) for loss in voc.losses(data)]
    assert found == [("the data set", "id", 1), ("category a:b", "category extra", 1)]
    again = voc.read(Memory(written(data)))
    assert {category.name: category.id for category in again.categories} == {"cat": 1, "dog": 2}
    assert list(voc.losses(replace(data, categories=[cat]))) == []


# --- The set ----------------------------------------------------------------------------------------------

KIT = {
    "VOC/Annotations/a.xml": page(CAT),
    "VOC/Annotations/b.xml": page(DOG).replace("a.jpg", "b.jpg"),
    "VOC/ImageSets/Main/train.txt": "a\n",
    "VOC/ImageSets/Main/val.txt": "b\r\n",
    "VOC/ImageSets/Main/test.txt": "c\nnever there\n",
    "VOC/ImageSets/Main/trainval.txt": "a\nb",
    "VOC/ImageSets/Main/cat_trainval.txt": "a  1\nb -1\n",
    "VOC/ImageSets/Layout/train.txt": "b 1\n",
    "VOC/labelmap.txt": "# names\ncat:1,2,3::\nbird:::\ndog:::\n",
}
PHOTOS = [Image(key=f"VOC/JPEGImages/{name}.jpg", width=100, height=80) for name in "abc"]


def test_image_sets_say_the_split_also_of_images_without_labels() -> None:
    dataset, found = read(KIT, *PHOTOS)
    assert [sample.split for sample in dataset.samples] == ["train", "val", "test"]
    assert [sample.origin is None for sample in dataset.samples] == [False, False, True]
    assert [category.name for category in dataset.categories] == ["cat", "bird", "dog"]
    assert found == ["absent-image"]


def test_the_lists_of_a_set_are_written_as_they_were() -> None:
    dataset, _ = read(KIT, *PHOTOS)
    assert written(dataset) == {path: text.encode() for path, text in KIT.items()}


def test_the_lists_of_a_set_follow_what_has_changed() -> None:
    dataset, _ = read(KIT, *PHOTOS)
    a, _, c = dataset.samples
    dog = replace(a.annotations[0], category=Category(id=3, name="dog"))
    moved = [replace(a, annotations=(dog,)), replace(c, split="train")]
    files = written(replace(dataset, samples=moved, categories=[Category(id=3, name="dog")]))
    lists = {path.removeprefix("VOC/"): text.decode() for path, text in files.items() if ".txt" in path}
    assert lists == {
        "ImageSets/Main/train.txt": "a\nc\n",
        "ImageSets/Main/test.txt": "never there\n",
        "ImageSets/Main/trainval.txt": "a\nc\n",
        "ImageSets/Main/cat_trainval.txt": "a -1\n",
        "labelmap.txt": "# names\ndog:::\n",
    }


AT_ODDS = {
    "Annotations/a.xml": page(CAT),
    "Annotations/b.xml": page(DOG).replace("a.jpg", "b.jpg"),
    "ImageSets/Main/train.txt": "a\nonly listed\n",
    "ImageSets/Main/val.txt": "b\na\n",
    "ImageSets/Main/trainval.txt": "b\nno split\n",
    "ImageSets/Main/cat_train.txt": "a -1\nb  1\nonly listed  1\n",
    "ImageSets/Main/dog_trainval.txt": "a  1\nb -1\nnever listed  1\n",
    "ImageSets/Main/bird_val.txt": "b  1\n",
}
"""Lists that contradict each other and the objects."""


def alone(files: Mapping[str, str | bytes]) -> Dataset:
    """The data set of labels alone, when nobody says which images there are."""
    labels = voc.read(Memory(files))
    samples = []
    for ref in labels.refs():
        image = labels.image(ref)
        sample = labels.load(ref, image) if image is not None else None
        assert sample is not None
        samples.append(sample)
    return Dataset(samples=samples, categories=labels.categories, origin=labels.origin)


def test_lists_that_contradict_the_objects_are_written_as_they_were() -> None:
    images = [Image(key=f"{name}.jpg", width=100, height=80) for name in ("a", "b", "only listed")]
    assert written(read(AT_ODDS, *images)[0]) == {path: text.encode() for path, text in AT_ODDS.items()}
    assert written(alone(AT_ODDS)) == {path: text.encode() for path, text in AT_ODDS.items()}


def test_a_flag_follows_the_objects_once_these_are_edited() -> None:
    dataset = alone(AT_ODDS)
    a, b, *others = dataset.samples
    dog = Annotation(category=Category(id=2, name="dog"), bbox=(1, 2, 3, 4))
    files = written(replace(dataset, samples=[replace(a, annotations=(dog,)), b, *others]))
    changed = {path: text.decode() for path, text in files.items() if text != AT_ODDS[path].encode()}
    assert changed.keys() == {"Annotations/a.xml"}  # no cat and a dog, which the lists have said all along
    files = written(replace(dataset, samples=[a, replace(b, annotations=()), *others]))
    assert files["ImageSets/Main/dog_trainval.txt"] == b"a  1\nb -1\nnever listed  1\n"
    cat = replace(dog, category=Category(id=1, name="cat"))
    new = [a, replace(b, annotations=(cat,)), *(replace(other, annotations=(dog,)) for other in others)]
    files = written(replace(dataset, samples=new))
    assert files["ImageSets/Main/cat_train.txt"] == b"a -1\nb  1\nonly listed -1\n"
    assert files["ImageSets/Main/bird_val.txt"] == b"b  1\n"


def test_images_that_only_lists_name_are_unlabelled_images_of_labels_alone() -> None:
    dataset = alone(AT_ODDS)
    found = {s.image.key: (s.split, len(s.annotations)) for s in dataset.samples}
    assert found == {
        "a.jpg": ("train", 1),
        "b.jpg": ("val", 1),
        "no split.jpg": (None, 0),
        "only listed.jpg": ("train", 0),
    }
    png = page(CAT).replace("a.jpg", "a.png")
    files = {"VOC/Annotations/a.xml": png, "VOC/ImageSets/Main/train.txt": "a\nsub/b\n../c\n"}
    assert [s.image.key for s in alone(files).samples] == ["VOC/a.png", "VOC/sub/b.png"]
    assert written(alone(files)) == {path: text.encode() for path, text in files.items()}


def test_ids_may_have_spaces_and_lists_may_have_columns() -> None:
    files = {
        "Annotations/frame 1.xml": page(CAT),
        "Annotations/a.xml": page(DOG),
        "ImageSets/Main/train.txt": "frame 1\n",
        "ImageSets/Main/val.txt": "./a.jpg\n",
        "ImageSets/Action/jumping_train.txt": "frame 1  1 -1\n",
        "ImageSets/notes.txt": "# by hand\n",
    }
    dataset, found = read(files, A, Image(key="frame 1.jpg", width=100, height=80))
    assert [sample.split for sample in dataset.samples] == ["val", "train"]
    assert found == []
    assert written(dataset) == {path: text.encode() for path, text in files.items()}
    layout, _ = read({"Annotations/a.xml": page(), "ImageSets/Layout/train.txt": "a 2\n"}, A)
    assert layout.samples[0].split == "train"
    assert written(layout)["ImageSets/Layout/train.txt"] == b"a 2\n"


def test_splits_are_written_for_a_set_that_came_from_elsewhere() -> None:
    samples = [Sample(image=Image(key=f"x/{name}.jpg"), split=name) for name in ("train", "val", "test")]
    files = written(Dataset(samples=[*samples, Sample(image=Image(key="one more.jpg"), split="val")]))
    lists = {path: text.decode() for path, text in files.items() if path.startswith("ImageSets")}
    assert lists == {
        "ImageSets/Main/train.txt": "x/train\n",
        "ImageSets/Main/val.txt": "x/val\none more\n",
        "ImageSets/Main/test.txt": "x/test\n",
        "ImageSets/Main/trainval.txt": "x/train\nx/val\none more\n",
    }
    labels = voc.read(Memory(files))
    keys = ["one more.jpg", "x/test.jpg", "x/train.jpg", "x/val.jpg"]
    labels.bind(keys)
    back = [labels.load(labels.find(key) or "", Image(key=key)) for key in keys]
    assert [sample.split for sample in back if sample] == ["val", "test", "train", "val"]
    assert labels.problems == []


def test_an_image_in_two_splits_is_a_problem() -> None:
    files = {
        "Annotations/a.xml": page(),
        "ImageSets/Main/train.txt": "a\n",
        "ImageSets/Main/val.txt": "\na\n",
    }
    labels = voc.read(Memory(files, root="kit"))
    assert [(p.where, p.code) for p in labels.problems] == [("kit/ImageSets/Main/val.txt:2", "two-splits")]


def test_the_format_is_found_out_by_the_root_element() -> None:
    found = voc.sniff(Memory({"a.xml": page(CAT), "b.xml": "broken"}))
    assert found == "2 .xml files, 1 of them with <annotation>"
    assert voc.sniff(Memory({"a.xml": page(CAT)})) == "1 .xml file with <annotation>"
    some = voc.sniff(Memory({f"{number}.xml": page(CAT) for number in range(20)}))
    assert some == "20 .xml files, 5 of the 5 looked at with <annotation>"
    assert voc.sniff(Memory({"a.xml": "<annotations><image/></annotations>"})) is None
    mit = "<annotation><filename>a.jpg</filename><imagesize><nrows>3</nrows></imagesize></annotation>"
    assert voc.sniff(Memory({"a.xml": mit})) is None
    assert voc.sniff(Memory({"a.xml": page(CAT).encode("utf-16")})) is not None


def test_real_sets_of_other_formats_are_not_taken_for_voc() -> None:
    for name in ("cvat", "label_studio", "terrain_labelme_coco"):
        assert voc.sniff(folder(real(name))) is None


def test_two_formats_in_one_tree_are_left_to_the_user() -> None:
    shapes = '{"shapes": [], "imagePath": "a.jpg"}'
    with pytest.raises(InputError, match=r"voc .*labelme .*--from"):
        detect(Memory({"a.xml": page(CAT), "a.json": shapes}))
