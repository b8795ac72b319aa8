"""Bundle a folder of images: the media file and its frame manifest. See scripts/README_scripts.md."""

import argparse
from pathlib import Path

from _face import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--input", type=Path, required=True, help="folder of images")
parser.add_argument("--output", type=Path, help="media file (.mp4, .tar, .zip); output/media_bundle.mp4")
parser.add_argument("--manifest", type=Path, help="manifest file; frame_manifest.json beside the media")
parser.add_argument("--no-manifest", action="store_true", help="write no manifest")
parser.add_argument("--pattern", help="only images whose path fits this glob")
parser.add_argument("--fps", type=float, default=10, help="frames a second when the .mp4 is played; 10")
parser.add_argument("--overwrite", action="store_true", help="replace what is there")
parser.add_argument("--plain", action="store_true", help="no ZIP face on the .mp4; equal files stored once")


def bundle_images(options: argparse.Namespace) -> object:
    from xlabel.jobs.pack import bundle
    from xlabel.model.manifest import MANIFEST, MEDIA

    media = options.output or Path("output") / MEDIA
    manifest = options.manifest or media.parent / MANIFEST
    return bundle(
        options.input,
        media,
        None if options.no_manifest else manifest,
        pattern=options.pattern,
        overwrite=options.overwrite,
        fps=options.fps,
        plain=options.plain,
    )


if __name__ == "__main__":
    run(bundle_images, parser)
