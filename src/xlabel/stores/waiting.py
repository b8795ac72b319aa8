"""How long to wait before something is tried again, and trying it again."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def pause(attempt: int) -> float:
    """Seconds, at random up to 1, 2, 4, ... 20, so that not all who were sent away come back at once."""
    return random.uniform(0.1, min(20.0, 2.0**attempt))


def retried(do: Callable[[], T], attempts: int, passes: Callable[[Exception], bool]) -> T:
    """What `do` gives at one of so many attempts; an error that does not pass by itself ends them."""
    for attempt in range(attempts - 1):
        try:
            return do()
        except Exception as error:
            if not passes(error):
                raise
        time.sleep(pause(attempt))
    return do()
