"""`rotation-worker dead replay --wait`: what was put back, and what came of it this time."""

import json
from pathlib import Path

import pytest

from tests.commands.processes import run
from tests.reliability.test_cloud_answers import embedded
from tests.support.stage import Stage, staged
from worker.sandbox.world import Fault

RETRY = {"parking_seconds": [0.2], "attempts": 1}
CONTROL = "\x1b\r\b"


async def given_up(stage: Stage, *names: str) -> None:
    """One renewal of each has failed."""
    stage.sandbox.world.faults.append(Fault("modify_certificate", status=400, times=len(names)))
    for name in names:
        await stage.renew(name)
    await stage.dead(len(names))


async def test_outcomes_are_those_after_it_was_put_back(tmp_path: Path) -> None:
    """They come under the same ids as before: a failure that was told then is none that is told now."""
    async with staged(tmp_path, embedded(tmp_path), ("shop", "blog"), retry=RETRY) as stage, stage.worker():
        await given_up(stage, "shop", "blog")
        wrong = stage.sandbox.world.certificates.pop(stage.stored["blog"])
        words = ("dead", "replay", "--wait", "60", "--json", "--config", stage.settings)
        status, said, complained = await run(*words)
        stage.sandbox.world.certificates[stage.stored["blog"]] = wrong
    told = json.loads(said)
    ended = {one["certificate"]: (one["outcome"], one["reason"]) for one in told["outcomes"]}
    assert (status, len(told["replayed"]), told["withheld"], told["unknown"]) == (1, 2, [], [])
    assert ended == {"shop": ("succeeded", "rotated"), "blog": ("failed", "not_found")}
    assert "dead letters: 2/2, 2 put back\n" in complained
    assert "outcomes: 2/2, 1 failed, 1 succeeded\n" in complained
    assert complained.splitlines()[-1].startswith("next: correct the deployment in the settings")
    assert not set(CONTROL) & set(complained)


async def test_what_is_not_told_in_time_is_unknown_and_where_nobody_is_at_work_that_is_told(tmp_path: Path) -> None:
    async with staged(tmp_path, embedded(tmp_path), retry=RETRY) as stage:
        async with stage.worker():
            await given_up(stage, "shop")
        status, said, complained = await run("dead", "replay", "--wait", "1", "--config", stage.settings)
        assert (status, await stage.left()) == (1, 1)
    assert said.split()[-2:] == ["unknown", "not_told"]
    assert "rotation-worker: no worker is at work" in complained
    assert complained.count("next: start `rotation-worker run`") == 2


async def test_what_is_not_worth_it_is_dropped_by_its_id_and_only_so(tmp_path: Path) -> None:
    async with staged(tmp_path, embedded(tmp_path), ("shop", "blog"), retry=RETRY) as stage:
        async with stage.worker():
            await given_up(stage, "shop", "blog")
        shop, blog = sorted(await stage.dead(2), key=lambda one: str(one.certificate), reverse=True)
        status, said, complained = await run("dead", "drop", "--config", stage.settings)
        assert (status, said, len(await stage.dead(2))) == (64, "", 2)
        status, said, complained = await run("dead", "drop", shop.id, "x", "--config", stage.settings)
        assert (status, said) == (1, f"dropped {shop.id}: shop, {shop.reason}\n")
        next_step = "next: `rotation-worker dead list` shows which there are\n"
        assert complained == "rotation-worker: not found: x\n" + next_step
        [left] = await stage.dead(1)
        status, said, _ = await run("dead", "drop", str(blog.renewal_id), "--json", "--config", stage.settings)
        assert (left.id, status, [one["id"] for one in json.loads(said)["dropped"]]) == (blog.id, 0, [blog.id])
        assert await stage.door.dead() == []


@pytest.mark.parametrize(("words", "status", "told"), [((), 0, "Nothing to put back.\n"), (("x",), 1, "")])
async def test_where_nothing_was_given_up_there_is_nothing_to_wait_for(
    tmp_path: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    async with staged(tmp_path, embedded(tmp_path)) as stage:
        ended = await run("dead", "replay", *words, "--wait", "60", "--config", stage.settings)
    assert (ended[0], told in ended[1]) == (status, True)
    next_step = "next: `rotation-worker dead list` shows which there are\n"
    assert ended[2] == ("rotation-worker: not found: x\n" + next_step if words else "")
