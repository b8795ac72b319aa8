"""Frames that a bundle has already, on their way into the files of its next generation."""

from collections.abc import Iterator

import msgspec

from xlabel.bundles import flatter, mp4
from xlabel.bundles import zip as zipped
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.frames import Described
from xlabel.jobs.generations import Records
from xlabel.model.geometry import turned_size
from xlabel.model.manifest import Frame

_json = msgspec.json.Encoder()


class Batch:
    """Some frames, in the order of their numbers."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        """All, deleted ones too."""
        self._live: list[Frame] = []
        self._records: list[Records] = []
        self._directory: list[bytes] = []

    def add(self, frame: Frame, records: Records, entry: bytes) -> None:
        """Add a frame that is not deleted; `entry` is its record in the ZIP directory."""
        self.frames.append(frame)
        self._live.append(frame)
        self._records.append(records)
        self._directory.append(entry)

    @property
    def numbers(self) -> list[int]:
        """Of the frames that are not deleted."""
        return [frame.index for frame in self._live]

    def described(self) -> Described:
        """What the frames add to the files."""
        extents: dict[str, tuple[int, int]] = {}
        for frame in self._live:
            if frame.width and frame.height:
                size = turned_size(frame.width, frame.height, frame.orientation)
                extents[frame.mime] = flatter(extents.get(frame.mime, (0, 0)), size)
        annotations = [records.annotations for records in self._records if records.annotations]
        return Described(
            frames=b",\n".join(map(_json.encode, self.frames)),
            images=b",\n".join(records.image for records in self._records),
            annotations=b",\n".join(annotations),
            names=b"".join(frame.raw_name + b"\0" for frame in self._live),
            records=b"".join(self._directory),
            offsets=[frame.offset for frame in self._live],
            sizes=[frame.size for frame in self._live],
            mimes=[frame.mime for frame in self._live],
            extents=extents,
            annotation_count=sum(text.count(b",\n") + 1 for text in annotations),
            labelled=len(annotations),
            used=0,
            unread=[],
            turned=[],
            problems=[],
        )


def zip_records(bundle: Bundle) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, CRC-32 and record of each file in the ZIP directory of an .mp4."""
    index = bundle.trailer().index
    index += mp4.box_size(bytes(bundle.read(index, 16)))
    return zipped.directory_records(bundle.read, index + 16)
