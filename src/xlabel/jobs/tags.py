"""Text in the EXIF tags of an image file, read and written without decoding the picture."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from xlabel import images
from xlabel.errors import CorruptError, InputError
from xlabel.images import NoRoomError, Parts, exif, splice
from xlabel.images.tags import NAMES, USER_COMMENT, Text
from xlabel.jobs.putting import beneath
from xlabel.stores import rewrite

Path = str | os.PathLike[str]


def read_exif_tag(path: Path, tag: str = "UserComment") -> str | None:
    """The text in an EXIF tag of an image file; None where the file has no such tag, or a blank one.

    `tag` is a name as ExifTool has it: UserComment, ImageDescription, Artist, Copyright, Software, Make,
    Model, XPComment and others. Raises InputError where that is no text tag or there is no image,
    CorruptError where the file or its EXIF is broken.

    >>> xlabel.read_exif_tag("images/a.jpg", "Artist")
    'Ada'
    """
    number = _number(tag)
    with _opened(path) as (data, _), memoryview(data) as view:
        container = _container(path, data)
        try:
            block = container.block(view)
            return None if block is None else exif.read(memoryview(block), number)
        except (ValueError, LookupError) as error:
            raise CorruptError(f"{os.fspath(path)}: its EXIF cannot be read: {error}") from None


def write_exif_tag(path: Path, text: str, tag: str = "UserComment") -> None:
    """Write a text into an EXIF tag of an image file, beside all else that the file holds.

    The file is replaced as a whole, or stays as it was; an equal text writes nothing. Text that is not ASCII
    goes into UserComment as UTF-16, elsewhere as UTF-8, as ExifTool reads it. Labels that the file holds
    stay, and `strip` takes out only them. Raises InputError where the tag is none for text, the file is no
    image that has EXIF or has no room, and where UserComment holds labels: take another tag, or take the
    labels out first.

    >>> xlabel.write_exif_tag("images/a.jpg", "Ada", "Artist")
    """
    number = _number(tag)
    where = os.fspath(path)
    if not text or "\0" in text:
        found = "a NUL in it" if text else "none"
        raise InputError(f"{where}: expected a text for {tag}, got {found}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: expected a text for {tag}, got half of a surrogate pair in it") from None
    with _opened(path) as (data, seen), memoryview(data) as view:
        container = _container(path, data)
        if "exif" not in container.DOCUMENT_IN:
            raise InputError(f"{where}: {container.MIME} has no EXIF; convert the picture to another format")
        try:
            if number == USER_COMMENT and exif.ours(container.find(view).comment) is not None:
                raise InputError(
                    f"{where}: its UserComment holds labels; choose another tag, such as ImageDescription, "
                    "or take the labels out with xlabel.strip first"
                )
            block = container.block(view)
            if block is not None and exif.read(memoryview(block), number) == text:
                return
            parts = Parts(Text(number, text), None, None)
            pieces = beneath(data, lambda data: splice.apply(data, container.edits(memoryview(data), parts)))
        except NoRoomError as error:
            raise InputError(f"{where}: no room for {len(text):,} characters in {tag}: {error}") from None
        except (ValueError, LookupError) as error:
            raise CorruptError(f"{where}: cannot be changed: {error}; is it whole?") from None
        try:
            rewrite.replace(seen, pieces)
        except OSError as error:
            raise InputError(f"{where}: cannot be written: {error.strerror}; it is as it was") from None


def _number(tag: str) -> int:
    if tag not in NAMES:
        raise InputError(f"expected a tag that holds text, out of {', '.join(sorted(NAMES))}, got {tag!r}")
    return NAMES[tag]


def _container(path: Path, data: images.Buffer) -> images.Carrying:
    container = images.carrying(data)
    if container is None:
        found = images.container(data)
        what = f"{found.MIME}, which has no EXIF" if found else "no image that xlabel knows"
        raise InputError(f"{os.fspath(path)}: expected an image with EXIF, found {what}")
    return container


@contextmanager
def _opened(path: Path) -> Iterator[tuple[images.Buffer, rewrite.Seen]]:
    """The file, whose errors of the system are told as InputError."""
    try:
        with rewrite.opened(os.fsencode(path)) as opened:
            yield opened
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
