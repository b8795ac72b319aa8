"""Labels in a file beside an image that cannot hold them, or not so many."""

import os

from xlabel.formats.embedded import SIDECAR
from xlabel.images import payload
from xlabel.images.payload import Wrapped
from xlabel.jobs.putting import now
from xlabel.stores import rewrite


def beside(image: bytes) -> Wrapped | None:
    """The labels in the file beside an image; None where it is not there or broken."""
    try:
        with open(image + SIDECAR.encode(), "rb") as file:
            return payload.unwrap(file.read())
    except (FileNotFoundError, ValueError):
        return None


def put_beside(
    image: bytes, document: bytes, why: str, like: os.stat_result, *, dry_run: bool = False
) -> bool:
    """Write a document into the file beside an image; False where it holds an equal one.

    `why` the image cannot hold it is told in the file, whose mode and owner are those of `like`. Errors as in
    `rewrite.create`.
    """
    before = beside(image)
    if before is not None and before.document == document:
        return False
    if not dry_run:
        text = payload.sidecar(Wrapped(document, before.revision + 1 if before else 1, now()), why)
        rewrite.create(image + SIDECAR.encode(), [text], like)
    return True
