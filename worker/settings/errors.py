"""Settings that cannot be used."""

from collections.abc import Sequence


class SettingsError(Exception):
    """Every problem found, a line each: the place, never the value. `next_step`: what to do, where that is special."""

    def __init__(self, problems: Sequence[str], *, next_step: str = "") -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.next_step = next_step
