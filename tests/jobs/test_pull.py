"""Pull: what is in the folder already, and what at the URL is not what it should be."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.pushing import Work, files
from tests.small import FILES
from tests.tools import tree

import xlabel
from xlabel.errors import CorruptError, ExistsError, InputError
from xlabel.jobs import pull as pulling
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.opening import open_bundle
from xlabel.jobs.pull import pull
from xlabel.jobs.push import push
from xlabel.jobs.update import update

MEDIA, MANIFEST, ANNOTATIONS = FILES[0], "frame_manifest.json", "unified_annotation.json"
LOG = "generation_log.jsonl"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return (tmp_path / "there").as_uri()


@pytest.fixture
def work(tmp_path: Path, url: str) -> Work:
    """A data set that was pushed."""
    work = Work(tmp_path / "a", 9)
    push(work.pack, url)
    return work


def test_nobody_updates_a_pack_from_when_a_pull_looks_at_it(
    work: Work, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Work.pulled(url, work, tmp_path / "b")
    work.change(1)
    xlabel.compact(work.pack)
    push(work.pack, url)
    other.draw("mine.jpg", 9)

    def opened(folder: Path) -> Bundle:
        monkeypatch.setattr(pulling, "open_bundle", open_bundle)
        with pytest.raises(InputError, match="another xlabel is writing here"):
            other.update()
        return open_bundle(folder)

    monkeypatch.setattr(pulling, "open_bundle", opened)
    pull(url, other.pack)
    assert other.files == work.files


def only_media(pack: Path) -> None:
    (pack / MANIFEST).unlink()
    (pack / ANNOTATIONS).unlink()


def only_manifest(pack: Path) -> None:
    (pack / MEDIA).unlink()
    (pack / ANNOTATIONS).unlink()


def edited(pack: Path) -> None:
    path = pack / ANNOTATIONS
    path.write_bytes(path.read_bytes().replace(b'"boat"', b'"ship"'))


@pytest.mark.parametrize("change", [only_media, only_manifest, edited])
def test_a_pack_that_is_not_as_it_was_pushed_is_replaced_only_on_request(
    work: Work, url: str, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    other = Work.pulled(url, work, tmp_path / "b")
    change(other.pack)
    before = tree(other.pack)
    work.change(1)
    push(work.pack, url)
    with pytest.raises(ExistsError, match="or has changes of its own; push them"):
        pull(url, other.pack)
    assert tree(other.pack) == before
    pull(url, other.pack, overwrite=True)
    assert other.files == work.files


def test_a_folder_of_other_files_takes_a_pack_only_on_request(work: Work, url: str, tmp_path: Path) -> None:
    folder = work.labels
    before = tree(folder)
    with pytest.raises(ExistsError, match=r"or an empty folder, found \"0000\.txt\" in it; pull into"):
        pull(url, folder)
    assert tree(folder) == before
    pull(url, folder, overwrite=True)
    assert files(folder) == work.files
    assert tree(folder).items() >= before.items()


def test_a_log_of_before_is_kept_under_another_name(work: Work, url: str, tmp_path: Path) -> None:
    other = Work.pulled(url, work, tmp_path / "b")
    work.change(1)
    push(work.pack, url)
    pull(url, other.pack)
    log = (other.pack / LOG).read_bytes()
    xlabel.compact(work.pack)
    push(work.pack, url)
    notes = pull(url, other.pack).notes
    assert any("it is kept as generation_log.old1.jsonl" in note for note in notes)
    assert (other.pack / "generation_log.old1.jsonl").read_bytes() == log
    assert str(xlabel.log(other.pack)) == str(xlabel.log(work.pack))


def test_what_was_fetched_of_another_state_goes(work: Work, url: str, tmp_path: Path) -> None:
    other = Work.pulled(url, work, tmp_path / "b")
    work.change(1)
    push(work.pack, url)
    pack_id, size = json.loads(work.files[MANIFEST])["pack_id"], len(other.files[MEDIA])
    for name in (f"{size}0", f"{size}0.done"):
        (other.pack / f".xlabel-pull-{pack_id}-{name}").write_bytes(b"")
    pull(url, other.pack)
    assert not list(other.pack.glob(".xlabel-*"))


@pytest.mark.parametrize("cut", [False, True])
def test_of_damaged_media_nothing_stays(work: Work, url: str, tmp_path: Path, cut: bool) -> None:
    path = tmp_path / "there" / MEDIA
    data = path.read_bytes()
    at = json.loads(work.files[MANIFEST])["frames"][4]["offset"] + 30
    path.write_bytes(data[:at] if cut else data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(CorruptError):
        pull(url, tmp_path / "new" / "b")
    assert not (tmp_path / "new").exists()


def in_the_index(media: bytes) -> int:
    return media.rindex(b"esds") + 20


def in_a_header(media: bytes) -> int:
    return media.rindex(b"PK\3\4") + 14


def in_the_directory(media: bytes) -> int:
    return media.rindex(b"PK\1\2") + 16


def in_the_last_line(media: bytes) -> int:
    return len(media) - 3


@pytest.mark.parametrize("place", [in_the_index, in_a_header, in_the_directory, in_the_last_line])
def test_media_that_is_damaged_around_its_images_is_not_pulled(
    work: Work, url: str, tmp_path: Path, place: Callable[[bytes], int]
) -> None:
    other = Work.pulled(url, work, tmp_path / "b")
    work.change(1)
    push(work.pack, url)
    before = other.files
    path = tmp_path / "there" / MEDIA
    data = path.read_bytes()
    at = place(data)
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    for pack in (other.pack, tmp_path / "new" / "b"):
        with pytest.raises(CorruptError, match=r"nothing was changed here; .*push to another place"):
            pull(url, pack)
    assert not (tmp_path / "new").exists()
    assert other.files == before
    assert not list(other.pack.glob(".xlabel-*"))
    assert xlabel.verify(url, full=True).problems
    path.write_bytes(data)
    pull(url, other.pack)
    assert other.files == work.files


def forge(there: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Have another manifest at a URL, which the head names."""
    head = json.loads((there / "xlabel_head.json").read_bytes())
    path = there / head["whole"]["manifest"]["name"]
    manifest = json.loads(path.read_bytes())
    change(manifest)
    data = json.dumps(manifest).encode()
    path.write_bytes(data)
    for named in (head["manifest"], head["whole"]["manifest"]):
        named.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    (there / "xlabel_head.json").write_text(json.dumps(head))


