"""Labels in the bytes of an image file: get, put, remove. No pixel and no foreign metadata is changed.

How a container is changed is in its module; how the document is fitted in, and which copy counts, is here.
"""

from typing import NamedTuple

from xlabel import images
from xlabel.images import Buffer, Carriers, NoRoomError, Parts, exif, payload, splice, tags, xmp
from xlabel.images.payload import Wrapped
from xlabel.images.splice import Undo
from xlabel.images.xmp import Ours


class Copy(NamedTuple):
    """A payload that was found: where, and what it holds or what is wrong with it."""

    carrier: str
    """exif, xmp, extended xmp or text."""
    wrapped: Wrapped | None
    fault: str | None


class Found(NamedTuple):
    """What an image file holds of labels."""

    copies: list[Copy]
    carriers: Carriers

    @property
    def foreign(self) -> str | None:
        """The text of an EXIF UserComment that is neither ours nor blank: others' words, maybe labels."""
        comment = self.carriers.comment
        return None if comment is None or exif.ours(comment) is not None else exif.text(*comment)

    @property
    def newest(self) -> Wrapped | None:
        """The whole copy of the highest revision."""
        if not self.copies:
            return None
        whole = [copy.wrapped for copy in self.copies if copy.wrapped is not None]
        return max(whole, key=lambda wrapped: wrapped.revision, default=None)

    def faults(self) -> list[str]:
        """What is wrong with copies, and where they disagree."""
        newest = self.newest
        found = [f"{copy.carrier}: {copy.fault}" for copy in self.copies if copy.fault]
        for copy in self.copies:
            if newest and copy.wrapped and copy.wrapped.document != newest.document:
                found.append(
                    f"{copy.carrier}: holds revision {copy.wrapped.revision}, "
                    f"another copy revision {newest.revision} with other labels"
                )
        return found


class Put(NamedTuple):
    """How an image file is to be changed."""

    pieces: list[Buffer]
    """Of the new file, in order."""
    forms: dict[str, str]
    """By carrier: plain, packed, or why it was left out."""
    used: int
    """Bytes of the largest payload."""


def get(data: Buffer) -> Found:
    """The labels in a file by its beginning, or by all of it.

    Raises ShortError where more of the file is needed, ValueError where it is no image that holds labels.
    """
    container = _supported(data)
    with memoryview(data) as view:
        carriers = container.find(view)
    copies: list[Copy] = []
    if carriers == _NOTHING:
        return Found(copies, carriers)
    if (text := exif.ours(carriers.comment)) is not None:
        copies.append(_copy("exif", text))
    for name, packet in (("xmp", carriers.xmp), ("extended xmp", carriers.extended)):
        if packet is None or not xmp.has_ours(packet):
            continue
        try:
            held = xmp.document(packet)
        except ValueError as error:
            copies.append(Copy(name, None, str(error)))
        else:
            copies += [] if held is None else [_copy(name, held)]
    copies += [_copy("text", text) for text in carriers.texts if payload.is_payload(text)]
    return Found(copies, carriers)


def others(data: Buffer) -> list[str]:
    """The texts in a file's EXIF in which others keep labels: the comment, where it is not ours, first.

    Raises as `get` does.
    """
    container = _supported(data)
    with memoryview(data) as view:
        block = container.block(view)
        try:
            found = [] if block is None else [exif.read(memoryview(block), tag) for tag in _OTHERS]
        except (ValueError, LookupError):  # broken EXIF, which says nothing
            found = []
    return [text for text in found if text and not payload.is_payload(text.encode())]


def put(data: Buffer, wrapped: Wrapped, *, regions: bytes = b"", faces: bytes = b"") -> Put:
    """Put a document into a file that holds none.

    A UserComment of others gives way, and is kept in the payload: whoever calls has asked `Found.foreign`
    whether it may. Each carrier that holds the document takes it plain, else packed, else not at all. Raises
    ValueError with the numbers of bytes where no carrier takes it.
    """
    container = _supported(data)
    plan = dict.fromkeys(container.DOCUMENT_IN, "plain")
    packing = payload.Packing()
    original = splice.digest([data])
    size = len(wrapped.document) * len(plan) + len(regions) + len(faces)
    undo = Undo(original, _guess(container.MIME, size))
    guessed = True
    extended = False
    left_out: dict[str, str] = {}
    with memoryview(data) as view:
        comment = container.find(view).comment
        while True:
            replaced = comment[0] if comment is not None and "exif" in plan else None
            made = payload.forms(wrapped, undo, replaced, packing)
            texts = {name: made.plain if form == "plain" else made.packed() for name, form in plan.items()}
            parts = Parts(
                exif.ASCII + texts["exif"] if "exif" in plan else None,
                None if "xmp" in left_out else Ours(regions, faces, texts.get("xmp")),
                texts.get("text"),
                made.packed() if extended else None,
            )
            try:
                edits = container.edits(view, parts)
            except NoRoomError as error:
                if guessed and undo.edits:  # which may be longer than what is needed
                    guessed, undo = False, Undo(original, ())
                    continue
                name = error.carrier
                if plan.get(name) == "plain":
                    plan[name] = "packed"
                    continue
                if name == "xmp" and (regions or faces):
                    left_out["regions"] = str(error)
                    regions = faces = b""
                    continue
                left_out[name] = str(error)
                plan.pop(name, None)
                if not plan:
                    if extended or not container.EXTENDED or "xmp" in left_out:
                        raise ValueError(_refusal(container, len(made.packed()), left_out)) from None
                    extended = True
                continue
            again = splice.undo(view, edits, original)
            if again == undo:
                break
            undo = again
        _shapes[container.MIME] = undo.edits, size
        pieces = splice.apply(data, edits)
    if extended:
        plan["extended xmp"] = "packed"
    return Put(pieces, plan | left_out, max(map(len, texts.values())) if texts else len(made.packed()))


def restore(data: Buffer, wrapped: Wrapped) -> list[Buffer] | None:
    """The pieces of the file as it was before, or None where that cannot be proved."""
    return None if wrapped.undo is None else splice.undone(data, wrapped.undo)


def remove(data: Buffer) -> list[Buffer]:
    """The pieces of a file without what is ours, where its original bytes cannot be proved."""
    container = _supported(data)
    with memoryview(data) as view:
        edits = container.removal(view)
    return splice.apply(data, edits)


_NOTHING = Carriers()
_OTHERS = [tags.NAMES[name] for name in ("UserComment", "ImageDescription", "XPComment")]


_shapes: dict[str, tuple[tuple[str, ...], int]] = {}
"""The edits of the last undo record, by container, and the size of what was put in."""
_NO_SHAPE: tuple[tuple[str, ...], int] = (), 0


def _guess(mime: str, size: int) -> tuple[str, ...]:
    """The edits of the next undo record, where the file is like the last one but for the size of its labels.

    Right more often than not, and else mostly as long. What is put into a file does not depend on it.
    """
    edits, before = _shapes.get(mime, _NO_SHAPE)
    return splice.grown(edits, size - before)


def _supported(data: Buffer) -> images.Carrying:
    container = images.carrying(data)
    if container is None:
        raise ValueError("its kind of image file holds no labels")
    return container


def _copy(carrier: str, text: bytes) -> Copy:
    try:
        return Copy(carrier, payload.unwrap(text), None)
    except ValueError as error:
        return Copy(carrier, None, str(error))


def _refusal(container: images.Carrying, size: int, left_out: dict[str, str]) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    return f"the labels are {size:,} bytes when packed, more than this {container.MIME} takes ({reasons})"
