"""The four certificate calls of Huawei Cloud APIG: their success, and each status that their pages document."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.gateways import AUTHORITY, apig, checked, unheard
from worker.core.deployment import Binding, Deployment
from worker.core.errors import RotationError, TransientError
from worker.core.planning import Create, Modify
from worker.gateways.base import Gateway
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault

NAME = "www.example.com"


@dataclass
class Place:
    """A domain that serves an old certificate, and the deployments that reach it."""

    gateway: Gateway
    sandbox: Sandbox
    domain: Binding
    certificate_id: str

    @property
    def in_place(self) -> Deployment:
        return Deployment("apig", "in_place", self.certificate_id, None, None)

    @property
    def per_domain(self) -> Deployment:
        return Deployment("apig", "per_domain", None, "shop_single", (self.domain,))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Place]:
    async with Sandbox() as sandbox, apig(sandbox, folder) as gateway:
        world = sandbox.world
        instance = world.add_instance()
        group = world.add_group(instance)
        domain_id = world.add_domain(group, NAME)
        begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
        stored = world.add_certificate(AUTHORITY.issue([NAME], not_before=begins), "shop")
        world.bind(stored, domain_id)
        domain = Binding("domain", NAME, instance, False, group, domain_id)
        yield Place(gateway, sandbox, domain, stored)


NEW = checked(AUTHORITY.issue([NAME]))


async def modify(place: Place) -> None:
    stored = (await place.gateway.observe(place.in_place, NEW.leaf)).stored
    assert stored is not None
    answer = await place.gateway.replace(place.in_place, Modify(stored), NEW)
    assert answer.serial_number == NEW.leaf.serial_number
    assert answer.certificate_id == place.certificate_id


async def create(place: Place) -> None:
    answer = await place.gateway.replace(place.in_place, Create("fresh"), NEW)
    assert place.sandbox.world.certificates[answer.certificate_id].name == "fresh"


async def attach(place: Place) -> None:
    stored = (await place.gateway.observe(place.in_place, NEW.leaf)).stored
    [result] = await place.gateway.attach(place.in_place, stored, [place.domain], NEW, unheard)
    raise_if_failed(result.failure)
    assert place.sandbox.world.calls("attach_domains")[-1].facts["domains"] == [
        {
            "domain": NAME,
            "instance_ids": [place.domain.instance_id],
            "verified_client_certificate_enabled": False,
        }
    ]


async def add(place: Place) -> None:
    [result] = await place.gateway.attach(place.per_domain, None, [place.domain], NEW, unheard)
    raise_if_failed(result.failure)
    domain = place.sandbox.world.domains[place.domain.domain_id or ""]
    assert domain.certificate_id != place.certificate_id


def raise_if_failed(failure: object) -> None:
    if failure is not None:
        raise FailedBindingError(failure)


class FailedBindingError(Exception):
    """Carries the Failure of a binding."""


CALLS: dict[str, Callable[[Place], Awaitable[None]]] = {
    "modify_certificate": modify,
    "create_certificate": create,
    "attach_domains": attach,
    "add_certificate": add,
}

# The codes are the pages' own examples, some of which belong to other operations: the status decides.
STATUSES = [
    (400, "APIG.2012", "bad_request"),
    (400, "APIG.2101", "certificate_rejected"),
    (401, "APIG.1002", "auth_failed"),
    (403, "APIG.1005", "forbidden"),
    (403, "APIG.3100", "quota"),
    (404, "APIG.3020", "not_found"),
    (404, "APIG.3093", "not_found"),
    (409, "APIG.3708", "certificate_rejected"),
    (500, "APIG.9999", "gateway_unavailable"),
]


@pytest.mark.parametrize("operation", CALLS)
async def test_the_call_succeeds(tmp_path: Path, operation: str) -> None:
    async with opened(tmp_path) as place:
        await CALLS[operation](place)
        assert [call.status for call in place.sandbox.world.calls(operation)] in ([200], [201], [204])


@pytest.mark.parametrize(("status", "code", "reason"), STATUSES)
@pytest.mark.parametrize("operation", CALLS)
async def test_each_documented_status_has_its_reason(
    tmp_path: Path, operation: str, status: int, code: str, reason: str
) -> None:
    async with opened(tmp_path) as place:
        body = {"error_code": code, "error_msg": "as documented"}
        place.sandbox.world.faults.append(Fault(operation, status=status, body=body, times=100))
        try:
            await CALLS[operation](place)
        except RotationError as error:
            told = (error.reason, error.status, error.code, isinstance(error, TransientError))
        except FailedBindingError as error:
            failure = error.args[0]
            told = (failure.reason, failure.status, failure.code, failure.transient)
        else:
            pytest.fail("the refusal was not told")
        assert told == (reason, status, code, status == 500)
        # Credentials are renewed once, and the call tried once more.
        tries = len(place.sandbox.world.calls(operation))
        assert tries == (2 if status == 401 else tries)
        assert place.sandbox.iam.issued == (2 if status == 401 else 1)
