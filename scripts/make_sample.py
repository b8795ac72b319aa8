"""Draws the sample: small scenes of our own, with the exact outline of everything in them.

    python scripts/make_sample.py               sample/raw_images and sample/raw_labels (YOLO)
    python scripts/make_sample.py --forms DIR   the same labels as COCO, Pascal VOC and LabelMe, nothing else

The layout of a scene needs only Python's own `random`, so labels are the same everywhere; the files' bytes
are the same for one version of Pillow.
"""

import argparse
import json
import math
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SEED = 20
SCALE = 3  # scenes are drawn this much larger and averaged down: smooth edges
ORIENTATION = 0x0112
COCO_IDS = {"car": 1, "tree": 2, "ball": 3, "house": 7, "person": 8, "boat": 9}
CLASSES = list(COCO_IDS)

Point = tuple[float, float]
Polygon = Sequence[Point]
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
Part = tuple[Polygon, Colour | None]  # a colour of None is the thing's own
Values = NDArray[np.float64]


class Thing(NamedTuple):
    """Something in a picture: its outline and box in pixels as displayed, two decimals."""

    category: str
    variant: int
    outline: Polygon
    flipped: bool

    @property
    def box(self) -> Box:
        """Left, top, right, bottom; it touches the outline on all sides."""
        return bounds(self.outline)


class Picture(NamedTuple):
    """A file to draw, with `number` things in it at most."""

    key: str
    size: tuple[int, int]
    scene: str
    light: str = "day"
    number: int = 5
    orientation: int = 1
    labelled: bool = True


PICTURES = [
    Picture("street/001.jpg", (640, 427), "street", number=9),
    Picture("street/002.jpg", (480, 320), "street", "evening", 7),
    Picture("street/003.jpg", (320, 240), "street", "overcast"),
    Picture("street/004.png", (240, 180), "street", "day", 4),
    Picture("street/night/001.jpg", (512, 384), "street", "dusk", 7),
    Picture("street/night/002.webp", (400, 300), "street", "dusk", 6),
    Picture("straße/übergang.jpg", (448, 336), "street", "day", 6),
    Picture("yard/001.jpg", (500, 375), "yard", number=6),
    Picture("yard/002.jpg", (320, 320), "yard", "evening"),
    Picture("yard/003.jpg", (300, 400), "yard", "overcast"),
    Picture("yard/empty lawn.jpg", (320, 213), "yard", "day", 0),
    Picture("yard/turned.jpg", (300, 400), "yard", "day", 5, orientation=6),
    Picture("yard/005.webp", (426, 320), "yard", "day", 6),
    Picture("harbour/001.jpg", (640, 360), "harbour", number=7),
    Picture("harbour/002.jpg", (480, 360), "harbour", "evening", 6),
    Picture("harbour/003.jpg", (240, 320), "harbour", "overcast", 4),
    Picture("harbour/004.webp", (350, 263), "harbour", "dusk"),
    Picture("harbour/005.png", (160, 200), "harbour", "day", 3),
    Picture("table/blocks.jpg", (400, 400), "table", "day", 6),
    Picture("table/two balls.jpg", (320, 256), "table", "evening", 3),
    Picture("table/003.jpg", (160, 160), "table", "day", 2),
    Picture("table/004.png", (200, 150), "table", "overcast", 3),
    Picture("unlabelled.jpg", (384, 256), "yard", "evening", labelled=False),
    Picture("main street.jpg", (576, 432), "street", "evening", 8),
]


# --- Shapes: each in units of its own, y down -------------------------------------------------------------


class Shape(NamedTuple):
    """An outline filled with `base`, and the parts painted within it."""

    outline: Polygon
    base: Colour | None
    parts: Sequence[Part]
    round: bool = False


