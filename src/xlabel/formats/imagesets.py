"""Pascal VOC's ImageSets: text files that name images, a line each. VOC2012 development kit, section 4.

`ImageSets/Main/train.txt`, `val.txt` and `test.txt` say the splits; where Main has none of them, the same
files of Segmentation do, then Layout's, then those of any other folder. `trainval.txt` is train and val
together. `<class>_train.txt` says of each image whether it has an object of the class: 1, -1, or 0 where all
of them are difficult.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain

from xlabel.formats.names import Names, lines
from xlabel.formats.pairing import LABEL_FOLDERS, stem
from xlabel.formats.splits import NAMES
from xlabel.model import Problem, Sample

FOLDER = "ImageSets"
UNLIKE = "unlike"
"""Field of a sample's origin that has what `unlike` gives."""
MEMBERS = {"train": ("train",), "val": ("val",), "test": ("test",), "trainval": ("train", "val")}

Ids = dict[str, Names]
"""Folder that has the ImageSets (with its slash) -> ids of images."""
Splits = dict[str, dict[str, Names]]
"""Folder that has the ImageSets (with its slash) -> split -> ids of images."""
Flags = dict[str, dict[str, dict[str, str]]]
"""Folder that has the ImageSets (with its slash) -> id of an image -> class -> `+`, or `+-` where the class
lists say both. A class that is not there has `-`, or no list."""

_ORDER = ("Main", "", "Segmentation", "Layout")
_FLAGS = frozenset({"1", "-1", "0", "+1"})
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".xml")


def is_list(path: str) -> bool:
    """Whether a file is one of the ImageSets."""
    return path.endswith(".txt") and FOLDER in path.split("/")[:-1]


class Lists:
    """The lists of a set that had none: the ids of each split, as its images come along."""

    def __init__(self) -> None:
        self._texts = {name: bytearray() for name in sorted(MEMBERS)}

    def add(self, path: str, split: str | None) -> None:
        """Note the split of the image with that label file."""
        for name, members in MEMBERS.items():
            if split in members:
                self._texts[name] += f"{_id('', path) or stem(path)}\n".encode()

    def files(self) -> Iterator[tuple[str, list[bytes]]]:
        """The lists that are needed; that of train and val together where both are there."""
        for name, text in self._texts.items():
            if all(self._texts[member] for member in MEMBERS[name]):
                yield f"{FOLDER}/Main/{name}.txt", [bytes(text)]


def splits(files: Mapping[str, str], where: Callable[[str], str]) -> tuple[Splits, list[Problem]]:
    """The splits that the files (path to text) say, and the images that are in two of them."""
    found: Splits = {}
    problems: list[Problem] = []
    for path in _deciding(files):
        prefix, _, split = _split_path(path)
        others = found.setdefault(prefix, {})
        for number, name in enumerate(_ids_in(path, files[path]) if others else (), 1):
            first = next((other for other, names in others.items() if name in names), None) if name else None
            if first is not None:
                problems.append(
                    Problem(
                        f"{where(path)}:{number}",
                        "two-splits",
                        f"expected an image of one split, got {name!r}, which is in {first} too; "
                        f"it counts as {first}, remove it from one of the two",
                    )
                )
        others[split] = Names(name for name in _ids_in(path, files[path]) if name)
    return found, problems


def split_of(found: Splits, path: str) -> str | None:
    """The split of the image with that label file."""
    for prefix, splits in found.items():
        name = _id(prefix, path)
        for known in () if name is None else (name, name.rpartition("/")[2]):
            for split, names in splits.items():
                if known in names:
                    return split
    return None


def flags(files: Mapping[str, str]) -> Flags:
    """What the class lists in `files` say of each image that they name."""
    found: Flags = {}
    for path, text in files.items():
        prefix, folder, name = _split_path(path) if is_list(path) else ("", "", "")
        category = _of_class(name) if folder == "Main" else None
        if category is None:
            continue
        ids = found.setdefault(prefix, {})
        for line in text.split("\n"):
            said = _readings(line)
            if said[0] and line.split()[-1] in _FLAGS:
                signs = ids.setdefault(said[1], {})
                sign = "-" if line.split()[-1] == "-1" else "+"
                before = signs.get(category[0], "")
                if sign not in before:
                    signs[category[0]] = "".join(sorted(before + sign))
    for ids in found.values():
        for signs in ids.values():
            for category_name in [name for name, sign in signs.items() if sign == "-"]:
                del signs[category_name]
    return found


def unlike(found: Flags, sample: Sample, path: str) -> dict[str, str]:
    """The classes of which the lists say something else than the image's objects, with what these say."""
    there = {a.category.name for a in sample.annotations if a.category is not None}
    different: dict[str, str] = {}
    for prefix, ids in found.items():
        name = _id(prefix, path)
        said = None if name is None else ids.get(name, ids.get(name.rpartition("/")[2]))
        if said is not None:
            different |= {name: "-1" for name in said if name not in there}
            different |= {name: _flag(sample, name) for name in there if said.get(name) != "+"}
    return dict(sorted(different.items()))


