"""CRC-64/NVME, the checksum that S3 keeps of a whole object and lets its clients combine from ranges.

By the AWS Common Runtime, which reads 8 GB in a second on one core.
"""

from base64 import b64decode, b64encode

from xlabel.errors import extra
from xlabel.images import Buffer


def checksum(data: Buffer, before: int = 0) -> int:
    """The CRC of the bytes, or of those that had `before` and these behind them."""
    with extra("s3", "checksums of S3"):
        from awscrt.checksums import crc64nvme
    return int(crc64nvme(data, before))


def combined(first: int, second: int, size: int) -> int:
    """The CRC of two pieces of bytes one after the other, from theirs and the size of the second."""
    with extra("s3", "checksums of S3"):
        from awscrt.checksums import combine_crc64nvme
    return int(combine_crc64nvme(first, second, size))


def text(value: int) -> str:
    """As S3 writes it: base64 of 8 bytes, the highest first."""
    return b64encode(value.to_bytes(8, "big")).decode()


def value(text: str) -> int:
    """The number that S3 writes so."""
    return int.from_bytes(b64decode(text, validate=True), "big")
