"""LabelMe: all shapes are read, an untouched document is the same again, an edit is what is written."""

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image as Pillow
from pycocotools import mask as coco_mask
from tests.trees import Memory, folder, real

from xlabel.formats import labelme, labelme_write
from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Dataset,
    Image,
    OrientedBox,
    Points,
    Polyline,
    Sample,
)
from xlabel.model.geometry import bounds

A = Image(key="a.jpg", width=100, height=80)
CAT = Category(id=1, name="cat")


def png(*rows: str, mode: str = "L") -> str:
    """A PNG whose pixels are set where a row has `#`."""
    pixels = np.array([[255 * (c == "#") for c in row] for row in rows], dtype=np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(pixels).convert(mode).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shape(kind: str, points: Any, label: Any = "cat", **rest: Any) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **rest,
    }


def document(*shapes: Any, **rest: Any) -> dict[str, Any]:
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 80,
        "imageWidth": 100,
        **rest,
    }


def read(files: Mapping[str, Any], *images: Image) -> tuple[Dataset, list[str]]:
    """The data set after a travel through JSON, and the codes of its problems."""
    texts = {
        path: data if isinstance(data, str | bytes) else json.dumps(data) for path, data in files.items()
    }
    labels = labelme.read(Memory(texts))
    labels.bind([image.key for image in images])
    samples = []
    for image in images:
        ref = labels.find(image.key)
        sample = labels.load(ref, image) if ref is not None else None
        samples.append(sample or Sample(image=image))
    dataset = Dataset(samples=samples, categories=labels.categories, origin=labels.origin)
    back = msgspec.json.decode(msgspec.json.encode(dataset), type=Dataset)
    return back, [problem.code for problem in labels.problems]


def one(data: Any, image: Image = A) -> Sample:
    return read({"a.json": data}, image)[0].samples[0]


def problems(data: Any) -> list[str]:
    return read({"a.json": data}, A)[1]


def written(dataset: Dataset) -> dict[str, Any]:
    return {path: json.loads(b"".join(chunks)) for path, chunks in labelme.write(dataset)}


def edited(dataset: Dataset, *annotations: Annotation) -> Any:
    sample = replace(dataset.samples[0], annotations=annotations)
    return written(replace(dataset, samples=[sample]))["a.json"]


def text(data: Any) -> str:
    """Distinguishes 1 from 1.0, and one order of fields from another."""
    return json.dumps(data)


# --- Reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("rectangle", [[30, 60], [10, 20]], {"bbox": (10, 20, 20, 40)}),
        ("rectangle", [[10, 60.5], [30, 20.3]], {"bbox": (10, 20.3, 20, 40.2)}),
        ("rectangle", [[10, 20], [30, 20], [30, 60], [10, 60]], {"bbox": (10, 20, 20, 40)}),
        (
            "rectangle",
            [[10, 0], [20, 10], [10, 20], [0, 10]],
            {"shape": OrientedBox((10, 0, 20, 10, 10, 20, 0, 10))},
        ),
        (
            "oriented_rectangle",
            [[0, 0], [4, 0], [4, 2], [0, 2]],
            {"shape": OrientedBox((0, 0, 4, 0, 4, 2, 0, 2))},
        ),
        ("polygon", [[1, 2], [3, 4.5], [5, 6]], {"polygons": ((1, 2, 3, 4.5, 5, 6),)}),
        (None, [[1, 2], [3, 4], [5, 6]], {"polygons": ((1, 2, 3, 4, 5, 6),)}),
        ("circle", [[10, 20], [13, 24]], {"shape": Circle(10, 20, 5)}),
        ("line", [[1, 2], [3, 4]], {"shape": Polyline((1, 2, 3, 4))}),
        ("linestrip", [[1, 2], [3, 4], [5, 5]], {"shape": Polyline((1, 2, 3, 4, 5, 5))}),
        ("point", [[1, 2]], {"shape": Points((1, 2))}),
        ("points", [[1, 2], [3, 4]], {"shape": Points((1, 2, 3, 4))}),
    ],
)
def test_every_type_of_shape_is_read_and_written_again(
    kind: str, points: Any, expected: dict[str, Any]
) -> None:
    data = document(shape(kind, points), shape("point", [[0, 0]], "dog"))
    dataset, found = read({"a.json": data}, A)
    annotation = dataset.samples[0].annotations[0]
    assert replace(annotation, origin=None) == Annotation(category=CAT, **expected)
    assert found == []
    assert text(written(dataset)) == text({"a.json": data})


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_mask_lies_at_the_first_corner_of_its_inclusive_box(mode: str) -> None:
    data = document(shape("mask", [[2.0, 1.0], [4.0, 2.0]], mask=png("#..", "##.", mode=mode)))
    dataset, found = read({"a.json": data}, A)
    mask = dataset.samples[0].annotations[0].mask
    assert mask is not None
    expected = np.zeros((80, 100), dtype=bool)
    expected[1, 2] = expected[2, 2] = expected[2, 3] = True
    assert (coco_mask.decode({"size": list(mask.size), "counts": mask.counts}) == expected).all()
    assert found == []
    assert text(written(dataset)) == text({"a.json": data})


