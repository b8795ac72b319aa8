"""Google Cloud Storage: `gs://BUCKET/PREFIX`.

Credentials are Google's application default ones: `gcloud auth application-default login`, a service account
in GOOGLE_APPLICATION_CREDENTIALS, or the machine's own.

Parts are objects of their own, below `.xlabel-store/`, and the object is composed of them: no bytes are
moved, and a condition holds, which Google's own multipart uploads do not offer. At most 32 objects are
composed at a time, so many parts are composed in a tree. Google copies objects, but no ranges of them. Rules:
the JSON API's Objects: compose, and request preconditions.
"""

import base64
import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from xlabel.errors import ConflictError, InputError, MissingError, StoreError, extra
from xlabel.images import Buffer
from xlabel.stores.parallel import Threads
from xlabel.stores.transport import Part, Stat, Upload

HIDDEN = ".xlabel-store/"
"""Beginning of the names of what is unfinished, below the prefix."""
COMPOSED = 32
"""Objects that one call composes."""
TIMEOUT = 60
"""Seconds for one request."""


def connect(url: str) -> "Bucket":
    """The bucket and prefix of a `gs://` URL."""
    split = urlsplit(url)
    if split.scheme != "gs" or not split.netloc or split.query or split.fragment or "@" in split.netloc:
        raise InputError("expected gs://BUCKET/PREFIX; credentials are those of gcloud")
    with extra("gcs", "gs:// URLs"):
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client
    try:
        client = Client()
    except (GoogleAuthError, OSError) as error:
        said = str(error).split("\n")[0].rstrip(".")
        raise StoreError(f"{url}: {said}; try gcloud auth application-default login") from None
    return Bucket(client, split.netloc, unquote(split.path).strip("/"))


