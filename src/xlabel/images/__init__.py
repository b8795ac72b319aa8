"""Image files by their bytes: what kind, how large, which way up, whole or cut off, and the labels in them.

One file a container, each with the functions of `Container`, and those of `Carrying` where labels can be put
into it; docs/extend/containers.md says how to add one. Nothing here decodes a pixel: `pictures` does that.
"""

import re
import struct
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import msgspec

from xlabel.model import Image
from xlabel.model.geometry import turned_size

if TYPE_CHECKING:
    from xlabel.images.splice import Edit
    from xlabel.images.tags import Text
    from xlabel.images.xmp import Ours

Buffer = bytes | bytearray | memoryview

SIGNATURES = {
    "jpeg": rb"\xff\xd8\xff",
    "png": rb"\x89PNG\r\n\x1a\n",
    "webp": rb"RIFF....WEBP",
    "tiff": rb"II[*+]\0|MM\0[*+]",
    "heif": rb"....ftyp(?:avi[fs]|he[iv][cmsx]|mi[af]1|msf1)",
    "gif": rb"GIF8[79]a",
    "bmp": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "jxl": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "jp2": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
}
"""A container's module, and the pattern that its files begin with (within 32 bytes)."""
SUFFIXES = {
    "image/jpeg": "jpg jpeg jpe jfif mpo",
    "image/png": "png",
    "image/webp": "webp",
    "image/tiff": "tif tiff",
    "image/avif": "avif heif",
    "image/heic": "heic heif",
    "image/gif": "gif",
    "image/bmp": "bmp dib",
    "image/jxl": "jxl",
    "image/jp2": "jp2 j2k jpx jpf",
}
"""The endings that files of each type have, lower case and without dot."""
IMAGE_SUFFIXES = frozenset(" ".join(SUFFIXES.values()).split())
"""Those that mark a file as an image."""

MAX_PIXELS = 1 << 40
"""More than this is a broken header, not a picture; whole slide scans stay below 2**36."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """What an image file says of itself.

    `width` and `height` are of the stored matrix. Swap the axes for the orientations 5 to 8 to get the size
    as displayed.
    """

    mime: str
    width: int
    height: int
    stated: int = 1
    """The EXIF Orientation tag as it stands; 1 where there is none."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.width * self.height > MAX_PIXELS:
            raise ValueError(f"states a size of {self.width} x {self.height}")

    @property
    def orientation(self) -> int:
        """The EXIF orientation, 1 to 8; 1 where the tag is absent or illegal."""
        return self.stated if 1 <= self.stated <= 8 else 1

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return turned_size(self.width, self.height, self.orientation)


class ShortError(ValueError):
    """The header goes on behind the bytes that were given.

    `need` says how many from the start are the least to go on with. That is more than were given, and may
    not be the last word: a header is a chain of blocks, and only the block that is there names the next.
    """

    def __init__(self, need: int) -> None:
        super().__init__(need)
        self.need = need

    def __str__(self) -> str:
        return f"the header needs the first {self.need} bytes, or more"


class NoRoomError(ValueError):
    """A container cannot take what is to be put into it: which carrier, and why, with numbers of bytes."""

    def __init__(self, carrier: str, reason: str) -> None:
        super().__init__(carrier, reason)
        self.carrier = carrier
        """exif, xmp, extended xmp or text."""

    def __str__(self) -> str:
        return str(self.args[1])


class Carriers(NamedTuple):
    """What an image file holds where labels may be, whoever wrote it."""

    comment: tuple[bytes, str] | None = None
    """The EXIF UserComment with its code of eight bytes, and the block's byte order ("<" or ">")."""
    xmp: bytes | None = None
    extended: bytes | None = None
    """The Extended XMP of a JPEG, put together."""
    texts: tuple[bytes, ...] = ()
    """Comments and text chunks that look like ours."""


class Parts(NamedTuple):
    """What is to be put into an image file; what is None is not."""

    comment: "bytes | Text | None"
    """An EXIF UserComment with its code of eight bytes, or a text for any tag."""
    ours: "Ours | None"
    """What goes into the XMP."""
    text: bytes | None
    """For a comment or a text chunk."""
    extended: bytes | None = None
    """A document for Extended XMP."""