def test_a_mask_that_leaves_the_image_is_cut_off_there() -> None:
    data = document(shape("mask", [[-1, 78], [1, 80]], mask=png("###", "###", "###")))
    mask = one(data).annotations[0].mask
    assert mask is not None
    assert coco_mask.area({"size": list(mask.size), "counts": mask.counts}) == 4
    assert coco_mask.toBbox({"size": list(mask.size), "counts": mask.counts}).tolist() == [0, 78, 2, 2]


def test_what_a_shape_says_besides_is_its_attributes_and_the_unknown_is_extra() -> None:
    data = document(
        shape(
            "point",
            [[1, 2]],
            group_id=3,
            description="left eye",
            flags={"occluded": True, "truncated": False},
            attributes={"colour": "blue"},
            score=0.5,
            line_color=None,
        )
    )
    annotation = one(data).annotations[0]
    assert annotation.attributes == {
        "group_id": 3,
        "description": "left eye",
        "occluded": True,
        "truncated": False,
        "colour": "blue",
    }
    assert annotation.extra == {"score": 0.5}


def test_polygons_of_one_label_and_group_are_parts_of_one_thing() -> None:
    triangle, other = [[0, 0], [9, 0], [9, 9]], [[20, 0], [29, 0], [29, 9]]
    data = document(
        shape("polygon", triangle, group_id=1),
        shape("polygon", triangle, "dog", group_id=1),
        shape("polygon", other, group_id=1),
        shape("polygon", other, group_id=2),
        shape("polygon", other, group_id=1, flags={"far": True}),
        shape("rectangle", [[0, 0], [1, 1]], group_id=1),
    )
    dataset, _ = read({"a.json": data}, A)
    annotations = dataset.samples[0].annotations
    assert [a.category.name for a in annotations if a.category] == ["cat", "dog", "cat", "cat", "cat"]
    assert annotations[0].polygons == ((0, 0, 9, 0, 9, 9), (20, 0, 29, 0, 29, 9))
    assert [a.attributes for a in annotations] == [
        None,
        {"group_id": 1},
        {"group_id": 2},
        {"group_id": 1, "far": True},
        {"group_id": 1},
    ]
    assert text(written(dataset)) == text({"a.json": data})


def test_flags_of_the_image_that_are_true_are_labels_of_it() -> None:
    data = document(flags={"night": True, "rain": False, "odd": 1})
    dataset, _ = read({"a.json": data}, A)
    assert dataset.samples[0].annotations == (Annotation(category=Category(id=1, name="night")),)
    assert text(written(dataset)) == text({"a.json": data})
    rain = Annotation(category=Category(id=2, name="rain"))
    fog = Annotation(category=Category(id=3, name="fog"))
    assert edited(dataset, rain, fog)["flags"] == {"night": False, "rain": True, "odd": 1, "fog": True}


def test_the_image_path_says_which_of_two_images_is_meant() -> None:
    files = {"a.json": json.dumps(document(imagePath="..\\x\\a.png"))}
    labels = labelme.read(Memory(files))
    labels.bind(["a.jpg", "a.png"])
    assert [labels.find("a.jpg"), labels.find("a.png")] == [None, "a.json"]
    sample = labels.load("a.json", Image(key="a.png", width=100, height=80))
    assert sample is not None
    assert sample.named is None
    assert labels.image("a.json") == Image(key="a.png", width=100, height=80)


