"""Sequences of images: a scene that a camera moves over."""

from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG"}


def build(
    folder: Path, size: tuple[int, int] = (96, 64), count: int = 7, ending: str = "png", place: str = ""
) -> list[Path]:
    """Images `0000.png` and so on of one size."""
    width, height = size
    blocks = np.random.default_rng(7).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    scene = Image.fromarray(blocks).resize((width + 2 * count, height + count), Image.Resampling.BICUBIC)
    paths = []
    for number in range(count):
        path = folder / place / f"{number:04d}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene.crop((2 * number, number, 2 * number + width, number + height)).save(path, quality=95)
        paths.append(path)
    return paths