def arc(x: float, y: float, radius: float, start: float = 0, end: float = 360, lumps: float = 0) -> Polygon:
    """Points from `start` to `end` degrees, clockwise from the right; `lumps` makes the rim wavy."""
    steps = max(8, round(abs(end - start) / 10))
    turns = [math.radians(start + (end - start) * i / steps) for i in range(steps + (abs(end - start) < 360))]
    return [
        (x + r * math.cos(t), y + r * math.sin(t))
        for t in turns
        for r in [radius * (1 + lumps * math.cos(9 * t))]
    ]


def rect(left: float, top: float, right: float, bottom: float) -> Polygon:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def car() -> Shape:
    glass, tyre, rim = (182, 212, 228), (38, 38, 42), (170, 172, 176)
    bonnet = [(72, 3), (84, 14), (97, 18), (100, 24), (100, 31), (98, 33)]
    roof = [(2, 33), (0, 31), (1, 22), (7, 17), (22, 14), (32, 3), (39, 0), (63, 0)]
    wheels = [arc(78, 33, 9, 0, 180), arc(22, 33, 9, 0, 180)]
    outline = [*roof, *bonnet, *wheels[0], *wheels[1]]
    parts: list[Part] = [
        ([(29, 14), (36, 4), (50, 3), (50, 14)], glass),
        ([(53, 14), (53, 3), (63, 3), (69, 5), (79, 14)], glass),
        (rect(51, 15, 52, 31), (60, 60, 64)),
        (rect(55, 18, 60, 19.5), (60, 60, 64)),
        ([(95, 19), (100, 21), (100, 25), (95, 24)], (255, 240, 180)),
        (rect(0, 21, 3, 26), (200, 40, 40)),
    ]
    for x in (22, 78):
        parts += [(arc(x, 33, 9), tyre), (arc(x, 33, 4.5), rim)]
    return Shape(outline, None, parts)


def leafy_tree() -> Shape:
    trunk = [(56, 80), (60, 122), (40, 122), (44, 80)]
    crown = arc(50, 44, 42, 98, 442, lumps=0.05)
    lights: list[Part] = [
        (arc(36, 28, 12, lumps=0.1), (112, 166, 74)),
        (arc(62, 40, 12, lumps=0.1), (98, 152, 66)),
    ]
    return Shape([*crown, *trunk], (104, 74, 48), [(arc(50, 44, 42, lumps=0.05), None), *lights])


def fir_tree() -> Shape:
    right = [(50, 0), (70, 34), (62, 34), (82, 70), (70, 70), (92, 108), (56, 108), (57, 122)]
    outline = [*right, *((100 - x, y) for x, y in reversed(right[1:]))]
    snow = [([(50, 0), (60, 17), (50, 22), (40, 17)], (92, 142, 98))]
    return Shape(outline, None, [*snow, (rect(43, 108, 57, 122), (92, 66, 46))])


def ball() -> Shape:
    white: Colour = (244, 242, 236)
    sectors = [([(58.0, 42.0), *arc(50, 50, 50, a, a + 50)], white) for a in (20, 140, 260)]
    return Shape(arc(50, 50, 50), None, [*sectors, (arc(58, 42, 8), white)], round=True)


def house() -> Shape:
    roof, frame, pane = (150, 70, 54), (248, 246, 240), (108, 140, 164)
    chimney: Polygon = [(70, 18.4), (70, 5), (80, 5), (80, 27.6)]
    eaves = [(100, 46), (92, 46), (92, 100), (8, 100), (8, 46), (0, 46)]
    parts: list[Part] = [
        (chimney, (128, 84, 70)),
        ([(0, 46), (50, 0), (100, 46)], roof),
        (rect(42, 66, 58, 100), (92, 62, 44)),
        (arc(55, 84, 1.2), (220, 190, 90)),
        (arc(50, 30, 7), frame),
        (arc(50, 30, 5.4), pane),
    ]
    for x in (16, 66):
        parts += [(rect(x, 58, x + 18, 80), frame)]
        parts += [(rect(x + a, 60 + b, x + a + 6.5, 68.5 + b), pane) for a in (2, 9.5) for b in (0, 9.5)]
    return Shape([(50, 0), *chimney, *eaves], None, parts)


