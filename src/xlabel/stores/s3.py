"""S3, and stores that speak like it: `s3://BUCKET/PREFIX`.

Credentials, region and endpoint are found as by every AWS tool: environment, `~/.aws`, roles; a server of
your own by AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3. Rules: the Amazon S3 API reference. By the low-level
client alone: the transfer manager over it can neither go on with an upload, nor copy a range, nor set a
condition.
"""

import hashlib
import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from xlabel.errors import MissingError, StoreError, extra
from xlabel.images import Buffer
from xlabel.stores import buckets, crc64
from xlabel.stores.metered import Metered
from xlabel.stores.s3_abilities import Abilities, abilities, forget
from xlabel.stores.s3_answers import (
    BeyondError,
    BusyError,
    LackingError,
    RefusedError,
    UnsureError,
    failed,
    told,
)
from xlabel.stores.s3_range import SignedUrls
from xlabel.stores.transport import Part, Stat, Upload, where
from xlabel.stores.waiting import pause, retried

CONNECTIONS = 32
"""Kept open: as many as a caller has threads that read and write."""
ATTEMPTS = 8
"""Of each request, with waiting times that double up to 20 s."""
TIMEOUT = 60
"""Seconds without a byte after which a connection is given up; a Complete that takes minutes sends spaces."""


