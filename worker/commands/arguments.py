"""Values of options. Their names are what argparse tells whoever mistypes one: "invalid seconds value"."""

import math


def seconds(text: str) -> float:
    """More than none, and not for ever."""
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
