"""What a listed binding is served elsewhere ends some day, too: a window does not hold back what replaces it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.apig_shop import NEW as RENEWED
from tests.support.apig_shop import shop
from tests.support.fake_gateway import FakeGateway
from tests.support.gateways import AUTHORITY
from tests.support.values import day, deployment, domain, leaf, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding, Certificate
from worker.core.errors import PermanentError
from worker.core.planning import Plan
from worker.core.schedule import Schedule, Wait
from worker.core.urgency import ORDINARY, Urgency
from worker.core.waiting import Step, held_back
from worker.core.window import parse_window
from worker.rotation import Rotator

HERE, ELSEWHERE = domain("a.example.com"), domain("b.example.com")
WINDOW = Schedule([parse_window("Sat 06:00-12:00 UTC")])
LATER = Wait(day(17, 6), "outside_window")
ASKED = "served until: b.example.com"


def steps(gateway: FakeGateway, schedule: Schedule, urgency: Urgency = ORDINARY, **target: Any) -> Sequence[Step]:
    wanted = Certificate("shop", [deployment(bindings=(HERE, ELSEWHERE), **target)], schedule=schedule)
    return run_virtual(Rotator({"apig": gateway}).plans(wanted, leaf(), urgency))


def gateway(until: datetime | None, **overrides: Any) -> FakeGateway:
    before = stored(not_after=day(28))
    return FakeGateway(before, {"a.example.com": False}, elsewhere_until=until, **overrides)


@pytest.mark.parametrize(("until", "waits"), [(day(13), False), (day(27), True), (None, True)])
@pytest.mark.parametrize("strategy", ["in_place", "rebind"])
def test_what_ends_soon_where_a_binding_is_now_waits_for_no_window(
    strategy: str, until: datetime | None, *, waits: bool
) -> None:
    held = held_back(LATER, steps(gateway(until), WINDOW, strategy=strategy), WINDOW, day(11))
    assert held == (LATER if waits else None)


@pytest.mark.parametrize(
    ("schedule", "urgency", "asks"),
    [
        (WINDOW, ORDINARY, True),
        (Schedule(spread=timedelta(hours=1)), ORDINARY, True),
        (Schedule(), ORDINARY, False),
        (WINDOW, Urgency(stored_after=day(1)), False),
    ],
)
def test_it_is_looked_for_only_where_something_may_have_to_wait(
    schedule: Schedule, urgency: Urgency, *, asks: bool
) -> None:
    cloud = gateway(None)
    steps(cloud, schedule, urgency)
    assert (ASKED in cloud.journal) is asks
    cloud.rows["b.example.com"] = False
    cloud.journal.clear()
    steps(cloud, schedule, urgency)
    assert cloud.journal == ["observe"], "all is bound to its own"


def test_an_account_that_may_not_look_rotates_all_the_same() -> None:
    with capture_logs() as told:
        [step] = steps(gateway(None, errors={ASKED: [PermanentError("forbidden")]}), WINDOW)
    assert isinstance(step, Plan)
    assert step.expires == day(28)
    assert [(line["event"], line["reason"]) for line in told] == [("expiry.unknown", "forbidden")]


async def test_a_gateway_of_domains_tells_what_ends_first_of_what_they_are_bound_to(tmp_path: Path) -> None:
    now = datetime.now().astimezone().replace(microsecond=0)
    soon, sooner = (AUTHORITY.issue(["b.example.com"], not_after=now + timedelta(days=days)) for days in (5, 2))
    async with shop(tmp_path) as one:
        bound = one.world.add_certificate(soon, "bound elsewhere")
        one.world.add_certificate(sooner, "bound nowhere")
        one.world.bind(bound, one.domains[1][1])
        listed = Binding("domain", "b.example.com", one.instances[1], client_verification=False)
        assert await one.gateway.served_until([listed]) == now + timedelta(days=5)
        nowhere = Binding("domain", "c.example.com", one.instances[1], client_verification=False)
        assert await one.gateway.served_until([nowhere]) is None
        wanted = Certificate("shop", [one.deployment(bindings=(listed,))], schedule=WINDOW)
        [step] = await Rotator({"apig": one.gateway}).plans(wanted, RENEWED.leaf)
        assert isinstance(step, Plan)
        assert step.expires == now + timedelta(days=5)
