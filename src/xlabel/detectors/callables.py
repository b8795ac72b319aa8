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

from xlabel.checks import geometry
from xlabel.detectors.masking import SMALLEST
from xlabel.detectors.naming import listed, shortened
from xlabel.detectors.preparing import Array
from xlabel.errors import InputError
from xlabel.formats.untrusted import is_deep
from xlabel.model import Annotation, Category, Image, Sample, Source
from xlabel.model.geometry import bbox_of
from xlabel.model.report import counted
from xlabel.pictures import contours

if TYPE_CHECKING:
    from xlabel.detectors import Picture

Size = tuple[int, int]
"""Width and height."""
THING = 0.5
"""Above it a pixel of a mask of torchvision's is of the thing."""
LEAST = 1e-3
"""Pixels of a box that must lie in the picture, each way."""
NO_LABEL = frozenset(
    "not-finite box-empty polygon-points mask-broken mask-size shape-empty score-range".split()
)
"""What the checks of geometry find of which no label can be made."""
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
        self._outside = 0

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
        size = (picture.shape[1], picture.shape[0]) if self._wants_array else picture.size
        try:
            given = list(_things(self._function(picture)))
        except (Exception, SystemExit) as error:  # whatever somebody's function raises
            raise InputError(f"{self.source.name}: {_told(error)}") from None
        try:
            made = [one for one in (self._annotation(thing, size) for thing in given) if one is not None]
        except InputError:
            raise
        except Exception as error:  # such as of numbers without end, or of text that is none
            raise InputError(
                f"{self.source.name}: expected a label of numbers and text, found another: {_told(error)}"
            ) from None
        wanted = [one for one in made if one.score is None or one.score >= self._min_score]
        inside = [one for one in (_cut(one, size) for one in wanted) if one is not None]
        if len(inside) < len(wanted):
            self._outside += len(wanted) - len(inside)
            self.notes[1:] = [f"{counted(self._outside, 'things')} outside of their pictures, left out"]
        return inside

    def _annotation(self, thing: Any, size: Size) -> Annotation | None:
        """What the function gave as an annotation; None where its category is not wanted."""
        if isinstance(thing, Annotation):
            annotation, name = thing, None if thing.category is None else thing.category.name
        elif isinstance(thing, Mapping):
            annotation, name = self._of_fields(thing, size)
        else:
            raise InputError(f"{self.source.name}: expected {EXPECTED}, got {type(thing).__name__}")
        wanted = name if name is None else self._renamed.get(name, name)
        if wanted == "":
            return None
        category = annotation.category
        if wanted is not None:
            wanted.encode()  # fails here, before it is one of the categories that are known
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
            ),
            size,
        )

    def _sound(self, annotation: Annotation, size: Size) -> Annotation:
        """The annotation with Python's own numbers; what no label of the picture can say is an InputError."""
        score = annotation.score
        wrong = None if score is None or 0 <= score <= 1 else f"the score is {_shown(score)}"
        if is_deep([annotation.attributes, annotation.extra]):
            wrong = "attributes or extra that nest deeper than 64"
        if wrong is None:
            try:
                annotation = msgspec.json.decode(
                    msgspec.json.encode(annotation, enc_hook=_plain), type=Annotation
                )
            except (TypeError, msgspec.MsgspecError) as error:
                raise InputError(f"{self.source.name}: expected a label of numbers: {error}") from None
            wrong = _fault(annotation, size)
        if wrong is not None:
            raise InputError(
                f"{self.source.name}: expected a label in pixels of a picture of {size[0]} x {size[1]}, "
                f"with a score from 0 to 1, found another: {wrong}"
            )
        return annotation

    def _of_fields(self, fields: Mapping[str, Any], size: Size) -> tuple[Annotation, str | None]:
        mask = _array(fields["mask"]) if hasattr(fields.get("mask"), "shape") else None
        if mask is not None:
            if mask.shape != size[::-1]:
                raise InputError(
                    f"{self.source.name}: expected a mask as large as its picture, height {size[1]} and "
                    f"width {size[0]}, got {' x '.join(map(str, mask.shape))}"
                )
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
                    f"{self.source.name}: expected a name for category {_shown(category)}, found none; give "
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


def _fault(annotation: Annotation, size: Size) -> str | None:
    """What is wrong with a label so that it is none; None where it is one, wherever it lies."""
    if any(len(part) % 2 for part in annotation.polygons or ()):
        return "an outline with an odd count of numbers"
    if annotation.keypoints and len(annotation.keypoints) % 3:
        return f"{len(annotation.keypoints)} numbers of keypoints, which have three each"
    image = Image(key="", width=size[0], height=size[1])
    for code, message, _ in geometry.faults(Sample(image=image, annotations=(annotation,))):
        if code == "box-empty" and annotation.bbox and min(annotation.bbox[2:]) == 0:
            continue  # as models give them at an edge; none of it is in the picture
        if code in NO_LABEL:
            return message
    return None


def _cut(annotation: Annotation, size: Size) -> Annotation | None:
    """The annotation with its box cut to the picture; None where nothing of it lies there."""
    around = bbox_of(annotation)
    if around is None:
        return annotation
    left, top, right, bottom = around[0], around[1], around[0] + around[2], around[1] + around[3]
    if right < 0 or bottom < 0 or left > size[0] or top > size[1]:
        return None
    if annotation.bbox is None:
        return annotation
    if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
        annotation = msgspec.structs.replace(annotation, bbox=(left, top, right - left, bottom - top))
    return annotation if right - left >= LEAST and bottom - top >= LEAST else None


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


def _shown(number: Any) -> str:
    """A number of any size, or what should be one."""
    try:
        return shortened(str(number))
    except ValueError:  # an int of thousands of digits
        return f"an {type(number).__name__} of thousands of digits"


def _told(error: BaseException) -> str:
    try:
        return shortened(f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode())
    except Exception:  # somebody's own error, whose text fails
        return type(error).__name__
