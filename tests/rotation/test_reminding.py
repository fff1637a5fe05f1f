"""What takes long is told in the log every minute. In virtual time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, day, deployment, stored
from tests.support.virtual_time import run_virtual
from worker.core.bundle import Leaf
from worker.core.deployment import Deployment
from worker.core.events import rfc3339
from worker.core.planning import Create, Modify, Observed, Stored
from worker.effort import Effort, current_effort, spending
from worker.reminding import reminding
from worker.rotation import Rotator


@dataclass
class Slow(FakeGateway):
    """Waits for its turn so long, and is held as long as it was at its beginning."""

    reading: float = 0.0
    storing: float = 0.0
    refusing: str = ""

    async def observe(self, deployment: Deployment, leaf: Leaf | None, **how: Any) -> Observed:
        await asyncio.sleep(self.reading)
        self.reading = 0.0
        return await FakeGateway.observe(self, deployment, leaf, **how)

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Any) -> Stored:
        if self.refusing:
            current_effort().refused("apig", "modify_certificate", self.refusing, 503, day(20))
        await asyncio.sleep(self.storing)
        return await FakeGateway.replace(self, deployment, how, bundle)


def reminded(**overrides: float | str) -> Sequence[dict[str, Any]]:
    rows: dict[str, bool | None] = {"a.example.com": False, "b.example.com": True}
    cloud = Slow(stored(), rows, **overrides)  # type: ignore[arg-type]
    rotator = Rotator({"apig": cloud})

    async def scenario() -> None:
        with bound_contextvars(certificate="shop"), spending(Effort()):
            rotation = asyncio.create_task(rotator.rotate(certificate(deployment()), bundle()))
        await rotation
        await asyncio.sleep(600)  # nobody is reminded of what has ended

    with capture_logs([merge_contextvars]) as told:
        run_virtual(scenario())
    return [dict(line) for line in told if line["event"] == "rotation.waiting"]


def test_a_rotation_tells_every_minute_how_long_it_still_takes_and_whose_it_is() -> None:
    lines = reminded(storing=150.0, held_for=20.0)
    assert [(one["certificate"], one["gateway"], one["is_planned"]) for one in lines] == [("shop", "apig", True)] * 2
    assert {(one["bindings"], one["seconds"], one["held_seconds"]) for one in lines} == {(2, 22.0, 20.0)}


def test_one_that_is_refused_says_of_what_and_since_when_and_knows_not_how_long_it_takes() -> None:
    (line,) = reminded(storing=70.0, refusing="gateway_unavailable")
    told = {name: line[name] for name in line if name.startswith("refused")}
    assert told == {
        "refused_operation": "modify_certificate",
        "refused_reason": "gateway_unavailable",
        "refused_status": 503,
        "refused_since": rfc3339(day(20)),
    }
    assert line["seconds"] is None


def test_one_that_is_throttled_says_so_and_how_long_it_takes_all_the_same() -> None:
    (line,) = reminded(storing=70.0, held_for=20.0, refusing="throttled")
    assert (line["refused_reason"], line["seconds"], line["held_seconds"]) == ("throttled", 22.0, 20.0)


def test_one_that_waits_for_its_turn_to_be_planned_says_so() -> None:
    (line,) = reminded(reading=70.0, held_for=500.0)
    assert (line["certificate"], line["gateway"], line["is_planned"], line["held_seconds"]) == (
        "shop",
        "apig",
        False,
        500.0,
    )


def test_those_that_began_together_are_not_told_all_in_one_step() -> None:
    told: list[float] = []

    def facts() -> Mapping[str, object]:
        told.append(asyncio.get_running_loop().time())
        return {}

    async def scenario() -> None:
        with ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(reminding(facts))
            await asyncio.sleep(125.5)

    run_virtual(scenario())
    assert len(set(told)) == len(told) == 200
    assert all(60 <= at <= 65 for at in told[:100])
    assert all(120 <= at <= 125 for at in told[100:])


def test_a_short_one_says_nothing() -> None:
    assert not reminded(reading=59.0, storing=59.0)
