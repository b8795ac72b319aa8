"""Files that are replaced as one: killed at any step, the next run finishes it or undoes it."""

import errno
import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from tests import kills
from tests.tools import put, tree

from xlabel.errors import InputError, XlabelError
from xlabel.stores.scratch import scratch
from xlabel.stores.transaction import Transaction, recover

OLD = {b"a": b"old a", b"b": b"old b", b"problems.json": b"old stale"}
NEW = {b"a": b"new a", b"b": b"new b", b"c": b"new c"}


def replace(folder: Path) -> None:
    with Transaction(folder) as work:
        for name, data in NEW.items():
            work.staged(name.decode()).write_bytes(data)
        work.staged("spool").write_bytes(b"left over")
        work.commit([name.decode() for name in NEW], ["problems.json"])


def journal(folder: Path, text: bytes) -> Path:
    """A folder whose writer was killed when it had written this journal."""
    staging = folder / ".xlabel-pack"
    staging.mkdir(parents=True)
    (staging / "commit.json").write_bytes(text)
    return staging


def test_all_files_are_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    put(OLD, tmp_path / "out")
    replace(tmp_path / "out")
    assert tree(tmp_path / "out") == NEW


@pytest.mark.parametrize("next_run", [recover, replace])
def test_after_a_kill_at_any_step_files_are_whole_and_the_next_run_rolls_forward_or_back(
    tmp_path: Path, next_run: object
) -> None:
    folder = tmp_path / "out"
    put(OLD, folder)
    ends = []
    for _ in kills.at_each_step(lambda: replace(folder)):
        for name, data in tree(folder).items():
            assert name.startswith(b".xlabel-pack/") or data in (OLD.get(name), NEW.get(name))
        recover(folder)
        ends.append(tree(folder))
        if next_run is replace:
            replace(folder)
            assert tree(folder) == NEW
        put(OLD, folder)
    assert all(end in (OLD, NEW) for end in ends)
    assert ends.index(NEW) > 5
    assert ends[ends.index(NEW) :] == [NEW] * (len(ends) - ends.index(NEW)), "once new, never old again"


def test_a_kill_while_another_finishes_the_work_changes_nothing_about_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def half_done() -> None:
        put(OLD, folder)
        staging = journal(folder, b'{"publish":["a","b","c"],"remove":["problems.json"]}')
        for name, data in NEW.items():
            (staging / name.decode()).write_bytes(data)
        (staging / "a").replace(folder / "a")

    half_done()
    steps = 0
    for _ in kills.at_each_step(lambda: recover(folder)):
        recover(folder)
        assert tree(folder) == NEW
        half_done()
        steps += 1
    assert steps >= 5


def test_leaving_without_commit_leaves_no_trace(tmp_path: Path) -> None:
    put(OLD, tmp_path / "out")
    for folder in (tmp_path / "out", tmp_path / "made" / "on the way"):
        with pytest.raises(ZeroDivisionError), Transaction(folder) as work:
            work.staged("a").write_bytes(b"half")
            raise ZeroDivisionError
    assert tree(tmp_path / "out") == OLD
    assert not (tmp_path / "made").exists()


def test_only_one_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    put(OLD, tmp_path)
    with Transaction(tmp_path):
        with pytest.raises(InputError, match="another xlabel is writing here"):
            Transaction(tmp_path)
        recover(tmp_path)
        assert (tmp_path / ".xlabel-pack").is_dir(), "a living writer's files are let be"
    replace(tmp_path)
    assert tree(tmp_path) == NEW


@pytest.mark.parametrize("name", ["", ".", "..", "../b", "sub/b", "/b", "b\0", ".xlabel-pack"])
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_changed(tmp_path: Path, name: str) -> None:
    put(OLD, tmp_path / "out")
    with Transaction(tmp_path / "out") as work:
        work.staged("a").write_bytes(b"new")
        with pytest.raises(InputError, match="expected the name of a file"):
            work.commit(["a", name])
        with pytest.raises(InputError, match="expected the name of a file"):
            work.commit(["a"], [name])
    assert tree(tmp_path / "out") == OLD


