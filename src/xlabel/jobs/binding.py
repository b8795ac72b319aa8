"""Whether the labels in an image file are of the picture that it is now, and what happened where not.

A document names the size, the orientation and the fingerprint of the image that was labelled. Where these
fit, nothing is decoded. Where they do not, the stored fingerprints of the pixels and a source of known
pictures say what became of it. What rests on looks alone is told as such, and proves nothing.
"""

from typing import NamedTuple

import msgspec

from xlabel import images
from xlabel.formats.embedded import SIDECAR, document_in
from xlabel.images import Buffer, Header, fingerprint, payload
from xlabel.jobs.known import Frame, Known, UndecodedError, known
from xlabel.model import Annotation, Sample
from xlabel.model import document as documents
from xlabel.model.document import Document
from xlabel.model.geometry import TURNS, both, turned_size, undoing
from xlabel.model.reframe import Change, reframed
from xlabel.pictures import arrays, hashing, matching
from xlabel.pictures.matching import ALIKE, EXACT, REPRODUCED, SEEN, Decoded, Match

__all__ = ["Known", "Verdict", "judge", "known"]

INTACT, STALE, STRIPPED, NEVER = "intact", "stale", "stripped", "never"
PROVED = (EXACT, REPRODUCED)
_PROOFS = (EXACT, REPRODUCED, ALIKE, SEEN)
CLOSE = 24
"""Of 256 bits, how many of a perceptual hash may differ for two pictures to be called alike."""
MARGIN = 20
"""So many bits nearer than any other turn is the turn that is believed."""
MADE = {
    1: "as it was",
    2: "flipped left to right",
    3: "turned by 180 degrees",
    4: "flipped top to bottom",
    5: "flipped along its diagonal",
    6: "turned by 90 degrees clockwise",
    7: "flipped along its other diagonal",
    8: "turned by 90 degrees counterclockwise",
}


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of an image and its labels."""

    state: str
    """`intact`: its labels are right. `stale`: they are of a picture that it no longer is. `stripped`: it has
    none, and a source knows some for it. `never`: nobody has labelled it, as far as is known."""
    kind: str
    """What happened: intact, recoded (without loss), oriented (a turn by EXIF was made in the pixels),
    orientation (EXIF's is another), turned, flipped, cropped, resized, recompressed, changed, foreign (of
    another picture), stripped, ambiguous, namesake or never."""
    what: str
    """The same for a person: "resized from 640x480 to 320x240"."""
    proof: str = ""
    """`exact`: by equal pixels or bytes; `reproduced`: doing the same again gives the same pixels; `alike`
    (from near) and `seen` (from afar): by looks, which proves nothing."""
    source: str | None = None
    """The key of the image in the source that has its labels, where the file itself does not."""
    number: int | None = None
    """Its number there."""
    change: Change | None = None
    """How coordinates change to be right; None where that is not known."""
    others: tuple[str, ...] = ()
    """Other images of the source that it might be as well, with other labels."""

    @property
    def proved(self) -> bool:
        """Whether the labels may be changed or put back by it."""
        return self.proof in PROVED and self.kind != "ambiguous"


def judge(
    data: Buffer, source: Known | None = None, *, key: str = "", document: Document | None = None
) -> Verdict:
    """What became of an image file, by all of its bytes.

    `source` says how the image looked when it was labelled, and has labels for images without. `key` is its
    path, by which it is looked for there first. `document` are labels that stand in a file beside it. A file
    that is no image was never labelled.

    >>> judge(Path("images/a.jpg").read_bytes()).state
    'intact'
    """
    try:
        header = images.header(data)
    except ValueError:
        header = None
    if header is None:
        return Verdict(state=NEVER, kind=NEVER, what="no image that can be read")
    held = document or document_in(data)
    if held is None:
        return _unlabelled(data, header, source, key)
    return _labelled(data, header, held, source, key)


def settled(data: Buffer, source: Known, held: Document | None) -> bool:
    """Whether `judge` need not look for the picture in all of the source; `held` are the image's labels.

    Otherwise the source decodes all of its images the first time that something is to be found by its pixels
    (`Known.decode` does that beforehand).
    """
    try:
        with source.undecoded():
            judge(data, source, document=held)
    except UndecodedError:
        return False
    return True


def beside(path: bytes) -> Document | None:
    """The labels in the file beside an image that cannot hold them."""
    try:
        with open(path + SIDECAR.encode(), "rb") as file:
            return documents.decode(payload.unwrap(file.read()).document)
    except (OSError, ValueError):
        return None


def labels_by(sample: Sample, change: Change | None) -> tuple[tuple[Annotation, ...], list[str]]:
    """A sample's annotations once its picture has changed, and what could not be kept of them."""
    return (sample.annotations, []) if change is None else reframed(sample.annotations, change)


