"""What every gateway promises a rotation, of whatever kind: the same tests for each, by its own way to change.

A new kind joins by a line in `WAYS`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.apig_shop import NAMES, NEW, OLD
from tests.support.gateways import apig, bycloud, unheard
from worker.core.deployment import Binding, Deployment
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Keep, Modify, Plan, Stored
from worker.core.strategies import plan
from worker.gateways import OPENERS
from worker.gateways.base import Gateway
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault


@dataclass
class Place:
    """A deployment with two bindings that serve an older certificate, and one binding that can never be attached."""

    sandbox: Sandbox
    gateway: Gateway
    deployment: Deployment
    sick: Binding

    def planned(self, observed: Any) -> Plan:
        todo = plan(self.deployment, observed, NEW.leaf)
        assert isinstance(todo, Plan)
        return todo

    async def replaced(self) -> tuple[Plan, Stored | None]:
        """What is to be attached, and to what."""
        todo = self.planned(await self.gateway.observe(self.deployment, NEW.leaf))
        if isinstance(todo.replacement, Modify | Create):
            return todo, await self.gateway.replace(self.deployment, todo.replacement, NEW)
        return todo, todo.replacement.stored if isinstance(todo.replacement, Keep) else None

    async def rotated(self) -> Sequence[BindingResult]:
        todo, stored = await self.replaced()
        return await self.gateway.attach(self.deployment, stored, todo.attach, NEW, unheard)

    def changes(self) -> int:
        return sum(call.method != "GET" and call.operation != "obtain_token" for call in self.sandbox.world.journal)


@asynccontextmanager
async def at_apig(folder: Path, strategy: str, **overrides: Any) -> AsyncIterator[Place]:
    async with Sandbox() as sandbox, apig(sandbox, folder, **overrides) as gateway:
        world = sandbox.world
        instance = world.add_instance()
        group = world.add_group(instance)
        ids = [world.add_domain(group, name) for name in NAMES[:2]]
        stored = world.add_certificate(OLD, "shop")
        world.bind(stored, *ids)
        fields: dict[str, Any] = {"certificate_id": stored, "name": None}
        bindings = tuple(Binding("domain", name, instance) for name in NAMES[:2])
        sick = Binding("domain", NAMES[2], instance, False)
        if strategy == "per_domain":
            fields = {"certificate_id": None, "name": "shop_single"}
            bindings = tuple(Binding("domain", one, instance, None, group, one) for one in ids)
            sick = Binding("domain", "gone", instance, None, group, "gone")
        deployment = Deployment(gateway="apig", strategy=_strategy(strategy), bindings=bindings, **fields)
        yield Place(sandbox, gateway, deployment, sick)


@asynccontextmanager
async def at_bycloud(folder: Path, strategy: str, **overrides: Any) -> AsyncIterator[Place]:
    async with Sandbox() as sandbox, bycloud(sandbox, folder, **overrides) as gateway:
        world = sandbox.world
        stored = world.add_upload(OLD, "shop")
        listeners = [world.add_listener() for _ in range(2)]
        for one in listeners:
            world.bind_listener(stored, one)
        bindings = tuple(Binding("listener", one) for one in listeners)
        deployment = Deployment("bycloud", _strategy(strategy), stored, None, bindings)
        yield Place(sandbox, gateway, deployment, Binding("listener", "00000000-0000-4000-8000-000000000000"))


def _strategy(name: str) -> Any:
    return name


Way = Callable[..., AbstractAsyncContextManager[Place]]
WAYS: dict[str, tuple[Way, str]] = {
    "huawei_apig, in place": (at_apig, "in_place"),
    "huawei_apig, per domain": (at_apig, "per_domain"),
    "bycloud, replace": (at_bycloud, "replace"),
}
every_way = pytest.mark.parametrize("way", WAYS)


@asynccontextmanager
async def opened(way: str, folder: Path, **overrides: Any) -> AsyncIterator[Place]:
    at, strategy = WAYS[way]
    async with at(folder, strategy, **overrides) as place:
        yield place


def test_every_kind_keeps_the_contract() -> None:
    assert {way.partition(",")[0] for way in WAYS} == set(OPENERS)


@every_way
async def test_observing_changes_nothing_and_sees_the_same_again(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as place:
        first = await place.gateway.observe(place.deployment, NEW.leaf)
        assert await place.gateway.observe(place.deployment, NEW.leaf) == first
        assert {one.name for one in place.planned(first).attach}
        assert place.changes() == 0


@every_way
async def test_what_is_rotated_is_observed_as_current_and_costs_no_second_change(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as place:
        results = await place.rotated()
        assert [result.state for result in results] == ["attached"] * 2
        todo = place.planned(await place.gateway.observe(place.deployment, NEW.leaf))
        assert (todo.attach, len(todo.unchanged)) == ((), 2)
        assert not place.gateway.calls(place.deployment, replace(todo, retire=()))
        before = place.changes()
        assert await place.rotated() == []
        assert place.changes() == before


@every_way
async def test_attaching_what_is_attached_is_success(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as place:
        todo, stored = await place.replaced()
        for _ in range(2):
            results = await place.gateway.attach(place.deployment, stored, todo.attach, NEW, unheard)
            assert [result.failure for result in results] == [None] * 2


@every_way
async def test_one_sick_binding_fails_alone_and_every_result_is_heard_in_order(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as place:
        todo, stored = await place.replaced()
        wanted = (todo.attach[0], place.sick, todo.attach[1])
        heard: list[BindingResult] = []
        results = await place.gateway.attach(place.deployment, stored, wanted, NEW, heard.append)
        assert [result.binding for result in results] == list(wanted)
        assert [result.state for result in results] == ["attached", "failed", "attached"]
        assert results[1].failure is not None
        assert not results[1].failure.transient
        assert sorted(map(repr, heard)) == sorted(map(repr, results))


@every_way
async def test_an_account_that_is_not_there_is_told_as_such(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as place:
        await place.sandbox.__aexit__(None, None, None)
        with pytest.raises(TransientError) as caught:
            await place.gateway.observe(place.deployment, NEW.leaf)
        assert caught.value.reason == "gateway_unavailable"
        await place.sandbox.__aenter__()


OPERATIONS = ("show_certificate", "list_certificates", "list_domains", "show_group", "show_upload", "list_uploads")


@every_way
@pytest.mark.parametrize("body", [{}, {"certs": 7}, {"certificate": {"id": []}}, {"error_code": {}, "error": "no"}])
@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 403, 404, 409, 418, 429, 500, 503])
async def test_whatever_it_answers_ends_in_our_own_errors(
    way: str, body: dict[str, object], status: int, tmp_path: Path
) -> None:
    async with opened(way, tmp_path) as place:
        headers = {"Retry-After": "9999"}
        place.sandbox.world.faults += [
            Fault(operation, status=status, body=body, headers=headers, times=99) for operation in OPERATIONS
        ]
        try:
            await place.gateway.observe(place.deployment, NEW.leaf)
        except RotationError as error:
            assert error.reason  # noqa: PT017 - some answers read as "there is none", which is no error


@every_way
async def test_credentials_that_are_refused_are_not_tried_for_ever(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as place:
        world = place.sandbox.world
        world.faults += [Fault(one, status=401, body={"error_code": "APIGW.0301"}, times=99) for one in OPERATIONS]
        with pytest.raises(PermanentError) as caught:
            await place.gateway.check()
        assert caught.value.reason == "auth_failed"
        assert len([call for call in world.journal if call.operation != "obtain_token"]) <= 2
