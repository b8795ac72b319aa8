"""Packs from elsewhere with forged notes, links or generations: no file is lost, and no lie is believed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.changing import MEDIA, Two
from tests.tools import tool

import xlabel
from xlabel.errors import CorruptError, InputError


@pytest.fixture
def output(two: Two, tmp_path: Path) -> Path:
    two.put(tmp_path / "output")
    return tmp_path / "output"


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
