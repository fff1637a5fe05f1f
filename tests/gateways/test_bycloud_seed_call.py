"""ByCloud's binding call: its success, each documented status, and both meanings of its 409."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gateways import AUTHORITY, bycloud, unheard
from worker.core.deployment import Binding, Deployment
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.gateways.base import Gateway
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.world import Fault


@dataclass
class Place:
    gateway: Gateway
    sandbox: Sandbox
    listener: Binding
    stored: Stored

    async def bind(self) -> BindingResult:
        deployment = Deployment("bycloud", "rebind", self.stored.certificate_id, None, (self.listener,))
        [result] = await self.gateway.attach(deployment, self.stored, [self.listener], None, unheard)
        return result


@asynccontextmanager
async def opened(folder: Path, config: SandboxConfig | None = None) -> AsyncIterator[Place]:
    async with Sandbox(config) as sandbox, bycloud(sandbox, folder) as gateway:
        world = sandbox.world
        listener_id = world.add_listener()
        uploaded = world.add_upload(AUTHORITY.issue(["a.example.com"]), "shop")
        listener = Binding("listener", listener_id, load_balancer=world.listeners[listener_id].load_balancer)
        yield Place(gateway, sandbox, listener, Stored(uploaded, "shop"))


async def test_a_listener_is_bound(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        assert (await place.bind()).state == "attached"
        [call] = place.sandbox.world.calls("create_binding")
        assert call.facts == {
            "resource_type": "octavia:listener",
            "resource_id": place.listener.name,
            "options": {"sni": False},
        }


@pytest.mark.parametrize(
    ("status", "reason", "is_transient"),
    [
        (400, "bad_request", False),
        (401, "auth_failed", False),
        (403, "forbidden", False),
        (404, "not_found", False),
        (422, "bad_request", False),
        (500, "gateway_unavailable", True),
        (503, "gateway_unavailable", True),
    ],
)
async def test_each_documented_status_has_its_reason(
    tmp_path: Path, status: int, reason: str, is_transient: bool
) -> None:
    async with opened(tmp_path) as place:
        body = {"error": {"code": status, "message": "as documented"}}
        place.sandbox.world.faults.append(Fault("create_binding", status=status, body=body, times=100))
        failure = (await place.bind()).failure
        assert failure is not None
        assert (failure.reason, failure.status, failure.transient) == (reason, status, is_transient)


async def test_a_conflict_is_success_where_the_binding_is_there_already(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        place.sandbox.world.bind_listener(place.stored.certificate_id, place.listener.name)
        result = await place.bind()
        assert (result.state, result.failure) == ("unchanged", None)


@pytest.mark.parametrize(("status", "is_transient"), [("pending_dns", True), ("expired", False), ("revoked", False)])
async def test_a_conflict_is_failure_where_the_certificate_is_not_active(
    tmp_path: Path, status: str, is_transient: bool
) -> None:
    async with opened(tmp_path) as place:
        place.sandbox.world.uploads[place.stored.certificate_id].status = status
        failure = (await place.bind()).failure
        assert failure is not None
        assert (failure.reason, failure.transient) == ("certificate_not_active", is_transient)


async def test_a_conflict_that_is_neither_is_a_busy_load_balancer_for_a_while_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        body = {"error": {"code": 409, "message": "Load Balancer is immutable and cannot be updated."}}
        place.sandbox.world.faults.append(Fault("create_binding", status=409, body=body, times=100))
        failure = (await place.bind()).failure
        assert failure is not None
        assert (failure.reason, failure.transient) == ("busy", True)


async def test_an_answer_that_was_lost_after_its_effect_is_found_by_reading(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        place.sandbox.world.faults.append(Fault("create_binding", kind="reset", after_effect=True))
        assert (await place.bind()).state == "attached"
        assert len(place.sandbox.world.calls("create_binding")) == 1
