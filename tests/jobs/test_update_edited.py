"""Updates of a pack whose annotation file or manifest somebody has edited: told of and kept, or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.changing import Folder, described, held, packed, updated
from tests.tools import tree

import xlabel
from xlabel.errors import CorruptError, InputError


def edit(output: Path, change: Callable[[Any], None], indent: int | None = None) -> None:
    """Edit an annotation file as another tool would."""
    path = output / "unified_annotation.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document, indent=indent))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("cached", [False, True])
def test_labels_that_were_edited_by_hand_are_told_of_and_stay_a_generation(
    source: Folder, output: Path, tmp_path: Path, indent: int | None, cached: bool
) -> None:
    if cached:
        updated(source, output)
    first = described(output / "unified_annotation.json").dataset["annotations"][0]["id"]

    def relabel(document: Any) -> None:
        (one,) = (a for a in document["annotations"] if a["id"] == first)
        one["bbox"] = [0, 0, 1, 1]

    edit(output, relabel, indent)
    report = xlabel.update(source.images, source.labels, output)
    assert [problem.code for problem in report.problems] == ["annotations-changed"]
    assert report.done["relabelled"] == 1
    assert held(output) == source.expected()
    xlabel.unpack(f"{output}@1", tmp_path / "edited", to="coco")
    (document,) = (tmp_path / "edited").glob("*.json")
    assert [0, 0, 1, 1] in [one["bbox"] for one in described(document).anns.values()]
    assert xlabel.update(source.images, source.labels, output).problems == []


COMMANDS: dict[str, Callable[[Path], object]] = {
    "push": lambda output: xlabel.push(output, f"file://{output}-set"),
    "compact": xlabel.compact,
    "a generation": lambda output: xlabel.unpack(f"{output}@1", f"{output}-1"),
}


@pytest.mark.parametrize("broken", [False, True])
def test_a_blank_in_a_line_is_an_edit_like_any_other(
    source: Folder, output: Path, tmp_path: Path, broken: bool
) -> None:
    path = output / "unified_annotation.json"
    shutil.copytree(output, tmp_path / "as_packed")
    text = path.read_text()
    start = text.index('{"id":', text.index("\n", 12))
    path.write_text(f"{text[:start]}{{ {'x' if broken else ''}{text[start + 1 :]}")
    for refused in COMMANDS.values():
        with pytest.raises(InputError, match=r"unified_annotation\.json"):
            refused(output)
    if broken:
        with pytest.raises(InputError, match=r"unified_annotation\.json"):
            xlabel.diff(tmp_path / "as_packed", output)
        return
    assert xlabel.diff(tmp_path / "as_packed", output).changes == {}
    assert xlabel.update(source.images, source.labels, output).exit_code == 1
    assert held(output) == source.expected()


def test_a_file_that_was_only_indented_is_written_as_it_was(source: Folder, output: Path) -> None:
    before = described(output / "unified_annotation.json").dataset
    edit(output, lambda document: None, indent=1)
    report = xlabel.update(source.images, source.labels, output)
    assert [problem.code for problem in report.problems] == ["annotations-changed"]
    now = described(output / "unified_annotation.json").dataset
    assert (now["images"], now["annotations"]) == (before["images"], before["annotations"])
    assert xlabel.verify(output).problems == []


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["images"].pop(),
        lambda document: document["images"][0].pop("frame_index"),
        lambda document: document["images"][0].update(frame_index=1),
        lambda document: document["images"].append({"id": 99, "file_name": "z.jpg"}),
    ],
)
def test_an_annotation_file_without_its_frames_is_refused(
    source: Folder, output: Path, change: Callable[[Any], None]
) -> None:
    edit(output, change)
    before = tree(output)
    with pytest.raises((InputError, CorruptError), match=r"unified_annotation\.json"):
        updated(source, output)
    assert tree(output) == before


def test_an_edited_manifest_is_refused(source: Folder, output: Path) -> None:
    path = output / "frame_manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"height":10', b'"height":11', 1))
    before = tree(output)
    with pytest.raises(InputError, match=r"frame_manifest\.json: was edited since it was written"):
        updated(source, output)
    assert tree(output) == before


def test_an_edited_annotation_file_beside_a_tar_is_refused_since_it_would_be_lost(
    source: Folder, tmp_path: Path
) -> None:
    output = packed(source, tmp_path / "output", media="a.tar")
    edit(output, lambda document: document["annotations"].pop())
    before = tree(output)
    with pytest.raises(InputError, match="was edited since it was written"):
        updated(source, output)
    assert tree(output) == before
