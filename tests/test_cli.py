"""The command `xlabel`: what it prints for people and for machines, and what it ends with."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import awkward
from tests.tools import SAMPLE, tree, xlabel

IMAGES, LABELS = SAMPLE / "raw_images", SAMPLE / "raw_labels"
COMMANDS = {
    "pack": "--output --media --from --pattern --overwrite --skip-missing-images --on-loss",
    "verify": "",
    "unpack": "--to --on-loss --overwrite",
    "convert": "--to --from --on-loss --overwrite",
    "formats": "",
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of the sample. Only to be read."""
    folder = tmp_path_factory.mktemp("cli") / "pack"
    done = xlabel("pack", IMAGES, LABELS, "--output", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def told(*arguments: str | Path) -> tuple[int, Any]:
    """Exit code and JSON of a command with --json."""
    done = xlabel(*arguments, "--json")
    return done.returncode, json.loads(done.stdout)


# Help


def test_help_lists_every_command_with_a_sentence() -> None:
    done = xlabel("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^\W*{command}\s+[A-Z]\w+", done.stdout, re.MULTILINE)
    assert "--json" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_explains_its_options(command: str) -> None:
    done = xlabel(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in COMMANDS[command].split():
        assert re.search(rf"{option}\b", done.stdout)


def test_the_command_is_installed_under_its_name(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("xlabel")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", done.stdout)
    assert done.stdout == xlabel("--version").stdout


# Every command, for machines


def test_pack_tells_what_it_did(tmp_path: Path) -> None:
    code, value = told("pack", IMAGES, LABELS, "--output", tmp_path / "pack", "--media", "set.zip")
    assert code == value["exit_code"] == 0
    assert value["done"] == {"images": 24, "annotations": 114, "categories": 6}
    assert value["files"] == {str(path): path.stat().st_size for path in (tmp_path / "pack").iterdir()}
    assert str(tmp_path / "pack" / "set.zip") in value["files"]


def test_verify_tells_what_it_read(pack: Path) -> None:
    code, value = told("verify", pack)
    assert (code, value["done"], value["problems"]) == (0, {"images": 24, "annotations": 114}, [])


def test_unpack_gives_the_trees_back(pack: Path, tmp_path: Path) -> None:
    code, value = told("unpack", pack, tmp_path / "restored")
    assert (code, value["done"]["images"], value["done"]["annotations"]) == (0, 24, 114)
    assert tree(tmp_path / "restored" / "raw_images") == tree(IMAGES)
    assert tree(tmp_path / "restored" / "raw_labels") == tree(LABELS)


def test_convert_writes_another_form(tmp_path: Path) -> None:
    code, value = told("convert", LABELS, tmp_path / "labels.json", "--to", "coco", "--images", IMAGES)
    assert (code, value["done"]["annotations"]) == (0, 114)
    assert len(json.loads((tmp_path / "labels.json").read_bytes())["annotations"]) == 114


def test_formats_names_all_and_what_they_hold() -> None:
    code, value = told("formats")
    assert code == 0
    formats = {row["name"]: row for row in value["formats"]}
    assert {"coco", "yolo", "voc", "labelme", "csv"} <= formats.keys()
    for row in formats.values():
        assert "bbox" in row["holds"] and set(row["holds"]) | set(row["loses"]) == value["fields"].keys()
    text = xlabel("formats").stdout
    assert all(re.search(rf"^{name} ", text, re.MULTILINE) for name in formats)


@pytest.mark.parametrize("command", [["--json", "verify"], ["verify", "--json"]])
def test_json_is_taken_before_and_behind_the_command(pack: Path, command: list[str]) -> None:
    assert json.loads(xlabel(*command, pack).stdout)["job"] == "verify"


# Exit codes


def test_problems_end_with_1_and_are_listed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(awkward.picture()[:-20])
    done = xlabel("pack", tmp_path / "images", "--output", tmp_path / "pack")
    assert done.returncode == 1 and "images/a.jpg: the image is cut off" in done.stdout
    code, value = told("pack", tmp_path / "images", "--output", tmp_path / "pack", "--overwrite")
    assert code == value["exit_code"] == 1
    assert [problem["code"] for problem in value["problems"]] == ["cut-off"]


def test_only_the_first_20_problems_are_printed_and_all_are_in_the_json(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(33):
        (tmp_path / "images" / f"{number:02}.jpg").write_bytes(awkward.picture(seed=number)[:-20])
    done = xlabel("pack", tmp_path / "images", "--output", tmp_path / "pack")
    assert done.stdout.count("is cut off") == 20 and "and 13 more" in done.stdout
    _, value = told("pack", tmp_path / "images", "--output", tmp_path / "pack", "--overwrite")
    assert len(value["problems"]) == 33
    assert len(json.loads((tmp_path / "pack" / "problems.json").read_bytes())["problems"]) == 33


def test_a_damaged_pack_ends_verify_with_1(pack: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pack, tmp_path / "pack")
    media = copy / "media_bundle.mp4"
    data = bytearray(media.read_bytes())
    data[1000] ^= 1
    media.write_bytes(data)
    code, value = told("verify", copy)
    assert code == 1 and value["problems"][0]["code"] == "hash-mismatch"


@pytest.mark.parametrize(
    "arguments",
    [
        ["pack", "nowhere"],
        ["pack", "empty"],
        ["pack", IMAGES, "nowhere"],
        ["pack", IMAGES, LABELS, "--media", "x.avi"],
        ["pack", IMAGES, LABELS, "--from", "nonsense"],
        ["pack", IMAGES, LABELS, "--on-loss", "perhaps"],
        ["pack", IMAGES, LABELS, "--no-such-option"],
        ["pack", IMAGES, LABELS, "--pattern", "*.nothing"],
        ["verify", "nowhere"],
        ["verify", "empty"],
        ["unpack", "nowhere", "there"],
        ["convert", "nowhere", "there", "--to", "coco"],
        ["convert", LABELS, "there", "--to", "nonsense"],
        ["convert", LABELS, "there"],
        ["nonsense"],
        [],
    ],
)
def test_bad_input_ends_with_2_says_why_and_makes_nothing(
    arguments: list[str | Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    if not arguments:
        assert "Usage: xlabel" in xlabel(cwd=tmp_path).stdout
        return
    done = xlabel(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2 and json.loads(done.stdout)["error"]
    assert done.stderr.startswith("xlabel: ") and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "embed a.jpg b.jpg c.jpg d.jpg e.jpg f.jpg",
            "expected no more arguments, got 'c.jpg', 'd.jpg', 'e.jpg' and 1 more; put a glob in quotes. "
            "See xlabel embed --help.",
        ),
        ("extract images out.json", "expected --to and its value. See xlabel extract --help."),
        ("extract images --to coco", "expected DEST, got none. See xlabel extract --help."),
        (
            "repair images --form x",
            "expected --from and its value. Did you mean --from instead of --form? See xlabel repair --help.",
        ),
        ("extract no/*.jpg out --to csv", "no: expected a folder of images, found nothing there"),
        ("pack no", "no: expected a folder, found nothing there; check the path"),
        (
            "log no",
            "no: expected the folder of a pack or its media file, found nothing there; xlabel pack makes one",
        ),
        (
            "diff images no",
            "images: expected one media bundle (.mp4, .tar or .zip), found none; xlabel pack makes one",
        ),
        ("show no/a.jpg", "no/a.jpg: expected an image, a folder of images or a glob, found nothing there"),
        (
            "validate images --html no/page.html",
            "no/page.html: expected a folder no to write it in, found none; make it",
        ),
    ],
)
def test_a_command_that_is_not_understood_says_what_was_expected(
    arguments: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(awkward.picture())
    done = xlabel(*arguments.split(), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"xlabel: {said}\n")


def test_the_labels_that_were_taken_are_named_as_a_person_names_them(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(awkward.picture())
    (tmp_path / "a.csv").write_text("image,category,x,y,w,h\na.jpg,car,1,2,3,4\n")
    for command in ("pack", "embed", "validate"):
        done = xlabel(command, "images", "a.csv", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "note: labels read as csv from a.csv\n" in done.stdout
    (tmp_path / "none").mkdir()
    done = xlabel("embed", "images", "none", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "xlabel: none: expected labels, found an empty folder\n")


@pytest.mark.parametrize(
    "command", ["embed IMAGES [LABELS]", "show FILES...", "extract IMAGES DEST --to FORMAT"]
)
def test_the_usage_of_a_command_names_its_arguments(command: str) -> None:
    name, _, rest = command.partition(" ")
    assert xlabel(name, "--help").stdout.startswith(f"Usage: xlabel {name} [OPTIONS] {rest}\n")


def test_an_output_that_is_there_ends_with_2_and_stays(pack: Path) -> None:
    before = tree(pack)
    done = xlabel("pack", IMAGES, LABELS, "--output", pack)
    assert done.returncode == 2 and "--overwrite" in done.stderr and done.stdout == ""
    assert tree(pack) == before


def test_a_loss_ends_with_3_and_makes_nothing(tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    label = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0}
    value = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 24, "height": 16}],
        "annotations": [label | {"bbox": [1, 1, 8, 8], "area": 32}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    labels.write_text(json.dumps(value))
    code, refused = told("convert", labels, tmp_path / "rows", "--to", "yolo-detect")
    assert code == refused["exit_code"] == 3 and "--on-loss drop" in refused["error"]
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]
    code, value = told("convert", labels, tmp_path / "rows", "--to", "yolo-detect", "--on-loss", "drop")
    assert code == 0 and [loss["field"] for loss in value["losses"]] != []
    assert list((tmp_path / "rows").rglob("*.txt"))


# For people


def test_a_reader_that_goes_away_is_no_error_to_shout_about(pack: Path) -> None:
    command = f'"{sys.executable}" -m xlabel verify "{pack}" | head -c 0; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_labels_beside_the_images_are_found_without_being_named(tmp_path: Path) -> None:
    shutil.copytree(IMAGES, tmp_path / "images")
    shutil.copytree(LABELS, tmp_path / "labels")
    code, value = told("pack", tmp_path / "images", "--output", tmp_path / "pack")
    assert (code, value["done"]["annotations"]) == (0, 114)


@pytest.mark.parametrize("name", ["set.tar", "set.zip", "set.mp4", "SET.MP4"])
def test_the_suffix_of_the_media_picks_the_kind(name: str, tmp_path: Path) -> None:
    done = xlabel("pack", IMAGES, LABELS, "--output", tmp_path, "--media", name, "--overwrite")
    assert done.returncode == 0
    manifest = json.loads((tmp_path / "frame_manifest.json").read_bytes())
    assert (manifest["bundle"], manifest["kind"]) == (name, name[-3:].lower())
    assert xlabel("verify", tmp_path).returncode == 0


def test_workers_and_frame_rate_are_taken(tmp_path: Path) -> None:
    for workers in "12":
        words = ("--workers", workers, "--fps", "12.5", "--plain")
        assert xlabel("pack", IMAGES, LABELS, "--output", tmp_path / workers, *words).returncode == 0
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    assert json.loads((tmp_path / "1" / "frame_manifest.json").read_bytes())["fps"] == 12.5
