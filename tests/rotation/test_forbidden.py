"""An account that may not attach, or not all: no storm of calls, and what it may attach is found."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from tests.rotation.test_blue_green import MANY, Eyes, stage
from tests.rotation.test_canary import gone, plan
from tests.rotation.test_going_back import Attempts, Slices
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Deployment
from worker.core.moving import MOST_FORBIDDEN, drawn, next_wave
from worker.core.outcome import BindingResult
from worker.core.planning import Plan, Stored
from worker.gateways.base import Gateway, OnResult
from worker.sandbox.world import Fault


def forbidden(match: str = "") -> Fault:
    return Fault("attach_domains", status=403, body={"error_code": "APIG.1005"}, times=None, match=match)


class Drawing(Slices):
    """A gateway, and the order in which it was asked for what."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.tried: list[str] = []

    async def attach(
        self,
        deployment: Deployment,
        to: Stored,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        self.tried += [one.name for one in bindings][: self.left]
        return await super().attach(deployment, to, bindings, bundle, on_result)


@pytest.mark.parametrize("waves", [(1, 0.1, 1.0), (0.1, 1.0)])
async def test_an_account_that_may_attach_nothing_is_asked_so_often_in_waves_and_no_more(
    tmp_path: Path, waves: Sequence[float]
) -> None:
    async with stage(tmp_path) as one:
        one.world.faults.append(forbidden())
        report = await one.rotate(bindings=(*gone(one, 80), *one.bindings), waves=waves)
        failures = [it.failure for it in report.bindings if it.failure is not None]
        assert {(why.reason, why.transient) for why in failures} == {("forbidden", False)}
        assert (len(failures), one.bound()) == (120, {"shop": 40, one.green: 0})
        first = 1 if waves[0] == 1 else 12 + 39  # chunk, its halves, and single ones of it
        assert len(one.world.calls("attach_domains")) <= first + MOST_FORBIDDEN
        assert len([why for why in failures if why.message.startswith("not tried, because 40")]) >= 120 - 12 - 40


async def test_what_an_account_may_attach_is_found_behind_what_it_may_not(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.faults += [forbidden(f"host-0{tens}") for tens in (0, 1, 2)]
        attempts = Attempts(one, drawing := Drawing(one.gateway), chance=lambda: 0.99)
        report = await attempts.rotate()
        assert drawing.tried[:2] == [MANY[0], MANY[-1]]
        assert (one.bound()[one.green], len(report.failures)) == (10, 30)
        assert one.eyes.waves[:1] == [1]


async def test_what_is_found_is_proven_alone_before_more_moves(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda _wave, _served: True)) as one:
        one.world.faults += [forbidden(f"host-0{tens}") for tens in (0, 1, 2)]
        report = await one.rotate(waves=(4, 1.0))
        assert [it.state for it in report.bindings].count("rolled_back") == 1
        assert (one.eyes.waves, one.bound()) == ([1], {"shop": 40})


async def test_what_the_account_may_not_after_it_was_allowed_something_ends_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.faults += [forbidden("host-001"), forbidden("host-003")]
        await one.rotate()
        assert (one.eyes.waves, one.bound()[one.green]) == ([1, 2, 38], 38)


async def test_a_later_time_slice_does_not_begin_with_the_same_ones_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        bindings = (*gone(one, 99), one.bindings[0])
        golden = (number * 0.618 % 1 for number in count())
        attempts = Attempts(one, drawing := Drawing(one.gateway), bindings=bindings, chance=lambda: next(golden))
        tried = []
        for _slice in range(3):
            drawing.left, drawing.tried = 12, []
            await attempts.cut(drawing.hangs)
            tried.append(drawing.tried)
        assert [len(set(each)) for each in tried] == [12, 12, 12]
        assert {each[0] for each in tried} == {"gone-00.example.com"}
        assert len({name for each in tried for name in each}) > 24


def names(todo: Plan | None) -> str:
    return "" if todo is None else "".join(one.name for one in todo.attach)


@pytest.mark.parametrize(
    ("chance", "provable", "refused", "expected"),
    [
        (0.0, 0, 1, "abcddef"),
        (0.99, 0, 1, "afbcdde"),
        # Those of one name come together.
        (0.5, 0, 1, "addbcef"),
        (0.65, 0, 1, "addbcef"),
        # What can be proven goes first, and then as many of the others.
        (0.99, 3, 39, "acbddef"),
        (0.99, 1, 39, "afbcdde"),
        (0.0, 3, 40, "addbcef"),
        (0.99, 3, 79, "afbcdde"),
        (0.99, 7, 79, "afbcdde"),
        (0.99, 3, 80, ""),
        (0.99, 0, 40, ""),
    ],
)
def test_who_is_next_is_drawn_from_those_that_wait(chance: float, provable: int, refused: int, expected: str) -> None:
    todo = Plan(plan("", 1).replacement, plan("abcddef").attach, (), waves=(1, 6), provable=provable)
    assert names(drawn(todo, 1, chance, refused)) == expected


def test_what_can_still_be_proven_is_known_after_another_one_was_drawn() -> None:
    todo = Plan(plan("").replacement, plan("abcdef").attach, (), waves=(1, 5), provable=3)
    told = [drawn(todo, at, 0.99, refused) for at, refused in ((1, 1), (1, 40), (3, 1))]
    assert [None if one is None else one.provable for one in told] == [3, 4, 3]


def test_when_all_had_their_turn_nobody_is_drawn() -> None:
    todo = plan("abc", 1, 2)
    assert drawn(todo, 3, 0.99, 3) == todo


def test_a_wave_behind_what_was_drawn_takes_no_name_apart() -> None:
    todo = drawn(plan("bcaade", 2, 2, 2), 0, 0.99)
    assert (todo is not None, names(todo)) == (True, "ebcaad")
    wave = next_wave(todo or plan(""), 2, has_canary=True)
    assert wave is not None
    assert "".join(one.name for one in wave.bindings) == "caa"