def test_labels_drawn_on_the_stored_matrix_are_turned_and_written_as_they_were() -> None:
    image = Image(key="a.jpg", width=80, height=100, orientation=6)
    data = document(
        shape("rectangle", [[10, 20], [30, 60.3]]),
        shape("circle", [[10, 20], [13, 24]]),
        shape("mask", [[0, 0], [1, 0]], mask=png("#.")),
    )
    dataset, found = read({"a.json": data}, image)
    box, circle, mask = dataset.samples[0].annotations
    assert found == []
    assert box.bbox == pytest.approx((80 - 60.3, 10, 40.3, 20))
    assert circle.shape == Circle(60, 10, 5)
    assert mask.mask is not None
    counts = {"size": list(mask.mask.size), "counts": mask.mask.counts}
    assert coco_mask.toBbox(counts).tolist() == [79, 0, 1, 1]
    assert text(written(dataset)) == text({"a.json": data})
    new = edited(dataset, replace(box, bbox=(0, 0, 5, 10)), circle, mask)
    assert new["shapes"][0]["points"] == [[0, 75], [10, 80]]
    assert new["shapes"][1:] == data["shapes"][1:]


# --- What is wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "bad-json"),
        (b"\xff\xfe{}", "bad-json"),
        ('{"shapes": [NaN]}', "bad-json"),
        ('{"shapes": [1e999]}', "bad-json"),
        ('{"shapes": ' + "[" * 100_000, "too-deep"),
        ('{"shapes": [], "x": ' + "[" * 500 + "1" + "]" * 500 + "}", "too-deep"),
        ("[]", "not-labelme"),
        ('{"images": [], "annotations": []}', "not-labelme"),
        ('{"shapes": {}}', "not-labelme"),
        (document(imageHeight="80"), "bad-size"),
        (document(imageHeight=-1), "bad-size"),
        (document(imageHeight=81), "size-mismatch"),
        (document(flags=[]), "bad-flags"),
        (document(7), "bad-shape"),
        (document(shape("star", [[1, 2]])), "bad-shape"),
        (document(shape("star" * 100, {})), "bad-shape"),
        (document(shape("point", [[1, 2]], x=json.loads("[" * 500 + "]" * 500))), "too-deep"),
        (document(shape("point", [[1, 2]], label=3)), "no-name"),
        (document(shape("point", [[1, 2]], label="")), "no-name"),
        (document(shape("point", None)), "bad-points"),
        (document(shape("point", [])), "bad-points"),
        (document(shape("point", [[1, "2"]])), "bad-points"),
        (document(shape("point", [[1, True]])), "bad-points"),
        (document(shape("point", [[1, 10**400]])), "bad-points"),
        (document(shape("polygon", [[1, 2], [3, 4]])), "bad-points"),
        (document(shape("rectangle", [[1, 2], [3, 4], [5, 6]])), "bad-points"),
        (document(shape("mask", [[1, 2], [3, 4]])), "bad-mask"),
        (document(shape("mask", [[1, 2], [3, 4]], mask="~~")), "bad-mask"),
        (document(shape("mask", [[1, 2], [3, 4]], mask=png("#"))), "bad-mask"),
        (document(shape("mask", [[0, 0], [2, 0]], mask=png("###")[:60])), "bad-mask"),
        (
            document(shape("mask", [[0, 0], [0, 0]], mask=png("#")), imageWidth=10**6, imageHeight=10**6),
            "bad-size",
        ),
    ],
)
def test_what_is_wrong_is_one_problem(data: Any, code: str) -> None:
    assert problems(data)[:1] == [code]
    assert set(problems(data)) <= {code, "size-mismatch"}


