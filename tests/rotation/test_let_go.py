"""What a rotation held, its key first of all, is gone when it has ended, and not only once the collector comes by."""

import gc
from collections.abc import Iterator

import pytest

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, stored
from tests.support.virtual_time import run_virtual
from worker.core.errors import Failure, PermanentError, RotationError, TransientError
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


def rotated(cloud: FakeGateway) -> Report:
    return run_virtual(
        Rotator({cloud.name: cloud}).rotate(certificate(deployment()), bundle(private_key_pem=Secret(KEY)))
    )


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
