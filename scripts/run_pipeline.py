"""Bundle images and build their annotation file in one go. See scripts/README_scripts.md."""

import argparse
from pathlib import Path

from _face import run

SAMPLE = Path(__file__).resolve().parents[1] / "sample"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--images", type=Path, help="folder of images; without folders: the sample's")
parser.add_argument("--labels", type=Path, help="folder or file of labels; without folders: the sample's")
parser.add_argument("--from", dest="format", help="format of the labels; found out by content")
parser.add_argument("--output", type=Path, default=Path("output"), help="folder to write; output")
parser.add_argument("--overwrite", action="store_true", help="replace what is there")
parser.add_argument("--pattern", help="only images whose path fits this glob")
parser.add_argument("--fps", type=float, default=10, help="frames a second when the .mp4 is played; 10")
parser.add_argument("--skip-missing-images", action="store_true", help="only count labels without image")
parser.add_argument(
    "--allow-missing-manifest", action="store_true", help="for old calls: there is always one"
)
parser.add_argument("--no-auto-generate-placeholders", action="store_true", help="fail where no image is")
parser.add_argument("--placeholder-size", metavar="WxH", help="size of placeholders whose labels state none")


def run_pipeline(options: argparse.Namespace) -> object:
    from xlabel.errors import InputError
    from xlabel.jobs.pipeline import pipeline
    from xlabel.jobs.placeholder import parse_size

    if (options.images is None) != (options.labels is None):
        raise InputError("expected both --images and --labels, or neither for the sample's")
    return pipeline(
        options.images or SAMPLE / "raw_images",
        options.labels or SAMPLE / "raw_labels",
        options.output,
        format=options.format,
        placeholders=not options.no_auto_generate_placeholders,
        placeholder_size=parse_size(options.placeholder_size) if options.placeholder_size else None,
        pattern=options.pattern,
        overwrite=options.overwrite,
        skip_missing_images=options.skip_missing_images,
        fps=options.fps,
    )


if __name__ == "__main__":
    run(run_pipeline, parser)