def test_a_broken_shape_is_named_and_kept_and_the_others_are_read() -> None:
    data = document(shape("point", [[1, 2]]), shape("star", [[1, 2]]), shape("point", [[3, 4]]))
    labels = labelme.read(Memory({"a.json": json.dumps(data)}, root="set"))
    sample = labels.load("a.json", A)
    assert sample is not None
    assert [a.shape for a in sample.annotations] == [Points((1, 2)), Points((3, 4))]
    assert labels.problems[0].where == "set/a.json"
    assert labels.problems[0].message.startswith("shapes[1]: expected one of rectangle, ")
    dataset = Dataset(samples=[sample], origin=labels.origin)
    assert text(written(dataset)) == text({"a.json": data})
    assert edited(dataset, sample.annotations[1])["shapes"] == [data["shapes"][2], data["shapes"][1]]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(list(document())), json_values),
    st.dictionaries(st.sampled_from(list(shape("point", []))), json_values),
    st.sampled_from(["point", "rectangle", "polygon", "mask", "circle"]),
)
def test_wrong_types_anywhere_raise_nothing_and_are_kept(
    top: dict[str, Any], inner: dict[str, Any], kind: str
) -> None:
    data = document({**shape(kind, [[1, 2], [3, 4]], mask=png("##")), **inner}, shape("point", [[1, 2]]))
    data = {**data, **top}
    dataset, found = read({"a.json": data}, A)
    if isinstance(data["shapes"], list):
        assert text(written(dataset)) == text({"a.json": data})
    else:
        assert found == ["not-labelme"]


# --- Writing the same -------------------------------------------------------------------------------------


def test_old_and_bare_documents_are_written_as_they_were() -> None:
    old: dict[str, Any] = {
        "lineColor": [0, 255, 0, 128],
        "fillColor": [255, 0, 0, 128],
        "imagePath": "../b/IMG.JPG",
        "imageData": "AAAA",
        "shapes": [
            {"fill_color": None, "line_color": None, "points": [[1, 2], [3, 4.0], [5, 6]], "label": "cat"}
        ],
        "version": "3.16.7",
    }
    data: dict[str, Any]
    for data in (
        old,
        {"shapes": []},
        document(imageHeight=None, imageWidth=None),
        {"flags": None, "shapes": []},
    ):
        dataset, found = read({"x/a.json": data}, A)
        assert text(written(dataset)) == text({"x/a.json": data})
        assert found == []
    sample = read({"a.json": old}, A)[0].samples[0]
    assert sample.named == "../b/IMG.JPG"
    assert sample.image.extra == {"lineColor": [0, 255, 0, 128], "fillColor": [255, 0, 0, 128]}
    assert (sample.image.width, sample.image.height) == (100, 80)


def test_a_byte_order_mark_is_no_error() -> None:
    data = b"\xef\xbb\xbf" + json.dumps(document(shape("point", [[1, 2]]))).encode()
    assert problems(data) == []
    assert len(one(data).annotations) == 1


def test_an_image_without_a_file_gets_none_and_one_without_shapes_keeps_its_own() -> None:
    dataset, _ = read({"a.json": document()}, A, Image(key="b.jpg"))
    assert [sample.origin is not None for sample in dataset.samples] == [True, False]
    assert written(dataset) == {"a.json": document()}


def terrain() -> tuple[Memory, labelme.LabelmeLabels, list[Sample]]:
    tree = folder(real("terrain_labelme_coco"))
    labels = labelme.read(tree)
    keys = ["terrain1.jpg", "terrain2.png", "terrain3.png"]
    labels.bind(keys)
    samples = [labels.load(labels.find(key) or "", Image(key=key)) for key in keys]
    return tree, labels, [sample for sample in samples if sample is not None]


def test_terrain_has_the_polygons_that_were_counted_and_is_the_same_again() -> None:
    tree, labels, samples = terrain()
    assert [len(sample.annotations) for sample in samples] == [
        len(json.loads(tree.read(f"terrain{n}.json"))["shapes"]) for n in (1, 2, 3)
    ]
    assert sum(len(a.polygons or ()) for sample in samples for a in sample.annotations) == 22
    assert labels.problems == []
    files = written(Dataset(samples=samples, categories=labels.categories, origin=labels.origin))
    assert text(files) == text(
        {f"terrain{n}.json": json.loads(tree.read(f"terrain{n}.json")) for n in (1, 2, 3)}
    )


