"""How long what is under way still takes."""

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limits.sending import send, together
from tests.support.fake_gateway import FakeGateway
from tests.support.values import deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.core.errors import NotAskedError
from worker.core.planning import Keep, Modify, Plan
from worker.effort import Effort, spending
from worker.forecast import Forecast, Work, sent_until
from worker.limits import Limits, Window
from worker.rotation import Rotator


def planned(domains: int) -> Plan:
    return Plan(Modify(stored()), tuple(domain(f"d{number}.example.com") for number in range(domains)), ())


GATEWAY = FakeGateway(stored(), {})
"""Half a second a call; a plan costs two calls and one a domain."""


@dataclass
class Sending(FakeGateway):
    """Under limits."""

    limits: Limits = field(default_factory=lambda: Limits([Window(20, 1), Window(3000, 300)], 8))

    def seconds_for(self, calls: int, longest: int | None = None) -> float:
        return self.limits.seconds_for(calls, longest)


def test_a_rotation_alone_needs_what_its_calls_need_and_less_with_every_binding() -> None:
    with Forecast().of(GATEWAY, deployment(), planned(8)) as work:
        assert (work.calls, work.seconds_left()) == (10, 5.0)
        work.left = 4
        assert work.seconds_left() == 3.0, "half of all, but for what is read back in the end"


def test_a_small_one_beside_a_large_one_waits_for_as_many_calls_as_it_has_itself() -> None:
    forecast = Forecast()
    with (
        forecast.of(GATEWAY, deployment(), planned(998)) as large,
        forecast.of(GATEWAY, deployment(), planned(8)) as small,
    ):
        assert small.seconds_left() == 10.0
        assert large.seconds_left() == pytest.approx(505)
        assert forecast.seconds_left("apig") == pytest.approx(505)
    assert forecast.seconds_left("apig") == 0


def test_every_other_turn_is_the_eldests() -> None:
    """Three of a hundred calls each: the eldest has half of the turns until it ends, and then the next one has."""
    with ExitStack() as works:
        forecast = Forecast()
        three = [works.enter_context(forecast.of(GATEWAY, deployment(), planned(98))) for _ in range(3)]
        assert [one.seconds_left() for one in three] == [100, 150, 150]
        three[0].left = 49
        assert three[0].seconds_left() == 51


def sent_step_by_step(left: list[int], mine: int, urgent: set[int]) -> int:
    """As `sent_until`, slow and exact."""
    if mine in urgent or not left[mine]:
        return sum(min(left[number], left[mine]) for number in urgent)
    rest = [Fraction(0 if number in urgent else calls) for number, calls in enumerate(left)]
    sent = Fraction(sum(left[number] for number in urgent))
    while rest[mine] >= 1:
        eldest, *others = [number for number, calls in enumerate(rest) if calls >= 1]
        step = min([rest[eldest] / max(len(others), 1), *(rest[number] for number in others)])
        for number in others:
            rest[number] -= step
        rest[eldest] -= step * max(len(others), 1)
        sent += step * (2 * len(others) or 1)
    return round(sent)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([False, False, True])), min_size=1, max_size=12),
    st.integers(0, 11),
)
def test_what_all_send_until_one_has_ended_is_what_turns_one_after_the_other_come_to(
    works: list[tuple[int, bool]], mine: int
) -> None:
    left, urgent = [calls for calls, _ in works], {number for number, (_, is_urgent) in enumerate(works) if is_urgent}
    mine %= len(left)
    exact = sent_step_by_step(left, mine, urgent)
    assert abs(sent_until(left, mine, urgent) - exact) <= 1, "half a call is rounded either way"


