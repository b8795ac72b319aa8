"""`make demo`: pack the sample, verify it, unpack it, and compare every byte and every label."""

import sys
import tempfile
import time
from pathlib import Path

import _face  # noqa: F401  a Python that has xlabel

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "sample"


def main() -> int:
    """Run the demo; gives 1 where anything came back changed."""
    import xlabel
    from xlabel.model.report import size_text

    images, labels, output = SAMPLE / "raw_images", SAMPLE / "raw_labels", Path("output")
    began = time.perf_counter()
    print("1. Pack: 24 images and their YOLO labels become two files, and a manifest of their order\n")
    print(xlabel.pack(images, labels, output, overwrite=True))
    print("\n2. Verify: every image against its hash, the files against each other\n")
    print(xlabel.verify(output))
    print("\n3. Unpack to a temporary place, and compare\n")
    with tempfile.TemporaryDirectory() as folder:
        restored = Path(folder) / "restored"
        print(xlabel.unpack(output, restored))
        wrong = [*_differences(images, restored / images.name), *_differences(labels, restored / labels.name)]
    with xlabel.open_bundle(output) as bundle:
        names = sorted({a.category.name for sample in bundle for a in sample.annotations if a.category})
        first = bundle[0].image
    files = sum(1 for folder in (images, labels) for path in folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in output.iterdir())
    print(f"\n   {files} files compared: {'all equal, byte for byte' if not wrong else 'DIFFERENT:'}")
    print("".join(f"   {line}\n" for line in wrong), end="")
    print(f"   {', '.join(names)}; the first frame is {first.key}, {first.width} x {first.height}")
    print(f"   {files} files have become {len(list(output.iterdir()))} of {size_text(size)} in all")
    print(f"   everything took {time.perf_counter() - began:.2f} s\n")
    print(NEXT)
    return 1 if wrong else 0


NEXT = """What to try next
   unzip -l output/media_bundle.mp4                      the same file is also a ZIP
   ffprobe output/media_bundle.mp4                       and a film of your images
   .venv/bin/xlabel unpack output coco --to coco         the labels in another format
   .venv/bin/xlabel embed YOUR_IMAGES YOUR_LABELS --output labelled   labels inside the image files
   .venv/bin/xlabel show labelled --draw drawn           and a look at them
   .venv/bin/xlabel pack YOUR_IMAGES YOUR_LABELS --output packed
"""


def _differences(source: Path, copy: Path) -> list[str]:
    """What is not the same in two folders."""
    found = []
    ours = {path.relative_to(source): path for path in source.rglob("*") if path.is_file()}
    theirs = {path.relative_to(copy): path for path in copy.rglob("*") if path.is_file()}
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            found.append(f"{name}: only in {'the sample' if name in ours else 'the copy'}")
        elif ours[name].read_bytes() != theirs[name].read_bytes():
            found.append(f"{name}: not equal")
    return found


if __name__ == "__main__":
    sys.exit(main())
