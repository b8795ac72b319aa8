"""When things go wrong: kills, full disks, files that change. What was there before stays, or all is new."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from multiprocessing import active_children
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from tests import kills, small
from tests.tools import put, tree

import xlabel
from xlabel import cli
from xlabel.errors import CorruptError, InputError, XlabelError
from xlabel.jobs import annotate, frames, integrity, opening, workers
from xlabel.jobs import pack as packing
from xlabel.jobs import pipeline as piping
from xlabel.stores import local

Files = dict[bytes, bytes]


class Pair:
    """Two data sets, and the files that packing each of them gives."""

    def __init__(self, folder: Path, count: int) -> None:
        self.sources = [small.build(folder / str(seed), seed, count) for seed in range(2)]
        self.packs: list[Files] = []
        for seed, source in enumerate(self.sources):
            xlabel.pack(*source, folder / f"pack{seed}")
            self.packs.append(tree(folder / f"pack{seed}"))
        assert set(self.packs[0]) == set(self.packs[1]) == {name.encode() for name in small.FILES}
        assert all(self.packs[0][name] != self.packs[1][name] for name in self.packs[0])

    def which(self, folder: Path) -> int:
        """0 or 1, as all files of a folder are of that pack; the test fails where they are of neither."""
        return self.packs.index(tree(folder))

    def all_whole(self, folder: Path) -> bool:
        """Whether each file is of one pack or of the other."""
        found = {name: data for name, data in tree(folder).items() if b"/" not in name}
        return all(data in (self.packs[0][name], self.packs[1][name]) for name, data in found.items())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("pair"), 4)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """So many images that several processes share them."""
    return Pair(tmp_path_factory.mktemp("many"), 600)


@pytest.fixture
def output(pair: Pair, tmp_path: Path) -> Path:
    """A folder with the first pack of the pair."""
    folder = tmp_path / "output"
    put(pair.packs[0], folder)
    return folder


def run(*arguments: str | Path) -> int:
    """The command's exit code, in this process."""
    how: dict[str, Any] = {"exit_on_error": False, "print_error": False, "result_action": "return_value"}
    return int(cli.app.meta([*map(str, arguments)], **how))


def opened(folder: Path) -> None:
    with xlabel.open_bundle(folder) as found:
        assert [found.image_bytes(number) for number in range(len(found))]
        assert found.annotations(0)


def verified(folder: Path) -> None:
    report = xlabel.verify(folder)
    assert report.exit_code == 0 and report.done["images"] >= 4


# Kills


@pytest.mark.parametrize("next_run", [opened, verified])
def test_killed_at_any_step_a_pack_is_whole_and_rolls_forward_or_back(
    pair: Pair, output: Path, next_run: Callable[[Path], None]
) -> None:
    ends = []
    for _ in kills.at_each_step(lambda: xlabel.pack(*pair.sources[1], output, overwrite=True, workers=1)):
        assert pair.all_whole(output)
        next_run(output)
        ends.append(pair.which(output))
        put(pair.packs[0], output)
    assert ends == sorted(ends) and set(ends) == {0, 1}
    assert len(ends) > 20


