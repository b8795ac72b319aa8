"""Folders as a store: `file://` URLs and paths.

Parts are files of their own in `.xlabel-store/` below the folder, and become the object by one rename. A
copied range is only noted down, and copied by the system when the upload is completed: a file system with
reflinks shares the blocks. Conditions are checked under a lock that each writer takes.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from xlabel.errors import ConflictError, InputError, MissingError, StoreError
from xlabel.images import Buffer
from xlabel.stores.transport import Part, Stat, Upload

HIDDEN = ".xlabel-store"
"""The folder of what is unfinished; gone when nothing is."""
NOTE = ".range"
"""Ending of a file that is no part, but says which range of which object is."""
BLOCK = 1 << 20


def connect(url: str) -> "Folder":
    """The folder at a path or `file://` URL; it is made when something is written."""
    if not url.startswith("file://"):
        return Folder(Path(url), url)
    split = urlsplit(url)
    if split.netloc not in ("", "localhost"):
        raise InputError(f"{url}: expected file:///path of this machine, got one of {split.netloc}")
    return Folder(Path(unquote(split.path)), url)


class _Range(msgspec.Struct, frozen=True):
    source: str
    offset: int
    size: int
    tag: str


class Folder:
    """A folder, whose files are the objects."""

    conditional = True
    copies_ranges = True
    part_min = 1
    part_max = 1 << 40
    parts_max = 1_000_000

    def __init__(self, root: Path, url: str) -> None:
        self.url = url
        self._root = root

    def head(self, name: str) -> Stat | None:
        with self._told(name, "read"):
            try:
                found = self._path(name).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return _stat(found) if stat.S_ISREG(found.st_mode) else None

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        with self._told(name, "read"), self._path(name).open("rb", buffering=0) as file:
            self._check(name, _stat(os.fstat(file.fileno())), if_match)
            return [_read(file.fileno(), offset, size) for offset, size in ranges]

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        with self._told(name, "write"), self._locked():
            self._check(name, self.head(name), if_match, absent)
            draft = self._hidden / uuid.uuid4().hex
            try:
                _write(draft, data)
                return self._publish(draft, name)
            finally:
                draft.unlink(missing_ok=True)

    def create(self, name: str) -> str:
        upload = uuid.uuid4().hex
        with self._told(name, "write"), self._locked():
            folder = self._upload(name, upload)
            folder.mkdir()
        return upload

    def uploads(self, name: str) -> list[Upload]:
        with self._told(name, "read"):
            found = self._hidden.glob(f"{_flat(name)}@*")
            dated = [(folder.stat().st_ctime, folder.name.rpartition("@")[2]) for folder in found]
        return [Upload(name=name, id=upload, begun=begun) for begun, upload in sorted(dated)]

    def parts(self, name: str, upload: str) -> list[Part]:
        with self._told(name, "read"):
            files = sorted(self._there(name, upload).glob("[0-9]*"))
            return [self._listed(file) for file in files]

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        with self._told(name, "write"):
            folder = self._there(name, upload)
            draft = folder / f".{uuid.uuid4().hex}"
            _write(draft, data)
            final = folder / f"{number:07}"
            draft.replace(final)
            final.with_suffix(NOTE).unlink(missing_ok=True)
            return Part(number=number, size=len(data), tag=_stat(final.stat()).tag)

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        with self._told(source, "read"):
            there = _stat(self._path(source).stat())
        self._check(source, there, if_match)
        if offset + size > there.size:
            raise StoreError(
                f"{self._where(source)}: expected a range of its {there.size} bytes, got {offset}+{size}"
            )
        with self._told(name, "write"):
            folder = self._there(name, upload)
            note = folder / f"{number:07}{NOTE}"
            _write(note, msgspec.json.encode(_Range(source, offset, size, if_match)))
            (folder / f"{number:07}").unlink(missing_ok=True)
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
        with self._told(name, "write"), self._locked():
            folder = self._there(name, upload)
            files = [self._of(folder, part) for part in parts]
            self._check(name, self.head(name), if_match, absent)
            for file in files:
                if isinstance(file, _Range):
                    self._check(file.source, self.head(file.source), file.tag)
            done = self._appended(name, files) or self._publish(self._assembled(folder, files), name)
            shutil.rmtree(folder, ignore_errors=True)
            return done

    def abort(self, name: str, upload: str) -> None:
        with self._told(name, "write"):
            if self._upload(name, upload).exists():
                with self._locked():
                    shutil.rmtree(self._upload(name, upload), ignore_errors=True)

    def delete(self, name: str) -> None:
        with self._told(name, "write"), suppress(FileNotFoundError):
            self._path(name).unlink()

    def names(self, prefix: str = "") -> list[str]:
        found: list[str] = []
        if not self._root.exists():
            return found
        with self._told("", "read"):
            for top, folders, files in os.walk(self._root, onerror=_raise):
                below = Path(top).relative_to(self._root)
                folders[:] = [folder for folder in folders if folder != HIDDEN]
                found += [(below / file).as_posix() for file in files]
        return sorted(name for name in found if name.startswith(prefix))

    def close(self) -> None:
        pass

    @property
    def _hidden(self) -> Path:
        return self._root / HIDDEN

    def _where(self, name: str) -> str:
        return str(self._root / name)

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if "\0" in name or any(part in ("", ".", "..", HIDDEN) for part in parts):
            raise InputError(f"{name!r}: expected the name of an object below {self._root}")
        return self._root / name

    def _upload(self, name: str, upload: str) -> Path:
        self._path(name)
        if not upload.isalnum():
            raise InputError(f"{upload!r}: expected the id of an upload of {self._where(name)}")
        return self._hidden / f"{_flat(name)}@{upload}"

    def _there(self, name: str, upload: str) -> Path:
        folder = self._upload(name, upload)
        if not folder.is_dir():
            raise MissingError(f"{self._where(name)}: its upload {upload} is not there any more; begin again")
        return folder

    def _listed(self, file: Path) -> Part:
        number = int(file.name[:7])
        if file.suffix == NOTE:
            note = msgspec.json.decode(file.read_bytes(), type=_Range)
            return Part(number=number, size=note.size, tag=note.tag)
        with file.open("rb") as opened:
            found = _stat(os.fstat(opened.fileno()))
            # Read again: a power cut leaves files of the right size with other bytes.
            md5 = hashlib.file_digest(opened, "md5").digest()
        return Part(number=number, size=found.size, tag=found.tag, md5=md5)

    def _of(self, folder: Path, part: Part) -> Path | _Range:
        """The file of a part, or the range that it notes down, as it was when it was written."""
        file = folder / f"{part.number:07}"
        try:
            if file.exists():
                found: Path | _Range = file
                tag = _stat(file.stat()).tag
            else:
                found = msgspec.json.decode(file.with_suffix(NOTE).read_bytes(), type=_Range)
                tag = found.tag
        except FileNotFoundError:
            tag = ""
        if tag != part.tag:
            raise MissingError(f"{folder}: part {part.number} is not what was written; write it again")
        return found

    def _check(self, name: str, there: Stat | None, if_match: str | None, absent: bool = False) -> None:
        if absent and there is not None:
            raise ConflictError(f"{self._where(name)}: expected no such file, and there is one by now")
        if if_match is not None and (there is None or there.tag != if_match):
            found = "is gone" if there is None else "was changed"
            raise ConflictError(f"{self._where(name)}: {found} by somebody else; read it and try again")

    def _appended(self, name: str, files: list[Path | _Range]) -> Stat | None:
        """Put what is behind the whole of an object at its end, in place; None where it is no such upload."""
        first, *rest = files
        path = self._path(name)
        if not isinstance(first, _Range) or first.source != name or any(isinstance(f, _Range) for f in rest):
            return None
        if (first.offset, first.size) != (0, path.stat().st_size):
            return None
        with path.open("r+b", buffering=0) as target:
            target.seek(0, os.SEEK_END)
            try:
                for file in rest:
                    self._copy(file, target.fileno())
                os.fsync(target.fileno())
            except OSError:
                target.truncate(first.size)
                raise
            return _stat(os.fstat(target.fileno()))

    def _assembled(self, folder: Path, files: list[Path | _Range]) -> Path:
        if len(files) == 1 and isinstance(files[0], Path):
            return files[0]
        draft = folder / ".whole"
        with draft.open("wb", buffering=0) as target:
            for file in files:
                self._copy(file, target.fileno())
            os.fsync(target.fileno())
        return draft

    def _copy(self, file: Path | _Range, target: int) -> None:
        path = file if isinstance(file, Path) else self._path(file.source)
        with path.open("rb", buffering=0) as source:
            offset = 0 if isinstance(file, Path) else file.offset
            size = os.fstat(source.fileno()).st_size if isinstance(file, Path) else file.size
            _copy(source.fileno(), offset, size, target)

    def _publish(self, draft: Path, name: str) -> Stat:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            # A coarse clock and an inode that is used again would give the same tag.
            before, now = path.stat().st_mtime_ns, draft.stat()
            os.utime(draft, ns=(now.st_atime_ns, max(now.st_mtime_ns, before + 1)))
        draft.replace(path)
        parent = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
        return _stat(path.stat())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock; takes the hidden folder away after it, where nothing is left in it."""
        while True:
            self._root.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self._hidden.mkdir()
            try:
                fd = os.open(self._hidden / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                continue  # another writer has just taken the folder away
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _same(fd, self._hidden / "lock"):
                break
            os.close(fd)
        try:
            yield
        finally:
            with suppress(OSError):
                if os.listdir(self._hidden) == ["lock"]:
                    (self._hidden / "lock").unlink()
                    self._hidden.rmdir()
            os.close(fd)

    @contextmanager
    def _told(self, name: str, doing: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise MissingError(f"{self._where(name)}: {error.strerror}") from None
        except OSError as error:
            raise StoreError(f"{self._where(name)}: cannot {doing}: {error.strerror}") from None


def _stat(found: os.stat_result) -> Stat:
    return Stat(size=found.st_size, tag=f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}")


def _flat(name: str) -> str:
    """One name of a file for an object's, which may have folders in it."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:32]


def _same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _raise(error: OSError) -> None:
    raise error


def _read(fd: int, offset: int, size: int) -> bytes:
    got = os.pread(fd, min(size, os.fstat(fd).st_size), offset)
    while len(got) < size and (more := os.pread(fd, size - len(got), offset + len(got))):
        got += more
    return got


def _write(path: Path, data: Buffer) -> None:
    """Write a new file, and wait until it is on the disk."""
    with path.open("xb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def _copy(source: int, offset: int, size: int, target: int) -> None:
    """Copy a range to where `target` stands; by the system where it can, which shares blocks where it may."""
    while size:
        try:
            done = os.copy_file_range(source, target, size, offset)
        except OSError:
            done = os.write(target, os.pread(source, min(size, BLOCK), offset))
        if not done:
            raise OSError(errno.EIO, f"what is copied ends {size} bytes early")
        offset, size = offset + done, size - done
