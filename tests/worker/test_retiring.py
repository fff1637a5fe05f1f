"""What is kept for a while after it was replaced: deleted when that is over. In virtual time, and at the sandbox."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.clouds import renewal, running, settings_for
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bound, current, day, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from tests.support.worker_process import until
from worker.broker.base import BrokerLostError
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import TransientError
from worker.core.past import Placed
from worker.core.planning import Observed, Stored
from worker.effort import Effort, current_effort
from worker.gateways.base import NOWHERE
from worker.limits import KeyedLock
from worker.retiring import Retiring, keeping
from worker.rotation import Rotator
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority


def placed(one: Stored) -> Placed:
    """Its renewal has succeeded."""
    return Placed("r1", f"{one.serial_number}" * 16, day(1), day(30), serial_number=str(one.serial_number))


BEGAN = day(12)
BLUE = stored(certificate_id="blue", name="shop_" + "01" * 6, stored_at=day(2))
GREEN = current(certificate_id="green", name="shop_" + "ab" * 6, stored_at=BEGAN)
SUCCEEDED = placed(GREEN)
HOUR = 3600.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Cloud(FakeGateway):
    """Its clock is the loop's. Keeps an account of its reads and of what was deleted when."""

    def __init__(self) -> None:
        super().__init__(GREEN, {})
        self.own: list[Stored] = [GREEN, BLUE]
        self.serving: Stored = GREEN
        self.looks: list[tuple[float, bool]] = []
        self.deleted: list[tuple[str, float]] = []
        self.is_bound_elsewhere = self.hangs = False

    async def observe(self, deployment: Deployment, leaf: Any, **how: Any) -> Observed:
        self.looks.append((now(), current_effort().is_background))
        self._called("observe")
        at = BEGAN + timedelta(seconds=now())
        return Observed(self.own[0], (bound(domain(), stored=self.serving),), self.own[1:], at=at)

    async def retire(self, stored: Stored, moved: Mapping[Binding, str] = NOWHERE) -> bool:
        self._called("retire")
        await current_effort().fence()
        if self.hangs:
            await asyncio.Event().wait()
        if not self.is_bound_elsewhere:
            self.own.remove(stored)
            self.deleted.append((stored.certificate_id, now()))
        return not self.is_bound_elsewhere


@dataclass
class Place:
    """A worker's surroundings."""

    cloud: Cloud = field(default_factory=Cloud)
    is_active: bool = True
    history: Sequence[Placed] = (SUCCEEDED,)
    is_overtaken: bool = False
    """Another worker is the active one as soon as this one is about to delete."""
    lost: int = 0
    """So many times the history cannot be read."""
    claimed: frozenset[tuple[str, str]] = frozenset({("apig", "shop")})
    turns: KeyedLock = field(default_factory=KeyedLock)
    counted: list[str] = field(default_factory=list)

    async def active(self) -> bool:
        return self.is_active

    async def past(self, _certificate: str) -> Sequence[Placed]:
        self.lost -= 1
        if self.lost >= 0:
            raise BrokerLostError("away")
        self.is_active = not self.is_overtaken
        return self.history

    @asynccontextmanager
    async def turn(self, certificate: str, _effort: Effort) -> AsyncIterator[None]:
        async with self.turns.hold(certificate):
            yield

    def retiring(self, kept: float = HOUR) -> Retiring:
        target = deployment(strategy="blue_green", certificate_id=None, name="shop", retire_after_seconds=kept)
        rotator = Rotator({"apig": self.cloud}, claimed=self.claimed)
        certificates = keeping({"shop": Certificate("shop", [target]), "blog": Certificate("blog", [deployment()])})
        return Retiring(rotator, certificates, self.turn, self.active, self.past, self.counted.append)


def after(place: Place, seconds: float, *, at: Mapping[float, Callable[[Retiring], object]] | None = None) -> Place:
    """After so many seconds; `at`: what happens meanwhile."""

    async def scenario() -> None:
        retiring = place.retiring()
        for moment, step in (at or {}).items():
            asyncio.get_running_loop().call_later(moment, step, retiring)
        work = asyncio.create_task(retiring.run())
        await asyncio.sleep(seconds)
        work.cancel()
        await asyncio.wait([work])

    run_virtual(scenario())
    return place


def test_what_is_kept_is_deleted_when_its_time_is_over_and_only_looked_at_before() -> None:
    place = after(Place(), 3 * HOUR)
    assert place.cloud.deleted == [("blue", HOUR)]
    assert place.cloud.looks == [(0, True), (HOUR, True), (HOUR, False)], "behind all others until it is due"
    assert place.counted == ["apig"]


def test_its_time_begins_with_the_success_however_long_before_the_new_one_was_stored() -> None:
    """Also where a worker begins in between: the one before had told of it."""
    place = Place(history=[replace(SUCCEEDED, at=BEGAN + timedelta(hours=2))])
    after(place, 2.5 * HOUR)
    assert place.cloud.deleted == []
    assert after(place, 6 * HOUR).cloud.deleted == [("blue", 3 * HOUR)]


def test_what_is_over_already_goes_as_soon_as_a_worker_is_the_active_one() -> None:
    place = Place(is_active=False)
    after(place, 3 * HOUR, at={2 * HOUR: lambda _: setattr(place, "is_active", True)})
    [(name, at)] = place.cloud.deleted
    assert (name, 2 * HOUR <= at <= 2 * HOUR + 15) == ("blue", True)
    assert place.cloud.looks[0][0] == at, "a standby does nothing"


