"""What people do to image files, by the tools that they do it with. Each operation makes TARGET of SOURCE."""

import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

Act = Callable[[Path, Path], None]


class Operation(NamedTuple):
    """Something that is done to an image file."""

    name: str
    """As in the table."""
    needs: tuple[str, ...]
    """Programs, and modules of Python."""
    act: Act
    effect: str = ""
    """resized, turned, flipped, cropped, orientation; nothing where the picture should be the same, or is
    compressed anew: which of the two is seen by decoding it."""

    @property
    def missing(self) -> list[str]:
        """What of it is not installed."""
        return [name for name in self.needs if shutil.which(name) is None and find_spec(name) is None]


def command(line: str, effect: str = "") -> Operation:
    """A command line with S and T for the files; `>` sends its output there, `|` pipes it on.

    T with an ending (T.png) is a file beside the target, and ~ a blank within a word.
    """
    needs = tuple(part.split()[0] for step in line.split(" && ") for part in step.split(" | "))

    def act(source: Path, target: Path) -> None:
        for step in line.split(" && "):
            parts = [part.split() for part in step.split(" > ")[0].split(" | ")]
            data: bytes = b""
            for part in parts:
                words = [_filled(word, source, target) for word in part]
                done = subprocess.run(words, input=data, capture_output=True, timeout=60)
                if done.returncode:
                    raise RuntimeError(
                        f"{line}: {(done.stderr or done.stdout).decode(errors='replace')[-300:]}"
                    )
                data = done.stdout
            if " > " in step:
                target.write_bytes(data)

    return Operation(_shown(line), needs, act, effect)


def copied(line: str, effect: str = "") -> Operation:
    """A command line that changes the file T in place, which is a copy of S."""
    inner = command(line, effect)

    def act(source: Path, target: Path) -> None:
        shutil.copyfile(source, target)
        inner.act(source, target)

    return inner._replace(act=act)


def pillow(
    words: str, do: Callable[[Any], Any] = lambda image: image, effect: str = "", **options: Any
) -> Operation:
    """Pillow opens the file, does something, and saves it; options are of save, or functions of the image."""

    def act(source: Path, target: Path) -> None:
        from PIL import Image

        with Image.open(source) as image:
            image.load()
            said = {name: value(image) if callable(value) else value for name, value in options.items()}
            do(image).save(target, **said)

    return Operation(f"Pillow {words}", ("PIL",), act, effect)


