"""Pictures with one magenta thing in them, so that its place can be seen whatever is done to the picture."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

import xlabel

BOX = (96, 40, 64, 48)
"""Where the thing is: x, y, width, height."""
SIZE = (320, 240)
CAR = xlabel.Category(id=1, name="car")


def scene(seed: int, box: tuple[int, int, int, int] = BOX, noise: int = 3) -> Image.Image:
    """A picture of soft colours, some forms, noise, and the thing. The same seed gives the same."""
    random = np.random.default_rng(seed)
    small = random.integers(70, 230, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for number in range(18):
        x, y = int(random.integers(0, SIZE[0])), int(random.integers(0, SIZE[1]))
        w, h = (int(side) for side in random.integers(8, 50, 2))
        colour = tuple(int(value) for value in random.integers(90, 230, 3))
        (draw.rectangle if number % 2 else draw.ellipse)((x, y, x + w, y + h), fill=colour)
    values = np.asarray(picture).astype(int) + random.integers(-noise, noise + 1, (SIZE[1], SIZE[0], 3))
    picture = Image.fromarray(values.clip(60, 240).astype(np.uint8))
    ImageDraw.Draw(picture).rectangle(
        (box[0], box[1], box[0] + box[2] - 1, box[1] + box[3] - 1), fill=(255, 0, 255)
    )
    return picture


def seen(image: Path | bytes) -> tuple[float, float, float, float] | None:
    """The box around the thing in an image file as it is displayed, by Pillow; None where it is not there."""
    with Image.open(image if isinstance(image, Path) else io.BytesIO(image)) as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).astype(int)
    thing = (shown[..., 0] > 150) & (shown[..., 1] < 45) & (shown[..., 2] > 150)
    rows, columns = (np.flatnonzero(thing.sum(axis=axis) > 4) for axis in (1, 0))  # not a stray pixel
    if not rows.size or not columns.size:
        return None
    left, top = float(columns[0]), float(rows[0])
    return left, top, float(columns[-1]) + 1 - left, float(rows[-1]) + 1 - top


def near(one: tuple[float, ...] | None, other: tuple[float, ...] | None, by: float = 2.0) -> bool:
    """Whether two boxes are the same to so many pixels, which compression and resizing may smear."""
    if one is None or other is None:
        return one is other
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def labelled(path: Path, seed: int, box: tuple[int, int, int, int] = BOX, **options: object) -> Path:
    """An image file with its thing labelled inside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scene(seed, box).save(path, quality=90)
    xlabel.embed(path, [xlabel.Annotation(category=CAR, bbox=box)], **options)  # type: ignore[arg-type]
    return path


def box_in(path: Path) -> tuple[float, ...] | None:
    """The box that the labels in an image file say; None where there are none."""
    try:
        annotations = xlabel.read(path).samples[0].annotations
    except (xlabel.InputError, IndexError):
        return None
    return annotations[0].bbox if annotations else None
