"""The files to pack: made by formula, the same on every machine with the same Pillow and NumPy.

python benchmarks/data.py FOLDER COUNT
"""

import io
import random
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = [(500, 375), (640, 480), (480, 640), (640, 427), (800, 600), (1024, 683)]
BASES = 200
MEAN, SPREAD = 73_000, 0.35  # bytes a file, log-normal; the next lower JPEG quality makes it about 70,000


def make_data(folder: Path, count: int) -> None:
    """`count` JPEGs, no two the same, in images/, and their YOLO labels in labels/. Kept from run to run."""
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    chance = random.Random(0)
    bases = [photo(i, chance) for i in range(min(BASES, count))]
    for i in range(count):
        # A comment behind the JFIF header, 20 bytes into the file, makes each file's bytes its own.
        base, comment = bases[i % len(bases)], b"image %07d" % i
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / "images" / f"img_{i:07d}.jpg").write_bytes(base[:20] + segment + base[20:])
        (folder / "labels" / f"img_{i:07d}.txt").write_text("".join(row(chance) for _ in range(5)))
    names = "".join(f"  - class_{i}\n" for i in range(10))
    (folder / "labels" / "data.yaml").write_text(f"names:\n{names}")
    (folder / "complete").touch()


def photo(seed: int, chance: random.Random) -> bytes:
    """Gradients and noise of several grains as a JPEG, its quality tuned to a size drawn by chance."""
    noise = np.random.default_rng(seed)
    width, height = SIZES[seed % len(SIZES)]
    values = np.zeros((height, width, 3))
    for grain, strength in ((160, 60), (40, 30), (12, 16), (4, 10), (1, 5)):
        shape = (height // grain + 2, width // grain + 2, 3)
        coarse = Image.fromarray((noise.random(shape) * 255).astype(np.uint8))
        smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
        values += (np.asarray(smooth, float) / 127.5 - 1) * strength
    image = Image.fromarray(np.clip(values + 128, 0, 255).astype(np.uint8))
    target = MEAN * chance.lognormvariate(-(SPREAD**2) / 2, SPREAD)
    low, high = 5, 98
    while low < high:
        quality = (low + high + 1) // 2
        low, high = (quality, high) if len(jpeg(image, quality)) <= target else (low, quality - 1)
    return jpeg(image, low)


def jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "jpeg", quality=quality)
    return file.getvalue()


def row(chance: random.Random) -> str:
    width, height = chance.uniform(0.02, 0.4), chance.uniform(0.02, 0.4)
    x, y = chance.uniform(width / 2, 1 - width / 2), chance.uniform(height / 2, 1 - height / 2)
    return f"{chance.randrange(10)} {x:.6f} {y:.6f} {width:.6f} {height:.6f}\n"


if __name__ == "__main__":
    make_data(Path(sys.argv[1]), int(sys.argv[2]))
