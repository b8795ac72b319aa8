"""Putting labels into one image file, beside or instead of those that it holds."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from xlabel.errors import InputError
from xlabel.images import Buffer, embedding, fingerprint, regions, xmp
from xlabel.images.embedding import Put
from xlabel.images.payload import Wrapped
from xlabel.model import Sample
from xlabel.model import document as documents
from xlabel.model.document import Picture
from xlabel.model.report import visible
from xlabel.pictures import hashing

SHOWN = 60
"""Characters of somebody else's text in a message."""


class ForeignError(InputError):
    """The place where labels go holds somebody else's text."""


def embedded(
    data: Buffer, sample: Sample, *, pixels: bool = False, mwg: bool = False, overwrite: bool = False
) -> Put | None:
    """How a file is changed to hold the labels of `sample`; None where it holds equal ones.

    ValueError where it cannot hold them, ForeignError where its UserComment is somebody else's and
    `overwrite` was not said. What is ours in it gives way; the revision goes up by one. `pixels` adds the
    fingerprints that need decoding, where it succeeds, `mwg` people as face regions.
    """
    found = embedding.get(data)
    newest = found.newest
    foreign = found.foreign
    if foreign is not None and not overwrite:
        text = visible(foreign if len(foreign) <= SHOWN else foreign[: SHOWN - 1] + "…")
        raise ForeignError(
            f"its EXIF UserComment holds somebody else's text, {text!r}; xlabel embed --overwrite puts "
            "labels in its place, and strip puts it back"
        )
    clean, base = data, newest
    if found.copies:
        restored = embedding.restore(data, newest) if newest else None
        clean = b"".join(restored if restored is not None else embedding.remove(data))
    shown = picture(clean, sample, pixels)
    if shown.stream is None:
        fingerprint.stream(clean)  # raises: what labels cannot be bound to gets none
    before = _picture_of(base)
    if before is not None and before.stream == shown.stream and shown.pixels is None:
        shown = msgspec.structs.replace(shown, pixels=before.pixels, perceptual=before.perceptual)
    document = documents.encode(documents.document(sample, shown))
    shapes, faces = projected(sample, mwg)
    same = newest is not None and newest.document == document and not found.faults()
    if same and foreign is None and bool(faces) <= (xmp.MWG.encode() in (found.carriers.xmp or b"")):
        return None
    wrapped = Wrapped(document, newest.revision + 1 if newest else 1, now())
    done = embedding.put(clean, wrapped, regions=shapes, faces=faces)
    if pixels and shown.pixels is None:
        done.forms["fingerprint of the pixels"] = "they cannot be decoded"
    return done


def beneath(data: Buffer, change: Callable[[Buffer], list[Buffer]]) -> list[Buffer]:
    """The pieces of a file in which something else than the labels is changed.

    `change` is done to the file as it was before it was labelled, which gets the same labels again: so strip
    gives back what `change` has made. Where there are no labels, or the bytes before them cannot be proved,
    it is done to the file as it is. ValueError where the labels have no room any more.
    """
    found = embedding.get(data)
    newest = found.newest
    restored = embedding.restore(data, newest) if newest else None
    if newest is None or restored is None:
        return change(data)
    sample = documents.sample(documents.decode(newest.document), "")
    shapes, faces = projected(sample, xmp.MWG.encode() in (found.carriers.xmp or b""))
    wrapped = Wrapped(newest.document, newest.revision, newest.time)
    changed = b"".join(change(b"".join(restored)))
    return embedding.put(changed, wrapped, regions=shapes, faces=faces).pieces


def picture(data: Buffer, sample: Sample, pixels: bool) -> Picture:
    """What a document says of its image, as far as it can be read; `pixels`: by decoding it too."""
    return documents.picture_of(sample, hashing.fingerprints(data, decoded=pixels))


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return _told(int(time.time()))


@lru_cache(maxsize=1)
def _told(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def projected(sample: Sample, mwg: bool) -> tuple[bytes, bytes]:
    """What photo software shows of the labels: IPTC's regions and, where they are wanted, MWG's faces."""
    image = sample.image
    if not image.width or not image.height:
        return b"", b""
    turned = image.width, image.height, image.orientation
    faces = regions.faces(sample.annotations, *turned) if mwg else b""
    return regions.iptc(sample.annotations, *turned), faces


def _picture_of(wrapped: Wrapped | None) -> Picture | None:
    try:
        return documents.decode(wrapped.document).image if wrapped else None
    except ValueError:
        return None
