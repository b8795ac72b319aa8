"""Update: after any changes a pack is as one packed afresh, and has grown by what has changed alone."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.awkward import picture, turned
from tests.changing import (
    CHANGES,
    CUT,
    MEDIA,
    NAMES,
    NONE,
    Folder,
    complaints,
    counted,
    described,
    held,
    manifest,
    packed,
    updated,
)
from tests.tools import bound, put, tool, tree
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import InputError
from xlabel.jobs import frames as packing
from xlabel.model.manifest import ANNOTATIONS, MANIFEST
from xlabel.stores import stats

change = st.tuples(
    st.sampled_from(sorted(CHANGES)),
    st.integers(0, 7),
    st.sampled_from(NAMES),
    st.integers(0, 40) | st.sampled_from([CUT, NONE]),
)


# As one packed afresh


@settings(max_examples=12, deadline=None)
@given(
    updates=st.lists(st.lists(change, max_size=4), min_size=1, max_size=5),
    media=st.sampled_from(["a.mp4", "a.mp4", "a.mp4", "a.tar", "a.zip"]),
    plain=st.booleans(),
)
def test_after_any_changes_other_tools_read_from_a_pack_what_is_in_the_folder(
    updates: list[list[tuple[str, int, str, int]]], media: str, plain: bool
) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, output = Folder(Path(place, "source"), (*NAMES[:4], "stays.jpg")), Path(place, "output")
        source.label("stays.jpg", 1)
        packed(source, output, media=media, plain=plain)
        states = {1: source.files}
        for changes in updates:
            before = (output / media).read_bytes()
            for what, which, other, seed in changes:
                there = [name for name in source.names if name != "stays.jpg"] or ["a.jpg"]
                if what == "add" or there != ["a.jpg"] or "a.jpg" in source.names:
                    CHANGES[what](source, there[which % len(there)], other, seed)
            report = xlabel.update(source.images, source.labels, output)
            again = packed(source, Path(place, "fresh"), media=media, plain=plain, overwrite=True)
            assert held(output, media) == source.expected()
            assert report.problems == xlabel.update(source.images, source.labels, again).problems
            assert xlabel.verify(output).problems == []
            assert not xlabel.diff(output, again).changes
            if media == "a.mp4":
                assert counted(output / media) == len(source.names)
                grown_behind(before, (output / media).read_bytes())
                states[xlabel.log(output).generation] = source.files
        for generation, files in states.items() if media == "a.mp4" else ():
            shutil.rmtree(Path(place, "restored"), ignore_errors=True)
            xlabel.unpack(f"{output}@{generation}", Path(place, "restored"))
            assert tree(Path(place, "restored")) == files
        xlabel.compact(output)
        assert (output / media).read_bytes() == (again / media).read_bytes()
        assert held(output, media) == source.expected()
        if media == "a.mp4" and not plain:
            assert not complaints(output / media)
        assert xlabel.verify(output).problems == []


def grown_behind(before: bytes, now: bytes) -> None:
    """The old bytes are still there, but for the type of the index that does not count any more."""
    if now == before:
        return
    at = int(before[-160:].split()[8]) + 4
    assert (before[at : at + 4], now[at : at + 4]) == (b"moov", b"skip")
    assert now[: len(before)] == before[:at] + b"skip" + before[at + 4 :]


def test_twenty_updates_give_what_one_pack_gives(source: Folder, output: Path, tmp_path: Path) -> None:
    for step in range(20):
        source.draw(NAMES[step % 4], step)
        source.add(f"more/{step:02}.jpg", step)
        if step % 3 == 2:
            source.rename(f"more/{step - 1:02}.jpg", f"less/{step:02}.jpg")
        updated(source, output, message=f"step {step}", verify=step % 2 == 0)
    assert held(output) == source.expected()
    assert xlabel.log(output).generation == 21
    xlabel.compact(output)
    fresh = packed(source, tmp_path / "fresh")
    assert (output / MEDIA).read_bytes() == (fresh / MEDIA).read_bytes()


def test_two_packs_at_different_times_are_the_same_bytes(source: Folder, tmp_path: Path) -> None:
    first = tree(packed(source, tmp_path / "first"))
    later = ["--output", str(tmp_path / "second")]
    program = "import time; time.time_ns = lambda: 2**62; time.time = lambda: 2.0**32\n"
    program += "import sys; from xlabel.cli import main; sys.argv[0] = 'xlabel'; main()"
    arguments = ["pack", str(source.images), str(source.labels), *later]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
    assert tree(tmp_path / "second") == first


# What an update costs


def test_an_update_tells_what_it_has_done(source: Folder, output: Path) -> None:
    source.add("new.jpg", 20)
    source.draw("b.png", 21)
    source.remove("b/c.jpg")
    source.rename("a.jpg", "z.jpg")
    source.label("b/d.webp", 6)
    kinds = ("added", "changed", "removed", "renamed", "relabelled")
    assert updated(source, output, message="much") == dict.fromkeys(kinds, 1)
    (line,) = xlabel.log(output).log
    assert (line.generation, line.message, line.changes) == (2, "much", dict.fromkeys(kinds, 1))
    flags = [(frame["key"], frame.get("deleted", False)) for frame in manifest(output)]
    assert flags == [
        ("a.jpg", True),
        ("b.png", True),
        ("b/c.jpg", True),
        ("b/d.webp", False),
        ("z.jpg", False),
        ("b.png", False),
        ("new.jpg", False),
    ]


@pytest.mark.parametrize("plain", [False, True])
def test_renamed_and_swapped_images_move_no_byte(source: Folder, tmp_path: Path, plain: bool) -> None:
    output = packed(source, tmp_path / "output", plain=plain)
    places = {frame["sha256"]: frame["offset"] for frame in manifest(output)}
    source.rename("b.png", "y.png")
    source.swap("a.jpg", "b/c.jpg")
    report = xlabel.update(source.images, source.labels, output)
    assert report.bytes == 0 and report.done["renamed"] == 3
    assert {frame["sha256"]: frame["offset"] for frame in manifest(output)} == places
    assert held(output) == source.expected()
    assert any("unzip" in note for note in report.notes) is not plain
    if not plain:
        assert "mismatching" in complaints(output / MEDIA)
        assert any("unzip" in note for note in report.notes)


@pytest.mark.parametrize("gone", [[MANIFEST], [MANIFEST, ANNOTATIONS]])
def test_a_renamed_image_is_no_damage_where_nothing_tells_its_old_name(
    source: Folder, output: Path, gone: list[str]
) -> None:
    source.add("new.jpg", 20)
    updated(source, output)
    source.rename("new.jpg", "newer.jpg")
    source.swap("a.jpg", "b/c.jpg")
    source.add("last.jpg", 21)
    updated(source, output)
    places = {frame["key"]: frame["offset"] for frame in manifest(output) if not frame.get("deleted")}
    for name in gone:
        (output / name).unlink()
    assert xlabel.verify(output).problems == []
    with (output / MEDIA).open("r+b") as media:  # within the old name, before the bytes
        media.seek(places["newer.jpg"] - len("new.jpg"))
        media.write(b"x")
    (problem,) = xlabel.verify(output).problems
    assert problem.code == "header-damaged" and problem.where.endswith("newer.jpg")


def test_changed_labels_write_no_byte_of_media(source: Folder, output: Path) -> None:
    before = (output / MEDIA).stat()
    source.label("a.jpg", 7)
    assert updated(source, output) == {"relabelled": 1}
    now = (output / MEDIA).stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert held(output) == source.expected()


def test_where_nothing_has_changed_nothing_is_written(source: Folder, output: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    for _ in range(2):
        report = xlabel.update(source.images, source.labels, output)
        assert report.bytes == 0 and any("nothing has changed" in note for note in report.notes)
        assert {path: path.stat().st_mtime_ns for path in before} == before
    assert xlabel.log(output).generation == 1


def test_unchanged_files_are_not_opened(tmp_path: Path) -> None:
    source = Folder(tmp_path / "source", tuple(f"{n:04}.jpg" for n in range(900)))
    output = packed(source, tmp_path / "output")
    updated(source, output)
    source.draw("0070.jpg", 2000)
    source.label("0050.jpg", 7)
    source.add("new.jpg", 2001)
    trace = tmp_path / "trace"
    arguments = ("pack", source.images, source.labels, "--output", output, "--update")
    program = [sys.executable, "-m", "xlabel", *map(str, arguments)]
    tracing = [tool("strace"), "-f", "-qq", "-e", "trace=open,openat", "-o", str(trace)]
    subprocess.run([*tracing, *program], check=True, capture_output=True)
    opened = re.findall(r'"[^"]*/source/(images/[^"]*\.jpg)", O_RDONLY[^=]*= \d', trace.read_text())
    assert {"images/0070.jpg", "images/new.jpg"} <= set(opened)
    looked_at = 300 + 1  # some from all over, for labels inside them; and the one that is relabelled
    assert len(set(opened)) <= looked_at + 2
    assert held(output) == source.expected()


def test_a_file_of_the_same_size_time_and_inode_is_only_seen_by_verify(source: Folder, output: Path) -> None:
    path = source.images / "a.jpg"
    updated(source, output)
    data = path.read_bytes()
    was = path.stat()
    path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(path, ns=(was.st_mtime_ns, was.st_mtime_ns))
    assert updated(source, output) == {}
    assert updated(source, output, verify=True) == {"changed": 1}
    assert held(output) == source.expected()


def test_a_file_that_has_just_been_written_is_looked_at_again(source: Folder, output: Path) -> None:
    path = source.images / "a.jpg"
    data = path.read_bytes()
    path.write_bytes(data)
    updated(source, output)
    was = path.stat()
    path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(path, ns=(was.st_mtime_ns, was.st_mtime_ns))
    assert updated(source, output) == {"changed": 1}


@pytest.mark.parametrize("forged", [b"", b"xlabel stats 1\n", b"\0" * 400])
def test_a_cache_that_is_not_ours_is_passed_over(source: Folder, output: Path, forged: bytes) -> None:
    updated(source, output)
    caches = [stats.place(output, name) for name in (stats.IMAGES, stats.LABELS)]
    for path in caches:
        assert path.stat().st_size > len(stats.MAGIC)
        path.write_bytes(forged)
    source.draw("a.jpg", 30)
    assert updated(source, output) == {"changed": 1}
    assert held(output) == source.expected()


def test_the_cache_of_another_folder_does_not_count(source: Folder, output: Path, tmp_path: Path) -> None:
    updated(source, output)
    other = shutil.copytree(source.root, tmp_path / "other")
    changed = other / "images/a.jpg"
    data, time = changed.read_bytes(), changed.stat().st_mtime_ns
    changed.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(changed, ns=(time, time))
    report = xlabel.update(other / "images", other / "labels", output)
    assert report.done["changed"] == 1


def test_an_old_annotation_file_beside_newer_media_is_the_old_data_set(
    source: Folder, output: Path, tmp_path: Path
) -> None:
    old = tree(output)
    expected = source.expected()
    source.add("new.jpg", 20)
    source.remove("b/c.jpg")
    updated(source, output)
    beside = tmp_path / "beside"
    put(old, beside)
    shutil.copy(output / MEDIA, beside)
    coco = described(beside / "unified_annotation.json")
    data = (beside / MEDIA).read_bytes()
    found = {
        one["file_name"]: data[one["offset"] : one["offset"] + one["size"]] for one in coco.imgs.values()
    }
    assert found == {key: image for key, (image, _) in expected.items()}
    with xlabel.open_bundle(beside) as bundle:
        assert {key: bundle.image_bytes(key) for key in bundle.keys} == found
    report = xlabel.verify(beside)
    assert not report.problems and any("of a later generation" in note for note in report.notes)
    with pytest.raises(InputError, match="is of a later generation than the files beside it"):
        updated(source, beside)


def test_how_much_compacting_saves_is_told_and_beyond_a_quarter_it_is_advised(
    source: Folder, output: Path
) -> None:
    large = [f"{n}.jpg" for n in range(8)]
    for seed, name in enumerate(large):
        source.write(source.images / name, picture(size=(200, 200), seed=seed))
    updated(source, output)
    advised = []
    for seed, name in enumerate(large[:6]):
        source.write(source.images / name, picture(size=(200, 200), seed=100 + seed))
        (note,) = (one for one in xlabel.update(source.images, source.labels, output).notes if "dead" in one)
        advised.append("xlabel compact" in note)
        share = int(note.partition("%")[0].rpartition(" ")[2])
        assert advised[-1] == (share > 25)
    assert advised == sorted(advised) and len(set(advised)) == 2
    size = (output / MEDIA).stat().st_size
    xlabel.compact(output)
    assert abs(share / 100 - (1 - (output / MEDIA).stat().st_size / size)) < 0.01


# Odd images


def test_a_file_above_64_mib_is_appended_renamed_and_given_back(
    source: Folder, output: Path, tmp_path: Path
) -> None:
    data = picture(seed=5)
    filler = (b"\xff\xef\xff\xff" + bytes(65_533)) * 1030
    source.write(source.images / "large.jpg", data[:2] + filler + data[2:])
    assert (source.images / "large.jpg").stat().st_size > packing.LARGE
    assert updated(source, output) == {"added": 1}
    source.rename("large.jpg", "larger.jpg")
    assert updated(source, output) == {"renamed": 1}
    assert (output / MEDIA).stat().st_size < 70 << 20
    assert held(output)["larger.jpg"][0] == (source.images / "larger.jpg").read_bytes()


def test_boxes_of_turned_images_lie_where_a_fresh_pack_has_them(source: Folder, tmp_path: Path) -> None:
    output = packed(source, tmp_path / "output")
    for orientation in range(1, 9):
        source.write(source.images / f"t{orientation}.jpg", turned(orientation))
        source.write(source.labels / f"t{orientation}.txt", b"1 0.25 0.5 0.1 0.2\n")
    assert updated(source, output)["added"] == 8
    source.rename("t6.jpg", "u6.jpg")
    updated(source, output)
    fresh = packed(source, tmp_path / "fresh")
    boxes = [
        {coco.loadImgs([one["image_id"]])[0]["file_name"]: one["bbox"] for one in coco.anns.values()}
        for coco in (described(place / "unified_annotation.json") for place in (output, fresh))
    ]
    assert boxes[0] == boxes[1] and len(boxes[0]) > 8


def test_an_image_that_cannot_be_read_any_more_is_told_of_and_comes_back(
    source: Folder, output: Path
) -> None:
    path = source.images / "a.jpg"
    path.chmod(0)
    os.utime(path, (5, 5))
    done = bound("pack", source.images, source.labels, "--output", output, "--update")
    assert done.returncode == 1 and "a.jpg: cannot be read: Permission denied" in done.stdout
    assert set(held(output)) == {"b.png", "b/c.jpg", "b/d.webp"}
    path.chmod(0o644)
    assert updated(source, output) == {"added": 1}
    assert held(output) == source.expected()


def test_a_problem_that_is_none_any_more_is_not_listed_any_more(source: Folder, output: Path) -> None:
    link = source.images / "broken.jpg"
    link.symlink_to("nowhere")
    assert xlabel.update(source.images, source.labels, output).exit_code == 1
    assert (output / "problems.json").exists()
    link.unlink()
    assert xlabel.update(source.images, source.labels, output).exit_code == 0
    assert not (output / "problems.json").exists()


# What is refused, and what is told


def test_there_has_to_be_a_pack(source: Folder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a pack to update, found nothing there"):
        updated(source, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected one media bundle"):
        updated(source, tmp_path / "empty")
    assert not any((tmp_path / "empty").iterdir())


def test_the_command_packs_where_there_is_no_pack_yet(source: Folder, tmp_path: Path) -> None:
    arguments = ("pack", source.images, source.labels, "--output", tmp_path / "output", "--update")
    for generation in (1, 2):
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
        assert xlabel.log(tmp_path / "output").generation == generation
        source.add("new.jpg", 20)
    assert held(tmp_path / "output") == source.expected() or updated(source, tmp_path / "output")


@pytest.mark.parametrize("option", ["--plain", "--fps=5", "--media=b.mp4"])
def test_how_a_bundle_is_made_cannot_change(source: Folder, output: Path, option: str) -> None:
    before = tree(output)
    done = command("pack", source.images, source.labels, "--output", output, "--update", option)
    assert done.returncode == 2 and "cannot change" in done.stderr
    assert tree(output) == before


def test_a_folder_without_images_is_refused(output: Path, tmp_path: Path) -> None:
    before = tree(output)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="expected images"):
        xlabel.update(tmp_path / "none", None, output)
    assert tree(output) == before
