"""Numbers as flags take them: out of bounds is wrong usage, told before anything is done."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of a flag that takes a whole number within bounds, themselves included."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            upper = "" if most is None else f" and <= {most}"
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number >= {least}{upper}")
        return number

    return read


def amount(least: float, most: float) -> Callable[[str], float]:
    """The type of a flag that takes any number within bounds, themselves included."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:  # nor is what is no number
            raise argparse.ArgumentTypeError(
                f"'{text}' is not a number >= {least:g} and <= {most:g}"
            )
        return number

    return read
