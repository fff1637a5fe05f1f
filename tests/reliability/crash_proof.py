"""What a worker in memory proves by, and where it keeps what was proven: both outlive it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.reliability.books import Verdict
from tests.reliability.crash_life import Life
from worker.core.bundle import Bundle
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.proof import Reach, Served, Shortfall
from worker.sandbox.world import World
from worker.verification.looking import Probe
from worker.verification.looking import Verdict as Seen
from worker.verification.probing import has_seen_nothing


@dataclass(frozen=True, slots=True)
class Look:
    """One look at what is served: in which life, counted from 1, for which leaf, and at how many bindings."""

    life: int
    serial: int
    bindings: int


Judgement = Callable[[Look], bool]
"""Whether what is served is bad."""
_OLD: Final = Failure("still_old", "at its place", transient=True)
_DEAD: Final = Failure("not_reachable", "at its place", transient=True)
_BAD: Final = Failure("other_certificate", "at its place", transient=True)


def never_bad(_look: Look) -> bool:
    return False


def bad_with(number: int) -> Judgement:
    """As soon as so many bindings have moved."""
    return lambda look: look.bindings >= number


def place_of(binding: Binding) -> str:
    """As changes name it."""
    return (
        f"{binding.name}/sni={binding.sni}" if binding.kind == "listener" else f"{binding.instance_id}/{binding.name}"
    )


def _probe(binding: Binding) -> Probe:
    return Probe("127.0.0.1", 443, binding.name)


@dataclass(slots=True)
class Eyes:
    """Sees what the world serves; finds the last binding bad where that is the judgement."""

    world: World
    verdicts: list[Verdict]
    life: int
    is_bad: Judgement
    end: Callable[[Look], Awaitable[None]]
    """Does not return where the worker dies at this look."""
    dead: str = ""
    """The name of a binding that nobody can reach, before and after."""

    def behind(self, served: Served) -> Mapping[str, Collection[Binding]]:
        return {_probe(one).key: [one] for one in served.bindings}

    async def reach(self, served: Served, /) -> Reach:
        asked = [_probe(one) for one in served.bindings]
        answered = frozenset(one.key for one in asked if one.server_name != self.dead)
        return Reach(answered, frozenset(one.at("") for one in asked if one.key not in answered))

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
        if served.bundle is None or not served.bindings:
            return ()
        serial, moment = served.bundle.leaf.serial_number, len(self.world.changes)
        await self.end(Look(self.life, serial, len(served.bindings)))
        at = {change.place: change.serial for change in self.world.changes}
        found = [Shortfall(_OLD, one, one.name) for one in served.bindings if at.get(place_of(one)) != serial]
        if self.is_bad(Look(self.life, serial, len(served.bindings))):
            found.append(Shortfall(_BAD, served.bindings[-1], served.bindings[-1].name))
        self.verdicts.append(Verdict(serial, moment, len(served.bindings), is_good=not found))
        return [*self._unreached(served), *found]

    def _unreached(self, served: Served) -> Sequence[Shortfall]:
        """As handshakes would tell of it: blind where nothing else is asked, and none is known to have answered."""
        seen = [self._look(_probe(one), served.reach) for one in served.bindings]
        is_blind = has_seen_nothing(seen, served.reach.answered)
        dead = [(one, it) for one, it in zip(served.bindings, seen, strict=True) if it.failure is not None]
        return [Shortfall(_DEAD, one, one.name, is_blind=is_blind, is_as_before=it.is_as_before) for one, it in dead]

    def _look(self, probe: Probe, reach: Reach) -> Seen:
        if probe.server_name != self.dead:
            return Seen(probe, None, has_answered=True, is_there=True)
        return Seen(probe, _DEAD, is_as_before=reach.is_dead(probe.key))


@dataclass(slots=True)
class Shelf:
    """What was proven last. Keeping it is an effect like any other."""

    material: list[Bundle] = field(default_factory=list)
    life: Life | None = None

    async def keep(self, _certificate: str, bundle: Bundle) -> None:
        if self.life is not None:
            await self.life.passes("material sent")
        self.material.append(bundle)
        if self.life is not None:
            await self.life.passes("material done")

    async def last(self, _certificate: str) -> Bundle | None:
        return self.material[-1] if self.material else None
