"""Small folders of images and labels, quickly made and quickly packed."""

import shutil
from pathlib import Path

from tests.awkward import picture

FILES = ("media_bundle.mp4", "unified_annotation.json", "frame_manifest.json")


def build(folder: Path, seed: int = 0, count: int = 4) -> tuple[Path, Path]:
    """Images and their YOLO labels; each seed gives others under the same names, and one image more."""
    images, labels = folder / "images", folder / "labels"
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(count + seed):
        name = f"{'ab'[number % 2]}/{number:04d}"
        kind, suffix = (("JPEG", ".jpg"), ("PNG", ".png"))[number % 5 == 4]
        for place, data in (
            (images / f"{name}{suffix}", picture(kind, (8 + seed, 8), seed=1000 * seed + number)),
            (labels / f"{name}.txt", f"{seed} 0.5 0.5 0.25 0.{number + 1:04d}\n".encode()),
        ):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    (labels / "data.yaml").write_text("names: [boat, tree, car, dog]\n")
    return images, labels
