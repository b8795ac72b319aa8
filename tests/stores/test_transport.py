"""What every store does alike: the laws of `stores.transport`, on the servers of others and on folders."""

import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.stores import servers
from tests.stores.servers import Place, Start

from xlabel.errors import ConflictError, InputError, MissingError
from xlabel.stores.transport import Part, Transport, open_store

PART = 5 << 20
"""Bytes; S3 takes no part below, but for the last."""


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


PIECES = [noise(PART, 1), noise(PART + 3, 2), noise(1000, 3)]
WHOLE = b"".join(PIECES)


def read(store: Transport, name: str) -> bytes:
    """All of an object; the ranges overlap the end."""
    there = store.head(name)
    assert there is not None
    step = 1 << 20
    return b"".join(store.get_ranges(name, [(offset, step) for offset in range(0, there.size, step)]))


def upload(store: Transport, name: str, pieces: list[bytes] = PIECES) -> tuple[str, list[Part]]:
    """An upload by parts, the last of them first, that is not completed."""
    begun = store.create(name)
    parts = [store.put_part(name, begun, number, pieces[number - 1]) for number in range(len(pieces), 0, -1)]
    return begun, parts[::-1]


@pytest.fixture(params=servers.PLACES)
def place(request: pytest.FixtureRequest, start: Start, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Each of the servers in turn."""
    place = start(request.param)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    return place


@pytest.fixture
def store(
    place: Place, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    """A store of a test's own."""
    opened = open_store(f"{place.url}/{hashlib.md5(request.node.name.encode()).hexdigest()}")
    if not place.conditional:
        monkeypatch.setattr(opened, "conditional", False)
    yield opened
    opened.close()


def test_what_is_put_is_read_again(store: Transport) -> None:
    assert store.head("sub/a b.json") is None
    made = store.put("sub/a b.json", b"{}")
    assert store.head("sub/a b.json") == made
    assert store.get_ranges("sub/a b.json", [(0, 100)]) == [b"{}"]


def test_parts_may_come_in_any_order(store: Transport) -> None:
    begun, parts = upload(store, "media")
    assert store.head("media") is None
    made = store.complete("media", begun, parts)
    assert made == store.head("media")
    assert made.size == len(WHOLE)
    assert read(store, "media") == WHOLE
    assert store.uploads("media") == []
    assert store.names() == ["media"]


def test_an_upload_goes_on_after_its_writer_was_killed(store: Transport) -> None:
    begun = store.create("media")
    store.put_part("media", begun, 1, PIECES[0])
    again = open_store(store.url)
    (unfinished,) = again.uploads("media")
    assert unfinished.id == begun
    assert again.parts("media", begun)[0].size == PART
    rest = [again.put_part("media", begun, number, PIECES[number - 1]) for number in (2, 3)]
    again.complete("media", begun, [*again.parts("media", begun)[:1], *rest])
    assert read(again, "media") == WHOLE
    again.close()


def test_a_part_that_a_store_has_is_told_by_its_md5_or_not_at_all(store: Transport) -> None:
    begun, _ = upload(store, "media")
    for part, piece in zip(store.parts("media", begun), PIECES, strict=True):
        assert part.size == len(piece)
        assert part.md5 in (None, hashlib.md5(piece).digest())
    store.abort("media", begun)


def test_of_two_parts_of_one_number_the_later_counts(store: Transport) -> None:
    begun = store.create("media")
    store.put_part("media", begun, 1, PIECES[1])
    part = store.put_part("media", begun, 1, b"later")
    store.complete("media", begun, [part])
    assert read(store, "media") == b"later"


def test_abort_leaves_nothing(store: Transport) -> None:
    store.put("media", b"old")
    begun, _ = upload(store, "media")
    store.abort("media", begun)
    store.abort("media", begun)
    assert store.uploads("media") == []
    assert store.names() == ["media"]
    assert read(store, "media") == b"old"
    with pytest.raises(MissingError):
        store.parts("media", begun)


def test_uploads_are_of_one_name(store: Transport) -> None:
    begun = store.create("media")
    other = store.create("media.000002")
    assert [unfinished.id for unfinished in store.uploads("media")] == [begun]
    store.abort("media", begun)
    store.abort("media.000002", other)


def test_the_uploads_of_all_objects_are_listed_by_who_has_not_begun_them(
    store: Transport, request: pytest.FixtureRequest
) -> None:
    name = "sub/a %40@b\u00e9.mp4"
    begun = {(name, store.create(name)), ("sub/c", store.create("sub/c")), ("media", store.create("media"))}
    store.put("sub/d", b"whole")
    store.put("sub/c", b"and one behind it")
    begun -= {one for one in begun if one[0] == "sub/c" and not store.uploads("sub/c")}  # Azure's own way
    other = open_store(store.url)
    found = other.unfinished()
    assert {(one.name, one.id) for one in found} == begun
    if "moto" not in request.node.name:  # which says 2010 of all
        assert all(abs(one.begun - time.time()) < 60 for one in found)
    assert {one.name for one in other.unfinished("sub/")} == {one for one, _ in begun} - {"media"}
    for one in found:
        other.abort(one.name, one.id)
    assert store.unfinished() == []
    other.close()


def test_when_an_object_was_written_is_told_by_the_store(store: Transport, place: Place) -> None:
    assert store.modified("sub/media") is None
    store.put("sub/media", b"1")
    told = store.modified("sub/media")
    if place.url.startswith("hf://"):
        assert told is None
    else:
        assert told is not None
        assert abs(told - time.time()) < 60


def test_a_condition_that_does_not_hold_changes_nothing(store: Transport) -> None:
    if not store.conditional:
        pytest.skip("this store has no conditions")
    first = store.put("head", b"1", absent=True)
    second = store.put("head", b"2", if_match=first.tag)
    assert second.tag != first.tag
    with pytest.raises(ConflictError):
        store.put("head", b"3", if_match=first.tag)
    with pytest.raises(ConflictError):
        store.put("head", b"3", absent=True)
    with pytest.raises(ConflictError):
        store.put("other", b"3", if_match=first.tag)
    assert store.head("head") == second
    assert store.head("other") is None
    assert read(store, "head") == b"2"


def test_a_completion_whose_condition_does_not_hold_changes_nothing(store: Transport) -> None:
    if not store.conditional:
        pytest.skip("this store has no conditions")
    old = store.put("media", b"old")
    new = store.put("media", b"new")
    begun, parts = upload(store, "media")
    with pytest.raises(ConflictError):
        store.complete("media", begun, parts, if_match=old.tag)
    with pytest.raises(ConflictError):
        store.complete("media", begun, parts, absent=True)
    assert store.head("media") == new
    assert read(store, "media") == b"new"
    store.abort("media", begun)


def test_a_completion_whose_condition_holds_is_done(store: Transport) -> None:
    old = store.put("media", b"old") if store.conditional else None
    begun, parts = upload(store, "media")
    made = store.complete("media", begun, parts, if_match=old.tag if old else None)
    assert old is None or made.tag != old.tag
    begun, parts = upload(store, "fresh", [b"fresh"])
    store.complete("fresh", begun, parts, absent=store.conditional)
    assert read(store, "media") == WHOLE
    assert read(store, "fresh") == b"fresh"


def test_of_many_writers_at_once_one_wins(store: Transport) -> None:
    if not store.conditional:
        pytest.skip("this store has no conditions")
    before = store.put("head", b"before")

    def write(number: int) -> bytes | None:
        try:
            store.put("head", b"writer %d" % number, if_match=before.tag)
        except ConflictError:
            return None
        return b"writer %d" % number

    with ThreadPoolExecutor(8) as threads:
        won = [data for data in threads.map(write, range(8)) if data]
    assert won == [read(store, "head")]


def test_ranges_of_an_object_are_copied_by_the_store(store: Transport) -> None:
    if not store.copies_ranges:
        pytest.skip("this store copies no ranges")
    old = store.put("old", WHOLE)
    begun = store.create("media")
    parts = [
        store.copy_part("media", begun, 1, "old", 7, PART + 1, old.tag),
        store.put_part("media", begun, 2, PIECES[1]),
        store.copy_part("media", begun, 3, "old", 0, 10, old.tag),
    ]
    store.complete("media", begun, parts)
    assert read(store, "media") == WHOLE[7 : PART + 8] + PIECES[1] + WHOLE[:10]


@pytest.mark.parametrize("place", ["file", "sftp"], indirect=True)
def test_the_note_of_a_copied_range_that_was_cut_off_is_no_part(store: Transport, place: Place) -> None:
    old = store.put("media", WHOLE)
    begun = store.create("media")
    part = store.copy_part("media", begun, 1, "media", 0, len(WHOLE), old.tag)
    assert store.parts("media", begun) == [part]
    (note,) = Path("/" + store.url.rpartition("://")[2].partition("/")[2]).rglob("*.range")
    for cut in (note.read_bytes()[:-9], b""):
        note.write_bytes(cut)
        assert store.parts("media", begun) == []
        with pytest.raises(MissingError, match="write it again"):
            store.complete("media", begun, [part])
    assert store.copy_part("media", begun, 1, "media", 0, len(WHOLE), old.tag) == part
    store.complete("media", begun, [part])
    assert read(store, "media") == WHOLE


def test_an_object_grows_by_a_copy_of_itself_and_a_part(store: Transport) -> None:
    if not store.copies_ranges:
        pytest.skip("this store copies no ranges")
    old = store.put("media", WHOLE)
    begun = store.create("media")
    parts = [store.copy_part("media", begun, 1, "media", 0, len(WHOLE), old.tag)]
    parts.append(store.put_part("media", begun, 2, b"tail"))
    assert [part.size for part in store.parts("media", begun)] == [len(WHOLE), 4]
    new = store.complete("media", begun, parts, if_match=old.tag if store.conditional else None)
    assert new.tag != old.tag
    assert read(store, "media") == WHOLE + b"tail"


def test_a_copy_of_what_is_no_longer_so_is_refused(store: Transport) -> None:
    if not (store.copies_ranges and store.conditional):
        pytest.skip("this store copies no ranges, or has no conditions")
    old = store.put("media", WHOLE)
    store.put("media", WHOLE[::-1])
    begun = store.create("media")
    with pytest.raises(ConflictError):
        store.copy_part("media", begun, 1, "media", 0, len(WHOLE), old.tag)
    store.abort("media", begun)


def test_ranges_end_where_the_object_ends(store: Transport) -> None:
    there = store.put("media", b"0123456789")
    asked = [(0, 1), (9, 1), (8, 5), (10, 5), (99, 1), (3, 0), (0, 10), (2, 3)]
    wanted = [b"0", b"9", b"89", b"", b"", b"", b"0123456789", b"234"]
    assert store.get_ranges("media", asked) == wanted
    assert store.get_ranges("media", asked, if_match=there.tag) == wanted
    assert store.get_ranges("media", []) == []
    store.put("empty", b"")
    assert store.get_ranges("empty", [(0, 5)]) == [b""]


def test_ranges_of_an_object_that_was_replaced_are_refused(store: Transport, place: Place) -> None:
    if not place.conditional:
        pytest.skip("this emulator ignores conditions")
    old = store.put("media", b"old")
    store.put("media", b"new!")
    with pytest.raises(ConflictError, match="media"):
        store.get_ranges("media", [(0, 1)], if_match=old.tag)


def test_what_is_not_there_is_told(store: Transport) -> None:
    with pytest.raises(MissingError, match="nothing"):
        store.get_ranges("nothing", [(0, 1)])
    store.delete("nothing")
    assert store.names() == []


def test_names_are_sorted_and_of_the_prefix(store: Transport) -> None:
    for name in ("deltas/2", "deltas/10", "media", "delta"):
        store.put(name, b"")
    assert store.names("deltas/") == ["deltas/10", "deltas/2"]
    assert store.names() == ["delta", "deltas/10", "deltas/2", "media"]
    store.delete("media")
    assert store.names("m") == []


def test_a_store_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"gopher://x: expected a folder or a URL that begins with .*s3://"):
        open_store("gopher://x")