def test_the_journals_own_name_is_taken(tmp_path: Path) -> None:
    with Transaction(tmp_path) as work, pytest.raises(InputError, match=r"commit\.json"):
        work.staged("commit.json")


def test_a_folder_in_the_place_of_a_file_is_refused_and_blocks_no_later_run(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    put({b"b": b"old b"}, folder)
    (folder / "a").mkdir()
    with pytest.raises(InputError, match="expected a file, found a folder"):
        replace(folder)
    assert tree(folder) == {b"b": b"old b"}
    (folder / "a").rmdir()
    replace(folder)
    assert tree(folder) == NEW


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"publish":[],"remove":[1]}',
        b'{"publish":["../victim"],"remove":[]}',
        b'{"publish":[],"remove":["../victim"]}',
        b'{"publish":[],"remove":["sub/../../victim"]}',
        b'{"publish":[],"remove":["a\\u0000"]}',
        b'{"publish":[],"remove":[".."]}',
        b'{"publish":["' + b"n" * 5000 + b'"],"remove":[]}',
        b'{"publish":[],"remove":[],"more":' + b"[" * 100_000,
    ],
)
def test_a_crafted_journal_is_an_error_and_moves_nothing(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    folder = tmp_path / "out"
    put(OLD, folder)
    staging = journal(folder, text)
    (staging / "victim").write_bytes(b"theirs")
    before = tree(tmp_path)
    for opened in (recover, Transaction):
        with pytest.raises(XlabelError):
            opened(folder)
    assert tree(tmp_path) == before


def test_a_staging_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    put({b"mine": b"1"}, tmp_path / "elsewhere")
    folder = tmp_path / "out"
    put(OLD, folder)
    (folder / ".xlabel-pack").symlink_to(tmp_path / "elsewhere")
    recover(folder)
    with pytest.raises(InputError):
        Transaction(folder)
    assert tree(tmp_path / "elsewhere") == {b"mine": b"1"}


def test_a_journal_is_the_names_of_what_is_new_and_of_what_goes(tmp_path: Path) -> None:
    seen = []

    def stop(source: Path, target: Path) -> None:
        seen.append(msgspec.json.decode((tmp_path / ".xlabel-pack" / "commit.json").read_bytes()))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError), Transaction(tmp_path) as work:
        work.staged("a").write_bytes(b"new")
        draft = Path.replace

        def watched(source: Path, target: Path) -> Path:
            if target.name == "commit.json":
                return draft(source, target)
            stop(source, target)
            return target

        patch.setattr(Path, "replace", watched)
        work.commit(["a"], ["problems.json"])
    assert seen == [{"publish": ["a"], "remove": ["problems.json"]}]
    recover(tmp_path)
    assert tree(tmp_path) == {b"a": b"new"}


def test_a_scratch_folder_goes_and_what_a_killed_process_left_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def use() -> None:
        with scratch("mine-") as folder:
            (folder / "file").write_bytes(b"x")

    left = 0
    (tmp_path / "others").mkdir()
    for _ in kills.at_each_step(use):
        left += len(list(tmp_path.glob("mine-*")))
        use()
        assert [path.name for path in tmp_path.iterdir()] == ["others"]
    assert left
    with scratch("mine-") as first, scratch("mine-") as second:
        assert first.is_dir() and second.is_dir(), "one that is in use is let be"
    assert [path.name for path in tmp_path.iterdir()] == ["others"]


def test_a_journal_from_elsewhere_removes_nothing_but_what_a_pack_may_leave_behind(tmp_path: Path) -> None:
    put({b"mine.txt": b"mine", b"problems.json": b"{}"}, tmp_path)
    journal(tmp_path, b'{"publish":[],"remove":["mine.txt","problems.json"]}')
    recover(tmp_path)
    assert tree(tmp_path) == {b"mine.txt": b"mine"}
