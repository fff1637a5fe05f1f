"""The worker's Verifier: proves by TLS handshakes what clients of a certificate's bindings are served."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from worker.core.deployment import Binding
from worker.core.proof import Served, Shortfall
from worker.settings import Settings
from worker.verification.expected import expected_of
from worker.verification.looking import Shared, Verdict, verify
from worker.verification.places import Places, probes_of, unasked

_log = structlog.get_logger()
_MOST_NAMES: Final = 20


@dataclass(frozen=True, slots=True)
class Probing:
    """Every certificate of the settings."""

    places: Mapping[str, Places]
    now: Callable[[], datetime]
    shared: Shared = field(default_factory=Shared)

    @classmethod
    def of(cls, settings: Settings, now: Callable[[], datetime]) -> "Probing":
        return cls({name: Places.of(one) for name, one in settings.certificates.items()}, now)

    def asked(self, served: Served) -> Sequence[tuple[str, str]]:
        """Who is asked: endpoints, as `host:port`, each with the name that it is asked for."""
        probes = probes_of(self.places.get(served.certificate, Places()), served)
        return [(probe.endpoint, probe.server_name) for probe in probes]

    async def __call__(self, served: Served, /) -> Sequence[Shortfall]:
        places = self.places.get(served.certificate, Places())
        probes = probes_of(places, served)
        asked = {binding for behind in probes.values() for binding in behind}
        if names := unasked(places, served, asked):
            _log.warning("verification.skipped", names=names[:_MOST_NAMES], domains=len(names))
        expected = expected_of(served, self.now())
        verdicts = await verify(tuple(probes), expected, self.shared, within=places.within)
        is_blind = has_seen_nothing(verdicts)
        if is_blind:
            _log.warning("verification.blind", certificate=served.certificate, endpoints=len(verdicts))
        return [one for verdict in verdicts for one in _shortfalls(verdict, probes[verdict.probe], is_blind=is_blind)]


def has_seen_nothing(verdicts: Sequence[Verdict]) -> bool:
    """Nothing could be reached, whatever it serves: the worker's own names or way there may be down."""
    reasons = {None if one.failure is None else one.failure.reason for one in verdicts}
    return reasons == {"not_reachable"}


def _shortfalls(verdict: Verdict, behind: Sequence[Binding], *, is_blind: bool) -> Sequence[Shortfall]:
    if verdict.failure is None:
        return ()
    return [Shortfall(verdict.failure, binding, verdict.probe.endpoint, is_blind) for binding in behind or (None,)]
