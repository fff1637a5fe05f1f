"""Fleets of any size, without a worker: the same for the same number, so that pages can be compared."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from worker.fleet.standing import CertificateStanding, Counts, DeploymentStanding, Ended, Outcome, State
from worker.fleet.values import (
    BindingStanding,
    Bucket,
    Budget,
    CertificateDetails,
    DeploymentDetails,
    Fleet,
    GatewayStanding,
    GivenUp,
    Parked,
    Running,
    Series,
    SeriesName,
    Step,
)

NOW: Final = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
_LIFETIME: Final = timedelta(days=90)
_SPANS: Final[Sequence[tuple[SeriesName, float, int]]] = (
    ("hour", 60.0, 60),
    ("days", 3600.0, 48),
    ("months", 86400.0, 90),
)
_ONE_IN: Final[Sequence[tuple[int, State]]] = (
    (40, "unknown"),
    (25, "failed"),
    (17, "rotating"),
    (31, "dead"),
    (37, "parked"),
)


def sample_fleet(certificates: int, *, at: datetime = NOW) -> Fleet:
    """One in 25 failed, one in 40 has nothing told of it yet, a few run, wait, or were given up."""
    standings = [_certificate(number, at) for number in range(certificates)]
    dead = [_dead(one, at) for one in standings if one.state == "dead"]
    parked = [_parked(one, at) for one in standings if one.state == "parked"]
    recent = sorted((one.last for one in standings if one.last is not None), key=lambda one: one.at, reverse=True)
    return Fleet(
        at,
        version=certificates,
        worker_version="1.0.0",
        started_at=at - timedelta(days=3),
        certificates=sorted(standings, key=lambda one: one.name),
        states=Counter(one.state for one in standings),
        running=[_running(one, at) for one in standings if one.state == "rotating"][:32],
        parked=parked,
        parked_in_all=len(parked),
        dead=dead,
        dead_in_all=len(dead),
        ready=certificates // 100,
        gateways=_gateways(certificates),
        series=[_series(name, seconds, size, certificates, at) for name, seconds, size in _SPANS],
        recent=recent[:50],
    )


def sample_details(fleet: Fleet, name: str) -> CertificateDetails | None:
    """Its own page; None for a name that is not in the fleet."""
    standing = next((one for one in fleet.certificates if one.name == name), None)
    if standing is None:
        return None
    return CertificateDetails(
        fleet.at,
        fleet.version,
        standing,
        [_details(one) for one in standing.deployments],
        [] if standing.last is None else [_before(standing.last, turn) for turn in range(5)],
        [one for one in fleet.running if one.certificate == name],
        [one for one in fleet.parked if one.certificate == name],
        [one for one in fleet.dead if one.certificate == name],
    )


@dataclass(slots=True, eq=False)
class StillFleet:
    """A FleetSource that shows one fleet until it is given another one."""

    now: Fleet
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def fleet(self) -> Fleet:
        return self.now

    async def certificate(self, name: str) -> CertificateDetails | None:
        return sample_details(self.now, name)

    async def changed(self, since: int) -> int:
        while self.now.version == since:
            await self._moved.wait()
        return self.now.version

    def show(self, fleet: Fleet) -> None:
        """From now on, under a version of its own."""
        self.now = replace(fleet, version=self.now.version + 1)
        self._moved.set()
        self._moved = asyncio.Event()


def _certificate(number: int, at: datetime) -> CertificateStanding:
    state = _state(number)
    name = f"shop-{number:05d}"
    if state == "unknown":
        return CertificateStanding(name, [DeploymentStanding(f"apig-main/{number:032x}", "apig-main", "in_place")])
    deployments = [_deployment(number, place, state, at) for place in range(1 + number % 3)]
    return CertificateStanding(name, deployments, _ended(name, number, deployments[0], state), state)


def _state(number: int) -> State:
    return next((state for every, state in _ONE_IN if number % every == every - 1), "served")


def _deployment(number: int, place: int, state: State, at: datetime) -> DeploymentStanding:
    gateway, strategy = [("apig-main", "in_place"), ("bycloud-sp", "rebind"), ("apig-eu", "blue_green")][place % 3]
    begins = at - timedelta(days=(number * 7) % 92, hours=place)
    failed = 1 if state in ("failed", "dead") and place == 0 else 0
    outcome: Outcome = "failed" if failed else "succeeded"
    return DeploymentStanding(
        f"{gateway}/{number:030x}{place:02x}",
        gateway,
        strategy,
        f"{number:030x}{place:02x}",
        str(4660 + number),
        begins,
        begins + _LIFETIME,
        outcome,
        "binding_failed" if failed else "attached",
        Counts(total=3, attached=2 - failed, unchanged=1, failed=failed),
        min(begins + timedelta(minutes=5), at),
    )


def _ended(name: str, number: int, deployment: DeploymentStanding, state: State) -> Ended:
    has_failed = state in ("failed", "dead")
    return Ended(
        name,
        f"renewal-{number:05d}",
        "failed" if has_failed else "succeeded",
        "binding_failed" if has_failed else "attached",
        deployment.at or NOW,
        attempt=12 if has_failed else 1,
        duration=4.21,
        served_after=None if has_failed else 6.5 + number % 9,
        serial_number=deployment.serial_number,
        not_after=deployment.not_after,
        gateway_calls=14,
        bindings=deployment.bindings,
    )


def _before(ended: Ended, turn: int) -> Ended:
    """The same certificate's outcome, so many renewals ago."""
    return replace(ended, renewal_id=f"{ended.renewal_id}-{turn}", at=ended.at - timedelta(days=60 * turn))


