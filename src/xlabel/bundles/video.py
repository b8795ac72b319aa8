"""Video: pictures of one size as H.264 or AV1, and back. Lossy. By PyAV: FFmpeg, x264, SVT-AV1, dav1d.

Pictures are arrays, height x width x 3, RGB, 8 bits. They become YCbCr 4:2:0 in limited range by the matrix
of BT.601, which readers that look for no matrix take for granted at every size, OpenCV among them.

Encoders are given few frames at a time and one thread, so that the bytes depend on neither the number of
cores nor on how the work is shared out. They do depend on the encoder's version.
"""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xlabel.errors import CorruptError, InputError, MissingExtraError
from xlabel.model.manifest import Video

Picture = NDArray[np.uint8]

CRF = {"h264": 23, "av1": 30}
"""Codecs, and the quality asked of them where nobody says one: a common choice each, not the same look."""
CRF_MOST = {"h264": 51, "av1": 63}
GOP = 2
"""Frames from one that decodes by itself to the next: any frame costs two decodings at most."""
SAME = 100.0
"""dB, the most that is told: pictures without any difference have it."""

X264 = "scenecut=0:bframes=0:threads=1:mbtree=0:rc-lookahead=0:weightp=0"
"""Without what looks ahead: of 20,000 equal runs with it one gave other bytes, and two frames gain little."""
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "medium", "x264-params": X264}),
    "av1": ("libsvtav1", {"preset": "8", "svtav1-params": "lp=1:pred-struct=1"}),
}
COLOURS = (1, 13, 6)
"""ITU-T H.273: primaries of BT.709, the curve of sRGB, the matrix of BT.601."""
DECODERS = {"h264": "h264", "av1": "libdav1d"}
CHUNK = 64
"""Pictures that are encoded together, at most."""
CHUNK_BYTES = 48 << 20
"""Bytes of them, unless they are fewer than eight."""


class Encoded(NamedTuple):
    """Pictures that were encoded together, which decode without others."""

    video: Video
    packets: list[bytes]
    """One a picture, in their order, as an .mp4 holds them."""


class Asked(NamedTuple):
    """What is asked of an encoder."""

    codec: str
    crf: int
    gop: int
    fps: Fraction


def check(codec: str, crf: int | None) -> int:
    """The quality to ask for; InputError for what no encoder knows, MissingExtraError without PyAV."""
    if codec not in CRF:
        raise InputError(f"--video: expected {' or '.join(CRF)}, got {codec!r}")
    crf = CRF[codec] if crf is None else crf
    if not 0 <= crf <= CRF_MOST[codec]:
        raise InputError(f"--crf: expected 0 to {CRF_MOST[codec]} for {codec}, got {crf}")
    _av()
    return crf


