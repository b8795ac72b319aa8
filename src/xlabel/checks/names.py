"""Category names that are too much alike to be meant as two."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

Name = tuple[str, str | None]
"""A category's name and supercategory."""

_GAPS = re.compile(r"[\s_\-]+")


def alike(names: Iterable[Name]) -> Iterator[list[str]]:
    """Names that differ only in case, spaces, hyphens, underscores or a plural s, each group sorted."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name, _ in names:
        groups[_plain(name)].add(name)
    yield from (sorted(group) for group in groups.values() if len(group) > 1)


def told(names: list[str], used: Mapping[str, int]) -> str:
    """Names that are alike, each with the number of its annotations, as a sentence."""
    return " and ".join(f"{name!r} ({used.get(name, 0):,} annotations)" for name in names)


def _plain(name: str) -> str:
    plain = _GAPS.sub("", name.casefold())
    return plain[:-1] if len(plain) > 3 and plain.endswith("s") and not plain.endswith("ss") else plain
