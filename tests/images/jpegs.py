"""JPEGs like those that cameras, phones and editors write, made by Pillow, ExifTool and jpegtran."""

import hashlib
import io
import re
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from tests.tools import run, tool

EXIF, XMP, EXTENSION = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
SIZE = (96, 64)
MAKE, ORIENTATION, EXIF_IFD, MAKER_NOTE, USER_COMMENT = 0x010F, 0x0112, 0x8769, 0x927C, 0x9286

LIGHTROOM = (
    """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
    xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:Rating="4" xmp:CreatorTool="a &gt; b">
   <mwg-rs:Regions rdf:parseType="Resource">
    <mwg-rs:AppliedToDimensions stDim:w="96" stDim:h="64" stDim:unit="pixel"/>
    <mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description mwg-rs:Name="Ada" mwg-rs:Type="Face">
     <mwg-rs:Area stArea:x=".5" stArea:y=".5" stArea:w=".25" stArea:h=".5" stArea:unit="normalized"/>
    </rdf:Description></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>
   <Iptc4xmpExt:ImageRegion><rdf:Bag><rdf:li rdf:parseType="Resource">
    <Iptc4xmpExt:rId>theirs</Iptc4xmpExt:rId>
    <Iptc4xmpExt:RegionBoundary Iptc4xmpExt:rbShape="rectangle" Iptc4xmpExt:rbUnit="pixel"
     Iptc4xmpExt:rbX="1" Iptc4xmpExt:rbY="2" Iptc4xmpExt:rbW="3" Iptc4xmpExt:rbH="4"/>
   </rdf:li></rdf:Bag></Iptc4xmpExt:ImageRegion>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
    + (" " * 99 + "\n") * 20
    + '<?xpacket end="w"?>'
)
"""A subject, regions of others in both schemas, and padding."""

XAP = LIGHTROOM.replace("xmlns:xmp=", "xmlns:xap=").replace(" xmp:", " xap:")
"""As Adobe wrote it until about 2005."""
OTHER_PREFIX = re.sub(r"\brdf:", "r:", LIGHTROOM).replace("xmlns:rdf", "xmlns:r")


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE, seed: int = 1, **options: Any) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)
    picture.save(file, "JPEG", **{"quality": 85, **options})
    return file.getvalue()


def camera(endian: str = "<", note: int = 3000, comment: bytes = b"", orientation: int = 1) -> bytes:
    """With EXIF as Pillow writes it, in either byte order, and a maker note of so many bytes."""
    exif = Image.Exif()
    exif.endian = endian
    exif[MAKE], exif[ORIENTATION] = "Maker", orientation
    exif.get_ifd(EXIF_IFD)[0x9000] = b"0232"
    exif.get_ifd(EXIF_IFD)[0x829A] = 0.005
    if note:
        exif.get_ifd(EXIF_IFD)[MAKER_NOTE] = b"NOTE" + bytes(at * 31 % 251 for at in range(note - 4))
    if comment:
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = comment
    return picture(exif=exif.tobytes())


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """Behind JFIF."""
    at = 20 if data[6:11] == b"JFIF\0" else 2
    return data[:at] + b"".join(segments) + data[at:]


def segments(data: bytes) -> list[tuple[int, int, int]]:
    """Marker, start and end of all segments before the scan."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        at += len(data[at : at + 9]) - len(data[at : at + 9].lstrip(b"\xff")) - 1  # fill bytes
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], at, end))
        at = end
    return found


def extended() -> bytes:
    """Extended XMP of others: two segments of it, and a packet that names it."""
    whole = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<r:Description r:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b" xmlns:g="http://ns.google.com/photos/'
        f'1.0/depthmap/" g:Data="{"x" * 70_000}"/></r:RDF></x:xmpmeta>'
    ).encode()
    guid = hashlib.md5(whole).hexdigest().upper().encode()
    packet = LIGHTROOM.replace(
        "xmp:Rating", f'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{guid.decode()}" xmp:Rating'
    )
    head = EXTENSION + guid + struct.pack(">I", len(whole))
    pieces = [
        segment(0xE1, head + struct.pack(">I", at) + whole[at : at + 65_000])
        for at in range(0, len(whole), 65_000)
    ]
    return with_segments(picture(), segment(0xE1, XMP + packet.encode()), *pieces)


