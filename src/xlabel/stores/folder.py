"""A folder as a store, here or on another machine: how parts become an object by what every file system has.

Parts are files of their own in `.xlabel-store/` below the folder. A copied range is only noted down, and
copied when the upload is completed, where the files are. What is whole is made the object by one rename.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import msgspec

from xlabel.errors import InputError, MissingError, StoreError
from xlabel.images import Buffer
from xlabel.stores import uploads, writes
from xlabel.stores.transport import Part, Stat, Upload, where
from xlabel.stores.uploads import HIDDEN

NOTE = ".range"
"""Ending of a file that is no part, but says which range of which object is."""


class Range(msgspec.Struct, frozen=True):
    """Bytes of a file below the root."""

    path: str
    offset: int
    size: int
    tag: str


class Files(Protocol):
    """What a file system does. Paths are below the root; what is missing is a MissingError."""

    def stat(self, path: str) -> Stat | None:
        """None where there is no such file; a folder is none."""

    def modified(self, path: str) -> float | None:
        """When a file, or what is in a folder, was changed last, by the clock there; None where it is not."""

    def get(self, path: str, ranges: Sequence[tuple[int, int]], check: Callable[[Stat], None]) -> list[bytes]:
        """Ranges of one file, which `check` has seen."""

    @property
    def md5(self) -> Callable[[str], bytes] | None:
        """Of the bytes at a path, read again; None where they would travel: a part's name then has it."""

    def write(self, path: str, data: Buffer) -> None:
        """Write a file whole, and wait until it is on the disk."""

    def join(self, path: str, ranges: Sequence[Range]) -> None:
        """Write a file of ranges of others, and wait until it is on the disk."""

    def rename(self, old: str, new: str) -> None:
        """Let a file be another, which may be there already; makes the folders above."""

    def remove(self, path: str) -> None:
        """Take a file away; nothing where it is not there."""

    def make(self, folder: str) -> None:
        """Make a folder, and those above it; nothing where it is there."""

    def clear(self, folder: str) -> None:
        """Take a folder away with the files in it."""

    def entries(self, folder: str) -> dict[str, Stat | None]:
        """The names in a folder, none where it is not there; a folder has None."""

    def walk(self) -> Iterator[str]:
        """The paths of all files but the hidden ones."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep other writers out where that can be; at the end, an empty hidden folder goes."""

    def close(self) -> None: ...