def later(manifest: dict[str, Any]) -> None:
    manifest["version"] = 2


def turned(manifest: dict[str, Any]) -> None:
    manifest["frames"].reverse()


def typed(manifest: dict[str, Any]) -> None:
    manifest["frames"][2]["offset"] = "there"


@pytest.mark.parametrize(
    ("change", "told"),
    [(later, "upgrade xlabel"), (turned, "the order is broken"), (typed, "expected a frame manifest")],
)
def test_a_manifest_that_cannot_be_read_is_told_by_its_place(
    work: Work, url: str, tmp_path: Path, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    forge(tmp_path / "there", change)
    with pytest.raises(CorruptError, match=rf"{MANIFEST}: .*{told}"):
        pull(url, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    with pytest.raises(CorruptError, match=rf"{MANIFEST}: .*{told}"):
        xlabel.verify(url, full=True)


@pytest.mark.parametrize("offset", [1 << 40, 1 << 62, 1 << 66])
def test_a_frame_behind_the_end_of_the_media_is_a_problem(
    work: Work, url: str, tmp_path: Path, offset: int
) -> None:
    forge(tmp_path / "there", lambda manifest: manifest["frames"][8].update(offset=offset))
    with pytest.raises(CorruptError, match="its bytes are not those that were pushed"):
        pull(url, tmp_path / "b")
    problems = xlabel.verify(url, full=True).problems
    assert any(problem.code == "hash-mismatch" and problem.where.endswith("0008.jpg") for problem in problems)


def test_generations_that_were_pulled_at_once_are_told_and_read(work: Work, url: str, tmp_path: Path) -> None:
    other = Work.pulled(url, work, tmp_path / "b")
    for seed in range(2):
        work.change(seed)
    push(work.pack, url)
    pull(url, other.pack)
    assert str(xlabel.log(other.pack)) == str(xlabel.log(work.pack))
    report = xlabel.verify(f"{other.pack}@1")
    assert report.problems == []
    assert any("of a later generation than generation 1" in note for note in report.notes)


@pytest.mark.parametrize("folded", [False, True])
def test_the_log_after_a_pull_is_that_of_who_made_the_updates(
    work: Work, url: str, tmp_path: Path, folded: bool
) -> None:
    other = Work.pulled(url, work, tmp_path / "b")
    for seed in range(3):
        work.draw(f"new{seed}.jpg", seed)
        update(work.images, work.labels, work.pack, message=f"batch {seed}")
        if seed != 1:
            push(work.pack, url, fold=folded)
    told = str(xlabel.log(work.pack))
    assert all(f"batch {seed}" in told for seed in range(3))
    new = tmp_path / "new"
    for pack in (other.pack, new):
        pull(url, pack)
        assert str(xlabel.log(pack)) == told
        assert xlabel.verify(pack).problems == []
    assert xlabel.verify(f"{other.pack}@1").problems == []
    with pytest.raises(InputError, match="expected generation 4, the only one"):
        xlabel.open_bundle(f"{new}@2")
    update(work.images, work.labels, new)
    work.draw("more.jpg", 9)
    for pack in (new, other.pack):
        update(work.images, work.labels, pack, message="more")
        assert str(xlabel.log(pack)).splitlines()[1:] == told.splitlines()
    push(new, url)
    pull(url, work.pack)
    assert str(xlabel.log(work.pack)) == str(xlabel.log(new))
    elsewhere = (tmp_path / "elsewhere").as_uri()
    push(new, elsewhere)
    pull(elsewhere, tmp_path / "last")
    assert str(xlabel.log(tmp_path / "last")) == str(xlabel.log(new))


def test_a_log_at_a_url_that_is_damaged_is_told(work: Work, url: str, tmp_path: Path) -> None:
    work.change(1)
    push(work.pack, url, fold=True)
    (path,) = (tmp_path / "there" / "logs").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (problem,) = xlabel.verify(url).problems
    assert (problem.code, problem.where) == ("hash-mismatch", f"{url}/logs/{path.name}")
    with pytest.raises(CorruptError, match=f"logs/{path.name}: is not what the head says of it"):
        pull(url, tmp_path / "b")


def test_a_pull_hides_no_generation_of_a_pack_beside_it(work: Work, url: str) -> None:
    work.change(1)
    with pytest.raises(InputError, match=r"got what generation 1 of .* is called; give another name"):
        pull(url, f"{work.pack}@1")
    with xlabel.open_bundle(f"{work.pack}@1") as before:
        assert len(before) == 9


def test_a_pull_with_nothing_new_fetches_nothing_but_the_head(
    work: Work, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(*_: object) -> None:
        raise AssertionError("the JSON files were fetched")

    monkeypatch.setattr(pulling, "json_files", fetched)
    assert "has it already" in " ".join(pull(url, work.pack).notes)
