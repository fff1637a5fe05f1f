"""The collector of cycles passes over what lives for long, and looks through it once a day."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clouds import settings_for
from tests.support.virtual_time import run_virtual
from worker.app import run
from worker.cycles import look_through_all, spared
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority

HOUR = 3600.0


class Ring:
    """Garbage that only the collector finds, once it is let go."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def _spared() -> Iterator[None]:
    with spared():
        yield


def survivor(*passages: int) -> weakref.ref[Ring]:
    """One that has survived passages through these generations, and is garbage since."""
    ring = Ring()
    for generation in passages:
        gc.collect(generation)
    return weakref.ref(ring)


def after(hours: float, is_idle: Callable[[], bool], then: Callable[[], object] = lambda: None) -> None:
    """`then` is called at the end of the first day, before whatever is left of them."""

    async def waiting() -> None:
        looking = asyncio.create_task(look_through_all(is_idle))
        await asyncio.sleep(min(hours, 24) * HOUR + 1)
        then()
        await asyncio.sleep(max(hours - 24, 0) * HOUR)
        looking.cancel()

    run_virtual(waiting())


@pytest.mark.usefixtures("_spared")
def test_what_has_survived_a_whole_passage_is_passed_over_and_what_is_new_is_not() -> None:
    old, young, new = survivor(2), survivor(0, 1), survivor()
    gc.collect()
    assert [one() is None for one in (old, young, new)] == [False, True, True]


def test_what_is_there_at_the_start_is_passed_over_until_the_end() -> None:
    before, ring = (gc.get_threshold(), list(gc.callbacks)), Ring()
    with spared():
        seen = weakref.ref(ring)
        del ring
        gc.collect()
        assert seen() is not None
        assert gc.get_threshold() != before[0]
    assert (gc.get_threshold(), gc.callbacks, gc.get_freeze_count()) == (*before, 0)
    gc.collect()
    assert seen() is None


@pytest.mark.usefixtures("_spared")
def test_the_whole_is_looked_through_once_a_day() -> None:
    first, later = survivor(2), list[weakref.ref[Ring]]()
    after(23, lambda: True)
    assert first() is not None
    after(47, lambda: True, lambda: later.append(survivor(2)))
    assert (first() is None, later[0]() is None) == (True, False)
    after(49, lambda: True, lambda: later.append(survivor(2)))
    assert [one() is None for one in later] == [True, True]


@pytest.mark.usefixtures("_spared")
@pytest.mark.parametrize(("hours", "is_gone"), [(24.9, False), (25.1, True)])
def test_it_waits_for_rotations_but_no_longer_than_an_hour(hours: float, is_gone: bool) -> None:
    ring = survivor(2)
    after(hours, lambda: False)
    assert (ring() is None) is is_gone


async def test_so_it_is_in_the_service_for_as_long_as_it_runs(tmp_path: Path) -> None:
    before, stopping = gc.get_threshold(), asyncio.Event()
    async with Sandbox() as sandbox:
        deployment = {"gateway": "apig", "certificate_id": "c1", "domains": "attached"}
        settings = settings_for(sandbox, Authority.create(), tmp_path, {"shop": [deployment]})
        worker = asyncio.create_task(run(settings, stopping=stopping))
        async with asyncio.timeout(60):
            while gc.get_threshold() == before and not worker.done():
                await asyncio.sleep(0.02)
        assert gc.get_threshold() != before
        stopping.set()
        await worker
    assert gc.get_threshold() == before
