"""How often a thing that is outlined in one picture is found in those that follow, and where it is not.

    PYTHONPATH=. python benchmarks/propagate.py SAM_DIR

Two sets, fetched as the tests fetch theirs: 49 pictures of a rubber duck, by each, each second, third and
fourth of them, where OpenCV says by its colour where the duck is; and windows that move over photographs,
turning and growing, where everything that the model outlines in the first is followed, and geometry says
where it is.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests import weights
from tests.detectors.test_propagation_photos import DUCK, frame, nearest

from xlabel.detectors import sam
from xlabel.detectors.propagation import followed
from xlabel.detectors.sam import Embedding, Segment, Segmenter
from xlabel.model import Annotation

Picture = NDArray[np.uint8]
Bits = NDArray[np.bool_]

STEPS = 8
"""Windows of a photograph."""
SURE, LEAST_AREA, MOST_AREA = 0.9, 0.003, 0.2
"""Of what is followed in photographs: the model's score, and shares of the window."""


def main(folder: str) -> None:
    segmenter = sam.opened(folder)
    clip = [segmenter.encode(frame(number)) for number in range(1, 50)]
    for step in (1, 2, 3, 4):
        begun = time.process_time()
        found = list(on_clip(segmenter, clip, step))
        each = (time.process_time() - begun) / len(found)
        good = sum(one >= 0.7 for one in found)
        print(
            f"clip, picture 1 and each {step}. after: {good} of {len(found)} found (overlap 0.7 or more), "
            f"mean {np.mean(found):.3f}, {each:.2f} s of CPU a picture besides encoding"
        )
    total: Counter[str] = Counter()
    for name, picture in photographs():
        counted = Counter(on_windows(segmenter, picture))
        print(f"{name}: {dict(counted)}")
        total += counted
    print(f"in all: {dict(total)}")


def on_clip(segmenter: Segmenter, clip: Sequence[Embedding], step: int) -> Iterator[float]:
    """The overlap with the duck in each picture."""
    start = segmenter.segment(clip[0], [(*DUCK, True)])
    label = Annotation(polygons=sam.polygons(start))
    places: list[tuple[Bits, tuple[float, float]]] = []
    for number in range(1, 50):
        places.append(nearest(number, places[-1][1] if places else DUCK))
    for (bits, _), found in zip(
        places[step::step], followed(segmenter, clip[0], label, clip[step::step]), strict=True
    ):
        yield overlap(sam.mask(found.segment), bits) if found else 0


def photographs() -> Iterator[tuple[str, Picture]]:
    for name in ("astronaut", "chelsea", "coffee"):
        yield name, weights.photograph(name)
    for path in sorted((weights.package("ultralytics") / "ultralytics" / "assets").glob("*.jpg")):
        with Image.open(path) as image:
            yield path.name, np.asarray(image.convert("RGB"))
    yield "duck", frame(25)


def on_windows(segmenter: Segmenter, picture: Picture) -> Iterator[str]:
    """What became of each thing in each window: there or gone, and found rightly, wrongly or not."""
    height, width = picture.shape[:2]
    size = (int(width * 0.6), int(height * 0.6))
    ways = [way(width, height, size, share / (STEPS - 1)) for share in range(STEPS)]
    windows = [cv2.warpAffine(picture, one[:2], size, flags=cv2.INTER_AREA) for one in ways]
    embeddings = [segmenter.encode(np.asarray(window, np.uint8)) for window in windows]
    for thing in things(segmenter, embeddings[0], size):
        first = sam.mask(thing)
        label = Annotation(polygons=sam.polygons(thing))
        every = followed(segmenter, embeddings[0], label, embeddings[1:])
        for one, found in zip(ways[1:], every, strict=True):
            moved = one @ np.linalg.inv(ways[0])
            there = cv2.warpAffine(first.astype(np.uint8), moved[:2], size).astype(bool)
            share = there.sum() / (first.sum() * np.linalg.det(moved[:2, :2]))
            where = "there" if share >= 0.6 else "gone" if share < 0.03 else "partly"
            common = overlap(sam.mask(found.segment), there) if found else None
            yield f"{where}, " + (
                "not found"
                if common is None
                else "right"
                if common >= 0.7
                else "wrong"
                if common < 0.5
                else "so-so"
            )


def way(width: int, height: int, size: tuple[int, int], share: float) -> NDArray[np.float64]:
    """From a photograph to a window on it: across it, turning by 10 degrees, growing by a tenth."""
    turn, scale = np.deg2rad(10 * share), 1.1**share
    middle = np.array([width * (0.32 + 0.36 * share), height * (0.36 + 0.28 * share)])
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    whole = np.eye(3)
    whole[:2, :2], whole[:2, 2] = turned, np.array(size) / 2 - turned @ middle
    return whole


def things(segmenter: Segmenter, embedding: Embedding, size: tuple[int, int]) -> list[Segment]:
    """What the model is sure of at a grid of points, each thing once."""
    found: list[tuple[Segment, Bits]] = []
    for x, y in np.stack(np.meshgrid(np.linspace(0.1, 0.9, 7), np.linspace(0.1, 0.9, 7)), axis=2).reshape(
        -1, 2
    ):
        one = segmenter.segment(embedding, [(x * size[0], y * size[1], True)])
        bits = sam.mask(one)
        new = all((bits & other).sum() < 0.3 * min(bits.sum(), other.sum()) for _, other in found)
        if one.score > SURE and LEAST_AREA < bits.mean() < MOST_AREA and new:
            found.append((one, bits))
    return [one for one, _ in found]


def overlap(one: Any, other: Any) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


if __name__ == "__main__":
    main(sys.argv[1])