def chunk(width: int, height: int, gop: int) -> int:
    """How many pictures are encoded together: a multiple of `gop`."""
    fitting = min(CHUNK, max(8, CHUNK_BYTES // (width * height * 3)))
    return max(gop, fitting // gop * gop)


def encode(
    pictures: Sequence[Picture], codec: str, crf: int, gop: int = GOP, fps: Fraction = Fraction(1)
) -> Encoded:
    """Encode pictures of one size; odd sides are made even by repeating the last column or row.

    Every `gop`-th packet, from the first on, decodes by itself. `fps` says what level of decoder it takes.
    """
    height, width = (side + side % 2 for side in pictures[0].shape[:2])
    file = io.BytesIO()
    _write(file, pictures, (width, height), Asked(codec, crf, gop, fps))
    file.seek(0)
    with _av().open(file, format="mp4") as container:  # the muxer's own form of packets and configuration
        stream = container.streams.video[0]
        config = bytes(stream.codec_context.extradata)
        found = [(bytes(packet), packet.is_keyframe) for packet in container.demux(stream) if packet.size]
    keys = [key for _, key in found]
    if keys != [number % gop == 0 for number in range(len(pictures))]:
        raise RuntimeError(f"the {codec} encoder gave other key frames than it was asked for: {keys}")
    video = Video(codec=codec, crf=crf, gop=gop, width=width, height=height, config=config)
    return Encoded(video, [packet for packet, _ in found])


def decode(video: Video, packets: Iterable[bytes], size: tuple[int, int]) -> Iterator[Picture]:
    """The pictures of packets, the first of which decodes by itself, cut to `size` (width, height).

    CorruptError where they cannot be decoded, or are more or fewer than the packets.
    """
    av = _av()
    context = av.CodecContext.create(DECODERS[video.codec], "r")
    context.extradata = video.config
    context.thread_count = 1
    width, height = size
    given = got = 0
    try:
        for packet in (*packets, None):
            given += packet is not None
            for frame in context.decode(None if packet is None else av.Packet(packet)):
                got += 1
                yield np.ascontiguousarray(_rgb(frame)[:height, :width])
    except av.error.FFmpegError as error:
        raise CorruptError(f"a packet of {video.codec} cannot be decoded: {error.strerror}") from None
    if given != got:
        raise CorruptError(f"{given} packets of {video.codec} hold {got} pictures")


def psnr(one: Picture, other: Picture) -> float:
    """Peak signal-to-noise ratio of two pictures in dB, over red, green and blue together, to 0.01.

    The rule is that of ffmpeg's filter psnr (psnr_avg) on RGB. `SAME` at most.
    """
    apart = one.astype(np.int16) - other
    error = float(np.mean(np.square(apart, dtype=np.int32)))
    return SAME if not error else min(SAME, round(float(10 * np.log10(255**2 / error)), 2))


def _write(file: io.BytesIO, pictures: Sequence[Picture], size: tuple[int, int], asked: Asked) -> None:
    av = _av()
    name, options = ENCODERS[asked.codec]
    signed = asked.codec == "h264"
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(name, rate=asked.fps, options={"crf": str(asked.crf), **options})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.gop_size = asked.gop
        context.thread_count = 1
        context.color_range = av.video.reformatter.ColorRange.MPEG
        context.color_primaries, context.color_trc, context.colorspace = COLOURS
        if signed:  # x264 signs its first packet with its version and settings: NAL units of type 6
            context.open()
            unsigned = av.bitstream.BitStreamFilterContext("filter_units=remove_types=6", stream)
        for number, picture in enumerate((*pictures, None)):
            frame = None if picture is None else _frame(picture, size, number)
            for packet in stream.encode(frame):
                for clean in unsigned.filter(packet) if signed else (packet,):
                    container.mux(clean)


def _frame(picture: Picture, size: tuple[int, int], number: int) -> Any:
    av = _av()
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, size[1] - height), (0, size[0] - width), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(
        format="yuv420p",
        interpolation=_scaler(),
        dst_colorspace=av.video.reformatter.Colorspace.ITU601,
        dst_color_range=av.video.reformatter.ColorRange.MPEG,
    )
    frame.pts = number
    return frame


def _rgb(frame: Any) -> Picture:
    av = _av()
    shown = frame.reformat(
        format="rgb24",
        interpolation=_scaler(),
        src_colorspace=av.video.reformatter.Colorspace.ITU601,
        src_color_range=av.video.reformatter.ColorRange.MPEG,
        dst_color_range=av.video.reformatter.ColorRange.JPEG,
    )
    return np.asarray(shown.to_ndarray())


def _scaler() -> Any:
    return _av().video.reformatter.Interpolation.BICUBIC  # as the command ffmpeg


def _av() -> Any:
    try:
        import av
        import av.bitstream
        import av.video.reformatter
    except ImportError:
        raise MissingExtraError(
            "video needs PyAV, which is not installed: pip install 'xlabel[video]'"
        ) from None
    av.logging.set_level(av.logging.PANIC)
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells stderr of its settings, and asks nobody else
    return av
