"""The fleet as it is known to one process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

from tests.fleet.told import NOW, Outside, event, letter, model_of, told_deployment
from tests.support.values import certificate, day, deployment
from tests.support.virtual_time import run_virtual
from worker.beside import beside
from worker.broker.base import EXPOSED, BrokerLostError, BrokerState, Dead
from worker.core.deployment import Binding
from worker.core.outcome import BindingResult, DeploymentReport, Report
from worker.effort import Effort
from worker.fleet.following import keep_letters
from worker.fleet.latest import Bindings, Histories, Listings
from worker.fleet.model import FleetModel
from worker.fleet.standing import Ended
from worker.fleet.told import told_in
from worker.fleet.values import BindingStanding, Fleet, Parked


async def state_of(model: FleetModel, after: int = 2) -> str:
    """Of its certificate, at the end of so many seconds in which somebody looks on."""
    for _ in range(after):
        await asyncio.sleep(1.0)
        await model.fleet()
    [standing] = (await model.fleet()).certificates
    return standing.state


def parked(renewal_id: str = "r1") -> Parked:
    return Parked("shop", renewal_id, "throttled", NOW, NOW + timedelta(seconds=30))


def test_an_outcome_that_is_heard_of_twice_counts_once() -> None:
    model = model_of()
    told = event("r1", "succeeded", NOW, told_deployment())
    model.told(told, Report("succeeded", "rotated"))
    model.recall(told)
    model.recall(event("r1", "succeeded", NOW + timedelta(seconds=1), told_deployment()))
    fleet = run_virtual(model.fleet())
    assert [sum(one.total for one in series.buckets) for series in fleet.series] == [2, 2, 2]
    assert len(fleet.recent) == 2


def test_what_is_told_while_the_history_is_read_comes_after_it() -> None:
    model = model_of()
    model.is_reading_history = True
    model.told(event("r2", "failed", day(20)), Report("failed", "forbidden"))
    model.recall(event("r1", "succeeded", day(19), told_deployment()))
    assert run_virtual(model.fleet()).recent[0].renewal_id == "r1"
    model.end_of_history()
    fleet = run_virtual(model.fleet())
    assert [one.renewal_id for one in fleet.recent] == ["r2", "r1"]
    details = run_virtual(model.certificate("shop"))
    assert details is not None
    assert [one.renewal_id for one in details.history] == ["r2", "r1"]


def test_every_binding_is_known_by_name_of_what_was_rotated_while_the_history_was_read() -> None:
    model = model_of()
    model.is_reading_history = True
    bound = [BindingResult(Binding("domain", name), "attached") for name in ("a", "b")]
    report = DeploymentReport(deployment(), "succeeded", "rotated", "c1", replaced=True, bindings=bound)
    model.told(event("r2", "succeeded", day(20), told_deployment()), Report("succeeded", "rotated", None, [report]))
    model.recall(event("r1", "succeeded", day(19), told_deployment()))
    model.end_of_history()
    details = run_virtual(model.certificate("shop"))
    assert details is not None
    [place] = details.deployments
    assert (place.is_complete, [one.name for one in place.bindings]) == (True, ["a", "b"])


def test_the_broker_is_asked_once_a_second_however_many_ask() -> None:
    outside = Counted()
    model = model_of(outside)

    async def looks() -> int:
        await asyncio.gather(*(model.state() for _ in range(10)), model.fleet())
        at_once = outside.looks
        await asyncio.sleep(1.5)
        await model.state()
        return at_once

    assert (run_virtual(looks()), outside.looks) == (1, 2)


@dataclass
class Counted(Outside):
    looks: int = 0

    async def counts(self) -> BrokerState:
        self.looks += 1
        await asyncio.sleep(0.1)
        return self.state


def test_a_certificates_state_follows_what_becomes_of_its_renewals() -> None:
    outside = Outside()
    model = model_of(outside)

    async def states() -> AsyncIterator[str]:
        yield await state_of(model)
        with model.rotating("shop", "r1", 1, Effort()):
            yield await state_of(model)
        model.parked(parked(), is_named=True)
        yield await state_of(model)
        with model.rotating("shop", "r1", 2, Effort()):
            yield await state_of(model)
        outside.state = replace(outside.state, dead=1)
        model.told(event("r1", "failed"), Report("failed", "forbidden"))
        yield await state_of(model)
        outside.state = replace(outside.state, dead=0)
        model.told(event("r1", "succeeded", NOW + timedelta(seconds=1)), Report("succeeded", "rotated"))
        yield await state_of(model)

    async def all_of_them() -> tuple[list[str], Fleet]:
        return [one async for one in states()], await model.fleet()

    seen, fleet = run_virtual(all_of_them())
    assert seen == ["unknown", "rotating", "parked", "rotating", "dead", "served"]
    assert (fleet.parked, fleet.dead, fleet.states["served"]) == ([], [], 1)
    assert sum(fleet.states.values()) == 1


def test_where_the_broker_counts_other_dead_letters_than_were_told_they_are_read_and_not_again_and_again() -> None:
    outside = Outside(letters=[letter("m1", "r1"), letter("m2", "r2")])
    outside.state = replace(outside.state, dead=2)
    model = model_of(outside)
    model.recall(event("r9", "failed", day(18)))

    async def looking_on() -> Fleet:
        async with beside(keep_letters(model)):
            await state_of(model, after=4)
            assert outside.reads == 0, "an outcome is told before its message is buried"
            await state_of(model, after=200)
            return await model.fleet()

    assert [one.id for one in run_virtual(looking_on()).dead] == ["m2", "m1"]
    assert outside.reads == 1


def test_who_stands_by_never_takes_the_dead_letters_out_of_anybodys_sight() -> None:
    outside = Outside(letters=[letter("m1", "r1")], state=BrokerState(is_connected=True, is_active=False, dead=1))
    model = model_of(outside)

    async def looking_on() -> None:
        async with beside(keep_letters(model)):
            await state_of(model, after=200)

    run_virtual(looking_on())
    assert outside.reads == 0


def test_nobodys_page_waits_while_the_dead_letters_are_read_and_what_cannot_be_read_is_read_another_time() -> None:
    outside = Slow(letters=[letter("m1", "r1")], state=BrokerState(is_connected=True, is_active=True, dead=1))
    model = model_of(outside)

    async def looking_on() -> tuple[float, float, Fleet]:
        clock = asyncio.get_running_loop().time
        async with beside(keep_letters(model)):
            while not outside.reads:
                await state_of(model, after=1)
            began = clock()
            await model.fleet()
            took = clock() - began
            await state_of(model, after=200)
            return took, clock(), await model.fleet()

    took, _, fleet = run_virtual(looking_on())
    assert (took, outside.reads) == (0.0, 2)
    assert [one.id for one in fleet.dead] == ["m1"]


@dataclass
class Slow(Outside):
    """Its letters take half a minute, and the first time they cannot be read in the end."""

    async def dead(self) -> Sequence[Dead]:
        self.reads += 1
        await asyncio.sleep(30)
        if self.reads == 1:
            message = "the broker is lost"
            raise BrokerLostError(message)
        return self.letters


def test_a_key_in_the_open_is_told_as_such_and_not_offered_to_be_replayed() -> None:
    model = model_of()
    model.recall(event("r1", "failed", reason="plain_key_refused", message=f"{EXPOSED}; refused"))
    [dead] = run_virtual(model.fleet()).dead
    assert (dead.is_withheld, dead.is_exposed) == (True, True)


def test_the_id_of_what_is_parked_is_shown_only_where_it_may_be_and_known_again_all_the_same() -> None:
    model = model_of()
    model.parked(parked("r1"), is_named=True)
    model.parked(parked("r2"), is_named=False)
    assert [one.renewal_id for one in run_virtual(model.fleet()).parked] == ["r1", None]
    with model.rotating("shop", "r2", 2, Effort()):
        assert [one.renewal_id for one in run_virtual(model.fleet()).parked] == ["r1"]


def test_what_should_have_come_again_long_ago_is_another_workers() -> None:
    outside = Outside()
    model = model_of(outside)
    model.parked(parked(), is_named=True)

    async def states() -> list[str]:
        before = await state_of(model)
        outside.now = NOW + timedelta(minutes=3)
        return [before, await state_of(model)]

    assert run_virtual(states()) == ["parked", "unknown"]


def test_who_waits_for_news_hears_of_them_and_of_what_the_broker_counts() -> None:
    outside = Outside()
    model = model_of(outside)

    async def news() -> list[float]:
        clock, heard = asyncio.get_running_loop().time, []
        version = (await model.fleet()).version
        asyncio.get_running_loop().call_later(1.0, model.recall, event())
        version = await model.changed(version)
        heard.append(clock())
        outside.state = replace(outside.state, ready=7)
        assert await model.changed(version) != version
        return [*heard, clock()]

    told, counted = run_virtual(news())
    assert told == 1.0
    assert told < counted <= told + 5.0


def test_what_ends_and_what_begins_while_a_snapshot_is_made_is_in_all_of_it_and_the_next_has_another_version() -> None:
    names = ["ends", "stays", "begins"]
    model = model_of(None, **{name: replace(certificate(deployment()), name=name) for name in names})

    async def made() -> list[Fleet]:
        await model.fleet()
        with ExitStack() as ending, ExitStack() as others:
            ending.enter_context(model.rotating("ends", "r1", 1, Effort()))
            others.enter_context(model.rotating("stays", "r2", 1, Effort()))
            snapshot = asyncio.ensure_future(model.fleet())
            await asyncio.sleep(0)  # its look at what runs has begun
            ending.close()
            model.recall(event("r1", certificate="ends"))
            others.enter_context(model.rotating("begins", "r3", 1, Effort()))
            return [await snapshot, await model.fleet()]

    first, second = run_virtual(made())
    for fleet in (first, second):
        assert [one.certificate for one in fleet.running] == ["stays", "begins"]
        assert {one.name: one.state for one in fleet.certificates} == {
            "begins": "rotating",
            "ends": "served",
            "stays": "rotating",
        }
        assert (fleet.states["rotating"], fleet.states["served"]) == (2, 1)
    assert first.version < second.version


def test_a_snapshot_shares_with_the_one_before_what_has_not_changed() -> None:
    many = {f"c{number}": replace(certificate(deployment()), name=f"c{number}") for number in range(1000)}
    model = model_of(None, **many)
    before = run_virtual(model.fleet()).certificates
    assert run_virtual(model.fleet()).certificates is before
    model.recall(event("r1", "succeeded", NOW, told_deployment(), certificate="c7"))
    after = run_virtual(model.fleet()).certificates
    changed = [one.name for one, other in zip(before, after, strict=True) if one is not other]
    assert changed == ["c7"]
    assert [one.name for one in after] == sorted(many)


def test_certificates_that_the_settings_keep_are_known_still() -> None:
    model = model_of(shop=certificate(deployment()), old=replace(certificate(deployment()), name="old"))
    model.recall(event("r1", "succeeded", NOW, told_deployment()))
    two = replace(certificate(deployment()), deployments=(deployment(), deployment(certificate_id="c2")))
    model.keep_to({"shop": two, "new": replace(certificate(deployment()), name="new")})
    fleet = run_virtual(model.fleet())
    assert [(one.name, one.state, one.serial_numbers) for one in fleet.certificates] == [
        ("new", "unknown", ()),
        ("shop", "served", ("2",)),
    ]
    assert dict(fleet.states) == {"unknown": 1, "served": 1}
    assert run_virtual(model.certificate("old")) is None


def test_however_much_is_told_what_is_kept_has_a_size() -> None:
    histories, listings = Histories(each=3, in_all=7), Listings(in_all=5)
    ended = Ended("a", "r", "failed", "forbidden", NOW)
    for name in ("a", "a", "a", "a", "b", "b", "c", "c", "d"):
        histories.add(name, ended)
    assert [len(histories.of(name)) for name in "abcd"] == [0, 2, 2, 1]
    for name in "abc":
        listings.put(name, {"k": Bindings([BindingStanding("domain", str(one)) for one in range(2)], True)})
    listings.put("c", {"k": Bindings([BindingStanding("domain", "x")], True)})
    assert [len(listings.of(name)) for name in "abc"] == [0, 1, 1]


def test_whoever_sends_garbage_under_any_name_makes_no_certificate() -> None:
    model = model_of()
    for number in range(50):
        model.recall(event(f"r{number}", "failed", certificate=f"stranger-{number}"))
    fleet = run_virtual(model.fleet())
    assert [one.name for one in fleet.certificates] == ["shop"]
    assert told_in(event()) is not None
