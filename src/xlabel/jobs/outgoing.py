"""A pack in a folder as it is to be pushed: whole, sealed, and as it was when it was opened."""

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from xlabel import bundles
from xlabel.errors import InputError
from xlabel.formats.unified_lines import Lines
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.opening import open_bundle, pack_folder, read_lines
from xlabel.jobs.seals import is_sealed_annotations


class Outgoing(NamedTuple):
    """The pack here."""

    bundle: Bundle
    lines: Lines
    generation: int
    seal: str
    media_index: int
    """Where the media's index begins."""
    gone: frozenset[str]
    """Names that the head at the URL has let go of: who clears up may be taking those objects away."""

    def own(self, name: str, what: str = "") -> str:
        """A name for an object that nobody else writes with other bytes."""
        return self.free(f"{name}.", hashlib.sha256(f"{self.seal} {what}".encode()).hexdigest())

    def free(self, start: str, digest: str, end: str = "") -> str:
        """The name of this generation and a digest between `start` and `end`; another one than those gone."""
        while (name := f"{start}{self.generation:06}-{digest[:16]}{end}") in self.gone:
            digest = hashlib.sha256(digest.encode()).hexdigest()
        return name

    def last_line(self, size: int) -> bytes:
        """The last line of the media when it was of that size."""
        return bytes(self.bundle.read(size - bundles.TRAILER, bundles.TRAILER))

    def count_at(self, size: int) -> int:
        """Frame numbers that had been given when the media was of that size."""
        return bundles.read_trailer(self.bundle.read, size, str(self.bundle.media)).count


def open_outgoing(folder: Path, gone: frozenset[str], leaving: ExitStack) -> Outgoing:
    """The pack in a folder. InputError where it has not all three files, or was edited."""
    bundle = leaving.enter_context(open_bundle(pack_folder(folder)))
    if not bundle.described or bundle.manifest_file is None:
        raise InputError(f"{folder}: expected a pack with manifest and annotation file, found not both")
    lines = read_lines(bundle, leaving)
    seal = lines.top.section.get("sha256")
    if not isinstance(seal, str):
        raise InputError(f"{folder}: its annotation file has no seal; pack again")
    assert bundle.annotation_file is not None
    if not is_sealed_annotations(bundle.annotation_file, lines.top.section):
        raise InputError(
            f"{bundle.annotation_file.path}: was edited since it was written; xlabel pack --update takes the "
            "labels of your files again, and keeps the edited ones as a generation"
        )
    index = bundles.read_trailer(bundle.read, bundle.size, str(bundle.media)).index
    return Outgoing(bundle, lines, bundle.generation, seal, index, gone)
