"""The head object of a pack at a URL: what is current there, and which objects it is made of.

Its conditional write is the commit of a push. docs/dataset_spec.md, "At a URL".
"""

import re

import msgspec

from xlabel.errors import CorruptError

HEAD = "xlabel_head.json"
HEADS = "xlabel_heads/"
"""Where a store that knows no conditional writes has one head for each push, which nobody overwrites."""
VERSION = 1
STATES = 500
"""So many earlier states a head names; a pack older than all of them is taken for another one."""

DAMAGED = "push to another place, from a folder that has the pack whole"
"""What helps where an object is not what was pushed: an object that a head names is never replaced."""

_HEAD_NAME = re.compile(rf"{HEADS}(\d{{6,}})-[0-9a-f]{{16}}\.json")


def head_name(serial: int, chance: str) -> str:
    """The name of a head in a store without conditional writes: one more than that of the head before it."""
    return f"{HEADS}{serial:06}-{chance}.json"


def head_serial(name: str) -> int:
    """The number in such a name; 0 where it is none."""
    found = _HEAD_NAME.fullmatch(name)
    return int(found[1]) if found else 0


class Named(msgspec.Struct, frozen=True):
    """An object, or a file."""

    name: str
    size: int
    sha256: str


class Segment(msgspec.Struct, frozen=True):
    """An object that is a part of the media: its first byte is byte `offset` of the whole."""

    name: str
    offset: int
    size: int


class Media(msgspec.Struct, frozen=True, omit_defaults=True):
    """The media file. What its objects hold behind `size` is of a later generation, or of nobody."""

    size: int
    index: int
    """Where the index that counts begins: the bytes before never change."""
    segments: tuple[Segment, ...]
    crc64nvme: str | None = None
    """CRC-64/NVME of the whole in base64, where the store keeps such checksums."""
    before_index: str | None = None
    """That of the bytes before `index`."""


class Pushed(msgspec.Struct, frozen=True):
    """A state of the data set, by its generation and the seal of its annotation file."""

    generation: int
    seal: str


class Whole(Pushed, frozen=True, omit_defaults=True):
    """The last whole pair of JSON files."""

    annotations: Named
    manifest: Named
    log: Named | None = None
    """What is known of the updates until then; see `generations.Generation`."""


class Delta(Pushed, frozen=True):
    """An object with the changes since the one before it in the list, or since the whole pair."""

    name: str
    size: int
    sha256: str


class Gone(msgspec.Struct, frozen=True):
    """An object that a head let go of, and when: seconds since 1970, by the clock of who wrote the head."""

    name: str
    at: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is current. `annotations` and `manifest` are the files that folding gives."""

    version: int = VERSION
    generation: int
    seal: str
    """Of the annotation file: its field `sha256`."""
    pack_id: str
    bundle: str
    kind: str
    media: Media
    annotations: Named
    manifest: Named
    whole: Whole
    deltas: tuple[Delta, ...] = ()
    past: tuple[Pushed, ...] = ()
    """What was current before, the oldest first; the last `STATES` of them."""
    gone: tuple[Gone, ...] = ()
    """What heads before named and this one does not: of the last day, as somebody may be reading it."""
    plain: bool = False
    """What stands under the names that the files have in a folder is this pack's: its first push wrote it."""
    fence: str | None = None
    """Written by a push that takes the place of another one, which then can no longer commit."""

    @property
    def has_plain_pair(self) -> bool:
        """Whether whole pairs are put under their plain names: as long as the media is under its own."""
        return self.plain and self.media.segments[0].name == self.bundle

    @property
    def states(self) -> tuple[Pushed, ...]:
        """What has been current, and what is."""
        return *self.past, Pushed(self.generation, self.seal)


def parse(data: bytes, where: str) -> Head:
    """The head in a JSON text; CorruptError where it is none."""
    try:
        head = msgspec.json.decode(data, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"{where}: expected a head object: {error}; {DAMAGED}") from None
    if head.version > VERSION:
        raise CorruptError(
            f"{where}: is of version {head.version}, this xlabel reads up to {VERSION}; upgrade xlabel"
        )
    wrong = _wrong(head)
    if wrong:
        raise CorruptError(f"{where}: expected a head object: {wrong}; {DAMAGED}")
    return head


def _wrong(head: Head) -> str | None:
    """What a head says that no pack can have, and that a reader must not follow."""
    if not re.fullmatch(r"[^/\\\0]+\.(mp4|tar|zip)", head.bundle):
        return f"its bundle is {head.bundle!r}"
    if not re.fullmatch("[0-9a-f]{32}", head.pack_id):
        return f"its pack is {head.pack_id!r}"
    files = head.annotations, head.manifest, head.whole.annotations, head.whole.manifest
    objects = [(one.name, one.size) for one in (*files, head.whole.log) if one]
    objects += [(one.name, one.size) for one in head.deltas]
    objects += [(one.name, one.size) for one in head.media.segments]
    for name, size in objects:
        if size < 0 or not _is_below(name):
            return f"it names {name!r} of {size} bytes"
    end = 0
    for segment in head.media.segments:
        if segment.offset != end:
            return f"its media has a gap at {end}"
        end += segment.size
    if not 0 <= head.media.index < head.media.size <= end:
        return f"its media of {head.media.size} bytes is not in its objects"
    return None


def _is_below(name: str) -> bool:
    """Whether a name is that of an object below the place of the head."""
    return bool(name) and not {"", ".", ".."}.intersection(name.split("/")) and not re.search(r"[\\\0]", name)