@pytest.mark.parametrize(
    ("url", "library", "named"),
    [
        ("s3://lab", "boto3", "s3"),
        ("s3://lab", "awscrt", "s3"),
        ("az://lab", "azure.storage.blob", "azure"),
        ("gs://lab", "google.cloud.storage", "gcs"),
        ("sftp://host/lab", "asyncssh", "sftp"),
        ("hf://lab", "huggingface_hub", "hf"),
    ],
)
def test_a_library_that_is_missing_is_named_with_what_to_install(url: str, library: str, named: str) -> None:
    program = (
        "import sys; from xlabel.stores.transport import open_store; from xlabel.errors import *\n"
        f"sys.modules[{library!r}] = None\n"
        f"try: open_store({url!r})\nexcept MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    scheme = url.partition("lab")[0].removesuffix("host/")
    assert done.stdout.startswith(
        f"{scheme} URLs need {library.partition('.')[0]}; pip install 'xlabel[{named}]'"
    )


@pytest.mark.parametrize(
    "url",
    [
        *("s3://", "s3://lab?x=1", "az://", "gs://", "sftp://", "s3://key:secret@lab"),
        *("az://lab?sig=secret", "gs://key:secret@lab", "gs://lab/pack#secret"),
        *("hf://", "hf://datasets/lab", "hf://buckets/lab/pack", "hf://key:secret@datasets/lab/pack"),
    ],
)
def test_a_url_that_is_none_is_refused_and_its_secret_not_shown(url: str) -> None:
    with pytest.raises(InputError, match="expected") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


def test_opening_a_store_imports_its_library_alone() -> None:
    heavy = ("boto3", "botocore", "azure", "google.cloud", "asyncssh", "huggingface_hub")
    program = (
        "import sys; from xlabel.stores.transport import open_store; open_store('/tmp');"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
