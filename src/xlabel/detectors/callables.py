"""Detectors that are a function of somebody's: a picture in, what it found out."""

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from xlabel.detectors.masking import SMALLEST
from xlabel.detectors.naming import listed, shortened
from xlabel.detectors.preparing import Array
from xlabel.errors import InputError
from xlabel.model import Annotation, Category, Source
from xlabel.pictures import contours

if TYPE_CHECKING:
    from xlabel.detectors import Picture

THING = 0.5
"""Above it a pixel of a mask of torchvision's is of the thing."""
EXPECTED = "xlabel.Annotation, a dict with its fields, or a dict of the arrays boxes, labels and scores"


def opened(
    model: str,
    *,
    categories: Sequence[str] | Mapping[int, str] | None,
    renamed: Mapping[str, str],
    min_score: float,
) -> "CallableDetector":
    """The function `package.module:function`; see `xlabel.detectors.opened`. A class is made once."""
    place, _, name = model.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found: Any = importlib.import_module(place)
        file = getattr(found, "__file__", None)
        for part in name.split("."):
            found = getattr(found, part)
        found = found() if isinstance(found, type) else found
    except Exception as error:  # whatever somebody's module raises
        raise InputError(f"{model}: expected a function to import: {_told(error)}") from None
    if not callable(found):
        raise InputError(f"{model}: expected a function, found {type(found).__name__}")
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    source = Source(kind="model", name=model, hash=digest)
    names = categories if categories is not None else getattr(found, "categories", None)
    numbered = dict(names) if isinstance(names, Mapping) else dict(enumerate(names or ()))
    return CallableDetector(found, source, numbered, renamed, min_score)


class CallableDetector:
    """A function, and what its categories are called."""

    most: int | None = 1

    def __init__(
        self,
        function: Callable[[Any], Any],
        source: Source,
        names: Mapping[int, str],
        renamed: Mapping[str, str],
        min_score: float,
    ) -> None:
        self._function = function
        self._names = names
        self._renamed = renamed
        self._min_score = min_score
        self._wants_array = _wants_array(function)
        self._met: dict[str, Category] = {}
        for number, name in names.items():
            self._category(name, number)
        self.source = source
        self.licence = shortened(str(getattr(function, "licence", "") or "")) or None
        self.notes = [
            f"{source.name} is given each picture as {'an array' if self._wants_array else 'a PIL image'}"
        ]

    @property
    def categories(self) -> tuple[Category, ...]:
        return tuple(self._met.values())

    def prepare(self, picture: "Picture") -> Any:
        if self._wants_array:
            return picture
        from PIL import Image

        return Image.fromarray(np.ascontiguousarray(picture))

    def run(self, prepared: Sequence[Any]) -> list[list[Annotation]]:
        return [self._annotations(picture) for picture in prepared]

    def detect(self, pictures: "Sequence[Picture]") -> list[list[Annotation]]:
        return self.run([self.prepare(picture) for picture in pictures])

    def _annotations(self, picture: Any) -> list[Annotation]:
        try:
            given = list(_things(self._function(picture)))
        except Exception as error:  # whatever somebody's function raises
            raise InputError(f"{self.source.name}: {_told(error)}") from None
        made = (self._annotation(thing) for thing in given)
        return [
            one for one in made if one is not None and (one.score is None or one.score >= self._min_score)
        ]

    def _annotation(self, thing: Any) -> Annotation | None:
        """What the function gave as an annotation; None where its category is not wanted."""
        if isinstance(thing, Annotation):
            annotation, name = thing, None if thing.category is None else thing.category.name
        elif isinstance(thing, Mapping):
            annotation, name = self._of_fields(thing)
        else:
            raise InputError(f"{self.source.name}: expected {EXPECTED}, got {type(thing).__name__}")
        wanted = name if name is None else self._renamed.get(name, name)
        if wanted == "":
            return None
        category = annotation.category
        if wanted is not None and (category is None or category.name != wanted):
            category = self._category(wanted)
        return self._sound(
            msgspec.structs.replace(
                annotation,
                category=category,
                status="suggestion",
                author=None,  # which says that a person has changed it
                source=self.source,
                id=None,
                origin=None,
            )
        )

    def _sound(self, annotation: Annotation) -> Annotation:
        """The annotation with Python's own numbers; what no label can say, such as NaN, is an InputError."""
        try:
            return msgspec.json.decode(msgspec.json.encode(annotation, enc_hook=_plain), type=Annotation)
        except (TypeError, msgspec.MsgspecError) as error:
            raise InputError(f"{self.source.name}: expected a label of numbers: {error}") from None

    def _of_fields(self, fields: Mapping[str, Any]) -> tuple[Annotation, str | None]:
        mask = _array(fields["mask"]) if hasattr(fields.get("mask"), "shape") else None
        if mask is not None:
            fields = {key: value for key, value in fields.items() if key != "mask"}
            fields["polygons"] = contours.polygons(mask.astype(bool), smallest=SMALLEST * mask.sum()) or None
        rest = {key: _plain(value) for key, value in fields.items() if key != "category"}
        unknown = rest.keys() - set(Annotation.__struct_fields__)
        if unknown:
            raise InputError(
                f"{self.source.name}: expected fields of xlabel.Annotation, got {listed(sorted(unknown))}; "
                f"it has {', '.join(Annotation.__struct_fields__)}"
            )
        try:
            annotation = msgspec.convert(rest, Annotation)
        except msgspec.ValidationError as error:
            raise InputError(f"{self.source.name}: expected fields of xlabel.Annotation: {error}") from None
        category = _plain(fields.get("category"))
        if isinstance(category, int):
            if category not in self._names:
                raise InputError(
                    f"{self.source.name}: expected a name for category {category}, found none; give "
                    "the names with --categories, in their order from 0"
                )
            category = self._names[category]
        return annotation, None if category is None else str(category)

    def _category(self, name: str, number: int | None = None) -> Category:
        name = self._renamed.get(name, name)
        if name not in self._met:
            taken = {category.id for category in self._met.values()}
            free = max(taken, default=-1) + 1
            self._met[name] = Category(id=free if number is None or number in taken else number, name=name)
        return self._met[name]