def test_killed_at_any_step_a_first_pack_is_not_there_or_whole(pair: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "output"
    ends = []
    for _ in kills.at_each_step(lambda: xlabel.pack(*pair.sources[0], folder, workers=1)):
        try:
            opened(folder)
        except InputError:
            assert not folder.exists() or tree(folder) == {}
            xlabel.pack(*pair.sources[0], folder, workers=1)
            ends.append("pack again")
        else:
            ends.append("whole")
        assert pair.which(folder) == 0
        shutil.rmtree(folder.parent)
    assert ends == sorted(ends) and set(ends) == {"pack again", "whole"}


def test_killed_at_any_step_the_annotations_alone_are_old_or_new(pair: Pair, output: Path) -> None:
    images, labels = pair.sources[0]
    target = output / "unified_annotation.json"
    ends = []

    def build() -> None:
        manifest = annotate.find_manifest(str(output / "frame_manifest.json"), required=True)
        annotate.annotate(images, labels, target, manifest=manifest, overwrite=True)

    (labels / "b" / "0001.txt").write_text("3 0.5 0.5 0.1 0.1\n")
    for _ in kills.at_each_step(build):
        verified(output)
        assert set(tree(output)) == set(pair.packs[0])
        ends.append(target.read_bytes() == pair.packs[0][b"unified_annotation.json"])
        put(pair.packs[0], output)
    assert ends == sorted(ends, reverse=True) and len(set(ends)) == 2
    small.build(images.parent, 0, 4)


def test_annotations_are_built_on_the_manifest_that_a_killed_pack_was_publishing(
    pair: Pair, output: Path
) -> None:
    lengths = []
    for _ in kills.at_each_step(lambda: xlabel.pack(*pair.sources[1], output, overwrite=True, workers=1)):
        manifest = annotate.find_manifest(str(output / "frame_manifest.json"), required=True)
        assert manifest is not None
        lengths.append(len(manifest.frames))
        source = pair.sources[lengths[-1] - 4]
        annotate.annotate(*source, output / "unified_annotation.json", manifest=manifest, overwrite=True)
        verified(output)
        put(pair.packs[0], output)
    assert set(lengths) == {4, 5}


def test_killed_at_sixty_moments_each_file_is_old_or_new_and_the_next_run_goes_on(
    many: Pair, tmp_path: Path
) -> None:
    folder = tmp_path / "output"
    put(many.packs[0], folder)
    now = 0
    chance = random.Random(18)
    began = time.monotonic()
    assert kills.ended(kills.started(lambda: pack_by_command(many.sources[0], folder))) == 0
    whole = time.monotonic() - began
    assert many.which(folder) == 0
    outcomes = []
    for kill in range(60):
        leader = kills.started(partial(pack_by_command, many.sources[1 - now], folder))
        time.sleep(whole * chance.uniform(0, 1.2))
        kills.killed(leader, chance.choice([os.killpg, os.kill]))  # all of its processes, or the first
        kills.wait_until_free(folder)
        assert many.all_whole(folder)
        if kill % 3 == 0:
            opened(folder)
        elif kill % 3 == 1:
            verified(folder)
        else:
            xlabel.pack(*many.sources[now], folder, overwrite=True)
            assert many.which(folder) == now
        after = many.which(folder)
        outcomes.append(after != now)
        now = after
    assert len(set(outcomes)) == 2, "some packs came to their end, some did not"


def pack_by_command(source: tuple[Path, Path], folder: Path) -> None:
    with redirect_stdout(StringIO()):
        code = run("pack", *source, "--output", folder, "--overwrite", "--workers", "3")
    assert code == 0


def test_workers_whose_parent_is_killed_end_and_let_go_of_the_folder(many: Pair, tmp_path: Path) -> None:
    put(many.packs[0], tmp_path / "output")
    program = (
        "import os, sys, xlabel\n"
        "from xlabel.jobs import frames\n"
        "frames.BATCH = 4000\n"
        "def die(done, total): os.kill(os.getpid(), 9)\n"
        "xlabel.pack(*sys.argv[1:4], overwrite=True, workers=3, progress=die)\n"
    )
    arguments = [*map(str, many.sources[1]), str(tmp_path / "output")]
    killed = subprocess.run([sys.executable, "-c", program, *arguments])
    assert killed.returncode == -signal.SIGKILL
    kills.wait_until_free(tmp_path / "output")
    xlabel.pack(*many.sources[1], tmp_path / "output", overwrite=True)
    assert many.which(tmp_path / "output") == 1


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_worker_that_dies_ends_the_run_and_leaves_what_was_there(
    many: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: int
) -> None:
    folder = tmp_path / "output"
    put(many.packs[0], folder)
    monkeypatch.setattr(frames, "BATCH", 4000)

    def kill(done: int, total: int) -> None:
        for worker in sorted(active_children(), key=lambda process: process.pid or 0)[victim : victim + 1]:
            worker.kill()

    with pytest.raises(XlabelError, match="a worker process died") as died:
        xlabel.pack(*many.sources[1], folder, overwrite=True, workers=3, progress=kill)
    assert died.value.exit_code == 2
    assert many.which(folder) == 0
    assert not active_children()


def test_a_worker_that_dies_within_a_message_is_told_of_as_such(
    many: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_said(packer: Any, plan: Any, pipe: Any, parents: Any) -> None:
        os.write(pipe.fileno(), b"\0\0\1\0half")
        os._exit(3)

    monkeypatch.setattr(workers, "_work", half_said)
    with pytest.raises(XlabelError, match=r"a worker process died \(exit code 3\)"):
        xlabel.pack(*many.sources[1], tmp_path / "output", workers=2)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error"), KeyError("x")])
def test_an_error_in_a_worker_ends_the_run_with_that_error(
    many: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    folder = tmp_path / "output"
    put(many.packs[0], folder)

    def fail(self: object, grant: object) -> None:
        raise error

    monkeypatch.setattr(frames.Packer, "store", fail)
    expected = "Input/output error" if isinstance(error, OSError) else type(error).__name__
    with pytest.raises((XlabelError, RuntimeError), match=expected):
        xlabel.pack(*many.sources[1], folder, overwrite=True, workers=2)
    assert many.which(folder) == 0
    assert not active_children()


# Several at once


def test_of_two_packs_into_one_folder_the_second_is_refused(pair: Pair, output: Path) -> None:
    refused = []

    def second(done: int, total: int) -> None:
        with pytest.raises(InputError, match="another xlabel is writing here") as error:
            xlabel.pack(*pair.sources[0], output, overwrite=True)
        refused.append(error.value.exit_code)
        opened(output)  # and who reads sees the old files

    xlabel.pack(*pair.sources[1], output, overwrite=True, progress=second, workers=1)
    assert refused == [2]
    assert pair.which(output) == 1


def test_a_bundle_that_is_open_stays_as_it_was_when_another_is_packed_there(pair: Pair, output: Path) -> None:
    with xlabel.open_bundle(output) as old:
        xlabel.pack(*pair.sources[1], output, overwrite=True)
        assert len(old) == 4 and old.image_bytes(0) == (pair.sources[0][0] / "a/0000.jpg").read_bytes()
        assert [a.category.id for a in old.annotations(0) if a.category] == [0]
        assert old.manifest is not None and old.manifest.pack_id == old.pack_id
    with xlabel.open_bundle(output) as new:
        assert len(new) == 5 and [a.category.id for a in new.annotations(0) if a.category] == [1]


def test_labels_that_were_overwritten_in_their_place_are_never_read_into_a_bundle(
    pair: Pair, output: Path
) -> None:
    with xlabel.open_bundle(output) as old:
        (output / "unified_annotation.json").write_bytes(pair.packs[1][b"unified_annotation.json"])
        with pytest.raises(CorruptError, match="open the bundle again"):
            old.annotations(0)


@pytest.mark.parametrize("reading", range(8))
def test_a_pack_that_is_published_while_another_is_opened_gives_one_of_the_two_whole(
    pair: Pair, output: Path, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    real, opened = os.open, 0

    def watched(path: Any, *arguments: Any, **options: Any) -> int:
        nonlocal opened
        if os.fsdecode(path).startswith(str(output)):
            if opened == reading:
                opened += 1
                xlabel.pack(*pair.sources[1], output, overwrite=True, workers=1)
            opened += 1
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", watched)
    report = xlabel.verify(output)
    assert report.problems == [] and report.done["images"] in (4, 5)


@pytest.mark.parametrize("step", range(4))
def test_verify_sees_the_pack_that_it_began_with_whatever_is_published_meanwhile(
    pair: Pair, output: Path, step: int
) -> None:
    real, steps = integrity._check_frame, 0

    def check(*arguments: Any) -> None:
        nonlocal steps
        if steps == step:
            xlabel.pack(*pair.sources[1], output, overwrite=True, workers=1)
        steps += 1
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integrity, "_check_frame", check)
        report = xlabel.verify(output)
    assert report.problems == [] and report.done == {"images": 4, "annotations": 4}
    assert xlabel.verify(output).done["images"] == 5


def test_a_pack_that_is_replaced_over_and_over_is_whole_at_every_look(pair: Pair, output: Path) -> None:
    def replace() -> None:
        for turn in range(10**6):
            xlabel.pack(*pair.sources[turn % 2], output, overwrite=True, workers=1)

    writer = kills.started(replace)
    try:
        seen = set()
        for look in range(400):
            report = xlabel.verify(output)
            assert report.problems == []
            seen.add(report.done["images"])
            if look % 10 == 0:
                xlabel.unpack(output, output.parent / str(look))
                assert len(list((output.parent / str(look)).rglob("*.txt"))) in (4, 5)
        assert seen == {4, 5}, "both were seen"
    finally:
        assert kills.killed(writer)


@pytest.mark.parametrize("changed", range(1, 7))
def test_files_of_two_packs_are_never_accepted_together(pair: Pair, output: Path, changed: int) -> None:
    for place, name in enumerate(small.FILES):
        if changed >> place & 1:
            (output / name).write_bytes(pair.packs[1][name.encode()])
    with pytest.raises(CorruptError, match="do not belong together"):
        xlabel.verify(output)
    if changed not in (3, 4):  # the manifest alone is of another pack, and is not needed
        with pytest.raises(CorruptError, match="do not belong together"):
            xlabel.open_bundle(output)
    assert run("unpack", output, output.parent / "dest") == (0 if changed in (3, 4) else 2)


# Files that change while they are read


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def swap(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "grown": grow,
    "shrunk": lambda path: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path: os.truncate(path, 0),
    "gone": Path.unlink,
    "a folder": lambda path: swap(path, Path.mkdir),
    "a pipe": lambda path: swap(path, os.mkfifo),
    "a link to itself": lambda path: swap(path, lambda p: p.symlink_to(p.name)),
}


@pytest.fixture
def fresh(tmp_path: Path) -> tuple[Path, Path]:
    return small.build(tmp_path / "source")


def changing(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Have something change between the scan of the images and the reading of them."""

    def scanned(*arguments: Any) -> local.Scan:
        found = local.scan(*arguments)
        change()
        return found

    monkeypatch.setattr(packing, "scan", scanned)


def large_from(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files from a size on handled like those of 64 MiB: each in a batch of its own."""
    monkeypatch.setattr(frames, "LARGE", size)
    monkeypatch.setattr(frames, "BATCH", 1)


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("media", ["m.mp4", "m.tar", "m.zip"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_is_a_problem_and_shifts_nothing(
    fresh: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    media: str,
    large: bool,
) -> None:
    images, labels = fresh
    victim = images / "b/0001.jpg"
    others = {name.decode(): data for name, data in tree(images).items() if name != b"b/0001.jpg"}
    if large:
        large_from(100, monkeypatch)
    changing(monkeypatch, lambda: CHANGES[change](victim))
    report = xlabel.pack(images, labels, tmp_path / "pack", media=media)
    assert report.exit_code == 1
    assert [p.code for p in report.problems if p.where == str(victim)] == ["unreadable"]
    assert inside(tmp_path / "pack" / media) == others
    left = report.problems[:1] + [p for p in report.problems if p.code == "label-without-image"]
    assert {p.code for p in report.problems} <= {p.code for p in left}
    assert xlabel.verify(tmp_path / "pack").exit_code == 0


def inside(media: Path) -> dict[str, bytes]:
    """The files in a bundle as other readers see them."""
    if media.suffix == ".tar":
        import tarfile

        with tarfile.open(media) as archive:
            members = archive.getmembers()
            return {m.name: file.read() for m in members if (file := archive.extractfile(m)) is not None}
    with ZipFile(media) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def test_a_file_that_may_not_be_read_is_a_problem(
    fresh: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if os.fsencode(path).endswith(b"0001.jpg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    report = xlabel.pack(*fresh, tmp_path / "pack", workers=1)
    assert [p.code for p in report.problems if p.where.endswith("0001.jpg")] == ["unreadable"]
    assert report.exit_code == 1 and report.done["images"] == 3


def test_a_file_that_goes_while_the_folder_is_walked_is_a_problem(
    fresh: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = local._is_image

    def is_image(folder: bytes, name: bytes) -> bool:
        found = real(folder, name)
        if name == b"b/0001.jpg":
            Path(os.fsdecode(folder + b"/" + name)).unlink()
        return found

    monkeypatch.setattr(local, "_is_image", is_image)
    found = local.scan(fresh[0])
    assert list(found.keys) == ["a/0000.jpg", "a/0002.jpg", "b/0003.jpg"]
    assert [(p.where, p.code) for p in found.problems] == [(f"{fresh[0]}/b/0001.jpg", "unreadable")]


@pytest.mark.parametrize("change", ["shrunk", "gone", "overwritten"])
def test_a_large_file_that_changes_between_hashing_and_copying_leaves_what_was_there(
    pair: Pair,
    fresh: tuple[Path, Path],
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    large_from(100, monkeypatch)
    victim = fresh[0] / "b/0001.jpg"
    real = frames._read_large

    def read(fd: int, size: int, pixels: bool) -> Any:
        found = real(fd, size, pixels)
        if os.fstat(fd).st_ino == inode:
            if change == "overwritten":
                victim.write_bytes(bytes(size))
            else:
                CHANGES[change](victim)
        return found

    inode = victim.stat().st_ino
    monkeypatch.setattr(frames, "_read_large", read)
    with pytest.raises(InputError, match=r"b/0001\.jpg: (changed while it was|cannot be) read.*pack again"):
        xlabel.pack(*fresh, output, overwrite=True, workers=1)
    assert pair.which(output) == 0


def test_a_label_file_that_goes_is_no_label_and_no_crash(
    fresh: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing(monkeypatch, lambda: shutil.rmtree(fresh[1] / "b"))
    report = xlabel.pack(*fresh, tmp_path / "pack")
    assert report.done["images"] == 4 and report.done["annotations"] == 2


# Places that take no more


def fill(disk: Path, spare: int) -> None:
    """Leave so many bytes free."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    free = shutil.disk_usage(disk).free
    filler.write_bytes(bytes(max(0, free - spare)))


@pytest.mark.parametrize("processes", [1, 3])
def test_a_disk_that_fills_up_at_any_point_leaves_what_was_there(
    many: Pair, disk: Path, processes: int
) -> None:
    folder = disk / "output"
    put(many.packs[0], folder)
    outcomes = []
    for spare in range(0, 2_000_000, 65_536):
        fill(disk, spare)
        try:
            xlabel.pack(*many.sources[1], folder, overwrite=True, workers=processes)
        except InputError as error:
            assert "disk" in str(error) or "No space left" in str(error)
            assert many.which(folder) == 0
            outcomes.append("full")
        else:
            assert many.which(folder) == 1
            outcomes.append("fits")
            break
    assert outcomes[-1] == "fits" and outcomes.count("full") > 2


def test_a_disk_that_fills_up_while_unpacking_leaves_no_half_of_it(many: Pair, disk: Path) -> None:
    put(many.packs[0], disk / "pack")
    for spare in (0, 20_000, 200_000):
        fill(disk, spare)
        before = tree(disk)
        with pytest.raises(InputError, match="No space left"):
            xlabel.unpack(disk / "pack", disk / "dest")
        assert tree(disk) == before
    (disk / "filler").unlink()
    (disk / "mine").mkdir()
    (disk / "mine" / "x").write_bytes(b"mine")
    fill(disk, 20_000)
    with pytest.raises(InputError, match="No space left"):
        xlabel.convert(many.sources[0][1], disk / "labels.json", to="coco", images=many.sources[0][0])
    assert not (disk / "labels.json").exists()


def test_a_file_size_limit_ends_the_command_and_leaves_what_was_there(many: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "output"
    put(many.packs[0], folder)
    limit = 60_000
    assert limit < len(many.packs[0][b"unified_annotation.json"])
    done = subprocess.run(
        [sys.executable, "-m", "xlabel", "pack", *many.sources[1], "--output", folder, "--overwrite"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "File too large" in done.stderr and "Traceback" not in done.stderr
    assert many.which(folder) == 0


def test_a_place_that_may_not_be_written_is_refused_and_can_still_be_read(
    pair: Pair, disk: Path, tmp_path: Path
) -> None:
    put(pair.packs[0], disk / "pack")
    (disk / "pack" / ".xlabel-pack").mkdir()
    put(pair.packs[0], disk / "half")
    (disk / "half" / ".xlabel-pack").mkdir()
    (disk / "half" / ".xlabel-pack" / "commit.json").write_text('{"publish":[],"remove":["x"]}')
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for folder in (disk / "pack", disk / "new", disk / "a" / "b"):
        assert run("pack", *pair.sources[1], "--output", folder, "--overwrite") == 2
        assert run("unpack", tmp_path / "nowhere", folder) == 2
    assert run("unpack", disk / "pack", disk / "dest") == 2
    assert run("unpack", disk / "pack", tmp_path / "dest") == 0
    assert run("verify", disk / "pack") == 0
    with pytest.raises(InputError, match="make the folder writable"):
        xlabel.open_bundle(disk / "half")


# What cannot be done is refused before anything is changed


REFUSED: dict[str, tuple[str | None, ...]] = {
    "exists": (),
    "images are missing": ("--overwrite", None),
    "fps 0": ("--overwrite", "--fps", "0"),
    "fps below 0": ("--overwrite", "--fps", "-1"),
    "fps nan": ("--overwrite", "--fps", "nan"),
    "fps inf": ("--overwrite", "--fps", "inf"),
    "fps tiny": ("--overwrite", "--fps", "1e-9"),
    "fps no number": ("--overwrite", "--fps", "fast"),
    "suffix unknown": ("--overwrite", "--media", "m.avi"),
    "suffix missing": ("--overwrite", "--media", "media"),
    "media above": ("--overwrite", "--media", "../m.mp4"),
    "media below": ("--overwrite", "--media", "sub/m.mp4"),
    "media absolute": ("--overwrite", "--media", "/tmp/m.mp4"),
    "pattern fits nothing": ("--overwrite", "--pattern", "*.nothing"),
    "pattern broken": ("--overwrite", "--pattern", "[z-a"),
    "format unknown": ("--overwrite", "--from", "nonsense"),
    "format another": ("--overwrite", "--from", "coco"),
    "option unknown": ("--overwrite", "--nonsense"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_packed_is_refused_and_leaves_what_was_there(
    pair: Pair, output: Path, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = pair.sources[1]
    options = [option for option in REFUSED[why] if option is not None]
    if None in REFUSED[why]:
        images = output / "nowhere"
    before = tree(output.parent)
    assert run("pack", images, labels, "--output", output, *options) == 2
    assert tree(output.parent) == before
    assert [path.name for path in output.parent.iterdir()] == ["output"]
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("xlabel: ") and "Traceback" not in told.err


def test_folders_that_hold_nothing_to_pack_are_refused(pair: Pair, tmp_path: Path) -> None:
    images, labels = pair.sources[0]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    before = tree(tmp_path)
    for arguments in (
        (tmp_path / "empty",),
        (tmp_path / "file",),
        (labels,),
        (images, tmp_path / "empty"),
        (images, tmp_path / "nowhere"),
    ):
        assert run("pack", *arguments, "--output", tmp_path / "output") == 2
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        assert run("pack", images, labels, "--output", place) == 2
    assert run("verify", tmp_path / "empty") == 2
    assert run("verify", tmp_path / "nowhere") == 2
    assert run("unpack", tmp_path / "nowhere", tmp_path / "dest") == 2
    assert run("convert", tmp_path / "nowhere", tmp_path / "dest", "--to", "coco") == 2
    assert tree(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "file"}


@pytest.mark.parametrize("name", small.FILES)
def test_a_folder_in_the_place_of_an_output_is_refused_and_blocks_no_later_run(
    pair: Pair, output: Path, name: str
) -> None:
    (output / name).unlink()
    (output / name).mkdir()
    (output / name / "mine").write_text("x")
    before = tree(output)
    assert run("pack", *pair.sources[1], "--output", output, "--overwrite") == 2
    assert tree(output) == before
    shutil.rmtree(output / name)
    assert run("pack", *pair.sources[1], "--output", output, "--overwrite") == 0
    assert pair.which(output) == 1


def test_a_manifest_in_another_folder_is_published_or_not_as_the_media_is(pair: Pair, tmp_path: Path) -> None:
    media, manifest = tmp_path / "here" / "m.mp4", tmp_path / "there" / "f.json"
    packing.bundle(pair.sources[0][0], media, manifest)
    before = tree(tmp_path)
    with pytest.raises(InputError):
        packing.bundle(pair.sources[1][0], media, manifest)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        packing.bundle(tmp_path / "empty", media, manifest, overwrite=True)
    with pytest.raises(InputError):
        packing.bundle(pair.sources[1][0], media.with_suffix(".avi"), manifest, overwrite=True)
    assert tree(tmp_path) == before


# Placeholders


def coco(folder: Path, *sizes: tuple[int, int], suffix: str = "jpg") -> Path:
    images = [
        {"id": n, "file_name": f"{n}.{suffix}", "width": width, "height": height}
        for n, (width, height) in enumerate(sizes)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return path


def test_placeholders_leave_no_litter_after_a_kill_and_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (tmp_path / "images").mkdir()
    labels = coco(tmp_path / "labels", (8, 8), (16, 8))

    def pack() -> xlabel.Report:
        return piping.pipeline(tmp_path / "images", labels.parent, tmp_path / "output", overwrite=True)

    littered = 0
    for _ in kills.at_each_step(pack):
        littered += any(temporary.iterdir())
        assert pack().done["images"] == 2
        assert not any(temporary.iterdir())
        verified_files = tree(tmp_path / "output")
        assert set(verified_files) == {name.encode() for name in small.FILES}
    assert littered


@pytest.mark.parametrize(
    "size, suffix",
    [
        ((100_000, 100_000), "png"),
        ((100_000, 100_000), "jpg"),
        ((2**31, 2**31), "png"),
        ((2**62, 1), "png"),
        ((70_000, 1), "jpg"),
        ((20_000, 1), "webp"),
        ((-8, -8), "png"),
    ],
    ids=repr,
)
def test_placeholders_of_impossible_sizes_are_refused_without_taking_memory(
    tmp_path: Path, size: tuple[int, int], suffix: str
) -> None:
    (tmp_path / "images").mkdir()
    labels = coco(tmp_path / "labels", (8, 8), size, suffix=suffix)
    before = tree(tmp_path)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError):
        piping.pipeline(tmp_path / "images", labels.parent, tmp_path / "output")
    assert tree(tmp_path) == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 300_000, "kilobytes"


# Labels whose names lead elsewhere


@pytest.mark.parametrize("name", ["../../up.jpg", "/abs.jpg", "a/../../up.jpg", "..", "a\0b.jpg", "a\nb.jpg"])
@pytest.mark.parametrize("to", ["yolo", "voc", "labelme", "coco", "csv"])
def test_labels_are_never_written_outside(tmp_path: Path, name: str, to: str) -> None:
    images = [
        {"id": n, "file_name": key, "width": 8, "height": 8} for n, key in enumerate((name, "good.jpg"))
    ]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 2, 2]} for n in range(2)]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "boat"}]}
    (tmp_path / "in.json").write_text(json.dumps(document))
    around = tmp_path / "around"
    around.mkdir()
    assert run("convert", tmp_path / "in.json", around / "out", "--to", to, "--on-loss", "drop") in (0, 1, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"in.json", "around"}
    assert {path.name for path in around.iterdir()} <= {"out"}
    assert not Path("/abs.txt").exists() and not Path("/abs.xml").exists() and not Path("/abs.json").exists()


def test_the_bundle_tells_a_missing_annotation_file_from_a_missing_bundle(output: Path) -> None:
    for given in (output / "nowhere.json", output):
        with pytest.raises(InputError, match="expected an annotation file"):
            opening.open_bundle(output, given)
