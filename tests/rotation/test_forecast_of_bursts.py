"""Many rotations that begin together: the estimate knows what is to come before any of them has a plan."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from yarl import URL

from tests.reliability.crash_cloud import PROJECT, Cloud, Told
from tests.reliability.crash_stage import Key, Wireless
from tests.support.gateways import AUTHORITY, checked
from tests.support.virtual_time import run_virtual
from tests.worker.test_slices_of_many import Tireless
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Certificate, Deployment
from worker.effort import Effort, spending
from worker.gateways.base import Gateway
from worker.gateways.bycloud import ByCloud
from worker.gateways.bycloud.wire import ByCloudDialect
from worker.gateways.exchange import HttpClient
from worker.gateways.huawei_apig import HuaweiApig
from worker.gateways.huawei_apig.wire import ApigDialect
from worker.limits import Limits, Window
from worker.rotation import Rotator
from worker.sandbox.world import World

MANY: Final = 30
_BEGAN: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
_OLD: Final = AUTHORITY.issue(["*.example.com"], not_before=_BEGAN)
_NEW: Final = checked(AUTHORITY.issue(["*.example.com"], not_before=_BEGAN + timedelta(days=30)))


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Fleet:
    """Certificates at both clouds, each of which takes 10 calls a second, and 100 in 20 seconds."""

    world: World = field(default_factory=World)
    told: list[tuple[float, float]] = field(default_factory=list)
    """Each second until all have ended: when, and the estimate."""

    def __post_init__(self) -> None:
        apig: Any = self._transport("apig", ApigDialect(_now))
        bycloud: Any = self._transport("bycloud", ByCloudDialect(_now))
        gateways: Mapping[str, Gateway] = {
            "apig": HuaweiApig("apig", apig, PROJECT, 20, lambda: 0.0),
            "bycloud": ByCloud("bycloud", bycloud, 60.0, lambda: 0.0),
        }
        self.rotator = Rotator(gateways)

    def _transport(self, gateway: str, dialect: Any) -> Wireless:
        cloud, life = Cloud(self.world, 0.03), Tireless()

        async def exchange(_: HttpClient, method: str, url: URL, _headers: Mapping[str, str], body: bytes) -> Told:
            return await cloud.exchange(life, method, url, body)

        limits = Limits([Window(10, 1), Window(100, 20)], 8)
        own: dict[str, Any] = {"gateway": gateway, "limits": limits, "dialect": dialect, "exchange": exchange}
        rest: dict[str, Any] = {"authenticator": Key(), "timeout": 30, "deadline": 60, "ca_file": None}
        return Wireless(endpoint="http://127.0.0.1:9", chance=lambda: 0.0, wall_clock=_now, **own, **rest)

    def domains(self, size: int) -> list[str]:
        """Ids."""
        group = self.world.add_group(self.world.add_instance())
        return [self.world.add_domain(group, f"d{number}.example.com") for number in range(size)]

    async def rotated(self, certificates: Mapping[str, Certificate], gateway: str) -> float:
        """All together; how long it took."""
        looking = asyncio.create_task(self._look(gateway))
        async with asyncio.TaskGroup() as rotations:
            for one in certificates.values():
                rotations.create_task(self._rotated(one))
        looking.cancel()
        assert self.rotator.forecast.seconds_left(gateway) == 0
        return asyncio.get_running_loop().time()

    async def _rotated(self, certificate: Certificate) -> None:
        bundle: Bundle | None = None if certificate.deployments[0].strategy == "rebind" else _NEW
        with spending(Effort()):
            report = await self.rotator.rotate(certificate, bundle)
        assert report.outcome == "succeeded", report

    async def _look(self, gateway: str) -> None:
        while True:
            await asyncio.sleep(1)
            self.told.append((asyncio.get_running_loop().time(), self.rotator.forecast.seconds_left(gateway)))


def _in_place(fleet: Fleet, domains: int, *, name: str = "shop", is_listed: bool = True) -> Deployment:
    stored, ids = fleet.world.add_certificate(_OLD, name), fleet.domains(domains)
    fleet.world.bind(stored, *ids)
    found = [fleet.world.domains[one] for one in ids]
    listed = tuple(Binding("domain", one.name, one.instance_id) for one in found)
    return Deployment("apig", "in_place", stored, None, listed if is_listed else None)


def _blue_green(fleet: Fleet, name: str) -> Deployment:
    return Deployment("apig", "blue_green", None, name, _in_place(fleet, 12, name=name).bindings)


def _per_domain(fleet: Fleet, name: str) -> Deployment:
    ids = fleet.domains(4)
    fleet.world.bind(fleet.world.add_certificate(_OLD, "shared"), *ids)
    found = [fleet.world.domains[one] for one in ids]
    bindings = tuple(Binding("domain", one.id, one.instance_id, None, one.group_id, one.id) for one in found)
    return Deployment("apig", "per_domain", None, name, bindings)


def _at_bycloud(fleet: Fleet, name: str, *, moves: bool) -> Deployment:
    listeners = tuple(Binding("listener", fleet.world.add_listener()) for _ in range(5))
    stored = fleet.world.add_upload(_OLD, name)
    for one in listeners if moves else ():
        fleet.world.bind_listener(stored, one.name)
    return Deployment("bycloud", "replace" if moves else "rebind", stored, None, listeners)


_Made = Callable[[Fleet, str], list[Deployment]]
_BURSTS: Final[Mapping[str, _Made]] = {
    "in place, of one domain": lambda fleet, _: [_in_place(fleet, 1)],
    "in place, of several chunks": lambda fleet, _: [_in_place(fleet, 110)],
    "in place, of what is attached": lambda fleet, _: [_in_place(fleet, 3, is_listed=False)],
    "in place, at two of them": lambda fleet, _: [_in_place(fleet, 1), _in_place(fleet, 2)],
    "blue green": lambda fleet, name: [_blue_green(fleet, name)],
    "per domain": lambda fleet, name: [_per_domain(fleet, name)],
    "replace": lambda fleet, name: [_at_bycloud(fleet, name, moves=True)],
    "rebind": lambda fleet, name: [_at_bycloud(fleet, name, moves=False)],
}


async def _burst(kind: str) -> tuple[float, list[float]]:
    """How long it took, and how much of what was left the estimates were in its first half."""
    fleet = Fleet()
    made = {f"shop{number:02}": _BURSTS[kind](fleet, f"shop{number:02}") for number in range(MANY)}
    certificates = {name: Certificate(name, deployments) for name, deployments in made.items()}
    took = await fleet.rotated(certificates, next(iter(made.values()))[0].gateway)
    return took, [told / (took - at) for at, told in fleet.told if at < took / 2]


@pytest.mark.parametrize("kind", _BURSTS)
def test_a_burst_is_estimated_from_its_first_second_on(kind: str) -> None:
    took, ratios = run_virtual(_burst(kind))
    assert took > 20
    assert 0.6 <= ratios[0] <= 1.2
    assert min(ratios) >= 0.6, "nor is it too short while some are planned and others are not"
