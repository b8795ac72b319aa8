"""Files that are held open: what the system is told of them. fincore of util-linux says what is in memory."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.stores.servers import program

from xlabel.stores.snapshot import Kept

SIZE = 1 << 20


def in_memory(path: Path) -> int:
    """Bytes of a file that are in the system's memory."""
    command = [program("fincore", "fincore"), "--bytes", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.fixture
def cold(tmp_path: Path) -> Path:
    """A file that is on the disk alone."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(os.urandom(SIZE))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if in_memory(path):
        pytest.skip("the folder of the tests is in memory")
    return path


def comes_into_memory(path: Path) -> bool:
    """Whether all of a file is in memory soon."""
    end = time.monotonic() + 20
    while in_memory(path) < SIZE and time.monotonic() < end:
        time.sleep(0.01)
    return in_memory(path) == SIZE


def test_what_is_expected_is_read_ahead(cold: Path) -> None:
    file = Kept(cold)
    file.expect(0, SIZE)
    assert comes_into_memory(cold)
    file.close()


def test_an_end_that_is_in_memory_does_not_stand_for_the_rest(cold: Path) -> None:
    file = Kept(cold)
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no more is read than what is asked for
    file.read(0, 1)
    assert in_memory(cold) < SIZE // 2
    file.expect(0, SIZE)
    assert comes_into_memory(cold)
    file.close()


def test_nothing_is_said_of_what_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    told = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *of: told.append(of))
    file = Kept(path)
    try:
        os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:
        pytest.skip("the file system does not tell what is in memory")
    file.expect(0, SIZE)
    assert not told
    file.close()