class Folder:
    """A folder, whose files are the objects."""

    copies_ranges = True
    keeps_crc64nvme = False
    probed = 0
    part_min = 1
    part_max = 1 << 40
    parts_max = 1_000_000

    def __init__(self, url: str, files: Files, conditional: bool) -> None:
        self.url = url
        self.conditional = conditional
        self._files = files

    def head(self, name: str) -> Stat | None:
        return self._files.stat(self._path(name))

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        return self._files.get(
            self._path(name),
            ranges,
            lambda there: writes.check(where(self, name), there, if_match=if_match),
        )

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        draft = f"{HIDDEN}/{uuid.uuid4().hex}"
        with self._files.locked():
            self._conditions(name, if_match, absent)
            self._files.make(HIDDEN)
            with self._drafted(draft):
                self._files.write(draft, data)
                self._files.rename(draft, self._path(name))
            return writes.made(where(self, name), self.head(name))

    def create(self, name: str) -> str:
        upload = uploads.new()
        with self._files.locked():
            self._files.make(self._upload(name, upload))
        return upload

    def uploads(self, name: str) -> list[Upload]:
        return [upload for upload in self.unfinished(name) if upload.name == name]

    def unfinished(self, prefix: str = "") -> list[Upload]:
        found = []
        for entry in self._files.entries(HIDDEN):
            place = f"{HIDDEN}/{entry}"
            if (known := uploads.placed(place)) is None or not known[0].startswith(prefix):
                continue
            if (begun := self._files.modified(place)) is not None:  # or it has just been ended
                found.append(Upload(name=known[0], id=known[1], begun=begun))
        return sorted(found, key=lambda upload: upload.id)

    def parts(self, name: str, upload: str) -> list[Part]:
        folder = self._upload(name, upload)
        if upload not in [unfinished.id for unfinished in self.uploads(name)]:
            raise uploads.gone(where(self, name), upload)
        found = sorted((name, there) for name, there in self._files.entries(folder).items() if there)
        listed = [self._listed(folder, name, there) for name, there in found if name[:1] != "."]
        return list({part.number: part for part in listed if part}.values())

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        folder = self._upload(name, upload)
        md5 = None if self._files.md5 else hashlib.md5(data, usedforsecurity=False).digest()
        final = self._file(folder, number, md5)
        with self._of(name, upload):
            self._renamed(folder, data, final)
        self._files.remove(f"{folder}/{number:07}{NOTE}")
        there = self._files.stat(final)
        if there is None:
            raise uploads.gone(where(self, name), upload)
        return Part(number=number, size=there.size, tag=there.tag, md5=md5)

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        there = self.head(source)
        writes.check(where(self, source), there, if_match=if_match)
        if there is not None and offset + size > there.size:
            what = f"a range of its {there.size} bytes, got {size} from {offset} on"
            raise StoreError(f"{where(self, source)}: expected {what}")
        folder = self._upload(name, upload)
        final = f"{folder}/{number:07}"
        note = msgspec.json.encode(Range(self._path(source), offset, size, if_match))
        with self._of(name, upload):
            self._renamed(folder, note, final + NOTE)
        self._files.remove(final)
        return Part(number=number, size=size, tag=if_match)

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
        folder = self._upload(name, upload)
        with self._files.locked():
            ranges = [self._range(folder, part) for part in parts]
            self._conditions(name, if_match, absent)
            for piece in ranges:
                if not piece.path.startswith(folder):
                    there = self._files.stat(piece.path)
                    writes.check(where(self, piece.path), there, if_match=piece.tag)
            if len(ranges) == 1 and ranges[0].path.startswith(folder):
                self._files.rename(ranges[0].path, self._path(name))
            else:
                with self._drafted(whole := f"{folder}/.whole"):
                    self._files.join(whole, ranges)
                    self._files.rename(whole, self._path(name))
            self._files.clear(folder)
            return writes.made(where(self, name), self.head(name))

    def abort(self, name: str, upload: str) -> None:
        if upload in [unfinished.id for unfinished in self.uploads(name)]:
            with self._files.locked():
                self._files.clear(self._upload(name, upload))

    def delete(self, name: str) -> None:
        self._files.remove(self._path(name))

    def modified(self, name: str) -> float | None:
        return self._files.modified(self._path(name))

    def names(self, prefix: str = "") -> list[str]:
        return sorted(path for path in self._files.walk() if path.startswith(prefix))

    def close(self) -> None:
        self._files.close()

    def _path(self, name: str) -> str:
        if "\0" in name or any(part in ("", ".", "..", HIDDEN) for part in name.split("/")):
            raise InputError(f"{name!r}: expected the name of an object below {self.url}")
        return name

    def _upload(self, name: str, upload: str) -> str:
        self._path(name)
        if not upload.isalnum():
            raise InputError(f"{upload!r}: expected the id of an upload of {where(self, name)}")
        return uploads.place(name, upload)

    @contextmanager
    def _drafted(self, draft: str) -> Iterator[None]:
        """Take a file away that did not become an object, and its room with it."""
        try:
            yield
        except BaseException:
            self._files.remove(draft)
            raise

    def _renamed(self, folder: str, data: Buffer, final: str) -> None:
        """Write a file of an upload, which is there whole or not at all, whoever else writes it too."""
        with self._drafted(draft := f"{folder}/.{uuid.uuid4().hex}"):
            self._files.write(draft, data)
            self._files.rename(draft, final)

    @contextmanager
    def _of(self, name: str, upload: str) -> Iterator[None]:
        try:
            yield
        except MissingError:
            raise uploads.gone(where(self, name), upload) from None

    def _file(self, folder: str, number: int, md5: bytes | None) -> str:
        """Where the bytes of a part are."""
        return f"{folder}/{number:07}" + (f".{md5.hex()}" if md5 and not self._files.md5 else "")

    def _listed(self, folder: str, name: str, there: Stat) -> Part | None:
        number = int(name[:7])
        if name.endswith(NOTE):
            note = self._note(f"{folder}/{name}")
            return Part(number=number, size=note.size, tag=note.tag) if note else None
        # Read again where nothing travels: a power cut leaves files of the right size with other bytes.
        again = self._files.md5
        md5 = again(f"{folder}/{name}") if again else bytes.fromhex(name[8:])
        return Part(number=number, size=there.size, tag=there.tag, md5=md5)

    def _note(self, path: str) -> Range | None:
        """The range that a note names; None where there is none, or a disk that was full has cut it off."""
        try:
            (data,) = self._files.get(path, [(0, 1 << 16)], lambda there: None)
            return msgspec.json.decode(data, type=Range)
        except (MissingError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _range(self, folder: str, part: Part) -> Range:
        """Where the bytes of a part are, which are those that it was written with."""
        path, note = self._file(folder, part.number, part.md5), f"{folder}/{part.number:07}{NOTE}"
        there = self._files.stat(path)
        if there is not None:
            found = Range(path, 0, there.size, there.tag)
        else:
            found = self._note(note) or Range(path, 0, 0, "")
        if found.tag != part.tag:
            raise MissingError(f"{path}: part {part.number} is not what was written; write it again")
        return found

    def _conditions(self, name: str, if_match: str | None, absent: bool) -> None:
        if self.conditional:
            writes.check(where(self, name), self.head(name), if_match=if_match, absent=absent)
