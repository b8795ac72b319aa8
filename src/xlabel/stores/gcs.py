"""Google Cloud Storage: `gs://BUCKET/PREFIX`.

Credentials are Google's application default ones: `gcloud auth application-default login`, a service account
in GOOGLE_APPLICATION_CREDENTIALS, or the machine's own.

Parts are objects of their own, below `.xlabel-store/`, and the object is composed of them: no bytes are
moved, and a condition holds, which Google's own multipart uploads do not offer. At most 32 objects are
composed at a time, so many parts are composed in a tree. Google copies objects, but no ranges of them. Rules:
the JSON API's Objects: compose, and request preconditions.
"""

import base64
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xlabel.errors import ConflictError, MissingError, StoreError, extra
from xlabel.images import Buffer
from xlabel.stores import buckets, foreign, uploads, writes
from xlabel.stores.transport import Part, Stat, Upload, where

COMPOSED = 32
"""Objects that one call composes."""
TIMEOUT = 60
"""Seconds for one request."""
LOGIN = "try gcloud auth application-default login"


def connect(url: str) -> "Bucket":
    """The bucket and prefix of a `gs://` URL."""
    place = buckets.place(url, "gs://BUCKET/PREFIX", "credentials are those of gcloud")
    with extra("gcs", "gs:// URLs"):
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client
    try:
        client = Client()
    except (GoogleAuthError, OSError) as error:
        raise StoreError(f"{url}: {foreign.said(error)}; {LOGIN}") from None
    return Bucket(client, place)


class Bucket:
    """A bucket, and the beginning of the names in it."""

    conditional = True
    copies_ranges = False
    keeps_crc64nvme = False
    probed = 0
    part_min = 1
    part_max = 5 << 40
    parts_max = 10_000

    def __init__(self, client: Any, place: buckets.Place) -> None:
        self.url, bucket, self._prefix = place
        self._client = client
        self._bucket = client.bucket(bucket)

    def head(self, name: str) -> Stat | None:
        found = self._found(name)
        return None if found is None else _stat(found)

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        return [self._get(name, offset, size, if_match) for offset, size in ranges]

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        return self._put(name, bytes(data), if_match, absent)

    def create(self, name: str) -> str:
        upload = uploads.new()
        self._put(f"{_folder(name, upload)}begun", b"", None, False)
        return upload

    def uploads(self, name: str) -> list[Upload]:
        return self._begun(uploads.place(name, ""))

    def unfinished(self, prefix: str = "") -> list[Upload]:
        found = self._begun(f"{uploads.HIDDEN}/")
        return [upload for upload in found if upload.name.startswith(prefix)]

    def parts(self, name: str, upload: str) -> list[Part]:
        there = self._listed(_folder(name, upload))
        if f"{_folder(name, upload)}begun" not in there:
            raise uploads.gone(where(self, name), upload)
        found = {int(path[-5:]): blob for path, blob in there.items() if path[-5:].isdigit()}
        return [_part(number, _stat(blob)) for number, blob in sorted(found.items())]

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        return _part(number, self._put(f"{_folder(name, upload)}{number:05}", bytes(data), None, False))

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        raise StoreError(f"{where(self, source)}: Google copies no ranges; upload them")

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
        folder = _folder(name, upload)
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
        self._clear(_folder(name, upload))

    def delete(self, name: str) -> None:
        from google.api_core.exceptions import NotFound

        with self._told(name, "delete"):
            try:
                self._blob(name).delete(timeout=TIMEOUT)
            except NotFound:
                return

    def modified(self, name: str) -> float | None:
        found = self._found(name)
        return None if found is None else float(found.updated.timestamp())

    def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._listed(prefix) if not name.startswith(f"{uploads.HIDDEN}/"))

    def close(self) -> None:
        self._client.close()

    def _begun(self, start: str) -> list[Upload]:
        found = []
        for path, blob in self._listed(start).items():
            if path.endswith("/begun") and (known := uploads.placed(path.removesuffix("/begun"))):
                found.append(Upload(name=known[0], id=known[1], begun=blob.time_created.timestamp()))
        return sorted(found, key=lambda upload: upload.id)

    def _blob(self, name: str) -> Any:
        return self._bucket.blob(self._prefix + name)

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
        with writes.unless_done(write, lambda: self._noted(name)), self._told(name, "upload"):
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
        with writes.unless_done(write, lambda: self._noted(name)), self._told(name, "compose"):
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
        return writes.made(where(self, name), self.head(name))

    def _clear(self, folder: str) -> None:
        """Take what is below away; the sign that the upload is there goes last."""
        for name in sorted(self._listed(folder), key=lambda name: name.endswith("/begun")):
            self.delete(name)

    def _noted(self, name: str) -> str | None:
        """What the write of an object has noted down with it."""
        there = self._found(name)
        return None if there is None else (there.metadata or {}).get("xlabel")

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
            raise foreign.failed(where(self, name), asked, error, "is the network there?") from None
        except GoogleAuthError as error:
            raise foreign.failed(where(self, name), asked, error, LOGIN) from None

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
        return foreign.refused(kind, where(self, name), asked, error.message, status, advice)


def _stat(blob: Any) -> Stat:
    md5 = base64.b64decode(blob.md5_hash) if blob.md5_hash else None
    return Stat(size=int(blob.size), tag=str(blob.generation), md5=md5)


def _part(number: int, there: Stat) -> Part:
    return Part(number=number, size=there.size, tag=there.tag, md5=there.md5)


def _folder(name: str, upload: str) -> str:
    return f"{uploads.place(name, upload)}/"


def _condition(if_match: str | None, absent: bool) -> dict[str, int]:
    if absent:
        return {"if_generation_match": 0}
    return {} if if_match is None else {"if_generation_match": int(if_match)}
