"""Fine-tune a small detector on images that hold their labels, and let it label the others.

python examples/finetune.py sample/raw_images sample/raw_labels --work finetune

1. The labels go into a copy of the images; every third image stays without, as if nobody had come to it.
2. A person would look through them: `xlabel review finetune/labelled`.
3. A small net learns from the labels in the images.
4. It becomes an ONNX file that says what its categories are called.
5. It labels the others: suggestions in the images, each with its score and the model's name.
6. They are measured against the labels that were held back; a person would accept or correct them in the
   page: `xlabel review finetune/others --order uncertainty`. Then begin at 3 with more images.

On two cores it takes some three minutes, of which the net learns for nearly all. Needs torch, onnx and
xlabel[onnx,evaluate].
"""

import argparse
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

import xlabel

SIDE = 320
"""Pixels of the square picture that the net sees."""
STRIDES = (8, 16, 32)
"""Pixels a cell, of each of its grids."""
LARGEST = (48, 112)
"""Pixels of the longer side of what the first grids find; the last one finds the rest."""

Example = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]
"""A picture (SIDE x SIDE x 3), its boxes (left, top, right, bottom) and their categories."""


class Detector(nn.Module):
    """For each cell of each grid a box in pixels and the score of each category: N x (4 + K) x cells.

    The form is that of YOLOv8's exports, which `xlabel prelabel` knows by its shape.
    """

    def __init__(self, categories: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(step(3, 24), step(24, 48), step(48, 64), same(64))
        self.deeper = nn.ModuleList(
            [nn.Sequential(step(64, 96), same(96)), nn.Sequential(step(96, 128), same(128))]
        )
        self.heads = nn.ModuleList([head(width, 4 + categories) for width in (64, 96, 128)])

    def forward(self, pictures: Tensor) -> Tensor:
        """`pictures` are N x 3 x SIDE x SIDE, RGB from 0 to 1."""
        found = []
        features = self.stem(pictures)
        for at, stride in enumerate(STRIDES):
            if at:
                features = self.deeper[at - 1](features)
            raw = self.heads[at](features).flatten(2)
            places = centres(stride).to(raw)
            middles = places + raw[:, :2].tanh() * 2 * stride
            sizes = raw[:, 2:4].clamp(max=4).exp() * 2 * stride
            found.append(torch.cat([middles, sizes, raw[:, 4:].sigmoid()], 1))
        return torch.cat(found, 2)


def step(before: int, after: int) -> nn.Module:
    """A convolution that halves the picture."""
    return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.SiLU())


def same(width: int) -> nn.Module:
    """A convolution that keeps its size."""
    return nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU())


def head(before: int, after: int) -> nn.Module:
    """What is said of each cell; in the beginning, that nothing is there."""
    last = nn.Conv2d(before, after, 1)
    nn.init.constant_(last.bias[4:], -4)  # type: ignore[index]
    return nn.Sequential(same(before), last)


def centres(stride: int) -> Tensor:
    """The middle of each cell, x and y: 2 x cells."""
    along = (torch.arange(SIDE // stride) + 0.5) * stride
    rows, columns = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()])


def labelled(folder: Path, names: list[str]) -> list[Example]:
    """The images of a folder with the labels that they hold, as large as the net sees them."""
    examples = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        labels = [
            label for label in xlabel.labels(path)
            if label.bbox and label.category and label.status in (None, "accepted")
        ]  # fmt: skip
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
        scale = SIDE / max(picture.size)
        small = picture.resize((round(picture.width * scale), round(picture.height * scale)))
        left, top = (SIDE - small.width) // 2, (SIDE - small.height) // 2
        square = Image.new("RGB", (SIDE, SIDE), (114, 114, 114))
        square.paste(small, (left, top))
        boxes = np.array([label.bbox for label in labels], np.float32).reshape(-1, 4) * scale
        boxes[:, 2:] += boxes[:, :2]
        numbers = [names.index(label.category.name) for label in labels if label.category]
        examples.append(
            (np.asarray(square), boxes + np.float32([left, top] * 2), np.array(numbers, np.int64))
        )
    return examples


def varied(example: Example, chance: random.Random) -> Example:
    """The same thing elsewhere: mirrored, larger or smaller, moved, lighter or darker."""
    picture, boxes, numbers = example
    if chance.random() < 0.5:
        picture = picture[:, ::-1]
        boxes = np.stack([SIDE - boxes[:, 2], boxes[:, 1], SIDE - boxes[:, 0], boxes[:, 3]], 1)
    scale = chance.uniform(0.7, 1.4)
    x, y = (chance.uniform(min(0, SIDE - SIDE * scale), max(0, SIDE - SIDE * scale)) for _ in range(2))
    back = (1 / scale, 0, -x / scale, 0, 1 / scale, -y / scale)
    moved = Image.fromarray(np.ascontiguousarray(picture)).transform(
        (SIDE, SIDE), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR, fillcolor=(114, 114, 114)
    )
    light = np.asarray(moved, np.float32) * chance.uniform(0.7, 1.3) + chance.uniform(-20, 20)
    whole = boxes * scale + np.array([x, y, x, y], np.float32)
    cut = whole.clip(0, SIDE)
    seen = (cut[:, 2:] - cut[:, :2]).prod(1) > 0.4 * (whole[:, 2:] - whole[:, :2]).prod(1)
    return light.clip(0, 255).astype(np.uint8), cut[seen], numbers[seen]