def person() -> Shape:
    arm = [(23, 18), (33, 21), (37, 27), (40, 54), (35, 55), (31, 36)]
    leg = [(30, 56), (32, 95), (36, 98), (36, 100), (24.5, 100), (21, 64)]
    right = [*arm, *leg]
    left = [(40 - x, y) for x, y in reversed(right)]
    head = arc(20, 9, 9, 110, 430)
    half = [(28, 19), (34, 21), (38, 28), (39, 42), (34, 42), (31, 34), (31, 57)]
    shirt = [*half, *((40 - x, y) for x, y in reversed(half))]
    hair = [*arc(20, 9, 9, 175, 365), (25, 5.5), (15, 5.5)]
    parts: list[Part] = [
        (rect(4, 54, 36, 96), (58, 66, 92)),
        (rect(0, 96, 40, 100), (48, 40, 36)),
        (shirt, None),
        (hair, (78, 54, 38)),
    ]
    return Shape([*head, *right, *left], (226, 178, 146), parts)


def boat() -> Shape:
    sail, shade = (248, 244, 232), (226, 220, 206)
    main = [(52, 6), (64, 26), (78, 52), (90, 78), (52, 78)]
    jib = [(48, 78), (12, 78), (26, 52), (40, 24), (48, 10)]
    hull = [(51, 86), (98, 84), (84, 104), (18, 104), (2, 84), (49, 86)]
    outline = [(49, 0), (51, 0), *main, (51, 80), *hull, (49, 80), *jib]
    parts: list[Part] = [
        (main, sail),
        (jib, shade),
        (rect(48.8, 0, 51.2, 87), (92, 66, 46)),
        (hull, None),
        ([(4, 88), (96, 88), (94, 92), (7, 92)], (244, 242, 236)),
    ]
    return Shape(outline, sail, parts)


SHAPES = {
    "car": [car()],
    "tree": [leafy_tree(), fir_tree()],
    "ball": [ball()],
    "house": [house()],
    "person": [person()],
    "boat": [boat()],
}
PAINTS: dict[str, list[Colour]] = {
    "car": [(186, 44, 40), (46, 92, 158), (222, 220, 214), (58, 122, 96), (226, 172, 46)],
    "tree": [(72, 122, 58), (58, 108, 66), (88, 128, 52)],
    "ball": [(208, 52, 48), (44, 110, 186), (240, 150, 40), (66, 150, 88)],
    "house": [(232, 214, 182), (214, 196, 188), (240, 226, 170), (196, 212, 216)],
    "person": [(190, 60, 56), (54, 120, 140), (236, 184, 70), (110, 84, 140), (238, 238, 232)],
    "boat": [(40, 82, 128), (164, 50, 46), (60, 104, 84), (96, 68, 50)],
}


def bounds(points: Polygon) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def fit(points: Polygon, frame: Box, box: Box, flipped: bool) -> Polygon:
    """The points moved from a shape's own `frame` into `box`."""
    left, top, right, bottom = frame
    width, height = (box[2] - box[0]) / (right - left), (box[3] - box[1]) / (bottom - top)
    xs = [(right - x if flipped else x - left) * width + box[0] for x, _ in points]
    return [(x, (y - top) * height + box[1]) for x, (_, y) in zip(xs, points, strict=True)]


# --- Layout: what stands where ----------------------------------------------------------------------------


class Slot(NamedTuple):
    """A place for a thing: where it stands and how tall it is, as parts of the picture's height."""

    category: str
    base: float
    height: float


