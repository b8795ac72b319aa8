"""Updates that are killed, cut off, or run out of room: a pack is of the old generation or the new, whole."""

import fcntl
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests import kills
from tests.bundles.test_mp4 import demuxed
from tests.changing import NAMES, Folder, complaints, counted, described, held
from tests.tools import bound, tool, tree

import xlabel
from xlabel.errors import CorruptError, InputError

MEDIA = "media_bundle.mp4"


class Two:
    """A pack, and the folder as it is a generation later."""

    def __init__(self, root: Path, count: int = 0) -> None:
        self.folder = Folder(root / "source", NAMES[:4] + tuple(f"{n:03}.jpg" for n in range(count)))
        xlabel.pack(self.folder.images, self.folder.labels, root / "pack")
        self.before = tree(root / "pack")
        self.contents = [self.folder.expected()]
        self.folder.add("new.jpg", 20)
        self.folder.draw("b.png", 21)
        self.folder.remove("b/c.jpg")
        self.folder.rename("a.jpg", "z.jpg")
        self.folder.label("b/d.webp", 7)
        for number in range(0, count, 3):
            self.folder.draw(f"{number:03}.jpg", 1000 + number)
        self.contents.append(self.folder.expected())

    def put(self, output: Path) -> None:
        """The pack before the update, and nothing else."""
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        for name, data in self.before.items():
            (output / name.decode()).write_bytes(data)

    def update(self, output: Path) -> None:
        xlabel.update(self.folder.images, self.folder.labels, output, workers=1)

    def shown(self, output: Path) -> int:
        """The generation, 0 or 1, of what other tools see of the media, which is whole."""
        packets = sorted(demuxed(output / MEDIA, Fraction(10)).values())
        which = [sorted(data for data, _ in one.values()) for one in self.contents].index(packets)
        coco = described(output / "unified_annotation.json")
        media = (output / MEDIA).read_bytes()
        for image in coco.imgs.values():
            data = media[image["offset"] : image["offset"] + image["size"]]
            assert sha256(data).hexdigest() == image["sha256"]
        keys = {image["file_name"] for image in coco.imgs.values()}
        assert keys in [set(one) for one in self.contents]
        return which

    def is_whole(self, output: Path) -> int:
        """The generation, 0 or 1, of a pack in which nothing is wrong."""
        with xlabel.open_bundle(output) as bundle:
            found = {key: bundle.image_bytes(key) for key in bundle.keys}
        report = xlabel.verify(output)
        assert report.problems == []
        assert not (output / ".xlabel-pack").exists()
        assert found == {key: data for key, (data, _) in held(output).items()}
        return self.contents.index(held(output))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    return Two(tmp_path_factory.mktemp("two"))


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
            shutil.rmtree(output)
            output.mkdir()
            for name, data in state.items():
                (output / name.decode()).parent.mkdir(exist_ok=True)
                (output / name.decode()).write_bytes(data)
        two.put(output)


def test_killed_at_120_moments_an_update_loses_nothing(many: Two, tmp_path: Path) -> None:
    output = tmp_path / "output"
    many.put(output)
    chance = random.Random(4)
    began = time.monotonic()
    os.waitpid(begin(many, output), 0)
    whole = time.monotonic() - began
    assert many.is_whole(output) == 1
    ends = []
    for _ in range(kills.often(40, 120)):
        many.put(output)
        leader = begin(many, output)
        time.sleep(whole * chance.uniform(0, 1.4))
        chance.choice([os.killpg, os.kill])(leader, signal.SIGKILL)  # all of its processes, or the first
        os.waitpid(leader, 0)
        free(output)
        shown = many.shown(output)
        ends.append(many.is_whole(output))
        assert ends[-1] >= shown
    assert len(set(ends)) == 2, "some came to their end, some did not"
    os.waitpid(begin(many, output), 0)
    assert many.is_whole(output) == 1


def begin(two: Two, output: Path) -> int:
    """Begin an update, in processes of a group of their own; gives the first one's id."""
    child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)
            xlabel.update(two.folder.images, two.folder.labels, output, workers=3)
        finally:
            os._exit(0)
    os.setpgid(child, child)  # whichever of the two is first
    return child


def free(folder: Path) -> None:
    """Wait until no process has the folder's lock."""
    for _ in range(300):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.1)
        finally:
            os.close(lock)
    pytest.fail("an update that was killed still holds its lock")


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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 1 MiB large; needs the rights to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


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
    assert two.is_whole(output) == 0


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
    children = []
    for folder in folders:
        child = os.fork()
        if not child:
            code = 1
            try:
                done = 0
                while done < 25:
                    try:
                        xlabel.update(folder.images, folder.labels, output)
                        done += 1
                    except InputError as error:
                        assert "another xlabel is writing here" in str(error)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert xlabel.verify(output).problems == []
    assert held(output) in [folder.expected() for folder in folders]
    log = xlabel.log(output)
    assert [line.generation for line in log.log] == list(range(log.generation, 1, -1))
    for line in log.log:
        assert xlabel.verify(f"{output}@{line.generation}").problems == []


