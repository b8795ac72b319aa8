"""Objects at a URL: what every store can do, and the table of those that there are.

A store is one bucket and prefix, or one folder; an object is a name below it, `/` between its parts. Its
calls may come from several threads at once. A lost connection, a full server and a throttled request are
tried again within, for a while; what is raised is a StoreError that says where, what was asked, what the
store said and what to do. Of those, ConflictError is a condition that did not hold, and MissingError a
bucket, an object or an upload that is not there.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Protocol, cast

import msgspec

from xlabel.errors import InputError
from xlabel.images import Buffer

STORES = {
    "file": "xlabel.stores.file",
    "s3": "xlabel.stores.s3",
    "az": "xlabel.stores.azure",
    "gs": "xlabel.stores.gcs",
    "sftp": "xlabel.stores.sftp",
    "hf": "xlabel.stores.hf",
}
"""Schemes of URLs, and the modules that open them by a function `connect(url) -> Transport`."""

PROBE = ".xlabel-probe-"
"""Beginning of the names of objects by which a server is asked what it can do; they are taken away again."""


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """An object as it is now."""

    size: int
    tag: str
    """What `if_match` compares; another after each write, and opaque."""
    crc64nvme: str | None = None
    """CRC-64/NVME of the whole object, in base64, where the store keeps it and has checked it."""
    md5: bytes | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an unfinished upload, as the store has it. A checksum that it does not tell is None."""

    number: int
    size: int
    tag: str
    crc64nvme: str | None = None
    md5: bytes | None = None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An unfinished upload."""

    name: str
    id: str
    begun: float
    """Seconds since 1970: by the store's clock, but where it keeps none for uploads, by who began it."""


class Transport(Protocol):
    """One bucket and prefix, or one folder."""

    @property
    def url(self) -> str:
        """Of the store, without credentials: for messages."""

    @property
    def conditional(self) -> bool:
        """Whether `put` and `complete` honour `if_match` and `absent`; where not, they ignore them.

        May ask the server when it is read first, by objects of our own that are taken away again.
        """

    @property
    def copies_ranges(self) -> bool:
        """Whether there is a `copy_part`. May ask the server, as `conditional` does."""

    @property
    def probed(self) -> int:
        """Requests that the server was asked by, so far, to learn what it can do."""

    @property
    def keeps_crc64nvme(self) -> bool:
        """Whether `complete` compares `crc64nvme`, and `head` tells it; where not, none need be reckoned."""

    @property
    def part_min(self) -> int:
        """Bytes that each part but the last must have; a copied range that is not the last one, too."""

    @property
    def part_max(self) -> int:
        """Bytes that a part may have."""

    @property
    def parts_max(self) -> int:
        """Parts that an object may have; their numbers begin at 1."""

    def head(self, name: str) -> Stat | None:
        """The object as it is now; None where it is not there. MissingError where the bucket is not."""

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        """The bytes at (offset, size), one after the other; fewer at the object's end, none behind it.

        ConflictError where the object's tag is no longer `if_match`.
        """

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        """Write a small object whole. ConflictError where it is not `if_match`, or not `absent`, any more."""

    def create(self, name: str) -> str:
        """Begin an upload by parts; gives its id. The object stays as it is until `complete`."""

    def uploads(self, name: str) -> list[Upload]:
        """The unfinished uploads of an object, oldest first."""

    def unfinished(self, prefix: str = "") -> list[Upload]:
        """The unfinished uploads of all objects whose names begin like that, whoever began them."""

    def parts(self, name: str, upload: str) -> list[Part]:
        """The parts that the store has, by their numbers: the truth after a kill. MissingError: no upload."""

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        """Write a part; one of the same number that was there before gives way."""

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        """Make a part of a range of the object `source` of this store; its bytes do not travel.

        ConflictError, here or by `complete`, where the tag of `source` is no longer `if_match`.
        """

    def complete(
        self,
        name: str,
        upload: str,
        parts: Sequence[Part],
        *,
        if_match: str | None = None,
        absent: bool = False,
        crc64nvme: str | None = None,
    ) -> Stat:
        """Make the parts the object, at once, and end the upload. There is at least one part.

        `crc64nvme` is that of the whole, in base64; a store that keeps it refuses another. ConflictError as
        by `put`; the upload is then still there, or not: `abort` it.
        """

    def abort(self, name: str, upload: str) -> None:
        """Take an unfinished upload and its parts away; nothing where it is not there."""

    def delete(self, name: str) -> None:
        """Take an object away; nothing where it is not there."""

    def modified(self, name: str) -> float | None:
        """When an object was written, in seconds since 1970 by the store's clock.

        Of what was uploaded by parts, it may be when that was begun. None where there is no such object, or
        the store does not say.
        """

    def names(self, prefix: str = "") -> list[str]:
        """The objects whose names begin like that, sorted."""

    def close(self) -> None:
        """End its connections."""


class Store(Protocol):
    """What the module of a scheme offers."""

    def connect(self, url: str) -> Transport:
        """The store at a URL. It is asked nothing yet. InputError where the URL is none of its kind."""


def open_store(url: str) -> Transport:
    """The store at a URL by its scheme; what has none is a folder."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        scheme = "file"
    module = STORES.get(scheme) or _others().get(scheme)
    if module is None:
        known = ", ".join(f"{name}://" for name in (*STORES, *_others()))
        raise InputError(f"{url}: expected a folder or a URL that begins with {known}")
    return cast(Store, import_module(module)).connect(url)


def where(store: Transport, name: str = "") -> str:
    """The URL of an object, for messages."""
    return f"{store.url.rstrip('/')}/{name}" if name else store.url


@cache
def _others() -> dict[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group="xlabel.stores")}
