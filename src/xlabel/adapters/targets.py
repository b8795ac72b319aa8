"""What a detector is trained with: the picture and its labels as tensors, in the form that torchvision takes.

torchvision, `references/detection` and `models.detection`: boxes are left, top, right, bottom; label 0 is the
background; what is a crowd, or has no area inside the picture, is no target.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xlabel.errors import CorruptError, extra
from xlabel.jobs.stream import Streamed
from xlabel.model import RLE, Annotation
from xlabel.model.geometry import area_of, bbox_of, decode
from xlabel.pictures.rgb import rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Target = dict[str, Any]


def picture(sample: Streamed) -> Tensor:
    """The image as displayed: 3 x height x width bytes, RGB, channels last in memory.

    CorruptError names one that cannot be decoded.
    """
    try:
        array = rgb(sample.bytes, sample.image.orientation)
    except ValueError as error:
        raise CorruptError(
            f"{sample.key}: expected an image that can be decoded, {error}; xlabel validate finds all of them"
        ) from None
    return torch.from_numpy(_positive(array)).permute(2, 0, 1)


def plain(sample: Streamed) -> tuple[Tensor, tuple[Annotation, ...]]:
    """The picture, and its labels as they are."""
    return picture(sample), sample.annotations


def boxes(sample: Streamed) -> tuple[Tensor, Target]:
    """The picture, and its boxes.

    `boxes` float N x 4, `labels` int N (1 is the first category of the bundle), `area` float N, `iscrowd` int
    N, `image_id` int: the sample's number, `position` int. Boxes are clipped to the picture. Left out are
    rejected labels, crowds, and those without category, without geometry or without area in the picture.
    """
    image = picture(sample)
    return image, _target(sample, image, _kept(sample, image))


def detection(sample: Streamed) -> tuple[Tensor, Target]:
    """As `boxes`, and what all of the labels of the sample have.

    `masks` bytes N x height x width of 0 and 1, where each has a mask or polygons; `keypoints` float N x K x
    3, where each has as many.
    """
    image = picture(sample)
    kept = _kept(sample, image)
    target = _target(sample, image, kept)
    labels = [annotation for annotation, _ in kept]
    height, width = image.shape[1:]
    if labels and all(label.mask or label.polygons for label in labels):
        target["masks"] = torch.stack([_mask(label, height, width) for label in labels])
    lengths = {len(label.keypoints or ()) for label in labels}
    if len(lengths) == 1 and (length := lengths.pop()) and not length % 3:
        flat = [label.keypoints for label in labels]
        target["keypoints"] = torch.tensor(flat, dtype=torch.float32).reshape(len(labels), -1, 3)
    return image, target


def collate(batch: list[tuple[Any, ...]]) -> tuple[tuple[Any, ...], ...]:
    """Images and targets apart, each a tuple, since pictures differ in size: what detectors take."""
    return tuple(zip(*batch, strict=True))


def as_tv(image: Tensor, target: Any) -> tuple[Tensor, Any]:
    """The same with torchvision's `tv_tensors`, which its transforms tell pictures and boxes by."""
    from torchvision import tv_tensors

    height, width = image.shape[-2:]
    if isinstance(target, Mapping):
        known = {
            "boxes": partial(
                tv_tensors.BoundingBoxes,
                format=tv_tensors.BoundingBoxFormat.XYXY,
                canvas_size=(height, width),
            ),
            "masks": tv_tensors.Mask,
        }
        target = {name: known[name](value) if name in known else value for name, value in target.items()}
    return tv_tensors.Image(image), target


def _kept(sample: Streamed, image: Tensor) -> list[tuple[Annotation, tuple[float, float, float, float]]]:
    """The labels that are targets, and left, top, right and bottom of each."""
    height, width = image.shape[1:]
    kept = []
    for label in sample.annotations:
        if label.crowd or label.category is None or label.status == "rejected":
            continue
        box = bbox_of(label)
        if box is None:
            continue
        x, y, w, h = box
        left, top, right, bottom = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
        if right > left and bottom > top:
            kept.append((label, (left, top, right, bottom)))
    return kept


def _target(
    sample: Streamed, image: Tensor, kept: list[tuple[Annotation, tuple[float, float, float, float]]]
) -> Target:
    numbers = sample.stream.labels
    areas = [
        (right - left) * (bottom - top) if (area := area_of(label)) is None else area
        for label, (left, top, right, bottom) in kept
    ]
    return {
        "boxes": torch.tensor([box for _, box in kept], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(
            [numbers[label.category.id] for label, _ in kept if label.category], dtype=torch.int64
        ),
        "area": torch.tensor(areas, dtype=torch.float32),
        "iscrowd": torch.zeros(len(kept), dtype=torch.int64),
        "image_id": sample.number,
        "position": sample.position,
    }


def _mask(label: Annotation, height: int, width: int) -> Tensor:
    """Bytes of 0 and 1; polygons cover the pixels that COCO's own code says (pycocotools, maskApi.c)."""
    runs = label.mask
    if runs is None or runs.size != (height, width):
        with extra("torch", "masks of polygons"):
            from pycocotools import mask as coco
        parts = [list(part) for part in label.polygons or ()]
        merged = coco.merge(coco.frPyObjects(parts, height, width)) if parts else None
        runs = RLE((height, width), merged["counts"].decode() if merged else (height * width,))
    return torch.from_numpy(decode(runs).astype("uint8"))


def _positive(array: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """The same without negative strides, which tensors cannot have."""
    return array if min(array.strides) > 0 else array.copy()
