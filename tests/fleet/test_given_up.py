"""What is shown as given up: events tell of it, but not that somebody has put it back or dropped it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fleet.told import NOW, Outside, event, letter, model_of
from tests.support.virtual_time import run_virtual
from worker.beside import beside
from worker.broker.base import BrokerState
from worker.core.outcome import Report
from worker.effort import Effort
from worker.fleet.following import keep_letters
from worker.fleet.model import FleetModel
from worker.fleet.values import CertificateDetails, Fleet, GivenUp, Parked

ACTIVE, STANDBY = (BrokerState(is_connected=True, is_active=is_active) for is_active in (True, False))
YESTERDAY = NOW - timedelta(days=1)


def remedies(dead: Sequence[GivenUp]) -> list[tuple[str | None, str]]:
    return [(one.renewal_id, one.remedy) for one in dead]


def restarted(outside: Outside, *renewals: str) -> FleetModel:
    """Its history tells of these, which were given up."""
    model = model_of(outside)
    model.is_reading_history = True
    for renewal in renewals:
        model.recall(event(renewal, "failed", YESTERDAY))
    return model


async def page_of(model: FleetModel) -> CertificateDetails:
    details = await model.certificate("shop")
    assert details is not None
    return details


@pytest.mark.parametrize("role", [ACTIVE, STANDBY])
def test_where_the_broker_counts_none_nothing_of_before_is_shown_as_given_up(role: BrokerState) -> None:
    model = restarted(Outside(state=role), "r1", "r2")

    async def looks() -> tuple[Fleet, CertificateDetails, Fleet]:
        reading = await model.fleet()
        model.end_of_history()
        return reading, await page_of(model), await model.fleet()

    reading, page, fleet = run_virtual(looks())
    assert remedies(reading.dead) == [("r2", "find"), ("r1", "find")], "what became of them may not be read yet"
    assert (page.dead, page.standing.state) == ([], "failed")
    assert (fleet.dead, dict(fleet.states)["failed"]) == ([], 1)


def test_a_broker_that_is_not_there_counts_nothing() -> None:
    model = restarted(Outside(state=BrokerState(is_connected=False, is_active=False)), "r1")
    model.end_of_history()
    assert remedies(run_virtual(model.fleet()).dead) == [("r1", "find")]


def test_what_could_not_be_counted_is_not_taken_for_gone() -> None:
    """A broker that does not answer in time, or letters that are in another reader's hands."""
    outside = Outside(state=replace(STANDBY, dead=2))
    model = restarted(outside, "r1", "r2")

    async def looks() -> tuple[Fleet, Fleet, Fleet]:
        model.end_of_history()
        told = []
        for state in (outside.state, replace(STANDBY, is_counted=False), outside.state):
            outside.state = state
            told.append(await model.fleet())
            await asyncio.sleep(2.0)
        return told[0], told[1], told[2]

    for fleet in run_virtual(looks()):
        assert (remedies(fleet.dead), fleet.certificates[0].state) == ([("r2", "replay"), ("r1", "replay")], "dead")


def test_what_is_told_before_it_is_buried_is_shown_at_once() -> None:
    outside = Outside()
    model = model_of(outside)

    async def looks() -> tuple[Fleet, Fleet]:
        model.told(event("r1", "failed"), Report("failed", "forbidden"))
        told = await model.fleet()
        outside.now = NOW + timedelta(seconds=30)
        await asyncio.sleep(2.0)
        return told, await model.fleet()

    told, later = run_virtual(looks())
    assert (remedies(told.dead), told.certificates[0].state) == ([("r1", "replay")], "dead")
    assert (later.dead, later.certificates[0].state) == ([], "failed")


def test_who_stands_by_offers_to_put_back_only_what_the_broker_counts_too() -> None:
    outside = Outside(letters=[letter("m1", "r1")], state=replace(STANDBY, dead=2))
    model = restarted(outside, "r1", "r2")
    model.end_of_history()

    async def looks() -> list[list[tuple[str | None, str]]]:
        seen = []
        async with beside(keep_letters(model)):
            for counted in (2, 1, 3):
                outside.state = replace(STANDBY, dead=counted)
                await asyncio.sleep(100)
                seen.append(remedies((await model.fleet()).dead))
                assert remedies((await page_of(model)).dead) == seen[-1]
        return seen

    known, gone, more = run_virtual(looks())
    assert known == [("r2", "replay"), ("r1", "replay")]
    assert gone == more == [("r2", "find"), ("r1", "find")]
    assert outside.reads == 0


def test_whoever_waits_for_news_hears_that_something_may_be_gone() -> None:
    outside = Outside(state=replace(STANDBY, dead=1), now=YESTERDAY)
    model = restarted(outside, "r1", "r2")
    model.end_of_history()

    async def news() -> tuple[bool, int]:
        fleet = await model.fleet()
        outside.now = NOW
        await model.changed(fleet.version)
        return fleet.dead[0].is_certain, len([one for one in (await model.fleet()).dead if one.is_certain])

    assert run_virtual(news()) == (True, 0)


def test_what_was_put_back_is_given_up_no_longer_once_it_is_under_way() -> None:
    outside = Outside(state=replace(ACTIVE, dead=1))
    model = restarted(outside, "r1")
    model.end_of_history()

    async def looks() -> list[tuple[str, Sequence[GivenUp]]]:
        assert remedies((await model.fleet()).dead) == [("r1", "replay")]
        outside.state, seen = ACTIVE, []
        with model.rotating("shop", "r1", 1, Effort()):
            seen.append(await model.fleet())
        model.parked(Parked("shop", "r1", "throttled", NOW, NOW + timedelta(seconds=30)), is_named=True)
        seen.append(await model.fleet())
        return [(one.certificates[0].state, one.dead) for one in seen]

    assert run_virtual(looks()) == [("rotating", []), ("parked", [])]


def test_the_dead_letters_are_read_though_nobody_looks_on() -> None:
    outside = Outside(letters=[letter("m2", "r2")], state=replace(ACTIVE, dead=1))
    model = restarted(outside, "r1", "r2")
    model.end_of_history()

    async def goes_on() -> Fleet:
        async with beside(keep_letters(model)):
            await asyncio.sleep(30)
            assert outside.reads == 1
            return await model.fleet()

    assert remedies(run_virtual(goes_on()).dead) == [("r2", "replay")]
