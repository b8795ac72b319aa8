"""What describes a YOLO set as a whole: data.yaml, classes.txt, obj.data, obj.names and lists of images.

Rules: Ultralytics 8.4 (`check_det_dataset`) for data.yaml, Darknet for obj.data and obj.names.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from xlabel.errors import InputError, why
from xlabel.formats.names import Names, lines
from xlabel.formats.pairing import IMAGE_FOLDERS, LABEL_FOLDERS, stem
from xlabel.formats.splits import SPLITS
from xlabel.model import Category

TASKS = ("detect", "segment", "pose", "obb")
CLASS_FILES = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt", "labels.txt")
"""Files of one class name a line, the likeliest first."""
LISTS = frozenset(f"{word}.txt" for word in SPLITS)

UNREAD, NAMELESS, REFUSED = "bad-yaml", "bad-name", "unreadable"
"""Codes of problems: a data.yaml that is no YAML, one whose names are none, a file that cannot be read."""

MAX_KEYPOINTS = 10_000

_MAX_YAML = 2_000_000  # characters; 20,000 class names take a tenth of it
_MAX_NODES = 200_000
_MAX_DEPTH = 32
_MAX_CLASSES = 100_000  # of an `nc` without names
_WORDS = IMAGE_FOLDERS | LABEL_FOLDERS
_DIGITS = "0123456789"

Parts = tuple[str, ...]
Claim = tuple[str, Parts, bool]
"""Split, parts of a folder of images, and whether the last of these may stand for all."""
Fault = tuple[str, str, str]
"""Path, code and message of a problem."""


class Described(NamedTuple):
    """What the files say of the set. `names` is None where none of them names a class."""

    names: dict[int, str] | None
    keypoints: dict[int, tuple[str, ...]]
    task: str | None
    kpt_shape: tuple[int, int] | None
    yaml: str | None
    """Path of the data.yaml."""
    homes: tuple[str, ...]
    """Folders of labels."""
    claims: list[Claim]
    lists: list[tuple[str, str]]
    """Split and path of the lists of images."""
    folders: dict[str, str]
    """Folder of labels -> split."""
    listed: list[tuple[str, Names]]
    """Split, and paths without suffix of the label files whose images are in its lists."""
    files: dict[str, str]
    """The files that were read, path to text."""
    faults: list[Fault]

    def split(self, path: str) -> str | None:
        """The split of the image that a label file belongs to, or would if there was one.

        An image that is in the lists of two splits goes by its folder.
        """
        if self.listed:
            found = {split for split, names in self.listed if path[:-4] in names}
            if len(found) == 1:
                return found.pop()
        return self.folders.get(path.rpartition("/")[0])

    def also(self, folders: Iterable[str]) -> "Described":
        """The same, which knows the splits of more folders: those of images that have no labels."""
        known = frozenset(self.homes)
        more = tuple(folder for folder in folders if folder not in known)
        homes = (*self.homes, *more)
        splits = _folder_splits(self.claims, homes)
        named = [(split, self.files[path]) for split, path in self.lists if path in self.files]
        return self._replace(
            homes=homes,
            folders=self.folders | {folder: splits[folder] for folder in more if folder in splits},
            listed=self.listed + (_listed(named, homes, more) if more else []),
        )

    def categories(self) -> list[Category]:
        """The classes by their numbers, in the order of the file."""
        names = self.names or {}
        return [Category(id=i, name=name, keypoints=self.keypoints.get(i)) for i, name in names.items()]


def describe(
    paths: Sequence[str], there: Container[str], read: Callable[[str], bytes], folders: Iterable[str]
) -> Described:
    """Everything that the describing files among `paths` say; `folders` are those that hold labels.

    `there` are all files, of which a data.yaml may name any as a list of images.

    What is wrong with one of them is a fault, and the rest is used.
    """
    files: dict[str, str] = {}
    faults: list[Fault] = []

    def text(path: str) -> str:
        if path not in files:
            files[path] = _text(path, read, faults)
        return files[path].removeprefix("\ufeff")

    yaml, document = _document(paths, text, faults)
    if yaml is not None and not yaml.endswith((".yaml", ".yml")):
        names = _darknet_names(document, paths, text)
    else:
        names = _names(document, yaml or "", faults)
    for path in class_files(paths):
        classes = text(path)
        names = _lines(classes) if names is None and path not in _refused(faults) else names
    kpt_shape = _kpt_shape(document, yaml or "", faults)
    task = document.get("task")
    labels = list(folders)
    claims, named = _entries(document, yaml or "", there)
    bare = _bare_lists(paths, text)
    if not claims and not named:
        named = bare
    listed = _listed([(split, text(path)) for split, path in named], labels, labels)
    used = {yaml, *class_files(paths), *(path for _, path in (*named, *bare))}
    used |= {path for path, code, _ in faults if code == UNREAD}
    broken = {path for path, code, _ in faults if code in ("not-utf8", REFUSED)}
    kept = {path: files[path] for path in sorted(files) if path in used and path not in broken}
    return Described(
        names=names,
        keypoints=_keypoint_names(document),
        task=task if task in TASKS else None,
        kpt_shape=kpt_shape,
        yaml=yaml,
        homes=tuple(labels),
        claims=claims,
        lists=named,
        folders=_folder_splits(claims, labels),
        listed=listed,
        files=kept,
        faults=faults,
    )


def describe_again(files: Mapping[str, str], folders: Iterable[str]) -> Described:
    """The same out of the texts that `Described.files` kept."""
    return describe(sorted(files), files, lambda path: files[path].encode(), folders)


def is_description(name: str) -> bool:
    """Whether a .txt file is by its name no label of an image. A list of images may well be one."""
    name = name.lower()
    return name in CLASS_FILES or name.startswith(("readme", "license", "requirements"))


def may_describe(name: str) -> bool:
    """Whether a file that is no .txt may by its name describe a set."""
    return name in CLASS_FILES or name.endswith((".yaml", ".yml", ".names", ".data"))


def class_files(paths: Sequence[str]) -> list[str]:
    """The files that name a class a line: those nearest to the top first, then the likeliest."""
    found = []
    for path in paths:
        name = path.rpartition("/")[2]
        rank = CLASS_FILES.index(name) if name in CLASS_FILES else len(CLASS_FILES)
        if name in CLASS_FILES or name.endswith(".names"):
            found.append((path.count("/"), rank, path))
    return [path for _, _, path in sorted(found)]


def label_path(key: str) -> str:
    """Where the labels of an image lie by Ultralytics' rule: the last `images` of its path is `labels`.

    Beside the image where no folder of that name is above it.
    """
    folder, slash, name = key.rpartition("/")
    return _swapped(folder, "images", "labels") + slash + stem(name) + ".txt"


def image_folder(folder: str) -> str:
    """Where Ultralytics looks for the images of a folder of labels."""
    return _swapped(folder, "labels", "images")


def yaml_text(old: str, changes: Mapping[str, Any], drop: Iterable[str] = ()) -> str:
    """A data.yaml with these entries, and those of the old one that they do not replace."""
    import yaml

    old = old.removeprefix("\ufeff")
    document: dict[Any, Any] = load_yaml(old) if old else {}
    if "<<" not in old and old:  # merge keys may expand without end
        with suppress(yaml.YAMLError, ValueError, TypeError, OverflowError):
            document = yaml.load(old, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for key in drop:
        document.pop(key, None)
    document.update(changes)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=10**6)
    return text


def darknet_text(text: str, classes: int) -> str:
    """An obj.data with another number of classes; any other text as it is."""
    return "\n".join(
        f"classes = {classes}" if line.partition("=")[0].strip() == "classes" else line
        for line in text.split("\n")
    )


def load_yaml(text: str) -> dict[str, Any]:
    """A YAML mapping in which every scalar is the text as written, so that a class `no` stays `no`.

    Raises ValueError that says why it is none. Safe against tags, deep nesting and alias bombs: aliases
    are shared, never copied.
    """
    import yaml

    if len(text) > _MAX_YAML:
        raise ValueError(f"{len(text)} characters are more than a data.yaml has")
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                raise ValueError("it is nested too deeply")
        document = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(document, dict):
        raise ValueError("expected `names:` and `train:` entries, got something else")
    _refuse_bomb(document)
    merged = document.pop("<<", None)
    for part in merged if isinstance(merged, list) else [merged]:
        if isinstance(part, dict):
            document = part | document
    return document


def _refuse_bomb(document: dict[str, Any]) -> None:
    """ValueError where aliases make more of a short text than a data.yaml can be."""
    todo: list[Any] = [document]
    for _ in range(_MAX_NODES):
        if not todo:
            return
        node = todo.pop()
        if isinstance(node, dict):
            todo += node.values()
        elif isinstance(node, list):
            todo += node
    raise ValueError("its aliases make too much of it; write them out")


def _text(path: str, read: Callable[[str], bytes], faults: list[Fault]) -> str:
    try:
        data = read(path)
    except InputError as error:
        faults.append((path, REFUSED, why(error, path)))
        return ""
    try:
        return data.decode()
    except UnicodeDecodeError:
        faults.append((path, "not-utf8", "expected text in UTF-8; read as Latin-1, save it as UTF-8"))
        return data.decode("latin-1")


def _refused(faults: list[Fault]) -> set[str]:
    return {path for path, code, _ in faults if code == REFUSED}


def _document(
    paths: Sequence[str], text: Callable[[str], str], faults: list[Fault]
) -> tuple[str | None, dict[str, Any]]:
    """The file that names splits and classes, with its entries: a data.yaml, else an obj.data."""
    likely = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
    found = [path for path in paths if path.endswith((".yaml", ".yml"))]
    found.sort(key=lambda p: (p.count("/"), p.rpartition("/")[2] not in likely, p))
    second: tuple[str, dict[str, Any]] | None = None
    for path in found[:20]:
        named = path.rpartition("/")[2] in likely
        try:
            document = load_yaml(text(path))
        except ValueError as error:
            if path not in _refused(faults) and (
                named or any(line.startswith(("names:", "nc:")) for line in lines(text(path)))
            ):
                faults.append((path, UNREAD, f"{error}; the file is kept and not read, correct it"))
            continue
        if _is_set(document):
            return path, document
        if named and "names" in document and second is None:
            second = path, document
    if second is not None:
        return second
    found = sorted((p for p in paths if p.endswith(".data")), key=lambda p: (p.count("/"), p))
    for path in found[:20]:
        parts = (line.partition("=") for line in text(path).splitlines())
        document = {key.strip(): value.strip() for key, equals, value in parts if equals}
        if "names" in document or "train" in document:
            return path, document
    return None, {}


def _is_set(document: Mapping[str, Any]) -> bool:
    if isinstance(document.get("names"), list | dict) or "nc" in document:
        return True
    return "train" in document and "val" in document


def _names(document: Mapping[str, Any], path: str, faults: list[Fault]) -> dict[int, str] | None:
    raw, count = document.get("names"), document.get("nc")
    number = _whole(count)
    if count is not None and (number is None or number > _MAX_CLASSES):
        faults.append((path, "bad-nc", f"expected a number of classes as nc, got {str(count)[:40]!r}"))
        number = None
    if not isinstance(raw, list | dict):
        if "names" in document:
            message = f"expected a list of names, or numbers with names, got {str(raw)[:40]!r}; correct it"
            faults.append((path, NAMELESS, f"{message}. Until then classes are named by their numbers"))
        return None if number is None else {i: str(i) for i in range(number)}
    names: dict[int, str] = {}
    for key, name in raw.items() if isinstance(raw, dict) else enumerate(raw):
        index = key if isinstance(key, int) else _whole(key)
        if index is None or not isinstance(name, str):
            message = f"expected a class number and its name, got {str(key)[:40]!r}: {str(name)[:40]!r}"
            faults.append((path, "bad-name", message))
        else:
            names[index] = name
    top = max(names, default=-1) + 1
    if number is not None and number not in (len(names), top):
        message = f"nc is {number}, and there are {len(names)} names; the names are used, correct nc"
        faults.append((path, "nc-mismatch", message))
    return names


def _darknet_names(
    document: Mapping[str, Any], paths: Sequence[str], text: Callable[[str], str]
) -> dict[int, str] | None:
    wanted = str(document.get("names", "")).rpartition("/")[2]
    for path in paths:
        if wanted and path.rpartition("/")[2] == wanted:
            return _lines(text(path))
    return None


def _lines(text: str) -> dict[int, str]:
    """Names by line; an empty line is a number without class."""
    return {i: line.strip() for i, line in enumerate(text.split("\n")) if line.strip()}


def _keypoint_names(document: Mapping[str, Any]) -> dict[int, tuple[str, ...]]:
    raw = document.get("kpt_names")
    if not isinstance(raw, dict):
        return {}
    return {
        index: tuple(names)
        for key, names in raw.items()
        if (index := _whole(key)) is not None
        and isinstance(names, list)
        and all(isinstance(name, str) for name in names)
    }


def _kpt_shape(document: Mapping[str, Any], path: str, faults: list[Fault]) -> tuple[int, int] | None:
    raw = document.get("kpt_shape")
    if raw is None:
        return None
    values = [_whole(item) for item in raw] if isinstance(raw, list) else []
    if len(values) == 2 and values[0] and values[0] <= MAX_KEYPOINTS and values[1] in (2, 3):
        return values[0], values[1]
    message = f"expected kpt_shape: [number of keypoints, 2 or 3], got {str(raw)[:40]!r}"
    faults.append((path, "bad-kpt-shape", message))
    return None


def _entries(
    document: Mapping[str, Any], yaml: str, there: Container[str]
) -> tuple[list[Claim], list[tuple[str, str]]]:
    """The folders and the lists (split, path) that a data.yaml names."""
    base = yaml.rpartition("/")[0]
    root = document.get("path")
    root = root if isinstance(root, str) else ""
    claims: list[Claim] = []
    lists: list[tuple[str, str]] = []
    for key, split in SPLITS.items():
        value = document.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, str) or entry in ("", "~", "null"):
                continue
            if entry.endswith(".txt"):
                found = _find_list(entry, base, root, there)
                lists += [(split, found)] if found else []
            else:
                claims.append((split, _plain(f"{base}/{root}/{entry}"), not _plain(entry)))
    return claims, lists


def _bare_lists(paths: Sequence[str], text: Callable[[str], str]) -> list[tuple[str, str]]:
    """A train.txt that no data.yaml names, where it holds paths and not the rows of an image train.jpg."""
    found = []
    for path in paths:
        if path in LISTS:
            first = next((line for line in lines(text(path)) if line.strip()), "")
            if "." in first.rpartition("/")[2] and len(first.split()) < 5:
                found.append((SPLITS[path[:-4]], path))
    return found


def _find_list(entry: str, base: str, root: str, there: Container[str]) -> str | None:
    for place in (f"{base}/{root}/{entry}", f"{base}/{entry}", entry):
        parts = _parts(place)
        for start in range(len(parts)):
            path = "/".join(parts[start:])
            if path in there:
                return path
    return None


def _parts(path: str) -> Parts:
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _plain(path: str) -> Parts:
    """The parts of a path that tell folders of images and of labels apart from others."""
    return tuple(part for part in _parts(path) if part.lower() not in _WORDS)


def _folder_splits(claims: Sequence[Claim], folders: Sequence[str]) -> dict[str, str]:
    """Folder -> split. A folder that is given to two splits, or to none, goes by its own name."""
    plain = {folder: _plain(folder) for folder in folders}
    given: dict[str, set[str]] = {}
    for split, parts, whole in claims:
        for folder in _below(parts, whole, plain):
            given.setdefault(folder, set()).add(split)
    result: dict[str, str] = {}
    for folder in folders:
        splits = given.get(folder, set())
        split_name = next(iter(splits)) if len(splits) == 1 else _split_word(folder)
        if split_name:
            result[folder] = split_name
    return result


def _below(parts: Parts, whole: bool, plain: Mapping[str, Parts]) -> Iterator[str]:
    """The folders at or below a path, of which the first parts may lie above the root of the labels."""
    for start in range(len(parts) + (1 if whole else 0)):
        end = parts[start:]
        found = [folder for folder, own in plain.items() if own[: len(end)] == end]
        if found:
            yield from found
            return


def _split_word(folder: str) -> str | None:
    """The split that a folder's name says: `valid`, `train2017`."""
    for part in reversed(_parts(folder)):
        split = SPLITS.get(part.lower().rstrip(_DIGITS).rstrip("_-"))
        if split:
            return split
    return None


