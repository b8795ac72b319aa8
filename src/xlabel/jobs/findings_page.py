"""The page of a validation: its findings, and pictures of the first of each code."""

import base64
import io
from collections import Counter
from typing import Any

from xlabel.checks import SEVERITIES, Finding, page
from xlabel.checks.codes import rule
from xlabel.checks.page import Code, Line, Page, Shown
from xlabel.errors import InputError
from xlabel.images import Buffer, header, image_of
from xlabel.jobs.findings import Findings
from xlabel.jobs.sets import Set
from xlabel.jobs.validation import Validation
from xlabel.model import Annotation, Circle, OrientedBox, Points, Sample
from xlabel.model.geometry import MAX_PIXELS, Box, bbox_of, decode
from xlabel.model.report import counted
from xlabel.pictures.pillow import reading

LINES = 10_000
"""Findings on a page, of each code as many as of the others."""
PICTURES = 200
EACH = 20
"""Pictures on a page, and of each code."""
SIDE = 560
"""Pixels of the longer side of a picture."""
OTHERS = 100
"""Other annotations that are drawn into a picture."""
SMALL = 0.03
"""What is smaller than this share of the picture gets a ring around it."""


def written(result: Validation, source: str, looked: str, images: Set | None) -> str:
    """The page's text."""
    lines: list[Line] = []
    pictures: list[Shown] = []
    numbers = _numbers(_wanted(result.findings), images)
    taken = Counter[str]()
    each = _share(result.findings.counts)
    drawn = Counter[str]()
    for finding in result.findings:
        if taken[finding.code] >= each:
            continue
        taken[finding.code] += 1
        line = Line(
            code=finding.code,
            severity=finding.severity,
            place=finding.place,
            message=finding.message,
            advice=finding.advice,
        )
        number = numbers.get(finding.image or "")
        room = len(pictures) < PICTURES and drawn[finding.code] < EACH
        if images is not None and number is not None and room:
            shown = _shown(finding, number, images)
            if shown is not None:
                drawn[finding.code] += 1
                line.picture = len(pictures)
                pictures.append(shown)
        lines.append(line)
    codes = result.codes()
    lines.sort(key=lambda line: codes.index(line.code))
    capped = [f"{counted(len(pictures), 'pictures')}, {EACH} of a code at most"] if pictures else []
    if len(lines) < len(result.findings):
        capped.append(f"{len(lines):,} of {len(result.findings):,} findings; --json lists all")
    severities = {name: result.findings.severities[name] for name in SEVERITIES}
    return page.html(
        Page(
            source=source,
            looked=looked,
            capped="; ".join(capped),
            severities={name: count for name, count in severities.items() if count},
            codes=[
                Code(code, rule(code).severity, rule(code).means, result.findings.counts[code])
                for code in codes
            ],
            total=len(result.findings),
            findings=lines,
            pictures=pictures,
        )
    )


