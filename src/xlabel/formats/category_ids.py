"""Categories in a file that knows each by one id: those that share one get ids of their own."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from xlabel.model import Annotation, Category


class Categories:
    """The categories of a file, each under an id of its own; grows while samples are written."""

    def __init__(self, listed: Iterable[Category]) -> None:
        self.all: dict[int, Category] = {}
        self.renumbered = 0
        self._by_text: dict[bytes, Category] = {}
        self._seen: dict[int, tuple[Category, Category]] = {}
        for category in listed:
            self.of(category)

    def of(self, category: Category) -> Category:
        """The category with the id that it has in the file."""
        seen = self._seen.get(id(category))
        if seen is None:
            text = msgspec.json.encode(category)
            found = self._by_text.get(text)
            if found is None:
                found = category
                if category.id in self.all:
                    found = replace(category, id=max(self.all) + 1)
                    self.renumbered += 1
                self.all[found.id] = self._by_text[text] = found
            seen = self._seen[id(category)] = (category, found)  # kept, so that its id() stays its own
        return seen[1]

    def on(self, annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
        """Annotations, each with its category as it is in the file."""
        return tuple(
            replace(annotation, category=self.of(annotation.category)) if annotation.category else annotation
            for annotation in annotations
        )