def cv2(words: str, do: Callable[[Any, Any], Any] = lambda cv2, array: array, effect: str = "") -> Operation:
    """OpenCV reads the file without turning it, does something, and writes it."""

    def act(source: Path, target: Path) -> None:
        import cv2

        array = cv2.imread(str(source), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if array is None or not cv2.imwrite(str(target), do(cv2, array)):
            raise RuntimeError("cv2 cannot")

    return Operation(f"cv2 {words}", ("cv2",), act, effect)


def cv2_with_metadata() -> Operation:
    def act(source: Path, target: Path) -> None:
        import cv2

        array, kinds, blocks = cv2.imreadWithMetadata(str(source), cv2.IMREAD_UNCHANGED)
        cv2.imwriteWithMetadata(str(target), array, kinds, blocks)

    return Operation("cv2 imreadWithMetadata, imwriteWithMetadata", ("cv2",), act)


def oxipng(words: str, **options: Any) -> Operation:
    def act(source: Path, target: Path) -> None:
        import oxipng

        made = {name: value(oxipng) for name, value in options.items()}
        oxipng.optimize(source, target, level=2, **made)

    return Operation(f"oxipng {words}".strip(), ("oxipng",), act)


def _filled(word: str, source: Path, target: Path) -> str:
    if word in ("S", "T"):
        return str(source if word == "S" else target)
    if word.startswith("T["):
        return f"{target}{word[1:]}"  # options of vips
    if word.startswith("T."):
        return f"{target}{word[1:]}"
    return word.replace("~", " ")


def _shown(line: str) -> str:
    words = [word for word in line.split() if word not in ("-q", "-quiet", "-y", "-v", "error", "-loglevel")]
    return " ".join(words).replace("|", "then").replace("T.", "U.").replace("~", " ")


def _metadata() -> list[Operation]:
    """What exiftool does to any container."""
    return [
        copied("exiftool -q -overwrite_original -Artist=somebody T"),
        copied("exiftool -q -overwrite_original -all= T"),
        copied("exiftool -q -overwrite_original -all= -tagsfromfile @ -exif:all T"),
    ]


def _magick(effects: str = "all") -> list[Operation]:
    return [
        command("convert S T"),
        command("convert S -strip T"),
        command("convert S -resize 50% T", "resized"),
        command("convert S -thumbnail 160x160 T", "resized"),
        command("convert S -rotate 90 T", "turned"),
        command("convert S -flop T", "flipped"),
        command("convert S -crop 200x160+70+20 +repage T", "cropped"),
    ]


def _transposed(name: str) -> Callable[[Any], Any]:
    def do(image: Any) -> Any:
        from PIL.Image import Transpose

        return image.transpose(Transpose[name])

    return do


def _cv2_basic() -> list[Operation]:
    return [
        cv2("imwrite"),
        cv2("resize", lambda cv2, array: cv2.resize(array, (160, 120)), "resized"),
        cv2(
            "resize INTER_AREA",
            lambda cv2, array: cv2.resize(array, (160, 120), interpolation=cv2.INTER_AREA),
            "resized",
        ),
        cv2("flip", lambda cv2, array: cv2.flip(array, 1), "flipped"),
        cv2("rotate", lambda cv2, array: cv2.rotate(array, cv2.ROTATE_90_CLOCKWISE), "turned"),
        cv2("crop", lambda cv2, array: array[20:180, 70:270], "cropped"),
    ]


def _pillow_basic() -> list[Operation]:
    return [
        pillow("save"),
        pillow("resize", lambda image: image.resize((160, 120)), "resized"),
        pillow("thumbnail", lambda image: (image.thumbnail((200, 200)), image)[1], "resized"),
        pillow("transpose ROTATE_90", _transposed("ROTATE_90"), "turned"),
        pillow("transpose FLIP_LEFT_RIGHT", _transposed("FLIP_LEFT_RIGHT"), "flipped"),
        pillow("crop", lambda image: image.crop((70, 20, 270, 180)), "cropped"),
    ]


def _exif(image: Any) -> Any:
    return image.getexif()


def _xmp(image: Any) -> Any:
    return image.info.get("xmp", b"")


def _exif_transposed(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _text(image: Any) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in image.text.items():
        info.add_text(key, value)
    return info


JPEG = [
    *_pillow_basic(),
    pillow("save exif=", exif=_exif),
    pillow("save exif=, xmp=", exif=_exif, xmp=_xmp),
    pillow("save quality=keep", quality="keep"),
    pillow("exif_transpose", _exif_transposed),
    pillow("convert L", lambda image: image.convert("L")),
    pillow("to PNG", format="PNG"),
    *_cv2_basic(),
    cv2_with_metadata(),
    *_magick(),
    command("convert S -auto-orient T"),
    command("gm convert S T"),
    command("gm convert S -resize 50% T", "resized"),
    command("jpegtran -outfile T S"),
    command("jpegtran -copy none -outfile T S"),
    command("jpegtran -copy all -outfile T S"),
    command("jpegtran -copy all -optimize -outfile T S"),
    command("jpegtran -copy none -progressive -outfile T S"),
    command("jpegtran -copy all -rotate 90 -outfile T S", "turned"),
    command("jpegtran -copy none -rotate 90 -outfile T S", "turned"),
    command("jpegtran -copy all -flip horizontal -outfile T S", "flipped"),
    command("jpegtran -copy none -crop 160x160+64+32 -outfile T S", "cropped"),
    command("djpeg S | cjpeg > T"),
    *_metadata(),
    copied("exiftool -q -overwrite_original -n -Orientation=6 T", "orientation"),
    copied("exiv2 rm T"),
    copied("exiv2 -Mset~Exif.Image.Artist~somebody T"),
    copied("jhead -q -purejpg T"),
    copied("jhead -q -de T"),
    copied("jpegoptim -q T"),
    copied("jpegoptim -q --strip-all T"),
    copied("jpegoptim -q -m 60 T"),
    command("ffmpeg -v error -y -i S T"),
    command("ffmpeg -v error -y -i S -vf scale=160:120 T", "resized"),
    command("vips copy S T"),
    command("vips copy S T[strip]"),
    command("vipsthumbnail S -s 160 -o T", "resized"),
    command("cjxl --quiet S T.jxl && djxl --quiet T.jxl T"),
]

PNG = [
    *_pillow_basic(),
    pillow("save exif=", exif=_exif),
    pillow("save exif=, pnginfo=", exif=_exif, pnginfo=_text),
    pillow("quantize", lambda image: image.quantize(256)),
    *_cv2_basic(),
    cv2_with_metadata(),
    *_magick(),
    command("gm convert S T"),
    *_metadata(),
    copied("exiv2 rm T"),
    oxipng(""),
    oxipng("strip safe", strip=lambda module: module.StripChunks.safe()),
    oxipng("strip all", strip=lambda module: module.StripChunks.all()),
    command("optipng -quiet -o1 -out T S"),
    command("optipng -quiet -o1 -strip all -out T S"),
    command("zopflipng -y -q S T"),
    command("zopflipng -y -q --keepchunks=eXIf,iTXt,tEXt,zTXt S T"),
    command("pngcrush -q S T"),
    command("pngcrush -q -rem alla S T"),
    command("pngquant --force --output T S"),
    command("ffmpeg -v error -y -i S T"),
    command("vips copy S T"),
    command("vips copy S T[strip]"),
    command("vipsthumbnail S -s 160 -o T", "resized"),
]

WEBP = [
    pillow("save"),
    pillow("save lossless", lossless=True),
    pillow("save lossless exif=, xmp=", lossless=True, exif=_exif, xmp=_xmp),
    pillow("resize", lambda image: image.resize((160, 120)), "resized", lossless=True),
    pillow("transpose ROTATE_90", _transposed("ROTATE_90"), "turned", lossless=True),
    pillow("crop", lambda image: image.crop((70, 20, 270, 180)), "cropped", lossless=True),
    *_cv2_basic()[:1],
    cv2_with_metadata(),
    *_magick()[:3],
    command("cwebp -quiet -lossless S -o T"),
    command("cwebp -quiet -lossless -metadata all S -o T"),
    command("cwebp -quiet S -o T"),
    command("webpmux -strip exif S -o T"),
    command("webpmux -strip xmp S -o T"),
    *_metadata(),
    copied("exiv2 rm T"),
    command("ffmpeg -v error -y -i S T"),
    command("vips copy S T"),
    command("vips copy S T[lossless,strip]"),
]

GIF = [
    *_pillow_basic(),
    command("gifsicle S -o T"),
    command("gifsicle -O3 S -o T"),
    command("gifsicle --no-comments --no-extensions S -o T"),
    command("gifsicle --crop 70,20+200x160 S -o T", "cropped"),
    command("gifsicle --flip-horizontal S -o T", "flipped"),
    command("gifsicle --rotate-90 S -o T", "turned"),
    command("gifsicle --resize 160x120 S -o T", "resized"),
    *_magick()[:3],
    copied("exiftool -q -overwrite_original -XMP:Creator=somebody T"),
    copied("exiftool -q -overwrite_original -all= T"),
    command("ffmpeg -v error -y -i S T"),
]

TIFF = [
    *_pillow_basic(),
    pillow("save tiff_lzw", compression="tiff_lzw"),
    *_cv2_basic()[:1],
    *_magick(),
    command("tiffcp S T"),
    command("tiffcp -c zip S T"),
    command("tiffcp -c lzw:2 -t S T"),
    *_metadata(),
    copied("exiv2 rm T"),
    command("ffmpeg -v error -y -i S T"),
    command("vips copy S T"),
    command("vips copy S T[strip]"),
]

AVIF = [
    pillow("save"),
    pillow("save exif=, xmp=", exif=_exif, xmp=_xmp),
    pillow("resize", lambda image: image.resize((160, 120)), "resized"),
    command("avifdec S T.png && avifenc -l T.png T"),
    *_metadata(),
]

HEIC = [*_metadata()]
JXL = [*_metadata(), command("djxl --quiet S T.png && cjxl --quiet -d 0 T.png T")]
JP2 = [
    *_pillow_basic()[:2],
    *_metadata(),
    copied("exiv2 rm T"),
    command("opj_decompress -quiet -i S -o T.png && opj_compress -i T.png -o T"),
]

OPERATIONS = {
    "jpeg": JPEG,
    "png": PNG,
    "webp": WEBP,
    "gif": GIF,
    "tiff": TIFF,
    "avif": AVIF,
    "heic": HEIC,
    "jxl": JXL,
    "jp2": JP2,
}
