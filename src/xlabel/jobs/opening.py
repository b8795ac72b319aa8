"""Opening a pack: which files are of it, those of one moment, and those of a generation that was."""

import mmap
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

import msgspec

from xlabel import bundles
from xlabel.errors import CorruptError, InputError, MissingError
from xlabel.formats import unified_reading
from xlabel.formats.unified_lines import Lines, lines
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.generations import as_of
from xlabel.jobs.seals import is_edited
from xlabel.model.head import HEAD, HEADS, Head, parse
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, MEDIA
from xlabel.stores.snapshot import Kept, are_of_one_moment
from xlabel.stores.transaction import recover
from xlabel.stores.transport import STORES

_GENERATION = re.compile(r"(.+)@(\d{1,9})", re.DOTALL)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)", re.DOTALL)
_END = re.compile(
    rb'(?:"generation":(\d{1,9}),)?"sha256":"[0-9a-f]{64}",'
    rb'(?:"media_size":(\d{1,20}),)?"bundle":("(?:[^"\\]|\\.)*"),"pack_id":"([0-9a-f]{32})"\s*\}\s*\}\s*$'
)


class _Named(NamedTuple):
    """What an annotation file says of the media that it is of."""

    bundle: str
    pack_id: str
    size: int | None
    """Bytes of the media file, which may have grown since."""
    generation: int = 1
    """How often the pack was updated, and 1."""


def open_bundle(path: str | os.PathLike[str], annotations: str | os.PathLike[str] | None = None) -> Bundle:
    """Open a pack by its folder, or by its media file; `annotations` where they do not lie beside it.

    `output@3` is the pack in `output` as it was in generation 3. A pack that was cut off while it was written
    is rolled forward or back first. Files that are not of one pack are refused with CorruptError.

    >>> with xlabel.open_bundle("output") as bundle:
    ...     print(len(bundle), bundle[0].image.key, bundle.annotations(0)[0].category.name)
    24 harbour/001.jpg tree
    """
    place = _no_url(path)
    given = Path(annotations) if annotations is not None else None
    if not place.exists() and (found := _GENERATION.fullmatch(os.fspath(path))):
        return _as_of(found[1], int(found[2]))
    folder = place if place.is_dir() else place.parent
    while True:
        recover(folder)
        if not place.exists():
            wanted = "expected the folder of a pack or its media file"
            raise InputError(f"{place}: {wanted}, found nothing there{_advice(place)}")
        if place.name in (ANNOTATIONS, MANIFEST):
            raise InputError(
                f"{place}: expected the folder of a pack or its media file, found one of its JSON files; "
                f"give {folder}"
            )
        with ExitStack() as closing:
            files = _files(place, given, closing)
            if given is None:
                _refuse_behind(folder, files[1], whole=True)
            if are_of_one_moment(folder, files):
                bundle = _bundle(*files, alone=place.is_file() and given is None)
                closing.pop_all()
                return bundle


def pack_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of a pack to be changed or sent; InputError where it is a generation, a URL or none."""
    place = _no_url(path)
    if place.is_dir():
        return place
    found = _GENERATION.fullmatch(os.fspath(path))
    if found and Path(found[1]).is_dir():
        raise InputError(
            f"{place}: expected the folder of a pack, got generation {found[2]} of one, which can only be "
            f"read: by verify, unpack, log, diff and stream; give {found[1]}"
        )
    what = "a file" if place.exists() else "none there"
    raise InputError(f"{place}: expected the folder of a pack, found {what}; xlabel pack makes one")


@contextmanager
def at_url(url: str) -> Iterator[None]:
    """Have the error for a URL where no pack is say that generations are not read there, if one is named."""
    try:
        yield
    except MissingError:
        found = _GENERATION.fullmatch(url)
        if found is None:
            raise
        raise InputError(
            f"{url}: expected a pack that was pushed, found none; of a pack at a URL only the current state "
            f"is read: give {found[1]}, or DIR@{found[2]} in the folder that it was pushed from"
        ) from None


def output_folder(path: str | os.PathLike[str]) -> Path:
    """A folder to make a pack in; InputError where it is a URL, or would hide another pack's generation."""
    if url := url_of(path):
        raise InputError(
            f"{url}: expected a folder, got a URL; pack into one, then xlabel push it to the URL"
        )
    place = Path(path)
    found = _GENERATION.fullmatch(os.fspath(path))
    if found and not place.exists() and Path(found[1], ANNOTATIONS).exists():
        raise InputError(
            f"{place}: expected a folder for a pack, got what generation {found[2]} of {found[1]} is called; "
            "give another name"
        )
    return place