def test_an_estimate_looks_at_each_of_very_many_once() -> None:
    """Twice as many are no more than about twice the work."""

    def work(many: int) -> int:
        lines = 0

        def trace(_frame: FrameType, event: str, _arg: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            sent_until([20 + number * 7 % 40 for number in range(many)], many - 1)
        finally:
            sys.settrace(before)
        return lines

    assert work(400) <= 2.5 * work(200)


def test_of_all_that_is_under_way_an_account_is_asked_once() -> None:
    asked: list[int] = []

    class Asked(FakeGateway):
        def seconds_for(self, calls: int, longest: int | None = None) -> float:
            asked.append(calls)
            return super().seconds_for(calls, longest)

    forecast, cloud = Forecast(), Asked(stored(), {})
    with ExitStack() as works:
        for _ in range(3):
            works.enter_context(forecast.of(cloud, deployment(), planned(8)))
        assert (forecast.seconds_left("apig"), asked) == (15, [30])


def test_the_estimate_of_many_is_what_it_takes() -> None:
    """But for the first calls of each, which pass as those of small rotations do."""
    calls = [200, 600, 350, 150, 400]

    async def rotate(limits: Limits, count: int) -> float:
        await together(limits, count)
        return asyncio.get_running_loop().time()

    async def scenario() -> list[float]:
        limits = Limits([Window(20, 1)], 8)
        return await asyncio.gather(*(rotate(limits, count) for count in calls))

    for number, took in enumerate(run_virtual(scenario())):
        assert sent_until(calls, number) / 20 == pytest.approx(took, rel=0.1, abs=16 * len(calls) / 20)


def test_urgent_ones_are_before_all_others_and_share_evenly() -> None:
    """The same whoever asks, and also where they have become urgent meanwhile."""
    forecast, soon = Forecast(), Effort()
    with ExitStack() as works:

        def planned_by(effort: Effort, domains: int) -> Work:
            with spending(effort):
                return works.enter_context(forecast.of(GATEWAY, deployment(), planned(domains)))

        large, first, second = planned_by(Effort(), 998), planned_by(Effort(urgent=True), 98), planned_by(soon, 58)
        assert (first.seconds_left(), second.seconds_left()) == (50, 110)
        soon.hasten()
        assert (first.seconds_left(), second.seconds_left()) == (80, 60)
        assert large.seconds_left() == 580


def test_the_estimate_of_an_urgent_one_is_what_it_takes() -> None:
    async def rotate(forecast: Forecast, cloud: Sending, calls: int, *, urgent: bool) -> tuple[float, float]:
        began = asyncio.get_running_loop().time()
        with spending(Effort(urgent=urgent)), forecast.of(cloud, deployment(), planned(calls - 2)) as work:
            told = work.seconds_left()
            await asyncio.gather(*(send(cloud.limits) for _ in range(calls)))
            return told, asyncio.get_running_loop().time() - began

    async def scenario() -> tuple[float, float]:
        forecast, cloud = Forecast(), Sending(stored(), {})
        large = asyncio.create_task(rotate(forecast, cloud, 10_000, urgent=False))
        await asyncio.sleep(5)
        urgent = await rotate(forecast, cloud, 600, urgent=True)
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        return urgent

    told, took = run_virtual(scenario())
    assert told == pytest.approx(took, rel=0.05, abs=2)


def test_a_plan_of_nothing_takes_no_time() -> None:
    with Forecast().of(GATEWAY, deployment(), Plan(Keep(stored()), (), ())) as work:
        assert work.seconds_left() == 0


def test_what_was_put_off_waits_for_the_hold_until_somebody_is_at_work_there_again() -> None:
    forecast, cloud = Forecast(), FakeGateway(stored(), {}, held_for=40.0)
    assert forecast.seconds_left("apig") == 0, "nobody waits for it"
    forecast.put_off({"apig": cloud})
    assert forecast.seconds_left("apig") == 40
    with forecast.of(cloud, deployment(), planned(8)):
        assert forecast.seconds_left("apig") == 45
    assert forecast.seconds_left("apig") == 0


def test_renewals_that_are_not_even_begun_while_their_gateway_is_held_are_put_off() -> None:
    @dataclass
    class Held(FakeGateway):
        def refusal(self) -> NotAskedError:
            return NotAskedError("throttled", hold=self.held_for)

    rotator = Rotator({"apig": Held(stored(), {}, held_for=700.0)})
    with pytest.raises(NotAskedError):
        rotator.check_open({"apig"})
    assert rotator.forecast.seconds_left("apig") == 700
