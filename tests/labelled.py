"""Image files with labels put into them, and what other people's tools say of such files."""

import io
import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, ImageSequence

from tests.tools import run, tool
from xlabel import images
from xlabel.images import embedding, fingerprint, regions
from xlabel.images.payload import Wrapped
from xlabel.model import Annotation, Category, Image, Sample
from xlabel.model import document as documents
from xlabel.model.document import Picture

CAR = Category(id=2, name="car")
PERSON = Category(id=7, name='persön "a"<b>')
TIME = "2026-11-20T10:00:00Z"


def drawn(mode: str = "RGB", size: tuple[int, int] = (32, 16), seed: int = 1) -> Pillow.Image:
    """Noise; each seed gives other pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    return Pillow.fromarray(noise, "RGBA").convert(mode)


def saved(image: Pillow.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sample(header: images.Header, count: int = 3) -> Sample:
    """Boxes of cars and a person in two parts, all inside the image as displayed."""
    width, height = header.displayed
    boxes = tuple(
        Annotation(id=number, category=CAR, bbox=(width / 8, height / 4, width / 2, height / 4), score=0.5)
        for number in range(count)
    )
    parts = (
        (0, 0, width / 2, 0, 0, height / 2),
        (width / 2, height / 2, width, height / 2, width, height),
    )
    image = Image(key="a", width=width, height=height, orientation=header.orientation)
    return Sample(image=image, annotations=(*boxes, Annotation(category=PERSON, polygons=parts)))


def labels(data: bytes, count: int = 3) -> tuple[Wrapped, bytes]:
    """A document for an image, and its regions."""
    header = images.header(data)
    assert header is not None
    labelled = sample(header, count)
    width, height = header.displayed
    picture = Picture(
        width=width, height=height, orientation=header.orientation, stream=fingerprint.stream(data)
    )
    document = documents.encode(documents.document(labelled, picture))
    shown = regions.iptc(labelled.annotations, width, height, header.orientation)
    return Wrapped(document, 1, TIME), shown


def put(data: bytes, count: int = 3) -> tuple[bytes, embedding.Put]:
    wrapped, shown = labels(data, count)
    done = embedding.put(data, wrapped, regions=shown)
    return b"".join(done.pieces), done


def newest(data: bytes) -> Wrapped | None:
    """The labels in a file, of which no copy is at fault."""
    found = embedding.get(data)
    assert found.faults() == []
    return found.newest


def restored(data: bytes) -> bytes | None:
    wrapped = newest(data)
    assert wrapped is not None
    pieces = embedding.restore(data, wrapped)
    return None if pieces is None else b"".join(pieces)


def removed(data: bytes) -> bytes:
    return b"".join(embedding.remove(data))


def by(command: str, data: bytes, suffix: str, *arguments: str, to: str | None = None) -> bytes:
    """What a tool makes of a file: arguments have IN and OUT, or IN alone, which it changes in place."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, f"in.{suffix}"), Path(folder, f"out.{to or suffix}")
        source.write_bytes(data)
        names = {"IN": str(source), "OUT": str(target)}
        run(tool(command), *(names.get(argument, argument) for argument in arguments))
        return (target if "OUT" in arguments else source).read_bytes()


@lru_cache(maxsize=512)
def said(command: str, data: bytes, suffix: str, *arguments: str) -> str:
    """What a tool prints about a file, which is the argument IN."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"in.{suffix}")
        source.write_bytes(data)
        return run(tool(command), *(str(source) if a == "IN" else a for a in arguments)).decode()


def edited(data: bytes, suffix: str, *arguments: str) -> bytes:
    """The file after an edit by exiftool."""
    return by("exiftool", data, suffix, "-q", "-overwrite_original", *arguments, "IN")


def tags(data: bytes, suffix: str) -> dict[str, Any]:
    """All that exiftool finds, without what it says of the file as such."""
    printed = said("exiftool", data, suffix, "-a", "-G1:4", "-struct", "-json", "IN")
    (found,) = json.loads(printed)
    about = ("System:", "SourceFile", "ExifTool:ExifToolVersion")
    return {name: value for name, value in found.items() if not name.startswith(about)}


def warnings(data: bytes, suffix: str) -> set[str]:
    """What `exiftool -validate` complains of."""
    printed = said("exiftool", data, suffix, "-validate", "-warning", "-error", "-a", "-json", "IN")
    (found,) = json.loads(printed)
    return {str(value) for name, value in found.items() if name not in ("SourceFile", "Validate")}


def frames(data: bytes) -> list[tuple[str, tuple[int, int], bytes]]:
    """Every frame's mode, size and pixels, decoded by Pillow."""
    with Pillow.open(io.BytesIO(data)) as image:
        return [
            (frame.mode, frame.size, frame.convert("RGBA").tobytes() + frame.tobytes())
            for frame in ImageSequence.Iterator(image)
        ]


def matrix(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> Any:
    """The pixels as cv2 decodes them."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    assert found is not None, "cv2 does not read it"
    return found


def same_picture(one: bytes, other: bytes) -> bool:
    """Whether Pillow and cv2 see the same pixels, also where cv2 turns them by their orientation."""
    return frames(one) == frames(other) and all(
        np.array_equal(matrix(one, flags), matrix(other, flags))
        for flags in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR)
    )


def document_of(data: bytes) -> Any:
    wrapped = newest(data)
    assert wrapped is not None
    return json.loads(wrapped.document)


def shown(found: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Name and coordinates (of the corner, or of the vertices) of each image region, as exiftool says."""
    listed = []
    for region in found["XMP-iptcExt:ImageRegion"]:
        boundary = region["RegionBoundary"]
        if "RbVertices" in boundary:
            numbers = [vertex[name] for vertex in boundary["RbVertices"] for name in ("RbX", "RbY")]
        else:
            numbers = [boundary[name] for name in ("RbX", "RbY", "RbW", "RbH", "RbRx") if name in boundary]
        listed.append((region.get("Name", ""), numbers))
    return listed


UPRIGHT = [("car", [0.125, 0.25, 0.5, 0.25])] * 3 + [
    ('persön "a"<b>', [0, 0, 0.5, 0, 0, 0.5]),
    ('persön "a"<b>', [0.5, 0.5, 1, 0.5, 1, 1]),
]
"""What `shown` says of the regions of `sample` in an image that is not turned."""


def boxed(found: dict[str, Any], data: bytes) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the first region in the image as Pillow displays it."""
    with Pillow.open(io.BytesIO(data)) as image:
        stored = Pillow.new("L", image.size)
        x, y, w, h = shown(found)[0][1]
        left, top = round(x * image.width), round(y * image.height)
        stored.paste(255, (left, top, left + round(w * image.width), top + round(h * image.height)))
        stored.info["exif"] = image.getexif().tobytes()
        box = ImageOps.exif_transpose(stored).getbbox()
        assert box is not None
        return box


def tolerated(data: bytes) -> None:
    """Each function that labels need gives a result, or raises ValueError and nothing else."""
    wrapped = Wrapped(b"{}", 1, TIME)
    for act in (
        lambda: [embedding.restore(data, one.wrapped) for one in embedding.get(data).copies if one.wrapped],
        lambda: embedding.put(data, wrapped, regions=b""),
        lambda: embedding.remove(data),
        lambda: fingerprint.stream(data),
    ):
        try:
            act()
        except ValueError as error:
            assert str(error)
