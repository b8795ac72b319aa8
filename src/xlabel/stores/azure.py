"""Azure Blob Storage: `az://CONTAINER/PREFIX`.

The account is AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, with
AZURE_STORAGE_SAS_TOKEN, or with what azure-identity finds: these are the variables of the `az` command.

An object is a block blob, and its parts are blocks. A block that the object has already is not sent or
copied again but named in the list of blocks, so that an object grows by what is new. Azure knows no uploads,
and keeps nothing of a block but its id and size; so the id says what it is (`_Block`). Rules: the REST API's
Put Block, Put Block List and Get Block List.
"""

import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from xlabel.errors import ConflictError, MissingError, StoreError, extra
from xlabel.images import Buffer
from xlabel.stores import buckets, foreign, uploads, writes
from xlabel.stores.transport import Part, Stat, Upload, where

ATTEMPTS = 6
"""Of each request, with waiting times that double."""
EDGE = 8 << 20
"""Bytes that are read at once of a range, or the end of one, that is no whole blocks."""
BEGUN, COPIED, ABORTED = "0", "c", "x"
BEFORE, WHOLE, BEHIND = "b", "d", "e"
"""What a block is, in the order in which those of one part stand; see `_Block`."""

_ADVICE = {
    "ContainerNotFound": "make the container, or correct the URL or the account",
    "AuthenticationFailed": "see AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, and this machine's clock",
    "AuthorizationFailure": "see AZURE_STORAGE_KEY; is there a rule of the network against this machine?",
    "InvalidBlockList": "another write of this name has thrown its parts away; begin again",
}


def connect(url: str) -> "Container":
    """The container and prefix of an `az://` URL."""
    place = buckets.place(url, "az://CONTAINER/PREFIX", "the account is AZURE_STORAGE_ACCOUNT")
    with extra("azure", "az:// URLs"):
        import azure.storage.blob  # noqa: F401
    return Container(_client(url, place.bucket), place)


def _client(url: str, container: str) -> Any:
    from azure.storage.blob import ContainerClient

    options: dict[str, Any] = {
        "retry_total": ATTEMPTS,
        "initial_backoff": 1,
        "increment_base": 2,
        "connection_timeout": 10,
        "read_timeout": 60,
        "max_single_put_size": 64 << 20,
        "max_single_get_size": 64 << 20,
    }
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    try:
        if text:
            return ContainerClient.from_connection_string(text, container, **options)
        account = os.environ.get("AZURE_STORAGE_ACCOUNT")
        if not account:
            raise StoreError(
                f"{url}: no account; set AZURE_STORAGE_ACCOUNT, or AZURE_STORAGE_CONNECTION_STRING"
            )
        credential: Any = os.environ.get("AZURE_STORAGE_KEY") or os.environ.get("AZURE_STORAGE_SAS_TOKEN")
        if not credential:
            with extra("azure", "accounts of Azure without AZURE_STORAGE_KEY"):
                from azure.identity import DefaultAzureCredential
            credential = DefaultAzureCredential()
        place = f"https://{account}.blob.core.windows.net"
        return ContainerClient(place, container, credential=credential, **options)
    except ValueError as error:
        raise StoreError(f"{url}: {error}; see AZURE_STORAGE_CONNECTION_STRING") from None


class _Block(msgspec.Struct, frozen=True, order=True):
    """A block by its id, 64 letters: which upload, which part, what it is, and more about it.

    `BEGUN`: the upload is there. `WHOLE`: all of the part; `more` is its MD5. `COPIED`: the part has the
    committed blocks of a range; `more` is offset, size and a hash of the tag. `BEFORE`, `BEHIND`: what is in
    no whole block at the ends of a copied range, `more` counts. `ABORTED`: the upload is no more.
    """

    upload: str
    number: int
    what: str
    more: str = ""
    size: int = 0

    @property
    def id(self) -> str:
        return f"{self.upload}{self.number:05}{self.what}{self.more:0<42}"


