"""One change at a time at a load balancer, and whose: in virtual time."""

import asyncio
from dataclasses import replace
from typing import Any

from tests.support.bycloud_cloud import Cloud, opened
from tests.support.values import deployment, listener, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding
from worker.effort import Effort, current_effort, spending
from worker.gateways.bycloud.load_balancers import LoadBalancers
from worker.limits import Limits, Window

MANY = 200


class Strict(Cloud):
    """Takes a call a second."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits([Window(1, 1.0)], 8)
        for name in ("large", "small"):
            self.add(id=name)

    async def send(self, request: Any) -> Any:
        async with self.limits.slot() as turn:
            turn.sending()
            current_effort().calls += 1
            return await super().send(request)


def at(load_balancer: str, number: int) -> Binding:
    return replace(listener(), name=f"listener-{number}", load_balancer=load_balancer)


async def waited(
    small: Effort, *, hastened_after: float | None = None, load_balancer: str = "lb", is_passed: bool = False
) -> float:
    """Seconds until one binding of `small` is done that came behind a rotation with very many at "lb".

    `is_passed`: an urgent one came to "lb" before it, and is done.
    """
    gateway, clock = opened(Strict()), asyncio.get_running_loop().time

    async def attach(effort: Effort, name: str, *bindings: Binding) -> None:
        with spending(effort):
            to = replace(stored(), certificate_id=name)
            results = await gateway.attach(deployment(), to, bindings, None, lambda _result: None)
        assert {one.state for one in results} == {"attached"}

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(attach(Effort(), "large", *(at("lb", number) for number in range(MANY))))
        await asyncio.sleep(5)
        if is_passed:
            await attach(Effort(urgent=True), "small", at("lb", MANY + 1))
        began = clock()
        one = tasks.create_task(attach(small, "small", at(load_balancer, MANY)))
        if hastened_after is not None:
            await asyncio.sleep(hastened_after)
            small.hasten()
        await one
        return clock() - began


def test_an_urgent_rotation_passes_before_all_that_waits_at_its_load_balancer() -> None:
    assert run_virtual(waited(Effort(urgent=True))) < 3


def test_who_becomes_urgent_while_it_waits_there_passes_too() -> None:
    sweep = Effort(is_background=True)
    assert run_virtual(waited(sweep, hastened_after=20)) < 23


def test_a_small_rotation_has_its_turn_between_the_changes_of_a_large_one() -> None:
    alone = run_virtual(waited(Effort(), load_balancer="another"))
    assert run_virtual(waited(Effort())) < 2 * alone + 3


def test_an_urgent_rotation_that_passed_there_leaves_the_others_as_they_were() -> None:
    async def behind_an_urgent_one() -> float:
        return await waited(Effort(), load_balancer="another", is_passed=True)

    alone = run_virtual(waited(Effort(), load_balancer="another"))
    assert run_virtual(behind_an_urgent_one()) < 2 * alone + 3


def test_whoever_gives_up_is_passed_over_and_nothing_is_kept_of_what_nobody_uses() -> None:
    async def tried() -> tuple[list[int], int]:
        turns, done = LoadBalancers(), list[int]()

        async def change(number: int) -> None:
            async with turns.turn("lb"):
                await asyncio.sleep(1)
                done.append(number)
            if number == 0:
                tasks[1].cancel()  # it was handed the turn, and has not woken up yet

        tasks = [asyncio.create_task(change(number)) for number in range(6)]
        await asyncio.sleep(0.5)
        tasks[2].cancel()
        await asyncio.wait(tasks)
        return done, len(turns)

    assert run_virtual(tried()) == ([0, 3, 4, 5], 0)


def test_waiting_there_is_waiting_for_a_turn() -> None:
    async def interrupted() -> bool:
        turns, effort = LoadBalancers(), Effort()

        async def change() -> None:
            with spending(effort):
                async with turns.turn("lb"):
                    await asyncio.sleep(10)

        async with turns.turn("lb"):
            waiting = asyncio.create_task(change())
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.wait([waiting])
        return effort.was_queueing

    assert run_virtual(interrupted())
