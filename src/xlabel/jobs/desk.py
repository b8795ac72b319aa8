"""What the review server is asked: images, their labels, and what is to become of them."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from xlabel import __version__, images
from xlabel.errors import StoreError
from xlabel.jobs.labels import Found
from xlabel.jobs.saving import Held, Labelled
from xlabel.model import Annotation, Category
from xlabel.model.changes import Change, Clash, FieldChange, category_named, field_of
from xlabel.pictures import drawing
from xlabel.stores.local import Scan
from xlabel.web.app import Batch, Bulk, File, Prompt, Propagation, Query, Refusal, Save

SHOWN_BY_BROWSERS = frozenset("image/jpeg image/png image/webp image/gif image/avif image/bmp".split())
DRAWN = 200
"""Labels of an image that the grid draws at most."""
STATES = ("todo", "labelled", "reviewed", "rejected")


class Review:
    """The desk behind `xlabel review`: a folder of images at which people work."""

    def __init__(self, selected: Scan, found: Found | None, author: str) -> None:
        self._selected = selected
        self._labelled = Labelled(selected.root, found)
        self._author = author
        self._categories: dict[str, Category] = {}

    def session(self) -> Any:
        return {
            "name": Path(self._selected.root).resolve().name,
            "root": self._selected.root,
            "total": len(self._selected.keys),
            "author": self._author,
            "categories": [
                {"name": name, "colour": "#ff5252", "key": None, "attributes": []}
                for name in self._categories
            ],
            "keys": {},
            "where": "",
            "order": "name",
            "first": None,
            "readonly": None,
            "segment": False,
            "version": __version__,
        }

    def query(self, query: Query) -> Any:
        return {
            "numbers": list(range(len(self._selected.keys))),
            "marks": "?" * len(self._selected.keys),
            "total": len(self._selected.keys),
            "looked": 0,
            "states": dict.fromkeys(STATES, 0),
            "categories": {},
            "problems": {},
            "splits": {},
        }

    def cards(self, numbers: Sequence[int]) -> Any:
        found = []
        for number in numbers:
            picture = self.picture(number)
            labels = picture["labels"]
            found.append(
                {
                    name: picture[name]
                    for name in "number key width height version state split readonly".split()
                }
                | {"labels": labels[:DRAWN], "more": max(0, len(labels) - DRAWN), "tags": [], "error": None}
            )
        return found

    def number(self, key: str) -> Any:
        try:
            return {"number": list(self._selected.keys).index(key)}
        except ValueError:
            raise Refusal(404, "unknown", f"expected the key of an image, got {key!r}") from None

    def picture(self, number: int) -> Any:
        return self._picture(number, self._held(number))

    def save(self, save: Save) -> tuple[int, Any]:
        key = self._key(save.number)
        if key != save.key:
            raise Refusal(404, "unknown", f"expected {key!r} as image {save.number}, got {save.key!r}")
        changes = [self._change(change) for change in save.changes]
        try:
            held, clashes = self._labelled.save(self._name(save.number), changes, save.author or self._author)
        except StoreError as error:
            raise Refusal(507, "disk-full", str(error)) from None
        except OSError as error:
            raise Refusal(500, "not-written", f"{key}: {error.strerror}; it is as it was") from None
        except ValueError as error:
            raise Refusal(403, "read-only", f"{key}: {error}") from None
        body = {"picture": self._picture(save.number, held), "clashes": [_clash(clash) for clash in clashes]}
        return 409 if clashes else 200, body

    def bulk(self, bulk: Bulk) -> Any:
        raise Refusal(400, "bad-request", "not yet")

    def changes(self, batch: Batch) -> Any:
        done, failed = [], []
        for item in batch.items:
            try:
                self.save(msgspec.structs.replace(item, author=batch.author))
                done.append({"number": item.number, "key": item.key, "changes": item.changes})
            except Refusal as error:
                failed.append({"number": item.number, "key": item.key, "message": str(error)})
        return {"done": done, "failed": failed}

    def status(self, since: str) -> Any:
        return {"looked": 0, "total": len(self._selected.keys), "changed": [], "since": since}

    def segment(self, prompt: Prompt) -> Any:
        raise Refusal(400, "bad-request", "no model for cutting out; start xlabel review with --sam DIR")

    def propagate(self, propagation: Propagation) -> Any:
        raise Refusal(400, "bad-request", "no model for cutting out; start xlabel review with --sam DIR")

    def image(self, number: int) -> File:
        path = self._path(number)
        data = Path(path).read_bytes()
        header = images.header(data)
        if header and header.mime in SHOWN_BY_BROWSERS:
            return File(header.mime, path=path)
        return File("image/png", data=_encoded(data, "PNG", None))

    def thumb(self, number: int) -> File:
        return File("image/webp", data=_encoded(Path(self._path(number)).read_bytes(), "WEBP", 320))

    def _key(self, number: int) -> str:
        if not 0 <= number < len(self._selected.keys):
            raise Refusal(404, "unknown", f"expected an image from 0 to {len(self._selected.keys) - 1}")
        return self._selected.keys[number]

    def _name(self, number: int) -> bytes:
        return self._selected.keys.raw(number, number + 1)[0]

    def _path(self, number: int) -> str:
        return os.path.join(self._selected.root, self._key(number))

    def _held(self, number: int) -> Held:
        key = self._key(number)
        try:
            return self._labelled.load(self._name(number))
        except FileNotFoundError:
            raise Refusal(410, "gone", f"{key}: is no longer there") from None
        except OSError as error:
            raise Refusal(403, "read-only", f"{key}: cannot be read: {error.strerror}") from None

    def _picture(self, number: int, held: Held) -> Any:
        sample = held.sample
        for annotation in sample.annotations:
            if annotation.category:
                self._categories.setdefault(annotation.category.name, annotation.category)
        review = field_of(sample, "review")
        undecided = any(annotation.status == "suggestion" for annotation in sample.annotations)
        state = "todo" if undecided or not sample.annotations else "labelled"
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
            "labels": [_label(annotation) for annotation in sample.annotations],
            "split": sample.split,
            "review": review,
            "state": review["state"] if review else state,
            "from": held.place,
            "readonly": None,
            "problems": [{"code": problem.code, "message": problem.message} for problem in held.problems],
        }

    def _change(self, change: dict[str, Any]) -> Change | FieldChange:
        try:
            if "field" in change:
                return msgspec.convert(change, FieldChange)
            return Change(
                id=msgspec.convert(change["id"], int | str),
                before=self._annotation(change["before"]),
                after=self._annotation(change["after"]),
            )
        except KeyError as error:
            raise Refusal(422, "bad-label", f"a change lacks {error}") from None
        except msgspec.ValidationError as error:
            raise Refusal(422, "bad-label", str(error)) from None

    def _annotation(self, label: dict[str, Any] | None) -> Annotation | None:
        if label is None:
            return None
        name = label.get("category")
        found = msgspec.convert({key: label[key] for key in label if key != "category"}, Annotation)
        if not name:
            return found
        category = self._categories.get(name) or category_named(name, self._categories.values())
        self._categories.setdefault(name, category)
        return msgspec.structs.replace(found, category=category)


def _label(annotation: Annotation) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(
        msgspec.structs.replace(annotation, category=None, origin=None)
    )
    if annotation.category:
        told["category"] = annotation.category.name
    return told


def _clash(clash: Clash) -> dict[str, Any]:
    change = clash.change
    if isinstance(change, FieldChange):
        return {"field": change.field, "base": change.before, "mine": change.after, "theirs": clash.theirs}
    sides = {"base": change.before, "mine": change.after, "theirs": clash.theirs}
    return {"id": change.id} | {name: side and _label(side) for name, side in sides.items()}


def _encoded(data: bytes, kind: str, side: int | None) -> bytes:
    import io

    picture = drawing.displayed(data)
    if side is not None:
        picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()
