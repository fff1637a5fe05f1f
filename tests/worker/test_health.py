"""What is measured of the broker, for those who watch its queues."""

from typing import Any

from worker.broker.base import BrokerState
from worker.telemetry import Metrics
from worker.web.server import Health


async def test_what_is_parked_and_what_was_given_up_is_counted() -> None:
    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True, parked=2, dead=3)

    request: Any = None
    page = (await Health(state, Metrics()).metrics_page(request)).body
    assert isinstance(page, bytes)
    assert {b"rotation_parked 2.0", b"rotation_dead 3.0"} <= set(page.splitlines())
