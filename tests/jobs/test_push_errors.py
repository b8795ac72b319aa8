"""Push and pull where things go wrong: a clear line and exit code 4, and nothing half there."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.kills import ended, started
from tests.pushing import Work, at_url, files, replace, two_works, unfinished
from tests.small import FILES
from tests.stores.proxy import Proxy
from tests.stores.servers import Place
from tests.tools import tree
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import CorruptError, InputError, StoreError
from xlabel.jobs import push as pushing
from xlabel.jobs.pull import pull
from xlabel.jobs.push import push
from xlabel.stores import s3

CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"


def refused(*arguments: str | Path) -> str:
    """The line of a command that a store ends."""
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (4, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("xlabel: ")
    return line


@pytest.mark.parametrize("place", ["s3", "azure", "sftp"], indirect=True)
def test_wrong_credentials_are_told_in_a_line(
    place: Place, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path / "a", 2)
    if url.startswith("s3"):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    elif url.startswith("az"):
        key = os.environ[CONNECTION].partition("AccountKey=")[2].partition(";")[0]
        monkeypatch.setenv(CONNECTION, os.environ[CONNECTION].replace(key, "d3Jvbmc="))
    else:
        url = url.replace("//", "//nobody@", 1) if "@" not in url else url.replace("//root@", "//nobody@")
    for line in (refused("push", work.pack, url), refused("pull", url, tmp_path / "b")):
        assert "; " in line
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("place", ["s3", "azure"], indirect=True)
def test_a_missing_bucket_is_told_in_a_line(place: Place, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 2)
    url = place.url.replace("lab", "nowhere") + "/x"
    assert "nowhere" in refused("push", work.pack, url)
    assert "nowhere" in refused("pull", url, tmp_path / "b")


def test_where_nothing_was_pushed_there_is_nothing_to_pull(url: str, tmp_path: Path) -> None:
    line = refused("pull", url, tmp_path / "b")
    assert "found no xlabel_head.json; is the URL right? if so, push one there" in line
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_server_that_is_busy_for_a_while_is_waited_for(
    network: Proxy, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "pause", lambda attempt: 0.01)
    work = Work(tmp_path / "a", 3, 4_000_000)
    network.busy = 3
    push(work.pack, url)
    network.break_all()
    network.busy = 3
    pull(url, tmp_path / "b")
    assert files(tmp_path / "b") == work.files
    assert network.busy == 0


@pytest.mark.parametrize("place", ["s3", "azure", "sftp"], indirect=True)
@pytest.mark.parametrize("after", [2_000, 9_000_000, 20_000_000])
def test_connections_that_break_are_made_again(network: Proxy, far: str, after: int, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 3, 8_000_000)
    network.cut(sent=after)
    push(work.pack, far)
    network.cut(received=after)
    pull(far, tmp_path / "b")
    assert files(tmp_path / "b") == work.files


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_server_that_goes_away_leaves_what_was_there_and_the_push_goes_on_later(
    place: Place, network: Proxy, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    work = Work(tmp_path / "a", 4, 8_000_000)
    push(work.pack, url)
    before = work.files
    for number in range(8):
        work.draw(f"new{number}.jpg", number, 8_000_000)
        work.label(f"new{number}.jpg", number)
    work.update()
    network.cut(sent=55_000_000)
    network.bandwidth = 80e6

    def away() -> None:
        while network._cut:
            time.sleep(0.001)
        network.down = True

    thread = threading.Thread(target=away)
    thread.start()
    with pytest.raises(StoreError, match=r"tried 2 times; is the network there"):
        push(work.pack, url)
    thread.join()
    network.down, network.bandwidth = False, None
    assert at_url(url, tmp_path / "b") == before
    report = push(work.pack, url)
    assert report.bytes < 60_000_000
    assert at_url(url, tmp_path / "b") == work.files
    assert unfinished(place, url) == 0


@pytest.mark.parametrize("place", ["file", "s3"], indirect=True)
def test_a_pull_without_room_changes_nothing(url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 4, 1_000_000)
    push(work.pack, url)
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000));"
        "from xlabel.cli import main; sys.exit(main())"
    )
    for folder in (tmp_path / "new", tmp_path / "old"):
        if folder.name == "old":
            other = Work(tmp_path / "c", 3)
            other.pack.rename(folder)
        before = files(folder) if folder.exists() else None
        overwrite = ["--overwrite"] if before else []
        run = [sys.executable, "-c", script, "pull", url, str(folder), *overwrite]
        done = subprocess.run(run, capture_output=True, text=True)
        assert done.returncode == 4, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"xlabel: {folder}: cannot be written: File too large; nothing was changed")
        assert (files(folder) if before else None) == before
    pull(url, tmp_path / "new")
    assert files(tmp_path / "new") == work.files


def test_a_pull_onto_a_full_disk_keeps_what_has_arrived(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, there = Work(tmp_path / "a", 5, 1_000_000), (tmp_path / "there").as_uri()
    push(work.pack, there)
    monkeypatch.setattr("xlabel.jobs.fetch.RANGE", 300_000)
    with pytest.raises(StoreError, match=r"No space left on device; nothing .* make room and pull again"):
        pull(there, disk / "b")
    subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
    assert pull(there, disk / "b").bytes < 3_000_000
    assert files(disk / "b") == work.files


@pytest.mark.parametrize("place", ["file", "s3", "azure", "sftp"], indirect=True)
def test_a_pull_that_is_killed_goes_on_where_it_was(url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 12, 4_000_000)
    push(work.pack, url)
    folder = tmp_path / "b"
    child = started(lambda: pull(url, folder))
    while not (done := list(folder.glob(".xlabel-pull-*.done"))) or done[0].stat().st_size < 8:
        time.sleep(0.001)
    os.kill(child, 9)
    if ended(child):
        assert not [name for name in FILES if (folder / name).exists()]
        assert pull(url, folder).bytes <= len(work.files[FILES[0]]) - (8 << 20)
    assert files(folder) == work.files
    assert not list(folder.glob(".xlabel-*"))


def test_reports_are_json_on_request(tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 3)
    url = (tmp_path / "there").as_uri()
    pack, copy = str(work.pack), str(tmp_path / "b")
    for arguments in (["push", pack, url, "--dry-run"], ["push", pack, url], ["pull", url, copy]):
        done = command(*arguments, "--json")
        report = json.loads(done.stdout)
        assert (report["job"], report["exit_code"], done.returncode) == (arguments[0], 0, 0)
        assert report["bytes"] > 0


def test_progress_ends_at_all_there_is(url: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 6, 300_000)
    told: list[tuple[int, int]] = []
    push(work.pack, url, progress=lambda done, total: told.append((done, total)))
    pull(url, tmp_path / "b", progress=lambda done, total: told.append((done, total)))
    assert all(0 <= done <= total for done, total in told)
    size = sum(map(len, work.files.values()))
    assert (size, size) in told
    assert told[-1][0] == told[-1][1] == len(work.files[FILES[0]])


def test_what_is_no_url_is_refused(tmp_path: Path) -> None:
    work = Work(tmp_path / "a", 2)
    done = command("push", work.pack, tmp_path / "there")
    assert done.returncode == 2
    assert "expected a URL to push to, such as s3://bucket/name or file:///folder" in done.stderr
    assert "nothing" not in done.stdout
    assert not (tmp_path / "there").exists()
    assert xlabel.verify(work.pack).problems == []


def test_a_pack_is_not_pushed_onto_itself(tmp_path: Path) -> None:
    work = Work(tmp_path, 2)
    before = tree(work.pack)
    (tmp_path / "link").symlink_to(work.pack)
    for job in (push, lambda folder, url: pull(url, folder)):
        for url in (work.pack.as_uri(), (tmp_path / "link").as_uri()):
            with pytest.raises(InputError, match="itself; name another folder"):
                job(work.pack, url)
    assert tree(work.pack) == before


def overtaken(url: str, folder: Path) -> Work:
    """A data set with changes of its own; somebody else's have been pushed since it was pulled."""
    first, second = two_works(url, folder)
    for seed, work in enumerate((first, second)):
        work.change(seed)
    push(first.pack, url)
    return second


