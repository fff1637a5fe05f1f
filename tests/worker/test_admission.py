"""Which rotations are worked on, in virtual time."""

import asyncio

from tests.support.virtual_time import run_virtual
from worker.admission import Admission
from worker.effort import Effort


async def rotate(admission: Admission, log: list[str], name: str, *gateways: str, urgent: bool = False) -> None:
    async with admission.place(Effort(urgent=urgent), frozenset(gateways)):
        log.append(name)
        await asyncio.sleep(10)


def started(*rotations: tuple[str, str, bool], most: int = 4, within: float = 5) -> list[str]:
    """Those of (name, gateway, urgent), in the order in which they began, within so many seconds."""

    async def scenario() -> list[str]:
        admission, log = Admission(most, is_shared=True), list[str]()
        tasks = [asyncio.create_task(rotate(admission, log, name, at, urgent=urgent)) for name, at, urgent in rotations]
        await asyncio.sleep(within)
        begun = list(log)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await rotate(admission, log, "afterwards", "a")
        return begun

    return run_virtual(scenario())


MANY = [(f"a{number}", "a", False) for number in range(40)]


def test_one_gateway_never_has_all_places() -> None:
    assert started(*MANY, ("b", "b", False)) == ["a0", "a1", "a2", "b"]


def test_an_urgent_one_waits_for_nobody() -> None:
    assert started(*MANY, ("b0", "b", False), ("b1", "b", False), ("urgent", "a", True))[-1] == "urgent"


def test_one_that_becomes_urgent_while_it_waits_leaves_the_ordinary_line() -> None:
    async def scenario() -> float:
        admission, effort = Admission(4), Effort()
        tasks = [asyncio.create_task(rotate(admission, [], str(number), "a")) for number in range(40)]
        place = admission.place(effort, frozenset({"a"}))
        waiting = asyncio.create_task(place.__aenter__())
        await asyncio.sleep(1)
        effort.hasten()
        await waiting
        began = asyncio.get_running_loop().time()
        await place.__aexit__()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return began

    assert run_virtual(scenario()) == 1


def test_one_that_gives_up_after_it_became_urgent_costs_no_place() -> None:
    async def scenario() -> list[str]:
        admission, effort, log = Admission(1), Effort(), list[str]()
        first, second = (asyncio.create_task(rotate(admission, log, name, "a", urgent=True)) for name in ("0", "1"))
        waiting = asyncio.create_task(admission.place(effort, frozenset({"a"})).__aenter__())
        await asyncio.sleep(1)
        effort.hasten()
        waiting.cancel()
        await asyncio.gather(first, second, waiting, return_exceptions=True)
        await rotate(admission, log, "next", "a")
        return log

    assert run_virtual(scenario()) == ["0", "1", "next"]


def test_no_more_work_at_once_than_there_are_places() -> None:
    mixed = [(f"{at}{number}", at, False) for number in range(10) for at in "abc"]
    assert len(started(*mixed)) == 4
    assert len(started(*mixed, within=15)) == 8


def test_with_one_place_they_go_one_after_the_other() -> None:
    assert started(*MANY, most=1, within=25) == ["a0", "a1", "a2"]


def test_whoever_gives_up_costs_no_place() -> None:
    async def scenario() -> list[str]:
        admission, log = Admission(1), list[str]()
        tasks = [asyncio.create_task(rotate(admission, log, str(number), "a")) for number in range(5)]
        await asyncio.sleep(1)
        for task in tasks:  # the one at work and those that wait, in the same moment
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await rotate(admission, log, "next", "a")
        return log

    assert run_virtual(scenario()) == ["0", "next"]
