"""The categories of a folder while people work on it: one of each name, with the same id in all images.

An id comes from label files, else from the image that is read first, else from labels.toml, else it is a new
one above all others.
"""

import threading
from collections.abc import Iterable

from msgspec.structs import replace

from xlabel.model import Category
from xlabel.model.changes import category_named


class Categories:
    """What is known of categories, for several threads."""

    def __init__(self, known: Iterable[Category] = ()) -> None:
        self._lock = threading.Lock()
        self._wanted: dict[str, Category] = {}
        self._known: dict[tuple[str, str | None], Category] = {}
        self._named: dict[str, Category] = {}
        self._ids: set[int] = set()
        for category in known:
            self.met(category)

    def want(self, categories: Iterable[Category]) -> None:
        """Take those that labels.toml has, in place of what it had before."""
        with self._lock:
            self._wanted = {category.name: category for category in categories}

    def met(self, category: Category) -> Category:
        """The folder's category for one that stands in an image or a label file."""
        with self._lock:
            known = self._known.get((category.name, category.supercategory))
            return self._full(known or self._add(category))

    def named(self, name: str) -> Category:
        """The category of that name, which is made where there is none."""
        with self._lock:
            known = self._named.get(name)
            if known is None:
                known = self._add(self._wanted.get(name) or category_named(name, self._known.values()))
            return self._full(known)

    def all(self) -> list[Category]:
        """Those that labels.toml has, in its order, then the others as they were met."""
        with self._lock:
            first = [self._named.get(name, category) for name, category in self._wanted.items()]
            others = [category for name, category in self._named.items() if name not in self._wanted]
            return [*map(self._full, first), *others]

    def met_so_far(self) -> list[Category]:
        """Those of images and label files, and those that were made."""
        with self._lock:
            return list(self._known.values())

    def _add(self, category: Category) -> Category:
        number = category.id if category.id not in self._ids else max(self._ids) + 1
        known = category if number == category.id else replace(category, id=number)
        self._known[category.name, category.supercategory] = known
        self._named.setdefault(category.name, known)
        self._ids.add(number)
        return known

    def _full(self, category: Category) -> Category:
        """A category with what labels.toml says of it besides."""
        wanted = self._wanted.get(category.name)
        if wanted is None or category.keypoints or not wanted.keypoints:
            return category
        return replace(category, keypoints=wanted.keypoints, skeleton=wanted.skeleton)
