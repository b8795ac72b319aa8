"""Files under names that somebody else chose: nothing lands outside, and nothing half-written stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import kills
from tests.tools import tree

from xlabel.errors import ExistsError, InputError
from xlabel.stores.extract import Extraction

HOSTILE = [
    "/etc/passwd",
    "//etc/passwd",
    "..",
    "../outside",
    "a/../../outside",
    "a/..",
    "a/./b",
    ".",
    "",
    "/",
    "a/",
    "a//b",
    "nul\0byte",
    "../dest/../outside",
    ".xlabel-partial",
    ".xlabel-partial/1",
    b"\xff/../../outside",
]


@pytest.fixture(params=["new", "empty", "filled"])
def dest(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder to write to: one that is not there, one that is empty, one that holds a file."""
    folder = tmp_path / "around" / "dest"
    folder.parent.mkdir()
    if request.param != "new":
        folder.mkdir()
    if request.param == "filled":
        (folder / "mine").write_bytes(b"mine")
    return folder


def outside(dest: Path) -> dict[bytes, bytes]:
    found = tree(dest.parents[1])
    return {name: data for name, data in found.items() if not name.startswith(b"around/dest/")}


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_a_path_that_leads_elsewhere_is_refused(dest: Path, name: str | bytes) -> None:
    with Extraction(dest, overwrite=True) as out:
        with pytest.raises(ValueError):
            out.write(name, [b"hostile"])
        out.write("good", [b"go", b"od"])
    assert b"hostile" not in tree(dest.parents[1]).values()
    assert (dest / "good").read_bytes() == b"good"
    assert outside(dest) == {}
    assert not Path("/etc/passwd").read_bytes().startswith(b"hostile")


@pytest.mark.parametrize("name", ["a\\b", "C:\\x", "..\\up", " ", "~", "$HOME", "-rf", "a\u202eb", "%0A"])
def test_what_is_an_ordinary_name_here_is_kept(dest: Path, name: str) -> None:
    with Extraction(dest, overwrite=True) as out:
        out.write(name, [b"1"])
    assert {path.name for path in dest.iterdir()} - {"mine"} == {name}


def test_control_characters_are_written_as_percent_and_two_digits(dest: Path) -> None:
    with Extraction(dest, overwrite=True) as out:
        out.write("a\x1b[31m\n/b\x7f", [b"1"])
    assert tree(dest)[b"a%1B[31m%0A/b%7F"] == b"1"


@pytest.mark.parametrize("first, second", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_names_that_clash_lose_the_second_and_nothing_else(dest: Path, first: str, second: str) -> None:
    with Extraction(dest, overwrite=True) as out:
        out.write(first, [b"1"])
        with pytest.raises((ValueError, OSError)):
            out.write(second, [b"2"])
        out.write("third", [b"3"])
    found = tree(dest)
    found.pop(b"mine", None)
    assert found == {first.encode(): b"1", b"third": b"3"}


def test_a_second_file_of_the_same_name_is_refused_where_the_folder_is_new(tmp_path: Path) -> None:
    with Extraction(tmp_path / "dest", overwrite=False) as out:
        out.write("a", [b"1"])
        with pytest.raises(ValueError, match="same path"):
            out.write("a", [b"2"])
    assert tree(tmp_path / "dest") == {b"a": b"1"}


def test_links_that_were_planted_are_not_followed(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "file").write_bytes(b"mine")
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "folder").symlink_to(away)
    (dest / "twice").symlink_to("folder")
    (dest / "up").symlink_to("..")
    (dest / "file").symlink_to(away / "file")
    (dest / "dangling").symlink_to(away / "not there")
    with Extraction(dest, overwrite=True) as out:
        for name in ("folder/file", "folder/new/deeper/file", "twice/file", "twice/x/y", "up/file"):
            with pytest.raises(ValueError, match="link"):
                out.write(name, [b"hostile"])
        out.write("file", [b"new"])
        out.write("dangling", [b"new"])
    assert tree(away) == {b"file": b"mine"}
    assert [p.name for p in away.rglob("*")] == ["file"], "no folder was made there either"
    assert (dest / "file").read_bytes() == b"new" and not (dest / "file").is_symlink()
    assert (dest / "dangling").read_bytes() == b"new"


def test_a_link_in_the_place_of_the_hidden_folder_is_refused(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "file").write_bytes(b"mine")
    for dest, hidden in ((tmp_path / "new", ".new.xlabel-partial"), (tmp_path, ".xlabel-partial")):
        (tmp_path / hidden).symlink_to(away)
        with pytest.raises(InputError):
            Extraction(dest, overwrite=True)
        (tmp_path / hidden).unlink()
    assert tree(away) == {b"file": b"mine"}


@pytest.mark.parametrize("links", [False, True])
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path, links: bool) -> None:
    dest = tmp_path / "dest"
    if links:
        dest.symlink_to("nowhere")
    else:
        dest.write_bytes(b"mine")
    with pytest.raises(ExistsError):
        Extraction(dest, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["dest"]


def test_a_filled_folder_needs_overwrite(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(ExistsError, match="--overwrite"):
        Extraction(tmp_path, overwrite=False)
    assert tree(tmp_path) == {b"mine": b"mine"}


def test_the_current_folder_can_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    with Extraction(Path(), overwrite=False) as out:
        out.write("a/b", [b"1"])
    assert tree(tmp_path) == {b"a/b": b"1"}
    assert tmp_path.stat().st_ino == before


def test_an_error_undoes_all_where_the_folder_was_new_or_empty(dest: Path) -> None:
    before = tree(dest.parent)
    with pytest.raises(ZeroDivisionError), Extraction(dest, overwrite=True) as out:
        if not before:
            out.write("a/b", [b"1"])
        raise ZeroDivisionError
    assert tree(dest.parent) == before


def test_a_file_whose_bytes_end_in_an_error_leaves_nothing_and_keeps_the_old_one(dest: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise OSError("lost")

    before = tree(dest)
    with Extraction(dest, overwrite=True) as out:
        for name in ("mine", "other"):
            with pytest.raises(OSError, match="lost"):
                out.write(name, chunks())
    assert tree(dest) == before


def test_names_as_long_as_the_system_allows_can_be_replaced(tmp_path: Path) -> None:
    name = "n" * 255
    (tmp_path / name).write_bytes(b"old")
    with Extraction(tmp_path, overwrite=True) as out:
        out.write(name, [b"new"])
    assert tree(tmp_path) == {name.encode(): b"new"}


def test_after_a_kill_at_any_step_the_next_run_leaves_its_files_alone_and_no_litter(dest: Path) -> None:
    existed = dest.exists()
    before = tree(dest)
    done = before | {b"a": b"1", b"b/c": b"2"}

    def fill() -> None:
        with Extraction(dest, overwrite=True) as out:
            out.write("a", [b"1"])
            out.write("b/c", [b"2"])

    steps = 0
    for _ in kills.at_each_step(fill):
        steps += 1
        for name, data in tree(dest).items():
            assert b".xlabel-partial" in name or done[name] == data, "files are whole"
        fill()
        assert tree(dest.parent) == {b"dest/" + name: data for name, data in done.items()}
        for path in sorted(dest.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            elif path.name != "mine":
                path.unlink()
        if not existed:
            dest.rmdir()
    assert steps > 4


def test_only_one_at_a_time_fills_a_folder(dest: Path) -> None:
    with Extraction(dest, overwrite=True) as out:
        with pytest.raises(InputError, match="another xlabel"):
            Extraction(dest, overwrite=True)
        out.write("a", [b"1"])
    assert tree(dest)[b"a"] == b"1"
