"""What the answers of S3 mean, and what it means that there is none: errors of ours, with what to do.

Rules: the error responses of the Amazon S3 API reference, and what other servers say in their place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xlabel.errors import ConflictError, MissingError, StoreError
from xlabel.model.head import DAMAGED
from xlabel.stores import foreign

_LACKING = {"NotImplemented", "MethodNotAllowed", "501", "405"}
_GONE = {"NoSuchKey", "NoSuchBucket", "NoSuchUpload", "404", "NotFound"}
_REFUSED = {"PreconditionFailed", "412"}
_BUSY = {"ConditionalRequestConflict", "409", "OperationAborted"}
_ADVICE = {
    "NoSuchBucket": "make the bucket, or correct the URL or the endpoint",
    "NoSuchUpload": "it was completed or aborted; begin again",
    "NoSuchKey": "it was deleted, or never there",
    "InvalidAccessKeyId": "is it the right account? AWS_ACCESS_KEY_ID, AWS_PROFILE and the endpoint decide",
    "SignatureDoesNotMatch": "the secret key is not that of the access key; set AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "log in again",
    "RequestTimeTooSkewed": "set this machine's clock",
    "BadDigest": f"try again; if that is refused too, what is stored there is damaged: {DAMAGED}",
    "InvalidPart": "a part is not the one that was written; list the parts, and upload it again",
    "EntityTooSmall": "each part but the last must have 5 MiB",
    "SlowDown": "the server is too busy; try again later, with fewer connections",
    "ServiceUnavailable": "the server is not available; try again later",
    "503": "the server is not available; try again later",
}
_TLS = {
    "WRONG_VERSION_NUMBER": "the server speaks no TLS there; is AWS_ENDPOINT_URL one with http://?",
    "CERTIFICATE_VERIFY_FAILED": "where its certificate is of an authority of your own, set AWS_CA_BUNDLE",
}
"""By what the error of an encrypted connection has in its text."""
_FORBIDDEN = "the account may not do this; ask for the right to it (a missing object may be told so, too)"


class RefusedError(StoreError):
    """The server answered, and it was a no."""


class BusyError(ConflictError):
    """Two writers at one moment: to be tried again."""


class UnsureError(ConflictError):
    """A condition did not hold at another try: the answer to the first was lost, and may have been a yes."""


class LackingError(StoreError):
    """The server does not know this kind of request."""


class BeyondError(StoreError):
    """The range begins behind the end."""


@contextmanager
def told(where: str, asked: str, attempts: int) -> Iterator[None]:
    """Errors of botocore as ours: `where` is the URL of an object, `attempts` is how often it has asked."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _answered(where, asked, error) from None
    except BotoCoreError as error:
        raise failed(where, asked, attempts, error) from None


def failed(where: str, asked: str, attempts: int, error: Exception) -> StoreError:
    """What it means that there was no answer."""
    from botocore.exceptions import (
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
        SSLError,
    )

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        advice = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif isinstance(error, SSLError) and (known := [_TLS[code] for code in _TLS if code in str(error)]):
        advice = known[0]
    elif isinstance(error, ConnectionError | HTTPClientError):
        advice = f"tried {attempts} times; is the network there, and AWS_ENDPOINT_URL right?"
    else:
        advice = "see ~/.aws/config and the variables AWS_*"
    return foreign.failed(where, asked, error, advice)


def _answered(where: str, asked: str, error: Any) -> StoreError:
    """What an answer of the server means."""
    said = error.response.get("Error", {})
    meta = error.response.get("ResponseMetadata", {})
    code, status = str(said.get("Code", "")), str(meta.get("HTTPStatusCode", ""))
    if code in ("416", "InvalidRange"):
        return BeyondError()
    if code == "NoSuchBucket":
        where = "/".join(where.split("/")[:3])
    if code in _ADVICE:
        advice = _ADVICE[code]
    elif status in ("401", "403"):
        advice = _FORBIDDEN
    elif status in _ADVICE:
        advice = _ADVICE[status]
    else:
        advice = "see the server's own log for more"
    kind: type[StoreError] = RefusedError
    if code in _REFUSED or status == "412":
        kind = UnsureError if meta.get("RetryAttempts") else ConflictError
        advice = "somebody else was faster; read it and try again"
    elif code in _BUSY:
        kind, advice = BusyError, "somebody else writes it at this moment; try again"
    elif code in _GONE or status == "404":
        kind = MissingError
    elif code in _LACKING or status in _LACKING:
        kind, advice = LackingError, "this server cannot do it"
    return foreign.refused(kind, where, asked, said.get("Message") or code, code, advice)
