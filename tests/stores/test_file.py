"""Folders as stores: killed at any step, on a full disk, by names that lead elsewhere."""

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import kills
from tests.tools import tree

from xlabel.errors import InputError, MissingError, StoreError
from xlabel.stores.transport import Part, Transport, open_store

PIECES = [b"new " * 1000, b"and newer " * 1000]
NEW = b"".join(PIECES)


def begun(store: Transport) -> str:
    upload = store.create("media")
    for number, piece in enumerate(PIECES, 1):
        store.put_part("media", upload, number, piece)
    return upload


def resumed(store: Transport) -> None:
    """What a push does after a kill: whatever upload is there is brought to its end."""
    for upload in store.uploads("media"):
        if len(parts := store.parts("media", upload.id)) == len(PIECES):
            store.complete("media", upload.id, parts)
        else:
            store.abort("media", upload.id)


def test_killed_at_any_step_an_object_is_the_old_or_the_new_and_the_upload_goes_on(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    ends = []

    def write() -> None:
        resumed(store)
        store.complete("media", (upload := begun(store)), store.parts("media", upload))

    store.put("media", b"old")
    for _ in kills.at_each_step(write):
        found = (tmp_path / "store" / "media").read_bytes()
        assert found in (b"old", NEW)
        ends.append(found)
        resumed(store)
        assert store.uploads("media") == []
        store.put("media", b"old")
    assert ends[0] == b"old"
    assert ends[-1] == NEW
    assert tree(tmp_path / "store") == {b"media": NEW}


def test_an_object_that_grows_is_the_old_or_the_new_whenever_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "store" / "media"
    store = open_store(path.parent.as_uri())
    ends = []

    def grow() -> None:
        there = store.head("media")
        assert there is not None
        upload = store.create("media")
        parts = [
            store.copy_part("media", upload, 1, "media", 0, there.size, there.tag),
            store.put_part("media", upload, 2, NEW),
        ]
        store.complete("media", upload, parts, if_match=there.tag)

    store.put("media", b"old")
    for _ in kills.at_each_step(grow):
        ends.append(path.read_bytes())
        for upload in store.uploads("media"):
            store.abort("media", upload.id)
        store.put("media", b"old")
    assert set(ends) == {b"old", b"old" + NEW}
    assert tree(tmp_path / "store") == {b"media": b"old" + NEW}


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let the system refuse files above a size, as it refuses all on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("grows", [True, False])
def test_a_disk_without_room_is_told_and_leaves_the_object_as_it_was(tmp_path: Path, grows: bool) -> None:
    store = open_store(str(tmp_path))
    old = store.put("media", b"old")
    upload = begun(store)
    parts = store.parts("media", upload)
    if grows:
        parts = [store.copy_part("media", upload, 3, "media", 0, 3, old.tag), *parts]
    before = tree(tmp_path)
    with room(10_000), pytest.raises(StoreError, match="cannot write: File too large"):
        store.complete("media", upload, parts)
    assert tree(tmp_path) == before
    assert store.get_ranges("media", [(0, 99)]) == [b"old"]
    assert store.parts("media", upload)[:2] == parts[-2:]
    with room(10_000), pytest.raises(StoreError, match="cannot write: File too large"):
        store.put("media", NEW)
    assert store.get_ranges("media", [(0, 99)]) == [b"old"]
    store.abort("media", upload)
    assert tree(tmp_path) == {b"media": b"old"}


def test_a_copied_range_that_finds_no_room_leaves_nothing_that_a_push_reads(
    tmp_path: Path,
) -> None:
    store = open_store(str(tmp_path))
    old = store.put("media", b"old")
    upload = store.create("media")
    before = tree(tmp_path)
    with room(10), pytest.raises(StoreError, match="cannot write: File too large"):
        store.copy_part("media", upload, 1, "media", 0, 3, old.tag)
    assert tree(tmp_path) == before
    assert store.parts("media", upload) == []


def test_writers_that_note_the_same_range_at_once_never_read_a_half_written_note(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    old = store.put("media", b"old")
    upload = store.create("media")

    def note(_: int) -> list[Part]:
        store.copy_part("media", upload, 1, "media", 0, 3, old.tag)
        return store.parts("media", upload)

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(note, range(200)):
            assert [part.size for part in found] == [3]


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a//b", "", "a/./b", "a\0b", ".xlabel-store/lock"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(InputError, match="expected the name of an object"):
        store.put(name, b"")
    with pytest.raises(InputError, match="expected the name of an object"):
        store.head(name)
    assert tree(tmp_path) == {}


def test_an_upload_that_is_somewhere_else_is_refused(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(InputError, match="expected the id of an upload"):
        store.put_part("media", "../../x", 1, b"")
    with pytest.raises(MissingError, match="begin again"):
        store.put_part("media", "0000", 1, b"")


def test_a_folder_of_another_machine_is_no_file() -> None:
    with pytest.raises(InputError, match="of this machine"):
        open_store("file://host/path")
