"""Which labels belong to which image, where the two lie in different folders or under different names."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from xlabel.formats.names import Names, repeated
from xlabel.model import Problem

IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "raw_images", "data"})
LABEL_FOLDERS = frozenset(
    {"labels", "label", "annotations", "annotation", "annots", "ann", "xml", "xmls", "json", "raw_labels"}
)

MANY = 100
"""A name that is in more folders than this does not tell them apart."""

SAMPLED = 1000
"""So many names tell a folder apart, however many files it holds."""

DEEP = 64
"""Paths are compared by so many folders at most, counted from the end."""


class Pairing:
    """Finds an image's label file by folder and stem.

    `train/images/a.jpg`, `images/train/a.jpg` and `train/a.jpg` are all labelled by `train/labels/a.txt`: the
    words for images and labels are left out when folders are compared. A folder of images that has no partner
    takes the one that is most like it and holds most of its stems, out of those above it and those that are
    nobody's partner. Where two do equally well none is taken, and a label file that images of several such
    folders would have belongs to none of them: labels are never swapped.

    Endings may be in any case. Of label files that differ in nothing but their endings the last one by its
    bytes counts: `a.txt`, not `a.TXT`.
    """

    def __init__(self, files: Callable[[], Iterable[str]]) -> None:
        """`files` gives all label files, and is asked again where those of a folder end differently."""
        self.alone: list[str] = []
        """Folders of images that have no partner, or one at a guess; known once they are bound."""
        self.passed_over: dict[str, str] = {}
        """Label files that do not count, each with the one that counts in its place."""
        self._folders = _sampled(files())
        self._odd: dict[str, Names] = {}
        if any(folder.mixed for folder in self._folders.values()):
            self._odd = self._unusual(files())
            self.passed_over = self._doubled(files())
        self._partner: dict[str, tuple[str, str]] = {}
        self._loose: set[str] = set()
        self._guessed: set[str] = set()
        self._contested: set[str] = set()

    def bind(self, keys: Sequence[str]) -> None:
        """Pair the folders of these images with the folders of labels."""
        some: dict[str, array[int]] = {}
        for key in keys:
            folder, _, name = key.rpartition("/")
            kept = some.get(folder)
            if kept is None:
                kept = some[folder] = array("q")
            if len(kept) < SAMPLED:
                kept.append(hash(stem(name)))
        by_plain: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for folder in self._folders:
            by_plain[_plain(folder, LABEL_FOLDERS)].append(folder)
        found: dict[str, str] = {}
        for folder in some:
            partners = by_plain.get(_plain(folder, IMAGE_FOLDERS))
            if partners and len(partners) == 1:
                found[folder] = partners[0]
            elif partners:
                stems = set(some[folder])
                found[folder] = max(partners, key=lambda partner: self._votes(partner, stems))
        self._loose = some.keys() - found.keys()
        self._guessed = set()
        if self._loose:
            found |= self._paired({folder: some[folder] for folder in sorted(self._loose)}, by_plain, found)
        self._partner = {
            folder: (best + "/" if best else "", self._folders[best].ending) for folder, best in found.items()
        }
        self.alone = sorted(self._guessed | (some.keys() - found.keys()))
        self._contested = self._shared(keys) if self._loose else set()

    def find(self, key: str) -> str | None:
        """Path of the label file that an image would have; it need not exist."""
        folder, _, name = key.rpartition("/")
        partner = self._partner.get(folder)
        if partner is None:
            return None
        start, usual = partner
        path = self._path(start + stem(name), usual) if self._odd else start + stem(name) + usual
        return None if path in self._contested and folder in self._loose else path

    def beside(self, path: str, bare: str) -> str:
        """The label file of that stem in the folder of another one; it need not exist."""
        folder, slash, _ = path.rpartition("/")
        return self._path(folder + slash + bare, self._folders[folder].ending)

    def _path(self, bare: str, usual: str) -> str:
        """A label file by its path without ending; `usual` is the ending of its folder."""
        path = bare + next((ending for ending, odd in self._odd.items() if bare in odd), usual)
        return self.passed_over.get(path, path)

    def _unusual(self, files: Iterable[str]) -> dict[str, Names]:
        """By ending, the label files (without it) that do not end as most of their folder do."""
        hashes: dict[str, array[int]] = defaultdict(lambda: array("q"))
        for path in files:
            bare, ending, usual = self._parts(path)
            if ending != usual:
                hashes[ending].append(hash(bare))
        return {ending: Names(hashes=found) for ending, found in hashes.items()}

    def _doubled(self, files: Iterable[str]) -> dict[str, str]:
        """The label files of stems that have several, but for the one that counts, with that one."""
        found: dict[str, str] = {}
        for path in files:
            bare, ending, _ = self._parts(path)
            endings = {ending, *(other for other, odd in self._odd.items() if bare in odd)}
            if len(endings) > 1:
                last = max(endings)
                found |= {bare + other: bare + last for other in endings if other != last}
        return found

    def _parts(self, path: str) -> tuple[str, str, str]:
        """A label file's path without its ending, this ending, and the usual one in its folder."""
        folder, slash, name = path.rpartition("/")
        bare = stem(name)
        return folder + slash + bare, name[len(bare) :], self._folders[folder].ending

    def _paired(
        self,
        loose: dict[str, "array[int]"],
        by_plain: Mapping[tuple[str, ...], list[str]],
        taken: Mapping[str, str],
    ) -> dict[str, str]:
        """Partners for those folders of images that have none by their names."""
        free = self._folders.keys() - set(taken.values())
        by_last: dict[str, list[str]] = defaultdict(list)
        for folder in free:
            by_last["".join(_plain(folder, LABEL_FOLDERS)[-1:])].append(folder)
        by_stem: dict[int, list[str]] | None = None
        found: dict[str, str] = {}
        for folder, sample in loose.items():
            parts, stems = _plain(folder, IMAGE_FOLDERS), set(sample)
            above = [one for i in range(len(parts)) for one in by_plain.get(parts[:i], ())]
            like = by_last.get(parts[-1], []) if parts else []
            best = self._best(parts, stems, {*above, *like})
            if best is None:
                if by_stem is None:
                    by_stem = self._by_stem(free, {one for stems in loose.values() for one in stems})
                best = self._best(parts, stems, {one for held in stems for one in by_stem.get(held, ())})
            if best is None and len(free) <= 1 and len(choice := {*above, *free}) == 1:
                best = choice.pop()
                self._guessed.add(folder)
            if best is not None:
                found[folder] = best
        return found

    def _by_stem(self, folders: Iterable[str], wanted: set[int]) -> dict[int, list[str]]:
        """Folders of labels by those of their stems that are wanted and tell them apart."""
        found: dict[int, list[str]] = defaultdict(list)
        for folder in folders:
            for held in wanted.intersection(self._folders[folder].stems):
                found[held].append(folder)
        return {held: those for held, those in found.items() if len(those) <= MANY}

    def _best(self, parts: tuple[str, ...], stems: set[int], folders: Iterable[str]) -> str | None:
        """The one of some folders that fits images best, None where none or two of them do."""
        ranked = []
        for folder in folders:
            others = _plain(folder, LABEL_FOLDERS)
            votes = self._votes(folder, stems)
            if votes:
                above = others == parts[: len(others)]
                ranked.append(((_common_end(parts, others), above, votes), folder))
        ranked.sort()
        if not ranked or (len(ranked) > 1 and ranked[-1][0] == ranked[-2][0]):
            return None
        return ranked[-1][1]

    def _shared(self, keys: Sequence[str]) -> set[str]:
        """Label files that images of several folders would have."""
        users = Counter(self._partner.values())
        busy = {folder for folder, partner in self._partner.items() if users[partner] > 1}
        if not busy:
            return set()
        twice = repeated(array("q", (hash(path) for _, path in self._paths(keys, busy))))
        owners: dict[str, str] = {}
        shared: set[str] = set()
        for folder, path in self._paths(keys, busy) if twice else ():
            if hash(path) in twice and owners.setdefault(path, folder) != folder:
                shared.add(path)
        return shared

    def _paths(self, keys: Sequence[str], folders: set[str]) -> Iterator[tuple[str, str]]:
        """Folder and label file of the images in some folders."""
        for key in keys:
            folder, _, name = key.rpartition("/")
            if folder in folders:
                start, ending = self._partner[folder]
                yield folder, self._path(start + stem(name), ending)

    def _votes(self, folder: str, stems: set[int]) -> int:
        return len(stems.intersection(self._folders[folder].stems))