def test_who_reads_while_updates_go_on_sees_whole_generations(two: Two, output: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    xlabel.unpack(output, first)
    writer = os.fork()
    if not writer:
        try:
            while True:
                two.update(output)
                xlabel.update(first / "images", first / "labels", output)
        finally:
            os._exit(1)
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
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    free(output)
    two.update(output)
    assert two.is_whole(output) == 1


# Folders from elsewhere


def forged(output: Path, name: str, content: object) -> None:
    (output / ".xlabel-pack").mkdir(exist_ok=True)
    (output / ".xlabel-pack" / name).write_text(json.dumps(content))


def at(media: bytes) -> int:
    """Where the index of a media file is."""
    return int(media[-160:].split()[8])


@pytest.mark.parametrize("shift", [0, 1, -44, -(10**6), 10**6, 2**62, 2**63, 2**200])
def test_a_forged_journal_hides_no_index_that_counts(two: Two, output: Path, shift: int) -> None:
    before = (output / MEDIA).read_bytes()
    offset = at(before) + shift
    forged(output, "commit.json", {"publish": [], "remove": [], "hide": {"name": MEDIA, "offset": offset}})
    with pytest.raises(CorruptError, match=r"remove .*xlabel-pack"):
        xlabel.open_bundle(output)
    assert (output / MEDIA).read_bytes() == before
    shutil.rmtree(output / ".xlabel-pack")
    assert two.is_whole(output) == 0


def test_a_forged_journal_hides_nothing_of_a_film_that_a_link_leads_to(output: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    command = [tool("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "color=s=16x16:d=1", str(film)]
    subprocess.run(command, check=True)
    before = film.read_bytes()
    (output / "link.mp4").symlink_to(film)
    hide = {"name": "link.mp4", "offset": before.index(b"moov") - 4}
    forged(output, "commit.json", {"publish": [], "remove": [], "hide": hide})
    with pytest.raises(CorruptError):
        xlabel.open_bundle(output)
    assert film.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        {"name": "victim", "size": 1, "index": 1},
        {"name": "../victim", "size": 1, "index": 1},
        {"name": MEDIA, "size": 200, "index": 44},
        {"name": MEDIA, "size": -1, "index": -1},
        {"name": MEDIA, "size": 2**70, "index": 2**70},
        {"name": "nothing", "size": 1, "index": 1},
        {"name": "", "size": 1, "index": 1},
        ["deep"],
        {},
    ],
)
def test_a_forged_note_of_growing_cuts_nothing(two: Two, output: Path, content: Any) -> None:
    (output / "victim").write_bytes(b"precious" * 100)
    (output.parent / "victim").write_bytes(b"precious" * 100)
    forged(output, "growing.json", content)
    assert two.is_whole(output) == 0
    two.update(output)
    assert (output / "victim").read_bytes() == (output.parent / "victim").read_bytes() == b"precious" * 100


def test_a_pipe_in_the_place_of_a_file_blocks_nobody(two: Two, output: Path) -> None:
    os.mkfifo(output / "pipe")
    os.mkfifo(output / "generation_log.jsonl")
    forged(output, "growing.json", {"name": "pipe", "size": 1, "index": 1})
    assert two.is_whole(output) == 0
    assert xlabel.log(output).log == []


def test_a_link_in_the_place_of_the_log_is_not_written_through(two: Two, output: Path) -> None:
    victim = output.parent / "victim"
    victim.write_text("precious")
    (output / "generation_log.jsonl").symlink_to(victim)
    with pytest.raises(InputError, match="cannot be written"):
        two.update(output)
    assert two.is_whole(output) == 0
    assert victim.read_text() == "precious"


def chained(two: Two, output: Path, before: int, count: int | None = None) -> bytes:
    """A media file after an update that claims to begin elsewhere, or to have so many frames."""
    two.update(output)
    media = bytearray((output / MEDIA).read_bytes())
    names = int(media[-160:].split()[10])
    assert media[names + 4 : names + 8] == b"skip"
    media[names + 32 : names + 40] = (before % 2**64).to_bytes(8, "big")
    if count is not None:
        line = bytes(media[-160:]).rstrip()
        words = line.split()
        words = [*words[: words.index(b"of")], b"of", str(count).encode()]
        media[-160:] = b" ".join(words).ljust(159) + b"\n"
    return bytes(media)


@pytest.mark.parametrize("before", [1, 159, 160, -1, 2**63, 10**6])
def test_a_chain_of_generations_that_leads_astray_is_told_of(
    two: Two, output: Path, tmp_path: Path, before: int
) -> None:
    place = tmp_path / MEDIA
    place.write_bytes(chained(two, output, before))
    with pytest.raises(CorruptError), xlabel.open_bundle(place) as bundle:
        bundle.keys  # noqa: B018


def test_a_chain_of_generations_that_leads_to_itself_is_told_of(
    two: Two, output: Path, tmp_path: Path
) -> None:
    two.update(output)
    size = (output / MEDIA).stat().st_size
    two.put(output)
    place = tmp_path / MEDIA
    place.write_bytes(chained(two, output, size))
    with pytest.raises(CorruptError), xlabel.open_bundle(place) as bundle:
        bundle.keys  # noqa: B018


@pytest.mark.parametrize("count", [0, 3, 5, 8, 10_000, 2**62])
def test_a_last_line_with_another_number_of_frames_is_told_of(
    two: Two, output: Path, tmp_path: Path, count: int
) -> None:
    size = len(two.before[MEDIA.encode()])
    place = tmp_path / MEDIA
    place.write_bytes(chained(two, output, size, count))
    with pytest.raises(CorruptError), xlabel.open_bundle(place) as bundle:
        bundle.keys  # noqa: B018
