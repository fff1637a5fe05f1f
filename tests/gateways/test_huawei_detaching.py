"""What is detached has another certificate, before and after: against a simulated APIG where attaching adds."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from tests.support.apig_shop import OLD, Shop, shop
from tests.support.gateways import unheard
from worker.core.deployment import Binding
from worker.core.errors import TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.detaching import Detaching
from worker.gateways.huawei_apig.wire import BoundDomain, BoundDomainPage
from worker.gateways.transport import Transport
from worker.sandbox import SandboxConfig


class Meddled(ApigClient):
    """Somebody takes the first domain's other certificate away while a call to detach is under way."""

    one: Shop

    async def detach(self, certificate_id: str, domains: Sequence[Binding]) -> None:
        first = self.one.world.domains[self.one.domains[0][0]]
        first.certificate_id, first.former = None, {certificate_id}
        await super().detach(certificate_id, domains)


@dataclass
class Many(ApigClient):
    """Many domains that are shown with both, and the calls that are made for them."""

    count: int
    calls: Counter[str] = field(default_factory=Counter)
    shown: dict[str, dict[str, None]] = field(default_factory=dict)
    put_back: dict[int, str] = field(default_factory=dict)
    """By the number of a call to detach: what somebody takes away from the other one while it is under way."""
    breaks_at: int | None = None
    """Which call to detach ends in an error, after it was carried out."""
    hangs_at: int | None = None
    """Which one is never answered, after it was carried out."""
    is_away: bool = False
    """Reading is not answered behind that either; `is_sick`: with an error."""
    is_sick: bool = False
    brief: float = 60.0
    is_hanging: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.shown = {one: dict.fromkeys(self.names) for one in ("blue", "green")}

    @property
    def names(self) -> list[str]:
        return [f"d{number}.example.com" for number in range(self.count)]

    async def detached(self, size: int, *others: Binding) -> Mapping[str, tuple[str, int]]:
        """What was heard of each, and after how many calls."""
        heard = dict[str, tuple[str, int]]()

        def hear(result: BindingResult) -> None:
            assert heard.setdefault(result.binding.name, told := (result.state, self.calls["detach"])) is told

        bindings = [*others, *(Binding("domain", name, "i1") for name in self.names)]
        results = await Detaching(self, size).detached(Stored("blue", "shop"), bindings, hear)
        assert [one.binding for one in results] == bindings
        assert {one.binding.name: one.state for one in results} == {name: state for name, (state, _) in heard.items()}
        return heard

    async def is_retired(self, size: int) -> bool:
        moved = {Binding("domain", name, "i1"): "green" for name in self.names}
        return await Detaching(self, size, self.brief).is_retired(Stored("blue", "shop"), moved)

    def bare(self) -> set[str]:
        return set(self.names) - {name for shown in self.shown.values() for name in shown}

    async def bound_page(self, certificate_id: str, offset: int) -> BoundDomainPage:
        self.calls["list"] += 1
        if self.is_hanging.is_set() and self.is_sick:
            raise TransientError("gateway_unavailable", "no answer")
        if self.is_hanging.is_set() and self.is_away:
            await asyncio.Event().wait()
        names = list(self.shown[certificate_id])
        rows = [BoundDomain(url_domain=name, instance_id="i1") for name in names[offset : offset + 500]]
        return BoundDomainPage(total=len(names), bound_domains=rows)

    async def attach(self, certificate_id: str, domains: Sequence[Binding], patience: float = inf) -> None:
        assert patience == inf
        self.shown[certificate_id].update(dict.fromkeys(one.name for one in domains))

    async def detach(self, certificate_id: str, domains: Sequence[Binding]) -> None:
        self.calls["detach"] += 1
        self.shown["green"].pop(self.put_back.get(self.calls["detach"], ""), None)
        for one in domains:
            self.shown[certificate_id].pop(one.name, None)
        if self.calls["detach"] == self.breaks_at:
            raise TransientError("gateway_unavailable", "no answer")
        if self.calls["detach"] == self.hangs_at:
            self.is_hanging.set()
            await asyncio.Event().wait()

    async def delete(self, certificate_id: str) -> None:
        self.calls["delete"] += 1
        assert not self.shown[certificate_id]


@dataclass
class Moved:
    one: Shop
    blue: Stored
    green: Stored
    bindings: Sequence[Binding]

    @classmethod
    async def to_another(cls, one: Shop) -> "Moved":
        one.world.attach_adds = True
        bindings = [row.binding.with_flag(row.binding.name.startswith("a")) for row in (await one.observe()).bound]
        green = Stored(one.world.add_certificate(OLD, "green"), "green")
        await one.gateway.attach(one.deployment(), green, bindings, None, unheard)
        return cls(one, Stored(one.certificate_id, "shop"), green, bindings)

    async def is_retired(self, client: type[ApigClient] = ApigClient) -> bool:
        made = client(cast("Transport", self.one.gateway.account), SandboxConfig().project_id)
        if isinstance(made, Meddled):
            made.one = self.one
        moved = dict.fromkeys(self.bindings, self.green.certificate_id)
        return await Detaching(made, 2).is_retired(self.blue, moved)

    def served(self) -> set[str | None]:
        return {self.one.world.domains[each].certificate_id for each in self.one.domains[0]}