def _block(name: str, size: int) -> _Block | None:
    """The block of an id; None where another tool has made it."""
    if len(name) != 64 or not name[16:21].isdigit():
        return None
    return _Block(name[:16], int(name[16:21]), name[21], name[22:], size)


class Container:
    """A container, and the beginning of the names in it."""

    conditional = True
    copies_ranges = True
    keeps_crc64nvme = False
    probed = 0
    part_min = 1
    part_max = 4000 << 20
    parts_max = 50_000

    def __init__(self, client: Any, place: buckets.Place) -> None:
        self.url, self._container, self._prefix = place
        self._client = client

    def head(self, name: str) -> Stat | None:
        found = self._properties(name)
        return None if found is None else _stat(found)

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        return [self._get(name, offset, size, if_match) for offset, size in ranges]

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        from azure.storage.blob import ContentSettings

        body = bytes(data)
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        write = uuid.uuid4().hex
        done: dict[str, Any] = {}
        with writes.unless_done(write, lambda: self._noted(name)), self._told(name, "Put Blob"):
            done = self._blob(name).upload_blob(
                body,
                length=len(body),
                overwrite=True,
                metadata={"xlabel": write},
                content_settings=ContentSettings(content_md5=bytearray(md5)),
                **_condition(if_match, absent),
            )
        return self._made(name, Stat(size=len(body), tag=str(done.get("etag", "")), md5=md5))

    def create(self, name: str) -> str:
        upload = uploads.new()
        self._stage(name, _Block(upload, 0, BEGUN), b".")
        return upload

    def uploads(self, name: str) -> list[Upload]:
        blocks = self._uncommitted(name)
        over = {block.upload for block in blocks if block.what == ABORTED}
        found = {block.upload for block in blocks if block.what == BEGUN} - over
        return uploads.listed(name, found)

    def unfinished(self, prefix: str = "") -> list[Upload]:
        with self._told(prefix, "List Blobs"):
            found = self._client.list_blobs(
                name_starts_with=self._prefix + prefix, include=["uncommittedblobs"]
            )
            names = sorted({str(blob.name)[len(self._prefix) :] for blob in found})
        # Whether an object that is there has blocks waiting besides, no listing says.
        return sorted((one for name in names for one in self.uploads(name)), key=lambda one: one.id)

    def parts(self, name: str, upload: str) -> list[Part]:
        blocks = [block for block in self._uncommitted(name) if block.upload == upload]
        kinds = {block.what for block in blocks}
        if BEGUN not in kinds or ABORTED in kinds:
            raise uploads.gone(where(self, name), upload)
        found: dict[int, list[_Block]] = {}
        for block in sorted(blocks):
            found.setdefault(block.number, []).append(block)
        del found[0]
        return [_part([b for b in pieces if b.what == WHOLE][:1] or pieces) for pieces in found.values()]

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        body = bytes(data)
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        block = _Block(upload, number, WHOLE, md5, len(body))
        self._stage(name, block, body)
        return _part([block])

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        writes.check(where(self, source), self.head(source), if_match=if_match)
        start = stop = offset  # of the whole blocks in the range
        if source == name:
            ends = [0]
            for block in self._committed(name):
                ends.append(ends[-1] + block.size)
            within = [end for end in ends if offset <= end <= offset + size]
            start, stop = (within[0], within[-1]) if within else (offset, offset)
        pieces: list[_Block] = []
        if offset < start:
            edge = (source, offset, start, if_match)
            pieces += self._sent(name, _Block(upload, number, BEFORE), edge)
        if start < stop:
            more = f"{start:015}{stop - start:015}{_short(if_match)}"
            pieces.append(_Block(upload, number, COPIED, more))
            self._stage(name, pieces[-1], b".")
        if stop < offset + size:
            edge = (source, stop, offset + size, if_match)
            pieces += self._sent(name, _Block(upload, number, BEHIND), edge)
        return _part(pieces)

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
        from azure.storage.blob import BlobBlock, BlockState

        committed: list[tuple[int, int, str]] | None = None
        blocks: list[Any] = []
        for part in parts:
            for id in part.tag.split(","):
                block = _block(id, part.size)
                if block is None or block.what != COPIED:
                    blocks.append(BlobBlock(id, BlockState.UNCOMMITTED))
                    continue
                if committed is None:
                    committed, if_match = self._copyable(name, block, if_match)
                start, size = int(block.more[:15]), int(block.more[15:30])
                blocks += [
                    BlobBlock(known, BlockState.COMMITTED)
                    for begin, end, known in committed
                    if start <= begin and end <= start + size
                ]
        done: dict[str, Any] = {}
        with writes.unless_done(upload, lambda: self._noted(name)), self._told(name, "Put Block List"):
            done = self._blob(name).commit_block_list(
                blocks, metadata={"xlabel": upload}, **_condition(if_match, absent)
            )
        size = sum(part.size for part in parts)
        return self._made(name, Stat(size=size, tag=str(done.get("etag", ""))))

    def abort(self, name: str, upload: str) -> None:
        # Azure has no way to throw blocks away but a write of the same name, which throws away those of other
        # writers too. It does so itself a week later, or when the name is written.
        if any(block.upload == upload for block in self._uncommitted(name)):
            self._stage(name, _Block(upload, 0, ABORTED), b".")

    def delete(self, name: str) -> None:
        with self._told(name, "Delete Blob"):
            try:
                self._blob(name).delete_blob()
            except _foreign() as error:
                if getattr(error, "error_code", None) != "BlobNotFound":
                    raise

    def modified(self, name: str) -> float | None:
        found = self._properties(name)
        return None if found is None else float(found.last_modified.timestamp())

    def names(self, prefix: str = "") -> list[str]:
        with self._told(prefix, "List Blobs"):
            found = [
                str(blob.name) for blob in self._client.list_blobs(name_starts_with=self._prefix + prefix)
            ]
        return sorted(name[len(self._prefix) :] for name in found)

    def close(self) -> None:
        self._client.close()

    def _blob(self, name: str) -> Any:
        return self._client.get_blob_client(self._prefix + name)

    def _properties(self, name: str) -> Any:
        from azure.core.exceptions import ResourceNotFoundError

        with self._told(name, "Get Blob Properties"):
            try:
                return self._blob(name).get_blob_properties()
            except ResourceNotFoundError:
                pass
        with self._told("", "Get Container Properties"):
            if not self._client.exists():
                advice = _ADVICE["ContainerNotFound"]
                raise MissingError(f"az://{self._container}: there is no such container; {advice}")
        return None

    def _made(self, name: str, made: Stat) -> Stat:
        """What was written; where its answer was lost, which leaves no tag, what is there."""
        return made if made.tag else writes.made(where(self, name), self.head(name))

    def _get(self, name: str, offset: int, size: int, if_match: str | None) -> bytes:
        if not size:
            return b""
        with self._told(name, "Get Blob"):
            try:
                answer = self._blob(name).download_blob(offset, size, **_condition(if_match, False))
                return bytes(answer.readall())
            except _foreign() as error:
                if getattr(error, "status_code", None) == 416:
                    return b""
                raise

    def _stage(self, name: str, block: _Block, body: bytes) -> None:
        with self._told(name, "Put Block"):
            self._blob(name).stage_block(block.id, body, length=len(body))

    def _sent(self, name: str, block: _Block, edge: tuple[str, int, int, str]) -> list[_Block]:
        """Blocks of what is in no whole block: its bytes come here and go back, piece by piece."""
        source, start, stop, tag = edge
        made: list[_Block] = []
        for count, offset in enumerate(range(start, stop, EDGE)):
            body = self._get(source, offset, min(EDGE, stop - offset), tag)
            made.append(replace(block, more=f"{count:05}", size=len(body)))
            self._stage(name, made[-1], body)
        return made

    def _uncommitted(self, name: str) -> list[_Block]:
        blocks = (_block(block.id, block.size) for block in self._blocks(name, "uncommitted"))
        return [block for block in blocks if block is not None]

    def _committed(self, name: str) -> list[Any]:
        return self._blocks(name, "committed")

    def _blocks(self, name: str, which: str) -> list[Any]:
        with self._told(name, "Get Block List"):
            try:
                committed, uncommitted = self._blob(name).get_block_list(which)
            except _foreign() as error:
                if getattr(error, "error_code", None) != "BlobNotFound":
                    raise
                return []
        return list(committed if which == "committed" else uncommitted)

    def _copyable(
        self, name: str, block: _Block, if_match: str | None
    ) -> tuple[list[tuple[int, int, str]], str]:
        """(begin, end, id) of the blocks that are there, and the tag by which they are those of the copy."""
        there = self.head(name)
        writes.check(where(self, name), there, if_match=if_match)
        if there is None or _short(there.tag) != block.more[30:]:
            raise writes.changed(where(self, name), there)
        found, end = [], 0
        for known in self._committed(name):
            found.append((end, end + known.size, known.id))
            end += known.size
        return found, there.tag

    def _noted(self, name: str) -> str | None:
        """What the write of an object has noted down with it."""
        there = self._properties(name)
        return None if there is None else there.metadata.get("xlabel")

    @contextmanager
    def _told(self, name: str, asked: str) -> Iterator[None]:
        try:
            yield
        except _foreign() as error:
            raise self._meaning(name, asked, error) from None

    def _meaning(self, name: str, asked: str, error: Any) -> StoreError:
        status = getattr(error, "status_code", None)
        known = getattr(error, "error_code", None)
        code = str(getattr(known, "value", known) or status or type(error).__name__)
        message = getattr(error, "reason", None) or error.message
        place = where(self, name) if code != "ContainerNotFound" else f"az://{self._container}"
        if status is None:
            return foreign.failed(place, asked, message, "is the network there, and the account right?")
        kind: type[StoreError] = StoreError
        advice = _ADVICE.get(code, "see the message")
        if status == 412 or code in ("BlobAlreadyExists", "UnmodifiedSince"):
            kind, advice = ConflictError, "somebody else was faster; read it and try again"
        elif status == 404 or code == "InvalidBlockList":
            kind, advice = MissingError, _ADVICE.get(code, "it was deleted, or never there")
        elif status == 403 and code not in _ADVICE:
            advice = "the account may not do this; ask for the role Storage Blob Data Contributor"
        elif status in (429, 500, 503):
            advice = "the server is too busy; try again later"
        return foreign.refused(kind, place, asked, message, code, advice)


def _foreign() -> type[Exception]:
    from azure.core.exceptions import AzureError

    return AzureError


def _stat(found: Any) -> Stat:
    md5 = found.content_settings.content_md5
    return Stat(size=found.size, tag=str(found.etag), md5=bytes(md5) if md5 else None)


def _short(tag: str) -> str:
    return hashlib.sha256(tag.encode()).hexdigest()[:12]


def _part(blocks: list[_Block]) -> Part:
    size = sum(int(b.more[15:30]) if b.what == COPIED else b.size for b in blocks)
    md5 = bytes.fromhex(blocks[0].more[:32]) if blocks[0].what == WHOLE else None
    return Part(number=blocks[0].number, size=size, tag=",".join(b.id for b in blocks), md5=md5)


def _condition(if_match: str | None, absent: bool) -> dict[str, Any]:
    from azure.core import MatchConditions

    if absent:
        return {"match_condition": MatchConditions.IfMissing}
    if if_match is not None:
        return {"etag": if_match, "match_condition": MatchConditions.IfNotModified}
    return {}
