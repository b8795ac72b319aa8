"""Folders of this machine: which files they hold, and their bytes."""

from __future__ import annotations

import os
import stat
import time
from array import array
from collections.abc import Callable, Iterator
from errno import ENAMETOOLONG
from pathlib import Path
from typing import TypeVar

import msgspec

from xlabel import images
from xlabel.errors import InputError
from xlabel.images import Buffer
from xlabel.model import Problem
from xlabel.model.report import counted
from xlabel.stores.paths import Paths, is_utf8, key_of, matcher
from xlabel.stores.rewrite import look

T = TypeVar("T")

TEXT_SUFFIXES = frozenset(
    (
        "txt xml json jsonl yaml yml csv tsv md rst log py sh ini cfg toml html htm pdf "
        "zip tar gz mp4 db parquet npy npz pt xlabel xlabel-tmp"
    ).split()
)
"""Endings of files that are not opened to see whether they are images."""

LABEL_SUFFIXES = (b".txt", b".json", b".xml", b".csv", b".tsv", b".parquet")


class Images(msgspec.Struct, kw_only=True):
    """The images below a folder, in key order, with what else was met on the way."""

    root: str
    keys: Paths
    others: int
    """Files that are no images."""
    texts: int = 0
    """Those of them that end as label files do."""
    problems: list[Problem]


class Scan(Images, kw_only=True):
    """The images that are not empty, with their sizes."""

    sizes: array[int]
    """Bytes of each image."""
    times: array[int]
    """When each was changed last, in nanoseconds."""
    inodes: array[int]
    looked: int
    """When the folder was looked at, by the clock, in nanoseconds."""
    empty: list[bytes]
    """Names of image files of 0 bytes, as the file system has them; they are not among `keys`."""


def find_images(root: str | os.PathLike[str], pattern: str | None = None) -> Images:
    """Find the images below a folder; symbolic links are followed, loops are refused.

    An image is known by its ending, or by its first bytes where the ending says nothing. `pattern` (a glob
    over the key, or over the name where it has no slash) narrows them. Keys are sorted by their UTF-8 bytes.
    Raises InputError where the folder is missing.
    """
    folder = os.fsencode(root)
    problems: list[Problem] = []
    wanted = matcher(pattern) if pattern else None
    others = texts = 0

    def pictures() -> Iterator[bytes]:
        nonlocal others, texts
        for name in _walk(folder, problems):
            if not _is_image(folder, name):
                others += 1
                texts += name[-8:].lower().endswith(LABEL_SUFFIXES)
            elif wanted is None or wanted(name):
                yield name

    keys = Paths(pictures())
    return Images(root=os.fspath(root), keys=keys, others=others, texts=texts, problems=problems)


def scan(root: str | os.PathLike[str], pattern: str | None = None) -> Scan:
    """The same with the size of each image; files of 0 bytes are set apart, and each is a problem."""
    looked = time.time_ns()
    found = find_images(root, pattern)
    folder = os.fsencode(root)
    keys, problems = found.keys, found.problems
    sizes, times, inodes = array("Q"), array("q"), array("Q")
    gone: set[bytes] = set()
    empty: list[bytes] = []
    previous = b""
    for name in keys.names():
        there, problem = _size(folder, name, previous)
        previous = name
        if problem is None:
            assert there is not None
            sizes.append(there.st_size)
            times.append(there.st_mtime_ns)
            inodes.append(there.st_ino)
            continue
        problems.append(problem)
        gone.add(name)
        if problem.code == "empty-file":
            empty.append(name)
    if gone:
        keys = Paths(name for name in keys.names() if name not in gone)
    return Scan(
        root=found.root,
        keys=keys,
        sizes=sizes,
        times=times,
        inodes=inodes,
        looked=looked,
        empty=empty,
        others=found.others,
        texts=found.texts,
        problems=problems,
    )


