"""Build one annotation file for a folder of images and its labels. See scripts/README_scripts.md."""

import argparse
from pathlib import Path

from _face import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--images", type=Path, required=True, help="folder of images")
parser.add_argument("--labels", type=Path, required=True, help="folder or file of labels")
parser.add_argument("--from", dest="format", help="format of the labels; found out by content")
parser.add_argument("--output", type=Path, help="annotation file; output/unified_annotation.json")
parser.add_argument("--manifest", help="frame manifest, - for standard input; output/frame_manifest.json")
parser.add_argument("--skip-manifest", action="store_true", help="take no manifest")
parser.add_argument("--require-manifest", action="store_true", help="fail where there is no manifest")
parser.add_argument("--skip-missing-images", action="store_true", help="only count labels without image")
parser.add_argument("--pattern", help="only images whose path fits this glob")
parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def build_annotations(options: argparse.Namespace) -> object:
    from xlabel.errors import InputError
    from xlabel.jobs.annotate import annotate, find_manifest
    from xlabel.model.manifest import ANNOTATIONS

    output = options.output or Path("output") / ANNOTATIONS
    manifest = None
    if options.skip_manifest and options.require_manifest:
        raise InputError("--skip-manifest and --require-manifest contradict each other; say one")
    if not options.skip_manifest:
        manifest = find_manifest(options.manifest, required=options.require_manifest)
    return annotate(
        options.images,
        options.labels,
        output,
        manifest=manifest,
        format=options.format,
        pattern=options.pattern,
        overwrite=options.overwrite,
        skip_missing_images=options.skip_missing_images,
    )


if __name__ == "__main__":
    run(build_annotations, parser)
