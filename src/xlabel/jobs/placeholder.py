"""Placeholders: grey pictures in the sizes that the labels state, in place of images that are missing."""

from pathlib import Path, PurePosixPath

from xlabel.errors import InputError
from xlabel.formats.labels import Ref
from xlabel.images import IMAGE_SUFFIXES
from xlabel.jobs.labels import Found
from xlabel.model import Image
from xlabel.stores.extract import Extraction

GREY = 128
MAX_PIXELS = 100_000_000


def make(found: Found, folder: Path, size: tuple[int, int] | None) -> int:
    """Draw a grey image for each record of the labels; gives their number.

    `size` (width, height) serves records that state none; without it such a record is an InputError.
    """
    made: set[str] = set()
    with Extraction(folder, overwrite=True) as out:
        for ref in found.labels.refs():
            image = found.labels.image(ref)
            if image is None:
                continue
            width, height = (image.width, image.height) if image.width and image.height else size or (0, 0)
            if not width or not height:
                if _is_only_listed(found, ref, image):
                    continue
                raise InputError(
                    f"{found.root}: the labels of {image.key} do not state the image's size, which a "
                    "placeholder needs; say --placeholder-size WxH"
                )
            if width * height > MAX_PIXELS:
                raise InputError(
                    f"{found.root}: the labels of {image.key} state {width}x{height}, too large to draw"
                )
            key = _image_key(image.key)
            if key not in made:
                made.add(key)
                try:
                    drawn = _draw(key, width, height)
                except (ValueError, OSError, SystemError) as error:
                    raise InputError(
                        f"{found.root}: the labels of {image.key} state {width}x{height}, which cannot be "
                        f"drawn: {error}"
                    ) from None
                try:
                    out.write(key, [drawn])
                except ValueError as error:
                    raise InputError(f"{found.root}: the image name {image.key!r} {error}") from None
                except OSError as error:
                    raise InputError(f"{folder}: cannot be written to: {error.strerror}") from None
    return len(made)


def _is_only_listed(found: Found, ref: Ref, image: Image) -> bool:
    """Whether nothing but a list names an image: it has no record, and nobody could know its size."""
    if found.labels.needs_sizes:
        return False
    sample = found.labels.load(ref, image)
    return sample is None or sample.origin is None


def parse_size(text: str) -> tuple[int, int]:
    """Width and height out of "640x480"; InputError where it is no size."""
    width, _, height = text.lower().partition("x")
    if width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0:
        return int(width), int(height)
    raise InputError(f"expected a size like 640x480, got {text!r}")


def _image_key(key: str) -> str:
    """A key that is an image's: label files name none where they have only a stem."""
    parts = [part for part in key.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    name = PurePosixPath(*parts) if parts else PurePosixPath("image")
    return str(name if name.suffix[1:].lower() in IMAGE_SUFFIXES else name.parent / (name.name + ".png"))


def _draw(key: str, width: int, height: int) -> bytes:
    import io

    from PIL import Image as Picture

    kind = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF"}
    file = io.BytesIO()
    suffix = PurePosixPath(key).suffix[1:].lower()
    Picture.new("L", (width, height), GREY).save(file, kind.get(suffix, "PNG"))
    return file.getvalue()
