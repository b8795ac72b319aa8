"""Files that are read to be written again."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xlabel
from xlabel.errors import InputError
from xlabel.images import Buffer
from xlabel.stores import rewrite


def test_pieces_of_a_mapped_file_may_outlive_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 8192)
    with rewrite.opened(bytes(path)) as (data, _):
        piece = memoryview(data)[1000:1256]
    assert bytes(piece) == bytes(range(1000 % 256, 256)) + bytes(range(1000 % 256))


def test_what_a_killed_process_left_is_removed_and_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    draft = Path(os.fsdecode(rewrite.temporary(bytes(path))))
    draft.write_bytes(b"half of")
    with open(draft, "rb") as left, rewrite.opened(bytes(path)) as (_, seen):
        rewrite.replace(seen, [b"ne", b"", b"w"])
        assert left.read() == b"half of"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a": b"new"}


def test_a_temporary_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "other"
    path.write_bytes(b"old")
    other.write_bytes(b"other")
    Path(os.fsdecode(rewrite.temporary(bytes(path)))).symlink_to(other)
    with rewrite.opened(bytes(path)) as (_, seen), pytest.raises(InputError, match="another process"):
        rewrite.replace(seen, [b"new"])
    assert (path.read_bytes(), other.read_bytes()) == (b"old", b"other")


def test_more_pieces_than_one_call_takes_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    pieces: list[Buffer] = [bytes([number % 256]) * (number % 3) for number in range(2500)]
    with rewrite.opened(bytes(path)) as (_, seen):
        rewrite.replace(seen, pieces)
    assert path.read_bytes() == b"".join(pieces)


def test_a_large_image_is_stripped(tmp_path: Path) -> None:
    """Its bytes are mapped, and the file without labels is made of pieces of them."""
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (800, 900, 3), dtype=np.uint8)).save(path)
    before = path.read_bytes()
    assert len(before) > rewrite.SMALL
    xlabel.embed(path, [xlabel.Annotation(bbox=(1, 2, 3, 4))])
    assert xlabel.strip(path).done == {"images": 1, "restored": 1}
    assert path.read_bytes() == before