def wanted(boxes: NDArray[np.float32], numbers: NDArray[np.int64], categories: int) -> tuple[Tensor, Tensor]:
    """What the net should say of one picture: a box a cell (cells x 4), and its categories (cells x K).

    A thing is found by the cells nearest to its middle, of the grid for its size.
    """
    targets, scores = [], []
    longest = (boxes[:, 2:] - boxes[:, :2]).max(1) if len(boxes) else np.zeros(0)
    levels = np.digitize(longest, LARGEST)
    for level, stride in enumerate(STRIDES):
        places = centres(stride).T
        target, score = torch.zeros(len(places), 4), torch.zeros(len(places), categories)
        for box, number in zip(boxes[levels == level], numbers[levels == level], strict=True):
            middle = torch.tensor((box[:2] + box[2:]) / 2)
            near = (places - middle).abs().amax(1) < 1.2 * stride
            target[near] = torch.tensor(box)
            score[near] = 0
            score[near, number] = 1
        targets.append(target)
        scores.append(score)
    return torch.cat(targets), torch.cat(scores)


def loss_of(found: Tensor, boxes: Tensor, scores: Tensor) -> Tensor:
    """How far what was found is from what should be: focal loss of the scores, and overlap of the boxes."""
    said = found[:, 4:].transpose(1, 2).clamp(1e-6, 1 - 1e-6)
    right = torch.where(scores > 0, said, 1 - said)
    things = scores.sum(2) > 0
    count = max(1, int(things.sum()))
    loss = (-((1 - right) ** 2) * right.log() * torch.where(scores > 0, 0.75, 0.25)).sum() / count
    middle, size = found[:, :2].transpose(1, 2)[things], found[:, 2:4].transpose(1, 2)[things]
    low, high, truth = middle - size / 2, middle + size / 2, boxes[things]
    shared = (torch.minimum(high, truth[:, 2:]) - torch.maximum(low, truth[:, :2])).clamp(min=0).prod(1)
    both = size.prod(1) + (truth[:, 2:] - truth[:, :2]).prod(1) - shared
    near = F.smooth_l1_loss(torch.cat([low, high], 1), truth, reduction="sum") / SIDE / count
    return loss + (1 - shared / both.clamp(min=1)).sum() / count + near


def trained(examples: list[Example], categories: int, steps: int, batch: int, seed: int) -> Detector:
    """A net that has seen so many batches of the examples."""
    torch.manual_seed(seed)
    chance = random.Random(seed)
    net = Detector(categories).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    losses = []
    for number in range(1, steps + 1):
        chosen = [varied(chance.choice(examples), chance) for _ in range(batch)]
        pictures = torch.tensor(np.stack([picture for picture, _, _ in chosen])).permute(0, 3, 1, 2) / 255
        parts = [wanted(boxes, numbers, categories) for _, boxes, numbers in chosen]
        boxes, scores = (torch.stack(part) for part in zip(*parts, strict=True))
        loss = loss_of(net(pictures), boxes, scores)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if number % max(1, steps // 10) == 0:
            print(f"step {number} of {steps}: loss {sum(losses) / len(losses):.3f}", flush=True)
            losses.clear()
    return net.eval()


def exported(net: Detector, names: list[str], file: Path) -> None:
    """Write the net as ONNX, with what xlabel prelabel wants to know."""
    warnings.filterwarnings(
        "ignore", category=DeprecationWarning
    )  # of the exporter that needs no more packages
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, SIDE, SIDE),),
        str(file),
        dynamo=False,
        opset_version=17,
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
    )
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {"names": str(dict(enumerate(names))), "license": "Apache-2.0"})
    onnx.save(model, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path, help="a folder of images")
    parser.add_argument("labels", type=Path, help="their labels, in any format that xlabel reads")
    parser.add_argument("--work", type=Path, default=Path("finetune"), help="a new folder")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--min-score", type=float, default=0.4, help="of a suggestion")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    ours, others = options.work / "labelled", options.work / "others"
    shutil.copytree(options.images, ours)
    xlabel.embed(ours, options.labels)
    for path in sorted(path for path in ours.rglob("*") if path.is_file())[::3]:
        place = others / path.relative_to(ours)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    xlabel.strip(others)
    data = xlabel.read(ours)
    names = [category.name for category in data.categories]
    print(f"{len(data)} images with labels of {', '.join(names)}", flush=True)

    net = trained(labelled(ours, names), len(names), options.steps, options.batch, options.seed)
    file = options.work / "detector.onnx"
    exported(net, names, file)
    print(xlabel.prelabel(others, model=file, min_score=options.min_score))
    print(xlabel.evaluate(others, options.labels))
    print(f"next: xlabel review {others} --order uncertainty")


if __name__ == "__main__":
    main()
