"""Changes of the two JSON files of a pack, from one generation to a later one: made, and folded in again.

A delta is gzip of JSON lines: one about the whole, one a frame that is new, one with the numbers of those
that were deleted, one an image whose record or labels are new. Folding gives the files byte for byte.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from xlabel.errors import CorruptError
from xlabel.formats import unified_writing
from xlabel.formats.unified_lines import Lines
from xlabel.formats.unified_reading import read_top
from xlabel.jobs.generations import Generation, Records, merged, on_one_line
from xlabel.model.head import DAMAGED
from xlabel.model.manifest import Frame

_json = msgspec.json.Encoder()
_LOG = msgspec.json.Decoder(Generation)
MOST = 100
"""So many times its size a delta may have when it is unpacked; records have up to 30."""
LEAST = 1 << 20
_FRAMES = b'"frames":[\n'


class State:
    """The JSON files of a pack while deltas are folded into them."""

    def __init__(self, annotations: Lines, manifest: bytes) -> None:
        self._lines = annotations
        head, _, rest = manifest.partition(_FRAMES)
        frames, _, tail = rest.rpartition(b"\n],")
        self._head = head + _FRAMES
        self._frames = frames.split(b",\n") if frames else []
        self._manifest_tail = b"{" + tail.rstrip(b"\n")
        self._whole: bytes | None = None
        self._changed: dict[int, Records | None] = {}
        self.log: list[Generation] = []
        """What is known of the updates that were folded in."""

    @property
    def count(self) -> int:
        """Frame numbers that have been given."""
        return len(self._frames)

    def fold(self, data: bytes, where: str) -> None:
        """Fold a delta in. CorruptError where it does not follow."""
        try:
            first, *rest = _unpacked(data).splitlines()
            top = msgspec.json.decode(first, type=_Top)
            if top.count != self.count:
                raise CorruptError(
                    f"{where}: follows {top.count:,} frames, there are {self.count:,}; {DAMAGED}"
                )
            for line in rest:
                change = msgspec.json.decode(line, type=_Change)
                if frame := bytes(change.frame):
                    self._frames.append(frame)
                for number in change.deleted:
                    gone = msgspec.json.decode(self._frames[number], type=Frame)
                    self._frames[number] = _json.encode(msgspec.structs.replace(gone, deleted=True))
                    self._changed[number] = None
                if image := bytes(change.image):
                    annotations = b",\n".join(map(bytes, change.annotations))
                    self._changed[change.number] = Records(image, annotations)
        except (zlib.error, ValueError, IndexError, msgspec.DecodeError) as error:
            raise CorruptError(
                f"{where}: expected a delta, found something else: {error}; {DAMAGED}"
            ) from None
        self._whole = bytes(top.whole)[1:]
        self._manifest_tail = bytes(top.manifest)
        self.log += top.log

    def annotations(self) -> Iterator[bytes]:
        """The annotation file, in pieces."""
        top = self._lines.top if self._whole is None else read_top(self._whole, self._lines.where)
        tail = unified_writing.tail(top.categories, top.extra, top.section)
        return merged(self._lines, self._changed, tail)

    def manifest(self) -> Iterator[bytes]:
        """The manifest, in pieces."""
        yield self._head
        for start in range(0, len(self._frames), 1000):
            yield (b",\n" if start else b"") + b",\n".join(self._frames[start : start + 1000])
        yield b"\n]," + self._manifest_tail[1:] + b"\n"


def packed_log(lines: Iterable[Generation]) -> bytes:
    """Lines of a log, as an object of their own."""
    return gzip.compress(b"".join(_json.encode(one) + b"\n" for one in lines), mtime=0)


def read_log(data: bytes, where: str) -> list[Generation]:
    """The same read again. CorruptError where it is none."""
    try:
        return _LOG.decode_lines(_unpacked(data))
    except (zlib.error, ValueError, msgspec.DecodeError) as error:
        raise CorruptError(f"{where}: expected lines of a log: {error}; {DAMAGED}") from None


def delta(
    lines: Lines, manifest: bytes, count: int, numbers: Iterable[int], log: Sequence[Generation]
) -> bytes:
    """The changes since a generation that had given `count` frame numbers.

    `numbers` are those of the frames that have changed since; `lines` and `manifest` the files as they are.
    """
    _, _, rest = manifest.partition(_FRAMES)
    frames, _, tail = rest.rpartition(b"\n],")
    all_frames = frames.split(b",\n") if frames else []
    places = lines.positions()
    wanted = sorted({*numbers, *range(count, len(all_frames))})
    whole = on_one_line(lines.tail), b"{" + tail.rstrip(b"\n")
    parts = [b'{"count":%d,"log":%b,"whole":%b,"manifest":%b}' % (count, _json.encode(log), *whole)]
    parts += [b'{"frame":%b}' % record for record in all_frames[count:]]
    gone = [number for number in wanted if number < count and number not in places]
    parts.append(b'{"deleted":%b}' % _json.encode(gone))
    for number in wanted:
        if number in places:
            at = places[number]
            annotations = lines.annotations(at).replace(b"\n", b"")
            parts.append(
                b'{"number":%d,"image":%b,"annotations":[%b]}' % (number, lines.image(at), annotations)
            )
    return gzip.compress(b"\n".join(parts) + b"\n", mtime=0)


def _unpacked(data: bytes) -> bytes:
    """What was compressed; ValueError where that is more than records ever are."""
    limit = LEAST + len(data) * MOST
    reader = zlib.decompressobj(wbits=31)
    text = reader.decompress(data, limit)
    if reader.unconsumed_tail or not reader.eof:
        raise ValueError(f"it breaks off, or is more than {limit:,} bytes")
    return text


class _Top(msgspec.Struct):
    count: int
    log: list[Generation]
    whole: msgspec.Raw
    manifest: msgspec.Raw


class _Change(msgspec.Struct):
    number: int = -1
    frame: msgspec.Raw = msgspec.Raw()
    deleted: list[int] = []
    image: msgspec.Raw = msgspec.Raw()
    annotations: list[msgspec.Raw] = []
