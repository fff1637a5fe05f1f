"""How much of an account's budget is used, for whoever looks on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Source = Literal["window", "guessed", "told"]
"""`window`: set, or named by a refusal. `guessed`: from refusals that name none. `told`: what it says is left."""
MINUTE: Final = 60.0
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Used:
    """Of a window of so many seconds."""

    seconds: float
    calls: int
    """That may be sent in it."""
    used: int
    """Places that are taken, those of calls under way included."""
    source: Source = "window"


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all that holds for one account."""

    windows: Sequence[Used] = ()
    under_way: int = 0
    """Calls."""
    allowed: int = 0
    """Calls that may be under way at once, as learned."""
    most: int = 0
    """As set."""
    waiting: int = 0
    """Calls."""