def refuse_pushed(folder: Path) -> None:
    """InputError where a folder was pushed to: written, it would be damaged for who reads the URL."""
    named = next((name for name in (HEAD, HEADS) if (folder / name).exists()), None)
    if named is not None:
        url = f"file://{folder.resolve()}"
        raise InputError(
            f"{folder}: expected a folder that is nobody's URL, found one that was pushed to, with {named}; "
            f"write the pack elsewhere, such as what xlabel pull {url} DIR gives, and push it to {url}; if "
            f"nobody reads that any more, take {named} away first"
        )


def refuse_old_labels(labels: Path) -> None:
    """InputError where labels are of a pack that was pushed to a folder, and older than what is current."""
    folder = labels if labels.is_dir() else labels.parent
    if labels.is_dir() or labels.name == ANNOTATIONS:
        file = Kept(folder / ANNOTATIONS)
        try:
            _refuse_behind(folder, file, whole=False)
        finally:
            file.close()


def url_of(path: str | os.PathLike[str]) -> str | None:
    """The URL that somebody gave for a path, which takes one of its slashes away; None where it is a path."""
    text = os.fspath(path)
    found = _URL.fullmatch(text)
    if found is None or ("://" not in text and (found[1] not in STORES or Path(path).exists())):
        return None
    rest = found[2].lstrip("/")
    return f"{found[1]}://{'/' * (found[1] == 'file')}{rest}"


def _no_url(path: str | os.PathLike[str]) -> Path:
    url = url_of(path)
    if url is None:
        return Path(path)
    found = _GENERATION.fullmatch(url)
    then = f"; generation {found[2]} is only in the folder that it was pushed from" if found else ""
    raise InputError(
        f"{url}: expected a folder, got a URL; fetch the pack first: xlabel pull "
        f"{found[1] if found else url} DIR{then}"
    )


def _advice(place: Path) -> str:
    """What to do about a place that is not there."""
    folder, at, _ = place.name.rpartition("@")
    if not at:
        return "; xlabel pack makes one"
    return f"; a generation is said as a number, such as {folder}@1, see xlabel log {folder}"


def _as_of(folder: str, number: int) -> Bundle:
    """A pack as it was in a generation. Its annotation file is made again, and lies nowhere."""
    with ExitStack() as closing:
        bundle = closing.enter_context(open_bundle(folder))
        current = read_lines(bundle, closing)
        if is_edited(bundle, current):
            raise InputError(
                f"{current.where}: was edited since it was written, so that generation {number} cannot be "
                f"told from it; xlabel pack --update keeps the edited one as generation {bundle.generation}"
            )
        made = closing.enter_context(NamedTemporaryFile())
        made.writelines(as_of(current, bundle.media.parent, bundle.made, number))
        made.flush()
        annotations = Kept(Path(made.name))
        media = Kept(bundle.media)
        with ExitStack() as failing:
            failing.callback(media.close)
            failing.callback(annotations.close)
            annotations.path = Path(f"{folder}@{number}") / ANNOTATIONS
            found = _bundle(media, annotations, Kept(Path(f"{folder}@{number}") / MANIFEST), alone=False)
            if bundle.manifest is not None:
                found.take_manifest(bundle.manifest)
            failing.pop_all()
            return found


def read_lines(bundle: Bundle, closing: ExitStack) -> Lines:
    """The annotation file of a bundle by its lines; its bytes are there until `closing` is done."""
    file = bundle.annotation_file
    if file is None:
        raise InputError(f"{bundle.media}: no {ANNOTATIONS} of its pack beside it, so no labels to read")
    return file_lines(file, closing)


def file_lines(file: Kept, closing: ExitStack) -> Lines:
    """An annotation file by its lines; its bytes are there until `closing` is done."""
    mapped = closing.enter_context(mmap.mmap(file.fileno(), file.size, prot=mmap.PROT_READ))
    view = memoryview(mapped)
    closing.callback(view.release)
    found = lines(view, str(file.path))
    closing.callback(found.close)
    return found