class _Candidate(NamedTuple):
    """A picture of the source that an image may have come from."""

    number: int
    match: Match


def _labelled(data: Buffer, header: Header, held: Document, source: Known | None, key: str) -> Verdict:
    picture = held.image
    stream = _stream(data)
    now = Frame(*header.displayed, header.orientation)
    was = Frame(picture.width or now.width, picture.height or now.height, picture.orientation)
    if picture.stream == stream or picture.stream is None or stream is None:
        if was == now:
            return Verdict(state=INTACT, kind=INTACT, what="as it was labelled", proof=EXACT)
        if was.stored == now.stored and picture.stream is not None:
            return _verdict(STALE, was, now, Match(EXACT), same_stream=True)
    try:
        target = matching.decode(data)
        turn = hashing.turn_of(data, picture.pixels) if picture.pixels else None
    except ValueError as error:
        return Verdict(state=STALE, kind="changed", what=str(error))
    if turn is not None:
        return _verdict(STALE, was, now, Match(EXACT, turn))
    if source is None:
        return _guess(was, now, target, picture.perceptual)
    paired = source.of_stream(picture.stream)
    pairs = (source.picture(number) for number in paired)
    match = next((made for pair in pairs if pair and (made := matching.match(pair, target))), None)
    printed = source.of_fingerprint(data)
    if match is None and (turn := next((printed[number] for number in paired if number in printed), None)):
        match = Match(EXACT, turn)
    if match is None or match.proof not in PROVED:
        found = [_Candidate(number, Match(EXACT)) for number in source.of_stream(stream)]
        found = found or [_Candidate(number, Match(EXACT, turn)) for number, turn in printed.items()]
        found = found or _proved(_candidates(source, target, key))
        if found:
            return _elsewhere(source, found, was, now, paired)
    if match is not None:
        return _verdict(STALE, was, now, match)
    if paired and source.has_pictures:
        name = source.key(paired[0])
        what = f"shows something else than {name}, which was labelled: changed much, or another picture"
        return Verdict(state=STALE, kind="changed", what=what)
    return _guess(was, now, target, picture.perceptual or next(filter(None, map(source.look, paired)), None))


def _elsewhere(source: Known, found: list[_Candidate], was: Frame, now: Frame, paired: list[int]) -> Verdict:
    """The verdict on an image with labels that is, provably, one of the source that they do not name."""
    name = source.key(found[0].number)
    if not any(source.labelled(candidate.number) for candidate in found):
        what = f"its labels are of another picture; it is {name}, which has none"
        return Verdict(state=STALE, kind="foreign", what=what)
    verdict = _chosen(STALE, source, found, now, fallback=was)
    what = verdict.what if verdict.kind == "ambiguous" else f"it is {verdict.source}, {verdict.what}"
    if not paired:
        return msgspec.structs.replace(verdict, what=what)
    what = f"its labels are of {source.key(paired[0])}, but {what}"
    kind = verdict.kind if verdict.kind == "ambiguous" else "foreign"
    return msgspec.structs.replace(verdict, kind=kind, what=what)


def _unlabelled(data: Buffer, header: Header, source: Known | None, key: str) -> Verdict:
    never = Verdict(state=NEVER, kind=NEVER, what="never labelled, as far as is known")
    if source is None:
        return never
    now = Frame(*header.displayed, header.orientation)
    found = [_Candidate(number, Match(EXACT)) for number in source.of_stream(_stream(data))]
    found = found or [_Candidate(number, Match(EXACT)) for number in source.of_bytes(data)]
    if not found and source.has_pixels:
        try:
            target = matching.decode(data)
            found = [_Candidate(n, Match(EXACT, turn)) for n, turn in source.of_fingerprint(data).items()]
        except ValueError as error:
            return _namesake(source, key, str(error)) or never
        if not found:
            candidates = _candidates(source, target, key)
            found = _proved(candidates) or candidates
    if not any(source.labelled(candidate.number) for candidate in found):
        return never
    namesakes = source.of_name(key)
    return _chosen(STRIPPED, source, sorted(found, key=lambda c: c.number not in namesakes), now)


