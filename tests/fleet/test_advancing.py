"""A rotation that runs is seen advancing: a worker, its sandbox, and a page that is open."""

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.support.clouds import QUICK, apig_gateway, renewal, running, settings_for
from tests.support.ports import free_port
from tests.web.test_live import events
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority
from worker.sandbox.world import Fault

DOMAINS: Final = [f"www-{number:02d}.example.com" for number in range(30)]


async def test_an_open_page_sees_each_rotation_go_on_until_it_has_ended(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        world, authority = sandbox.world, Authority.create()
        group = world.add_group(world.add_instance())
        long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
        stored = world.add_certificate(authority.issue(DOMAINS, not_before=long_ago), "shop")
        for name in DOMAINS:
            world.bind(stored, world.add_domain(group, name))
        slow = apig_gateway(sandbox, tmp_path, domains_per_attach=1, limits=({"calls": 8, "seconds": 1},))
        certificates = {"shop": [{"gateway": "apig", "certificate_id": stored, "domains": "attached"}]}
        more = {"gateways": {"apig": slow}, "http": {"listen": f"127.0.0.1:{free_port()}"}, "retry": QUICK}
        settings = settings_for(sandbox, authority, tmp_path, certificates, **more)
        async with running(settings) as worker:
            answer = await opened(session, f"http://{settings.http.listen}/live")
            await worker.broker.publish_renewal(renewal(authority.issue(DOMAINS), "shop"))
            values, last = await followed(answer)
            answer.close()
    assert values == sorted(values)
    assert len(set(values)) >= 3
    assert max(values) > len(DOMAINS) / 2
    assert "succeeded" in last


async def test_a_rotation_all_of_whose_calls_are_refused_says_so_wherever_it_is_looked_at(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        world, authority = sandbox.world, Authority.create()
        group, long_ago = world.add_group(world.add_instance()), datetime.now(UTC) - timedelta(days=60)
        old = authority.issue(DOMAINS, not_before=long_ago.replace(microsecond=0))
        for name in DOMAINS:
            world.bind(world.add_certificate(old, "blog"), world.add_domain(group, name))
        world.faults.append(Fault("attach_domains", status=503, times=None))
        place = {"gateway": "apig", "name": "blog", "strategy": "blue_green", "domains": DOMAINS}
        more = {"http": {"listen": f"127.0.0.1:{free_port()}"}, "retry": QUICK}
        settings = settings_for(sandbox, authority, tmp_path, {"shop": [place]}, **more)
        url = f"http://{settings.http.listen}"
        async with running(settings) as worker:
            await worker.broker.publish_renewal(renewal(authority.issue(DOMAINS), "shop"))
            told: dict[str, Any] = {}
            while not told.get("refusal"):
                with suppress(aiohttp.ClientConnectorError):
                    async with session.get(f"{url}/status.json") as answer:
                        told = next(iter((await answer.json())["running"]), {})
                await asyncio.sleep(0.05)
    refusal = told["refusal"]
    assert (told["phase"], told["done"], told["seconds_left"]) == ("attaching", 0, None)
    assert (refusal["operation"], refusal["reason"], refusal["status"]) == (
        "attach_domains",
        "gateway_unavailable",
        503,
    )
    assert told["steps"][0]["refusal"] == refusal


async def opened(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    while True:
        with suppress(aiohttp.ClientConnectorError):
            return await session.get(url)
        await asyncio.sleep(0.05)


async def followed(answer: aiohttp.ClientResponse) -> tuple[list[int], str]:
    """How many bindings were done, step by step; and the latest outcomes once nothing runs any more."""
    values: list[int] = []
    latest = ""
    async for name, told in events(answer):
        if name != "parts":
            continue
        latest = told.get("latest", latest)
        shown = told.get("running", "")
        values += [int(one) for one in re.findall(rf'max="{len(DOMAINS)}" value="(\d+)"', shown)]
        if values and "Nothing runs just now" in shown:
            break
    return values, latest
