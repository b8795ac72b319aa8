"""What a format cannot hold is named, where it is and how often."""

import pytest

from xlabel.formats.losses import FIELDS, RECORDS, geometry_fields, missing
from xlabel.model import (
    RLE,
    Annotation,
    Category,
    Circle,
    Dataset,
    Image,
    Loss,
    OrientedBox,
    Points,
    Polyline,
    Sample,
)

CAT = Category(id=1, name="cat")
BOX = (1, 2, 3, 4)
USES = {
    "bbox": Annotation(category=CAT, bbox=BOX),
    "polygons": Annotation(category=CAT, polygons=((1, 2, 3, 4, 5, 6),)),
    "polygon parts": Annotation(category=CAT, polygons=((1, 2, 3, 4, 5, 6), (1, 1, 2, 2, 3, 1))),
    "mask": Annotation(category=CAT, mask=RLE((2, 2), (4,))),
    "keypoints": Annotation(category=CAT, keypoints=(0, 0, 0)),
    "oriented_box": Annotation(category=CAT, shape=OrientedBox((0, 0, 1, 0, 1, 1, 0, 1))),
    "polyline": Annotation(category=CAT, shape=Polyline((0, 0, 1, 1))),
    "points": Annotation(category=CAT, shape=Points((0, 0))),
    "circle": Annotation(category=CAT, shape=Circle(1, 1, 1)),
    "image labels": Annotation(category=CAT),
    "no category": Annotation(bbox=BOX),
    "crowd": Annotation(category=CAT, bbox=BOX, crowd=True),
    "score": Annotation(category=CAT, bbox=BOX, score=0),
    "status": Annotation(category=CAT, bbox=BOX, status="rejected"),
    "caption": Annotation(caption="hi"),
    "attributes": Annotation(category=CAT, bbox=BOX, attributes={"a": None}),
    "author": Annotation(category=CAT, bbox=BOX, time="noon"),
    "extra": Annotation(category=CAT, bbox=BOX, extra={"a": 1}),
    "id": Annotation(category=CAT, bbox=BOX, id=0),
    "area": Annotation(category=CAT, bbox=BOX, area=0),
}


def of(*annotations: Annotation, image: Image | None = None, split: str | None = None) -> Dataset:
    sample = Sample(image=image or Image(key="a.jpg"), annotations=annotations, split=split)
    return Dataset(samples=[sample], categories=[CAT])


@pytest.mark.parametrize("field", USES)
def test_a_field_that_is_used_and_not_held_is_a_loss(field: str) -> None:
    data = of(USES[field], USES[field])
    assert list(missing(data, frozenset(FIELDS) - {field})) == [Loss("a.jpg", field, 2)]
    assert list(missing(data, frozenset(FIELDS))) == []


@pytest.mark.parametrize(
    ("data", "loss"),
    [
        (of(), Loss("a.jpg", "unlabelled")),
        (of(USES["bbox"], split="val"), Loss("a.jpg", "split")),
        (of(USES["bbox"], image=Image(key="a.jpg", id=0)), Loss("a.jpg", "id")),
        (of(USES["bbox"], image=Image(key="a.jpg", extra={"a": 1})), Loss("a.jpg", "image extra")),
        (Dataset(samples=[], extra={"info": {"year": 2026}}), Loss("the data set", "info")),
        (
            Dataset(samples=[], categories=[Category(id=1, name="cat", supercategory="pet")]),
            Loss("category cat", "category extra"),
        ),
        (
            Dataset(samples=[], categories=[Category(id=1, name="cat", skeleton=((1, 2),))]),
            Loss("category cat", "category extra"),
        ),
    ],
)
def test_what_is_said_of_images_categories_and_the_whole_is_a_loss(data: Dataset, loss: Loss) -> None:
    assert list(missing(data, frozenset(FIELDS) - {loss.field})) == [loss]
    assert list(missing(data, frozenset(FIELDS))) == []


def test_every_field_is_tried_here() -> None:
    assert FIELDS.keys() == USES.keys() | {"unlabelled", "split", "image extra", "info", "category extra"}
    assert FIELDS.keys() > RECORDS


def test_several_geometries_of_one_thing_are_all_named() -> None:
    thing = Annotation(bbox=BOX, polygons=((1, 2, 3, 4, 5, 6),), keypoints=(1, 1, 2), shape=Circle(1, 1, 1))
    assert geometry_fields(thing) == ["bbox", "keypoints", "polygons", "circle"]


def test_a_category_by_itself_is_a_label_of_the_image_and_a_caption_is_none() -> None:
    data = of(
        Annotation(category=CAT), Annotation(caption="a cat"), Annotation(category=CAT, caption="a cat")
    )
    lost = {loss.field: loss.count for loss in missing(data, frozenset())}
    assert lost == {"image labels": 1, "caption": 2}
