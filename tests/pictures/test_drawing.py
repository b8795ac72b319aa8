"""Labels drawn on pictures of every mode and size."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

import xlabel
from xlabel.model import Circle, OrientedBox, Points, Polyline
from xlabel.model.geometry import encode
from xlabel.pictures import drawing

CAR = xlabel.Category(id=2, name="car")


@pytest.mark.parametrize(
    ("annotation", "inside", "outside"),
    [
        (xlabel.Annotation(polygons=((100, 100, 500, 100, 500, 500),)), (400, 200), (200, 400)),
        (xlabel.Annotation(mask=encode(np.tri(900, dtype=bool))), (200, 400), (400, 200)),
        (xlabel.Annotation(shape=Circle(300, 300, 100)), (400, 300), (300, 300)),
        (xlabel.Annotation(shape=Polyline((100, 100, 500, 500))), (300, 300), (300, 400)),
        (xlabel.Annotation(shape=Points((300, 300))), (300, 300), (320, 300)),
        (
            xlabel.Annotation(shape=OrientedBox((300, 100, 500, 300, 300, 500, 100, 300))),
            (300, 300),
            (120, 120),
        ),
        (xlabel.Annotation(keypoints=(300, 300, 2, 500, 500, 0)), (300, 300), (500, 500)),
    ],
)
def test_each_geometry_is_drawn_where_it_is(
    annotation: xlabel.Annotation, inside: tuple[int, int], outside: tuple[int, int]
) -> None:
    drawn = drawing.draw(Pillow.new("RGB", (900, 900), "black"), [annotation])
    assert drawn.size == (900, 900)
    assert drawn.getpixel(inside) != (0, 0, 0)
    assert drawn.getpixel(outside) == (0, 0, 0)


def test_a_tiny_picture_is_enlarged_and_a_hostile_label_does_no_harm() -> None:
    far = 1e300
    hostile = [
        xlabel.Annotation(category=CAR, bbox=(-5, -5, 900, 900)),
        xlabel.Annotation(polygons=((-50, -50, 99, -50, 99, 99), (1, 1), ())),
        xlabel.Annotation(category=xlabel.Category(id=-7, name="\x1b[31m" + "x" * 500), bbox=(0, 0, 0, 0)),
        xlabel.Annotation(keypoints=(1, 2)),
        xlabel.Annotation(mask=xlabel.model.RLE((5, 5), "nonsense")),
        xlabel.Annotation(bbox=(far, far, far, far)),
        xlabel.Annotation(shape=Circle(far, 0, -1)),
    ]
    drawn = drawing.draw(Pillow.new("RGB", (16, 12)), hostile)
    assert min(drawn.size) >= 600


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_pictures_of_every_mode_are_drawn_on(mode: str) -> None:
    data = io.BytesIO()
    picture = Pillow.linear_gradient("L")
    kind = "TIFF" if mode in ("CMYK", "F", "I;16") else "PNG"
    if mode == "I;16":
        Pillow.fromarray(np.asarray(picture).astype(np.uint16) * 200).save(data, kind)
    else:
        picture.convert(mode).save(data, kind)
    shown = drawing.displayed(data.getvalue())
    assert shown.mode == "RGB"
    column = np.asarray(shown)[:, 0, 0].astype(int)
    assert abs(column[-1] - column[0]) > 200
