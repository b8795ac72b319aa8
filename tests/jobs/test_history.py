"""The generations of a pack: told, compared, read again; and logs that are not what was written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.changing import Folder, described
from tests.tools import tree
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import CorruptError, InputError, XlabelError

LOG = "generation_log.jsonl"


class Pack:
    """A pack of four generations, and the folder as it was in each."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root / "source")
        self.output = root / "output"
        xlabel.pack(self.folder.images, self.folder.labels, self.output)
        self.states = {1: self.folder.files}
        self.do(lambda folder: folder.add("new.jpg", 20), "one more")
        self.do(lambda folder: folder.rename("a.jpg", "z.jpg"), "renamed")
        self.do(lambda folder: folder.label("b/d.webp", 7), "")

    def do(self, change: Callable[[Folder], None], message: str) -> None:
        change(self.folder)
        self.update(message)
        self.states[len(self.states) + 1] = self.folder.files

    def update(self, message: str = "") -> xlabel.Report:
        return xlabel.update(self.folder.images, self.folder.labels, self.output, message=message)

    def restored(self, generation: int) -> dict[bytes, bytes]:
        place = self.output.with_name("restored")
        shutil.rmtree(place, ignore_errors=True)
        assert xlabel.unpack(f"{self.output}@{generation}", place).problems == []
        return tree(place)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return Pack(tmp_path)


def test_each_generation_is_read_as_it_was(pack: Pack) -> None:
    for generation, files in pack.states.items():
        assert pack.restored(generation) == files
        report = xlabel.verify(f"{pack.output}@{generation}")
        assert report.problems == []


def test_log_tells_number_time_message_and_changes(pack: Pack) -> None:
    done = command("log", pack.output)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["4", "3", "2", "1"]
    assert lines[1].endswith("1 renamed; renamed") and lines[2].endswith("1 added; one more")
    told = json.loads(command("log", pack.output, "--json").stdout)
    assert [one["changes"] for one in told["log"]] == [{"relabelled": 1}, {"renamed": 1}, {"added": 1}]


def test_a_fresh_pack_has_one_generation_and_no_log(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "source")
    xlabel.pack(folder.images, folder.labels, tmp_path / "output")
    assert not (tmp_path / "output" / LOG).exists()
    assert command("log", tmp_path / "output").stdout == "   1  packed\n"
    with xlabel.open_bundle(f"{tmp_path / 'output'}@1") as bundle:
        assert len(bundle) == 4


def test_diff_names_what_differs_between_any_two_generations(pack: Pack) -> None:
    there = pack.output
    assert xlabel.diff(f"{there}@1", f"{there}@4").keys == {
        "added": ["new.jpg"],
        "renamed": ["z.jpg"],
        "relabelled": ["b/d.webp"],
    }
    assert xlabel.diff(f"{there}@4", f"{there}@3").keys == {"relabelled": ["b/d.webp"]}
    assert xlabel.diff(f"{there}@3", f"{there}@1").keys == {"renamed": ["a.jpg"], "removed": ["new.jpg"]}
    assert not xlabel.diff(there, f"{there}@4").changes
    assert "a.jpg -> z.jpg" in command("diff", f"{there}@1", there).stdout


def test_control_characters_of_a_message_do_not_reach_the_terminal(pack: Pack) -> None:
    pack.do(lambda folder: folder.draw("b.png", 30), "\x1b[31mred\nline")
    assert r"\x1b[31mred\nline" in command("log", pack.output).stdout


@pytest.mark.parametrize("number", [0, 5, 99])
def test_a_generation_that_there_is_not_is_refused_with_those_that_there_are(pack: Pack, number: int) -> None:
    with pytest.raises(InputError, match="expected one of the generations 1, 2, 3, 4, got"):
        xlabel.open_bundle(f"{pack.output}@{number}")
    done = command("unpack", f"{pack.output}@{number}", pack.output.with_name("x"))
    assert done.returncode == 2 and "see xlabel log" in done.stderr


