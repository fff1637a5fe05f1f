"""Settings that cannot be used."""

from collections.abc import Sequence


class SettingsError(Exception):
    """Every problem found, a line each: the place, never the value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
