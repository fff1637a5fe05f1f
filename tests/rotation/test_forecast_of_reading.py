"""Reading takes its time too, before there is a plan and once all is attached: no estimate forgets it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.limits.sending import send
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Deployment
from worker.core.outcome import BindingResult
from worker.core.planning import Modify, Observed, Plan
from worker.effort import Effort, current_effort, spending
from worker.forecast import Forecast, Work
from worker.limits import Limits, Window
from worker.rotation import Rotator

FOUR: Final = tuple(domain(f"d{number}.example.com") for number in range(4))


@dataclass
class Narrow(FakeGateway):
    """Five calls in 25 seconds."""

    limits: Limits = field(default_factory=lambda: Limits([Window(5, 25)], 8))

    def seconds_for(self, calls: int, longest: int | None = None) -> float:
        return self.limits.seconds_for(calls, longest)


async def attach(cloud: Narrow, work: Work) -> None:
    """The PUT, and every binding: all that the window has room for."""
    await send(cloud.limits)
    for one in FOUR:
        await send(cloud.limits)
        work.heard(BindingResult(one, "attached"))


def test_once_all_is_attached_the_estimate_is_what_reading_back_waits_for() -> None:
    async def scenario() -> None:
        forecast, cloud, time = Forecast(), Narrow(stored(), {}), asyncio.get_running_loop().time
        told: list[tuple[float, float, float]] = []

        async def look(work: Work) -> None:
            while True:
                told.append((time(), work.seconds_left(), forecast.seconds_left("apig")))
                await asyncio.sleep(1)

        with spending(Effort()), forecast.of(cloud, deployment(), Plan(Modify(stored()), FOUR, ())) as work:
            await attach(cloud, work)
            looking = asyncio.create_task(look(work))
            sent_at = await send(cloud.limits)
            looking.cancel()
            assert work.calls_left == 1, "it is not over yet: what is not shown by now is looked for again"
        assert len(told) == 25
        for at, *estimates in told:
            assert estimates == [pytest.approx(sent_at - at, abs=0.5)] * 2
        assert forecast.seconds_left("apig") == 0

    run_virtual(scenario())


def test_what_was_read_back_is_not_waited_for_again() -> None:
    with Forecast().of(FakeGateway(stored(), {}), deployment(), Plan(Modify(stored()), FOUR, ())) as work:
        work.closing, left = 3, []
        for one in FOUR:
            work.effort.calls += 1
            work.heard(BindingResult(one, "attached"))
        for _ in range(5):
            left.append(work.calls_left)
            work.effort.calls += 1
        assert left == [3, 2, 1, 1, 1], "some of them may be another deployment's"


@dataclass
class Reading(FakeGateway):
    """Half a second a call; a plan costs a PUT, a call for each binding, and one that reads back."""

    look: Callable[[], float] = float
    told: list[float] = field(default_factory=list)
    """What is left, told at each time of reading."""

    async def observe(self, deployment: Deployment, *args: Any, **kwargs: Any) -> Observed:
        self.told.append(self.look())
        current_effort().calls += 1
        if deployment.certificate_id == "slow":
            await asyncio.sleep(1)
            self.told.append(self.look())
        return await super().observe(deployment, *args, **kwargs)


def reading(rows: Sequence[str], **overrides: Any) -> tuple[Rotator, Reading]:
    cloud = Reading(stored(), dict.fromkeys(rows, False), **overrides)
    rotator = Rotator({"apig": cloud})
    cloud.look = lambda: rotator.forecast.seconds_left("apig")
    return rotator, cloud


def test_a_rotation_that_is_not_planned_yet_is_under_way_with_all_that_is_to_come() -> None:
    rotator, cloud = reading(["a.example.com"], held_for=40.0)
    with spending(Effort()):
        run_virtual(rotator.rotate(certificate(), bundle()))
    assert cloud.told[0] == 40 + 4 * 0.5, "reads, PUT, attach, and what reads back"
    assert rotator.forecast.seconds_left("apig") == 0


def test_a_look_at_what_is_there_is_no_rotation() -> None:
    rotator, cloud = reading(["a.example.com"], held_for=40.0)
    run_virtual(rotator.plans(certificate(), bundle().leaf))
    assert cloud.told == [0]


def test_what_is_listed_is_counted_and_what_is_read_already_is_not() -> None:
    rotator, cloud = reading(["a.example.com", "b.example.com"])
    listed = deployment(certificate_id="slow", bindings=(domain("a.example.com"), domain("b.example.com")))
    with spending(Effort()):
        run_virtual(rotator.rotate(certificate(listed), bundle()))
    assert cloud.told[:2] == [2.5, 2.0]


def test_each_deployment_counts_until_all_are_read() -> None:
    rotator, cloud = reading(["a.example.com"])
    both = deployment(), deployment(certificate_id="slow")
    with spending(Effort()):
        run_virtual(rotator.rotate(certificate(*both), bundle()))
    assert cloud.told[0] == 2 * 2.0
    assert cloud.told[2] == 2 * 1.5, "the first has a plan, and waits"


def test_of_what_is_attached_there_is_as_much_as_last_time() -> None:
    rotator, cloud = reading(["a.example.com", "b.example.com", "c.example.com"])
    for _ in range(2):
        with spending(Effort()):
            run_virtual(rotator.rotate(certificate(), bundle()))
    assert [one for one in cloud.told if one > 1.5] == [2.0, 3.0]
