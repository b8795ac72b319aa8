"""Checks of what somebody else wrote: how deep it nests, where a path leads, how much of it is shown."""

from typing import Any

import msgspec


def is_deep(value: Any, deepest: int = 64) -> bool:
    """Whether lists and objects are nested deeper than any record should be."""
    level = [value]
    for _ in range(deepest):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def is_inside(path: str) -> bool:
    """Whether a path names a file below the root; one in a bundle may have been written by anybody."""
    parts = path.split("/")
    return not ("\\" in path or "\0" in path or ":" in parts[0] or {"", ".", ".."} & set(parts))


def short(text: str, limit: int = 60) -> str:
    """A text for a message, in quotes and cut where it is long."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def shortened(value: Any, limit: int = 60) -> str:
    """Any value for a message, as JSON, and cut where it is long."""
    try:
        text = msgspec.json.encode(value).decode()
    except (ValueError, RecursionError):  # an integer of thousands of digits
        text = type(value).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