class Bucket:
    """A bucket, and the beginning of the names in it."""

    conditional = True
    copies_ranges = False
    keeps_crc64nvme = False
    part_min = 1
    part_max = 5 << 40
    parts_max = 10_000

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.url = f"gs://{bucket}/{prefix}" if prefix else f"gs://{bucket}"
        self._client = client
        self._bucket = client.bucket(bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        self._threads = Threads()

    def head(self, name: str) -> Stat | None:
        found = self._found(name)
        return None if found is None else _stat(found)

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        return self._threads.read(lambda offset, size: self._get(name, offset, size, if_match), ranges)

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        return self._put(name, bytes(data), if_match, absent)

    def create(self, name: str) -> str:
        upload = f"{int(time.time()):08x}{uuid.uuid4().hex[:8]}"
        self._put(f"{self._upload(name, upload)}begun", b"", None, False)
        return upload

    def uploads(self, name: str) -> list[Upload]:
        start = f"{HIDDEN}{_flat(name)}@"
        begun = [found.removesuffix("/begun") for found in self._listed(start) if found.endswith("/begun")]
        ids = sorted(found.removeprefix(start) for found in begun)
        return [Upload(name=name, id=upload, begun=int(upload[:8], 16)) for upload in ids]

    def parts(self, name: str, upload: str) -> list[Part]:
        there = self._listed(self._upload(name, upload))
        if f"{self._upload(name, upload)}begun" not in there:
            raise self._gone(name, upload)
        found = {int(path[-5:]): blob for path, blob in there.items() if path[-5:].isdigit()}
        return [_part(number, _stat(blob)) for number, blob in sorted(found.items())]

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        return _part(number, self._put(f"{self._upload(name, upload)}{number:05}", bytes(data), None, False))

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        raise StoreError(f"{self._where(source)}: Google copies no ranges; upload them")

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
        sources = [(f"{folder}{part.number:05}", part.tag) for part in parts]
        level = 0
        while len(sources) > COMPOSED:
            level += 1
            groups = [sources[at : at + COMPOSED] for at in range(0, len(sources), COMPOSED)]
            sources = [
                (made, self._compose(made, group, None, False, upload).tag)
                for made, group in ((f"{folder}{level}-{at:05}w", group) for at, group in enumerate(groups))
            ]
        done = self._compose(name, sources, if_match, absent, upload)
        self._clear(folder)
        return done

    def abort(self, name: str, upload: str) -> None:
        self._clear(self._upload(name, upload))

    def delete(self, name: str) -> None:
        from google.api_core.exceptions import NotFound

        with self._told(name, "delete"):
            try:
                self._blob(name).delete(timeout=TIMEOUT)
            except NotFound:
                return

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._listed(prefix) if not name.startswith(HIDDEN))

    def close(self) -> None:
        self._threads.close()
        self._client.close()

    def _blob(self, name: str) -> Any:
        return self._bucket.blob(self._prefix + name)

    def _where(self, name: str) -> str:
        return f"gs://{self._bucket.name}/{self._prefix}{name}"

    def _upload(self, name: str, upload: str) -> str:
        return f"{HIDDEN}{_flat(name)}@{upload}/"

    def _gone(self, name: str, upload: str) -> MissingError:
        return MissingError(f"{self._where(name)}: its upload {upload} is not there any more; begin again")

    def _found(self, name: str) -> Any:
        with self._told(name, "get"):
            found = self._bucket.get_blob(self._prefix + name, timeout=TIMEOUT)
        if found is None:
            with self._told("", "list"):  # which tells a bucket that is not there
                list(self._client.list_blobs(self._bucket, prefix=self._prefix, max_results=1))
        return found

    def _listed(self, prefix: str) -> dict[str, Any]:
        with self._told(prefix, "list"):
            found = list(self._client.list_blobs(self._bucket, prefix=self._prefix + prefix, timeout=TIMEOUT))
        return {str(blob.name)[len(self._prefix) :]: blob for blob in found}

    def _get(self, name: str, offset: int, size: int, if_match: str | None) -> bytes:
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        if not size:
            return b""
        generation = {} if if_match is None else {"if_generation_match": int(if_match)}
        with self._told(name, "read"):
            try:
                return bytes(
                    self._blob(name).download_as_bytes(
                        start=offset,
                        end=offset + size - 1,
                        raw_download=True,
                        checksum=None,
                        timeout=TIMEOUT,
                        **generation,
                    )
                )
            except RequestRangeNotSatisfiable:
                return b""

    def _put(self, name: str, data: bytes, if_match: str | None, absent: bool) -> Stat:
        write = uuid.uuid4().hex
        blob = self._blob(name)
        blob.metadata = {"xlabel": write}
        with self._written(name, "upload", write):
            blob.upload_from_string(
                data,
                content_type="application/octet-stream",
                timeout=TIMEOUT,
                checksum="md5",
                **_condition(if_match, absent),
            )
        return self._made(name, blob)

    def _compose(
        self, name: str, sources: list[tuple[str, str]], if_match: str | None, absent: bool, write: str
    ) -> Stat:
        from google.cloud.storage.retry import DEFAULT_RETRY

        blob = self._blob(name)
        blob.metadata = {"xlabel": write}
        blob.content_type = "application/octet-stream"
        with self._written(name, "compose", write):
            blob.compose(
                [self._blob(source) for source, _ in sources],
                if_source_generation_match=[int(tag) for _, tag in sources],
                timeout=TIMEOUT,
                retry=DEFAULT_RETRY,  # a second answer that the first has spoilt is known by the metadata
                **_condition(if_match, absent),
            )
        return self._made(name, blob)

    def _made(self, name: str, blob: Any) -> Stat:
        if blob.generation is not None and blob.size is not None:
            return _stat(blob)
        there = self.head(name)
        if there is None:
            raise MissingError(f"{self._where(name)}: was written, and is gone; somebody else deletes here")
        return there

    def _clear(self, folder: str) -> None:
        """Take what is below away; the sign that the upload is there goes last."""
        for name in sorted(self._listed(folder), key=lambda name: name.endswith("/begun")):
            self.delete(name)

    @contextmanager
    def _written(self, name: str, asked: str, write: str) -> Iterator[None]:
        """As `_told`, but for a condition that failed since our own write was done and its answer lost."""
        try:
            with self._told(name, asked):
                yield
        except ConflictError:
            there = self._found(name)
            if there is None or (there.metadata or {}).get("xlabel") != write:
                raise

    @contextmanager
    def _told(self, name: str, asked: str) -> Iterator[None]:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        try:
            yield
        except GoogleAPICallError as error:
            raise self._answered(name, asked, error) from None
        except (RetryError, RequestException) as error:
            said = str(error).split("\n")[0].rstrip(".")
            raise StoreError(f"{self._where(name)}: {asked} failed: {said}; is the network there?") from None
        except GoogleAuthError as error:
            said = str(error).split("\n")[0].rstrip(".")
            advice = "try gcloud auth application-default login"
            raise StoreError(f"{self._where(name)}: {asked} failed: {said}; {advice}") from None

    def _answered(self, name: str, asked: str, error: Any) -> StoreError:
        status = int(error.code or 0)
        kind: type[StoreError] = StoreError
        if status == 412:
            kind, advice = ConflictError, "somebody else was faster; read it and try again"
        elif status == 404:
            kind, advice = MissingError, "it was deleted or never there; is the bucket the right one?"
        elif status in (401, 403):
            advice = "the account may not do this; ask for the role Storage Object User"
        else:
            advice = "the server is too busy, or failed; try again later"
        said = str(error.message).split("\n")[0].rstrip(".")
        return kind(f"{self._where(name)}: {asked} was refused: {said} ({status}); {advice}")


def _stat(blob: Any) -> Stat:
    md5 = base64.b64decode(blob.md5_hash) if blob.md5_hash else None
    return Stat(size=int(blob.size), tag=str(blob.generation), md5=md5)


def _part(number: int, there: Stat) -> Part:
    return Part(number=number, size=there.size, tag=there.tag, md5=there.md5)


def _flat(name: str) -> str:
    """One name for an object's, which may have slashes in it."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _condition(if_match: str | None, absent: bool) -> dict[str, int]:
    if absent:
        return {"if_generation_match": 0}
    return {} if if_match is None else {"if_generation_match": int(if_match)}