def listed(files: Mapping[str, str]) -> dict[str, Iterator[str]]:
    """The ids of all images that the lists of the splits name, trainval among them, one after the other."""
    found: dict[str, list[Iterator[str]]] = {}
    for path in _deciding(files, tuple(MEMBERS)):
        found.setdefault(_split_path(path)[0], []).append(_ids_in(path, files[path]))
    return {prefix: chain.from_iterable(ids) for prefix, ids in found.items()}


def known_ids(files: Iterable[str], paths: Iterable[str]) -> Ids:
    """What the lists in `files` may call the images with the label files `paths`."""
    found = {_split_path(path)[0]: array("q") for path in files if is_list(path)}
    for path in paths:
        for prefix, hashes in found.items():
            name = _id(prefix, path)
            if name is not None:
                hashes.append(hash(name))
                if "/" in name:
                    hashes.append(hash(name.rpartition("/")[2]))
    return {prefix: Names(hashes=hashes) for prefix, hashes in found.items()}


def absent(found: Mapping[str, Iterable[str]], known: Ids) -> Iterator[tuple[str, list[str]]]:
    """Folders with those of the ids found that no image has, sorted."""
    for prefix, ids in found.items():
        left = {name for name in ids if name and name not in known[prefix]}
        if left:
            yield prefix, sorted(left)


def strange(files: Mapping[str, str], known: Ids) -> dict[str, list[str]]:
    """Per folder, the lines of all lists that name no image, sorted."""
    found: dict[str, set[str]] = {}
    for path, text in files.items():
        if is_list(path):
            prefix = _split_path(path)[0]
            ids = known[prefix]
            for line in lines(text):
                parts = line.split()
                if 0 < len(parts) <= 3 and parts[0] in ids:
                    continue  # what nearly every line is
                said = _readings(line)
                if said[0] and not any(name in ids for name in said):
                    found.setdefault(prefix, set()).add(said[0])
    return {prefix: sorted(left) for prefix, left in found.items()}


def written(
    files: Mapping[str, str], samples: Iterable[tuple[str, Sample]], gone: Mapping[str, list[str]]
) -> Iterator[tuple[str, str]]:
    """The lists for samples (each with its label file): `files` as they were, but for what was edited.

    A line stays while its image is in the split that it had, and a flag in it while the objects say of the
    class what they said when they were read: what contradicted itself to begin with is nobody's edit. A line
    about no sample is kept where it is in `gone`: there never was such an image.
    """
    prefixes = sorted({_split_path(path)[0] for path in files}) or [""]
    deciding = _deciding(files)
    by_prefix: dict[str, dict[str, Sample]] = {prefix: {} for prefix in prefixes}
    before, _ = splits(files, str)
    moved: dict[str, set[str]] = {prefix: set() for prefix in prefixes}
    for path, sample in samples:
        prefix = next((p for p in reversed(prefixes) if path.startswith(p)), prefixes[0])
        name = _id(prefix, path) or stem(path)
        by_prefix[prefix][name] = sample
        if sample.split != split_of(before, path):
            moved[prefix].add(name)
    for prefix, known in by_prefix.items():
        others = moved[prefix]
        kept = frozenset(gone.get(prefix, ())) - known.keys()
        mine = [path for path in files if _split_path(path)[0] == prefix]
        folders = {_split_path(path)[1] for path in deciding if path in mine}
        for path in sorted({*mine, *_needed(prefix, folders, known)}):
            _, folder, name = _split_path(path)
            text = files.get(path, "")
            if name in MEMBERS and (folder in folders or path not in files):
                new = _split_list(text, MEMBERS[name], known, kept, others if path in files else known.keys())
            elif folder == "Main" and _of_class(name) is not None:
                new = _class_list(text, name, known, kept, others)
            else:
                new = _revised(text, _as_it_was, known, kept)
            if new or not text:
                yield path, new