SLOTS = {
    "street": [
        Slot("car", 0.80, 0.14),
        Slot("house", 0.62, 0.40),
        Slot("person", 0.71, 0.23),
        Slot("tree", 0.64, 0.36),
        Slot("car", 0.97, 0.17),
        Slot("person", 0.70, 0.21),
        Slot("tree", 0.63, 0.30),
        Slot("car", 0.80, 0.13),
        Slot("house", 0.62, 0.33),
    ],
    "yard": [
        Slot("ball", 0.93, 0.13),
        Slot("house", 0.58, 0.40),
        Slot("person", 0.84, 0.38),
        Slot("tree", 0.62, 0.42),
        Slot("ball", 0.80, 0.09),
        Slot("person", 0.72, 0.27),
    ],
    "harbour": [
        Slot("boat", 0.76, 0.40),
        Slot("person", 0.97, 0.30),
        Slot("boat", 0.60, 0.20),
        Slot("house", 0.46, 0.12),
        Slot("boat", 0.66, 0.26),
        Slot("tree", 0.46, 0.12),
        Slot("tree", 0.46, 0.10),
    ],
    "table": [
        Slot("ball", 0.90, 0.30),
        Slot("car", 0.78, 0.15),
        Slot("ball", 0.72, 0.16),
        Slot("house", 0.66, 0.34),
        Slot("boat", 0.93, 0.32),
        Slot("ball", 0.94, 0.20),
    ],
}


def layout(picture: Picture) -> list[Thing]:
    """The things in a picture, far ones first. A thing that finds no free place is left out."""
    chance = random.Random(f"{SEED}/{picture.key}")
    things: list[Thing] = []
    for slot in SLOTS[picture.scene][: picture.number]:
        thing = place(slot, picture.size, things, chance)
        if thing:
            things.append(thing)
    return sorted(things, key=lambda thing: thing.box[3])


def place(slot: Slot, size: tuple[int, int], others: list[Thing], chance: random.Random) -> Thing | None:
    width, height = size
    variant = chance.randrange(len(SHAPES[slot.category]))
    outline = SHAPES[slot.category][variant].outline
    frame = bounds(outline)
    aspect = (frame[2] - frame[0]) / (frame[3] - frame[1])
    for _ in range(60):
        tall = slot.height * min(height, width) * chance.uniform(0.85, 1.1)
        bottom = min(slot.base * height + chance.uniform(-0.01, 0.02) * height, height - 2)
        left = chance.uniform(2, max(3, width - 2 - tall * aspect))
        flipped = chance.random() < 0.5
        points = fit(outline, frame, (left, bottom - tall, left + tall * aspect, bottom), flipped)
        thing = Thing(slot.category, variant, [(round(x, 2), round(y, 2)) for x, y in points], flipped)
        if thing.box[2] <= width - 1 and all(covered(thing.box, other.box) < 0.12 for other in others):
            return thing
    return None


