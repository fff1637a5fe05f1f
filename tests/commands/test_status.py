"""`rotation-worker status`: what a worker shows, as tables or as JSON, and what to do where there is none."""

import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.commands.processes import run
from tests.settings.files import written
from tests.support.fleets import StillFleet, sample_fleet
from tests.support.ports import free_port
from worker.broker.base import BrokerState
from worker.fleet.values import replay_command
from worker.settings.http import Http
from worker.telemetry import Metrics
from worker.web.server import Health, serving

TOKEN = "an-operators-token-of-some-length"


@asynccontextmanager
async def served(number: int = 50, **settings: Any) -> AsyncIterator[str]:
    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)

    http = Http.model_validate({"listen": "127.0.0.1:0", **settings})
    async with serving(Health(state, Metrics()), http, StillFleet(sample_fleet(number))) as port:
        yield f"http://127.0.0.1:{port}"


async def test_the_fleet_is_printed_with_what_is_worst_last() -> None:
    async with served() as url:
        status, said, complained = await run("status", "--url", url)
    assert (status, complained) == (0, "")
    lines = said.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("shop-")]
    assert len(set(names[:50])) == 50
    assert names[49] == "shop-00030", "it was given up"
    assert "rotation-worker dead replay dead-shop-00030" in said
    for told in ("2/3, 1 failed", "attaching", "down, asked again in 12 s", "held for 95 s", "2100/3000 in 300 s"):
        assert told in said
    assert lines[-1].startswith(
        "consuming; 50 certificates: 1 dead, 2 failed, 1 parked, 2 rotating, 1 unknown, 43 served"
    )


async def test_of_very_many_only_the_worst_are_printed_unless_all_are_asked_for() -> None:
    async with served(250) as url:
        _, worst, _ = await run("status", "--url", url)
        _, every, _ = await run("status", "--url", url, "--all")
    assert worst.startswith("50 more fare better: --all")
    assert "shop-00030" in worst
    listed = [{line.split()[0] for line in text.splitlines() if line.startswith("shop-")} for text in (worst, every)]
    assert [len(names) for names in listed] == [200, 250]


@pytest.mark.parametrize(
    ("name", "words"),
    [("r-1", ["r-1"]), ("$(reboot)", ["$(reboot)"]), ("a;b 'c", ["a;b 'c"]), ("--help", ["--", "--help"])],
)
def test_what_is_printed_to_be_pasted_is_one_command_whatever_the_id(name: str, words: list[str]) -> None:
    assert shlex.split(replay_command(name)) == ["rotation-worker", "dead", "replay", *words]


async def test_one_certificate_is_printed_with_its_bindings_and_its_past() -> None:
    async with served() as url:
        status, said, _ = await run("status", "shop-00024", "--url", url)
        unknown = await run("status", "nosuch", "--url", url, "--json")
    assert status == 0
    for told in ("old-0.example.com", "not_found", "no such domain", "www-0.example.com", "renewal-00024-4"):
        assert told in said
    assert (unknown[0], json.loads(unknown[1])["error"]["reason"]) == (1, "unknown_certificate")


async def test_for_machines_it_is_the_document_that_the_worker_serves() -> None:
    async with served() as url:
        status, said, _ = await run("status", "--json", "--url", url)
        _, one, _ = await run("status", "shop-00001", "--json", "--url", f"{url}/")
    assert status == 0
    assert [it["name"] for it in json.loads(said)["certificates"]] == [f"shop-{n:05d}" for n in range(50)]
    assert json.loads(one)["certificate"]["name"] == "shop-00001"


async def test_where_and_with_which_token_is_in_the_settings(tmp_path: Path) -> None:
    token = written(tmp_path, TOKEN, "token")
    async with served(0, token_file=token) as url:
        listen = url.removeprefix("http://")
        settings = written(tmp_path, f'[http]\nlisten = "{listen}"\ntoken_file = "token"\n')
        everywhere = written(
            tmp_path, f'[http]\nlisten = "0.0.0.0:{listen.split(":")[1]}"\ntoken_file = "token"\n', "all.toml"
        )
        for file in (settings, everywhere):
            status, said, _ = await run("status", "--config", file)
            assert (status, "No certificate is in the settings." in said) == (0, True)
        assert (await run("status", "--url", url, "--token-file", token))[0] == 0
        status, _, complained = await run("status", "--url", url)
        assert (status, "--token-file" in complained) == (69, True)


@pytest.mark.parametrize("is_json", [False, True])
async def test_where_no_worker_is_it_says_what_to_do(*, is_json: bool) -> None:
    words = ("status", "--url", f"http://127.0.0.1:{free_port()}", *(["--json"] if is_json else []))
    status, said, complained = await run(*words)
    told = json.loads(said)["next"] if is_json else complained
    assert status == 69
    assert "rotation-worker run" in told


async def test_what_is_no_worker_is_told_apart() -> None:
    async with served() as url:
        status, _, complained = await run("status", "--url", f"{url}/nowhere")
        assert (status, "404" in complained) == (69, True)
    assert (await run("status", "--url", "worker.example.com"))[0] == 78