def connect(url: str) -> "Bucket":
    """The bucket and prefix of an `s3://` URL."""
    place = buckets.place(url, "s3://BUCKET/PREFIX", "set AWS_PROFILE or AWS_ACCESS_KEY_ID")
    with extra("s3", "s3:// URLs"):
        import awscrt  # noqa: F401
        from boto3.session import Session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    config = Config(
        connect_timeout=10,
        read_timeout=TIMEOUT,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        # In old regions URLs would be signed by version 2, which new buckets refuse.
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # Checksums are stated by us where they are: as a trailer, which is botocore's way, many servers fail.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        client = Session().client("s3", config=config)
    except BotoCoreError as error:  # a profile that is not there
        raise StoreError(f"{url}: {error}; see ~/.aws/config, AWS_PROFILE and AWS_REGION") from None
    except ValueError as error:  # an endpoint that is no URL
        raise StoreError(f"{url}: {error}; see AWS_ENDPOINT_URL") from None
    return Bucket(client, place)


class Bucket:
    """A bucket, and the beginning of the names in it."""

    keeps_crc64nvme = True
    part_min = 5 << 20
    part_max = 5 << 30

    probed = 0

    def __init__(self, client: Any, place: buckets.Place) -> None:
        self.url, self._bucket, self._prefix = place
        self._client = client
        self._bucket_is_there = False
        self._signed_urls = SignedUrls(client)
        self._program = ""
        client.meta.events.register("after-call.s3.HeadObject", self._note_program)

    @property
    def conditional(self) -> bool:
        return self._abilities().conditional

    @property
    def copies_ranges(self) -> bool:
        return self._abilities().copies_ranges

    @property
    def parts_max(self) -> int:
        # OpenStack Swift takes 1,000 where it is not told otherwise, and knows no conditions.
        return 10_000 if self.conditional else 1_000

    def head(self, name: str) -> Stat | None:
        try:
            with self._told(name, "HeadObject"):
                found = self._client.head_object(**self._at(name), ChecksumMode="ENABLED")
        except MissingError:
            self._ask_for_the_bucket()
            return None
        except RefusedError:
            # An answer to HEAD has no text, and so does not say why.
            with suppress(MissingError, BeyondError), self._told(name, "GetObject"):
                self._client.get_object(**self._at(name), Range="bytes=0-0")
            raise
        return _stat(found, found["ContentLength"])

    def get_ranges(
        self, name: str, ranges: Sequence[tuple[int, int]], if_match: str | None = None
    ) -> list[bytes]:
        return [self._get(name, offset, size, if_match) for offset, size in ranges]

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, absent: bool = False) -> Stat:
        body = bytes(data)
        crc = crc64.text(crc64.checksum(body))
        md5 = hashlib.md5(body, usedforsecurity=False).digest()

        def send() -> Stat:
            with self._told(name, "PutObject"):
                done = self._client.put_object(
                    **self._at(name), Body=body, ChecksumCRC64NVME=crc, **_condition(if_match, absent)
                )
            return _stat(done, len(body))

        try:
            return retried(send, ATTEMPTS, _is_busy)
        except UnsureError:
            there = self.head(name)
            if there is None or (there.crc64nvme != crc and there.md5 != md5):
                raise
            return there

    def create(self, name: str) -> str:
        with self._told(name, "CreateMultipartUpload"):
            made = self._client.create_multipart_upload(
                **self._at(name), ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
            )
        return str(made["UploadId"])

    def uploads(self, name: str) -> list[Upload]:
        return [upload for upload in self.unfinished(name) if upload.name == name]

    def unfinished(self, prefix: str = "") -> list[Upload]:
        start = self._prefix + prefix
        with self._told(prefix, "ListMultipartUploads"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=start
            )
            found = [
                Upload(
                    name=upload["Key"][len(self._prefix) :],
                    id=upload["UploadId"],
                    begun=upload["Initiated"].timestamp(),
                )
                for page in pages
                for upload in page.get("Uploads", [])
                if upload["Key"].startswith(start)  # which not every server sees to
            ]
        return sorted(found, key=lambda upload: upload.begun)

    def parts(self, name: str, upload: str) -> list[Part]:
        with self._told(name, "ListParts"):
            pages = self._client.get_paginator("list_parts").paginate(**self._at(name), UploadId=upload)
            return [
                _part(part["PartNumber"], part["Size"], part) for p in pages for part in p.get("Parts", [])
            ]

    def put_part(self, name: str, upload: str, number: int, data: Buffer) -> Part:
        body = bytes(data)
        with self._told(name, "UploadPart"):
            done = self._client.upload_part(
                **self._at(name),
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ChecksumCRC64NVME=crc64.text(crc64.checksum(body)),
            )
        return _part(number, len(body), done)

    def copy_part(
        self, name: str, upload: str, number: int, source: str, offset: int, size: int, if_match: str
    ) -> Part:
        with self._told(source, "UploadPartCopy"):
            done = self._client.upload_part_copy(
                **self._at(name),
                UploadId=upload,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": self._prefix + source},
                CopySourceRange=f"bytes={offset}-{offset + size - 1}",
                CopySourceIfMatch=if_match,
            )
        return _part(number, size, done["CopyPartResult"])

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
        listed = [_listed(part) for part in parts]
        whole = {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": crc64nvme} if crc64nvme else {}

        def send() -> str:
            with self._told(name, "CompleteMultipartUpload"):
                done = self._client.complete_multipart_upload(
                    **self._at(name),
                    UploadId=upload,
                    MultipartUpload={"Parts": listed},
                    **whole,
                    **_condition(if_match, absent),
                )
            return _tag(done)

        try:
            tag = retried(send, ATTEMPTS, _is_busy)
        except (UnsureError, MissingError):
            there = self.head(name)
            if there is None or not _is_of(there, parts, crc64nvme):
                raise
            return there
        there = self.head(name)
        if there is not None and there.tag == tag:
            return there
        # Another writer came after us: what we wrote is not what is there, and must not be taken for it.
        return Stat(size=sum(part.size for part in parts), tag=tag, crc64nvme=crc64nvme)

    def abort(self, name: str, upload: str) -> None:
        with suppress(MissingError), self._told(name, "AbortMultipartUpload"):
            self._client.abort_multipart_upload(**self._at(name), UploadId=upload)

    def delete(self, name: str) -> None:
        with self._told(name, "DeleteObject"):
            self._client.delete_object(**self._at(name))

    def modified(self, name: str) -> float | None:
        try:
            with self._told(name, "HeadObject"):
                return float(self._client.head_object(**self._at(name))["LastModified"].timestamp())
        except MissingError:
            return None

    def names(self, prefix: str = "") -> list[str]:
        with self._told(prefix, "ListObjectsV2"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            return sorted(o["Key"][len(self._prefix) :] for page in pages for o in page.get("Contents", []))

    def close(self) -> None:
        self._client.close()

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    def _ask_for_the_bucket(self) -> None:
        """MissingError where it is not there; whoever may not list it may still have objects in it."""
        if not self._bucket_is_there:
            with self._told("", "ListObjectsV2"):
                try:
                    self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
                except self._client.exceptions.ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                        raise
            self._bucket_is_there = True

    def _get(self, name: str, offset: int, size: int, if_match: str | None) -> bytes:
        """One range. A connection that breaks while the bytes come is tried again, behind those that came."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

        got = io.BytesIO()  # which gives its bytes without another copy of them
        tag = if_match
        for attempt in range(ATTEMPTS):
            if got.tell() >= size:
                break
            span = f"bytes={offset + got.tell()}-{offset + size - 1}"
            try:
                answer = self._answer(name, span, tag)
            except BeyondError:
                break
            if "ContentRange" in answer:
                end = int(answer["ContentRange"].rpartition("/")[2])
            elif offset or (end := int(answer["ContentLength"])) > size:
                raise StoreError(f"{where(self, name)}: asked for a range, and the server sent all of it")
            # Ranges of one call are of one object, also where it is replaced in between.
            tag = answer["ETag"]
            try:
                for piece in answer["Body"].iter_chunks(1 << 20):
                    got.write(piece)
            except (HTTPClientError, IncompleteReadError, ResponseStreamingError) as error:
                if attempt == ATTEMPTS - 1:
                    raise failed(where(self, name), "GetObject", ATTEMPTS, error) from None
                time.sleep(pause(attempt))
            else:
                if offset + got.tell() >= end:
                    break
        return got.getvalue()

    def _answer(self, name: str, span: str, tag: str | None) -> Any:
        """The answer to GetObject of a range, as botocore gives it."""
        with self._told(name, "GetObject"):
            answer = self._signed_urls.get(self._at(name), span, tag)
            if answer is None:
                condition = {"IfMatch": tag} if tag else {}
                answer = self._client.get_object(**self._at(name), Range=span, **condition)
            return answer

    def _abilities(self) -> Abilities:
        if re.search(r"\.amazonaws\.com(\.cn)?$", urlsplit(self._endpoint).netloc):
            return Abilities(conditional=True, copies_ranges=True)
        counting = Metered(self)
        found = abilities(counting, self._server)
        self.probed += counting.requests
        return found

    @property
    def _endpoint(self) -> str:
        return str(self._client.meta.endpoint_url)

    @property
    def _server(self) -> str:
        """What answers: another one, or another version, at the same address may not do the same."""
        return f"{self._endpoint} {self._bucket} {self._program}"

    def _note_program(self, parsed: dict[str, Any], **_: object) -> None:
        headers = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self._program = self._program or headers.get("server", "")

    @contextmanager
    def _told(self, name: str, asked: str) -> Iterator[None]:
        try:
            with told(where(self, name), asked, ATTEMPTS):
                yield
        except LackingError:
            forget(self._server)
            raise


def _stat(answer: dict[str, Any], size: int) -> Stat:
    return Stat(
        size=size,
        tag=_tag(answer),
        crc64nvme=answer.get("ChecksumCRC64NVME") if answer.get("ChecksumType") != "COMPOSITE" else None,
        md5=_md5(answer),
    )


def _part(number: int, size: int, answer: dict[str, Any]) -> Part:
    return Part(
        number=number,
        size=size,
        tag=_tag(answer),
        crc64nvme=answer.get("ChecksumCRC64NVME"),
        md5=_md5(answer),
    )


def _tag(answer: dict[str, Any]) -> str:
    """The ETag, with quotes: some servers quote only some of them."""
    return '"{}"'.format(answer["ETag"].strip('"'))


def _md5(answer: dict[str, Any]) -> bytes | None:
    """The MD5 that an ETag is, but of what was written in parts, or encrypted with a key of KMS."""
    if answer.get("SSECustomerAlgorithm") or "kms" in str(answer.get("ServerSideEncryption")):
        return None
    found = re.fullmatch(r'"?([0-9a-f]{32})"?', str(answer["ETag"]))
    return bytes.fromhex(found[1]) if found else None


def _listed(part: Part) -> dict[str, Any]:
    checksum = {"ChecksumCRC64NVME": part.crc64nvme} if part.crc64nvme else {}
    return {"PartNumber": part.number, "ETag": part.tag, **checksum}


def _is_of(there: Stat, parts: Sequence[Part], crc64nvme: str | None) -> bool:
    """Whether an object is what these parts make."""
    if there.size != sum(part.size for part in parts):
        return False
    if crc64nvme and there.crc64nvme:
        return there.crc64nvme == crc64nvme
    known = [part.md5 for part in parts if part.md5]
    tag = hashlib.md5(b"".join(known), usedforsecurity=False).hexdigest()
    return len(known) == len(parts) and there.tag.strip('"') == f"{tag}-{len(parts)}"


def _condition(if_match: str | None, absent: bool) -> dict[str, str]:
    if absent:
        return {"IfNoneMatch": "*"}
    return {"IfMatch": if_match} if if_match is not None else {}


def _is_busy(error: Exception) -> bool:
    return isinstance(error, BusyError)
