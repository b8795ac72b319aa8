"""The error tree. A message says where, what was expected, what was found and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class XlabelError(Exception):
    """Anything that ends a job; `exit_code` is what the command then returns."""

    exit_code = 2


class InputError(XlabelError):
    """What was given cannot be used: a missing folder, a contradiction; or the output has no room."""


class ExistsError(InputError):
    """An output is already there and nobody said that it may be replaced."""


class CorruptError(InputError):
    """A bundle, a manifest or an annotation file contradicts itself or its partners."""


class LossError(XlabelError):
    """The target format cannot hold everything, and dropping it was not asked for."""

    exit_code = 3

    def __init__(self, message: str, losses: list[Any]) -> None:
        """`losses` are all of them, those that refuse nothing too (`xlabel.Loss`)."""
        super().__init__(message)
        self.losses = losses


class StoreError(XlabelError):
    """A place failed on the way, and what is done stays: a refused write, a lost connection, a full disk."""

    exit_code = 4


class ConflictError(StoreError):
    """Somebody else was faster: what was to be replaced is no longer what it was. Nothing was written."""


class MissingError(StoreError):
    """The bucket, the object or the unfinished upload is not there."""


class MissingExtraError(XlabelError):
    """A job needs an optional dependency; the message names the extra to install."""

    exit_code = 5


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Import the libraries of an extra in here; where one is missing, the error says what is to be installed.

    `what` is what needs it, as a sentence begins: "s3:// URLs".
    """
    try:
        yield
    except ImportError as error:
        library = error.name.partition(".")[0] if error.name else error
        raise MissingExtraError(f"{what} need {library}; pip install 'xlabel[{name}]'") from None


def why(error: XlabelError, path: str) -> str:
    """What an error says of a file, without the file's path before it: a problem names that itself."""
    return str(error).rpartition(f"{path}: ")[2]