def test_terrain_has_the_polygons_that_its_coco_file_has() -> None:
    tree, _, samples = terrain()
    coco = json.loads(tree.read("terrain2_coco.json"))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    theirs = [(names[a["category_id"]], *a["bbox"]) for a in coco["annotations"]]
    ours = [
        (a.category.name, *(bounds(a.polygons[0]) or ()))
        for a in samples[1].annotations
        if a.category and a.polygons
    ]
    assert len(ours) == len(theirs)
    for (name, *box), (their_name, *their_box) in zip(sorted(ours), sorted(theirs), strict=True):
        assert name == their_name
        assert box == pytest.approx(their_box, abs=1.01)


# --- Writing what has changed -----------------------------------------------------------------------------


def test_an_edited_shape_keeps_what_is_not_edited() -> None:
    old = {
        "points": [[30, 60], [10, 20]],
        "odd": [1],
        "shape_type": "rectangle",
        "label": "cat",
        "flags": None,
    }
    dataset, _ = read({"a.json": document(old, other=1)}, A)
    cat = dataset.samples[0].annotations[0]
    assert edited(dataset, cat)["shapes"] == [old]
    moved = edited(dataset, replace(cat, bbox=(10, 20, 20, 41)))
    assert text(moved["shapes"]) == text([{**old, "points": [[10, 20], [30, 61]]}])
    renamed = edited(dataset, replace(cat, category=Category(id=2, name="dog")))
    assert text(renamed["shapes"]) == text([{**old, "label": "dog"}])
    described = edited(
        dataset, replace(cat, attributes={"description": "x", "far": True, "n": 2}, extra={"new": 1})
    )
    assert described["shapes"] == [
        {
            "points": old["points"],
            "shape_type": "rectangle",
            "label": "cat",
            "flags": {"far": True},
            "description": "x",
            "attributes": {"n": 2},
            "new": 1,
        }
    ]
    polygon = edited(dataset, replace(cat, bbox=None, polygons=((1, 2, 3, 4, 5, 6),)))
    assert text(polygon["shapes"]) == text(
        [{**old, "points": [[1, 2], [3, 4], [5, 6]], "shape_type": "polygon"}]
    )


OLD = document(
    shape("rectangle", [[30, 60], [10, 20]]),
    shape("polygon", [[0, 0], [1, 0], [1, 1]], group_id=4),
    {"label": "dog", "points": [[1, 2], [3, 4], [5, 6.5]], "flags": None, "note": "x"},
    shape("star", []),
    shape("circle", [[10, 20], [13, 24]], description="round", flags={"far": True}),
    shape("polygon", [[5, 5], [6, 5], [6, 6]], group_id=4),
    shape("mask", [[2, 1], [4, 2]], mask=png("#..", "##.")),
)


@given(st.data())
def test_an_edited_document_says_what_the_sample_says(data: st.DataObject) -> None:
    dataset, _ = read({"a.json": OLD}, A)
    sources = [*dataset.samples[0].annotations, *read({"a.json": document()}, A)[0].samples[0].annotations]
    pool = [*sources, *EVERYTHING[:3], *EVERYTHING[5:]]
    new = []
    for _ in range(data.draw(st.integers(0, 6))):
        what, words, origin = (data.draw(st.sampled_from(pool)) for _ in range(3))
        new.append(replace(what, attributes=words.attributes, category=words.category, origin=origin.origin))
    back = one(edited(dataset, *new))
    assert sorted(map(said, back.annotations)) == sorted(map(said, new))


def said(annotation: Annotation) -> str:
    """What an annotation says; parts that share a group are one thing, and their group is no attribute."""
    attributes = {k: v for k, v in (annotation.attributes or {}).items() if k != "group_id"}
    name = annotation.category and annotation.category.name
    bare = replace(annotation, origin=None, attributes=None, category=None)
    return repr((name, bare, sorted(attributes.items(), key=str)))


def test_a_line_of_two_points_stays_a_linestrip() -> None:
    data = document(shape("linestrip", [[1, 2], [3, 5]]))
    dataset, _ = read({"a.json": data}, A)
    line = dataset.samples[0].annotations[0]
    new = edited(dataset, replace(line, shape=Polyline((1, 2, 3, 4))))
    assert (new["shapes"][0]["shape_type"], new["shapes"][0]["points"]) == ("linestrip", [[1, 2], [3, 4]])


