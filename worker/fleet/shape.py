"""The JSON of what is shown: times as in RFC 3339, durations in seconds; what can be derived is there, too."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from math import floor
from typing import Any, Final, Self

from pydantic import TypeAdapter

from worker.effort import Refusal
from worker.fleet.grouping import Group, group_of
from worker.fleet.standing import CertificateStanding, Counts, DeploymentStanding, Ended, Level, State
from worker.fleet.values import (
    CertificateDetails,
    DeploymentDetails,
    Fleet,
    GatewayStanding,
    GivenUp,
    Parked,
    Phase,
    Remedy,
    Role,
    Running,
    Series,
    Step,
)

_TOGETHER: Final = 100
"""Certificates told in one go: some milliseconds' work."""


@dataclass(frozen=True, slots=True)
class CertificateShape:
    """One certificate of the fleet."""

    name: str
    state: State
    level: Level
    group: Group
    """What about it wants attention first."""
    serial_numbers: Sequence[str]
    serials_unknown: int
    """Deployments of which that is not known."""
    not_after: datetime | None
    days_left: float | None
    bindings: Counts
    last: Ended | None
    deployments: Sequence[DeploymentStanding]

    @classmethod
    def of(cls, one: CertificateStanding, now: datetime) -> Self:
        days = one.days_left(now)
        left = None if days is None else floor(days * 100) / 100  # never more than there is
        level = one.level(now)
        served = one.serial_numbers, one.serials_unknown, one.not_after, left, one.bindings
        return cls(one.name, one.state, level, group_of(one, level), *served, one.last, one.deployments)


@dataclass(frozen=True, slots=True)
class RunningShape:
    """A rotation under way."""

    certificate: str
    renewal_id: str | None
    since: datetime
    attempt: int
    is_urgent: bool
    calls: int
    phase: Phase
    done: int
    failed: int
    total: int | None
    seconds_left: float | None
    refusal: Refusal | None
    """Of its steps' the one that lasts longest."""
    steps: Sequence[Step]

    @classmethod
    def of(cls, one: Running) -> Self:
        left = None if one.seconds_left is None else round(one.seconds_left, 1)
        gone = one.phase, one.done, one.failed, one.total, left, one.refusal
        return cls(one.certificate, one.renewal_id, one.since, one.attempt, one.is_urgent, one.calls, *gone, one.steps)


@dataclass(frozen=True, slots=True)
class GivenUpShape:
    """A renewal that was given up, and what to do about it."""

    id: str
    certificate: str | None
    renewal_id: str | None
    reason: str
    since: datetime | None
    is_withheld: bool
    is_exposed: bool
    is_certain: bool
    remedy: Remedy
    command: str

    @classmethod
    def of(cls, one: GivenUp) -> Self:
        return cls(**{told.name: getattr(one, told.name) for told in fields(cls)})


@dataclass(frozen=True, slots=True)
class HeadShape:
    """All but the certificates, of which there may be many thousand."""

    at: datetime
    version: int
    worker_version: str
    started_at: datetime | None
    role: Role
    history_problem: str | None
    is_reading_history: bool
    ready: int
    parked_in_all: int
    dead_in_all: int
    states: Mapping[State, int]
    running: Sequence[RunningShape]
    parked: Sequence[Parked]
    dead: Sequence[GivenUpShape]
    gateways: Sequence[GatewayStanding]
    series: Sequence[Series]
    recent: Sequence[Ended]

    @classmethod
    def of(cls, fleet: Fleet) -> Self:
        told = {one.name: getattr(fleet, one.name) for one in fields(cls)}
        states = {state: number for state, number in fleet.states.items() if number}
        running, dead = [RunningShape.of(one) for one in fleet.running], [GivenUpShape.of(one) for one in fleet.dead]
        return cls(**{**told, "states": states, "running": running, "dead": dead})


@dataclass(frozen=True, slots=True)
class DetailsShape:
    """A certificate's own page."""

    at: datetime
    version: int
    certificate: CertificateShape
    deployments: Sequence[DeploymentDetails]
    history: Sequence[Ended]
    running: Sequence[RunningShape]
    parked: Sequence[Parked]
    dead: Sequence[GivenUpShape]

    @classmethod
    def of(cls, one: CertificateDetails) -> Self:
        certificate, running = CertificateShape.of(one.standing, one.at), [RunningShape.of(it) for it in one.running]
        dead = [GivenUpShape.of(it) for it in one.dead]
        return cls(one.at, one.version, certificate, one.deployments, one.history, running, one.parked, dead)


@dataclass(frozen=True, slots=True)
class FleetShape(HeadShape):
    """`GET /status.json`. It is told piece by piece, and so never made as a whole."""

    certificates: Sequence[CertificateShape]


_HEAD: Final = TypeAdapter(HeadShape)
_CERTIFICATES: Final = TypeAdapter(list[CertificateShape])
_DETAILS: Final = TypeAdapter(DetailsShape)


def schemas() -> Mapping[str, Mapping[str, Any]]:
    """By file name: of the whole fleet, and of one certificate."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        "status.v1.json": {**dialect, **TypeAdapter(FleetShape).json_schema(mode="serialization")},
        "status-certificate.v1.json": {**dialect, **_DETAILS.json_schema(mode="serialization")},
    }


def fleet_json(fleet: Fleet) -> Iterator[bytes]:
    """The whole document, piece by piece: whoever sends it may turn to others in between."""
    yield _HEAD.dump_json(HeadShape.of(fleet))[:-1] + b',"certificates":['
    for start in range(0, len(fleet.certificates), _TOGETHER):
        part = [CertificateShape.of(one, fleet.at) for one in fleet.certificates[start : start + _TOGETHER]]
        yield (b"," if start else b"") + _CERTIFICATES.dump_json(part)[1:-1]
    yield b"]}\n"


def details_json(details: CertificateDetails) -> bytes:
    return _DETAILS.dump_json(DetailsShape.of(details)) + b"\n"