async def test_what_is_shown_with_both_is_detached_and_deleted(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved = await Moved.to_another(one)
        assert await moved.is_retired()
        assert list(one.world.certificates) == [moved.green.certificate_id]
        assert moved.served() == {moved.green.certificate_id}


async def test_what_turns_out_to_have_nothing_else_gets_it_again_with_its_flag(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved = await Moved.to_another(one)
        assert not await moved.is_retired(Meddled)
        assert one.certificate_id in one.world.certificates
        assert None not in moved.served()
        flagged = [it.name for it in one.world.domains.values() if it.client_verification]
        assert flagged == ["a.example.com"]


@pytest.mark.parametrize(("count", "size"), [(300, 20), (1_000, 1_000), (600, 20), (6_000, 20)])
async def test_what_it_costs_to_detach_grows_no_faster_than_the_domains(count: int, size: int) -> None:
    many = Many(count)
    assert await many.is_retired(size)
    looks = min(ceil(count / 500), 4) + 1  # and the list of what is to be detached
    lists = (looks + 1) * ceil(count / 500)
    assert many.calls["detach"] == ceil(count / size)
    assert (many.calls["list"] <= lists, many.calls["delete"]) == (True, 1)


async def test_what_is_put_back_while_others_are_detached_is_seen_before_its_turn() -> None:
    many = Many(2_000, put_back={1: "d1999.example.com"})
    assert not await many.is_retired(20)
    assert "d1999.example.com" in many.shown["blue"]
    assert not many.bare()
    assert many.calls["detach"] == 75, "of four looks before, the last one tells of it"


async def test_what_is_left_with_nothing_gets_it_again_although_a_later_call_fails() -> None:
    many = Many(100, put_back={2: "d1.example.com"}, breaks_at=3)
    with pytest.raises(TransientError):
        await many.is_retired(20)
    assert list(many.shown["blue"])[-1] == "d1.example.com"
    assert not many.bare()


async def test_what_is_left_with_nothing_gets_it_again_in_the_middle_and_nothing_more_is_detached() -> None:
    many = Many(2_000, put_back={3: "d7.example.com"})
    assert not await many.is_retired(20)
    assert ("d7.example.com" in many.shown["blue"], many.calls["detach"]) == (True, 25)
    assert not many.bare()


async def test_what_is_detached_is_heard_of_call_by_call() -> None:
    heard = await Many(4).detached(2, Binding("domain", "elsewhere.example.com", "i1"))
    assert list(heard.values()) == [("attached", 0), ("attached", 1), ("attached", 1), ("attached", 2), ("attached", 2)]


async def test_what_was_detached_before_a_call_failed_is_told_as_that() -> None:
    heard = await Many(6, breaks_at=2).detached(2)
    assert [state for state, _ in heard.values()] == ["attached"] * 2 + ["failed"] * 4


async def test_what_is_bound_at_several_instances_is_heard_of_once_with_the_last_of_them() -> None:
    class Everywhere(Many):
        async def bound_page(self, certificate_id: str, offset: int) -> BoundDomainPage:
            rows = [BoundDomain(url_domain="all.example.com", instance_id=f"i{number}") for number in range(3)]
            return BoundDomainPage(total=3, bound_domains=rows)

    assert await Everywhere(0).detached(2, Binding("domain", "all.example.com")) == {"all.example.com": ("attached", 2)}


async def cut(many: Many) -> asyncio.Task[bool]:
    """Cancelled while a call to detach is under way, as by the end of a time slice, and over."""
    task = asyncio.create_task(many.is_retired(20))
    await many.is_hanging.wait()
    task.cancel()
    await asyncio.wait([task])
    return task


async def test_what_is_left_with_nothing_gets_it_again_although_a_time_slice_ends() -> None:
    many = Many(1_000, put_back={2: "d30.example.com"}, hangs_at=3)
    assert (await cut(many)).cancelled()
    assert "d30.example.com" in many.shown["blue"]
    assert (many.bare(), many.calls["detach"]) == (set(), 3)


@pytest.mark.parametrize("how", ["away", "sick"])
async def test_where_that_cannot_be_looked_at_any_more_it_is_told_and_the_time_slice_ends(how: str) -> None:
    many = Many(1_000, hangs_at=3, is_away=how == "away", is_sick=how == "sick", brief=0.01)
    with capture_logs() as logs:
        assert (await cut(many)).cancelled()
    assert [(one["event"], one["domains"]) for one in logs] == [("detaching.not_looked_back", 60)]