def test_an_image_that_has_another_name_or_size_is_written_with_it() -> None:
    dataset, _ = read({"labels/a.json": document(imagePath="..\\img\\a.jpg")}, A)
    image = Image(key="b/c.png", width=50, height=80, extra={"camera": 1})
    new = written(replace(dataset, samples=[replace(dataset.samples[0], image=image)]))
    expected = document(imagePath="..\\img\\c.png", imageWidth=50, camera=1)
    assert new == {"labels/b/c.json": expected}


def test_an_origin_from_elsewhere_is_not_believed() -> None:
    for origin, own in (
        ({"path": "../x.json", "document": 3}, 1),
        ({"path": 3, "document": {"shapes": [0, 0, 9, "x"], "flags": 7, "imageWidth": {}}}, [1]),
        ([], {"points": None}),
        ({"document": {"imagePath": 1}}, [{"label": "x", "points": None}, {}]),
    ):
        cat = Annotation(category=CAT, bbox=(10, 20, 20, 40), origin=own)
        sample = Sample(image=A, annotations=(cat,), origin=origin)
        files = written(Dataset(samples=[sample], origin=read({}, A)[0].origin))
        assert list(files) == ["a.json"]
        shapes = [s for s in files["a.json"]["shapes"] if isinstance(s, dict)]
        assert [(s["label"], s["points"]) for s in shapes] == [("cat", [[10, 20], [30, 60]])]


# --- Writing for others -----------------------------------------------------------------------------------


def mask_of(*rows: str) -> RLE:
    pixels = np.asfortranarray([[c == "#" for c in row] for row in rows], dtype=np.uint8)
    rle = coco_mask.encode(pixels)
    return RLE((rle["size"][0], rle["size"][1]), rle["counts"].decode())


EVERYTHING = (
    Annotation(category=CAT, bbox=(98.44, 80.34, 187.68, 187.68), attributes={"group_id": 7, "far": True}),
    Annotation(category=CAT, polygons=((1, 2, 3, 4, 5, 6.5),), attributes={"n": [1], "s": "x", "none": None}),
    Annotation(category=CAT, polygons=((0, 0, 1, 0, 1, 1), (5, 5, 6, 5, 6, 6)), extra={"track": 3}),
    Annotation(category=CAT, mask=mask_of("....", ".##.", "..#.")),
    Annotation(category=CAT, mask=mask_of("....", "....", "....")),
    Annotation(category=CAT, shape=OrientedBox((0, 0, 4, 3, 1, 7, -3, 4))),
    Annotation(category=CAT, shape=Polyline((1, 2, 3, 4))),
    Annotation(category=CAT, shape=Polyline((1, 2, 3, 4, 5, 6))),
    Annotation(category=CAT, shape=Points((1, 2))),
    Annotation(category=CAT, shape=Points((1, 2, 3, 4))),
    Annotation(category=CAT, shape=Circle(1.5, 2, 3.25)),
)


def test_everything_that_is_held_is_read_again() -> None:
    image = Image(key="x/a.jpg", width=4, height=3, extra={"camera": {"name": "b"}})
    night = Annotation(category=Category(id=2, name="night"))
    dataset = Dataset(samples=[Sample(image=image, annotations=(*EVERYTHING, night))])
    files = written(dataset)
    assert list(files) == ["x/a.json"]
    assert list(labelme.losses(dataset)) == []
    back = read(files, Image(key="x/a.jpg", width=4, height=3))[0].samples[0]
    assert back.image.extra == image.extra
    found = [replace(annotation, origin=None, category=None) for annotation in back.annotations]
    assert found == [replace(annotation, category=None) for annotation in (night, *EVERYTHING)]


def test_a_new_document_has_the_layout_of_labelme() -> None:
    image = Image(key="x/a.jpg", width=640, height=427)
    dataset = Dataset(samples=[Sample(image=image, annotations=EVERYTHING[:1])])
    [(path, chunks)] = labelme.write(dataset)
    data: dict[str, Any] = {
        "version": labelme_write.VERSION,
        "flags": {},
        "shapes": [shape("rectangle", [[98.44, 80.34], [286.12, 268.02]], group_id=7, flags={"far": True})],
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 427,
        "imageWidth": 640,
    }
    assert path == "x/a.json"
    assert b"".join(chunks).decode() == json.dumps(data, indent=2)


