"""How long what is under way still takes."""

import pytest

from tests.support.fake_gateway import FakeGateway
from tests.support.values import deployment, domain, stored
from worker.core.planning import Keep, Modify, Plan
from worker.forecast import Forecast


def planned(domains: int) -> Plan:
    return Plan(Modify(stored()), tuple(domain(f"d{number}.example.com") for number in range(domains)), ())


GATEWAY = FakeGateway(stored(), {})
"""Half a second a call; a plan costs two calls and one a domain."""


def test_a_rotation_alone_needs_what_its_calls_need_and_less_with_every_binding() -> None:
    with Forecast().of(GATEWAY, deployment(), planned(8)) as work:
        assert (work.calls, work.seconds_left()) == (10, 5.0)
        work.left = 4
        assert work.seconds_left() == 2.5


def test_a_small_one_beside_a_large_one_waits_for_as_many_calls_as_it_has_itself() -> None:
    forecast = Forecast()
    with (
        forecast.of(GATEWAY, deployment(), planned(998)) as large,
        forecast.of(GATEWAY, deployment(), planned(8)) as small,
    ):
        assert small.seconds_left() == 10.0
        assert large.seconds_left() == pytest.approx(505)
        assert forecast.seconds_left("apig") == pytest.approx(505)
    assert forecast.seconds_left("apig") == 0


def test_a_plan_of_nothing_takes_no_time() -> None:
    with Forecast().of(GATEWAY, deployment(), Plan(Keep(stored()), (), ())) as work:
        assert work.seconds_left() == 0
