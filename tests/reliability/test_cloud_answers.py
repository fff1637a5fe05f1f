"""A cloud that fails at any one call, in any one way: the rotation ends as if nothing had been, and by proof."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.broker.proxy import proxied
from tests.support.stage import DAY, Stage, staged
from worker.sandbox import SandboxConfig
from worker.sandbox.world import Fault

CALLS = ["obtain_token", "show_certificate", "list_domains", "modify_certificate", "attach_domains"]
OTHER = {"id": "f" * 32, "name": "other", "serial_number": "1", "not_before": "2026-01-01T00:00:00Z"}
WAYS: Mapping[str, Fault] = {
    "hangs before": Fault("", kind="hang"),
    "hangs after": Fault("", kind="hang", after_effect=True),
    "resets before": Fault("", kind="reset"),
    "resets after": Fault("", kind="reset", after_effect=True),
    "truncates": Fault("", kind="truncate", after_effect=True),
    "garbage": Fault("", kind="garbage"),
    "garbage after": Fault("", kind="garbage", after_effect=True),
    **{f"{status}": Fault("", status=status) for status in (429, 500, 501, 502, 503, 504)},
    **{f"{status} after": Fault("", status=status, after_effect=True) for status in (500, 502, 503, 504)},
    "lies": Fault("", status=200),
    "lies emptily": Fault("", status=204),
}
# IAM answers without a token: at its own call these are a test of their own.
TOKENLESS = ("garbage", "garbage after", "lies", "lies emptily")
# A call that hangs is given up after so long. Nothing else may take that long, however slow the machine is.
HASTY = {"call_timeout_seconds": 4, "settle_seconds": 2}
RETRY = {"parking_seconds": [0.2], "deadline_seconds": 20, "attempts": 12}
AT_ONCE = 6


def embedded(folder: Path) -> Mapping[str, str]:
    return {"url": f"sqlite:///{folder}/broker.sqlite"}


async def one_way(folder: Path, fault: Fault) -> str | None:
    """What is wrong about the end of a rotation under this fault, if anything is."""
    folder.mkdir()
    async with staged(folder, embedded(folder), retry=RETRY, gateway=HASTY) as stage:
        stage.sandbox.world.faults.append(fault)
        async with stage.running():
            await stage.renew()
            try:
                await stage.books()
            except AssertionError as error:
                return str(error)
    return None if fault.times == 0 else "the fault was never met"


@pytest.mark.parametrize("call", CALLS)
async def test_whatever_one_call_answers_the_rotation_ends_well(tmp_path: Path, call: str) -> None:
    ways = [way for way in WAYS if call != "obtain_token" or way not in TOKENLESS]
    assert await bad_ends(tmp_path, call, ways) == {}


async def bad_ends(folder: Path, call: str, ways: Sequence[str]) -> Mapping[str, str]:
    """All these ways, a few at once, each at a cloud of its own."""
    faults, turns = [replace(WAYS[way], operation=call) for way in ways], asyncio.Semaphore(AT_ONCE)

    async def end(number: int, fault: Fault) -> str | None:
        async with turns:
            return await one_way(folder / str(number), fault)

    ends = await asyncio.gather(*(end(number, fault) for number, fault in enumerate(faults)))
    return {way: end for way, end in zip(ways, ends, strict=True) if end is not None}


async def test_an_iam_that_answers_nonsense_is_asked_again(tmp_path: Path) -> None:
    assert await bad_ends(tmp_path, "obtain_token", TOKENLESS) == {}


@pytest.mark.parametrize("call", ["show_certificate", "modify_certificate"])
async def test_an_answer_about_another_certificate_is_believed_in_nothing(tmp_path: Path, call: str) -> None:
    async with staged(tmp_path, embedded(tmp_path), retry=RETRY, gateway=HASTY) as stage:
        stage.sandbox.world.faults.append(Fault(call, status=200, body=OTHER))
        async with stage.running():
            renewal_id = await stage.renew()
            outcome = (await stage.ended())[renewal_id]["data"]
            [dead] = await stage.dead()
        assert (outcome["outcome"], outcome["reason"], dead.reason) == ("failed", *["provider_mismatch"] * 2)
        assert never_changed(stage)


def everything_fails(times: int) -> Sequence[Fault]:
    return [Fault(call, status=503, times=times) for call in CALLS]


async def test_a_cloud_that_is_away_for_long_is_waited_for(tmp_path: Path) -> None:
    async with staged(tmp_path, embedded(tmp_path), retry=RETRY, gateway=HASTY) as stage:
        faults = everything_fails(1000)
        stage.sandbox.world.faults.extend(faults)
        async with stage.running():
            await stage.renew()
            await stage.called("obtain_token", 4)
            for fault in faults:
                fault.times = 0
            await stage.books()


async def test_a_token_that_ends_in_the_middle_is_renewed_and_nothing_is_done_twice(tmp_path: Path) -> None:
    slow = SandboxConfig(latency=0.1)
    async with staged(tmp_path, embedded(tmp_path), config=slow) as stage:
        async with stage.running():
            await stage.renew()
            await stage.called("modify_certificate")
            stage.sandbox.iam.tokens.clear()
            await stage.books()
        assert stage.sandbox.iam.issued == 2
        assert stage.calls("modify_certificate") == 1


async def test_an_answer_that_drips_without_end_is_given_up_and_asked_for_again(tmp_path: Path) -> None:
    async with (
        staged(tmp_path, embedded(tmp_path), retry=RETRY, gateway=HASTY) as stage,
        proxied(stage.sandbox.apig_endpoint) as cloud,
        stage.running(gateway=cloud.url),
    ):
        cloud.slow(0.1)
        await stage.renew()
        await stage.called("show_certificate", 2)
        cloud.slow(0)
        await stage.books()


async def test_a_cloud_that_shows_changes_late_is_looked_at_until_it_does(tmp_path: Path) -> None:
    """What it accepts is read as it was before, for so long."""
    async with staged(tmp_path, embedded(tmp_path), retry=RETRY, gateway={"settle_seconds": 15}) as stage:
        stage.sandbox.sight.lag = 10
        async with stage.running():
            await stage.renew()
            await stage.books()
        assert stage.calls("modify_certificate") == 1


async def test_a_call_that_fails_for_ever_ends_in_a_failure_and_a_dead_letter(tmp_path: Path) -> None:
    async with staged(tmp_path, embedded(tmp_path), retry={**RETRY, "attempts": 2}, gateway=HASTY) as stage:
        stage.sandbox.world.faults.append(Fault("modify_certificate", status=500, times=10_000))
        async with stage.running():
            renewal_id = await stage.renew()
            outcome = (await stage.ended())[renewal_id]["data"]
            [dead] = await stage.dead()
        assert (outcome["outcome"], outcome["attempt"]) == ("failed", 2)
        assert (dead.renewal_id, dead.reason) == (renewal_id, outcome["reason"])
        assert never_changed(stage)


async def test_a_lie_about_the_put_is_never_called_success(tmp_path: Path) -> None:
    """It says 200 to every PUT and stores nothing."""
    async with staged(tmp_path, embedded(tmp_path), retry={**RETRY, "attempts": 2}, gateway=HASTY) as stage:
        async with stage.running():
            stage.sandbox.world.faults.append(Fault("modify_certificate", status=200, times=10_000))
            renewal_id = await stage.renew()
            outcome = (await stage.ended())[renewal_id]["data"]
        assert outcome["outcome"] == "failed"
        assert never_changed(stage)


def never_changed(stage: Stage) -> bool:
    return len({change.serial for change in stage.sandbox.world.changes}) == len(stage.stored)


async def test_the_limits_of_the_cloud_hold_while_it_fails(tmp_path: Path) -> None:
    """A place in a window is free again so long after its call has ended: nothing here depends on how fast all is.

    But a call that was given up may be counted at any time later: no call may take as long as that.
    """
    strict = SandboxConfig(apig_limits=((10, 1.0),))
    limits = {"call_timeout_seconds": 60, "limits": ({"calls": 10, "seconds": 1},)}
    names, retry = ("shop", "blog", "mail", "docs"), {**RETRY, "deadline_seconds": 100}
    async with staged(tmp_path, embedded(tmp_path), names, retry=retry, gateway=limits, config=strict) as stage:
        faults = everything_fails(2)
        stage.sandbox.world.faults.extend(faults)
        async with stage.running():
            for name in names:
                await stage.renew(name, age=DAY)
            await stage.books()
        assert [fault.times for fault in faults] == [0] * len(faults)
        assert sum(call.operation != "obtain_token" for call in stage.sandbox.world.journal) > 20
        assert stage.sandbox.apig_throttle.refused == 0
