"""The worker's Verifier: proves by TLS handshakes what clients of a certificate's bindings are served."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from worker.core.deployment import Binding
from worker.core.proof import Served, Shortfall
from worker.settings import Settings
from worker.verification.expected import OrAnothers, expected_of
from worker.verification.looking import Shared, Verdict, verify
from worker.verification.places import Places, all_places, probes_of, unasked

_log = structlog.get_logger()
_MOST_NAMES: Final = 20
_MOST_BEFORE: Final = 20
"""Endpoints that are looked at before a change: one that stays dumb after it is enough to know."""


@dataclass(frozen=True, slots=True)
class Probing:
    """Every certificate of the settings."""

    places: Mapping[str, Places]
    now: Callable[[], datetime]
    shared: Shared = field(default_factory=Shared)

    @classmethod
    def of(cls, settings: Settings, now: Callable[[], datetime]) -> "Probing":
        return cls(all_places(settings.certificates), now)

    def asked(self, served: Served) -> Sequence[tuple[str, str]]:
        """Who is asked: endpoints, as `host:port`, each with the name that it is asked for."""
        probes = probes_of(self.places.get(served.certificate, Places()), served)
        return [(probe.endpoint, probe.server_name) for probe in probes]

    async def answering(self, served: Served, /) -> frozenset[str]:
        """Of the first of those that would be asked: one look, whatever they serve."""
        places = self.places.get(served.certificate, Places())
        probes = tuple(probes_of(places, served))[:_MOST_BEFORE]
        verdicts = await verify(probes, expected_of(served, self.now()), self.shared, within=0)
        return frozenset(one.probe.key for one in verdicts if one.has_answered)

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
        places = self.places.get(served.certificate, Places())
        probes = probes_of(places, served)
        asked = {binding for behind in probes.values() for binding in behind}
        if names := unasked(places, served, asked):
            _log.warning("verification.skipped", names=names[:_MOST_NAMES], domains=len(names))
        expected = expected_of(served, self.now())
        others = OrAnothers.of(expected, served, self.now())
        asking = tuple(probes)
        verdicts = await verify(asking, expected, self.shared, within=places.within, where_shared=others)
        if names := [one.server_name for one in asking if one.is_shared]:
            _log.info("verification.shared", names=names[:_MOST_NAMES], endpoints=len(names))
        is_blind = has_seen_nothing(verdicts, served.answered)
        if is_blind:
            _log.warning("verification.blind", certificate=served.certificate, endpoints=len(verdicts))
        return [one for verdict in verdicts for one in _shortfalls(verdict, probes[verdict.probe], is_blind=is_blind)]


def has_seen_nothing(verdicts: Sequence[Verdict], answered: Collection[str]) -> bool:
    """Nothing could be reached, whatever it serves: the worker's own names or way there may be down.

    Not so where there is a way to one of `answered`, and it comes to no handshake any more.
    """
    if not verdicts or any(one.has_answered for one in verdicts):
        return False
    return not any(one.is_there and one.probe.key in answered for one in verdicts)


def _shortfalls(verdict: Verdict, behind: Sequence[Binding], *, is_blind: bool) -> Sequence[Shortfall]:
    if verdict.failure is None:
        return ()
    return [Shortfall(verdict.failure, binding, verdict.probe.endpoint, is_blind) for binding in behind or (None,)]