def _share(counts: Counter[str]) -> int:
    """How many findings of each code make `LINES` in all, where there are more."""
    left, codes = LINES, len(counts)
    for count in sorted(counts.values()):
        if count * codes >= left:
            return max(1, left // codes)
        left, codes = left - count, codes - 1
    return LINES


def _wanted(findings: Findings) -> set[str]:
    """Keys of the images that may get a picture."""
    wanted: set[str] = set()
    taken = Counter[str]()
    for finding in findings:
        if finding.image is not None and taken[finding.code] < 2 * EACH:
            taken[finding.code] += 1
            wanted.add(finding.image)
    return wanted


def _numbers(wanted: set[str], images: Set | None) -> dict[str, int]:
    if images is None or not wanted:
        return {}
    return {key: number for number in range(len(images)) if (key := images.key(number)) in wanted}


def _shown(finding: Finding, number: int, images: Set) -> Shown | None:
    """A picture for a finding; None where the image cannot be shown."""
    try:
        with images.opened(number) as data:
            found = header(data)
            picture = _thumbnail(data)
            sample, _ = images.sample(number, image_of(images.key(number), found), data)
            images.problems()
    except (ValueError, OSError, InputError):
        return None
    if picture is None:
        return None
    width, height, src = picture
    hit = _hit(finding, sample)
    hits = [] if hit is None else _parts(hit, masks=True)
    box = None if hit is None else bbox_of(hit)
    view = _view(box, width, height)
    others = [
        part
        for annotation in sample.annotations[:OTHERS]
        if annotation is not hit
        for part in _parts(annotation, masks=False)
    ]
    ring = None
    if box is not None and max(abs(box[2]) / view[2], abs(box[3]) / view[3]) < SMALL:
        x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
        ring = (x, y, SMALL * max(view[2:]))
    return Shown(src=src, width=width, height=height, view=view, hits=hits, others=others, ring=ring)


def _hit(finding: Finding, sample: Sample) -> Annotation | None:
    number = finding.annotation
    return None if number is None or number > len(sample.annotations) else sample.annotations[number - 1]


def _thumbnail(data: Buffer) -> tuple[int, int, str] | None:
    """Width and height of the displayed image, and a small picture of it as a data URI."""
    from PIL import ImageOps

    try:
        with reading(io.BytesIO(data)) as image:
            image.draft("RGB", (SIDE, SIDE))
            whole = header(data)
            shown = ImageOps.exif_transpose(image)
            width, height = whole.displayed if whole else shown.size
            shown.thumbnail((SIDE, SIDE))
            out = io.BytesIO()
            shown.convert("RGB").save(out, "JPEG", quality=75)
    except ValueError:
        return None
    return width, height, _uri("jpeg", out.getvalue())


def _parts(annotation: Annotation, *, masks: bool) -> list[tuple[Any, ...]]:
    """An annotation as what the page draws."""
    parts: list[tuple[Any, ...]] = []
    if annotation.bbox is not None:
        parts.append(("box", *annotation.bbox))
    parts += [("outline", *part) for part in annotation.polygons or ()]
    if masks and annotation.mask is not None and not annotation.polygons:
        parts += _mask(annotation)
    if annotation.keypoints is not None:
        points = annotation.keypoints
        labelled = zip(points[::3], points[1::3], points[2::3], strict=False)
        parts.append(("points", *(number for x, y, v in labelled if v > 0 for number in (x, y))))
    match annotation.shape:
        case OrientedBox(corners):
            parts.append(("outline", *corners))
        case Circle(x, y, radius):
            parts.append(("circle", x, y, radius))
        case Points(points):
            parts.append(("points", *points))
        case None:
            pass
        case line:
            parts.append(("line", *line.points))
    return [part for part in parts if all(_plain(number) for number in part[1:])]


def _mask(annotation: Annotation) -> list[tuple[Any, ...]]:
    import numpy as np
    from PIL import Image

    assert annotation.mask is not None
    try:
        bits = decode(annotation.mask)
    except ValueError:
        return []
    if not bits.size or bits.size > MAX_PIXELS:
        return []
    height, width = bits.shape
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[bits] = (255, 59, 48, 150)
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return [("mask", _uri("png", out.getvalue()), width, height)]


def _view(box: Box | None, width: int, height: int) -> tuple[float, float, float, float]:
    """The image with a little around it, and as much of a box outside it as is half the image's size."""
    if box is None or not all(_plain(number) for number in box):
        box = (0, 0, width, height)
    x, y, w, h = box
    left, top = max(min(0, x), -width / 2), max(min(0, y), -height / 2)
    right, bottom = min(max(width, x + w), 1.5 * width), min(max(height, y + h), 1.5 * height)
    margin = 0.01 * max(width, height)
    return left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin


def _plain(value: Any) -> bool:
    return isinstance(value, str) or -1e9 < value < 1e9


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