def test_what_cannot_be_written_is_a_loss() -> None:
    box = (1, 2, 4, 4.5)
    annotations = (
        Annotation(category=CAT, polygons=((1, 2, 3, 4, 5, 6.5),), bbox=box),
        Annotation(category=CAT, polygons=((1, 2, 3, 4, 5, 6.5),), bbox=(0, 2, 4, 4.5)),
        Annotation(category=CAT, polygons=((1, 2, 3, 4),), bbox=box),
        Annotation(category=CAT, mask=RLE((3, 4), "nonsense"), bbox=box),
        Annotation(category=CAT, mask=mask_of("#."), polygons=((0, 0, 1, 0, 1, 1),), shape=Circle(1, 1, 1)),
        Annotation(category=CAT, polygons=((0, 0, 1, 0, 1, 1),) * 2, attributes={"group_id": 4}),
        Annotation(category=CAT, bbox=box, extra={"points": 4}, score=0.5),
        Annotation(category=CAT, attributes={"sure": True}),
        Annotation(category=CAT),
    )
    image = Image(key="a.jpg", extra={"version": 4})
    dataset = Dataset(samples=[Sample(image=image, annotations=annotations)])
    counts: dict[str, int] = {}
    for loss in labelme.losses(dataset):
        counts[loss.field] = counts.get(loss.field, 0) + loss.count
    assert counts == {
        "bbox": 1,
        "polygons": 2,
        "mask": 1,
        "circle": 1,
        "attributes": 2,
        "extra": 1,
        "score": 1,
        "image labels": 1,
        "image extra": 1,
    }
    assert [s["shape_type"] for s in written(dataset)["a.json"]["shapes"]] == [
        "polygon",
        "polygon",
        "rectangle",
        "rectangle",
        "mask",
        "polygon",
        "polygon",
        "rectangle",
    ]


def test_images_with_one_stem_have_a_file_each() -> None:
    keys = ["a.jpg", "a.png"]
    files = written(Dataset(samples=[Sample(image=Image(key=key)) for key in keys]))
    assert {path: data["imagePath"] for path, data in files.items()} == {
        "a.json": "a.jpg",
        "a.png.json": "a.png",
    }
    labels = labelme.read(Memory({path: json.dumps(data) for path, data in files.items()}))
    labels.bind(keys)
    assert [labels.find(key) for key in keys] == ["a.json", "a.png.json"]


def test_category_ids_are_lost_where_they_are_not_the_order_of_the_labels() -> None:
    cat, dog, cow = (Category(id=i, name=name) for i, name in ((2, "cat"), (3, "dog"), (9, "cow")))
    labels = (Annotation(category=dog, bbox=(1, 2, 3, 4)), Annotation(category=cat))
    data = Dataset(samples=[Sample(image=A, annotations=labels)], categories=[cat, dog, cow])
    found = [(loss.where, loss.field, loss.count) for loss in labelme.losses(data)]
    assert found == [("the data set", "id", 2), ("category cow", "category extra", 1)]
    files = {path: json.dumps(document) for path, document in written(data).items()}
    again, _ = read(files, A)
    assert again.categories == [Category(id=1, name="cat"), Category(id=2, name="dog")]
    assert list(labelme.losses(again)) == []


def test_the_format_is_found_out_by_its_shapes() -> None:
    coco = '{"images": [], "annotations": [{"shapes": 1}], "categories": []}'
    assert labelme.sniff(Memory({"a.json": coco})) is None
    found = labelme.sniff(Memory({"a.json": json.dumps(document()), "b.json": coco}))
    assert found == "2 .json files, 1 of them with shapes"
    assert labelme.sniff(Memory({"a.json": '{"shapes": [], "layers": 3}'})) is None
    for name in ("coco_keypoints4", "panoptic2", "label_studio", "visdrone50_coco"):
        assert labelme.sniff(folder(real(name))) is None
    assert labelme.sniff(folder(real("terrain_labelme_coco"))) is not None
