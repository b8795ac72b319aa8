"""An annotation file by its lines: the records of one image without reading those of the others.

The file has a record a line, images in frame order, and annotations in the order of their images; see
docs/dataset_spec.md. Where another tool has written it again, it is put into that order first.
"""

import re
from array import array
from bisect import bisect_left
from typing import Any

import msgspec

from xlabel.errors import InputError
from xlabel.formats import unified_writing
from xlabel.formats.coco_json import BAD, parse, records, value_of
from xlabel.formats.unified_reading import Described, Top, described, read_top
from xlabel.images import Buffer
from xlabel.model.manifest import Seen

_ID = rb'(-?\d+|"(?:[^"\\]|\\.)*+")'
_REST = rb"[^\n]*+(?:(?<=\},)\n(?!\])|(?<=\})\n(?=\]))"
"""A line to its end, which the last of a list has only before the bracket that follows it."""
_JOINED = re.compile(rb"\}[ \t\r]*,[ \t\r]*\{")
_IMAGE = re.compile(rb'^\{"id":%b,"file_name":%b' % (_ID, _REST), re.MULTILINE)
_ANNOTATION = re.compile(rb'^\{"id":%b,"image_id":%b,%b' % (_ID, _ID, _REST), re.MULTILINE)
_encode = msgspec.json.Encoder().encode
_HEAD = unified_writing.head()
_BETWEEN = unified_writing.between()


class _Placed(msgspec.Struct):
    frame_index: int


_placed = msgspec.json.Decoder(_Placed).decode


class Lines:
    """The lines of an annotation file. `len()` counts images; positions are those in `images`."""

    def __init__(
        self, data: Buffer, where: str, images: "array[int]", firsts: "array[int]", tail: int
    ) -> None:
        """Places of the text: of N images N + 1, the last being where the last record ends.

        `firsts` are those of each image's annotations; `tail` is where the rest of the file begins.
        """
        self.where = where
        self._data = memoryview(data)
        self._images = images
        self._firsts = firsts
        self._tail = tail
        self._top: Top | None = None

    def __len__(self) -> int:
        return len(self._images) - 1

    @property
    def labelled(self) -> bool:
        """Whether there are any annotations."""
        return self._firsts[-1] > self._firsts[0]

    def image(self, position: int) -> bytes:
        """The record of an image, as it stands in the file."""
        return _stripped(self._data[self._images[position] : self._images[position + 1]])

    def annotations(self, position: int) -> bytes:
        """The records of an image's annotations, joined by a comma and a line end; empty without any."""
        return _stripped(self._data[self._firsts[position] : self._firsts[position + 1]])

    def sample(self, position: int) -> Described:
        """An image and its labels."""
        return described(self.top, self.image(position), self.annotations(position), self.where)

    @property
    def tail(self) -> bytes:
        """What stands behind the annotations' list, for `read_top`."""
        return bytes(self._data[self._tail :])

    @property
    def top(self) -> Top:
        """What the file says of the whole, and its categories."""
        if self._top is None:
            self._top = read_top(self.tail, self.where)
        return self._top

    @property
    def annotation_count(self) -> int:
        """How many annotations there are in all."""
        start, end = self._firsts[0], self._firsts[-1]
        step = 1 << 20
        return sum(bytes(self._data[at : min(at + step, end)]).count(b"\n") for at in range(start, end, step))

    def ids(self, position: int) -> tuple[int | str, list[int | str]]:
        """The ids of an image and of its annotations."""
        image = _IMAGE.match(self._data, self._images[position])
        start, end = self._firsts[position], self._firsts[position + 1]
        assert image is not None
        found = _ANNOTATION.finditer(self._data, start, end + 1)
        return _id(image[1]), [_id(match[1]) for match in found]

    def next_ids(self) -> tuple[int, int]:
        """Ids of images and annotations above all that are taken."""
        top = [0, 0]
        for place, pattern, start, end in (
            (0, _IMAGE, self._images[0], self._images[-1]),
            (1, _ANNOTATION, self._firsts[0], self._firsts[-1]),
        ):
            numbers = (
                int(match[1])
                for match in pattern.finditer(self._data, start, end + 1)
                if match[1][:1] != b'"'
            )
            top[place] = max(numbers, default=0)
        return top[0] + 1, top[1] + 1

    def seen(self, position: int) -> Seen | None:
        """How the file of an image differs from its frame, where it does."""
        return self.sample(position).seen if b'"file"' in self.image(position) else None

    def prints(self, position: int) -> dict[str, str]:
        """The fingerprints of an image, by their names."""
        image = self.image(position)
        some = any(b'"%b"' % name in image for name in (b"stream", b"pixels", b"perceptual"))
        return self.sample(position).prints if some else {}

    def close(self) -> None:
        """Let go of the file's bytes."""
        self._data.release()

    def position(self, frame_index: int) -> int:
        """The position of the image with a frame number; KeyError where there is none."""
        found = bisect_left(range(len(self)), frame_index, key=self.frame_index)
        if found == len(self) or self.frame_index(found) != frame_index:
            raise KeyError(frame_index)
        return found

    def positions(self) -> dict[int, int]:
        """The positions of the images by their frame numbers; KeyError where a record has none."""
        return {self.frame_index(position): position for position in range(len(self))}

    def frame_index(self, position: int) -> int:
        """The frame number of an image; KeyError where its record has none."""
        try:
            return _placed(self.image(position)).frame_index
        except BAD:
            raise KeyError(position) from None


