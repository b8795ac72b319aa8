"""JPEG XL: size and orientation from the codestream. ISO/IEC 18181-1, D.2 and D.3; boxes: ISO/IEC 18181-2.

An Exif box does not count: the standard gives the codestream's orientation precedence, and decoders show
that one.
"""

from xlabel.images import Header, ShortError, boxes

MIME = "image/jxl"

SIGNATURE = b"\xff\x0a"
LONGEST = 12
"""Bytes of a codestream that hold the size and the orientation, at the most (89 bits)."""
RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
"""Width to height."""


def header(data: memoryview) -> Header:
    """Size as coded, before the orientation, and the orientation."""
    if data[:2] == SIGNATURE:
        return _codestream(data[:LONGEST], len(data))
    stream = b""
    for kind, start, end in boxes.top(data):
        if kind == b"jxlc" or kind == b"jxlp":
            if kind == b"jxlp":
                start += 4  # the part's number
            part = data[start : min(end, start + LONGEST - len(stream))]
            stream += part
            if kind == b"jxlc" or len(stream) >= LONGEST or end > len(data):
                return _codestream(memoryview(stream), len(data))
    raise ValueError("no codestream in the boxes")


def cut(data: memoryview) -> str | None:
    """Complete with every box within the file and a last part of the codestream.

    A bare codestream has no mark at its end: it is taken as complete.
    """
    if data[:2] == SIGNATURE:
        return None
    reason = boxes.cut(data, b"jxlc", b"jxlp")
    if reason:
        return reason
    parts = [data[start] for kind, start, _ in boxes.top(data, whole=True) if kind == b"jxlp"]
    # the highest bit of a part's number marks the last one
    return "no last part of the codestream" if parts and not max(parts) & 0x80 else None


class _Bits:
    """Numbers of so many bits, lowest first, from the beginning of a codestream."""

    def __init__(self, data: memoryview, given: int) -> None:
        self.value = int.from_bytes(data, "little")
        self.left = 8 * len(data)
        self.given = given

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise ShortError(self.given + (7 - self.left) // 8)
        taken = self.value & (1 << count) - 1
        self.value >>= count
        return taken


def _codestream(data: memoryview, given: int) -> Header:
    bits = _Bits(data, given)
    if bits.take(16) != int.from_bytes(SIGNATURE, "little"):
        raise ValueError(f"expected a codestream to begin with FF0A, found {bytes(data[:2]).hex().upper()}")
    small = bits.take(1)
    height = _side(bits, small)
    ratio = RATIOS.get(bits.take(3))
    width = height * ratio[0] // ratio[1] if ratio else _side(bits, small)
    all_default = bits.take(1)
    extra_fields = not all_default and bits.take(1)
    return Header(MIME, width, height, 1 + bits.take(3) if extra_fields else 1)


def _side(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (1 + bits.take(5))
    return 1 + bits.take((9, 13, 18, 30)[bits.take(2)])
