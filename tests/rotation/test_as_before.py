"""What did not answer before the change, and does not after it, was not broken by it: nothing goes back for that."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.rotation.test_blue_green import Eyes, stage
from tests.rotation.test_put_back import BEFORE, Shelf, cloud
from tests.support.values import bundle, certificate, day, deployment
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.proof import Served, Shortfall
from worker.rotation import Rotator

DEAD = Failure("not_reachable", "at 127.0.0.2", transient=True)
WORSE = Failure("still_old", "at 127.0.0.1", transient=True)


def as_before(binding: Binding | None) -> Shortfall:
    return Shortfall(DEAD, binding, "host:443", is_as_before=True)


def canary_is_dead(_wave: int, served: Served) -> Sequence[Shortfall]:
    return [as_before(served.bindings[0])]


async def test_all_waves_move_and_the_end_says_what_could_not_be_seen(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(finds=canary_is_dead)) as one:
        report = await one.rotate()
        assert (report.outcome, report.reason, report.replaced) == ("failed", "not_reachable", True)
        assert [(it.state, it.failure) for it in report.bindings if it.failure] == [("failed", DEAD)]
        assert one.bound() == {"shop": 0, one.green: 40}, "the old one stays: not all is proven"
        assert one.eyes.waves == [1, 2, 4, 40, 40], "what was not seen is no canary"


async def test_a_repeat_leaves_it_where_it_is_too(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(finds=canary_is_dead)) as one:
        for _ in range(2):
            report = await one.report()
            assert (report.outcome, report.reason) == ("failed", "not_reachable")
            assert one.bound()[one.green] == 40


@pytest.mark.parametrize("wave", [1, 2, 3, 4])
async def test_whatever_is_worse_beside_it_takes_everything_back(tmp_path: Path, wave: int) -> None:
    def look(number: int, served: Served) -> Sequence[Shortfall]:
        worse = [Shortfall(WORSE, served.bindings[-1], "host:443")] if number == wave else []
        return [*canary_is_dead(number, served), *worse]

    async with stage(tmp_path, Eyes(finds=look)) as one:
        assert ((await one.rotate()).reason, one.bound()) == ("rolled_back", {"shop": 40})


async def test_an_endpoint_of_no_binding_that_was_dead_before_is_told_and_takes_nothing_back(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(finds=lambda _wave, _served: [as_before(None)])) as one:
        report = await one.report()
        assert (report.outcome, report.reason, report.failures) == ("failed", "not_reachable", (DEAD,))
        assert one.bound()[one.green] == 40


def test_a_deployment_that_is_served_as_well_as_before_does_not_go_back_with_another() -> None:
    dim, bad = cloud(rows={"a.example.com": False}), cloud(name="b", rows={"b.example.com": False})

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        [first] = [one for one in served.bindings if one.name == "a.example.com"]
        [second] = [one for one in served.bindings if one.name == "b.example.com"]
        return [as_before(first), Shortfall(WORSE, second, "b.example.com:443")]

    clouds = {"apig": dim, "b": bad}
    rotator = Rotator(clouds, verify, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))
    report = run_virtual(rotator.rotate(certificate(deployment(), deployment(gateway="b")), bundle()))
    assert [one.reason for one in report.deployments] == ["not_reachable", "rolled_back"]
    assert [one.stored.serial_number for one in (dim, bad) if one.stored] == [4660, 1]
