"""The worker's Verifier: proves by TLS handshakes what clients of a certificate's bindings are served."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final

import structlog

from worker.core.deployment import Binding
from worker.core.proof import Reach, Served, Shortfall
from worker.settings import Settings
from worker.verification.expected import OrAnothers, expected_of
from worker.verification.looking import Shared, Verdict, verify
from worker.verification.places import Places, all_places, probes_of, unasked

_log = structlog.get_logger()
_MOST_NAMES: Final = 20
_LOOKED_AT_TOGETHER: Final = 256


@dataclass(frozen=True, slots=True)
class Probing:
    """Every certificate of the settings."""

    places: Mapping[str, Places]
    now: Callable[[], datetime]
    shared: Shared = field(default_factory=Shared)
    longest_look: float = 60.0
    """Seconds: after so many no more endpoints are looked at before a change."""

    @classmethod
    def of(cls, settings: Settings, now: Callable[[], datetime]) -> "Probing":
        return cls(all_places(settings.certificates), now)

    def asked(self, served: Served) -> Sequence[tuple[str, str]]:
        """Who is asked: endpoints, as `host:port`, each with the name that it is asked for."""
        probes = probes_of(self.places.get(served.certificate, Places()), served)
        return [(probe.endpoint, probe.server_name) for probe in probes]

    def behind(self, served: Served) -> Mapping[str, Collection[Binding]]:
        """By the key of each of them: the bindings that it is asked for."""
        probes = probes_of(self.places.get(served.certificate, Places()), served)
        return {probe.key: behind for probe, behind in probes.items()}

    def unasked(self, served: Served) -> Sequence[str]:
        """The names of wildcards that should be asked for, and nobody is named in whose stead."""
        places = self.places.get(served.certificate, Places())
        return unasked(places, served, set(chain.from_iterable(probes_of(places, served).values())))

    async def reach(self, served: Served, /) -> Reach:
        """Of those that would be asked, and of which nothing is known: one look, whatever they serve.

        Of thousands that are dead the last ones are not looked at: nothing would ever begin.
        """
        asked = probes_of(self.places.get(served.certificate, Places()), served)
        probes = [one for one in asked if not served.reach.knows(one.key)]
        expected, clock, verdicts = expected_of(served, self.now()), asyncio.get_running_loop().time, list[Verdict]()
        until = clock() + self.longest_look
        for start in range(0, len(probes), _LOOKED_AT_TOGETHER):
            if start and clock() > until:
                break
            verdicts += await verify(probes[start : start + _LOOKED_AT_TOGETHER], expected, self.shared, within=0)
        answered = frozenset(one.probe.key for one in verdicts if one.has_answered)
        return Reach(answered, frozenset(chain.from_iterable(one.unreached for one in verdicts)))

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
        places = self.places.get(served.certificate, Places())
        probes = probes_of(places, served)
        if names := unasked(places, served, set(chain.from_iterable(probes.values()))):
            _log.warning("verification.skipped", names=names[:_MOST_NAMES], domains=len(names))
        expected = expected_of(served, self.now())
        others = OrAnothers.of(expected, served, self.now())
        asking, known = tuple(probes), served.reach.unreached
        verdicts = await verify(
            asking, expected, self.shared, within=places.within, where_shared=others, unreached=known
        )
        if names := [one.server_name for one in asking if one.is_shared]:
            _log.info("verification.shared", names=names[:_MOST_NAMES], endpoints=len(names))
        is_blind = has_seen_nothing(verdicts, served.reach.answered)
        if is_blind:
            _log.warning("verification.blind", certificate=served.certificate, endpoints=len(verdicts))
        return [one for verdict in verdicts for one in _shortfalls(verdict, probes[verdict.probe], is_blind=is_blind)]


def has_seen_nothing(verdicts: Sequence[Verdict], answered: Collection[str]) -> bool:
    """Nothing could be reached, whatever it serves: the worker's own names or way there may be down.

    Not so where there is a way to one of `answered`, and it comes to no handshake any more; nor where only others were
    asked, none of which was reached before.
    """
    if not verdicts or any(one.has_answered for one in verdicts):
        return False
    known = [one for one in verdicts if one.probe.key in answered]
    if known:
        return not any(one.is_there for one in known)
    return not answered or not all(one.is_as_before for one in verdicts)


def _shortfalls(verdict: Verdict, behind: Sequence[Binding], *, is_blind: bool) -> Sequence[Shortfall]:
    if verdict.failure is None:
        return ()
    endpoint, is_as_before = verdict.probe.endpoint, verdict.is_as_before
    return [Shortfall(verdict.failure, binding, endpoint, is_blind, is_as_before) for binding in behind or (None,)]
