"""Errors of others' libraries as ours: where, what was asked, what was said, what to do."""

from xlabel.errors import StoreError


def said(error: BaseException | str) -> str:
    """The first line of an error's text; some have a page, and some have nothing but their name."""
    name = type(error).__name__ if isinstance(error, BaseException) else "no reason given"
    return str(error).split("\n")[0].rstrip(".") or name


def refused(
    kind: type[StoreError], where: str, asked: str, message: BaseException | str, code: str | int, advice: str
) -> StoreError:
    """That the store answered, and it was a no."""
    return kind(f"{where}: {asked} was refused: {said(message)} ({code}); {advice}")


def failed(where: str, asked: str, error: BaseException | str, advice: str) -> StoreError:
    """That there was no answer."""
    return StoreError(f"{where}: {asked} failed: {said(error)}; {advice}")
