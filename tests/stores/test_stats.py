"""Files that are as they were: known by size, time and inode, and never trusted when fresh."""

import os
import time
from pathlib import Path

import pytest

from xlabel.stores import stats
from xlabel.stores.stats import Stats


def test_a_file_is_the_same_until_size_time_or_inode_change(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    os.utime(path, (1e9, 1e9))
    known = Stats(3)
    known.note(1, path.stat())
    assert [known.same(number, path.stat()) for number in range(3)] == [False, True, False]
    os.utime(path, (1e9, 1e9 + 1))
    assert not known.same(1, path.stat()), "another time"
    path.write_bytes(b"12345")
    os.utime(path, (1e9, 1e9))
    assert not known.same(1, path.stat()), "another size"
    path.rename(tmp_path / "b")
    path.write_bytes(b"1234")
    os.utime(path, (1e9, 1e9))
    assert not known.same(1, path.stat()), "another file"


def test_a_file_that_was_just_written_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    known = Stats(1)
    known.note(0, path.stat())
    assert not known.same(0, path.stat())
    later = time.time() + 1000
    os.utime(path, (later, later))
    known.note(0, path.stat())
    assert not known.same(0, path.stat()), "a clock that is wrong"


def test_a_file_that_is_missing_still_is_the_same() -> None:
    known = Stats(1)
    assert not known.same(0, None)
    known.note(0, None)
    assert known.same(0, None)


@pytest.mark.parametrize(
    ("of", "count", "kept"), [(b"pack", 2, True), (b"other", 2, False), (b"pack", 3, False)]
)
def test_what_was_written_is_read_again_for_the_same_pack_and_number(
    tmp_path: Path, of: bytes, count: int, kept: bool
) -> None:
    known = Stats(2)
    known.note(0, None)
    known.grow(5)
    known.write(tmp_path / "stats", b"pack", 2)
    assert stats.read(tmp_path / "stats", of, count).same(0, None) is kept


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    Stats(1).write(tmp_path / "nowhere" / "stats", b"pack", 1)
    assert not stats.read(tmp_path / "nowhere" / "stats", b"pack", 1).same(0, None)
