"""Reading takes its time too, before there is a plan and once all is attached: no estimate forgets it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.limits.sending import send
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.core.outcome import BindingResult
from worker.core.planning import Modify, Observed, Plan
from worker.effort import Effort, spending
from worker.forecast import Forecast, Work
from worker.limits import Limits, Window
from worker.rotation import Rotator

FOUR: Final = tuple(domain(f"d{number}.example.com") for number in range(4))


@dataclass
class Narrow(FakeGateway):
    """Five calls in 25 seconds."""

    limits: Limits = field(default_factory=lambda: Limits([Window(5, 25)], 8))

    def seconds_for(self, calls: int) -> float:
        return self.limits.seconds_for(calls)


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


@pytest.mark.parametrize("is_background", [False, True])
def test_a_rotation_that_is_not_planned_yet_is_under_way_and_a_look_at_what_is_there_is_none(
    *, is_background: bool
) -> None:
    told: list[float] = []

    class Reading(FakeGateway):
        async def observe(self, *args: Any, **kwargs: Any) -> Observed:
            told.append(rotator.forecast.seconds_left("apig"))
            return await super().observe(*args, **kwargs)

    rotator = Rotator({"apig": Reading(stored(), {"a.example.com": False}, held_for=40.0)})
    with spending(Effort(is_background=is_background)):
        run_virtual(rotator.rotate(certificate(), bundle()))
    assert told[0] == (0.0 if is_background else 40.5)
    assert rotator.forecast.seconds_left("apig") == 0
