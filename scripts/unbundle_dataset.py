"""The way back: images and labels out of a bundle and its annotation file. See scripts/README_scripts.md."""

import argparse
from pathlib import Path

from _face import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bundle", type=Path, required=True, help="media file")
parser.add_argument("--annotations", type=Path, help="annotation file; the one beside the media")
parser.add_argument("--output", type=Path, default=Path("restored"), help="folder to write; restored")
parser.add_argument("--to", help="another format for the labels; see `xlabel formats`")
parser.add_argument("--on-loss", choices=["stop", "drop"], default="stop", help="where it cannot hold all")
parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")


def unbundle_dataset(options: argparse.Namespace) -> object:
    from xlabel import unpack

    return unpack(
        options.bundle,
        options.output,
        annotations=options.annotations,
        to=options.to,
        on_loss=options.on_loss,
        overwrite=options.overwrite,
    )


if __name__ == "__main__":
    run(unbundle_dataset, parser)
