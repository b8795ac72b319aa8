"""What the review server is asked: images, their labels, and what is to become of them."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from xlabel import __version__, images
from xlabel.errors import InputError, StoreError
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.images import fingerprint
from xlabel.jobs import actions, following, queue, thumbs, wire
from xlabel.jobs.gallery import Gallery, Looked, by_date
from xlabel.jobs.glances import Glances
from xlabel.jobs.labels import Found
from xlabel.jobs.saving import Held, How, Labelled, ReplacedError, version_of, why_no_folder
from xlabel.model import Annotation, key_help, questions, settings
from xlabel.model.changes import Change, Clash, FieldChange, field_of
from xlabel.model.expression import ExpressionError, predicate
from xlabel.model.report import counted
from xlabel.model.settings import Settings
from xlabel.pictures import drawing, viewing
from xlabel.stores import rewrite
from xlabel.stores.local import Scan
from xlabel.stores.rewrite import TakenError
from xlabel.web.app import Batch, Bulk, File, Prompt, Propagation, Query, Refusal, Save

if TYPE_CHECKING:
    from xlabel.detectors.sam import Segmenter
    from xlabel.jobs.segmenting import Image, Segmenting

MOST_POINTS = 100
"""Clicks about one thing."""
DRAWN = 200
"""Labels of an image that the grid draws at most."""
AT_ONCE = 200
"""Images that one request may be about."""
ORDERS = ("name", "date", *queue.ORDERS)

Sorting = Callable[[Sequence[int], Sequence[Looked | None]], list[int]]
Asking = Callable[[int], list[Change | FieldChange]]


class Review:
    """The desk behind `xlabel review`: a folder of images at which people work."""

    def __init__(
        self,
        selected: Scan,
        found: Found | None,
        author: str,
        asked: Query = Query(),  # noqa: B008
        how: How = How(),  # noqa: B008
        segmenter: "Segmenter | None" = None,
    ) -> None:
        """`author` is whose changes are that come without a name, `asked` what the page begins with.

        InputError where that can be no question.
        """
        if asked.order not in ORDERS:
            raise InputError(f"--order: expected {', '.join(ORDERS)}, got {asked.order!r}")
        if asked.where.strip():
            predicate(asked.where)
        self._labelled = Labelled(selected.root, found, how)
        self._author = author
        self._asked = asked
        source = found.place if found and not isinstance(found.labels, EmbeddedLabels) else ""
        self._settings = _settings(selected.root)
        self._categories = self._labelled.categories
        self._categories.want(settings.categories(self._settings))
        self._gallery = Gallery(selected, source, self._categories, self._labelled.load)
        self._thumbs = thumbs.Thumbs(selected.root)
        self._glances = Glances(len(selected.keys), self._thumb)

        self._segmenting = None if segmenter is None else _segmenting(segmenter, self._displayed)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to look at the images in the background."""
        self._gallery.start()

    def stop(self) -> None:
        """Keep what is known of them for the next time."""
        self._stopped.set()
        self._glances.stop()
        self._gallery.stop()

    def session(self) -> Any:
        root = self._gallery.root
        self._settings = _settings(root)
        self._categories.want(settings.categories(self._settings))
        return {
            "name": Path(root).resolve().name,
            "root": str(Path(root).resolve()),
            "total": len(self._gallery.keys),
            "author": self._author,
            "categories": list(self._described()),
            "keys": settings.actions(self._settings),
            "help": key_help.groups(settings.actions(self._settings)),
            "examples": questions.EXAMPLES,
            "orders": list(ORDERS),
            "where": self._asked.where,
            "order": self._asked.order,
            "first": 0 if len(self._gallery.keys) == 1 else None,
            "readonly": why_no_folder(self._gallery.root, self._gallery.names),
            "segment": self._segmenting is not None,
            "version": __version__,
        }

    def query(self, query: Query) -> Any:
        if query.order not in ORDERS:
            raise Refusal(400, "bad-request", f"order: expected {', '.join(ORDERS)}, got {query.order!r}")
        try:
            listing = self._gallery.listing(query.where, self._sorting(query.order))
        except ExpressionError as error:
            raise Refusal(422, "bad-expression", str(error), at=error.place) from None
        if query.reverse:
            listing.numbers.reverse()
            listing.marks = listing.marks[::-1]
        return listing

    def _sorting(self, order: str) -> Sorting | None:
        """What sorts images; None for the order of their keys."""
        if order == "name":
            return None
        if order == "date":
            return by_date
        if order == "diversity":
            self._glances.ask()

        def sorted_by(numbers: Sequence[int], looked: Sequence[Looked | None]) -> list[int]:
            records = [one.record if (one := looked[number]) else None for number in numbers]
            if order == "uncertainty":
                places = queue.by_uncertainty(records)
            elif order == "disagreement":
                places = queue.by_disagreement(records)
            else:
                places = queue.by_diversity(records, lambda place: self._glances.get(numbers[place]))
            return [numbers[place] for place in places]

        return sorted_by

    def status(self, since: str) -> Any:
        status = self._gallery.status(since)
        if self._glances.looked is not None:
            status["looked"] = min(status["looked"], self._glances.looked)
        return status

    def cards(self, numbers: Sequence[int]) -> Any:
        _few(numbers)
        return [self._card(number) for number in numbers]

    def number(self, key: str) -> Any:
        number = self._gallery.number(key)
        if number is None:
            raise Refusal(404, "unknown", f"expected the key of an image, got {key!r}")
        return {"number": number}

    def picture(self, number: int) -> Any:
        with self._reading(number):
            held = self._labelled.examined(self._gallery.names[number])
        self._gallery.note(number, held)
        return self._picture(number, held)

    def save(self, save: Save) -> tuple[int, Any]:
        held, clashes = self._saved(save, self._read(save.changes), save.author)
        body = {
            "picture": self._picture(save.number, held),
            "clashes": [wire.clash(clash) for clash in clashes],
        }
        return 409 if clashes else 200, body

    def bulk(self, bulk: Bulk) -> Any:
        _few(bulk.numbers)
        try:
            action = msgspec.convert(bulk.action, actions.Action)
        except msgspec.ValidationError as error:
            raise Refusal(400, "bad-request", f"action: {error}") from None
        name = getattr(action, "to", getattr(action, "name", None))
        category = self._categories.named(name) if name and not isinstance(action, actions.Split) else None

        def changes(number: int) -> list[Change | FieldChange]:
            sample = self._held(number).sample
            return list(actions.whole(actions.changes(action, sample, category), sample))

        asked = [(number, self._key(number), changes) for number in bulk.numbers]
        return self._many(asked, bulk.author)

    def changes(self, batch: Batch) -> Any:
        _few(batch.items)

        def changes(item: Save) -> Asking:
            return lambda _: self._read(item.changes)

        return self._many([(item.number, item.key, changes(item)) for item in batch.items], batch.author)

    def segment(self, prompt: Prompt) -> Any:
        segmenting, begun = self._cutting(), time.perf_counter()
        points = [(point.x, point.y, point.positive) for point in prompt.points]
        if len(points) > MOST_POINTS:
            raise Refusal(400, "bad-request", f"points: expected at most {MOST_POINTS}, got {len(points):,}")
        found = None
        with self._decoding(prompt.number):
            image = self._shown(prompt.number)
            if points or prompt.box:
                found = segmenting.segment(image, points, prompt.box)
            else:
                segmenting.prepare(image)
        taken = round((time.perf_counter() - begun) * 1000)
        if found is None:
            return {"polygons": None, "bbox": None, "score": None, "milliseconds": taken}
        return {
            "polygons": found.polygons,
            "bbox": found.bbox,
            "score": found.score,
            "milliseconds": taken,
        }

    def propagate(self, propagation: Propagation) -> Any:
        segmenting = self._cutting()
        if not 1 <= propagation.count <= AT_ONCE:
            raise Refusal(400, "bad-request", f"count: expected 1 to {AT_ONCE}, got {propagation.count}")
        self._named(propagation.author)
        first, key = propagation.number, self._key(propagation.number)
        labels = self._held(first).sample.annotations
        label = next((label for label in labels if str(label.id) == str(propagation.id)), None)
        if label is None:
            raise Refusal(404, "unknown", f"{key}: expected the id of a label, got {propagation.id!r}")
        id = following.number_of(key, propagation.id)
        numbers = range(first + 1, min(first + 1 + propagation.count, len(self._gallery.keys)))
        done: list[Any] = []
        missed: list[str] = []
        with self._decoding(first):
            images = map(self._still, numbers)
            found = segmenting.followed(self._shown(first), label, images)
            for number, one in zip(numbers, found, strict=False):
                new = following.suggested(label, one, segmenting.source) if one else None
                try:
                    changed = self._suggest(number, id, new)
                except Refusal as error:
                    return {"done": done, "stopped": str(error)}
                if changed and new is not None:
                    done.append({"number": number, "key": self._key(number), "score": new.score})
                missed = [] if one else [*missed, self._key(number)]
                if len(missed) == following.MISSES or self._stopped.is_set():
                    break
        return {"done": done, "stopped": _missed(missed)}

    def _suggest(self, number: int, id: int, new: Annotation | None) -> bool:
        """Put a suggestion into an image, in the place of what was suggested there before."""
        wanted = list(following.changes(self._held(number).sample, id, new))
        if wanted:
            _, clashes = self._written(Save(number, self._key(number), []), list(wanted), None)
            return not clashes
        return False

    def _cutting(self) -> "Segmenting":
        if self._segmenting is None:
            raise Refusal(400, "bad-request", "no model for cutting out; start xlabel review with --sam DIR")
        return self._segmenting

    def _displayed(self, number: int) -> Any:
        import numpy as np

        with rewrite.copied(self._path(number)) as (data, _):
            return np.asarray(drawing.displayed(data))

    def _shown(self, number: int) -> "Image":
        """Which picture an image shows now, whatever its labels are."""
        with self._reading(number), rewrite.copied(self._path(number)) as (data, _):
            header = images.header(data)
            return number, f"{fingerprint.stream(data)} {header.orientation if header else None}"

    def _still(self, number: int) -> "Image | None":
        """The same; None where the image is no longer there, or broken."""
        try:
            return self._shown(number)
        except (Refusal, ValueError):
            return None

    @contextmanager
    def _decoding(self, number: int) -> Iterator[None]:
        """What Pillow and the system refuse, as an answer."""
        with self._reading(number):
            try:
                yield
            except ValueError as error:
                raise Refusal(422, "undecodable", f"{self._key(number)}: {error}") from None

    def image(self, number: int) -> File:
        with self._reading(number), rewrite.copied(self._path(number)) as (data, _):
            try:
                header = images.header(data)
                if header is None:
                    raise ValueError("it is no image of a kind that xlabel knows")
                shown = viewing.viewable(data, header)
            except ValueError as error:
                raise Refusal(422, "undecodable", f"{self._key(number)}: {error}") from None
            mime, sent = shown or (header.mime, bytes(data))
            return File(mime, data=sent)

    def thumb(self, number: int) -> File:
        key = self._key(number)
        with self._reading(number):
            try:
                return File("image/webp", data=self._thumb(number))
            except ValueError as error:
                raise Refusal(422, "undecodable", f"{key}: {error}") from None

    def _thumb(self, number: int) -> bytes:
        key, path = self._key(number), self._path(number)
        info = os.stat(path)
        version = version_of(info.st_mtime_ns, info.st_size, info.st_ino)
        small = self._thumbs.kept(key, version)
        if small is None:
            with rewrite.copied(path) as (data, _):
                small = self._thumbs.made(data, key, version)
        return small

    def _many(self, asked: Sequence[tuple[int, str, Asking]], author: str | None) -> Any:
        """Change several images; gives what was changed, so that it can be undone, and where it failed."""
        done: list[Any] = []
        failed: list[Any] = []
        for number, key, changes in asked:
            try:
                wanted = changes(number)
                if not wanted:
                    continue
                _, clashes = self._saved(Save(number, key, []), wanted, author)
            except Refusal as error:
                failed.append({"number": number, "key": key, "message": str(error)})
                continue
            clashed = [clash.change for clash in clashes]
            if clashed:
                message = f"{key}: {counted(len(clashed), 'labels')} were changed by somebody else meanwhile"
                failed.append({"number": number, "key": key, "message": message})
            made = [wire.change(change) for change in wanted if change not in clashed]
            if made:
                done.append({"number": number, "key": key, "changes": made})
        return {"done": done, "failed": failed}

    def _saved(
        self, save: Save, changes: list[Change | FieldChange], author: str | None
    ) -> tuple[Held, list[Clash]]:
        key = self._key(save.number)
        if key != save.key:
            raise Refusal(
                404, "unknown", f"image {save.number} is {key!r}, not {save.key!r}; load the page again"
            )
        return self._written(save, changes, self._named(author))

    def _named(self, author: str | None) -> str:
        """Who changes something."""
        if not (author or self._author):
            raise Refusal(400, "bad-request", "author: expected your name with each change, found none")
        return author or self._author

    def _written(
        self, save: Save, changes: list[Change | FieldChange], author: str | None
    ) -> tuple[Held, list[Clash]]:
        """Changes by a person, or by a model alone where there is no author."""
        key = self._key(save.number)
        with self._reading(save.number):
            try:
                held, clashes = self._labelled.save(
                    self._gallery.names[save.number], changes, author, save.fingerprint
                )
            except ReplacedError as error:
                raise Refusal(410, "replaced", f"{key}: {error}") from None
            except TakenError as error:
                raise Refusal(500, "not-written", str(error)) from None
            except StoreError as error:
                raise Refusal(507, "disk-full", str(error)) from None
            except InputError as error:
                raise Refusal(403, "read-only", f"{key}: {error}") from None
        self._gallery.note(save.number, held)
        return held, clashes

    def _held(self, number: int) -> Held:
        with self._reading(number):
            held = self._labelled.load(self._gallery.names[number])
        self._gallery.note(number, held)
        return held

    @contextmanager
    def _reading(self, number: int) -> Iterator[None]:
        """What the system refuses, as an answer."""
        key = self._key(number)
        try:
            yield
        except FileNotFoundError:
            self._gallery.lost(number)
            raise Refusal(410, "gone", f"{key}: it is no longer there") from None
        except OSError as error:
            raise Refusal(500, "not-written", f"{key}: {error.strerror}; it is as it was") from None
        except InputError as error:  # something else than a file is there
            raise Refusal(422, "undecodable", f"{key}: {error}") from None

    def _card(self, number: int) -> Any:
        try:
            held = self._held(number)
        except Refusal as error:
            return _no_card(number, self._key(number), str(error))
        record = self._gallery.record(number)
        sample = held.sample
        drawn = [label for label in sample.annotations if label.status != "rejected"]
        return {
            "number": number,
            "key": sample.image.key,
            "width": sample.image.width,
            "height": sample.image.height,
            "version": held.version,
            "state": record.state if record else "todo",
            "labels": [wire.slim(label) for label in drawn[:DRAWN]],
            "more": max(0, len(drawn) - DRAWN),
            "split": sample.split,
            "tags": list(record.tags) if record else [],
            "readonly": held.readonly,
            "error": None,
        }

    def _picture(self, number: int, held: Held) -> Any:
        sample = held.sample
        record = self._gallery.record(number)
        problems: list[dict[str, Any]] = [
            {"code": problem.code, "message": problem.message} for problem in held.problems
        ]
        problems += [
            {"code": found.code, "message": found.message, "id": found.id} for found in held.findings
        ]
        return {
            "number": number,
            "key": sample.image.key,
            "width": sample.image.width,
            "height": sample.image.height,
            "orientation": sample.image.orientation,
            "mime": held.mime,
            "bytes": held.bytes,
            "time": datetime.fromtimestamp(held.time / 1e9, UTC).isoformat(timespec="seconds"),
            "version": held.version,
            "fingerprint": held.fingerprint,
            "labels": [wire.label(annotation) for annotation in sample.annotations],
            "split": sample.split,
            "review": field_of(sample, "review"),
            "state": record.state if record else "todo",
            "from": held.place,
            "readonly": held.readonly,
            "problems": problems,
        }

    def _described(self) -> Iterator[dict[str, Any]]:
        """The categories, those of the settings first, then those that were met."""
        rows = {row.name: row for row in self._settings.categories}
        ordered = self._categories.all()
        names = [category.name for category in ordered]
        keys = {name: key for key, name in settings.shortcuts(self._settings, names).items()}
        for category in ordered:
            row = rows.get(category.name)
            own = f"#{bytes(drawing.colour_of(Annotation(category=category))).hex()}"
            yield {
                "name": category.name,
                "colour": (row and row.colour) or own,
                "key": keys.get(category.name),
                "supercategory": category.supercategory,
                "keypoints": category.keypoints,
                "skeleton": category.skeleton,
                "attributes": [
                    {"name": one.name, "kind": one.kind, "choices": one.choices}
                    | {"min": one.min, "max": one.max, "default": one.default}
                    for one in settings.attributes_of(self._settings, category.name)
                ],
            }

    def _read(self, changes: list[Any]) -> list[Change | FieldChange]:
        try:
            return wire.read(changes, self._categories.named)
        except InputError as error:
            raise Refusal(422, "bad-label", str(error)) from None

    def _key(self, number: int) -> str:
        if not 0 <= number < len(self._gallery.keys):
            raise Refusal(404, "unknown", f"expected an image from 0 to {len(self._gallery.keys) - 1}")
        return self._gallery.keys[number]

    def _path(self, number: int) -> bytes:
        return os.fsencode(self._gallery.root) + b"/" + self._gallery.names[number]


