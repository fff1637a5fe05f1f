"""Tables on a terminal of 80 columns: what has to be typed or read is there as a whole."""

from dataclasses import replace
from pathlib import Path

from tests.commands.processes import run, run_on_terminal
from tests.commands.test_replay import RETRY, given_up
from tests.commands.test_status import served
from tests.reliability.test_cloud_answers import embedded
from tests.support.fleets import sample_fleet
from tests.support.stage import staged

LONG_ID = "5818bfb4-52b0-4f0e-9d7c-0c3d2b6f4a11"
NARROW = {"COLUMNS": "80"}


async def screen(*words: str | Path) -> str:
    ended = await run_on_terminal(*words, is_stdout_too=True, environ=NARROW)
    assert "…" not in ended.screen
    return ended.screen


async def test_ids_and_times_are_whole_and_times_are_told_to_the_second(tmp_path: Path) -> None:
    async with staged(tmp_path, embedded(tmp_path), retry=RETRY) as stage, stage.worker():
        await given_up(stage, "shop")
        [dead] = await stage.dead(1)
        [event] = await stage.events()
        listed = await screen("dead", "list", "--config", stage.settings)
        past = await screen("history", "--config", stage.settings)
        replayed = await screen("dead", "replay", "--wait", "60", "--config", stage.settings)
    assert all(whole in listed for whole in (dead.id, str(dead.renewal_id)))
    assert f"since: {str(event['time'])[:10]}T" in listed
    assert f"{str(event['time'])[:19]}Z" in past
    assert all(whole in replayed for whole in (dead.id, "outcome: succeeded"))


async def test_the_command_that_brings_back_what_was_given_up_is_on_one_line() -> None:
    fleet = sample_fleet(50)
    fleet = replace(fleet, dead=[replace(one, id=LONG_ID) for one in fleet.dead])
    async with served(fleet=fleet) as url:
        told = await screen("status", "--url", url)
        _, piped, _ = await run("status", "--url", url)
    assert f"rotation-worker dead replay {LONG_ID}" in told
    assert all(len(line) <= 80 for line in told.splitlines() if "certificate: shop-" in line)
    assert "certificate: " not in piped, "what is no terminal gets its table as ever"
