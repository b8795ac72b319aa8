"""Train a small detector from a bundle, in a folder or at a URL, and go on where it stopped.

python examples/train.py output --epochs 20
python examples/train.py s3://BUCKET/PREFIX --workers 2 --cache /tmp/cache --checkpoint model.pt

The net looks at each picture at 96 x 96 and says for each of 6 x 6 cells which thing has its centre there,
and its box: enough to see the loss fall in seconds on a CPU. With `torchrun` each process takes its share.
"""

import argparse
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xlabel.adapters.torch import BundleStream, boxes, collate

SIZE, CELLS = 96, 6


class Detector(nn.Module):
    """For each cell the scores of all categories, 0 being nothing, and a box: N x (1 + K + 4) x 6 x 6."""

    def __init__(self, categories: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for wider in (16, 32, 64, 64):
            layers += [nn.Conv2d(channels, wider, 3, stride=2, padding=1), nn.BatchNorm2d(wider), nn.ReLU()]
            channels = wider
        self.net = nn.Sequential(*layers, nn.Conv2d(channels, 1 + categories + 4, 1))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.net(images)
        return found


def prepared(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """A picture of the net's size, and what each cell should say: its category, and its box as shares."""
    height, width = image.shape[1:]
    labels = torch.zeros(CELLS, CELLS, dtype=torch.int64)
    shares = torch.zeros(4, CELLS, CELLS)
    for box, label in zip(target["boxes"] / torch.tensor([width, height] * 2), target["labels"], strict=True):
        centre = ((box[:2] + box[2:]) / 2 * CELLS).long().clamp(0, CELLS - 1)
        labels[centre[1], centre[0]] = label
        shares[:, centre[1], centre[0]] = box
    small = F.interpolate(image[None].float() / 255, (SIZE, SIZE), mode="bilinear", antialias=True)
    return small[0], labels, shares


def batch_of(samples: list[tuple[Tensor, dict[str, Tensor]]]) -> list[Tensor]:
    """A DataLoader's batch: pictures, categories, boxes."""
    images, targets = collate(samples)
    return [torch.stack(parts) for parts in zip(*map(prepared, images, targets), strict=True)]


def loss_of(found: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    scores, places = found[:, :-4], found[:, -4:]
    things = (labels > 0)[:, None].expand_as(places)
    loss = F.cross_entropy(scores, labels)
    return loss + F.l1_loss(places[things], shares[things]) if things.any() else loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("place", help="a folder with a pack, or its URL")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", help="a folder for what comes from a URL")
    parser.add_argument("--checkpoint", type=Path, help="written after each epoch, and gone on with")
    options = parser.parse_args()

    if "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    stream = BundleStream(
        options.place,
        item=boxes,
        batch_size=options.batch,
        shuffle=True,
        seed=options.seed,
        cache=options.cache,
    )
    loader = DataLoader(
        stream, batch_size=options.batch, num_workers=options.workers, collate_fn=batch_of,
        pin_memory=device == "cuda", persistent_workers=options.workers > 0,
    )  # fmt: skip
    model: nn.Module = Detector(len(stream.categories)).to(device)
    if torch.distributed.is_initialized():
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    if options.checkpoint and options.checkpoint.exists():
        saved = torch.load(options.checkpoint, map_location=device)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        stream.load_state_dict(saved["stream"])

    for _ in range(stream.state_dict()["epoch"], options.epochs):
        epoch, losses = stream.state_dict()["epoch"], []
        for batch in stream.track(loader):
            images, labels, shares = (part.to(device, non_blocking=True) for part in batch)
            loss = loss_of(model(images), labels, shares)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}", flush=True)
        if options.checkpoint:
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "stream": stream.state_dict(),
                },
                options.checkpoint,
            )


if __name__ == "__main__":
    main()
