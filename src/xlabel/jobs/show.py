"""Show: the labels of an image for a person: what they are, where they were found, and drawn."""

import base64
import html
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from xlabel import images
from xlabel.checks.room import LIMITS
from xlabel.errors import ExistsError, InputError
from xlabel.formats.embedded import OTHERS, SIDECAR, EmbeddedLabels
from xlabel.images import embedding, exif, xmp
from xlabel.images.embedding import Found
from xlabel.jobs.selection import Place, select_all
from xlabel.model import Annotation, Problem, Sample
from xlabel.model.geometry import bbox_of, turned_size
from xlabel.model.reframe import scaled
from xlabel.model.report import counted, size_text, visible
from xlabel.stores import rewrite
from xlabel.stores.local import Folder
from xlabel.stores.paths import key_of

LONGEST = 40
"""Characters of a cell."""
LARGE, SMALL, FIRST = 1600, 320, 24
"""In a notebook: pixels of one image and of each of several, and how many of those."""
_REGION = re.compile(b"[>\"']%b[0-9]" % xmp.REGION.encode())
PACKED = b'"labels":"'
"""What stands in a payload whose document is compressed."""


class Copy(msgspec.Struct, frozen=True):
    """A place in the file where labels were found."""

    carrier: str
    """exif, xmp, extended xmp, text or sidecar."""
    revision: int | None
    time: str | None
    packed: bool
    bytes: int
    room: int | None
    """Bytes that the carrier takes at most; None where it takes any number."""
    fault: str | None
    """Why this copy does not count."""


class ShownImage(msgspec.Struct, kw_only=True):
    """An image file and what it says of labels."""

    file: str
    mime: str | None = None
    width: int | None = None
    """Pixels as displayed."""
    height: int | None = None
    orientation: int = 1
    bytes: int
    copies: list[Copy] = msgspec.field(default_factory=list)
    regions: int = 0
    """IPTC image regions of ours, which photo software shows."""
    comment: str | None = None
    """A text in the EXIF UserComment that is not ours."""
    annotations: list[Annotation] | None = None
    """None where the image was never labelled."""
    others: str | None = None
    """Where the labels are others' text in EXIF, what it is: coco, labelme or boxes."""
    split: str | None = None
    problems: list[Problem] = msgspec.field(default_factory=list)

    def __str__(self) -> str:
        lines = [visible(self.file), f"  {_described(self)}"]
        if self.copies:
            lines += _table(
                [("carrier", "revision", "time", "form", "bytes", "full"), *map(_copy, self.copies)]
            )
        if self.regions:
            lines.append(f"  shown by photo software: {counted(self.regions, 'IPTC regions')}")
        if self.comment is not None:
            lines.append(f"  UserComment, not ours: {_short(self.comment, 200)}")
        lines += [f"  problem: {visible(problem.message)}" for problem in self.problems]
        if self.annotations is None:
            lines.append("  no labels inside")
        else:
            split = f", split {visible(self.split)}" if self.split else ""
            others = f", written into EXIF by others (as {self.others})" if self.others else ""
            lines.append(f"  {counted(len(self.annotations), 'labels')}{split}{others}")
            lines += _table(_rows(self.annotations))
        return "\n".join(lines)


class Shown(msgspec.Struct):
    """The images that were asked for, in their order; `str()` is for a person."""

    images: list[ShownImage]
    files: dict[str, int] = msgspec.field(default_factory=dict)
    """Pictures written, path to size in bytes."""

    @property
    def exit_code(self) -> int:
        """0 fine, 1 problems found."""
        return 1 if any(image.problems for image in self.images) else 0

    def __str__(self) -> str:
        drawn = [f"drawn: {visible(path)}, {size_text(size)}" for path, size in self.files.items()]
        return "\n\n".join([*map(str, self.images), *(["\n".join(drawn)] if drawn else [])])

    def _repr_png_(self) -> bytes | None:
        """For notebooks: the image with its labels, where it is one."""
        return _png(self.images[0], LARGE) if len(self.images) == 1 else None

    def _repr_html_(self) -> str | None:
        """For notebooks: several images with their labels, or the words about one that cannot be drawn."""
        if len(self.images) == 1 and self._repr_png_() is not None:
            return None
        parts = [_figure(picture) for picture in self.images[:FIRST]]
        if len(self.images) > FIRST:
            parts.append(f"<p>and {len(self.images) - FIRST:,} more</p>")
        return f"<div>{''.join(parts)}</div>"


