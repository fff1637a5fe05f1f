"""A worker that runs out of what the system gives: descriptors, names, a right clock."""

import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import worker.app
from tests.support.stage import DAY, rabbit_at, staged
from tests.support.worker_process import until


@pytest.mark.rabbitmq
@pytest.mark.parametrize("is_warm", [pytest.param(True, id="warm"), pytest.param(False, id="cold")])
async def test_a_worker_without_free_descriptors_says_so_and_goes_on_when_there_are_some(
    tmp_path: Path, rabbit: str, is_warm: bool
) -> None:
    async with staged(tmp_path, rabbit_at(rabbit), ("shop", "blog", "warm")) as stage:
        async with stage.worker() as worker:
            if is_warm:
                await stage.ended(await stage.renew("warm"))
            limits = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
            for name in ("shop", "blog"):
                await stage.renew(name)
            await until(lambda: worker.told("rotation.finished") + worker.told("broker.refused") >= 2)
            resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, limits)
            await stage.books()
        await stage.idle()


async def test_a_gateway_whose_name_is_not_found_parks_its_renewals_until_it_is(tmp_path: Path) -> None:
    broker = {"url": f"sqlite:///{tmp_path}/broker.sqlite"}
    async with staged(tmp_path, broker, retry={"parking_seconds": [0.2], "deadline_seconds": 1}) as stage:
        lost = {"ROTATION_GATEWAYS__APIG__ENDPOINT": "https://apig.nowhere.invalid"}
        async with stage.worker(environ=lost) as worker:
            await stage.renew()
            await worker.tells("rotation.finished", outcome="parked", reason="gateway_unavailable")
            assert "Traceback" not in worker.log.read_text()
        async with stage.worker():
            await stage.books()
        await stage.idle()


@pytest.mark.parametrize(
    "jump", [pytest.param(timedelta(minutes=-4), id="back"), pytest.param(timedelta(days=20), id="ahead")]
)
async def test_a_clock_that_jumps_in_the_middle_of_a_rotation_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    broker = {"url": f"sqlite:///{tmp_path}/broker.sqlite"}
    async with staged(tmp_path, broker) as stage:
        stage.has_right_clock = False
        monkeypatch.setattr(worker.app, "utc_now", jumping(lambda: stage.calls("modify_certificate") > 0, jump))
        async with stage.running():
            for age in (3, 2):
                await stage.renew(age=age * DAY)
            await stage.books()
        assert all(event["data"]["duration_seconds"] >= 0 for event in await stage.events())


async def test_a_certificate_that_begins_ahead_of_a_slow_clock_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = {"url": f"sqlite:///{tmp_path}/broker.sqlite"}
    asked = 0

    def is_slow() -> bool:
        nonlocal asked
        asked += 1
        return asked < 10

    async with staged(tmp_path, broker, retry={"parking_seconds": [0.2]}) as stage:
        stage.has_right_clock = False
        monkeypatch.setattr(worker.app, "utc_now", jumping(is_slow, timedelta(days=-2)))
        async with stage.running():
            await stage.renew()
            await stage.books()


def jumping(is_wrong: Callable[[], bool], jump: timedelta) -> Callable[[], datetime]:
    """A clock that is wrong by so much as long as that is so."""
    return lambda: datetime.now(UTC) + (jump if is_wrong() else timedelta())
