"""How long to wait before something is tried again."""

import random


def pause(attempt: int) -> float:
    """Seconds, at random up to 1, 2, 4, ... 20, so that not all who were sent away come back at once."""
    return random.uniform(0.1, min(20.0, 2.0**attempt))
