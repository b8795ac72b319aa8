"""Updates that are killed, cut off, or run out of room: a pack is of the old generation or the new, whole."""

import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from tests import kills
from tests.bundles.test_mp4 import demuxed
from tests.changing import MEDIA, Folder, Two, complaints, counted, held
from tests.tools import bound, put, tree

import xlabel
from xlabel.errors import InputError
from xlabel.jobs.generations import LOG
from xlabel.stores.transaction import Transaction


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Two:
    return Two(tmp_path_factory.mktemp("many"), 300)


@pytest.fixture
def output(two: Two, tmp_path: Path) -> Path:
    two.put(tmp_path / "output")
    return tmp_path / "output"


# Kills


def test_killed_at_any_step_an_update_shows_one_of_the_two_generations(two: Two, output: Path) -> None:
    ends = []
    for step in kills.at_each_step(lambda: two.update(output)):
        two.shown(output)
        if step % 4 == 0:
            assert counted(output / MEDIA) in map(len, two.contents)
        ends.append(two.is_whole(output))
        assert complaints(output / MEDIA) == "" or ends[-1] == 1, "of the old name of a renamed image"
        if step % 3 == 0:
            two.update(output)
            assert two.is_whole(output) == 1
        two.put(output)
    assert ends == sorted(ends) and set(ends) == {0, 1}
    assert len(ends) > 20


def test_killed_while_the_next_command_cleans_up_nothing_is_lost(two: Two, output: Path) -> None:
    steps = list(kills.at_each_step(lambda: two.update(output)))
    two.put(output)
    for fatal in (len(steps) // 2, len(steps) - 3):
        for step in kills.at_each_step(lambda: two.update(output)):
            if step == fatal:
                break
            two.put(output)
        state = tree(output)
        for _ in kills.at_each_step(lambda: xlabel.open_bundle(output).close()):
            two.shown(output)
            two.is_whole(output)
            put(state, output)
        two.put(output)


def test_killed_at_120_moments_an_update_loses_nothing(many: Two, tmp_path: Path) -> None:
    output = tmp_path / "output"
    many.put(output)
    chance = random.Random(4)
    update = partial(many.update, output, workers=3)
    began = time.monotonic()
    assert kills.ended(kills.started(update)) == 0
    whole = time.monotonic() - began
    assert many.is_whole(output) == 1
    ends = []
    for _ in range(kills.often(40, 120)):
        many.put(output)
        leader = kills.started(update)
        time.sleep(whole * chance.uniform(0, 1.4))
        kills.killed(leader, chance.choice([os.killpg, os.kill]))  # all of its processes, or the first
        kills.wait_until_free(output)
        shown = many.shown(output)
        ends.append(many.is_whole(output))
        assert ends[-1] >= shown
    assert len(set(ends)) == 2, "some came to their end, some did not"
    assert kills.ended(kills.started(update)) == 0
    assert many.is_whole(output) == 1


# Cut off


def unflipped(two: Two, output: Path) -> tuple[bytes, bytes]:
    """The media before an update, and after it but for the flip of the old index."""
    old = (output / MEDIA).read_bytes()
    two.update(output)
    new = (output / MEDIA).read_bytes()
    return old, old + new[len(old) :]


def test_cut_off_anywhere_before_the_flip_the_media_shows_the_old_generation(
    two: Two, output: Path, tmp_path: Path
) -> None:
    old, new = unflipped(two, output)
    frames = sorted(data for data, _ in two.contents[0].values())
    media = tmp_path / "alone" / MEDIA
    media.parent.mkdir()
    for end in range(len(old), len(new) + 1):
        media.write_bytes(new[:end])
        with xlabel.open_bundle(media) as bundle:
            assert bundle.size == len(old)
        if end % 16 < 2 or end > len(new) - 200:
            assert sorted(demuxed(media, Fraction(10)).values()) == frames
        if end % 512 == 0:
            assert counted(media) == len(frames)


@pytest.mark.parametrize("end", [1, 8, 16, 17, 1000, -161, -160, -1, None])
def test_what_was_cut_off_is_told_and_taken_away_by_the_next_update(
    two: Two, output: Path, end: int | None
) -> None:
    old, new = unflipped(two, output)
    two.put(output)
    tail = new[len(old) :][:end]
    (output / MEDIA).write_bytes(old + tail)
    with xlabel.open_bundle(output) as bundle:
        assert len(bundle) == len(two.contents[0])
    told = xlabel.verify(output)
    assert [problem.code for problem in told.problems] == ["bytes-behind"]
    unchanged = two.folder.root.with_name("as it was")
    shutil.rmtree(unchanged, ignore_errors=True)
    xlabel.unpack(output, unchanged)
    xlabel.update(unchanged / "images", unchanged / "labels", output)
    assert (output / MEDIA).read_bytes() == old
    two.update(output)
    assert two.is_whole(output) == 1


# No room, no rights


def test_on_a_full_disk_the_old_generation_stays(two: Two, disk: Path) -> None:
    output = disk / "output"
    ends = []
    for room in range(0, 60_000, 4096):
        two.put(output)
        free_bytes = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(bytes(free_bytes - room))
        try:
            two.update(output)
        except InputError as error:
            assert "No space left on device; nothing was changed" in str(error)
            assert tree(output) == two.before
        (disk / "filler").unlink()
        ends.append(two.is_whole(output))
    assert ends == sorted(ends) and set(ends) == {0, 1}


def test_a_limit_on_file_sizes_leaves_the_old_generation(two: Two, output: Path) -> None:
    program = "import sys, xlabel; xlabel.update(*sys.argv[1:])"
    arguments = [str(two.folder.images), str(two.folder.labels), str(output)]
    limit = (output / MEDIA).stat().st_size + 500
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert "File too large; nothing was changed" in done.stderr
    assert two.is_whole(output) == 0 and tree(output) == two.before


@pytest.mark.parametrize("log", ["none", "its own", "another's"])
@pytest.mark.parametrize("job", ["update", "compact"])
def test_a_disk_that_is_full_at_the_last_moment_leaves_the_log_as_it_was(
    two: Two, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, job: str
) -> None:
    if log != "none":
        two.update(output)
        (tmp_path / "none").mkdir()
        xlabel.update(two.folder.images, tmp_path / "none", output, format="voc")
    if log == "another's":
        (output / LOG).write_bytes(b'{"generation":2}\n')
    before = tree(output)
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "commit", full)
        with pytest.raises(InputError, match="No space left on device; nothing was changed"):
            two.update(output) if job == "update" else xlabel.compact(output)
    assert tree(output) == before
    two.update(output)
    assert two.is_whole(output) == 1 and (output / LOG).exists()


