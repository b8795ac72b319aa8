"""Files that are read to be written again."""

from pathlib import Path

import numpy as np
from PIL import Image

import xlabel
from xlabel.stores import rewrite


def test_pieces_of_a_mapped_file_may_outlive_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 8192)
    with rewrite.opened(bytes(path)) as (data, _):
        piece = memoryview(data)[1000:1256]
    assert bytes(piece) == bytes(range(1000 % 256, 256)) + bytes(range(1000 % 256))


def test_a_large_image_is_stripped(tmp_path: Path) -> None:
    """Its bytes are mapped, and the file without labels is made of pieces of them."""
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (800, 900, 3), dtype=np.uint8)).save(path)
    before = path.read_bytes()
    assert len(before) > rewrite.SMALL
    xlabel.embed(path, [xlabel.Annotation(bbox=(1, 2, 3, 4))])
    assert xlabel.strip(path).done == {"images": 1, "restored": 1}
    assert path.read_bytes() == before