def _things(given: Any) -> Iterable[Any]:
    """What a function gave, one by one: a list of things, or arrays as torchvision's models give them."""
    if given is None:
        return ()
    if isinstance(given, Annotation):
        return (given,)
    if isinstance(given, Mapping):
        return _of_arrays(given) if "boxes" in given else (given,)
    things = list(given)
    if len(things) == 1 and isinstance(things[0], Mapping) and "boxes" in things[0]:
        return _of_arrays(things[0])
    return things


def _of_arrays(given: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """One dict a thing; boxes are n x 4 (left, top, right, bottom), all other arrays as long."""
    boxes = _array(given["boxes"]).reshape(-1, 4)
    labels = given.get("labels")
    named = labels if labels is None or isinstance(labels, list | tuple) else _array(labels)
    scores = None if given.get("scores") is None else _array(given["scores"])
    masks = None if given.get("masks") is None else _array(given["masks"])
    points = None if given.get("keypoints") is None else _array(given["keypoints"])
    for at, (left, top, right, bottom) in enumerate(boxes.tolist()):
        thing: dict[str, Any] = {"bbox": (left, top, right - left, bottom - top)}
        if named is not None:
            thing["category"] = named[at]
        if scores is not None:
            thing["score"] = scores[at]
        if points is not None:
            thing["keypoints"] = [
                n for x, y, seen in points[at].tolist() for n in (x, y, 2 if seen > 0 else 0)
            ]
        if masks is not None:
            thing["mask"] = masks[at].reshape(masks.shape[-2:]) > THING
        yield thing


def _array(value: Any) -> Array:
    """An array of numpy's, of torch's or of whatever else gives itself as one."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value)


def _plain(value: Any) -> Any:
    """A value in Python's own types."""
    if hasattr(value, "detach") or isinstance(value, np.ndarray | np.generic):
        return _array(value).tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _wants_array(function: Callable[[Any], Any]) -> bool:
    """Whether the first parameter of a function is said to be an array of numpy's."""
    try:
        first = next(iter(signature(function).parameters.values()))
    except (ValueError, TypeError, StopIteration):
        return False
    kind = first.annotation
    told = kind if isinstance(kind, str) else getattr(kind, "__qualname__", "") + str(kind)
    return "ndarray" in told.lower()


def _told(error: Exception) -> str:
    return shortened(f"{type(error).__name__}: {error}")
