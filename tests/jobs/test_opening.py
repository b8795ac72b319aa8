"""Opening a pack: what is none says what it is, and what to give instead."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.changing import Folder
from tests.tools import tree
from tests.tools import xlabel as command

import xlabel
from xlabel.errors import InputError, MissingError
from xlabel.model.manifest import ANNOTATIONS


def packed(folder: Folder, output: Path) -> None:
    xlabel.pack(folder.images, folder.labels, output)


def updated(folder: Folder, output: Path) -> None:
    xlabel.update(folder.images, folder.labels, output)


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder of images, with a pack of two generations at `output`; it is the one worked in."""
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path / "source")
    packed(folder, Path("output"))
    folder.label("a.jpg", 7)
    updated(folder, Path("output"))
    return folder


READERS: dict[str, Callable[[str], object]] = {
    "open_bundle": xlabel.open_bundle,
    "log": xlabel.log,
    "diff": lambda place: xlabel.diff(place, place),
    "unpack": lambda place: xlabel.unpack(place, "unpacked"),
    "compact": xlabel.compact,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("given", ["s3://bucket/set", "s3:/bucket/set"])
def test_a_url_is_to_be_pulled_first_and_keeps_its_slashes(reader: str, given: str) -> None:
    with pytest.raises(
        InputError, match=r"^s3://bucket/set: expected a folder, got a URL; .* xlabel pull s3://b"
    ):
        READERS[reader](given)


@pytest.mark.parametrize("name", ["log", "diff", "unpack", "compact"])
def test_the_commands_say_so_too(name: str, tmp_path: Path) -> None:
    more = {"diff": ["file:///data/set@2"], "unpack": [str(tmp_path / "unpacked")]}.get(name, [])
    done = command(name, "file:///data/set@2", *more)
    assert done.returncode == 2
    assert "xlabel: file:///data/set@2: expected a folder, got a URL" in done.stderr
    assert "xlabel pull file:///data/set DIR; generation 2 is only in the folder" in done.stderr


def test_a_folder_that_is_called_like_a_url_is_a_folder(grown: Folder) -> None:
    packed(grown, Path("s3:/bucket"))
    assert xlabel.log("s3:/bucket").generation == 1


@pytest.mark.parametrize("place", ["output@", "output@x", "output@-1"])
def test_what_looks_like_a_generation_is_told_how_one_is_said(grown: Folder, place: str) -> None:
    with pytest.raises(
        InputError, match=r"found nothing there; a generation is said as .* output@1, see xlabel log"
    ):
        xlabel.verify(place)


def test_what_is_not_there_and_a_json_file_are_no_pack(grown: Folder) -> None:
    with pytest.raises(
        InputError, match=r"^none: expected the folder of a pack or its media file, found nothing"
    ):
        xlabel.verify("none")
    with pytest.raises(InputError, match=r"frame_manifest\.json: .* one of its JSON files; give output$"):
        xlabel.verify("output/frame_manifest.json")


def test_a_generation_can_be_read_and_not_be_changed(grown: Folder) -> None:
    with pytest.raises(InputError, match=r"got generation 1 of one, which can only be read: .* give output$"):
        xlabel.compact("output@1")
    with pytest.raises(InputError, match=r"got generation 1 of one, which can only be read: .* give output$"):
        xlabel.push("output@1", f"file://{Path.cwd()}/place")
    assert [line.generation for line in xlabel.log("output@2").log] == [2]
    assert xlabel.log("output@1").log == [] and "packed" in str(xlabel.log("output@1"))
    assert xlabel.log("output/media_bundle.mp4") == xlabel.log("output")


def test_no_pack_takes_the_name_of_anothers_generation(grown: Folder) -> None:
    arguments = ("pack", grown.images, grown.labels, "--output")
    done = command(*map(str, arguments), "output@1")
    assert done.returncode == 2 and "what generation 1 of output is called" in done.stderr
    assert command(*map(str, arguments), "other@1").returncode == 0, "there is no pack other"
    done = command(*map(str, arguments), "file:///data/set", "--update")
    assert done.returncode == 2 and "file:///data/set: expected a folder, got a URL" in done.stderr


def pulled(url: str) -> object:
    return xlabel.pull(url, "pulled")


@pytest.mark.parametrize("reader", [xlabel.verify, xlabel.stream, pulled])
def test_generations_at_a_url_are_not_read(tmp_path: Path, reader: Callable[[str], object]) -> None:
    url = f"file://{tmp_path}/set"
    with pytest.raises(
        InputError, match=rf"only the current state is read: give {url}, or DIR@2 in the folder"
    ):
        reader(f"{url}@2")
    with pytest.raises(MissingError, match=r"is the URL right\? if so, push one there"):
        reader(url)


def test_a_place_that_was_pushed_to_opens_as_a_folder_only_while_its_files_are_current(grown: Folder) -> None:
    here = Path.cwd() / "place"
    url = f"file://{here}"
    xlabel.push("output", url)
    assert xlabel.verify(here).problems == []
    grown.label("b.png", 8)
    updated(grown, Path("output"))
    xlabel.push("output", url)
    for given in (here, here / "media_bundle.mp4"):
        for reader in (xlabel.open_bundle, xlabel.verify, xlabel.stream, xlabel.log):
            with pytest.raises(
                InputError, match=f"up to generation 3, .* show generation 2; read it as {url}, "
            ):
                reader(given)
    assert xlabel.verify(url).problems == []
    xlabel.pull(url, "copy")
    assert xlabel.verify("copy").problems == []
    with pytest.raises(
        InputError, match=r"^copy: expected generation 3, the only one that can be read here, got 2"
    ):
        xlabel.verify("copy@2")
    xlabel.push("output", url, fold=True)
    assert xlabel.verify(url).problems == []
    (here / "xlabel_head.json").unlink()
    assert xlabel.log(here).generation == 3, "a fold puts its files under the names that these have"


@pytest.fixture
def place(grown: Folder) -> Path:
    """A folder that was pushed to twice, whose own annotation file is that of the first time."""
    here = Path.cwd() / "place"
    xlabel.push("output", here.as_uri())
    grown.label("b.png", 8)
    updated(grown, Path("output"))
    xlabel.push("output", here.as_uri())
    return here


LABEL_READERS: dict[str, Callable[[Path], object]] = {
    "convert": lambda place: xlabel.convert(place, "made.json", to="coco"),
    "convert its file": lambda place: xlabel.convert(place / ANNOTATIONS, "made.json", to="coco"),
    "convert to Parquet": lambda place: xlabel.convert(place, "made.parquet", to="parquet"),
    "read": xlabel.read,
    "pack": lambda place: xlabel.pack("source/images", place, "made"),
    "pack its file": lambda place: xlabel.pack("source/images", place / ANNOTATIONS, "made"),
    "embed": lambda place: xlabel.embed("source/images", place, output="made"),
    "validate": lambda place: xlabel.validate("source/images", place),
    "update": lambda place: xlabel.update("source/images", place, "output"),
}


@pytest.mark.parametrize("reader", LABEL_READERS)
def test_labels_of_a_place_that_was_pushed_to_are_refused_where_they_are_old(
    place: Path, reader: str
) -> None:
    old = rf"^{place}: .* generation 3, .* show generation 2; fetch it first: xlabel pull {place.as_uri()} "
    with pytest.raises(InputError, match=old):
        LABEL_READERS[reader](place)
    assert not list(Path().glob("made*"))
    xlabel.push("output", place.as_uri(), fold=True)
    LABEL_READERS[reader](place)


WRITERS: dict[str, Callable[[Path], object]] = {
    "update": lambda place: xlabel.update("source/images", "source/labels", place),
    "pack": lambda place: xlabel.pack("source/images", "source/labels", place, overwrite=True),
    "compact": xlabel.compact,
    "pull": lambda place: xlabel.pull(f"{place.as_uri()}-of-others", place, overwrite=True),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_place_that_was_pushed_to_is_not_written_but_by_a_push(
    place: Path, writer: str, grown: Folder
) -> None:
    xlabel.push("output", f"{place.as_uri()}-of-others")
    grown.label("a.jpg", 9)
    before = tree(place)
    refused = (
        rf"^{place}: .* with xlabel_head.json; write the pack elsewhere, .* push it to {place.as_uri()};"
    )
    with pytest.raises(InputError, match=refused):
        WRITERS[writer](place)
    assert tree(place) == before
    assert xlabel.verify(place.as_uri()).problems == []