class _Folder:
    """Label files of one folder: the hashes of some stems, and the ending that most of the files have."""

    __slots__ = ("count", "ending", "mixed", "stems")

    def __init__(self) -> None:
        self.stems = array("q")
        self.ending = ""
        self.count = 0
        self.mixed = False
        """Whether they end differently."""

    def add(self, name: str) -> None:
        bare = stem(name)
        if len(self.stems) < SAMPLED:
            self.stems.append(hash(bare))
        ending = name[len(bare) :]
        self.mixed |= self.ending not in ("", ending)
        if ending == self.ending:
            self.count += 1
        elif self.count:
            self.count -= 1
        else:
            self.ending, self.count = ending, 1


class Partners:
    """Which folder of labels goes with a folder of images, learnt from examples."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._above: dict[str, str] = {}

    def note(self, images: str, labels: str) -> None:
        """Labels of an image in the one folder lie in the other."""
        if images in self._folders:
            return
        self._folders[images] = labels
        one, other = _rooted(images), _rooted(labels)
        while one and other and one.rpartition("/")[2] == other.rpartition("/")[2]:
            one, other = one.rpartition("/")[0], other.rpartition("/")[0]
        self._above.setdefault(one, other)

    def of(self, images: str) -> str | None:
        """The partner of a folder: the one it had, else what those of its neighbours say, else None."""
        known = self._folders.get(images)
        if known is not None:
            return known
        start = whole = _rooted(images)
        while True:
            if start in self._above:
                return (self._above[start] + whole[len(start) :]).removeprefix("/")
            if not start:
                return None
            start = start.rpartition("/")[0]


@lru_cache(maxsize=256)
def are_partners(images: str, labels: str) -> bool:
    """Whether two folders are the same but for the words for images and labels."""
    return _plain(images, IMAGE_FOLDERS) == _plain(labels, LABEL_FOLDERS)


def followed(labels: str, images: str) -> str | None:
    """The folder for labels that lay in `labels`, now that the images lie in `images`; None where unclear."""
    parts = labels.split("/") if labels else []
    plain = [part.lower() not in LABEL_FOLDERS for part in parts]
    if True not in plain:
        return "/".join([*parts, *_plain(images, IMAGE_FOLDERS)])
    first, last = plain.index(True), len(plain) - plain[::-1].index(True)
    if False in plain[first:last]:
        return None
    return "/".join([*parts[:first], *_plain(images, IMAGE_FOLDERS), *parts[last:]])


def has_ending(path: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a path has one of these endings (lower case, with dot), in whatever case."""
    return path[-8:].lower().endswith(suffixes)


