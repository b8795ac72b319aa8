"""The labels that one image file holds, whatever its name and whatever is wrong with it."""

import os

from xlabel.errors import InputError, why
from xlabel.formats.embedded import EmbeddedLabels
from xlabel.images import image_of
from xlabel.model import Problem, Sample
from xlabel.stores.local import read_header
from xlabel.stores.paths import is_utf8


def sample_inside(reader: EmbeddedLabels, path: bytes, key: str) -> Sample | None:
    """The labels inside an image or beside it; None where it has none.

    What is wrong is among the reader's problems then.
    """
    header, _ = read_header(path)
    image = image_of(key, header)
    try:
        if is_utf8(path):
            return reader.load(key, image)
        with open(path, "rb") as file:
            return reader.load_from(file.read(), image)
    except InputError as error:
        reader.problems.append(Problem(os.fsdecode(path), "unreadable", why(error, key)))
        return None
    except OSError as error:
        reader.problems.append(Problem(os.fsdecode(path), "unreadable", f"cannot be read: {error.strerror}"))
        return None
