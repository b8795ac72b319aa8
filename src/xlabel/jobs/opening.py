"""Opening a pack: which files are of it, those of one moment, and those of a generation that was."""

import mmap
import os
import re
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

import msgspec

from xlabel import bundles
from xlabel.errors import CorruptError, InputError
from xlabel.formats import unified_reading
from xlabel.formats.unified_lines import Lines, lines
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.generations import as_of
from xlabel.jobs.seals import is_edited
from xlabel.model.manifest import ANNOTATIONS, MANIFEST, MEDIA
from xlabel.stores.snapshot import Kept, are_of_one_moment
from xlabel.stores.transaction import recover

_GENERATION = re.compile(r"(.+)@(\d{1,9})", re.DOTALL)
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
    place = Path(path)
    given = Path(annotations) if annotations is not None else None
    if not place.exists() and (found := _GENERATION.fullmatch(os.fspath(path))):
        return _as_of(found[1], int(found[2]))
    folder = place if place.is_dir() else place.parent
    while True:
        recover(folder)
        with ExitStack() as closing:
            files = _files(place, given, closing)
            if are_of_one_moment(folder, files):
                bundle = _bundle(*files, alone=place.is_file() and given is None)
                closing.pop_all()
                return bundle


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
    what = f"found {', '.join(p.name for p in found)}" if found else "found none"
    raise InputError(f"{folder}: expected one media bundle (.mp4, .tar or .zip), {what}")