def mpo(*, mpf_first: bool = False) -> bytes:
    """Two pictures as Pillow writes them; with the MPF segment before the Exif segment if asked for."""
    exif = Image.Exif()
    exif[MAKE] = "Phone"
    first, second = (Image.open(io.BytesIO(picture(seed=seed))) for seed in (1, 2))
    file = io.BytesIO()
    first.save(file, "MPO", save_all=True, append_images=[second], exif=exif)
    data = file.getvalue()
    if not mpf_first:
        return data
    ((_, at, end),) = (
        (m, a, e) for m, a, e in segments(data) if m == 0xE2 and data[a + 4 : a + 8] == b"MPF\0"
    )
    (_, start, _), *_ = ((m, a, e) for m, a, e in segments(data) if m == 0xE1)
    block = bytearray(data[at:end])
    order = "<" if block[8:10] == b"II" else ">"
    entries = block.index(struct.pack(order + "HHI", 0xB002, 7, 32)) + 8
    (entries,) = struct.unpack_from(order + "I", block, entries)
    (offset,) = struct.unpack_from(order + "I", block, 8 + entries + 16 + 8)
    struct.pack_into(order + "I", block, 8 + entries + 16 + 8, offset + at - start)
    return data[:start] + block + data[start:at] + data[end:]


def ultra_hdr() -> bytes:
    """A picture with a gain map behind it that the XMP's container names by its length."""
    gain = picture("L", seed=3)
    packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"><Container:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg"
 Item:Length="{len(gain)}"/></rdf:li></rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"""
    return with_segments(picture(), segment(0xE1, XMP + packet.encode())) + gain


def fill_bytes() -> bytes:
    data = picture()
    (_, _, jfif), *_ = segments(data)
    return data[:jfif] + b"\xff\xff\xff" + data[jfif:]


def xmp_first() -> bytes:
    return with_segments(camera(), segment(0xE1, XMP + LIGHTROOM.encode()))


def edited(data: bytes, *options: str) -> bytes:
    """By ExifTool."""
    return run(tool("exiftool"), "-q", *options, "-o", "-", "-", stdin=data)


def with_thumbnail(data: bytes) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(picture(size=(32, 16)))
        file.flush()
        return edited(data, f"-ThumbnailImage<={file.name}", "-Artist=somebody")


def turned(data: bytes, *options: str) -> bytes:
    """By jpegtran."""
    return run(tool("jpegtran"), *options, stdin=data)


MADE: dict[str, Callable[[], bytes]] = {
    "plain": lambda: picture(dpi=(300, 300)),
    "grey": lambda: picture("L"),
    "cmyk": lambda: picture("CMYK"),
    "progressive": lambda: picture(progressive=True),
    "restart": lambda: picture(restart_marker_blocks=1),
    "profile": lambda: picture(
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ),
    "commented": lambda: picture(comment=b"a note of somebody"),
    "camera, Intel": lambda: camera("<"),
    "camera, Motorola": lambda: camera(">"),
    "58 kB of maker note": lambda: camera("<", 58_000),
    "blank comment": lambda: camera(">", 3000, bytes(8) + b" " * 257),
    "comment of others": lambda: camera("<", 0, b"ASCII\0\0\0at the lake"),
    "no Exif directory": lambda: picture(exif=_only_make()),
    "XMP before Exif": xmp_first,
    "Lightroom": lambda: with_segments(picture(), segment(0xE1, XMP + LIGHTROOM.encode())),
    "xap": lambda: with_segments(picture(), segment(0xE1, XMP + XAP.encode())),
    "another prefix for RDF": lambda: with_segments(picture(), segment(0xE1, XMP + OTHER_PREFIX.encode())),
    "Extended XMP": extended,
    "MPO": mpo,
    "MPF before Exif": lambda: mpo(mpf_first=True),
    "Ultra HDR": ultra_hdr,
    "fill bytes": fill_bytes,
    "trailer": lambda: picture() + b"trailing bytes \xff\xd8\xff\xd9 of somebody",
}
BY_TOOLS: dict[str, Callable[[], bytes]] = {
    "thumbnail, Intel": lambda: with_thumbnail(camera("<")),
    "thumbnail, Motorola": lambda: with_thumbnail(camera(">", 58_000)),
    "Photoshop": lambda: edited(picture(), "-IPTC:Keywords=one", "-IPTC:Keywords=two", "-Photoshop:URL=a"),
    "ExifTool's XMP": lambda: edited(picture(), "-XMP-dc:Title=a & b", "-XMP-dc:Subject=one"),
    "GPS": lambda: edited(picture(), "-GPSLatitude=48.5", "-GPSLatitudeRef=N"),
    "arithmetic": lambda: turned(picture(), "-arithmetic"),
    "many scans": lambda: turned(picture(), "-progressive", "-copy", "all"),
}
"""As `MADE`, where the tool is installed."""


@cache
def jpeg(name: str) -> bytes:
    return (MADE.get(name) or BY_TOOLS[name])()


def _only_make() -> bytes:
    exif = Image.Exif()
    exif[MAKE] = "Maker"
    return exif.tobytes()