def test_a_dry_run_when_others_have_pushed_says_that_bytes_cannot_be_told(tmp_path: Path) -> None:
    url = (tmp_path / "there").as_uri()
    second = overtaken(url, tmp_path)
    before = second.files
    report = push(second.pack, url, dry_run=True)
    assert "others have pushed to " in report.notes[0]
    assert "how many bytes it then sends cannot be told before they are here" in report.notes[0]
    assert (report.bytes, report.seconds, second.files) == (0, 0, before)


def flip(path: Path) -> None:
    """Damage a file in its midst, as a disk does."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "what", ["media_bundle.mp4", "unified_annotation.json", "deltas", "xlabel_head.json"]
)
def test_of_what_is_damaged_pull_and_push_give_the_same_advice_that_helps(tmp_path: Path, what: str) -> None:
    there = tmp_path / "there"
    work = Work(tmp_path / "a", 6)
    push(work.pack, there.as_uri())
    work.change(1)
    push(work.pack, there.as_uri())
    path = there / what
    path = next(path.iterdir()) if path.is_dir() else path
    if what == "xlabel_head.json":
        path.write_bytes(b"{")
    else:
        flip(path)
    with pytest.raises(CorruptError, match="push to another place, from a folder that has the pack whole"):
        pull(there.as_uri(), tmp_path / "b")
    elsewhere = (tmp_path / "elsewhere").as_uri()
    push(work.pack, elsewhere)
    pull(elsewhere, tmp_path / "b")
    assert files(tmp_path / "b") == work.files


@pytest.mark.parametrize("field", ["seal", "generation", "pack_id"])
def test_a_head_that_says_another_state_than_its_files_is_damaged_and_nothing_is_rebased_upon_it(
    tmp_path: Path, field: str
) -> None:
    there = tmp_path / "there"
    url = there.as_uri()
    first = Work(tmp_path / "a", 6)
    push(first.pack, url)
    second = Work.pulled(url, first, tmp_path / "b")
    first.change(1)
    push(first.pack, url)
    second.change(2)
    head = json.loads((there / "xlabel_head.json").read_bytes())
    head[field] = 3 if field == "generation" else "0000" + head[field][4:]
    (there / "xlabel_head.json").write_text(json.dumps(head))
    before = second.files
    told = (
        f"its head says {field.removesuffix('_id')} .*push to another place, from a folder that has the pack"
    )
    with pytest.raises(CorruptError, match=told):
        push(second.pack, url)
    assert second.files == before
    with pytest.raises(CorruptError, match=told):
        pull(url, tmp_path / "c")
    with pytest.raises(CorruptError, match=told), xlabel.stream(url) as samples:
        list(samples)
    (problem,) = xlabel.verify(url).problems
    assert "its head says" in problem.message


def test_a_push_rebases_once_upon_a_head_and_then_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (tmp_path / "there").as_uri()
    second = overtaken(url, tmp_path)
    made = []

    def rebase(*asked: object) -> str:
        made.append(asked)
        return "nothing"

    monkeypatch.setattr(pushing, "rebase", rebase)
    with pytest.raises(
        CorruptError, match=r"expected it to go on from generation 2 of .*found that it does not"
    ):
        push(second.pack, url)
    assert len(made) == 1


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_media_that_is_damaged_where_it_lies_is_not_grown_and_the_advice_helps(
    place: Place, url: str, tmp_path: Path
) -> None:
    work = Work(tmp_path / "a", 6, 1_000_000)
    push(work.pack, url)
    data = bytearray(work.files["media_bundle.mp4"])
    data[2_000_000] ^= 1
    replace(place, url, "media_bundle.mp4", bytes(data))
    work.change(1)
    with pytest.raises(StoreError, match="push to another place, from a folder that has the pack whole"):
        push(work.pack, url)
