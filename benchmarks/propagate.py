"""One click on a thing, and in how many of the images that follow it is found again.

    python benchmarks/propagate.py SAM IMAGES --click X,Y --colour LOW,HIGH

follows what is clicked in the first of IMAGES, which are taken in the order of their names with numbers as
numbers. Right is where the box around it overlaps by 0.7 or more with the box around the patch of its colour
(hues of LOW to HIGH degrees) that lies next to it. The pictures on which the number of docs/segment.md was
measured are those of a rubber duck in the archive of custom-obj-detector, which `tests/weights.py` fetches.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from xlabel.detectors import propagation, sam
from xlabel.model import Annotation
from xlabel.model.geometry import Box, bounds, iou
from xlabel.pictures import contours

RIGHT = 0.7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sam", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--click", default="370,370")
    parser.add_argument("--colour", default="20,75")
    asked = parser.parse_args()
    x, y = map(float, asked.click.split(","))
    low, high = map(float, asked.colour.split(","))
    paths = sorted(asked.images.glob("*.jpg"), key=lambda path: numbers(path.name))
    segmenter = sam.opened(str(asked.sam))
    begun = time.process_time()
    first = segmenter.encode(picture(paths[0]))
    encoded = time.process_time()
    clicked = sam.polygons(segmenter.segment(first, [(x, y, True)]))
    print(f"encoding {encoded - begun:.2f} s of CPU, a click {(time.process_time() - encoded) * 1000:.0f} ms")
    label = Annotation(polygons=clicked)
    embeddings = (segmenter.encode(picture(path)) for path in paths[1:])
    begun = time.process_time()
    overlaps = []
    for path, found in zip(paths[1:], propagation.followed(segmenter, first, label, embeddings), strict=True):
        box = None if found is None else box_of(sam.polygons(found.segment))
        patch = None if box is None else patch_of(picture(path), low, high, box)
        overlap = 0.0 if box is None or patch is None else iou(box, patch)
        overlaps.append(overlap)
        print(f"{path.name}: {f'score {found.score:.2f}, IoU {overlap:.2f}' if found else 'not found'}")
    right = sum(overlap >= RIGHT for overlap in overlaps)
    each = (time.process_time() - begun) / len(overlaps)
    print(f"{right} of {len(overlaps)} right, mean IoU {np.mean(overlaps):.3f}, {each:.2f} s of CPU an image")


def numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]


def picture(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def box_of(polygons: tuple[tuple[float, ...], ...]) -> Box | None:
    return bounds([number for part in polygons for number in part])


def patch_of(pixels: NDArray[np.uint8], low: float, high: float, near: Box) -> Box | None:
    """The box around the patch of a colour whose middle is nearest to that of another box."""
    hue, saturation, value = np.moveaxis(np.asarray(Image.fromarray(pixels).convert("HSV")).astype(int), 2, 0)
    coloured = (hue >= low / 360 * 255) & (hue <= high / 360 * 255) & (saturation > 120) & (value > 110)
    closed = Image.fromarray(np.uint8(255) * coloured)
    for filter in (ImageFilter.MinFilter(3), ImageFilter.MaxFilter(17), ImageFilter.MinFilter(15)):
        closed = closed.filter(filter)
    found = contours.parts(np.asarray(closed) > 0, smallest=300)
    boxes = [bounds(part.ring.ravel().tolist()) for part in found]
    there = [box for box in boxes if box is not None]
    return min(there, key=lambda box: float(np.hypot(*(middle(box) - middle(near)))), default=None)


def middle(box: Box) -> NDArray[np.float64]:
    return np.array((box[0] + box[2] / 2, box[1] + box[3] / 2))


if __name__ == "__main__":
    main()