def stem(name: str) -> str:
    """A file name without its last suffix; `.hidden` has none."""
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def match_names(
    names: Sequence[str], keys: Sequence[str], where: str
) -> tuple[dict[str, int], list[Problem]]:
    """Key of each image -> position in `names` of what a document calls it.

    An equal path wins; then the longest common end of the paths (a document may say `images/train/a.jpg` or
    an absolute path), then the name without suffix, then its number (42 is 000000000042.jpg). A name that
    fits several images equally well, and two names for one image, are problems; they match nothing, or the
    closer one, or the first.
    """
    found: dict[str, int] = {}
    problems: list[Problem] = []
    exact = set(keys)
    left: list[tuple[int, str]] = []
    for position, raw in enumerate(names):
        name = raw if raw in exact else _cleaned(raw)
        if name not in exact:
            left.append((position, name))
        elif name in found:
            problems.append(_twice(where, raw))
        else:
            found[name] = position
    if not left:
        return found, problems
    by_end: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        if key not in found:
            for end in _ends(key):
                by_end[end].append(key)
    claims: list[tuple[int, int, list[str]]] = []
    tails: dict[str, dict[str, list[str]]] = {}
    for position, name in left:
        known = next((end for end in _ends(name) if end in by_end), None)
        if known is not None:
            if known not in tails:
                tails[known] = _tails(by_end[known])
            shared, best = _closest(name, tails[known])
            claims.append((-shared, position, best))
    for _, position, best in sorted(claims):
        if len(best) > 1:
            problems.append(
                Problem(
                    where,
                    "ambiguous-image",
                    f"{names[position]!r} could be {best[0]} or {best[1]}; "
                    "write the path below the images' folder",
                )
            )
        elif best and best[0] in found:
            problems.append(_twice(where, names[position]))
        elif best:
            found[best[0]] = position
    return found, problems


