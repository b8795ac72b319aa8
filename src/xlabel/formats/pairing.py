"""Which labels belong to which image, where the two lie in different folders or under different names."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from xlabel.model import Problem

IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "raw_images", "data"})
LABEL_FOLDERS = frozenset(
    {"labels", "label", "annotations", "annotation", "annots", "ann", "xml", "xmls", "json", "raw_labels"}
)

MANY = 100
"""A name that is in more folders than this does not tell them apart."""

DEEP = 64
"""Paths are compared by so many folders at most, counted from the end."""


class Pairing:
    """Finds an image's label file by folder and stem.

    `train/images/a.jpg`, `images/train/a.jpg` and `train/a.jpg` are all labelled by `train/labels/a.txt`: the
    words for images and labels are left out when folders are compared. A folder of images that has no partner
    takes the one that is most like it and holds most of its stems, out of those above it and those that are
    nobody's partner. Where two do equally well none is taken, and a label file that images of several such
    folders would have belongs to none of them: labels are never swapped.
    """

    def __init__(self, stems: dict[str, set[str]], suffix: str) -> None:
        self._stems = stems
        self._suffix = suffix
        self._partner: dict[str, str] = {}
        self._loose: set[str] = set()
        self._contested: set[str] = set()

    @classmethod
    def of_trees(cls, files: Iterable[str], suffixes: tuple[str, ...]) -> "Pairing":
        """A pairing for the label files among `files`."""
        folders: dict[str, set[str]] = defaultdict(set)
        seen: Counter[str] = Counter()
        for path in files:
            if path.endswith(suffixes):
                folder, _, name = path.rpartition("/")
                kept = folders[folder]
                if len(kept) < 1000:  # enough to tell folders apart, however many files they hold
                    kept.add(name)
                seen[path[path.rfind(".") :]] += 1
        suffix = seen.most_common(1)[0][0] if seen else (suffixes or ("",))[0]
        return cls(dict(folders), suffix)

    def bind(self, keys: Sequence[str]) -> None:
        """Pair the folders of these images with the folders of labels."""
        some: dict[str, list[str]] = {}
        for key in keys:
            folder, _, name = key.rpartition("/")
            kept = some.setdefault(folder, [])
            if len(kept) < 1000:
                kept.append(name)
        by_plain: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for folder in self._stems:
            by_plain[_plain(folder, LABEL_FOLDERS)].append(folder)
        found: dict[str, str] = {}
        for folder, names in some.items():
            partners = by_plain.get(_plain(folder, IMAGE_FOLDERS))
            if partners:
                found[folder] = max(partners, key=lambda partner: self._votes(partner, names))
        self._loose = some.keys() - found.keys()
        if self._loose:
            free = self._stems.keys() - set(found.values())
            by_last, by_file = self._index(free)
            for folder in self._loose:
                parts, names = _plain(folder, IMAGE_FOLDERS), some[folder]
                above = [one for i in range(len(parts)) for one in by_plain.get(parts[:i], ())]
                like = by_last.get(parts[-1], []) if parts else []
                best = self._best(parts, names, {*above, *like})
                if best is None:
                    others = (one for name in names for one in by_file.get(stem(name) + self._suffix, ()))
                    best = self._best(parts, names, set(others))
                if best is None and len(free) <= 1 and len(choice := {*above, *free}) == 1:
                    best = choice.pop()
                if best is not None:
                    found[folder] = best
        self._partner = {folder: best + "/" if best else "" for folder, best in found.items()}
        self._contested = self._shared(keys) if self._loose else set()

    def find(self, key: str) -> str | None:
        """Path of the label file that an image would have; it need not exist."""
        folder, _, name = key.rpartition("/")
        partner = self._partner.get(folder)
        if partner is None:
            return None
        path = partner + stem(name) + self._suffix
        return None if path in self._contested and folder in self._loose else path

    def _index(self, folders: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Folders of labels by the last part of their path, and by the files in them that tell them apart."""
        by_last: dict[str, list[str]] = defaultdict(list)
        by_file: dict[str, list[str]] = defaultdict(list)
        for folder in folders:
            by_last["".join(_plain(folder, LABEL_FOLDERS)[-1:])].append(folder)
            for name in self._stems[folder]:
                by_file[name].append(folder)
        return by_last, {name: held for name, held in by_file.items() if len(held) <= MANY}

    def _best(self, parts: tuple[str, ...], names: list[str], folders: Iterable[str]) -> str | None:
        """The one of some folders that fits images best, None where none or two of them do."""
        ranked = []
        for folder in folders:
            others = _plain(folder, LABEL_FOLDERS)
            votes = self._votes(folder, names)
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
        owners: dict[str, str] = {}
        shared: set[str] = set()
        for key in keys:
            folder, _, name = key.rpartition("/")
            partner = self._partner.get(folder)
            if partner is not None and users[partner] > 1:
                path = partner + stem(name) + self._suffix
                if owners.setdefault(path, folder) != folder:
                    shared.add(path)
        return shared

    def _votes(self, folder: str, names: list[str]) -> int:
        stems = self._stems[folder]
        return sum(stem(name) + self._suffix in stems for name in names)


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
