"""The Hugging Face Hub, by a stand-in that keeps its repository with Git: see `hub`."""

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from tests.stores.hub import NAME, Hub, serving, variables
from tests.stores.servers import program

from xlabel.errors import ConflictError, InputError, MissingError, StoreError
from xlabel.stores import hf
from xlabel.stores.transport import Transport, open_store

URL = f"hf://datasets/{NAME}/hf"
LARGE = bytes(range(256)) * 4096
SEND = """
import pathlib, sys
from xlabel.stores.transport import open_store
store = open_store(sys.argv[1])
begun = store.create("media.mp4")
part = store.put_part("media.mp4", begun, 1, pathlib.Path(sys.argv[2]).read_bytes())
store.complete("media.mp4", begun, [part])
store.close()
"""
"""A program, since `hf_xet` has threads of its own, and tests fork."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    program("git", "hf")
    with serving(tmp_path / "hub") as hub:
        for name, value in variables(hub, tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture
def store(hub: Hub) -> Iterator[Transport]:
    opened = open_store(URL)
    yield opened
    opened.close()


def commits(hub: Hub) -> list[str]:
    """What was committed, the first commit first."""
    return hub.git("log", "--reverse", "--format=%s", "main").decode().splitlines()[1:]


def somebody_writes(hub: Hub, path: str, data: bytes) -> None:
    """A commit that another client does."""
    hub.write([f"100644 {hub.blob(data)}\t{path}"], hub.commit("main"), f"somebody: {path}")


def test_git_finds_what_was_written(hub: Hub, store: Transport) -> None:
    small = store.put("labels.json", b"{}")
    large = store.put("media.mp4", LARGE)
    assert hub.git("show", "main:hf/labels.json") == b"{}"
    assert hub.git("rev-parse", "main:hf/labels.json").decode().strip() == small.tag
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{large.tag}\nsize {len(LARGE)}\n"
    assert hub.git("show", "main:hf/media.mp4").decode() == pointer
    assert hub.stored(large.tag).read_bytes() == LARGE
    assert commits(hub) == ["xlabel: write hf/labels.json", "xlabel: write hf/media.mp4"]
    hub.git("fsck", "--strict")


def test_the_token_goes_to_the_hub_and_not_to_its_storage(hub: Hub, store: Transport) -> None:
    made = store.put("media.mp4", LARGE)
    assert store.get_ranges("media.mp4", [(1000, 3), (5, 2)], made.tag) == [LARGE[1000:1003], LARGE[5:7]]
    assert hub.uploaded == len(LARGE)
    assert hub.tokens_at_storage == 0


def test_a_commit_to_another_object_in_between_is_no_conflict(hub: Hub, store: Transport) -> None:
    old = store.put("head", b"1")
    hub.before_commit += [lambda: somebody_writes(hub, "hf/else", b"2")]
    store.put("head", b"3", if_match=old.tag)
    assert commits(hub)[1:] == ["somebody: hf/else", "xlabel: write hf/head"]
    assert hub.git("show", "main:hf/else") == b"2"


def test_a_commit_to_the_same_object_in_between_is_a_conflict(hub: Hub, store: Transport) -> None:
    old = store.put("head", b"1")
    hub.before_commit += [lambda: somebody_writes(hub, "hf/head", b"2")]
    with pytest.raises(ConflictError, match="hf/head: was changed by somebody else"):
        store.put("head", b"3", if_match=old.tag)
    hub.before_commit += [lambda: somebody_writes(hub, "hf/new", b"2")]
    with pytest.raises(ConflictError, match="expected no such object"):
        store.put("new", b"3", absent=True)
    assert hub.git("show", "main:hf/head") == hub.git("show", "main:hf/new") == b"2"


def test_of_many_who_count_on_nobody_is_lost(hub: Hub) -> None:
    def count(who: int) -> None:
        store = open_store(URL)
        done = 0
        while done < 3:
            with suppress(ConflictError):
                there = store.head("count")
                read = store.get_ranges("count", [(0, 99)], there.tag)[0] if there else b""
                new = b"%s%d." % (read, who)
                store.put("count", new, if_match=there.tag if there else None, absent=there is None)
                store.put(f"own/{who}.{done}", b"x")
                done += 1
        store.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(4)))
    assert sorted(hub.git("show", "main:hf/count").split(b".")[:-1]) == sorted([b"0", b"1", b"2", b"3"] * 3)
    assert len(commits(hub)) == 24


def test_where_others_commit_without_end_it_is_told(
    hub: Hub, store: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "pause", lambda attempt: 0.0)
    for number in range(hf.ATTEMPTS):
        hub.before_commit.append(partial(somebody_writes, hub, "else", b"%d" % number))
    with pytest.raises(StoreError, match=r"hf/head: .* others .*; try again later") as raised:
        store.put("head", b"1")
    assert not isinstance(raised.value, ConflictError)
    assert store.head("head") is None


def test_a_commit_whose_answer_was_lost_is_found_done(hub: Hub, store: Transport) -> None:
    hub.lose = [0, 500]
    made = store.put("head", b"0", absent=True)
    made = store.put("head", b"1", if_match=made.tag)
    assert made == store.head("head")
    hub.lose = [0]
    store.delete("head")
    assert commits(hub) == ["xlabel: write hf/head"] * 2 + ["xlabel: delete hf/head"]


def test_a_hub_that_is_busy_is_asked_again(hub: Hub, store: Transport) -> None:
    hub.refuse += [429, 503]
    made = store.put("head", b"1", absent=True)
    hub.busy += [(429, {"ratelimit": '"resolvers";r=0;t=0'}), (502, {})]
    assert store.get_ranges("head", [(0, 1)], made.tag) == [b"1"]
    assert commits(hub) == ["xlabel: write hf/head"]


def test_a_refusal_for_good_is_told_at_once(hub: Hub, store: Transport) -> None:
    hub.refuse += [403]
    with pytest.raises(StoreError, match=r"hf/head: upload was refused: .*\(403\); try hf auth login"):
        store.put("head", b"1")
    assert commits(hub) == []


def test_the_same_again_is_no_commit(hub: Hub, store: Transport) -> None:
    made = store.put("head", b"1")
    assert store.put("head", b"1", if_match=made.tag) == made
    assert len(commits(hub)) == 1


def test_parts_travel_when_all_are_there_and_leave_nothing_here(hub: Hub, store: Transport) -> None:
    begun = store.create("media.mp4")
    store.put_part("media.mp4", begun, 1, LARGE)
    again = open_store(URL)
    part = again.put_part("media.mp4", begun, 2, b"end")
    assert hub.uploaded == 0
    assert commits(hub) == []
    made = again.complete("media.mp4", begun, [*again.parts("media.mp4", begun)[:1], part])
    assert made.tag == hashlib.sha256(LARGE + b"end").hexdigest()
    assert hub.uploaded == made.size == len(LARGE) + 3
    assert [path for path in again._cache.rglob("*") if path.is_file()] == []  # type: ignore[attr-defined]
    again.close()


def test_a_completion_that_can_only_fail_sends_nothing(hub: Hub, store: Transport) -> None:
    store.put("media.mp4", b"other")
    sent = hub.uploaded
    begun = store.create("media.mp4")
    part = store.put_part("media.mp4", begun, 1, LARGE)
    with pytest.raises(ConflictError):
        store.complete("media.mp4", begun, [part], absent=True)
    assert hub.uploaded == sent
    assert [upload.id for upload in store.uploads("media.mp4")] == [begun]
    store.abort("media.mp4", begun)


def test_names_come_in_more_than_one_answer(hub: Hub, store: Transport) -> None:
    names = [f"deltas/{number}" for number in range(7)]
    blob = hub.blob(b"")
    hub.write([f"100644 {blob}\thf/{name}" for name in names], hub.commit("main"), "seven")
    hub.page = 3
    assert store.names() == names
    assert store.names("deltas/3") == ["deltas/3"]
    assert store.names("else") == []


def test_a_revision_is_read_as_it_was(hub: Hub, store: Transport) -> None:
    store.put("head", b"1")
    hub.git("tag", "v1", "main")
    store.put("head", b"2")
    past = open_store(f"hf://datasets/{NAME}@v1/hf")
    assert past.get_ranges("head", [(0, 9)]) == [b"1"]
    assert past.url == f"hf://datasets/{NAME}@v1/hf"
    past.close()


def test_a_server_that_sends_all_where_a_part_was_asked_for_is_understood(hub: Hub, store: Transport) -> None:
    made = store.put("head", b"0123456789")
    hub.ranges = False
    assert store.get_ranges("head", [(2, 3), (8, 5), (12, 1)], made.tag) == [b"234", b"89", b""]


def test_by_xet_only_what_is_new_travels(hub: Hub, store: Transport, tmp_path: Path) -> None:
    new = random.Random(1).randbytes(20_000_000)
    grown = new + random.Random(2).randbytes(200_000)
    kept = []
    for data in (new, grown):
        (tmp_path / "media").write_bytes(data)
        env = {**os.environ, "HF_HUB_DISABLE_XET": "0"}
        subprocess.run([sys.executable, "-c", SEND, URL, str(tmp_path / "media")], env=env, check=True)
        made = store.head("media.mp4")
        assert made is not None and made.tag == hashlib.sha256(data).hexdigest()
        assert store.get_ranges("media.mp4", [(19_999_000, 9000)], made.tag) == [data[19_999_000:20_008_000]]
        kept.append(sum(path.stat().st_size for path in hub.cas.glob("**/xorbs/default.*") if path.is_file()))
    assert hub.uploaded == 0
    assert 200_000 < kept[1] - kept[0] < 500_000


def test_a_repository_that_is_not_there_is_told_with_how_to_make_it(hub: Hub) -> None:
    other = open_store("hf://datasets/lab/other")
    told = r"hf://datasets/lab/other: .*; hf repos create lab/other --repo-type dataset makes it"
    for call in (other.names, lambda: other.head("head"), lambda: other.put("head", b"1")):
        with pytest.raises(MissingError, match=told):
            call()
    branch = open_store(f"hf://datasets/{NAME}@other")
    with pytest.raises(MissingError, match="is there a branch other"):
        branch.put("head", b"1")


def test_who_may_not_write_is_told_how_to_log_in(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(StoreError, match=r"hf/head: upload was refused: .* \(401\); try hf auth login"):
        open_store(URL).put("head", b"1")


def test_a_hub_that_is_not_there_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"hf/head: look failed: .*; is the network there"):
        open_store(URL).head("head")


def test_a_name_leads_nowhere_else(store: Transport) -> None:
    for name in ("../head", "a//b", ".git/config", ""):
        with pytest.raises(InputError, match="expected the name of an object"):
            store.head(name)


def test_the_clients_own_command_sees_it(hub: Hub, store: Transport, tmp_path: Path) -> None:
    store.put("labels.json", b"{}")
    store.put("media.mp4", LARGE)
    command = [program("hf", "hf"), "download", NAME, "--repo-type", "dataset", "--local-dir", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "hf" / "labels.json").read_bytes() == b"{}"
    assert (tmp_path / "hf" / "media.mp4").read_bytes() == LARGE
