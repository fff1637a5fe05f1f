"""Looking at endpoints, early and often, then less often, until all serve what they shall."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.core.errors import Failure
from worker.core.proof import place_at
from worker.verification.addresses import LookUps
from worker.verification.expected import Expected
from worker.verification.handshake import Seen, look

_AT_ONCE: Final = 32
"""Look-ups and handshakes of one certificate: they leave turns to those of others."""
_AT_ONCE_OF_ALL: Final = 128
"""Handshakes of a process: each is a descriptor."""
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_TOLD: Final = {
    "not_reachable": "no TLS handshake",
    "still_old": "serves the certificate that was replaced",
    "other_certificate": "serves another certificate",
    "chain_incomplete": "serves the certificate without its whole chain",
}
_ASKS: Final = {True: "does not ask for client certificates", False: "asks for client certificates"}


@dataclass(frozen=True, slots=True)
class Probe:
    """One endpoint to be looked at, on every address its host has."""

    host: str
    port: int
    server_name: str
    client_verification: bool | None = None
    """Whether it shall ask for client certificates; None: nobody knows."""
    is_shared: bool = False
    """Another certificate of the settings is served there too, for the same name."""

    @property
    def endpoint(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def key(self) -> str:
        """What is the same probe, whatever it shall be served."""
        return f"{self.server_name} at {self.endpoint}".lower()

    def at(self, address: str) -> str:
        """One address of it; of an empty one: it as a whole."""
        return place_at(self.key, address)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failure` None: every address served what it shall."""

    probe: Probe
    failure: Failure | None
    has_answered: bool = False
    """One of its addresses at least came to a handshake in the last look."""
    is_there: bool = False
    """There is a way to one of them at least."""
    unreached: frozenset[str] = frozenset()
    """By `Probe.at`, the addresses that came to none; the probe as a whole, too, where none did."""
    is_as_before: bool = False
    """All that is wrong is that addresses did not answer that were not reached before."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the proofs of all certificates have in common: a process has one."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE_OF_ALL))
    look_ups: LookUps = field(default_factory=LookUps)


async def verify(
    probes: Sequence[Probe],
    expected: Expected,
    shared: Shared,
    *,
    within: float,
    where_shared: Expected | None = None,
    unreached: Collection[str] = (),
) -> Sequence[Verdict]:
    """Looks until every probe is served what is expected, or `within` seconds have passed; in the probes' order.

    `unreached`: by earlier verdicts. Reasons are those of `Shortfall`, all worth another try. Raises, in a group, what
    `is_exhaustion` knows.
    """
    turns, others = asyncio.Semaphore(_AT_ONCE), where_shared or expected
    looks = [_Look(one, others if one.is_shared else expected, turns, shared, unreached) for one in probes]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(until_served(look, within)) for look in looks]
    return [look.verdict(task.result()) for look, task in zip(looks, tasks, strict=True)]


async def until_served(look_again: Callable[[], Awaitable[Failure | None]], within: float) -> Failure | None:
    """What the last look found: the first after which nothing is wrong, or that at the end of `within` seconds."""
    clock = asyncio.get_running_loop().time
    began, pause = clock(), _FIRST_PAUSE
    while True:
        failure = await look_again()
        left = within - (clock() - began)
        if failure is None or left <= 0:
            return failure
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


@dataclass(slots=True)
class _Look:
    """Looks at all addresses of a probe."""

    probe: Probe
    expected: Expected
    turns: asyncio.Semaphore
    """This certificate's."""
    shared: Shared
    unreached_before: Collection[str] = ()
    _seen: Sequence[tuple[str, Seen]] = ()
    """In the last look, by address."""
    _is_worse: bool = False
    """The last look found more than what was not reached before."""

    def verdict(self, failure: Failure | None) -> Verdict:
        seen = [one for _, one in self._seen]
        has_answered, is_there = any(one.chain for one in seen), any(one.is_there for one in seen)
        is_as_before = failure is not None and not self._is_worse
        return Verdict(self.probe, failure, has_answered, is_there, frozenset(self._unreached()), is_as_before)

    def _unreached(self) -> Iterator[str]:
        if not any(one.chain for _, one in self._seen):
            yield self.probe.at("")
        yield from (self.probe.at(address) for address, one in self._seen if not one.chain)

    async def __call__(self) -> Failure | None:
        """What is worse than before goes before what is not."""
        failures = await self._failures()
        worse = [one for address, one in failures if not self._is_as_before(address, one)]
        self._is_worse = bool(worse)
        return next(iter((*worse, *(one for _, one in failures))), None)

    def _is_as_before(self, address: str, failure: Failure) -> bool:
        """A name may have other addresses by now: where none of them answered, that says all of it."""
        known = {self.probe.at(address), self.probe.at("")}
        return failure.reason == "not_reachable" and not known.isdisjoint(self.unreached_before)

    async def _failures(self) -> Sequence[tuple[str, Failure]]:
        """With the address, as far as it has any."""
        self._seen = ()
        async with self.turns:
            addresses = await self.shared.look_ups.addresses_of(self.probe.host, self.probe.port)
        if not addresses:
            return [("", _failure("not_reachable", self.probe, self.probe.host, "has no address that can be reached"))]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._at(address)) for address in addresses]
        self._seen = [(address, task.result()) for address, task in zip(addresses, tasks, strict=True)]
        found = ((address, self._shortfall(address, seen)) for address, seen in self._seen)
        return [(address, failure) for address, failure in found if failure is not None]

    async def _at(self, address: str) -> Seen:
        async with self.turns, self.shared.turns:
            return await look(address, self.probe.port, self.probe.server_name)

    def _shortfall(self, address: str, seen: Seen) -> Failure | None:
        reason, wanted = self.expected.shortfall(seen.chain, self.probe.server_name), self.probe.client_verification
        if reason is not None:
            return _failure(reason, self.probe, address, _TOLD[reason])
        if wanted is not None and seen.asks_for_client != wanted:
            return _failure("client_verification_changed", self.probe, address, _ASKS[wanted])
        return None


def _failure(reason: str, probe: Probe, address: str, told: str) -> Failure:
    return Failure(reason, f"{probe.server_name} at {address} port {probe.port}: {told}", transient=True)