def show(
    images: Place | Iterable[Place],
    *,
    draw: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Shown:
    """What image files hold of labels: size, copies, and each label.

    `images` is a file, a folder or a glob, or several. `draw` writes the pictures as displayed with their
    labels on them: a file by its ending where there is one image, else PNGs in a folder. Raises InputError
    where there is no image, or one to be drawn that Pillow cannot decode.

    >>> print(xlabel.show("images/a.jpg").images[0].annotations[0].bbox)
    (10, 20, 30, 40)
    """
    selected = select_all(images)
    shown = Shown([])
    alone = sum(len(place.keys) for place in selected) == 1
    for place in selected:
        labels = EmbeddedLabels(Folder(place.root))
        for name, size in zip(place.keys.names(), place.sizes, strict=True):
            path, key = os.fsencode(place.root) + b"/" + name, key_of(name)
            picture = _picture(labels, path, key, size)
            shown.images.append(picture)
            if draw is not None:
                target = Path(draw)
                if not alone or target.is_dir():
                    target = target / f"{key}.png"
                if str(target) in shown.files:
                    raise InputError(f"{target}: two images have this name; draw them one folder at a time")
                _draw(path, picture, target, overwrite, shown)
    return shown


def _picture(labels: EmbeddedLabels, path: bytes, key: str, size: int) -> ShownImage:
    where = f"{labels.tree.root}/{key}"
    problems: list[Problem] = []
    try:
        header, found = rewrite.look(path, _look)
    except images.ShortError as error:
        header, found = None, None
        problems.append(Problem(where, "cut-off", f"{error}, and it ends before that; is it whole?"))
    except OSError as error:
        message = f"cannot be read: {error.strerror}; is it yours to read?"
        return ShownImage(file=where, bytes=size, problems=[Problem(where, "unreadable", message)])
    except ValueError as error:
        header, found = None, None
        problems.append(Problem(where, "undecodable", str(error)))
    if header is None and not problems:
        message = "expected an image, found no kind that xlabel knows; is it one?"
        problems.append(Problem(where, "undecodable", message))
    image = images.image_of(key, header)
    with open(path, "rb") as file:
        sample = labels.load_from(file.read(), image)
    problems += labels.problems
    labels.problems.clear()
    mime = header.mime if header else None
    return ShownImage(
        file=where,
        mime=mime,
        width=image.width,
        height=image.height,
        orientation=image.orientation,
        bytes=size,
        copies=[*_copies(found, mime), *_beside(path, sample)] if found else _beside(path, sample),
        regions=len(_REGION.findall(found.carriers.xmp)) if found and found.carriers.xmp else 0,
        comment=found.foreign if found else None,
        annotations=None if sample is None else list(sample.annotations),
        others=None if sample is None else (sample.origin or {}).get(OTHERS),
        split=None if sample is None else sample.split,
        problems=problems,
    )


def _look(data: images.Buffer) -> tuple[images.Header | None, Found | None]:
    header = images.header(data)
    return header, embedding.get(data) if images.carrying(data) else None


def _copies(found: Found, mime: str | None) -> Iterator[Copy]:
    carriers = found.carriers
    texts = iter(carriers.texts)
    held = {
        "exif": exif.ours(carriers.comment) or b"",
        "xmp": carriers.xmp or b"",
        "extended xmp": carriers.extended or b"",
    }
    for copy in found.copies:
        text = held[copy.carrier] if copy.carrier in held else next(texts, b"")
        yield Copy(
            carrier=copy.carrier,
            revision=copy.wrapped.revision if copy.wrapped else None,
            time=copy.wrapped.time if copy.wrapped else None,
            packed=PACKED in text,
            bytes=len(text),
            room=LIMITS.get(mime or "") if copy.carrier != "extended xmp" else None,
            fault=copy.fault,
        )


def _beside(path: bytes, sample: Sample | None) -> list[Copy]:
    """The file beside an image that cannot hold labels."""
    beside = path + SIDECAR.encode()
    if sample is None or not os.path.isfile(beside):
        return []
    known: dict[str, Any] = sample.origin or {}
    size = os.stat(beside).st_size
    return [Copy("sidecar", known.get("revision"), known.get("time"), False, size, None, None)]


def _draw(path: bytes, picture: ShownImage, target: Path, overwrite: bool, shown: Shown) -> None:
    """Write the picture with its labels; one that cannot be decoded has a problem."""
    from PIL import Image as Pillow

    from xlabel.pictures import drawing

    if target.exists() and not overwrite:
        raise ExistsError(f"{target}: exists already; say --overwrite to replace it")
    kind = Pillow.registered_extensions().get(target.suffix.lower())
    if kind is None:
        raise InputError(f"{target}: expected the name of a picture, such as labels.png")
    with rewrite.opened(path) as (data, seen):
        try:
            drawn = drawing.draw(drawing.displayed(data), picture.annotations or ())
        except ValueError as error:
            picture.problems.append(Problem(picture.file, "undecodable", f"{error}; not drawn"))
            return
        file = io.BytesIO()
        drawn.save(file, kind)
        rewrite.create(os.fsencode(target), [file.getvalue()], seen.info)
    shown.files[str(target)] = len(file.getvalue())


def _png(picture: ShownImage, side: int) -> bytes | None:
    """A picture with its labels, at most `side` pixels large; None where it cannot be decoded."""
    from xlabel.pictures import drawing

    try:
        with rewrite.opened(os.fsencode(picture.file)) as (data, _):
            shown = drawing.displayed(data)
    except (ValueError, OSError, InputError):
        return None
    width, height = shown.size
    shown.thumbnail((side, side))
    across, down = shown.width / width, shown.height / height
    labels = [scaled(label, across, down)[0] for label in picture.annotations or ()]
    drawn = drawing.draw(shown, labels)
    drawn.thumbnail((side, side))
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def _figure(picture: ShownImage) -> str:
    name = html.escape(visible(picture.file))
    png = _png(picture, SMALL)
    if png is None:
        return f"<pre>{html.escape(str(picture))}</pre>"
    text = f"{name}: {counted(len(picture.annotations or ()), 'labels')}"
    source = base64.b64encode(png).decode("ascii")
    return (
        f'<figure style="display: inline-block; margin: 4px"><img alt="{text}" '
        f'src="data:image/png;base64,{source}"><figcaption>{text}</figcaption></figure>'
    )


def _described(picture: ShownImage) -> str:
    if picture.width is None or picture.height is None:
        return f"{size_text(picture.bytes)}, no image that can be read"
    turned = ""
    if picture.orientation != 1:
        stored = turned_size(picture.width, picture.height, picture.orientation)
        turned = f" as displayed (orientation {picture.orientation}, stored as {stored[0]} x {stored[1]})"
    return f"{picture.mime}, {picture.width} x {picture.height}{turned}, {size_text(picture.bytes)}"


def _copy(copy: Copy) -> tuple[str, ...]:
    if copy.fault is not None:
        return copy.carrier, "-", "", "broken", f"{copy.bytes:,}", ""
    full = f"{100 * copy.bytes / copy.room:.1f} % of {copy.room:,}" if copy.room else ""
    form = "packed" if copy.packed else "plain"
    return copy.carrier, str(copy.revision), copy.time or "", form, f"{copy.bytes:,}", full


COLUMNS = (
    "",
    "category",
    "geometry",
    "x",
    "y",
    "width",
    "height",
    "score",
    "status",
    "author",
    "time",
    "says",
)
"""Of the table of labels; those that no label fills are left out."""


def _rows(annotations: list[Annotation]) -> list[tuple[str, ...]]:
    rows = [COLUMNS, *(_row(number, annotation) for number, annotation in enumerate(annotations, 1))]
    used = [at for at in range(len(COLUMNS)) if any(row[at] for row in rows[1:])]
    return [tuple(row[at] for at in used) for row in rows] if annotations else []


def _row(number: int, annotation: Annotation) -> tuple[str, ...]:
    box = bbox_of(annotation)
    says = dict(annotation.attributes or {})
    if annotation.caption is not None:
        says["caption"] = annotation.caption
    if annotation.crowd:
        says["crowd"] = True
    return (
        str(number),
        annotation.category.name if annotation.category else "",
        ", ".join(_geometry(annotation)),
        *(("",) * 4 if box is None else (f"{value:.6g}" for value in box)),
        "" if annotation.score is None else f"{annotation.score:.4g}",
        annotation.status or "",
        annotation.author or "",
        annotation.time or "",
        ", ".join(f"{name}: {_value(value)}" for name, value in says.items()),
    )


def _geometry(annotation: Annotation) -> Iterator[str]:
    if annotation.bbox is not None:
        yield "box"
    if annotation.polygons:
        yield "polygon" if len(annotation.polygons) == 1 else f"polygon of {len(annotation.polygons)} parts"
    if annotation.mask is not None:
        yield "mask"
    if annotation.keypoints is not None:
        yield counted(sum(v > 0 for v in annotation.keypoints[2::3]), "keypoints")
    if annotation.shape is not None:
        yield msgspec.to_builtins(annotation.shape)["kind"].replace("_", " ")


def _value(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of cells in columns; numbers stand to the right."""
    cells = [[_short(cell, LONGEST) for cell in row] for row in rows]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(_width, column)) for column in columns]
    right = [
        all(cell.replace(".", "").replace(",", "").lstrip("-").isdigit() for cell in column[1:] if cell)
        for column in columns
    ]
    lines = []
    for row in cells:
        padded = [
            " " * (width - _width(cell)) + cell if to_right else cell + " " * (width - _width(cell))
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append(("    " + "  ".join(padded)).rstrip())
    return lines


def _short(text: str, most: int) -> str:
    text = visible(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: Chinese letters take two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
