"""What is told where not all of what is bad goes back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_blue_green import MANY, NEW, Eyes, stage
from tests.rotation.test_going_back import Slices
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.core.proof import Served, Shortfall
from worker.gateways.base import OnResult
from worker.rotation import Rotator

BAD = Failure("still_old", "at it", transient=True)
FORBIDDEN = Failure("forbidden", "no right to it", transient=False, status=403, code="APIG.1005")


class Refusing(Slices):
    """Some may not go back."""

    async def attach(
        self,
        deployment: Deployment,
        to: Stored,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        found = await super().attach(deployment, to, bindings, bundle, on_result)
        return [BindingResult(one.binding, "failed", FORBIDDEN) if one.failure else one for one in found]


def of_nobody(_wave: int, served: Served) -> Sequence[Shortfall]:
    """An endpoint of no binding is bad in the end."""
    return [Shortfall(BAD, None, "host:443")] if served.is_whole else ()


def of_the_second(_wave: int, served: Served) -> Sequence[Shortfall]:
    return [Shortfall(BAD, one, "host:443") for one in served.bindings if one.name in MANY[1:3]]


async def test_what_went_back_but_for_one_is_not_told_as_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(finds=of_nobody)) as one:
        gateway: Any = Refusing(one.gateway)
        gateway.stuck = {MANY[0]}
        rotator = Rotator({"apig": gateway}, verify=one.eyes, settle_seconds={"apig": 0})
        report = await rotator.rotate(Certificate("shop", [one.deployment()]), NEW)
        assert (report.failure, report.reason) == (BAD, "binding_failed")
        assert [it.state for it in report.deployments[0].bindings].count("rolled_back") == len(MANY) - 1


async def test_what_could_not_go_back_says_why_it_should_and_why_it_could_not(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(finds=of_the_second)) as one:
        gateway: Any = Refusing(one.gateway)
        gateway.stuck = set(MANY[:2])
        rotator = Rotator({"apig": gateway}, verify=one.eyes, settle_seconds={"apig": 0})
        [told] = (await rotator.rotate(Certificate("shop", [one.deployment()]), NEW)).deployments
        failures = {it.binding.name: (it.state, it.failure) for it in told.bindings if it.failure is not None}
        well, bad, back = failures[MANY[0]], failures[MANY[1]], failures[MANY[2]]
        assert well == ("failed", FORBIDDEN), "nothing was wrong there"
        assert bad[1] is not None
        assert bad[1].message == "still_old; it could not go back: no right to it"
        assert (bad[0], bad[1].reason, bad[1].status, bad[1].code) == ("failed", "forbidden", 403, "APIG.1005")
        assert back == ("rolled_back", replace(BAD, transient=False))


async def test_what_stays_where_others_go_back_is_told_as_failed_with_its_own_why(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(finds=of_nobody)) as one:
        beside = FakeGateway(stored(), {"x.example.com": False}, name="b")
        both: dict[str, Any] = {"apig": one.gateway, "b": beside}
        rotator = Rotator(both, verify=one.eyes, settle_seconds={"apig": 0, "b": 0})
        report = await rotator.rotate(Certificate("shop", [one.deployment(), deployment(gateway="b")]), NEW)
        assert [it.reason for it in report.deployments] == ["rolled_back", "still_old"]
        assert (report.outcome, report.reason) == ("failed", "rolled_back")
        stays = report.deployments[1]
        assert (stays.outcome, stays.replaced) == ("failed", True)
        assert stays.failure is not None
        assert (stays.failure.message, stays.failure.transient) == (
            "at it; nothing could be put back: nothing is kept",
            False,
        )


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("in_place", "nothing was there before"),
        ("rebind", "this strategy has no way back"),
        ("blue_green", "nothing was bound there before, and this cloud cannot unbind"),
    ],
)
def test_why_nothing_could_be_put_back_is_told(strategy: str, told: str) -> None:
    async def verify(served: Served, /) -> Sequence[Shortfall]:
        return [Shortfall(BAD, served.bindings[0], "a.example.com:443")]

    gateway = FakeGateway(stored() if strategy == "rebind" else None, {}, detaches=False)
    fields: dict[str, Any] = {"strategy": strategy, "certificate_id": None, "name": "shop"}
    wanted = certificate(deployment(bindings=(domain("a.example.com"),), **fields))
    [why] = run_virtual(Rotator({"apig": gateway}, verify=verify).rotate(wanted, bundle())).failures
    assert why.message == f"at it; nothing could be put back: {told}"
