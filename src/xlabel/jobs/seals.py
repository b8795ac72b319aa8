"""The seals of the two JSON files: whether they are as they were written; docs/dataset_spec.md."""

import hashlib
from typing import Any

import msgspec

from xlabel.formats.unified_lines import Lines
from xlabel.jobs.bundle import Bundle
from xlabel.model.manifest import Manifest
from xlabel.stores.snapshot import Kept

_json = msgspec.json.Encoder()


def is_edited(bundle: Bundle, lines: Lines) -> bool:
    """Whether the annotation file of a bundle, whose lines are given, was edited since it was written."""
    file = bundle.annotation_file
    return file is not None and not is_sealed_annotations(file, lines.top.section)


def is_sealed_annotations(file: Kept, section: dict[str, Any]) -> bool:
    """Whether an annotation file, whose own section is given, was not edited."""
    last = {name: section[name] for name in ("media_size", "bundle", "pack_id") if name in section}
    return _is_sealed(file, section.get("sha256"), b"," + _json.encode(last)[1:] + b"}\n")


def is_sealed_manifest(file: Kept, manifest: Manifest) -> bool:
    """Whether the file of a manifest was not edited."""
    return _is_sealed(file, manifest.sha256, b',"pack_id":%b}\n' % _json.encode(manifest.pack_id))


def _is_sealed(file: Kept, seal: object, after: bytes) -> bool:
    """Whether the seal is that of all before it, and nothing else is behind it than `after`."""
    end = b'"sha256":"%b"' % str(seal).encode() + after
    digest = hashlib.sha256()
    before = file.size - len(end)
    if before < 0 or file.read(before, len(end)) != end:
        return False
    for piece in file.pieces(before):
        digest.update(piece)
    return digest.hexdigest() == seal
