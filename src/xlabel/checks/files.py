"""Whether an image file is what its name says, whole, and the right way up."""

from collections.abc import Iterator

from xlabel import images
from xlabel.checks import Fault
from xlabel.images import IMAGE_SUFFIXES, SUFFIXES, Buffer, Header


def look(data: Buffer, name: str) -> tuple[Header | None, list[Fault]]:
    """The header of a whole image file, and what is wrong with the file. No pixel is decoded."""
    try:
        header = images.header(data)
    except ValueError as error:
        return None, [Fault("undecodable", str(error))]
    if header is None:
        return None, [Fault("undecodable", f"begins with {bytes(data[:8])!r}, which no image does")]
    return header, list(_faults(header, data, name))


def _faults(header: Header, data: Buffer, name: str) -> Iterator[Fault]:
    reason = images.cut(data)
    if reason:
        yield Fault("cut-off", reason)
    suffix = name.rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""
    if suffix in IMAGE_SUFFIXES and suffix not in SUFFIXES.get(header.mime, suffix).split():
        yield Fault("wrong-suffix", f"is called .{suffix} and holds {header.mime}")
    if header.stated != header.orientation:
        yield Fault("bad-orientation", f"the EXIF orientation is {header.stated}")