def covered(a: Box, b: Box) -> float:
    """How much of the smaller box lies in the other one."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(0, wide) * max(0, high) / smaller


# --- Painting ---------------------------------------------------------------------------------------------

SKIES: dict[str, tuple[Colour, Colour, tuple[float, float, float]]] = {  # top, horizon, tint of everything
    "day": ((86, 146, 214), (206, 228, 240), (1.0, 1.0, 1.0)),
    "evening": ((92, 104, 168), (250, 190, 130), (1.0, 0.88, 0.74)),
    "overcast": ((158, 168, 178), (214, 218, 220), (0.88, 0.9, 0.92)),
    "dusk": ((52, 62, 116), (206, 140, 140), (0.66, 0.66, 0.84)),
}


def paint(picture: Picture, things: list[Thing]) -> Image.Image:
    """The picture as displayed."""
    noise = np.random.default_rng([SEED, *picture.key.encode()])
    chance = random.Random(f"{SEED}/{picture.key}/colours")
    width, height = picture.size[0] * SCALE, picture.size[1] * SCALE
    canvas = BACKGROUNDS[picture.scene](width, height, picture.light, noise)
    for thing in things:
        shadow(canvas, thing)
        put(canvas, thing, chance.choice(PAINTS[thing.category]))
    return finish(canvas.reduce(SCALE), picture.light, noise)


def put(canvas: Image.Image, thing: Thing, colour: Colour) -> None:
    shape = SHAPES[thing.category][thing.variant]
    frame = bounds(shape.outline)
    left, top = math.floor(thing.box[0] * SCALE), math.floor(thing.box[1] * SCALE)
    size = (math.ceil(thing.box[2] * SCALE) - left, math.ceil(thing.box[3] * SCALE) - top)

    def local(points: Polygon) -> Polygon:
        return [(x * SCALE - left, y * SCALE - top) for x, y in points]

    body = Image.new("RGB", size, shape.base or colour)
    pen = ImageDraw.Draw(body)
    for part, paint in shape.parts:
        pen.polygon(local(fit(part, frame, thing.box, thing.flipped)), fill=paint or colour)
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon(local(thing.outline), fill=255)
    lit = np.asarray(body, float) * light_on(size, shape.round)[..., None]
    canvas.paste(to_image(lit), (left, top), mask)


def light_on(size: tuple[int, int], sphere: bool) -> Values:
    """Brightness over a thing, lit from the upper right; shape (height, width)."""
    y, x = np.linspace(0, 1, size[1])[:, None], np.linspace(0, 1, size[0])[None, :]
    distance = np.hypot(x - 0.62, y - 0.32)
    flat: Values = 1 + 0.16 * (x - y)
    rounded: Values = 1.12 - 0.75 * distance**1.6 + 0.5 * np.exp(-((distance / 0.12) ** 2))
    return rounded if sphere else flat


def shadow(canvas: Image.Image, thing: Thing) -> None:
    """A soft dark spot where the thing stands."""
    left, _, right, bottom = (round(value * SCALE) for value in thing.box)
    reach = max(3, (right - left) // 20)
    margin = 4 * reach
    shade = Image.new("L", (right - left + 2 * margin, 2 * margin))
    ellipse = (margin - reach, margin - 1.3 * reach, right - left + margin + reach / 2, margin + 0.9 * reach)
    ImageDraw.Draw(shade).ellipse(ellipse, fill=110)
    soft = shade.filter(ImageFilter.GaussianBlur(reach / 2.5))
    canvas.paste((26, 28, 34), (left - margin, bottom - margin), soft)


def finish(image: Image.Image, light: str, noise: np.random.Generator) -> Image.Image:
    """Tints the picture by its light and adds a sensor's grain."""
    values = np.asarray(image, float) * SKIES[light][2]
    return to_image(values + noise.normal(0, 1.6, (*values.shape[:2], 1)))


def to_image(values: Values) -> Image.Image:
    return Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))


def gradient(width: int, height: int, top: Colour, bottom: Colour) -> Values:
    """Shape (height, width, 3), from one colour to the other."""
    part = np.linspace(0, 1, max(height, 1))[:, None, None]
    return np.broadcast_to(np.array(top) * (1 - part) + np.array(bottom) * part, (len(part), width, 3)).copy()


