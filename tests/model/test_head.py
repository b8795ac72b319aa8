"""The head of a pack at a URL: what is in it is not believed before it is looked at."""

from typing import Any

import msgspec
import pytest

from xlabel.errors import CorruptError
from xlabel.model.head import parse

FILE = {"name": "a.json", "size": 3, "sha256": "0" * 64}
HEAD: dict[str, Any] = {
    "generation": 1,
    "seal": "0" * 64,
    "pack_id": "0" * 32,
    "bundle": "media.mp4",
    "kind": "mp4",
    "media": {"size": 9, "index": 5, "segments": [{"name": "media.mp4", "offset": 0, "size": 9}]},
    "annotations": FILE,
    "manifest": FILE,
    "whole": {"generation": 1, "seal": "0" * 64, "annotations": FILE, "manifest": FILE},
}


def test_a_head_is_read() -> None:
    assert parse(msgspec.json.encode(HEAD), "x").bundle == "media.mp4"


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "/etc/evil.mp4"},
        {"bundle": "../evil.mp4"},
        {"bundle": "evil.sh"},
        {"pack_id": "../../evil"},
        {"annotations": FILE | {"name": "../a.json"}},
        {"annotations": FILE | {"name": "/a.json"}},
        {"manifest": FILE | {"size": -1}},
        {"media": HEAD["media"] | {"segments": []}},
        {"media": HEAD["media"] | {"index": 20}},
        {"media": HEAD["media"] | {"size": 1 << 50}},
        {"media": HEAD["media"] | {"segments": [{"name": "m", "offset": 4, "size": 9}]}},
        {"version": 99},
        {"media": None},
    ],
    ids=repr,
)
def test_a_head_that_no_pack_can_have_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptError):
        parse(msgspec.json.encode(HEAD | change), "x")