def _settings(root: str) -> Settings:
    """What a labels.toml in the folder says."""
    place = Path(root, settings.NAME)
    if place.exists() and not place.is_file():
        raise InputError(f"{place}: expected a file, found something else")
    try:
        return settings.read(place.read_bytes(), str(place))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise InputError(f"{place}: cannot be read: {error.strerror}; is it yours to read?") from None


def _few(numbers: Sequence[object]) -> None:
    if len(numbers) > AT_ONCE:
        raise Refusal(400, "bad-request", f"expected at most {AT_ONCE} images at once, got {len(numbers):,}")


def _segmenting(segmenter: "Segmenter", picture: Callable[[int], Any]) -> "Segmenting":
    from xlabel.jobs.segmenting import Segmenting  # which takes its time, and most do without

    return Segmenting(segmenter, picture)


def _missed(keys: Sequence[str]) -> str | None:
    """What is said of images at the end in which a thing was not found."""
    if not keys:
        return None
    return f"It was not found in {', '.join(keys)}; draw it there, and go on from that image."


def _no_card(number: int, key: str, why: str) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "width": None,
        "height": None,
        "version": "",
        "state": "todo",
        "labels": [],
        "more": 0,
    }
    return {"number": number, "key": key, **empty, "split": None, "tags": [], "readonly": why, "error": why}
