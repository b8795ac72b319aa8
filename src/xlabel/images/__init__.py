"""Image files by their bytes: what kind, how large, which way up, whole or cut off. No pixel is decoded.

One file a container, each with the functions of `Container`. Adding one is a new module and a row in
`SIGNATURES`.
"""

import re
import struct
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import msgspec

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

MAX_PIXELS = 1 << 40
"""More than this is a broken header, not a picture; whole slide scans stay below 2**36."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """What an image file says of itself.

    `width` and `height` are of the stored matrix; `orientation` is the EXIF tag, 1 to 8, and 1 where the
    tag is absent or illegal. Swap the axes for 5 to 8 to get the size as displayed.
    """

    mime: str
    width: int
    height: int
    orientation: int = 1

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.width * self.height > MAX_PIXELS:
            raise ValueError(f"states a size of {self.width} x {self.height}")

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


class ShortError(ValueError):
    """The header goes on behind the bytes that were given.

    `need` says how many from the start are the least to go on with. That is more than were given, and may
    not be the last word: a header is a chain of blocks, and only the block that is there names the next.
    """

    def __init__(self, need: int) -> None:
        super().__init__(f"the header needs the first {need} bytes, or more")
        self.need = need


class Container(Protocol):
    """What a container's module offers. `data` is a whole file, or its beginning, in one buffer."""

    MIME: str

    def header(self, data: memoryview) -> Header:
        """Size and orientation.

        Raises ShortError where the header goes on behind `data`, ValueError where it is not to be read.
        """

    def cut(self, data: memoryview) -> str | None:
        """Why the whole file `data` is cut off ("no end-of-image marker"), or None where it is complete."""


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


def container(data: Buffer) -> Container | None:
    """The module for a file that begins with `data` (at least 32 bytes, if it has them), by its signature."""
    name = _name(data)
    return _module(name) if name else None


def unpack(form: struct.Struct, data: memoryview, at: int) -> tuple[Any, ...]:
    """The values of `form` at byte `at`; ShortError where they go on behind `data`. For the containers."""
    if at + form.size > len(data):
        raise ShortError(at + form.size)
    return form.unpack_from(data, at)


_BROKEN = (LookupError, ArithmeticError, struct.error, RecursionError, MemoryError)
"""What a parser may run into on mangled bytes, beside the ValueError that it raises itself."""

_SIGNATURE = re.compile(b"|".join(b"(?P<%b>%b)" % (k.encode(), v) for k, v in SIGNATURES.items()), re.DOTALL)


def _name(data: Buffer) -> str | None:
    found = _SIGNATURE.match(data)
    return found.lastgroup if found else None


@cache
def _module(name: str) -> Container:
    return cast(Container, import_module(f"xlabel.images.{name}"))
