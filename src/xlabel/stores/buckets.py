"""URLs of a bucket and the beginning of the names in it: `SCHEME://BUCKET/PREFIX`."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from xlabel.errors import InputError


class Place(NamedTuple):
    """Where a store is."""

    url: str
    bucket: str
    prefix: str
    """Of all names; empty, or with a slash at its end."""


def place(url: str, expected: str, advice: str) -> Place:
    """Where a URL points to; InputError, which shows no secret, where it has more or less than `expected`."""
    split = urlsplit(url)
    if not split.netloc or "@" in split.netloc or split.query or split.fragment:
        shown = f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"
        raise InputError(f"{shown}: expected {expected} without credentials, ? and #; {advice}")
    prefix = unquote(split.path).strip("/")
    return Place(
        f"{split.scheme}://{split.netloc}" + (f"/{prefix}" if prefix else ""),
        split.netloc,
        f"{prefix}/" if prefix else "",
    )