def _common_end(a: Sequence[str], b: Sequence[str]) -> int:
    """How many parts two paths share, counted from the end."""
    count = 0
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other:
            break
        count += 1
    return count


def _rooted(folder: str) -> str:
    return f"/{folder}" if folder else ""


def _sampled(files: Iterable[str]) -> dict[str, _Folder]:
    """The folders of label files."""
    folders: dict[str, _Folder] = {}
    for path in files:
        folder, _, name = path.rpartition("/")
        kept = folders.get(folder)
        if kept is None:
            kept = folders[folder] = _Folder()
        kept.add(name)
    return folders


def _plain(folder: str, words: frozenset[str]) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part and part.lower() not in words)


def _cleaned(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _ends(path: str) -> list[str]:
    """What a path may be known by, strictest first: its name, its stem, its number."""
    name = path.rpartition("/")[2]
    ends = ["n:" + name, "s:" + (stem(name) if _has_image_suffix(name) else name)]
    digits = ends[1][2:]
    if digits.isascii() and digits.isdigit() and len(digits) < 20:
        ends.append(f"d:{int(digits)}")
    return ends


def _has_image_suffix(name: str) -> bool:
    suffix = PurePosixPath(name).suffix
    return 1 < len(suffix) <= 5 and not suffix[1:].isdigit()


def _tails(keys: list[str]) -> dict[str, list[str]]:
    """Two of the keys for each end that their folders have."""
    found: dict[str, list[str]] = {}
    for key in keys:
        for tail in _folder_ends(key):
            held = found.setdefault(tail, [])
            if len(held) < 2:
                held.append(key)
    return found


def _closest(name: str, tails: dict[str, list[str]]) -> tuple[int, list[str]]:
    """How many folders `name` shares with any key, counted from the end, and one or two of those keys."""
    best: tuple[int, list[str]] = 0, []
    for shared, tail in enumerate(_folder_ends(name)):
        if tail not in tails:
            break
        best = shared, tails[tail]
    return best


def _folder_ends(path: str) -> Iterator[str]:
    """The ends of a path's folder, from nothing to all of it: "", "b", "a/b" of a/b/c.jpg."""
    yield ""
    folder = path.rpartition("/")[0]
    at = len(folder)
    for _ in range(DEEP):
        if at <= 0:
            return
        at = folder.rfind("/", 0, at)
        yield folder[at + 1 :]


def _twice(where: str, name: str) -> Problem:
    return Problem(
        where, "image-twice", f"{name!r} names an image that another record has; remove one of the two"
    )
