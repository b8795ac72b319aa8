"""The fingerprint of the compressed image data, without any metadata, which binds labels to their image.

It needs no decoding, and any tool that leaves the picture alone leaves it equal. Those of the decoded pixels
are in `pictures.hashing`.
"""

from xxhash import xxh3_128

from xlabel import images
from xlabel.images import Buffer


def stream(data: Buffer) -> str | None:
    """xxh3-128 of the compressed image data of a whole file, in hexadecimal; None where there is no rule."""
    container = images.carrying(data)
    if container is None:
        return None
    hasher = xxh3_128()
    with memoryview(data) as view:
        for start, stop in container.stream(view):
            hasher.update(view[start:stop])
    return hasher.hexdigest()
