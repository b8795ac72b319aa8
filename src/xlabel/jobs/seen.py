"""Image files that differ from their frames only in what is embedded in them: told, and made again.

The labels in a frame's bytes are a copy of the day it was packed; those that count are in the annotation
file. So a file whose labels have changed writes no byte of media, as long as embedding the labels that count
into the frame gives it back.
"""

import hashlib

from xlabel.images import Buffer, embedding, xmp
from xlabel.images.payload import Wrapped
from xlabel.jobs.putting import projected
from xlabel.model import Sample
from xlabel.model import document as documents
from xlabel.model.manifest import Seen
from xlabel.pictures import hashing


def seen(frame: Buffer, file: Buffer, sample: Sample) -> Seen | None:
    """What to note of a file whose labels are those of `sample`, so that `as_seen` gives it back.

    None where it differs from the frame in more, or cannot be given back.
    """
    try:
        if _clean(frame) != _clean(file):
            return None
        found = embedding.get(file)
        newest = found.newest
        noted = Seen(hashlib.sha256(file).hexdigest(), len(file))
        if newest is not None:
            picture = documents.decode(newest.document).image
            noted = Seen(
                noted.sha256,
                noted.size,
                newest.revision,
                newest.time,
                xmp.MWG.encode() in (found.carriers.xmp or b""),
                picture.pixels,
                picture.perceptual,
            )
        return noted if as_seen(frame, sample, noted) == file else None
    except ValueError:
        return None


def as_seen(frame: Buffer, sample: Sample, noted: Seen) -> bytes:
    """The image file that a frame stands for. ValueError where its labels cannot be embedded again."""
    clean = _clean(frame)
    if noted.revision is None or noted.time is None:
        return clean
    prints = {"pixels": noted.pixels, "perceptual": noted.perceptual}
    known = hashing.fingerprints(clean, decoded=False) | {name: text for name, text in prints.items() if text}
    picture = documents.picture_of(sample, known)
    document = documents.encode(documents.document(sample, picture))
    shapes, faces = projected(sample, noted.faces)
    wrapped = Wrapped(document, noted.revision, noted.time)
    return b"".join(embedding.put(clean, wrapped, regions=shapes, faces=faces).pieces)


def _clean(data: Buffer) -> bytes:
    """A file without what is embedded. ValueError where its bytes without that cannot be proved."""
    found = embedding.get(data)
    if not found.copies:
        return bytes(data)
    newest = found.newest
    restored = embedding.restore(data, newest) if newest else None
    if restored is None:
        raise ValueError("the bytes before its labels cannot be proved")
    return b"".join(restored)
