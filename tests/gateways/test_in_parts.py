"""Thousands of rows, looked at without keeping the loop from others: counted in rounds of the loop, not in time."""

import asyncio
import json
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

import pytest
from yarl import URL

from tests.gateways.test_apig_attach_cost import names
from tests.gateways.test_transport_repeats import FarEnd, transport
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, domain, leaf, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding
from worker.gateways.exchange import HttpClient
from worker.gateways.huawei_apig import HuaweiApig
from worker.in_parts import PART, in_parts
from worker.rotation import Rotator

T = TypeVar("T")
MANY = names(3 * PART + 1)


@dataclass
class Rounds:
    """Of the loop, while something is awaited."""

    count: int = 0

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        ticking = asyncio.create_task(self._tick())
        try:
            return await work
        finally:
            ticking.cancel()

    async def _tick(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


@dataclass
class Watched(Sequence[Binding]):
    """Tells how many were looked at in each round of the loop."""

    all: Sequence[Binding]
    rounds: Rounds
    looks: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.all)

    @overload
    def __getitem__(self, at: int) -> Binding: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Binding]: ...
    def __getitem__(self, at: int | slice) -> Binding | Sequence[Binding]:
        found = self.all[at]
        self.looks.append((self.rounds.count, 1 if isinstance(found, Binding) else len(found)))
        return found

    def __iter__(self) -> Iterator[Binding]:
        self.looks.append((self.rounds.count, len(self.all)))
        return iter(self.all)


async def answers(
    _client: HttpClient, _method: str, url: URL, _headers: Mapping[str, str], _body: bytes
) -> tuple[int, Mapping[str, str], bytes]:
    """At once, so that no round is spent on waiting."""
    shown = {"id": "c1", "name": "shop", "type": "global", "instance_id": "common"}
    if url.path.endswith("/certificates"):
        return 200, {}, json.dumps({"total": 1, "certs": [shown]}).encode()
    if not url.path.endswith("/attached-domains"):
        return 200, {}, json.dumps(shown).encode()
    offset = int(url.query["offset"])
    rows = [{"url_domain": name, "instance_id": "i1"} for name in MANY[offset : offset + PART]]
    return 200, {}, json.dumps({"total": len(MANY), "bound_domains": rows}).encode()


def test_between_two_parts_others_have_their_turn_and_nothing_changes_its_place() -> None:
    rounds, looks = Rounds(), list[tuple[int, int]]()

    def made(part: Sequence[str]) -> Sequence[str]:
        looks.append((rounds.count, len(part)))
        return part

    assert run_virtual(rounds.during(in_parts(MANY, made))) == MANY
    assert [size for _, size in looks] == [PART, PART, PART, 1]
    assert len({number for number, _ in looks}) == 4


@pytest.mark.parametrize("strategy", ["in_place", "blue_green"])
def test_no_round_of_the_loop_looks_at_thousands_of_listed_domains(strategy: str) -> None:
    rounds = Rounds()
    listed = Watched([domain(name) for name in MANY], rounds)
    name, known = ("shop", None) if strategy == "blue_green" else (None, "c1")

    async def scenario() -> int:
        sending = transport(FarEnd([]), exchange=answers)
        gateway = HuaweiApig("apig", sending, "p1", 20, lambda: 0.0)
        target = deployment(strategy=strategy, name=name, certificate_id=known, bindings=listed)
        observed = await rounds.during(gateway.observe(target, leaf()))
        await gateway.close()
        return sum(one.stored is not None for one in observed.bound)

    assert run_virtual(scenario()) == len(MANY)
    assert max(size for _, size in listed.looks) <= PART


def test_between_observing_planning_attaching_and_reading_back_thousands_others_have_their_turn() -> None:
    def taken(rows: Sequence[str]) -> int:
        rounds, gateway = Rounds(), FakeGateway(stored(), dict.fromkeys(rows, False))
        rotator = Rotator({"apig": gateway}, settle_seconds={"apig": 0})
        brought = bundle(leaf=leaf(names=("*.example.com",)))
        report = run_virtual(rounds.during(rotator.rotate(certificate(deployment()), brought)))
        assert report.outcome == "succeeded"
        return rounds.count

    assert taken(MANY) >= taken(MANY[:1]) + 5
