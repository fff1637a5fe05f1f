"""Outside a certificate's window: `plan` says how long a renewal would wait, `rotate` goes on, `sweep` leaves it."""

import json
from pathlib import Path

import pytest

from tests.commands.processes import run, run_code
from tests.commands.test_sweep import written
from tests.support.closed import closed_window
from tests.worker.test_sweep import Shop, issued
from worker.sandbox import Sandbox


def timed(config: Path, *settings: str) -> Path:
    """The settings, with these of the shop's time."""
    lines = "\n".join(settings)
    config.write_text(config.read_text().replace("[certificates.shop]\n", f"[certificates.shop]\n{lines}\n"))
    return config


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_plan_says_until_when_a_renewal_would_wait(*, is_known: bool, tmp_path: Path) -> None:
    window, opens = closed_window()
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        config = written(shop, tmp_path, with_lineage=is_known)
        words = ("plan", "shop", "--config", timed(config, f'window = "{window}"', "spread_seconds = 600"))
        (status, said, _), (_, text, _) = await run(*words, "--json"), await run(*words)
        [told] = json.loads(said)
        latest = opens.replace("00:00Z", "10:00Z")
        assert (status, told["does"], told["waits_until"], told["begins_by"]) == (0, "rotates", opens, latest)
        assert f"  waits until {opens}, when its window opens\n  begins by {latest}: it is spread\n" in text
        timed(config, "near_expiry_seconds = 31536000")
        [near] = json.loads((await run(*words, "--json"))[1])
        assert (near["does"], "waits_until" in near) == ("rotates", False)


async def test_a_machine_without_time_zones_has_the_workers_own() -> None:
    code = "import zoneinfo; zoneinfo.reset_tzpath(()); from worker.core.window import parse_window as parse; "
    status, said, complained = await run_code(code + "print(parse('09:00-17:00 Asia/Kathmandu').zone)")
    assert (status, said) == (0, "Asia/Kathmandu\n"), complained


async def test_a_plan_that_changes_nothing_waits_for_nothing(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        config = timed(written(Shop(sandbox, tmp_path), tmp_path), f'window = "{closed_window()[0]}"')
        [told] = json.loads((await run("plan", "shop", "--json", "--config", config))[1])
    assert (told["does"], "waits_until" in told) == ("nothing: already current", False)


async def test_whoever_rotates_by_hand_wants_it_now_and_is_told_of_the_window(tmp_path: Path) -> None:
    window, opens = closed_window()
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        words = ("rotate", "shop", "--json", "--config", timed(written(shop, tmp_path), f'window = "{window}"'))
        status, said, complained = await run(*words)
    assert (status, json.loads(said)["outcome"]) == (0, "succeeded")
    warning = f"rotation-worker: shop: outside its window, which opens at {opens}: goes on\n"
    assert [line for line in complained.splitlines(keepends=True) if line.startswith("rotation-worker")] == [warning]


async def test_a_sweep_changes_nothing_outside_the_window_and_says_so(tmp_path: Path) -> None:
    window, opens = closed_window()
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        config = timed(written(shop, tmp_path), f'window = "{window}"')
        status, said, _ = await run("sweep", "--json", "--config", config)
        assert shop.changes() == 0
        [told] = json.loads(said)
        assert (status, told["found"], told["outcome"], told["reason"]) == (0, "behind", "postponed", "outside_window")
        assert told["message"].endswith(f"sweep again from {opens} on")
        timed(config, "near_expiry_seconds = 31536000")
        [told] = json.loads((await run("sweep", "--json", "--config", config))[1])
    assert (told["outcome"], told["reason"]) == ("succeeded", "rotated")
