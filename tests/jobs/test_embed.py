"""Embed as a user meets it: which files change, what stays, what is told; also when things go wrong."""

import fcntl
import json
import os
import random
import resource
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from tests.kills import ended, killed, started
from tests.tools import SAMPLE, run, tool, tree
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import ExistsError, InputError, StoreError
from xlabel.stores import rewrite

IMAGES, LABELS = SAMPLE / "raw_images", SAMPLE / "raw_labels"
DATA = Path(__file__).parents[1] / "images" / "data"
CAR = xlabel.Category(id=1, name="car")
BOX = xlabel.Annotation(category=CAR, bbox=(10, 20, 30, 40))
OTHER = xlabel.Annotation(category=CAR, bbox=(11, 21, 31, 41), score=0.5)


def exif(path: Path, *options: str) -> dict[str, Any]:
    """What ExifTool says of a file."""
    found: list[dict[str, Any]] = json.loads(run(tool("exiftool"), "-json", *options, path))
    return found[0]


def pixels(path: Path) -> bytes:
    with Pillow.open(path) as picture:
        return picture.convert("RGB").tobytes()


def facts(path: Path) -> tuple[int, int, bytes]:
    info = path.stat()
    return info.st_ino, info.st_mtime_ns, path.read_bytes()


def litter(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.xlabel-tmp"))


def test_a_data_set_goes_into_the_images_by_its_keys(folder: Path) -> None:
    dataset = xlabel.read(LABELS, images=folder)
    made = xlabel.Sample(image=xlabel.Image(key="street/001.jpg"), annotations=(BOX,))
    xlabel.embed(folder, dataset)
    assert [len(xlabel.labels(folder / sample.image.key)) for sample in dataset.samples] == [
        len(sample.annotations) for sample in dataset.samples
    ]
    report = xlabel.embed(folder, xlabel.Dataset(samples=[made]))
    assert report.done["labelled"] == 1
    assert xlabel.labels(folder / "street/001.jpg")[0].bbox == BOX.bbox


def test_labels_go_into_the_images_of_a_folder_and_exiftool_shows_them(folder: Path) -> None:
    before = {name: pixels(folder / os.fsdecode(name)) for name in tree(folder)}
    report = xlabel.embed(folder, LABELS)
    assert report.done == {"images": 24, "labelled": 23, "annotations": 114}
    assert not report.problems
    assert {name: pixels(folder / os.fsdecode(name)) for name in tree(folder)} == before
    said = xlabel.read(LABELS, images=folder)
    for sample in said.samples:
        held = xlabel.labels(folder / sample.image.key)
        assert [(a.category, a.bbox) for a in held] == [(a.category, a.bbox) for a in sample.annotations]
    seen = exif(folder / "yard/001.jpg", "-UserComment", "-struct", "-ImageRegion")
    assert json.loads(seen["UserComment"])["labels"]["image"]["width"] == 500
    assert len(seen["ImageRegion"]) == len(xlabel.labels(folder / "yard/001.jpg"))


def test_equal_labels_write_nothing_and_changed_ones_raise_the_revision(folder: Path) -> None:
    xlabel.embed(folder, LABELS)
    before = {path: facts(path) for path in folder.rglob("*.*")}
    report = xlabel.embed(folder, LABELS)
    assert report.done == {"images": 24, "unchanged": 23, "annotations": 114}
    assert {path: facts(path) for path in folder.rglob("*.*")} == before
    path = folder / "street/001.jpg"
    for revision, label in ((2, BOX), (3, OTHER), (3, OTHER), (4, BOX)):
        xlabel.embed(path, [label])
        assert json.loads(exif(path, "-UserComment")["UserComment"])["revision"] == revision
        assert xlabel.labels(path) == [label]
    assert len({json.dumps(facts(path)[0]) for path in before}) == len(before)


def test_copies_have_the_structure_and_all_images_and_the_originals_stay(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xffno picture")
    before = {path: facts(path) for path in folder.rglob("*.*")}
    out = tmp_path / "copies"
    report = xlabel.embed(folder, LABELS, output=out)
    assert [problem.code for problem in report.problems] == ["undecodable"]
    assert {path: facts(path) for path in folder.rglob("*.*")} == before
    assert tree(out).keys() == tree(folder).keys()
    for name in (b"unlabelled.jpg", b"broken.jpg"):
        assert tree(out)[name] == tree(folder)[name]
    assert not xlabel.strip(out).done.get("cleaned")
    assert tree(out) == tree(folder)


@pytest.mark.parametrize("inside", [".", "deeper/copies"])
def test_copies_do_not_go_among_the_images(folder: Path, inside: str) -> None:
    with pytest.raises(InputError, match=r"new or empty folder|lies inside"):
        xlabel.embed(folder, LABELS, output=folder / inside)
    (folder.parent / "full").mkdir()
    (folder.parent / "full" / "a").touch()
    with pytest.raises(ExistsError, match="new or empty folder"):
        xlabel.embed(folder, LABELS, output=folder.parent / "full")


def test_a_dry_run_writes_nothing_and_says_what_would_be(folder: Path, tmp_path: Path) -> None:
    before = {path: facts(path) for path in folder.rglob("*.*")}
    assert xlabel.embed(folder, LABELS, dry_run=True).done["labelled"] == 23
    assert xlabel.embed(folder, LABELS, output=tmp_path / "copies", dry_run=True).done["labelled"] == 23
    assert {path: facts(path) for path in folder.rglob("*.*")} == before
    assert not (tmp_path / "copies").exists()


def test_a_link_stays_a_link_and_the_file_that_it_leads_to_is_labelled(image: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "b.jpg"
    link.symlink_to("../a.jpg")
    xlabel.embed(link, [BOX])
    assert link.is_symlink()
    assert xlabel.labels(image) == [BOX]
    assert litter(tmp_path) == []


def test_another_name_of_the_file_keeps_it_as_it_was_which_is_told(image: Path) -> None:
    other = image.with_name("b.jpg")
    other.hardlink_to(image)
    before = other.read_bytes()
    report = xlabel.embed(image, [BOX])
    assert any("hard link" in note for note in report.notes)
    assert other.read_bytes() == before
    assert xlabel.labels(image) == [BOX]


def test_mode_and_attributes_stay_and_the_times_too_where_wanted(image: Path) -> None:
    image.chmod(0o640)
    os.utime(image, ns=(1_000_000_007, 2_000_000_009))
    attributes = True
    try:
        os.setxattr(image, "user.note", b"keep")
    except OSError:  # a file system without any
        attributes = False
    xlabel.embed(image, [BOX], keep_time=True)
    info = image.stat()
    assert stat.S_IMODE(info.st_mode) == 0o640
    assert (info.st_atime_ns, info.st_mtime_ns) == (1_000_000_007, 2_000_000_009)
    assert not attributes or os.getxattr(image, "user.note") == b"keep"
    xlabel.embed(image, [OTHER])
    assert image.stat().st_mtime_ns > 2_000_000_009


def test_a_read_only_file_stays_as_it_was_which_is_told(image: Path) -> None:
    image.chmod(0o444)
    before = facts(image)
    report = xlabel.embed(image, [BOX])
    assert [problem.code for problem in report.problems] == ["not-written"]
    assert "read-only" in str(report)
    assert facts(image) == before
    assert litter(image.parent) == []


def test_a_read_only_folder_stays_as_it_was_which_is_told() -> None:
    with tempfile.TemporaryDirectory() as name:
        image = Path(shutil.copy(IMAGES / "street/001.jpg", name))
        shutil.copy(image, image.with_name("warm.jpg"))
        xlabel.embed(image.with_name("warm.jpg"), [BOX])  # so that all modules are there
        before = facts(image)
        image.chmod(0o666)
        Path(name).chmod(0o555)

        def job() -> None:
            if not os.geteuid():
                os.setgid(65534)
                os.setuid(65534)
            report = xlabel.embed(image, [BOX])
            assert [problem.code for problem in report.problems] == ["not-written"]

        assert ended(started(job)) == 0
        assert facts(image) == before
        Path(name).chmod(0o755)
        assert litter(Path(name)) == []


def test_a_file_that_the_system_lets_nobody_write_whole_stays_as_it_was(image: Path) -> None:
    before = facts(image)

    def job() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
        report = xlabel.embed(image, [BOX])
        assert [problem.code for problem in report.problems] == ["not-written"]

    assert ended(started(job)) == 0
    assert facts(image) == before
    assert litter(image.parent) == []


def test_a_full_disk_ends_the_run_and_each_image_is_whole(disk: Path) -> None:
    shutil.copytree(IMAGES, disk / "images")
    (disk / "filler").write_bytes(bytes(40_000))
    before = tree(disk / "images")
    with open(disk / "rest", "wb", buffering=0) as rest, suppress(OSError):
        while rest.write(bytes(4096)):
            pass
    (disk / "filler").unlink()  # room for the first image, not for all that they grow by
    with pytest.raises(StoreError, match="the disk is full; the file is as it was"):
        xlabel.embed(disk / "images", LABELS)
    (disk / "rest").unlink()
    assert litter(disk) == []
    xlabel.strip(disk / "images")
    assert tree(disk / "images") == before


def test_anothers_comment_is_left_alone_until_it_is_said_and_strip_puts_it_back(image: Path) -> None:
    run(tool("exiftool"), "-q", "-overwrite_original", "-UserComment=somebody's words", image)
    before = image.read_bytes()
    report = xlabel.embed(image, [BOX])
    assert [problem.code for problem in report.problems] == ["foreign-comment"]
    assert "somebody's words" in str(report)
    assert image.read_bytes() == before
    assert not xlabel.embed(image, [BOX], overwrite=True).problems
    assert xlabel.labels(image) == [BOX]
    xlabel.strip(image)
    assert image.read_bytes() == before


def test_an_image_that_cannot_be_decoded_is_labelled_without_a_fingerprint_of_its_pixels(
    tmp_path: Path,
) -> None:
    shutil.copy(DATA / "13x9_bare.jxl", image := tmp_path / "a.jxl")
    report = xlabel.embed(image, [BOX], fingerprint="pixels")
    assert report.done["labelled"] == 1 and not report.problems
    assert "fingerprint of the pixels left out (they cannot be decoded) in 1 image" in report.notes
    assert xlabel.labels(image) == [BOX]


def test_labels_of_an_image_that_is_cut_off_go_beside_it(tmp_path: Path) -> None:
    image = tmp_path / "a.heic"
    image.write_bytes((DATA / "13x9_in_64x64.heic").read_bytes()[:-20])
    report = xlabel.embed(image, [BOX], sidecar=True)
    assert report.done["sidecars"] == 1 and {problem.code for problem in report.problems} == {"cut-off"}
    assert xlabel.labels(image) == [BOX]


def test_labels_of_an_image_that_cannot_hold_them_go_beside_it_once(tmp_path: Path) -> None:
    image = tmp_path / "a.bmp"
    Pillow.new("RGB", (64, 48), "teal").save(image)
    before = image.read_bytes()
    report = xlabel.embed(image, [BOX])
    assert [problem.code for problem in report.problems] == ["no-room"]
    assert xlabel.embed(image, [BOX], sidecar=True).done["sidecars"] == 1
    beside = tmp_path / "a.bmp.xlabel"
    assert json.loads(beside.read_text())["labels"]["annotations"][0]["bbox"] == [10, 20, 30, 40]
    written = facts(beside)
    assert xlabel.embed(image, [BOX], sidecar=True).done["unchanged"] == 1
    assert facts(beside) == written
    xlabel.embed(image, [OTHER], sidecar=True)
    assert json.loads(beside.read_text())["revision"] == 2
    assert xlabel.labels(image) == [OTHER]
    xlabel.strip(image)
    assert tree(tmp_path) == {b"a.bmp": before}


def test_an_image_that_another_process_writes_is_told(image: Path) -> None:
    before = facts(image)
    with open(rewrite.temporary(os.fsencode(image)), "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        report = xlabel.embed(image, [BOX])
        assert "another process is writing it" in str(report.problems[0])
        assert facts(image) == before
    assert not xlabel.embed(image, [BOX]).problems
    assert litter(image.parent) == []


def test_of_two_processes_each_wins_whole_or_is_told(image: Path) -> None:
    xlabel.embed(image, [BOX])

    def begin(label: xlabel.Annotation) -> int:
        child = os.fork()
        if not child:
            code = 9
            try:
                report = xlabel.embed(image, [label])
                told = [problem.code for problem in report.problems]
                code = {(): 0, ("not-written",): 1}[tuple(told)]
            finally:
                os._exit(code)
        return child

    ends = set()
    for number in range(60):
        ours = xlabel.Annotation(category=CAR, bbox=(number, 1, 2, 3))
        theirs = xlabel.Annotation(category=CAR, bbox=(number, 4, 5, 6))
        children = [begin(ours), begin(theirs)]
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        assert codes in ([0, 0], [0, 1])
        assert xlabel.labels(image) in ([ours], [theirs])
        ends.add(tuple(codes))
    assert litter(image.parent) == []
    assert ends <= {(0, 0), (0, 1)}


def test_killed_at_any_moment_each_image_is_whole_and_the_next_run_leaves_no_litter(tmp_path: Path) -> None:
    assert kills(tmp_path, 50) > 5


def kills(tmp_path: Path, count: int, seed: int = 9) -> int:
    """Kill embed and strip at random moments; gives how many kills came in the middle of the work."""
    folder = Path(shutil.copytree(IMAGES, tmp_path / "images"))
    for path in sorted(folder.rglob("*.*")):
        shutil.copy(path, path.with_name(f"2{path.name}"))
    originals = {path: path.read_bytes() for path in folder.rglob("*.*")}
    decoded = {path: pixels(path) for path in originals}
    sets = []
    for number, label in enumerate((BOX, OTHER)):
        file = tmp_path / f"{number}.json"
        samples = [
            xlabel.Sample(image=xlabel.Image(key=path.relative_to(folder).as_posix()), annotations=(label,))
            for path in originals
        ]
        xlabel.write(xlabel.Dataset(samples=samples, categories=[CAR]), file, to="json")
        sets.append(file)
    chance = random.Random(seed)
    xlabel.embed(folder, sets[1])  # so that all modules are there
    began = time.monotonic()
    xlabel.embed(folder, sets[0])
    whole = time.monotonic() - began
    amid = 0
    for number in range(count):
        job: Callable[..., object] = partial(xlabel.embed, labels=sets[number % 2])
        if number % 5 == 4:
            job = xlabel.strip
        child = started(partial(job, folder, workers=1 + number % 2))
        time.sleep(whole * chance.uniform(0, 1))
        everyone = chance.random() < 0.7
        amid += killed(child, os.killpg if everyone else os.kill)
        if not everyone:
            time.sleep(0.5)  # its workers notice, and end
        for path in originals:
            held = xlabel.labels(path)
            assert held in ([], [BOX], [OTHER])
            assert held or path.read_bytes() == originals[path]
            assert pixels(path) == decoded[path]
        if number % 10 == 9:
            xlabel.strip(folder)
            assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == originals
    xlabel.embed(folder, sets[0])
    assert litter(folder) == []
    return amid


def test_litter_of_a_killed_run_goes_with_the_next_and_others_files_stay(folder: Path) -> None:
    left = folder / "street" / ".001.jpg.xlabel-tmp"
    left.write_bytes(b"half of")
    mine = folder / "street" / "notes.xlabel-tmp"
    mine.write_bytes(b"not of this kind")
    xlabel.embed(folder, LABELS, dry_run=True)
    assert left.exists()
    xlabel.embed(folder, LABELS)
    assert litter(folder) == [mine]
    left.write_bytes(b"half of")
    xlabel.strip(folder)
    assert litter(folder) == [mine]


def test_the_command_says_what_was_done_and_its_exit_code_what_was_wrong(image: Path) -> None:
    labels = image.with_suffix(".json")
    sample = xlabel.Sample(image=xlabel.Image(key="a.jpg"), annotations=(BOX,))
    xlabel.write(xlabel.Dataset(samples=[sample], categories=[CAR]), labels, to="json")
    done = command("embed", image, labels)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("embed: 1 image, 1 labelled, 1 annotation")
    image.chmod(0o444)
    assert command("strip", image).returncode == 1
    assert command("embed", image.with_name("none.jpg"), labels).returncode == 2


def test_what_is_said_of_the_whole_set_is_told_to_be_lost(image: Path) -> None:
    labels = image.with_suffix(".json")
    sample = xlabel.Sample(image=xlabel.Image(key="a.jpg"), annotations=(BOX,))
    said = xlabel.Dataset(samples=[sample], categories=[CAR], extra={"info": {"year": 2026}})
    xlabel.write(said, labels, to="coco")
    report = xlabel.embed(image, labels)
    assert [(loss.where, loss.field) for loss in report.losses] == [("the data set", "info")]
    assert report.exit_code == 0


def test_what_is_no_image_or_not_a_whole_one_is_listed(tmp_path: Path) -> None:
    whole = (SAMPLE / "raw_images/street/001.jpg").read_bytes()
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in {"cut.jpg": whole[:-9_000], "text.jpg": b"hello", "whole.jpg": whole}.items():
        (folder / name).write_bytes(data)
    labels = xlabel.Dataset(
        samples=[
            xlabel.Sample(image=xlabel.Image(key=name), annotations=(BOX,))
            for name in ("cut.jpg", "text.jpg", "whole.jpg")
        ]
    )
    report = xlabel.embed(folder, labels)
    assert report.done == {"images": 3, "labelled": 2, "annotations": 2}
    assert [(Path(problem.where).name, problem.code) for problem in report.problems] == [
        ("cut.jpg", "cut-off"),
        ("text.jpg", "undecodable"),
    ]
    assert (folder / "text.jpg").read_bytes() == b"hello"


def test_a_copy_that_cannot_be_written_is_not_counted_as_labelled(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    image = image.rename(folder / image.name)
    (tmp_path / "file").write_text("in the way")
    before = image.read_bytes()
    report = xlabel.embed(image, [BOX], output=tmp_path / "file" / "out")
    assert report.done == {"images": 1, "annotations": 0}
    (problem,) = report.problems
    assert problem.code == "not-written" and "its copy cannot be written" in problem.message
    assert image.read_bytes() == before
