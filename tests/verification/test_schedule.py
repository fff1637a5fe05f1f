"""When it is looked: in virtual time."""

import asyncio

import pytest

from tests.support.virtual_time import run_virtual
from worker.core.errors import Failure
from worker.verification.looking import until_served

OLD = Failure("still_old", "", transient=True)


def looks(*, within: float, good_after: float = 1e9, takes: float = 0.0) -> tuple[list[float], Failure | None]:
    """When it was looked, and what came of it, where a look takes its time and all is well some time later."""

    async def looked() -> tuple[list[float], Failure | None]:
        at = list[float]()
        clock = asyncio.get_running_loop().time

        async def look() -> Failure | None:
            at.append(round(clock(), 3))
            await asyncio.sleep(takes)
            return None if clock() >= good_after else OLD

        return at, await until_served(look, within)

    return run_virtual(looked())


def test_it_is_looked_early_and_often_then_less_often_and_once_more_at_the_end() -> None:
    at, failure = looks(within=20)
    assert at == [0, 0.2, 0.6, 1.4, 3, 6.2, 11.2, 16.2, 20]
    assert failure == OLD


def test_nobody_looks_again_at_what_is_served() -> None:
    assert looks(within=60, good_after=1) == ([0, 0.2, 0.6, 1.4], None)
    assert looks(within=60, good_after=0) == ([0], None)


@pytest.mark.parametrize("within", [0.1, 4.9])
def test_a_look_that_takes_longer_than_there_is_time_is_the_last(within: float) -> None:
    assert looks(within=within, takes=5) == ([0], OLD)
