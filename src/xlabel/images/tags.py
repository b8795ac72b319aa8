"""The tags of EXIF that hold text: their numbers, where they stand, how text is written in them.

CIPA DC-008 (Exif 3.0), 4.6.4 and 4.6.5; the XP tags are Windows' own (MS-EXIF). Text that is not ASCII is
UTF-8 where the standard says ASCII, as the MWG's guidelines ask and all readers expect.
"""

from typing import NamedTuple

from xlabel.images import ifd

USER_COMMENT = 0x9286

MAIN = {
    "DocumentName": 0x010D,
    "ImageDescription": 0x010E,
    "Make": 0x010F,
    "Model": 0x0110,
    "Software": 0x0131,
    "ModifyDate": 0x0132,
    "Artist": 0x013B,
    "HostComputer": 0x013C,
    "Copyright": 0x8298,
    "XPTitle": 0x9C9B,
    "XPComment": 0x9C9C,
    "XPAuthor": 0x9C9D,
    "XPKeywords": 0x9C9E,
    "XPSubject": 0x9C9F,
}
"""Of the first directory, by the names that ExifTool has for them."""
EXIF = {
    "DateTimeOriginal": 0x9003,
    "CreateDate": 0x9004,
    "OffsetTime": 0x9010,
    "OffsetTimeOriginal": 0x9011,
    "OffsetTimeDigitized": 0x9012,
    "UserComment": USER_COMMENT,
    "SubSecTime": 0x9290,
    "SubSecTimeOriginal": 0x9291,
    "SubSecTimeDigitized": 0x9292,
    "ImageUniqueID": 0xA420,
    "OwnerName": 0xA430,
    "SerialNumber": 0xA431,
    "LensMake": 0xA433,
    "LensModel": 0xA434,
    "LensSerialNumber": 0xA435,
}
"""Of the Exif directory."""
NAMES = {**MAIN, **EXIF}


class Text(NamedTuple):
    """A text for a tag."""

    tag: int
    text: str

    @property
    def main(self) -> bool:
        """Whether it stands in the first directory."""
        return self.tag in MAIN.values()

    def value(self, order: str) -> tuple[int, bytes]:
        """Type and bytes, in a block of that byte order ("<" or ">")."""
        if self.tag == USER_COMMENT:
            if self.text.isascii():
                return ifd.UNDEFINED, b"ASCII\0\0\0" + self.text.encode()
            return ifd.UNDEFINED, b"UNICODE\0" + self.text.encode(
                "utf-16-le" if order == "<" else "utf-16-be"
            )
        if is_wide(self.tag):
            return ifd.BYTE, self.text.encode("utf-16-le") + b"\0\0"
        return ifd.ASCII, self.text.encode() + b"\0"


def is_wide(tag: int) -> bool:
    """Whether a tag is one of Windows', whose text is UTF-16 in Intel's order in any block."""
    return MAIN["XPTitle"] <= tag <= MAIN["XPSubject"]