def _running(standing: CertificateStanding, at: datetime) -> Running:
    steps = [
        Step(one.key, one.gateway, "verifying" if turn else "attaching", 120 + turn, turn, 400, 61.5)
        for turn, one in enumerate(standing.deployments)
    ]
    return Running(standing.name, f"next-{standing.name}", at - timedelta(seconds=42), 2, is_urgent=False, steps=steps)


def _parked(standing: CertificateStanding, at: datetime) -> Parked:
    since, until = at - timedelta(seconds=90), at + timedelta(seconds=30)
    return Parked(standing.name, f"next-{standing.name}", "gateway_unavailable", since, until, 2)


def _dead(standing: CertificateStanding, at: datetime) -> GivenUp:
    return GivenUp(
        f"dead-{standing.name}", standing.name, f"renewal-{standing.name}", "not_found", at - timedelta(hours=5)
    )


def _gateways(certificates: int) -> Sequence[GatewayStanding]:
    if not certificates:
        return []
    well = GatewayStanding(
        "apig-main", "huawei_apig", budgets=[Budget(1, 20, 7), Budget(300, 3000, 2100)], under_way=3, concurrency=8
    )
    return [
        GatewayStanding("apig-eu", "huawei_apig", is_up=False, down_since=NOW - timedelta(minutes=3), probe_in=12.0),
        replace(well, most_concurrency=8, waiting=41, seconds_left=310.0),
        GatewayStanding("bycloud-sp", "bycloud", held_for=95.0, budgets=[Budget(60, 60, 60), Budget(3600, 1000, 412)]),
    ]


def _series(name: SeriesName, seconds: float, size: int, certificates: int, at: datetime) -> Series:
    last = datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)
    return Series(
        name,
        seconds,
        [_bucket(last - timedelta(seconds=seconds * back), back, certificates) for back in reversed(range(size))],
    )


def _bucket(begins: datetime, back: int, certificates: int) -> Bucket:
    if not certificates or back % 7 == 3:
        return Bucket(begins)
    succeeded, failed = (back * 13) % 29, (back * 5) % 3
    return Bucket(begins, succeeded, failed, back % 2, succeeded, 6.0 + back % 5, 11.0 + back % 7, 19.0 + back % 11)


def _details(deployment: DeploymentStanding) -> DeploymentDetails:
    failed = [
        BindingStanding(
            "domain", f"old-{turn}.example.com", "f0fa", "failed", "not_found", 404, "APIG.3020", "no such domain", 1
        )
        for turn in range(deployment.bindings.failed)
    ]
    served = [
        BindingStanding("domain", f"www-{turn}.example.com", "f0fa", "attached")
        for turn in range(deployment.bindings.served)
    ]
    return DeploymentDetails(deployment, failed + served, is_complete=True)
