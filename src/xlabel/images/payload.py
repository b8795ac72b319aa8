"""What is stored in an image: the labels' document with its revision, its check and its undo record.

A plain payload is JSON with the document in it; a packed one has the document as base64 of zlib. Both are
ASCII. Of several copies the newest that is whole counts.
"""

import zlib
from base64 import b64decode, b64encode
from typing import Annotated, NamedTuple

import msgspec
from xxhash import xxh3_64_hexdigest

from xlabel.images.splice import Undo

VERSION = 1
MAX_DOCUMENT = 1 << 28
"""Bytes of a document; more is refused before it is unpacked."""
START = b'{"xlabel":'
"""What a payload begins with."""


class Stored(msgspec.Struct):
    """A payload as it is written."""

    xlabel: int
    revision: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
    check: str
    labels: msgspec.Raw
    time: str = ""
    undo: Undo | None = None
    replaced: bytes | None = None


class Wrapped(msgspec.Struct, frozen=True):
    """A document's JSON and what is known of it."""

    document: bytes
    revision: int
    time: str
    """When it was embedded, ISO 8601 in UTC."""
    undo: Undo | None = None
    replaced: bytes | None = None
    """The EXIF UserComment that stood where ours stands, its code included."""


class Forms(NamedTuple):
    """The two forms of a payload; the packed one is made when asked for."""

    plain: bytes
    head: bytes
    document: bytes
    packing: "Packing"

    def packed(self) -> bytes:
        return b'%b"labels":"%b"}' % (self.head, self.packing.text(self.document))


class Packing:
    """Keeps a packed document, since it is the same for each undo record."""

    def __init__(self) -> None:
        self._text: bytes | None = None

    def text(self, document: bytes) -> bytes:
        if self._text is None:
            self._text = b64encode(zlib.compress(document, 9))
        return self._text


def forms(wrapped: Wrapped, undo: Undo | None, replaced: bytes | None, packing: Packing) -> Forms:
    """The payload of a document, with another undo record and replaced comment than it came with."""
    record = b"" if undo is None else b'"undo":%b,' % _encoder.encode(undo)
    before = b"" if replaced is None else b'"replaced":"%b",' % b64encode(replaced)
    head = b'%b%d,"revision":%d,"time":"%b","check":"%b",%b%b' % (
        START,
        VERSION,
        wrapped.revision,
        wrapped.time.encode(),
        xxh3_64_hexdigest(wrapped.document).encode(),
        record,
        before,
    )
    plain = b'%b"labels":%b}' % (head, wrapped.document)
    return Forms(plain, head, wrapped.document, packing)


def sidecar(wrapped: Wrapped, why: str) -> bytes:
    """The text of a file beside an image that cannot hold its labels, and why it cannot."""
    text = forms(wrapped, None, None, Packing()).plain
    return b'%b"why":%b,%b\n' % (START[:1], _encoder.encode(why), text[1:])


def is_sidecar(text: bytes) -> bool:
    """Whether a text begins as that of a file beside an image does."""
    return text.startswith((b'{"why":', START))


def is_payload(text: bytes) -> bool:
    """Whether a text is meant to be a payload."""
    return text[:64].lstrip(b" \r\n\t").startswith(START)


def unwrap(text: bytes) -> Wrapped:
    """What a payload holds; ValueError says what is wrong with it.

    A check that does not fit, because somebody edited the labels or bytes were lost, is such an error.
    """
    try:
        stored = _decoder.decode(text.rstrip(b"\0 "))
    except RecursionError:
        raise ValueError("the payload is nested deeper than any labels") from None
    if stored.xlabel > VERSION:
        raise ValueError(f"a payload of version {stored.xlabel}, this xlabel reads up to {VERSION}")
    document = bytes(stored.labels)
    if document.startswith(b'"'):
        document = _unpacked(document[1:-1])
    if xxh3_64_hexdigest(document) != stored.check:
        raise ValueError("the labels are not those that were written: their check does not fit")
    return Wrapped(document, stored.revision, stored.time, stored.undo, stored.replaced)


def replaced(text: bytes) -> bytes | None:
    """The UserComment that a payload replaced, even where its labels are broken."""
    try:
        return _before.decode(text.rstrip(b"\0 ")).replaced
    except (ValueError, RecursionError):
        return None


class _Before(msgspec.Struct):
    replaced: bytes | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Stored)
_before = msgspec.json.Decoder(_Before)


def _unpacked(text: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(b64decode(text, validate=True), MAX_DOCUMENT)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the packed labels cannot be unpacked: {error}") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError(f"the packed labels are cut off, or larger than {MAX_DOCUMENT:,} bytes")
    return data