class Container(Protocol):
    """What a container's module offers. `data` is a whole file, or its beginning, in one buffer."""

    MIME: str

    def header(self, data: memoryview) -> Header:
        """Size and orientation.

        Raises ShortError where the header goes on behind `data`, ValueError where it is not to be read.
        """

    def cut(self, data: memoryview) -> str | None:
        """Why the whole file `data` is cut off ("no end-of-image marker"), or None where it is complete."""


class Carrying(Container, Protocol):
    """What the module of a container offers that labels can be put into.

    `data` is a whole file, but for `find`. Functions give edits and ranges and change nothing. ValueError
    where a file is broken.
    """

    DOCUMENT_IN: tuple[str, ...]
    """The carriers that hold the document: of exif, xmp and text."""
    EXTENDED: bool
    """Whether there is Extended XMP for what no carrier takes."""

    def find(self, data: memoryview) -> Carriers:
        """What the file's carriers hold; ShortError where more of the file is needed to know."""

    def block(self, data: memoryview) -> Buffer | None:
        """The EXIF block from its TIFF header on, or None."""

    def edits(self, data: memoryview, parts: Parts) -> "list[Edit]":
        """The edits that put `parts` into a file which holds nothing of ours, merged into what is there.

        Their lengths follow from the lengths in `parts` alone. NoRoomError names the first carrier that
        cannot take its part.
        """

    def removal(self, data: memoryview) -> "list[Edit]":
        """The edits that take out all that is ours, wherever other tools have moved it."""

    def stream(self, data: memoryview) -> Iterable[tuple[int, int]]:
        """The ranges of bytes that are the compressed image data, in their order.

        Any tool that leaves the picture alone leaves them equal; a change of the picture changes them.
        """


def header(data: Buffer) -> Header | None:
    """Kind, size and orientation of an image file by its beginning, or None where no signature matches.

    Raises ShortError where more of the file is needed, ValueError where the header is broken, nothing else.
    """
    module = container(data)
    if module is None:
        return None
    with memoryview(data) as view:
        try:
            return module.header(view)
        except _BROKEN as error:
            raise ValueError(f"a broken {module.MIME} header: {error}") from error


def cut(data: Buffer) -> str | None:
    """Why the whole file `data` is cut off, or None where it goes to its end.

    A file too broken to be walked to its end, or of no known kind, has a reason too.
    """
    module = container(data)
    if module is None:
        return "no signature of an image file"
    with memoryview(data) as view:
        try:
            return module.cut(view)
        except ShortError as error:
            return f"the file ends at byte {len(view)}, but goes on to byte {error.need} or further"
        except (ValueError, *_BROKEN) as error:
            return f"a broken {module.MIME} file: {error}"


def image_of(key: str, header: Header | None) -> Image:
    """An image with the size and orientation that its file states, or with its key alone."""
    if header is None:
        return Image(key=key)
    width, height = header.displayed
    return Image(key=key, width=width, height=height, orientation=header.orientation)


def container(data: Buffer) -> Container | None:
    """The module for a file that begins with `data` (at least 32 bytes, if it has them), by its signature."""
    found = _SIGNATURE.match(data)
    return _module(found.lastgroup) if found else None


def carrying(data: Buffer) -> Carrying | None:
    """The same, where labels can be put into it."""
    found = container(data)
    return cast(Carrying, found) if hasattr(found, "edits") else None


def unpack(form: struct.Struct, data: memoryview, at: int) -> tuple[Any, ...]:
    """The values of `form` at byte `at`; ShortError where they go on behind `data`. For the containers."""
    if at + form.size > len(data):
        raise ShortError(at + form.size)
    return form.unpack_from(data, at)


_BROKEN = (LookupError, ArithmeticError, struct.error, RecursionError, MemoryError)
"""What a parser may run into on mangled bytes, beside the ValueError that it raises itself."""

_SIGNATURE = re.compile(b"|".join(b"(?P<%b>%b)" % (k.encode(), v) for k, v in SIGNATURES.items()), re.DOTALL)


@cache
def _module(name: str) -> Container:
    return cast(Container, import_module(f"xlabel.images.{name}"))
