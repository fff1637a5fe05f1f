"""Progress on a terminal: bars with counts and an estimate, and nothing of them in the result."""

import json
import re
from pathlib import Path

from tests.commands.processes import run_on_terminal
from tests.commands.test_replay import RETRY, given_up
from tests.commands.test_sweep import written
from tests.reliability.test_cloud_answers import embedded
from tests.support.stage import staged
from tests.worker.test_sweep import Shop, issued
from worker.sandbox import Sandbox
from worker.sandbox.playground import Playground
from worker.sandbox.world import Fault

BAR = "━"


async def test_while_a_hold_lasts_the_estimate_goes_on(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        sandbox.world.faults.append(Fault("attach_domains", status=429, headers={"Retry-After": "4"}))
        material = ("--chain", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
        ended = await run_on_terminal("rotate", "shop", "--config", str(told["settings"]), *material)
    assert ended.status == 0
    estimates = set(re.findall(r"about \d s", ended.screen))
    assert len(estimates) > 1, "it counts down"
    assert all(one in ended.screen for one in (BAR, "apig (in_place)", "bycloud (replace)", "1/1", "1 attached"))
    assert (BAR in ended.said, "\x1b" in ended.said) == (False, False)


async def test_a_sweep_has_a_bar_also_where_a_machine_reads_its_result(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        ended = await run_on_terminal("sweep", "--json", "--config", written(shop, tmp_path))
    assert (ended.status, json.loads(ended.said)[0]["outcome"]) == (0, "succeeded")
    assert all(one in ended.screen for one in ("sweep", BAR, "1/1", "1 succeeded"))


async def test_a_replay_has_a_bar_for_what_is_put_back_and_one_for_what_comes_of_it(tmp_path: Path) -> None:
    async with staged(tmp_path, embedded(tmp_path), ("shop", "blog"), retry=RETRY) as stage, stage.worker():
        await given_up(stage, "shop", "blog")
        words = ("dead", "replay", "--wait", "60", "--config", stage.settings)
        ended = await run_on_terminal(*words)
    assert (ended.status, ended.said.splitlines()[0]) == (0, "2 put back")
    assert all(one in ended.screen for one in ("dead letters", "outcomes", BAR, "2/2", "2 succeeded"))


async def test_the_demo_shows_its_table_live_with_a_bar_and_its_result_is_one_document(tmp_path: Path) -> None:
    ended = await run_on_terminal("demo", "--json", environ={"TMPDIR": str(tmp_path)})
    assert ended.status == 0, ended.screen
    assert all(one in ended.screen for one in ("rotating", "renewals", BAR, "succeeded, ", "about "))
    found = json.loads(ended.said)
    assert {one["outcome"] for one in found} == {"succeeded", "failed", "superseded"}
    assert f"{len(found)}/{len(found)}" in ended.screen


async def test_a_terminal_that_cannot_move_its_cursor_gets_lines(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        ended = await run_on_terminal("sweep", "--config", written(shop, tmp_path), environ={"TERM": "dumb"})
    assert ended.screen.splitlines() == ["sweep: 0/1", "sweep: 1/1, 1 succeeded"]
