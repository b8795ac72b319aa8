"""Sums and differences of numbers as their decimal text says them: 0.3 - 0.1 is 0.2.

So corners become a width and corners again without a trace, as long as a number has 15 digits or fewer.
"""

import math
from decimal import Decimal

from xlabel.model import Number


def add(a: Number, b: Number) -> Number:
    """A + b; whole numbers stay `int`."""
    total = a + b
    if type(total) is int or not math.isfinite(total):
        return total
    return float(Decimal(repr(a)) + Decimal(repr(b)))


def minus(a: Number, b: Number) -> Number:
    """A - b; whole numbers stay `int`."""
    total = a - b
    if type(total) is int or not math.isfinite(total):
        return total
    return float(Decimal(repr(a)) - Decimal(repr(b)))