def _deciding(files: Mapping[str, str], names: Sequence[str] = NAMES) -> list[str]:
    """The files that say the splits: of one folder for each set, in the order of `names`."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(files):
        if is_list(path):
            prefix, folder, name = _split_path(path)
            if name in names:
                found.setdefault(prefix, {}).setdefault(folder, []).append(path)
    best = (
        folders[min(folders, key=lambda f: (_ORDER.index(f) if f in _ORDER else len(_ORDER), f))]
        for folders in found.values()
    )
    return [path for paths in best for path in sorted(paths, key=lambda p: names.index(_split_path(p)[2]))]


def _ids_in(path: str, text: str) -> Iterator[str]:
    """The id in each line of a list, empty where there is none."""
    column = 1 if _split_path(path)[1] == "Layout" else 0  # the number of a person stands behind the id
    return (_reading(line, column) for line in lines(text))


def _needed(prefix: str, folders: set[str], known: Mapping[str, Sample]) -> Iterator[str]:
    """Paths of the split files that the samples ask for."""
    used = {sample.split for sample in known.values()}
    folder = next(iter(folders), "Main")
    start = f"{prefix}{FOLDER}/{folder}/" if folder else f"{prefix}{FOLDER}/"
    for name in NAMES:
        if name in used:
            yield f"{start}{name}.txt"
    if not folders and {"train", "val"} <= used:
        yield f"{start}trainval.txt"


def _split_list(
    text: str,
    members: tuple[str, ...],
    known: Mapping[str, Sample],
    kept: frozenset[str],
    moved: Set[str],
) -> str:
    allowed = members if len(members) == 1 else (*members, None)
    wanted = [name for name, sample in known.items() if name in moved and sample.split in members]

    def line_of(name: str, line: str) -> str | None:
        return line if name not in moved or known[name].split in allowed else None

    return _revised(text, line_of, known, kept, wanted)


def _as_it_was(name: str, line: str) -> str:
    return line


def _class_list(
    text: str, name: str, known: Mapping[str, Sample], kept: frozenset[str], moved: Set[str]
) -> str:
    category, members = _of_class(name) or ("", ())

    def line_of(name: str, line: str) -> str | None:
        sample = known[name]
        if name in moved and sample.split is not None and sample.split not in members:
            return None
        flag, said = _flag(sample, category), line.split()[-1]
        same = said not in _FLAGS or (flag == "-1") == (said == "-1")
        return line if same or _was(sample, category, flag) else f"{name} {flag:>2}"

    return _revised(text, line_of, known, kept)


def _revised(
    text: str,
    line_of: Callable[[str, str], str | None],
    known: Mapping[str, Sample],
    kept: frozenset[str],
    wanted: Iterable[str] = (),
) -> str:
    """A text with each line as `line_of` (id, line) has it now, and lines for those wanted and not there."""
    names = {name.rpartition("/")[2]: name for name in known} | {name: name for name in known}
    left = dict.fromkeys(wanted)
    old = text.split("\n")
    new: list[str] = []
    for line in old:
        said = _readings(line)
        name = next((names[text] for text in said if text in names), "")
        name = name or next((text for text in said if text in kept), "")
        now = line_of(name, line) if name in known else line if name or not said[0] else None
        if now is not None:
            new.append(now)
            left.pop(name, None)
    if new == old and not left:
        return text
    while new and not new[-1].strip():
        new.pop()
    return "".join(line + "\n" for line in (*new, *left))


def _flag(sample: Sample, category: str) -> str:
    named = [a for a in sample.annotations if a.category is not None and a.category.name == category]
    if not named:
        return "-1"
    return "1" if any(not (a.attributes or {}).get("difficult") for a in named) else "0"


def _was(sample: Sample, category: str, flag: str) -> bool:
    """Whether the image had that flag when it was read, whatever the lists said."""
    if sample.origin is None:
        return not sample.annotations  # it has no label file, and got no label
    noted = sample.origin.get(UNLIKE) if isinstance(sample.origin, dict) else None
    before = noted.get(category) if isinstance(noted, dict) else None
    return before is not None and (before == "-1") == (flag == "-1")


def _of_class(name: str) -> tuple[str, tuple[str, ...]] | None:
    """("dog", ("train",)) of "dog_train"."""
    category, _, split = name.rpartition("_")
    return (category, MEMBERS[split]) if category and split in MEMBERS else None


def _readings(line: str) -> list[str]:
    """What id a line may name, likeliest first: all of it, or all but one or two columns at its end."""
    return [_reading(line, columns) for columns in (0, 1, 2)]


def _reading(line: str, columns: int) -> str:
    """What id a line names if it has so many columns behind it."""
    name = line.strip().lstrip("\ufeff").removeprefix("./")
    if columns and name:
        name = name.rsplit(None, columns)[0]
    return stem(name) if name[-5:].lower().endswith(_SUFFIXES) else name


def _id(prefix: str, path: str) -> str | None:
    """What the lists of a folder call the image with that label file: `a/1` of `Annotations/a/1.xml`."""
    if not path.startswith(prefix):
        return None
    first, slash, rest = path[len(prefix) :].partition("/")
    return stem(rest) if slash and first.lower() in LABEL_FOLDERS else stem(path[len(prefix) :])


def _split_path(path: str) -> tuple[str, str, str]:
    """("VOC2012/", "Main", "train") of "VOC2012/ImageSets/Main/train.txt"."""
    parts = path.split("/")
    at = parts.index(FOLDER)
    return "".join(part + "/" for part in parts[:at]), "/".join(parts[at + 1 : -1]), stem(parts[-1])