def _namesake(source: Known, key: str, why: str) -> Verdict | None:
    """For a picture that cannot be decoded: the labels that the source has for its name."""
    names = [source.key(number) for number in source.of_name(key) if source.labelled(number)]
    if not names:
        return None
    what = f"without labels; {names[0]} has some and the same name, but whether it is the same picture: {why}"
    return Verdict(state=STRIPPED, kind="namesake", what=what, source=names[0], others=tuple(names[1:]))


def _candidates(source: Known, target: Decoded, key: str) -> list[_Candidate]:
    """The pictures that an image may have come from, those proved first."""
    exact = [
        _Candidate(number, Match(EXACT, turn)) for number, turn in sorted(source.of_pixels(target).items())
    ]
    if exact or not matching.detailed(target):
        return exact
    found = []
    namesakes = source.of_name(key)
    for number in dict.fromkeys([*namesakes, *source.alike(target)]):
        if look := source.look(number):
            match = _by_looks(look, _frame_of(source.sample(number), None, Frame(*target.size, 1)), target)
        else:
            origin = source.picture(number)
            how = matching.match if number in namesakes else matching.whole
            match = how(origin, target) if origin else None
        if match is not None:
            found.append(_Candidate(number, match))
    if not _proved(found):
        for number in source.around(target):
            origin = source.picture(number)
            match = matching.part(origin, target) if origin else None
            if match is not None:
                found.append(_Candidate(number, match))
    return sorted(found, key=lambda candidate: _PROOFS.index(candidate.match.proof))


def _proved(candidates: list[_Candidate]) -> list[_Candidate]:
    """Those of the strongest proof that there is, if it is one."""
    best = min((PROVED.index(c.match.proof) for c in candidates if c.match.proof in PROVED), default=None)
    return [] if best is None else [c for c in candidates if c.match.proof == PROVED[best]]


def _chosen(
    state: str, source: Known, found: list[_Candidate], now: Frame, fallback: Frame | None = None
) -> Verdict:
    """The verdict by one of several candidates; those that would give other labels make it ambiguous."""
    first = next((c for c in found if source.labelled(c.number)), found[0])
    verdicts = {}
    gists = {}
    for candidate in found:
        sample = source.sample(candidate.number) if source.labelled(candidate.number) else None
        was = _frame_of(sample, source.frame(candidate.number), fallback or now)
        verdicts[candidate.number] = _verdict(state, was, now, candidate.match)
        gists[candidate.number] = sample and _gist(labels_by(sample, verdicts[candidate.number].change)[0])
    verdict = verdicts[first.number]
    others = tuple(source.key(number) for number, gist in gists.items() if gist != gists[first.number])
    name = source.key(first.number)
    what = verdict.what if state == STALE else f"its labels are gone; {_is(verdict, name)}"
    kind = verdict.kind
    if state == STRIPPED and kind in (INTACT, "recoded"):
        kind = STRIPPED
    if others:
        kind = "ambiguous"
        more = f" and {len(others) - 2:,} more" if len(others) > 2 else ""
        what += f", or {', '.join(others[:2])}{more}, whose labels are others"
    return msgspec.structs.replace(
        verdict, state=state, kind=kind, what=what, source=name, number=first.number, others=others
    )


def _is(verdict: Verdict, name: str) -> str:
    """Which picture of the source an image is, in words."""
    if verdict.proof not in PROVED:
        return f"it looks like {name}" + ("" if verdict.state == INTACT else f", {verdict.what}")
    return f"it is {name}" + ("" if verdict.state == INTACT else f", {verdict.what}")


def _gist(annotations: tuple[Annotation, ...]) -> list[Annotation]:
    """What annotations say, apart from what differs from image to image."""
    return [
        msgspec.structs.replace(
            annotation,
            id=None,
            extra=None,
            origin=None,
            category=annotation.category and msgspec.structs.replace(annotation.category, id=0, extra=None),
        )
        for annotation in annotations
    ]