def full(*_: object, **__: object) -> None:
    """What a step comes to that needs room on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_nobody_may_write_to_is_refused(two: Two, output: Path) -> None:
    output.chmod(0o555)
    before = tree(output)
    done = bound("pack", two.folder.images, two.folder.labels, "--output", output, "--update")
    assert done.returncode == 2 and "cannot be written to: Permission denied" in done.stderr
    assert tree(output) == before
    output.chmod(0o755)


def test_who_may_only_read_reads_the_old_generation_beside_what_was_cut_off(two: Two, output: Path) -> None:
    size = len(two.before[MEDIA.encode()])
    for _ in kills.at_each_step(lambda: two.update(output)):
        if (output / MEDIA).stat().st_size > size + 1000:
            break
        two.put(output)
    assert (output / MEDIA).stat().st_size > size
    for path in (output / MEDIA, output):
        path.chmod(0o555)
    done = bound("unpack", output, output.parent / "restored")
    assert done.returncode == 0, done.stderr
    restored = tree(output.parent / "restored" / "images")
    assert set(restored) == {key.encode() for key in two.contents[0]}
    output.chmod(0o755)


# Several at once


def test_of_two_updates_of_one_folder_the_second_is_refused(two: Two, output: Path) -> None:
    refused: list[int] = []

    def second(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(InputError, match="another xlabel is writing here"):
                two.update(output)
            with xlabel.open_bundle(output) as bundle:
                refused.append(len(bundle))

    xlabel.update(two.folder.images, two.folder.labels, output, progress=second)
    assert refused == [len(two.contents[0])]
    assert two.is_whole(output) == 1


def test_two_processes_that_update_over_and_over_lose_nothing(tmp_path: Path) -> None:
    folders = [Folder(tmp_path / name) for name in ("one", "other")]
    for seed, name in enumerate(folders[1].names):
        folders[1].draw(name, 50 + seed)
    output = tmp_path / "output"
    xlabel.pack(folders[0].images, folders[0].labels, output)

    def update(folder: Folder) -> None:
        done = 0
        while done < 25:
            try:
                xlabel.update(folder.images, folder.labels, output)
                done += 1
            except InputError as error:
                assert "another xlabel is writing here" in str(error)

    children = [kills.started(partial(update, folder)) for folder in folders]
    assert [kills.ended(child) for child in children] == [0, 0]
    assert xlabel.verify(output).problems == []
    assert held(output) in [folder.expected() for folder in folders]
    log = xlabel.log(output)
    assert [line.generation for line in log.log] == list(range(log.generation, 1, -1))
    for line in log.log:
        assert xlabel.verify(f"{output}@{line.generation}").problems == []


def test_who_reads_while_updates_go_on_sees_whole_generations(two: Two, output: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    xlabel.unpack(output, first)

    def update() -> None:
        while True:
            two.update(output)
            xlabel.update(first / "images", first / "labels", output)

    writer = kills.started(update)
    try:
        seen = set()
        for _ in range(150):
            with xlabel.open_bundle(output) as bundle:
                seen.add(len(bundle))
                for sample in bundle:
                    assert bundle.image_bytes(sample.image.key) in [
                        one[sample.image.key][0] for one in two.contents if sample.image.key in one
                    ]
            assert xlabel.verify(output).problems == []
        assert seen == {len(one) for one in two.contents} or len(two.contents[0]) == len(two.contents[1])
    finally:
        assert kills.killed(writer)
    kills.wait_until_free(output)
    two.update(output)
    assert two.is_whole(output) == 1
