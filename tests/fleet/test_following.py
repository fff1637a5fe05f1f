"""Keeping up with what workers tell, whatever becomes of the broker."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

from tests.fleet.told import NOW, event, model_of, told_deployment
from tests.support.values import certificate, day, deployment
from tests.support.virtual_time import run_virtual
from worker.beside import beside
from worker.broker.base import Batch, BrokerError, BrokerLostError, BrokerState, TopologyError
from worker.core.deployment import Certificate
from worker.core.outcome import Report
from worker.fleet.following import keep_up
from worker.fleet.model import FleetModel
from worker.fleet.values import Fleet


@dataclass
class History:
    """What was told, and what comes of reading on, in turns: an error, or nothing that is wrong."""

    events: list[Mapping[str, Any]]
    ends: list[BrokerError] = field(default_factory=list)
    asked_after: list[int | None] = field(default_factory=list)
    connected_at: float = 0.0

    async def state(self) -> BrokerState:
        is_connected = asyncio.get_running_loop().time() >= self.connected_at
        return BrokerState(is_connected=is_connected, is_active=is_connected)

    async def following(self, after: int | None = None) -> AsyncGenerator[Batch]:
        assert (await self.state()).is_connected
        self.asked_after.append(after)
        at = after or 0
        while True:
            found = self.events[at : at + 1]
            if self.ends and not found:
                raise self.ends.pop(0)
            at += len(found)
            yield Batch(at, found)
            await asyncio.sleep(0 if found else 0.5)


def seen(history: History, tell: Callable[[Any], None] = lambda _model: None, seconds: float = 200) -> Fleet:
    model = model_of()
    model.is_reading_history = True
    broker: Any = history

    async def look() -> Fleet:
        async with beside(keep_up(model, broker)):
            await asyncio.sleep(1.0)
            tell(model)
            await asyncio.sleep(seconds)
            return await model.fleet()

    return run_virtual(look())


def told(fleet: Fleet) -> Sequence[str | None]:
    return tuple(one.renewal_id for one in fleet.recent)


def some(*names: str) -> list[Mapping[str, Any]]:
    return [event(name, "succeeded", day(number), told_deployment()) for number, name in enumerate(names, 10)]


def test_what_was_told_before_and_what_is_told_since_is_known() -> None:
    history = History(some("r1", "r2"))

    def tell(_model: Any) -> None:
        history.events += some("r1", "r2", "r3")[2:]

    fleet = seen(history, tell)
    assert (told(fleet), fleet.is_reading_history, fleet.history_problem) == (("r3", "r2", "r1"), False, None)


class Busy(History):
    """Something is told twice a second: the first four were before it was read."""

    async def following(self, after: int | None = None) -> AsyncGenerator[Batch]:
        self.asked_after.append(after)
        for number in count(1):
            yield Batch(number, [event(f"r{number}", "succeeded", NOW + timedelta(seconds=number / 2 - 2))])
            await asyncio.sleep(0.5)


def test_the_history_ends_where_something_is_told_all_the_time() -> None:
    mine = event("mine", "succeeded", NOW + timedelta(seconds=1))
    busy = Busy([])
    fleet = seen(busy, lambda model: model.told(mine, Report("succeeded", "rotated")), seconds=4)
    assert (busy.asked_after, fleet.is_reading_history) == ([None], False)
    assert told(fleet)[-6:] == ("mine", "r5", "r4", "r3", "r2", "r1")


def test_after_the_link_was_lost_it_goes_on_where_it_was() -> None:
    history = History(some("r1", "r2"), [BrokerLostError("the broker is lost"), BrokerLostError("again")])
    fleet = seen(history)
    assert history.asked_after == [None, 2, 2]
    assert (told(fleet), fleet.is_reading_history) == (("r2", "r1"), False)


def test_before_the_worker_has_a_broker_there_is_nothing_to_be_read() -> None:
    fleet = seen(History(some("r1"), connected_at=300))
    assert (told(fleet), fleet.is_reading_history) == ((), True)


def test_without_a_history_it_shows_what_this_process_tells_and_says_what_is_missing() -> None:
    history = History([], [TopologyError("history_stream: no right to read it")] * 10)
    fleet = seen(history, lambda model: model.told(some("r1")[0], Report("succeeded", "rotated")))
    assert told(fleet) == ("r1",)
    assert fleet.history_problem == "history_stream: no right to read it"


def test_once_there_is_a_history_again_nothing_is_missing() -> None:
    fleet = seen(History([], [TopologyError("no stream")]))
    assert (fleet.history_problem, fleet.is_reading_history) == (None, False)


def test_a_certificate_that_comes_into_the_settings_learns_what_was_told_of_it_and_nothing_else_counts_twice() -> None:
    told_of = {"shop": some("r1", "r2", "r3"), "new": [named(one) for one in some("n1", "n2", "n3")]}
    history = History([told_of["new"][0], told_of["shop"][0], told_of["new"][1], told_of["shop"][1]])
    seen_by: list[FleetModel] = []

    def tell(model: FleetModel) -> None:
        seen_by.append(model)
        model.keep_to({**model.certificates, **newcomer()})
        for one in (told_of["new"][2], told_of["shop"][2]):
            history.events.append(one)
            model.told(one, Report("succeeded", "rotated"))

    fleet = seen(history, tell)
    assert (history.asked_after, fleet.is_reading_history) == ([None, None], False)
    assert [sum(one.total for one in series.buckets) for series in fleet.series if series.name == "months"] == [6]
    assert told(fleet) == ("r3", "n3", "r2", "n2", "r1", "n1")
    new = run_virtual(seen_by[0].certificate("new"))
    assert new is not None
    assert (new.standing.state, new.standing.serial_numbers) == ("served", ("2",))
    assert [one.renewal_id for one in new.history] == ["n3", "n2", "n1"]


def test_what_is_read_again_counts_once_though_it_was_told_long_ago() -> None:
    number = 5100  # more than the model knows one by one
    history = History([event(f"r{one}", "succeeded", day(20)) for one in range(number)])
    fleet = seen(history, lambda model: model.keep_to({**model.certificates, **newcomer()}))
    assert (history.asked_after, fleet.is_reading_history) == ([None, None], False)
    assert [sum(one.total for one in series.buckets) for series in fleet.series if series.name == "months"] == [number]


def newcomer() -> Mapping[str, Certificate]:
    return {"new": replace(certificate(deployment()), name="new")}


def named(one: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**one, "subject": "new"}
