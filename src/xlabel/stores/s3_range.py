"""Ranges of S3 objects by requests that are signed in their URL.

botocore takes a millisecond of Python around each request of its own, twice what the request takes, and
whoever decodes pictures meanwhile waits for it. Rules: the Amazon S3 API reference, "Authenticating Requests:
Using Query Parameters (AWS Signature Version 4)".
"""

import time
from typing import Any

EXPIRES = 900
"""Seconds for which a URL holds: as much as the clocks of Amazon S3 and its clients may differ."""
USED = 60
"""Seconds after which it is signed anew: long before the credentials that signed it run out."""
KNOWN = (404, 412, 416)
"""Answers that any other request would get, too."""
NEEDED = ("Content-Range", "Content-Length", "ETag")
"""Headers without which an answer is not known to be the range."""


class SignedUrls:
    """URLs of the objects of one client, for as long as its server takes them."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._signed: dict[str, tuple[float, str]] = {}
        # The client's own connections: its proxy, its certificates, its time limits. botocore does not
        # promise these attributes: where a version lacks them, ranges are read by boto3's own way.
        self._send = getattr(getattr(getattr(client, "_endpoint", None), "http_session", None), "send", None)
        self._taken = True

    def get(self, at: dict[str, str], span: str, tag: str | None) -> dict[str, Any] | None:
        """The answer for a range as `client.get_object` gives it; None where that is to be called.

        It tries again, and tells what is wrong. The only errors here are those of credentials.
        """
        from botocore.awsrequest import AWSPreparedRequest
        from botocore.exceptions import HTTPClientError
        from botocore.response import StreamingBody

        if self._send is None or not self._taken:
            return None
        headers = {"Range": span} | ({"If-Match": tag} if tag else {})
        request = AWSPreparedRequest("GET", self._url(at), headers, None, stream_output=True)
        try:
            answer = self._send(request)
        except HTTPClientError:
            return None
        told = answer.headers  # whatever their case
        if answer.status_code != 206 or not all(name in told for name in NEEDED):
            answer.raw.close()
            self._taken = answer.status_code in KNOWN or answer.status_code >= 500
            return None
        body = StreamingBody(answer.raw, told["Content-Length"])
        return {"Body": body, "ContentRange": told["Content-Range"], "ETag": told["ETag"]}

    def _url(self, at: dict[str, str]) -> str:
        now = time.monotonic()
        until, url = self._signed.get(at["Key"], (0.0, ""))
        if until < now:
            url = self._client.generate_presigned_url("get_object", Params=at, ExpiresIn=EXPIRES)
            self._signed[at["Key"]] = now + USED, url
        return url