def no_images(images: Scan, pattern: str | None) -> str:
    """What to say where a folder holds no image."""
    matched = f" that fit {pattern!r}" if pattern else ""
    met = f", only {counted(images.others, 'other files')}" if images.others else ""
    met += f" and {counted(len(images.empty), 'files')} of 0 bytes" if images.empty else ""
    return f"{images.root}: expected images{matched}, found none{met}"


class Folder:
    """A tree of label files: all that are no images below a folder, or a single file."""

    def __init__(self, path: str | os.PathLike[str], only: Callable[[str], bool] | None = None) -> None:
        """`only` leaves out paths for which it is false. Raises InputError where there is nothing."""
        place = Path(path)
        self._only = only
        self._files: Paths | None = None
        self._pictures: Paths | None = None
        if place.is_file():
            self.root = str(place.parent)
            self._files = Paths([os.fsencode(place.name)])
        elif place.is_dir():
            self.root = str(place)
        else:
            raise InputError(f"{path}: expected a folder or a file of labels, found nothing there")
        self._place = os.fsencode(self.root.rstrip("/")) + b"/"
        self.problems: list[Problem] = []
        """What could not be looked into, once `files` have been asked for."""
        self._alone = place.name if self._files is not None else None

    @property
    def files(self) -> Paths:
        if self._files is None:
            root = os.fsencode(self.root)
            only = self._only
            self._files = Paths(
                name
                for name in _walk(root, self.problems)
                if not _has_image_suffix(name) and (only is None or only(key_of(name)))
            )
        return self._files

    @property
    def pictures(self) -> Paths:
        if self._pictures is None:
            root = os.fsencode(self.root)
            if self._alone is not None:
                self._pictures = Paths(name for name in [os.fsencode(self._alone)] if _is_image(root, name))
            else:
                self._pictures = Paths(name for name in _walk(root, self.problems) if _is_image(root, name))
        return self._pictures

    def look(self, path: str, read: Callable[[images.Buffer], T]) -> T:
        try:
            return look(self._place + path.encode(), read)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError as error:
            raise InputError(f"{self.root}/{path}: cannot be read: {error.strerror}") from None

    def read(self, path: str) -> bytes:
        if self._alone is not None and path != self._alone:
            raise FileNotFoundError(path)
        try:
            fd = os.open(self._place + path.encode(), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                data = os.read(fd, 16384)
                if len(data) < 16384:
                    return data
                with open(fd, "rb", closefd=False) as file:
                    return data + file.read()
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError as error:
            if error.errno == ENAMETOOLONG:  # so there is none
                raise FileNotFoundError(path) from None
            raise InputError(
                f"{self.root}/{path}: cannot be read: {error.strerror}; make it readable, or take it away"
            ) from None


def write_at(fd: int, data: Buffer, offset: int) -> None:
    """Write all of the bytes at an offset of a file; OSError where there is no room, or only for some."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def read_header(path: bytes) -> tuple[images.Header | None, str | None]:
    """The header of an image file, reading as little of it as it takes, and why there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    try:
        need = 4096
        while True:
            data = os.pread(fd, need, 0)
            try:
                found = images.header(data)
                return found, None if found else "no image format that xlabel knows"
            except images.ShortError as short:
                if len(data) < need or short.need <= need:
                    return None, "cut off within its header"
                need = max(short.need, need * 4)
            except ValueError as error:
                return None, str(error)
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    finally:
        os.close(fd)


def _walk(folder: bytes, problems: list[Problem]) -> Iterator[bytes]:
    """Paths of all regular files below a folder, in no order.

    Links to folders come last, in the order of their names; each folder is followed into once by a link, so
    that links to links cannot make a tree without end out of a small one.
    """
    try:
        top = os.stat(folder)
        if not stat.S_ISDIR(top.st_mode):
            raise InputError(f"{os.fsdecode(folder)}: expected a folder, found a file")
    except FileNotFoundError:
        raise InputError(
            f"{os.fsdecode(folder)}: expected a folder, found nothing there; check the path"
        ) from None
    except OSError as error:
        raise InputError(f"{os.fsdecode(folder)}: expected a folder: {error.strerror}") from None
    todo: list[_Place] = [(b"", (*_above(folder), (top.st_dev, top.st_ino)))]
    followed: set[tuple[int, int]] = set()
    while todo:
        links: list[_Place] = []
        while todo:
            yield from _entries(folder, todo.pop(), todo, links, problems)
        for name, above in sorted(links):
            identity = above[-1]
            if identity in above[:-1]:
                problems.append(_bad_link(folder, name, "link-loop", "a folder above itself"))
            elif identity in followed:
                problems.append(_bad_link(folder, name, "link-twice", "where another link leads already"))
            else:
                followed.add(identity)
                todo.append((name + b"/", above))


def _above(folder: bytes) -> Iterator[tuple[int, int]]:
    """What identifies the folders above a root: a link to one of them would lead back to it."""
    path = os.path.realpath(folder)
    while (parent := os.path.dirname(path)) != path:
        path = parent
        try:
            info = os.stat(path)
        except OSError:
            return
        yield info.st_dev, info.st_ino


_Place = tuple[bytes, tuple[tuple[int, int], ...]]
"""A folder below the root, and what identifies it and those above it."""


def _entries(
    folder: bytes, place: _Place, todo: list[_Place], links: list[_Place], problems: list[Problem]
) -> Iterator[bytes]:
    """The files of one folder; folders in it are added to `todo`, links to folders to `links`."""
    below, above = place
    try:
        entries = os.scandir(folder + b"/" + below)
    except OSError as error:
        if not below:
            raise InputError(f"{key_of(folder)}: cannot be read: {error.strerror}") from None
        problems.append(_unreadable(folder, below, error.strerror))
        return
    with entries:
        for entry in entries:
            name = below + entry.name
            link = entry.is_symlink()
            try:
                if entry.is_dir():
                    info = os.stat(entry.path)
                    chain = (*above, (info.st_dev, info.st_ino))
                    if link:
                        links.append((name, chain))
                    else:
                        todo.append((name + b"/", chain))
                elif entry.is_file():
                    yield name
                elif link:
                    problems.append(_unreadable(folder, name, "the link leads to no file"))
            except OSError as error:
                problems.append(_unreadable(folder, name, error.strerror))


def _size(folder: bytes, name: bytes, previous: bytes) -> tuple[os.stat_result | None, Problem | None]:
    """Size and time of an image file, or why it is no frame."""
    try:
        there = os.stat(folder + b"/" + name)
    except OSError as error:
        return None, _unreadable(folder, name, error.strerror)
    if not there.st_size:
        code, message = "empty-file", "expected an image, got 0 bytes; fetch it again"
    elif not name.isascii() and not is_utf8(name) and key_of(name) == key_of(previous):
        code, message = "name-clash", "another file has this name in UTF-8; not packed, rename one of the two"
    else:
        return there, None
    return None, Problem(f"{key_of(folder)}/{key_of(name)}", code, message)


def _unreadable(folder: bytes, name: bytes, why: str | None) -> Problem:
    return Problem(key_of(folder) + "/" + key_of(name), "unreadable", f"cannot be read: {why}")


def _bad_link(folder: bytes, name: bytes, code: str, where: str) -> Problem:
    return Problem(f"{key_of(folder)}/{key_of(name)}", code, f"a link to {where} is not followed; remove it")


def _has_image_suffix(name: bytes) -> bool:
    dot = name.rfind(b".")
    return dot >= 0 and name[dot + 1 :].lower().decode("latin-1") in images.IMAGE_SUFFIXES


def _is_image(folder: bytes, name: bytes) -> bool:
    base = name.rpartition(b"/")[2]
    dot = base.rfind(b".")
    suffix = base[dot + 1 :].lower().decode("latin-1") if dot >= 0 else ""
    if suffix in images.IMAGE_SUFFIXES:
        return True
    if suffix in TEXT_SUFFIXES:
        return False
    try:
        fd = os.open(folder + b"/" + name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return images.container(os.read(fd, 32)) is not None
    except OSError:
        return False
    finally:
        os.close(fd)