def texture(width: int, height: int, grain: tuple[int, int], noise: np.random.Generator) -> Values:
    """Smooth noise of about -1 to 1, with blobs of `grain` (x, y) pixels; shape (height, width, 1)."""
    coarse = noise.normal(0, 0.45, (height // grain[1] + 2, width // grain[0] + 2)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth)[..., None]


def open_air(width: int, height: int, light: str, ground: Values) -> Image.Image:
    """Sky with a far range of hills above `ground`."""
    top, low, _ = SKIES[light]
    edge = height - len(ground)
    canvas = to_image(np.vstack([gradient(width, edge, top, low), ground]))
    pen = ImageDraw.Draw(canvas)
    far = tuple((a + b) // 2 for a, b in zip(low, (96, 122, 120), strict=True))
    for depth, colour in ((0.10, far), (0.05, tuple(v - 26 for v in far))):
        step = width / 40
        rises = [1 + 0.5 * math.sin(i / 4 + depth * 90) for i in range(41)]
        rim = [(i * step, edge - height * depth * rise) for i, rise in enumerate(rises)]
        pen.polygon([*rim, (width, edge), (0, edge)], fill=colour)
    return canvas


def street(width: int, height: int, light: str, noise: np.random.Generator) -> Image.Image:
    deep = height - round(height * 0.56)
    ground = gradient(width, deep, (128, 146, 92), (110, 132, 76))
    walk, road = round(deep * 0.16), round(deep * 0.40)
    ground[walk:road] = gradient(width, road - walk, (182, 176, 166), (198, 192, 182))
    ground[road:] = gradient(width, deep - road, (92, 94, 98), (70, 72, 76))
    ground[road - max(3, deep // 50) : road] = (150, 146, 140)
    ground += 9 * texture(width, deep, (24, 8), noise)
    canvas = open_air(width, height, light, ground)
    pen, middle, dash = ImageDraw.Draw(canvas), height * 0.845, width / 9
    for i in range(-1, 10):
        x = i * dash
        line = [(x, middle), (x + dash * 0.5, middle), (x + dash * 0.46, middle + height * 0.012)]
        pen.polygon([*line, (x - dash * 0.04, middle + height * 0.012)], fill=(226, 222, 206))
    return canvas


def yard(width: int, height: int, light: str, noise: np.random.Generator) -> Image.Image:
    deep = height - round(height * 0.48)
    ground = gradient(width, deep, (120, 158, 84), (84, 132, 58))
    rows = np.linspace(0, 1, deep)[:, None, None]
    columns = np.linspace(-1, 1, width)[None, :, None]
    ground += 7 * np.sign(np.sin(18 * columns / (0.5 + rows)))  # a mower's stripes, running to the horizon
    ground += 12 * texture(width, deep, (12, 6), noise) + 5 * texture(width, deep, (90, 40), noise)
    canvas = open_air(width, height, light, ground)
    fence(ImageDraw.Draw(canvas), width, round(height * 0.50), height // 14)
    return canvas


def fence(pen: ImageDraw.ImageDraw, width: int, base: int, tall: int) -> None:
    step = max(12, tall // 2)
    for rail in (0.35, 0.7):
        pen.rectangle((0, base - tall * rail, width, base - tall * rail + tall / 9), fill=(206, 198, 184))
    for x in range(0, width, step):
        tip, half = x + step * 0.3, step * 0.6
        board = [(x, base), (x, base - tall * 0.85), (tip, base - tall), (x + half, base - tall * 0.85)]
        pen.polygon([*board, (x + half, base)], fill=(226, 220, 208))


def harbour(width: int, height: int, light: str, noise: np.random.Generator) -> Image.Image:
    deep = height - round(height * 0.45)
    low = SKIES[light][1]
    near = (44, 96, 128)
    ground = gradient(width, deep, ((low[0] + 90) // 2, (low[1] + 130) // 2, (low[2] + 150) // 2), near)
    ground += 16 * texture(width, deep, (70, 6), noise) + 6 * texture(width, deep, (20, 3), noise)
    shore, pier = max(4, deep // 28), round(deep * 0.80)
    ground[:shore] = (134, 140, 96)
    ground[pier:] = gradient(width, deep - pier, (158, 128, 94), (136, 106, 76))
    ground[pier:] += 8 * texture(width, deep - pier, (160, 4), noise)
    ground[pier : pier + max(3, deep // 60)] = (96, 74, 54)
    canvas = open_air(width, height, light, ground)
    pen = ImageDraw.Draw(canvas)
    for i in range(-2, 14):
        ends = ((i * width / 10 + width * 0.05, height - deep + pier), (i * width / 8 - width * 0.05, height))
        pen.line(ends, fill=(104, 80, 58), width=SCALE)
    return canvas


def table(width: int, height: int, light: str, noise: np.random.Generator) -> Image.Image:
    edge = round(height * 0.5)
    wall = gradient(width, edge, (216, 206, 190), (188, 174, 156)) + 4 * texture(width, edge, (60, 60), noise)
    wall[:, (np.arange(width) // max(1, width // 14)) % 2 == 0] -= 6  # a striped paper
    wood = gradient(width, height - edge, (150, 106, 66), (186, 136, 88))
    wood += 12 * texture(width, height - edge, (140, 5), noise)
    wood[: max(2, height // 120)] = (98, 66, 40)
    canvas = to_image(np.vstack([wall, wood]))
    pen = ImageDraw.Draw(canvas)
    for part in (0.60, 0.74, 0.92):
        pen.line(((0, height * part), (width, height * part)), fill=(118, 80, 50), width=SCALE)
    return canvas


BACKGROUNDS = {"street": street, "yard": yard, "harbour": harbour, "table": table}


def save(image: Image.Image, path: Path, orientation: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if orientation == 6:  # stored a quarter turn counter-clockwise; a viewer turns it back
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        image.transpose(Image.Transpose.ROTATE_90).save(path, quality=85, exif=exif)
    elif path.suffix == ".png":
        image.save(path, optimize=True)
    else:
        image.save(path, quality=85)


# --- Label files ------------------------------------------------------------------------------------------

Labels = list[tuple[Picture, list[Thing]]]


def labels() -> Labels:
    """The labelled pictures by key, with their things."""
    return [(p, layout(p)) for p in sorted(PICTURES) if p.labelled]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_yolo(folder: Path, all_labels: Labels) -> None:
    for picture, things in all_labels:
        rows = [yolo_row(thing, *picture.size) for thing in things]
        write((folder / picture.key).with_suffix(".txt"), "".join(rows))
    write(folder / "data.yaml", "names:\n" + "".join(f"  - {name}\n" for name in CLASSES))


def yolo_row(thing: Thing, width: int, height: int) -> str:
    """Class, centre and size of the box, as parts of the displayed size."""
    left, top, right, bottom = thing.box
    x, y = (left + right) / 2 / width, (top + bottom) / 2 / height
    wide, high = (right - left) / width, (bottom - top) / height
    return f"{CLASSES.index(thing.category)} {x:.6f} {y:.6f} {wide:.6f} {high:.6f}\n"


def write_coco(path: Path, all_labels: Labels) -> None:
    """Boxes and polygons; category ids with gaps."""
    images, annotations = [], []
    for image_id, (picture, things) in enumerate(all_labels, 1):
        width, height = picture.size
        images.append({"id": image_id, "file_name": picture.key, "width": width, "height": height})
        annotations += [{"image_id": image_id, **coco_record(thing)} for thing in things]
    write_json(
        path,
        {
            "info": {"description": "xlabel sample", "version": "1.0"},
            "images": images,
            "annotations": [{"id": i, **record} for i, record in enumerate(annotations, 1)],
            "categories": [{"id": i, "name": name} for name, i in COCO_IDS.items()],
        },
    )


def coco_record(thing: Thing) -> dict[str, Any]:
    left, top, right, bottom = thing.box
    return {
        "category_id": COCO_IDS[thing.category],
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "segmentation": [[value for point in thing.outline for value in point]],
        "area": round(area(thing.outline), 2),
        "iscrowd": 0,
    }


def area(points: Polygon) -> float:
    ring = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in ring)) / 2


def write_voc(folder: Path, all_labels: Labels) -> None:
    """Whole pixels counted from 0, as labelImg writes them; every fifth picture is for validation."""
    names: dict[str, list[str]] = {"train": [], "val": []}
    for i, (picture, things) in enumerate(all_labels):
        write((folder / "Annotations" / picture.key).with_suffix(".xml"), voc_text(picture, things))
        names["val" if i % 5 == 4 else "train"].append(Path(picture.key).with_suffix("").as_posix())
    for split, lines in names.items():
        write(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{line}\n" for line in lines))


def voc_text(picture: Picture, things: list[Thing]) -> str:
    root = ET.Element("annotation")
    folder, _, name = picture.key.rpartition("/")
    add(root, folder=folder, filename=name)
    add(ET.SubElement(root, "size"), width=picture.size[0], height=picture.size[1], depth=3)
    add(root, segmented=0)
    for thing in things:
        item = ET.SubElement(root, "object")
        add(item, name=thing.category, pose="Unspecified", truncated=0, difficult=0)
        left, top, right, bottom = (round(value) for value in thing.box)
        add(ET.SubElement(item, "bndbox"), xmin=left, ymin=top, xmax=right, ymax=bottom)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode") + "\n"


def add(parent: ET.Element, **children: str | int) -> None:
    for tag, value in children.items():
        ET.SubElement(parent, tag).text = str(value)


def write_labelme(folder: Path, all_labels: Labels) -> None:
    """Cars and houses as rectangles, the rest as polygons.

    The set's first ball is a circle, its first boat has a line (the mast) and its first person a point (the
    head), joined to them by group_id.
    """
    seen: set[str] = set()
    for picture, things in all_labels:
        shapes: list[dict[str, Any]] = []
        for thing in things:
            shapes += labelme_shapes(thing, first=thing.category not in seen)
            seen.add(thing.category)
        width, height = picture.size
        name = picture.key.rpartition("/")[2]
        document: dict[str, Any] = {"version": "5.5.0", "flags": {}, "imagePath": name, "imageData": None}
        document |= {"shapes": shapes, "imageHeight": height, "imageWidth": width}
        write_json((folder / picture.key).with_suffix(".json"), document)


def labelme_shapes(thing: Thing, first: bool) -> Iterator[dict[str, Any]]:
    left, top, right, bottom = thing.box
    middle = round((left + right) / 2, 2)
    group = {"boat": 1, "person": 2}.get(thing.category) if first else None
    if group == 1:
        mast = [(middle, top), (middle, round(top + (bottom - top) * 0.8, 2))]
        yield labelme_shape("boat", "line", mast, group)
    if group == 2:
        head = (middle, round(top + (bottom - top) * 0.09, 2))
        yield labelme_shape("person", "point", [head], group)
    if first and thing.category == "ball":
        yield labelme_shape("ball", "circle", [(middle, round((top + bottom) / 2, 2)), thing.outline[0]])
    elif thing.category in ("car", "house"):
        yield labelme_shape(thing.category, "rectangle", [(left, top), (right, bottom)])
    else:
        yield labelme_shape(thing.category, "polygon", thing.outline, group)


def labelme_shape(label: str, kind: str, points: Polygon, group: int | None = None) -> dict[str, Any]:
    shape = {"label": label, "points": [list(point) for point in points], "group_id": group}
    return shape | {"description": "", "shape_type": kind, "flags": {}, "mask": None}


# --- The command ------------------------------------------------------------------------------------------

README = """\
Small scenes and their labels, for the first run: `raw_images/` and, in YOLO form, `raw_labels/`.
Made by `python scripts/make_sample.py`, which draws all of it; nothing here comes from elsewhere.
Licence: Apache-2.0, like the rest of the project, or CC0 1.0, as you like.
"""


def write_sample(folder: Path) -> None:
    for part in ("raw_images", "raw_labels"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for picture in PICTURES:
        save(paint(picture, layout(picture)), folder / "raw_images" / picture.key, picture.orientation)
    write_yolo(folder / "raw_labels", labels())
    write(folder / "README.md", README)


def write_forms(folder: Path) -> None:
    write_coco(folder / "coco" / "annotations.json", labels())
    write_voc(folder / "voc", labels())
    write_labelme(folder / "labelme", labels())


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the sample pictures and write their labels.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "sample")
    parser.add_argument(
        "--forms", type=Path, help="write COCO, VOC and LabelMe labels here, and nothing else"
    )
    options = parser.parse_args()
    if options.forms:
        write_forms(options.forms)
    else:
        write_sample(options.output)


if __name__ == "__main__":
    main()