@pytest.mark.parametrize("media", ["a.tar", "a.zip"])
def test_generations_of_a_bundle_that_is_written_anew_are_told_and_cannot_be_read(
    tmp_path: Path, media: str
) -> None:
    folder = Folder(tmp_path / "source")
    output = tmp_path / "output"
    xlabel.pack(folder.images, folder.labels, output, media=media)
    folder.add("new.jpg", 20)
    report = xlabel.update(folder.images, folder.labels, output)
    assert any(f"{media[-4:]} is written anew" in note for note in report.notes)
    assert [line.changes for line in xlabel.log(output).log] == [{"added": 1}]
    with pytest.raises(InputError, match="the media was written anew in generation 2"):
        xlabel.open_bundle(f"{output}@1")
    with xlabel.open_bundle(f"{output}@2") as bundle:
        assert len(bundle) == 5


def test_a_folder_whose_name_looks_like_a_generation_is_that_folder(pack: Pack) -> None:
    other = shutil.copytree(pack.output, pack.output.with_name("output@1"))
    with xlabel.open_bundle(other) as bundle:
        assert bundle.generation == 4


# Logs that are not what was written


def cut(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-40])


def edited(log: Path) -> None:
    log.write_bytes(log.read_bytes().replace(b'"file_name":"new.jpg"', b'"file_name":"newer.jpg"', 1))


def missing(log: Path) -> None:
    log.unlink()


def another(log: Path) -> None:
    folder = Folder(log.parent.with_name("others"))
    output = log.parent.with_name("other pack")
    xlabel.pack(folder.images, folder.labels, output)
    for seed in range(3):
        folder.add("more.jpg", 60 + seed)
        xlabel.update(folder.images, folder.labels, output)
    shutil.copy(output / LOG, log)


def backwards(log: Path) -> None:
    log.write_bytes(log.read_bytes().replace(b'"size":', b'"size":-', 1))


def endless(log: Path) -> None:
    line = b'{"generation":2,"before":1,"time":"","changes":{},"pack_id":"","media_size":1,"size":-%d}\n'
    log.write_bytes((line % 97) * 2)


def huge(log: Path) -> None:
    log.write_bytes(log.read_bytes().replace(b'"size":', b'"size":99999999999999999999', 1))


def nested(log: Path) -> None:
    log.write_bytes(b"[" * 100_000 + b"\n")


DAMAGES = [cut, edited, missing, another, backwards, endless, huge, nested]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_log_that_does_not_lead_to_the_pack_is_set_aside_and_nothing_of_it_is_lost(
    pack: Pack, damage: Callable[[Path], None]
) -> None:
    log = pack.output / LOG
    damage(log)
    was = log.read_bytes() if log.exists() else None
    assert xlabel.verify(pack.output).problems == []
    assert xlabel.log(pack.output).log == []
    assert "what was before is not in" in command("log", pack.output).stdout
    with pytest.raises(XlabelError):
        xlabel.open_bundle(f"{pack.output}@2")
    pack.folder.draw("b.png", 40)
    report = pack.update("after")
    assert any("generations below 4 cannot be read here" in note for note in report.notes)
    if was is not None:
        (aside,) = pack.output.glob("generation_log.old*.jsonl")
        assert aside.read_bytes() == was and any(aside.name in note for note in report.notes)
    assert [line.message for line in xlabel.log(pack.output).log] == ["after"]
    assert pack.restored(4) == pack.states[4]


def test_changes_that_were_edited_in_the_log_are_told_of_or_seen_by_their_hash(pack: Pack) -> None:
    log = pack.output / LOG
    data = log.read_bytes()
    log.write_bytes(data.replace(b'"file_name":"a.jpg"', b'"file_name":"b.jpg"'))
    report = xlabel.verify(f"{pack.output}@1")
    assert {problem.code for problem in report.problems} >= {"annotations-changed"}
    log.write_bytes(data.replace(b'"image":{', b'"image":[', 1))
    with pytest.raises(CorruptError, match=r"generation_log\.jsonl: the changes of generation"):
        xlabel.open_bundle(f"{pack.output}@1")


def test_packing_again_begins_with_generation_one(pack: Pack) -> None:
    xlabel.pack(pack.folder.images, pack.folder.labels, pack.output, overwrite=True)
    assert (xlabel.log(pack.output).generation, xlabel.log(pack.output).log) == (1, [])
    pack.folder.draw("b.png", 40)
    pack.update("again")
    assert [line.message for line in xlabel.log(pack.output).log] == ["again"]
    assert len(described(pack.output / "unified_annotation.json").imgs) == 5
