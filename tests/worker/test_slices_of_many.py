"""`per_domain` at hundreds of domains and few calls an hour: each time slice gets on from where the last one ended."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from yarl import URL

from tests.reliability.crash_cloud import PROJECT, Cloud, Told
from tests.reliability.crash_life import Life
from tests.reliability.crash_stage import Key, Wireless
from tests.support.clouds import renewal
from tests.support.consumers import changed
from tests.support.values import certificate, deployment
from tests.support.virtual_time import run_virtual
from tests.worker.test_consumer import AUTHORITY, Inbox, consumer_of
from worker.admission import Admission
from worker.consumer import Consumer
from worker.core.bundle import Leaf
from worker.core.deployment import Binding
from worker.core.reading import leaf_facts
from worker.gateways.exchange import HttpClient
from worker.gateways.huawei_apig import HuaweiApig
from worker.gateways.huawei_apig.per_domain import upload_name
from worker.gateways.huawei_apig.wire import ApigDialect
from worker.limits import Limits, Window
from worker.rotation import Rotator
from worker.sandbox.ca import Issued
from worker.sandbox.world import World

BEGAN: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
NAMES: Final = ["*.example.com"]
OLD: Final = AUTHORITY.issue(NAMES, not_before=BEGAN)
NEW: Final = AUTHORITY.issue(NAMES, not_before=BEGAN + timedelta(days=30))
NEWER: Final = AUTHORITY.issue(NAMES, not_before=BEGAN + timedelta(days=50), not_after=BEGAN + timedelta(days=90))
"""Ends when OLD does: only reading it tells that it is another one."""
MOST_SLICES: Final = 80


class Tireless(Life):
    """Hundreds of changes are no circles."""

    async def passes(self, effect: str) -> None:
        """Never its last."""


def of(issued: Issued) -> Leaf:
    return leaf_facts(issued.certificate)


def ours(binding: Binding) -> str:
    """What an earlier renewal has uploaded."""
    return upload_name("shop_single", binding, of(OLD))


def foreign(binding: Binding) -> str:
    """What somebody else has stored before there was a worker."""
    return f"other_{binding.domain_id}"


@dataclass
class Estate:
    """Domains of one group, each with a stored certificate of its own, and what became of each time slice."""

    world: World
    bindings: tuple[Binding, ...]
    log: list[str] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    between: Callable[["Estate"], None] = lambda _estate: None
    """Done after each slice."""

    @classmethod
    def of(cls, domains: int, name: Callable[[Binding], str]) -> "Estate":
        world = World(certificate_quota=10_000)
        group = world.add_group(instance := world.add_instance())
        ids = [world.add_domain(group, f"d{number}.example.com") for number in range(domains)]
        bindings = tuple(Binding("domain", one, instance, None, group, one) for one in ids)
        for binding, one in zip(bindings, ids, strict=True):
            world.bind(world.add_certificate(OLD, name(binding)), one)
        return cls(world, bindings)

    def serials(self) -> Counter[int]:
        stored = self.world.certificates
        return Counter(stored[one.certificate_id or ""].leaf.serial_number for one in self.world.domains.values())

    def calls(self) -> Counter[str]:
        return Counter(call.operation for call in self.world.journal)

    async def rotated(self, calls: int) -> "Estate":
        """A renewal, slice by slice, at so many calls an hour, until it is over."""
        consumer, sent = self._consumer(calls), renewal(NEW)
        while (not self.log or self.log[-1].startswith("park")) and len(self.log) < MOST_SLICES:
            inbox: Any = Inbox(sent, asyncio.Event())
            await changed(consumer, broker=inbox, stopping=inbox.stopping, admission=Admission(8)).run()
            self.log += inbox.log
            self.events += inbox.events
            self.between(self)
        return self

    def _consumer(self, calls: int) -> Consumer:
        gateway: Any = HuaweiApig("apig", self._transport(calls), PROJECT, 20, lambda: 0.0)
        target = deployment(strategy="per_domain", certificate_id=None, name="shop_single", bindings=self.bindings)
        consumer = changed(
            consumer_of(Inbox(renewal(NEW), asyncio.Event()), gateway), certificates={"shop": certificate(target)}
        )
        return changed(consumer, rotator=Rotator({"apig": gateway}))

    def _transport(self, calls: int) -> Wireless:
        cloud, life = Cloud(self.world, 0.1), Tireless()

        async def exchange(
            _client: HttpClient, method: str, url: URL, _headers: Mapping[str, str], body: bytes
        ) -> Told:
            return await cloud.exchange(life, method, url, body)

        return Wireless(
            gateway="apig",
            endpoint="http://127.0.0.1:9",
            limits=Limits([Window(calls, 3600)], 8),
            authenticator=Key(),
            dialect=ApigDialect(lambda: datetime.now(UTC)),
            timeout=30,
            deadline=120,
            ca_file=None,
            chance=lambda: 0.0,
            wall_clock=lambda: datetime.now(UTC),
            exchange=exchange,
        )

    @property
    def outcome(self) -> tuple[str, int]:
        [event] = self.events
        return event["data"]["outcome"], event["data"]["attempt"]


@pytest.mark.parametrize(("domains", "calls_an_hour"), [(300, 1000), (100, 100)])
def test_hundreds_of_domains_cost_a_handful_of_reads_a_slice(domains: int, calls_an_hour: int) -> None:
    """At 100 calls an hour it takes more slices to delete what was replaced than may pass in idleness."""
    estate = Estate.of(domains, ours)
    run_virtual(estate.rotated(calls_an_hour))
    slices = estate.log[:-2]
    assert estate.log == [*slices, "event", "ack"]
    assert set(slices) == {"park 0 as 1"}
    assert estate.outcome == ("succeeded", 1)
    assert estate.serials() == {NEW.serial_number: domains}
    assert len(estate.world.certificates) == domains, "what was replaced is deleted, also by later slices"
    calls = estate.calls()
    assert (calls.pop("add_certificate"), calls.pop("delete_certificate")) == (domains, domains)
    assert calls.pop("list_domains") <= domains + len(slices), "asked once, before it is deleted"
    assert calls.total() <= 10 * (len(slices) + 1), calls


def test_certificates_that_must_be_read_one_by_one_are_read_once_over_all_slices() -> None:
    """At 100 calls an hour it takes more slices to read them than may pass in idleness."""
    estate = Estate.of(200, foreign)
    run_virtual(estate.rotated(100))
    slices = estate.log[:-2]
    assert estate.log == [*slices, "event", "ack"]
    assert set(slices) == {"park 0 as 1"}
    assert estate.outcome == ("succeeded", 1)
    assert estate.serials() == {NEW.serial_number: 200}
    calls = estate.calls()
    assert calls.pop("add_certificate") == 200
    del calls["list_domains"], calls["delete_certificate"]  # of those that the last slice has replaced
    assert calls.pop("show_certificate") <= 200 + 3 * len(slices), "what was cut off is read again"
    assert calls.total() <= 10 * (len(slices) + 1), calls


@pytest.mark.parametrize(("name", "which"), [(ours, -1), (foreign, 0)])
def test_what_was_replaced_by_a_newer_one_between_two_slices_is_left_alone(
    name: Callable[[Binding], str], which: int
) -> None:
    """Of ours the last, which is known without being read; of the others the first, which was read before."""

    def renewed_by_hand(estate: Estate) -> None:
        if len(estate.log) == 1:
            old = [one for one in estate.world.certificates.values() if one.leaf.serial_number == OLD.serial_number]
            chosen = [one for one in old if estate.world.bound_to(one.id)][which]
            changed_at = chosen.created_at + timedelta(hours=1)
            estate.world.certificates[chosen.id] = replace(chosen, leaf=NEWER.certificate, updated_at=changed_at)

    estate = Estate.of(200, name)
    estate.between = renewed_by_hand
    run_virtual(estate.rotated(500))
    assert estate.log[-2:] == ["event", "ack"]
    assert estate.outcome == ("superseded", 1)
    assert estate.serials() == {NEW.serial_number: 199, NEWER.serial_number: 1}
