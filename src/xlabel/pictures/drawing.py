"""Labels drawn on their picture: boxes, polygons, masks, keypoints, and what each is called.

For a person's eye. Lines and letters grow with the picture, a small picture is enlarged, and what is drawn on
is the picture as displayed.
"""

from collections.abc import Iterable, Iterator, Sequence
from colorsys import hls_to_rgb
from functools import cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from xlabel.images import Buffer
from xlabel.model import Annotation, Circle, Number, OrientedBox, Points, Polyline
from xlabel.model.geometry import area_of, bbox_of, decode
from xlabel.pictures.pillow import opened

Colour = tuple[int, int, int]
Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""

COLOURS: tuple[Colour, ...] = (
    (255, 82, 82), (64, 156, 255), (76, 217, 100), (255, 204, 0), (191, 90, 242), (255, 149, 0),
    (0, 210, 211), (255, 105, 180), (170, 230, 60), (120, 120, 255), (240, 230, 140), (0, 180, 130),
    (255, 140, 110), (130, 200, 255), (220, 120, 200), (200, 160, 100),
)  # fmt: skip
"""Of the first categories by their ids, so that a category has the same colour in all images of a set."""
GREY: Colour = (150, 150, 150)
"""Of labels that were rejected."""
SMALL = 800
"""Pixels of the longer side that a picture is enlarged to at least, so that its labels can be read."""
FINE = 1 << 26
"""Pixels up to which lines are drawn at double size and made smaller, which smooths them."""
MANY = 20
"""Labels of a picture above which letters get smaller."""
LONGEST = 60
"""Characters of a name or a caption."""
FONTS = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "Arial.ttf")
"""Tried in turn for letters that Pillow's own font has not."""


def displayed(data: Buffer) -> Image.Image:
    """The first picture of an image file as displayed, in RGB; ValueError where Pillow cannot decode it."""
    with opened(data) as image:
        picture = ImageOps.exif_transpose(image)
        picture.load()
    if picture.mode.startswith(("I", "F")):  # more than eight bits: what is darkest to what is lightest
        low, high = picture.getextrema()
        span = max(1e-9, float(high) - float(low))  # type: ignore[arg-type]
        grey = picture.convert("F")
        picture = grey.point(lambda value: value * (255 / span) - float(low) * 255 / span).convert("L")  # type: ignore[arg-type]
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(_chequered(picture.size), picture)
    return picture.convert("RGB")