def lines(data: Buffer, where: str) -> Lines:
    """The lines of an annotation file; errors as those of `unified_reading.read`."""
    found = _as_written(data, where)
    if found is None:
        found = _as_written(_rewritten(bytes(data), where), where)
        assert found is not None
    return found


def grouped(images: bytes, annotations: bytes) -> list[tuple[bytes, bytes]]:
    """The record of each image and those of its annotations, out of joined records as they are written."""
    found = _as_written(b"".join((_HEAD, images, _BETWEEN, annotations, b"\n]")), "")
    assert found is not None
    return [(found.image(at), found.annotations(at)) for at in range(len(found))]


def _as_written(data: Buffer, where: str) -> Lines | None:
    """The lines of a file that is laid out as it was written; None for any other."""
    at = len(_HEAD)
    if bytes(memoryview(data)[:at]) != _HEAD:
        return None
    images, ids = array("Q", [at]), []
    doubtful = _JOINED.search(data) is not None  # a line may hold two records, or two objects in one
    for match in _IMAGE.finditer(data, at):
        if match.start() != at or (doubtful and not _is_one(match[0])):
            break
        at = match.end()
        images.append(at)
        ids.append(match[1])
    at = _skipped(data, at, _BETWEEN, bool(ids))
    if at < 0:
        return None
    firsts = array("Q", [at])
    position, current = 0, ids[0] if ids else None
    for match in _ANNOTATION.finditer(data, at):
        if match.start() != at or (doubtful and not _is_one(match[0])):
            break
        while match[2] != current:
            position += 1
            if position == len(ids):
                return None  # not in the order of the images
            current = ids[position]
            firsts.append(at)
        at = match.end()
    firsts.extend([at] * (len(ids) + 1 - len(firsts)))
    tail = _skipped(data, at, b"\n]", at > firsts[0])
    if tail < 0 or bytes(memoryview(data)[tail : tail + 2]) not in (b",\n", b""):
        return None
    return Lines(data, where, images, firsts, tail)


def _is_one(line: bytes) -> bool:
    """Whether a line holds one record, and not several that were joined."""
    try:
        msgspec.json.decode(line.removesuffix(b"\n").removesuffix(b","), type=msgspec.Raw)
    except BAD:
        return False
    return True


def _skipped(data: Buffer, at: int, mark: bytes, some: bool) -> int:
    """Where what stands behind `mark` begins; -1 where that is not there.

    The line end of the last record, where there are `some`, is a part of it.
    """
    start = at - 1 if some else at
    end = start + len(mark)
    return end if bytes(memoryview(data)[start:end]) == mark else -1


def _rewritten(data: bytes, where: str) -> bytes:
    """The file as it would have been written: a record a line, in order, each with the fields that it has."""
    top = parse(data, where)
    if not isinstance(top, dict) or "xlabel" not in top or "images" not in top:
        raise InputError(f'{where}: expected an annotation file of xlabel, with "images" and "xlabel"')
    images = _listed("images", top.get("images"), ("id", "file_name"), where)
    annotations = _listed("annotations", top.get("annotations"), ("id", "image_id"), where)
    if all(isinstance(record.get("frame_index"), int) for record in images):
        images.sort(key=lambda record: record["frame_index"])
    places = {_encode(record["id"]): place for place, record in enumerate(images)}
    kept = [record for record in annotations if _encode(record["image_id"]) in places]
    kept.sort(key=lambda record: places[_encode(record["image_id"])])
    tail = [
        b'"categories":[\n%b\n]' % b",\n".join(_encode(one) for one in _listed(key, raw, (), where))
        if key == "categories"
        else _encode(key) + b":" + _encode(_said(key, raw, where))
        for key, raw in sorted(top.items(), key=lambda item: (item[0] == "xlabel", item[0] != "categories"))
        if key not in ("images", "annotations")
    ]
    lists = (b",\n".join(map(_encode, records)) for records in (images, kept))
    return b"".join((_HEAD, next(lists), _BETWEEN, next(lists), b"\n],\n", b",\n".join(tail), b"}\n"))


def _said(key: str, raw: msgspec.Raw, where: str) -> Any:
    """What a field of the whole says; InputError where it is no JSON."""
    found, wrong = value_of(raw)
    if found is msgspec.UNSET:
        raise InputError(f"{where}: {key}: {wrong}; or pack again")
    return found


def _listed(key: str, raw: msgspec.Raw | None, first: tuple[str, ...], where: str) -> list[dict[str, Any]]:
    """The records of a list that have these fields, with them first; errors as those of `_said`."""
    found = []
    for at, one in enumerate(records(raw) or [] if raw is not None else []):
        record = _said(f"{key}[{at}]", one, where)
        if isinstance(record, dict) and all(type(record.get(key)) in (int, str) for key in first):
            found.append({key: record[key] for key in first} | record)
    return found


def _id(text: bytes) -> int | str:
    found: int | str = msgspec.json.decode(text)
    return found


def _stripped(record: memoryview) -> bytes:
    """Records without the comma and line end behind them."""
    return bytes(record).removesuffix(b"\n").removesuffix(b",")
