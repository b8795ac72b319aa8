"""Which of the known names somebody may have meant."""

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known names, those most like a word first; names that are as like stay in their order."""
    from difflib import SequenceMatcher

    like = SequenceMatcher(b=word.casefold())

    def unlike(name: str) -> float:
        like.set_seq1(name.casefold())
        return -like.ratio()

    return sorted(known, key=unlike)