def draw(picture: Image.Image, annotations: Iterable[Annotation]) -> Image.Image:
    """The picture, enlarged where it is small, with its labels on it; RGB. The smallest lie uppermost."""
    scale = max(1, -(-SMALL // max(picture.size)) if max(picture.size) < SMALL else 1)
    filter = Image.Resampling.NEAREST if scale > 3 else Image.Resampling.BICUBIC
    shown = picture.resize((picture.width * scale, picture.height * scale), filter)
    ordered = sorted(annotations, key=lambda annotation: -(area_of(annotation) or 0))
    sheet = _Sheet(shown.size, scale, len(ordered))
    for annotation in ordered:
        sheet.fill(annotation)
    for annotation in ordered:
        sheet.outline(annotation)
    for annotation in ordered:
        sheet.tag(annotation)
    return Image.alpha_composite(shown.convert("RGBA"), sheet.done()).convert("RGB")


def colour_of(annotation: Annotation) -> Colour:
    """The colour of a label."""
    if annotation.status == "rejected":
        return GREY
    if annotation.category is None:
        return (255, 255, 255)
    number = annotation.category.id
    if 0 <= number < len(COLOURS):
        return COLOURS[number]
    hue = number * 0.618034 % 1  # the golden ratio: neighbours differ most
    red, green, blue = hls_to_rgb(hue, (0.5, 0.62, 0.72)[number % 3], 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


class _Sheet:
    """What is drawn, on a sheet of its own that is laid over the picture."""

    def __init__(self, size: tuple[int, int], scale: int, labels: int) -> None:
        self._size = size
        self._fine = 2 if size[0] * size[1] * 4 <= FINE else 1
        self._scale = scale * self._fine
        whole = (size[0] * self._fine, size[1] * self._fine)
        self._image = Image.new("RGBA", whole)
        self._pen = ImageDraw.Draw(self._image)
        longer = max(whole)
        self._line = max(2 * self._fine, round(longer / 480))
        crowd = min(2.2, max(1, (labels / MANY) ** 0.5))
        self._letters = max(14 * self._fine, round(longer / 62 / crowd))
        self._tags: list[Rectangle] = []
        self._corner = float(self._line * 2)

    def fill(self, annotation: Annotation) -> None:
        """Masks and the insides of areas, see-through."""
        colour = colour_of(annotation)
        if annotation.mask is not None:
            self._mask(annotation, colour)
        for points in self._areas(annotation):
            left, top, right, bottom = self._within(points)
            if left < right and top < bottom:
                cover = Image.new("L", (right - left, bottom - top))
                ImageDraw.Draw(cover).polygon([(x - left, y - top) for x, y in points], fill=82)
                self._lay(colour, cover, (left, top))

    def outline(self, annotation: Annotation) -> None:
        """Lines, each with a dark rim, so that they are seen on anything."""
        colour = colour_of(annotation)
        lines = [[*points, points[0], points[1]] for points in self._areas(annotation)]
        shape = annotation.shape
        if isinstance(shape, Polyline):
            lines.append(self._placed(shape.points))
        if annotation.bbox is not None:
            x, y, w, h = (number * self._scale for number in annotation.bbox)
            lines.append([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y), (x + w, y)])
        for width, ink in ((self._line * 2, (0, 0, 0, 110)), (self._line, (*colour, 255))):
            for line in lines:
                self._pen.line(line, fill=ink, width=width, joint="curve")
            if isinstance(shape, Circle):
                x, y, r = (number * self._scale for number in (shape.x, shape.y, shape.radius))
                self._pen.ellipse(_around((x, y), abs(r)), outline=ink, width=width)
        if isinstance(shape, Points):
            for point in self._placed(shape.points):
                self._dot(point, colour, seen=True)
        if annotation.keypoints is not None:
            self._keypoints(annotation, annotation.keypoints, colour)

    def tag(self, annotation: Annotation) -> None:
        """What the label is called, with its score, where no other tag is."""
        text = _text(annotation)
        if not text:
            return
        font = _font(text, self._letters)
        if font is None:  # no font here has its letters
            text = f"#{annotation.category.id}" if annotation.category else "#"
            font = ImageFont.load_default(self._letters)
        left, _, right, _ = font.getbbox(text)
        margin = self._letters * 0.35
        width, height = right - left + 2 * margin, self._letters + 2 * margin
        box = bbox_of(annotation)
        x, y = self._free(box, width, height)
        self._tags.append((x, y, x + width, y + height))
        colour = colour_of(annotation)
        ink = (
            (0, 0, 0)
            if sum(c * w for c, w in zip(colour, (0.3, 0.59, 0.11), strict=True)) > 120
            else (255,) * 3
        )
        self._pen.rounded_rectangle(
            (x, y, x + width, y + height), self._letters * 0.25, fill=(*colour, 235), outline=(0, 0, 0, 110)
        )
        middle = y + height / 2
        self._pen.text((x + margin - left, middle), text, fill=(*ink, 255), font=font, anchor="lm")

    def done(self) -> Image.Image:
        """The sheet at the picture's size."""
        if self._fine == 1:
            return self._image
        return self._image.resize(self._size, Image.Resampling.BOX)

    def _areas(self, annotation: Annotation) -> Iterator[list[Point]]:
        for part in annotation.polygons or ():
            if len(part) >= 6:
                yield self._placed(part)
        if isinstance(annotation.shape, OrientedBox):
            yield self._placed(annotation.shape.corners)

    def _placed(self, numbers: Sequence[Number]) -> list[Point]:
        scaled = [number * self._scale for number in numbers]
        return list(zip(scaled[::2], scaled[1::2], strict=False))

    def _mask(self, annotation: Annotation, colour: Colour) -> None:
        assert annotation.mask is not None
        try:
            bits = decode(annotation.mask)
        except ValueError:  # broken run lengths: there is nothing to draw
            return
        small = Image.fromarray(bits).convert("L")
        there = small.getbbox()
        if there is None or there[0] * self._scale >= self._image.width:
            return
        size = ((there[2] - there[0]) * self._scale, (there[3] - there[1]) * self._scale)
        cover = small.crop(there).resize(size, Image.Resampling.NEAREST)
        rim = 2 * (self._line // 2) + 1
        edge = ImageChops.subtract(
            cover,
            ImageOps.expand(cover, rim)
            .filter(ImageFilter.MinFilter(rim))
            .crop((rim, rim, rim + size[0], rim + size[1])),
        )
        at = (there[0] * self._scale, there[1] * self._scale)
        self._lay(colour, cover.point(lambda value: value * 100 // 255), at)
        self._lay(colour, edge, at)

    def _within(self, points: list[Point]) -> tuple[int, int, int, int]:
        """The whole pixels of the sheet around points."""
        xs, ys = zip(*points, strict=True)
        width, height = self._image.size
        left, top = max(0, int(max(min(xs), -1))), max(0, int(max(min(ys), -1)))
        return left, top, int(min(max(xs) + 1, width)), int(min(max(ys) + 1, height))

    def _lay(self, colour: Colour, cover: Image.Image, at: tuple[int, int]) -> None:
        ink = Image.new("RGBA", cover.size, (*colour, 255))
        ink.putalpha(cover)
        self._image.alpha_composite(ink, at)

    def _keypoints(self, annotation: Annotation, keypoints: tuple[Number, ...], colour: Colour) -> None:
        placed = self._placed(
            [number for at in range(0, len(keypoints) - 2, 3) for number in keypoints[at : at + 2]]
        )
        seen = list(keypoints[2::3])
        skeleton = annotation.category.skeleton if annotation.category else None
        for one, other in skeleton or ():
            there = min(one, other) > 0 and max(one, other) <= len(seen)
            if there and seen[one - 1] and seen[other - 1]:
                ends = [placed[one - 1], placed[other - 1]]
                self._pen.line(ends, fill=(0, 0, 0, 110), width=self._line * 2)
                self._pen.line(ends, fill=(*colour, 255), width=self._line)
        for point, visible in zip(placed, seen, strict=False):
            if visible:
                self._dot(point, colour, seen=visible != 1)

    def _dot(self, point: Point, colour: Colour, *, seen: bool) -> None:
        """A dot, hollow where the point is hidden."""
        radius = self._line * 1.9
        self._pen.ellipse(_around(point, radius + self._line / 2), fill=(0, 0, 0, 150))
        self._pen.ellipse(_around(point, radius), fill=(255, 255, 255, 255) if seen else (*colour, 255))
        self._pen.ellipse(_around(point, radius * 0.6), fill=(*colour, 255) if seen else (255, 255, 255, 255))

    def _free(self, box: tuple[Number, Number, Number, Number] | None, width: float, height: float) -> Point:
        """Where a tag goes: at its label, within the picture, and if possible not on another tag."""
        right, bottom = self._image.width - width, self._image.height - height
        gap = self._line / 2
        if box is None:
            x, y = self._line * 2.0, self._corner
            self._corner += height + self._line * 2
            return x, max(0.0, min(y, bottom))
        x, y, w, h = (float(number * self._scale) for number in box)
        places = (
            (x - gap, y - height - gap),
            (x - gap, y + h + gap),
            (x + w - width + gap, y - height - gap),
            (x + w - width + gap, y + h + gap),
            (x + gap, y + gap),
            (x + w + gap * 2, y),
            (x - width - gap * 2, y),
        )
        kept = [(max(0.0, min(x, right)), max(0.0, min(y, bottom))) for x, y in places]
        return min(kept, key=lambda place: self._overlap((*place, place[0] + width, place[1] + height)))

    def _overlap(self, one: Rectangle) -> float:
        return sum(
            max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
            * max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
            for other in self._tags
        )


def _text(annotation: Annotation) -> str:
    name = annotation.category.name if annotation.category else annotation.caption or ""
    name = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    score = "" if annotation.score is None else f"{annotation.score:.2f}"
    return " ".join("".join(c if c.isprintable() else " " for c in f"{name} {score}").split())


def _around(point: Point, radius: float) -> Rectangle:
    return point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius


def _chequered(size: tuple[int, int]) -> Image.Image:
    """What is seen behind a transparent picture."""
    cell = max(4, max(size) // 64)
    small = Image.new("L", (-(-size[0] // cell), -(-size[1] // cell)))
    small.putdata(
        [(205, 235)[(at // small.width + at % small.width) % 2] for at in range(small.width * small.height)]
    )
    large = small.resize((small.width * cell, small.height * cell), Image.Resampling.NEAREST)
    return large.crop((0, 0, *size)).convert("RGBA")


def _font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, or the first of this machine's that has all the letters."""
    own = _loaded("", size)
    if own is not None and _has(own, text):
        return own
    others = (_loaded(name, size) for name in FONTS)
    return next(
        (font for font in others if font is not None and _has(font, text)),
        own or ImageFont.load_default(size),
    )


@cache
def _loaded(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        font = ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None
    return font if isinstance(font, ImageFont.FreeTypeFont) else None


def _has(font: ImageFont.FreeTypeFont, text: str) -> bool:
    """Whether a font has a picture of its own for each letter."""
    missing = {bytes(font.getmask(unassigned)) for unassigned in "\u0378\U000e0fff\U0010fffe"}
    return all(c.isascii() or bytes(font.getmask(c)) not in missing for c in set(text))