def _frame_of(sample: Sample | None, frame: Frame | None, now: Frame) -> Frame:
    """The picture that a sample's labels were drawn on."""
    if frame is not None:
        return frame
    if sample is not None and sample.image.width and sample.image.height:
        return Frame(sample.image.width, sample.image.height, sample.image.orientation)
    return now


def _verdict(state: str, was: Frame, now: Frame, match: Match, same_stream: bool = False) -> Verdict:
    """What a match means for labels of the displayed picture; `intact` where they hold as they are."""
    stored_turn = both(undoing(was.orientation), match.turn)
    change = Change((was.width, was.height), stored_turn, match.box, match.size, now.orientation)
    total = both(stored_turn, now.orientation)
    lossy = match.proof != EXACT
    words = []
    if match.box is not None:
        words.append("cropped to {},{},{},{} of the original".format(*match.box))
        kind = "cropped"
    if match.size is not None:
        size = turned_size(*match.size, now.orientation)
        words.append(f"resized from {was.width}x{was.height} to {size[0]}x{size[1]}")
        kind = "resized"
    if total != 1:
        if match.turn == 1:
            words.append(
                f"{MADE[total]} by EXIF orientation {now.orientation}, which was {was.orientation} before"
            )
        else:
            words.append(MADE[total])
        if not (match.box or match.size):
            kind = "orientation" if match.turn == 1 else "flipped" if total in (2, 4, 5, 7) else "turned"
    elif match.turn != 1:
        words.append(f"turned in its pixels as EXIF orientation {was.orientation} displayed it")
    if change.nothing:
        state = STALE if lossy else INTACT
        kind = "recompressed" if lossy else "oriented" if words else "recoded"
        if same_stream and not words:
            kind = INTACT
    elif state == INTACT:
        state = STALE
    if lossy and match.size is None:
        words.append("recompressed")
    what = " and ".join(words) or "recompressed without loss: its pixels are as they were"
    return Verdict(state=state, kind=kind, what=what, proof=match.proof, change=change)


def _guess(was: Frame, now: Frame, target: Decoded, perceptual: str | None) -> Verdict:
    """What can be said without the picture that was labelled."""
    sizes = f"{was.width}x{was.height} when it was labelled, {now.width}x{now.height} now"
    how = "embed --fingerprint pixels, or --against SOURCE"
    if perceptual is None:
        if was.stored == now.stored:
            what = f"changed, and it cannot be told how: {how}"
        elif sorted(was.stored) == sorted(now.stored):
            what = f"{sizes}: turned; which way tells {how}"
        elif matching.same_shape(was.stored, now.stored):
            what = f"{sizes}: resized, or cropped in its old shape; which of them tells {how}"
        else:
            what = f"{sizes}: cropped, or stretched; which of them tells {how}"
        return Verdict(state=STALE, kind="changed", what=what)
    match = _by_looks(perceptual, was, target)
    if match is None:
        if was.stored != now.stored and (now.width <= was.width and now.height <= was.height):
            return Verdict(
                state=STALE, kind="cropped", what=f"{sizes}: cropped; where tells --against SOURCE"
            )
        what = "changed: its pixels are others than those that were labelled"
        return Verdict(state=STALE, kind="changed", what=what)
    found = _verdict(STALE, was, now, match)
    return msgspec.structs.replace(found, what=f"{found.what}, by its looks")


def _by_looks(look: str, was: Frame, target: Decoded) -> Match | None:
    """How a picture came from one of which only size and looks are known, where one turn fits best."""
    gaps = {
        turn: hashing.distance(text, look)
        for turn, text in zip(
            TURNS, arrays.perceptual(target.first, tuple(undoing(turn) for turn in TURNS)), strict=True
        )
    }
    turn = min(gaps, key=lambda turn: gaps[turn])
    second = min(gap for other, gap in gaps.items() if other != turn)
    width, height = was.stored
    shape = turned_size(width, height, turn)
    stretched = turn != 1 and not matching.same_shape(shape, target.size)
    if gaps[turn] > CLOSE or gaps[turn] + MARGIN > second or stretched:
        return None
    return Match(SEEN, turn, None, None if shape == target.size else target.size)


def _stream(data: Buffer) -> str | None:
    try:
        return fingerprint.stream(data)
    except ValueError:
        return None
