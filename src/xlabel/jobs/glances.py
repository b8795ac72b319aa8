"""Tiny pictures of all images, by which the review's queue tells what is alike; made when asked for."""

import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from xlabel.jobs.queue import GRID

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Glance = NDArray[np.uint8]


class Glances:
    """A tiny picture of each image, by its number."""

    def __init__(self, count: int, thumb: Callable[[int], bytes]) -> None:
        """`thumb` gives an image's thumbnail; ValueError and OSError where there is none."""
        self._thumb = thumb
        self._found: list[Glance | None] = [None] * count
        self._lock = threading.Lock()
        self._begun = False
        self._stopped = threading.Event()
        self.looked: int | None = None
        """How many images were looked at; None where nobody has asked yet."""

    def ask(self) -> None:
        """Begin to look at all images, in a thread of its own, where that was not begun."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
            self.looked = 0
        threading.Thread(target=self._look, name="glances", daemon=True).start()

    def stop(self) -> None:
        """End that thread."""
        self._stopped.set()

    def get(self, number: int) -> "Glance | None":
        """The tiny picture of an image, height x width x 3; None where there is none, or not yet."""
        return self._found[number] if number < len(self._found) else None

    def _look(self) -> None:
        import numpy as np
        from PIL import Image

        for number in range(len(self._found)):
            if self._stopped.is_set():
                return
            try:
                with Image.open(io.BytesIO(self._thumb(number))) as small:
                    tiny = small.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX)
                    self._found[number] = np.asarray(tiny)
            except (OSError, ValueError):
                pass
            self.looked = number + 1
