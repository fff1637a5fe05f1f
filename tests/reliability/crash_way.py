"""A way of rotating, and every effect at which its worker can die."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.reliability.crash_stage import Stage, until_idle
from tests.support.virtual_time import run_virtual


@dataclass(frozen=True, slots=True)
class Way:
    """A rotation, what an undisturbed one does to the world, and how often a change may be sent at most."""

    stage: Callable[[], Stage]
    effects: Sequence[str]
    most: dict[str, int] = field(default_factory=dict)
    outcome: str = "succeeded"

    def died(self, *dies_at: int) -> Stage:
        async def scenario() -> Stage:
            stage = self.stage()
            stage.send()
            return await until_idle(stage, *dies_at)

        return run_virtual(scenario())

    def steps(self) -> range:
        return range(1, len(self.both()) + 1)

    def both(self) -> list[str]:
        """Every effect can be died at before and after."""
        return [f"{effect} {end}" for effect in self.effects for end in _ends(effect)]


def _ends(effect: str) -> Sequence[str]:
    return ("sent", "confirmed") if effect in ("note", "event", "copy") else ("sent", "done")
