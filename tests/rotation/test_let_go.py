"""What a rotation held, its key first of all, is gone when it has ended, and not only once the collector comes by."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, stored
from tests.support.virtual_time import run_virtual
from worker.core.errors import Failure, NotAskedError, PermanentError, RotationError, TransientError
from worker.core.outcome import Report
from worker.core.secret import Secret
from worker.rotation import Rotator

KEY = "a key that nobody else has"
SICK = Failure("not_found", "no such domain", transient=False, status=404)


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def gateway(**errors: list[RotationError]) -> FakeGateway:
    return FakeGateway(stored=stored(), rows={"a.example.com": False, "b.example.com": True}, errors=errors)


def rotated(*clouds: FakeGateway) -> Report:
    return run_virtual(rotating(*clouds))


async def rotating(*clouds: FakeGateway) -> Report:
    wanted = certificate(*(deployment(gateway=one.name) for one in clouds))
    return await Rotator({one.name: one for one in clouds}).rotate(wanted, bundle(private_key_pem=Secret(KEY)))


def held() -> int:
    return sum(type(one) is Secret and one.reveal() == KEY for one in gc.get_objects())


def test_after_a_success() -> None:
    assert rotated(gateway()).outcome == "succeeded"
    assert held() == 0


def test_after_a_binding_that_could_not_be_attached() -> None:
    cloud = gateway()
    cloud.sick["a.example.com"] = SICK
    assert rotated(cloud).outcome == "failed"
    assert held() == 0


@pytest.mark.parametrize("operation", ["observe", "replace"])
@pytest.mark.parametrize("kind", [PermanentError, TransientError])
def test_after_a_refusal(operation: str, kind: type[RotationError]) -> None:
    # Made here: what has been raised holds all that it went through for as long as it is held itself.
    assert rotated(gateway(**{operation: [kind("forbidden")]})).outcome == "failed"
    assert held() == 0


def test_after_a_name_that_is_not_covered() -> None:
    cloud = gateway()
    cloud.rows["elsewhere.example.org"] = False
    assert rotated(cloud).reason == "name_not_covered"
    assert held() == 0


class Hanging(FakeGateway):
    async def attach(self, *_what: object) -> Any:
        await asyncio.Event().wait()


@pytest.mark.parametrize("number", [1, 2])
def test_after_a_cancellation(number: int) -> None:
    clouds = [Hanging(stored(), {"a.example.com": False}, name=f"cloud-{at}") for at in range(number)]

    async def cancelled() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await rotating(*clouds)

    run_virtual(cancelled())
    assert held() == 0


class Away(FakeGateway):
    def refusal(self) -> NotAskedError | None:
        return NotAskedError("gateway_unavailable")


def test_after_a_look_at_gateways_that_are_away() -> None:
    def looked() -> None:
        of_the_caller = Secret(KEY)
        with suppress(NotAskedError):
            Rotator({"apig": Away(stored(), {})}).check_open({"apig"})
        assert of_the_caller.reveal() == KEY

    looked()
    assert held() == 0