def _listed(
    named: Sequence[tuple[str, str]], folders: Sequence[str], wanted: Sequence[str]
) -> list[tuple[str, Names]]:
    """What lists (split, text) say of the images whose labels lie, or would lie, in the folders wanted."""
    if not named:
        return []
    by_plain: dict[Parts, list[str]] = {}
    for folder in folders:
        by_plain.setdefault(_plain(folder), []).append(folder)
    several = frozenset(wanted)
    found = []
    for split in dict.fromkeys(split for split, _ in named):
        texts = [text for other, text in named if other == split]
        names = Names(path for text in texts for path in _named(text, by_plain, several))
        found += [(split, names)] if names else []
    return found


def _named(text: str, by_plain: Mapping[Parts, list[str]], wanted: Container[str]) -> Iterator[str]:
    """The label files, without suffix, that the images in a list may have."""
    places: dict[str, list[str]] = {}
    for line in lines(text):
        folder, _, name = line.strip().replace("\\", "/").rpartition("/")
        if not name:
            continue
        if folder not in places:
            places[folder] = [place for place in _label_folders(folder, by_plain) if place in wanted]
        for place in places[folder]:
            yield f"{place}/{stem(name)}" if place else stem(name)


def _label_folders(folder: str, by_plain: Mapping[Parts, list[str]]) -> list[str]:
    parts = _plain(folder)
    for start in range(len(parts) + 1):
        if parts[start:] in by_plain:
            return by_plain[parts[start:]]
    return []


def _whole(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return None


def _swapped(folder: str, word: str, other: str) -> str:
    """A folder with the last part that is `word` replaced."""
    start = f"/{folder}/".rfind(f"/{word}/")
    return folder if start < 0 else folder[:start] + other + folder[start + len(word) :]
