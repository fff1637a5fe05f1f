"""The collector of cycles passes over what lives for long, and looks through it once a day."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from tests.support.virtual_time import run_virtual
from worker.cycles import look_through_all, spare_the_collector

HOUR = 3600.0


class Ring:
    """Garbage that only the collector finds, once it is let go."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _spared() -> Iterator[None]:
    before, callbacks = gc.get_threshold(), list(gc.callbacks)
    spare_the_collector()
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*before)
    gc.unfreeze()


def passed_over() -> weakref.ref[Ring]:
    """One that has survived a whole passage, and is garbage since."""
    ring = Ring()
    gc.collect()
    return weakref.ref(ring)


def after(hours: float, is_idle: Callable[[], bool]) -> None:
    async def waiting() -> None:
        looking = asyncio.create_task(look_through_all(is_idle))
        await asyncio.sleep(hours * HOUR + 1)
        looking.cancel()

    run_virtual(waiting())


def test_what_has_survived_a_whole_passage_is_passed_over_and_what_is_new_is_not() -> None:
    old, new = passed_over(), weakref.ref(Ring())
    gc.collect()
    assert (old() is None, new() is None) == (False, True)


def test_the_whole_is_looked_through_once_a_day() -> None:
    ring = passed_over()
    after(23, lambda: True)
    assert ring() is not None
    after(24, lambda: True)
    assert ring() is None


@pytest.mark.parametrize(("hours", "is_gone"), [(24.9, False), (25.1, True)])
def test_it_waits_for_rotations_but_no_longer_than_an_hour(hours: float, is_gone: bool) -> None:
    ring = passed_over()
    after(hours, lambda: False)
    assert (ring() is None) is is_gone
