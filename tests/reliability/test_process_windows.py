"""A worker whose window is closed, over both brokers: what waits is parked, uncounted, and runs once it may."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.closed import closed_window
from tests.support.stage import DAY, rabbit_at, staged
from tests.support.worker_process import until

RETRY = {"parking_seconds": [1], "attempts": 2}


@pytest.fixture(params=["sqlite", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, Any]:
    if request.param == "sqlite":
        return {"url": f"sqlite:///{tmp_path}/broker.sqlite"}
    return rabbit_at(request.getfixturevalue("rabbit"))


async def test_what_waits_outlives_workers_and_runs_once_it_may(tmp_path: Path, broker: Mapping[str, Any]) -> None:
    window, opens = closed_window()
    closed = {"ROTATION_CERTIFICATES__SHOP__WINDOW": window}
    async with staged(tmp_path, broker, ("shop", "blog"), retry=RETRY) as stage:
        async with stage.worker(environ=closed) as first:
            waits, other = await stage.renew(), await stage.renew("blog")
            await until(lambda: first.told("rotation.postponed", until=opens, why="outside_window") >= 4)
            assert set(await stage.ended(other)) == {other}, "it holds up no other"
            assert stage.calls("modify_certificate") == 1
            urgent = await stage.renew(age=DAY / 2, reason="key_compromise")
            assert set(await stage.ended(urgent)) == {other, urgent}
            assert (await stage.ended(waits))[waits]["data"]["outcome"] == "superseded", "it is older"
            left = await stage.renew(age=timedelta(0))
            await until(lambda: first.told("rotation.postponed", renewal_id=left) >= 2)
        async with stage.worker():
            event = (await stage.ended(left))[left]
        assert (event["data"]["outcome"], event["data"]["attempt"]) == ("succeeded", 1)
        await stage.books()