def test_a_worker_that_is_no_longer_the_active_one_leaves_it_to_the_one_that_is() -> None:
    place = Place()
    after(place, 3 * HOUR, at={10: lambda _: setattr(place, "is_active", False)})
    assert (place.cloud.deleted, place.cloud.looks) == ([], [(0, True)])


def test_a_worker_that_is_overtaken_at_the_last_moment_deletes_nothing() -> None:
    assert after(Place(is_overtaken=True), 3 * HOUR).cloud.deleted == []


def test_a_renewal_that_succeeded_has_its_old_one_deleted_in_its_time() -> None:
    place = Place()
    place.cloud.own = [GREEN]

    def rotated(retiring: Retiring) -> None:
        place.cloud.own.append(BLUE)
        retiring.ended("shop", "succeeded")
        retiring.ended("blog", "succeeded")

    assert after(place, 3 * HOUR, at={10: rotated}).cloud.deleted == [("blue", HOUR + 10)]


def test_while_a_rotation_has_the_turn_nothing_is_deleted_and_then_it_is_looked_at_again() -> None:
    place = Place()

    async def rotation() -> None:
        async with place.turns.hold("shop"):
            await asyncio.sleep(2 * HOUR)
            place.cloud.serving = BLUE

    rotating: list[asyncio.Task[None]] = []
    after(place, 4 * HOUR, at={10: lambda _: rotating.append(asyncio.create_task(rotation()))})
    assert place.cloud.deleted == [], "it serves again"
    assert place.cloud.looks == [(0, True), (HOUR, True), (2 * HOUR + 10, False)]


def test_a_deletion_that_hangs_gives_the_turn_away_and_is_tried_again() -> None:
    place, turns = Place(), list[float]()
    place.cloud.hangs = True

    async def rotation() -> None:
        async with place.turns.hold("shop"):
            turns.append(now())
            place.cloud.hangs = False

    rotating: list[asyncio.Task[None]] = []
    after(place, 3 * HOUR, at={HOUR + 10: lambda _: rotating.append(asyncio.create_task(rotation()))})
    assert (turns, place.cloud.deleted) == ([HOUR + 60], [("blue", HOUR + 120)])


@pytest.mark.parametrize(
    "past",
    [
        (),
        (SUCCEEDED, placed(BLUE)),
        (replace(SUCCEEDED, is_told=False),),
    ],
)
def test_what_is_served_and_has_not_succeeded_may_have_to_go_back(past: Sequence[Placed]) -> None:
    place = after(Place(history=past), 3 * HOUR)
    assert (place.cloud.deleted, len(place.cloud.looks)) == ([], 3)


def test_what_another_deployment_claims_is_left() -> None:
    assert after(Place(claimed=frozenset({("apig", "blue")})), 3 * HOUR).cloud.deleted == []


def test_a_gateway_that_is_away_and_a_lost_history_are_tried_again_later() -> None:
    place = Place(lost=1)
    away = [TransientError("gateway_unavailable") for _ in range(2)]
    place.cloud.errors = {"observe": [away[0]], "retire": [away[1]]}
    assert after(place, 3 * HOUR).cloud.deleted == [("blue", HOUR + 120 + 240)]


def test_what_something_else_is_bound_to_stays_and_is_asked_for_at_growing_distances() -> None:
    place = Place()
    place.cloud.is_bound_elsewhere = True
    after(place, 10 * HOUR)
    assert (place.cloud.deleted, place.counted) == ([], [])
    assert [round(at - HOUR) for at, is_background in place.cloud.looks if not is_background][:4] == [0, 60, 180, 420]


def test_a_bug_stops_nothing_but_its_own_certificate_for_a_while() -> None:
    place = Place()
    bug: Any = ZeroDivisionError()
    place.cloud.errors = {"observe": [bug]}
    assert after(place, 3 * HOUR).cloud.deleted == [("blue", HOUR)]


AUTHORITY = Authority.create()
KEPT = 3600


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_the_old_one_outlives_its_replacement_for_as_long_as_is_asked(
    tmp_path: Path, *, is_restarted: bool
) -> None:
    async with Sandbox() as sandbox:
        world, began = sandbox.world, datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
        group = world.add_group(world.add_instance())
        blue = world.add_certificate(AUTHORITY.issue(["a.example.com"], not_before=began), "shop")
        world.bind(blue, world.add_domain(group, "a.example.com"))
        kept = KEPT if is_restarted else 3
        target = {"gateway": "apig", "strategy": "blue_green", "name": "shop", "retire_after_seconds": kept}
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {"shop": ({**target, "domains": ("a.example.com",)},)})
        async with running(settings) as worker:
            event = await worker.outcome(renewal(AUTHORITY.issue(["a.example.com"])))
            assert event["data"]["outcome"] == "succeeded", event
            if not is_restarted:
                await until(lambda: blue not in world.certificates)
        if is_restarted:
            assert blue in world.certificates
            # As if so long had passed while no worker was there.
            sooner = settings_for(
                sandbox,
                AUTHORITY,
                tmp_path,
                {"shop": ({**target, "retire_after_seconds": 3, "domains": ("a.example.com",)},)},
            )
            async with running(sooner):
                await until(lambda: blue not in world.certificates)
        [made], [gone] = world.calls("create_certificate"), world.calls("delete_certificate")
        assert is_restarted or gone.at - made.at > kept - 1, "clouds tell whole seconds"
        assert [one.name for one in world.domains.values() if one.certificate_id in world.certificates] == [
            "a.example.com"
        ]