def _refuse_behind(folder: Path, annotations: Kept, *, whole: bool) -> None:
    """InputError where a folder was pushed to as a URL, and its files alone are not what is current.

    Of the labels alone, or of the `whole` with its media.
    """
    head = _head(folder)
    named = _named(annotations) if head else None
    if head is None or (named and named.generation > head.generation):
        return
    moved = whole and [part.name for part in head.media.segments] != [head.bundle]
    if named is None or named.generation < head.generation or moved:
        url = f"file://{folder.resolve()}"
        there = f"generation {named.generation}" if named else "no annotation file"
        raise InputError(
            f"{folder}: expected a pack at its current state, found one that was pushed here up to "
            f"generation {head.generation}, of which the files by themselves show {there}; "
            f"{f'read it as {url}, or ' if whole else ''}fetch it first: xlabel pull {url} DIR"
        )


def _head(folder: Path) -> Head | None:
    """What was pushed into a folder last; None where nothing was."""
    try:
        return parse((folder / HEAD).read_bytes(), str(folder / HEAD))
    except (OSError, CorruptError):
        return None


_Files = tuple[Kept, Kept, Kept]
"""Media, annotation file and manifest, there or not."""


def _files(place: Path, given: Path | None, closing: ExitStack) -> _Files:
    """Open the files of a pack; `closing` lets go of them."""

    def opened(path: Path) -> Kept:
        file = Kept(path)
        closing.callback(file.close)
        return file

    folder = place if place.is_dir() else place.parent
    if given is not None and not given.is_file():
        raise InputError(f"{given}: expected an annotation file, found none there")
    annotations = opened(given or folder / ANNOTATIONS)
    media = place
    if place.is_dir():
        name = _named(annotations)
        media = folder / name.bundle if name else _only_media(folder)
    return opened(media), annotations, opened(folder / MANIFEST)


def _bundle(media: Kept, annotations: Kept, manifest: Kept, *, alone: bool) -> Bundle:
    """A bundle of files of one moment; `alone`: no annotation file that names another bundle is of it."""
    name = _named(annotations)
    if alone and name is not None and name.bundle != media.path.name:
        name = None
    if name is None:
        annotations.close()
    files = media, annotations if name else None, manifest if manifest.there else None
    try:
        bundle = Bundle(*files, name.size, name.generation) if name else Bundle(*files)
    except CorruptError:  # of the media that the annotation file is of
        bundle = Bundle(*files)
        if name is None or name.pack_id == bundle.pack_id:
            raise
    if name and name.pack_id != bundle.pack_id:
        raise CorruptError(
            f"{media.path} is of pack {bundle.pack_id}, {annotations.path.name} of pack {name.pack_id}: "
            "they do not belong together; put the right one back, or pack again"
        )
    return bundle


def _named(annotations: Kept) -> _Named | None:
    """Which media an annotation file is of, out of its end; None where it does not say."""
    if not annotations.there:
        return None
    named = _at_end(annotations)
    if named is None:  # another tool has written the file again
        section = unified_reading.read(annotations.whole(), str(annotations.path)).section
        try:
            said = [section.get(key) for key in ("bundle", "pack_id", "media_size")]
            named = msgspec.convert([*said, section.get("generation", 1)], _Named)
        except msgspec.ValidationError:
            return None
    name = named.bundle
    if name != os.path.basename(name) or name in ("", ".", "..") or "\0" in name:
        raise CorruptError(f"{annotations.path}: names a bundle outside its folder: {name!r}")
    return named


def _at_end(annotations: Kept) -> _Named | None:
    found = _END.search(annotations.read(max(0, annotations.size - 4096), 4096))
    if found is None:
        return None
    try:
        name = msgspec.json.decode(found[3], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"{annotations.path}: the name of its bundle is damaged: {error}") from None
    generation, size = (int(text) if text else None for text in found.group(1, 2))
    return _Named(name, found[4].decode(), size, generation or 1)


def _only_media(folder: Path) -> Path:
    if (folder / MEDIA).exists():
        return folder / MEDIA
    found = sorted(p for p in folder.iterdir() if p.suffix[1:].lower() in bundles.KINDS and p.is_file())
    if len(found) == 1:
        return found[0]
    what = "found none; xlabel pack makes one"
    if found:
        what = f"found {', '.join(p.name for p in found)}; give the one that is meant"
    raise InputError(f"{folder}: expected one media bundle (.mp4, .tar or .zip), {what}")
