"""Metrics and page of a worker agree with the events that it has told: to the unit, and after a restart."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.clouds import QUICK, message, renewal, running, settings_for
from tests.support.pages import Element, tree
from tests.support.ports import free_port
from worker.core.past import moment
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority
from worker.sandbox.world import Fault
from worker.settings import Settings

AUTHORITY: Final = Authority.create()
SHOPS: Final = [f"shop-{number:02d}" for number in range(50)]
EACH: Final = 10
FEW: Final = 20
"""As many as have a place at once, where all are at one gateway of two."""
NOW: Final = datetime.now(UTC).replace(microsecond=0)


def domain(shop: str) -> str:
    return f"{shop}.example.com"


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[tuple[Sandbox, Settings]]:
    """Fifty certificates, each bound to one domain."""
    async with Sandbox() as sandbox:
        world = sandbox.world
        group = world.add_group(world.add_instance())
        certificates = {}
        for shop in SHOPS:
            bound = world.add_domain(group, domain(shop))
            old = AUTHORITY.issue([domain(shop)], not_before=NOW - timedelta(days=60))
            stored = world.add_certificate(old, shop.replace("-", "_"))
            world.bind(stored, bound)
            certificates[shop] = [{"gateway": "apig", "certificate_id": stored, "domains": "attached"}]
        more = {"http": {"listen": f"127.0.0.1:{free_port()}"}, "retry": {**QUICK, "attempts": 2}}
        yield sandbox, settings_for(sandbox, AUTHORITY, folder, certificates, **more)


def sent(shop: str, turn: int) -> Any:
    """In turns: a newer certificate, an older one, one for another name, one that nobody can read."""
    match turn % 5:
        case 3:
            return renewal(AUTHORITY.issue(["elsewhere.example.com"]), shop)
        case 4 if shop < "shop-25":
            return message(b"{")
        case 4:
            return renewal(AUTHORITY.issue([domain(shop)], not_before=NOW - timedelta(days=80)), shop)
        case _:
            age = timedelta(days=50 - 4 * turn)
            return renewal(AUTHORITY.issue([domain(shop)], not_before=NOW - age), shop)


async def asked(settings: Settings, path: str) -> Any:
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientConnectorError):
                async with session.get(f"http://{settings.http.listen}{path}") as answer:
                    is_json = answer.content_type == "application/json"
                    return await (answer.json() if is_json else answer.text())
            await asyncio.sleep(0.05)


async def at_rest(settings: Settings, count: int) -> Mapping[str, Any]:
    """The fleet, once so many outcomes are known and nothing is under way."""
    while True:
        fleet: dict[str, Any] = await asked(settings, "/status.json")
        months = fleet["series"][2]["buckets"]
        known = sum(one["succeeded"] + one["failed"] + one["superseded"] for one in months)
        if known >= count and not fleet["running"] and fleet["dead_in_all"] == _failed(months):
            return fleet
        await asyncio.sleep(0.2)


def _failed(buckets: Sequence[Mapping[str, Any]]) -> int:
    return sum(one["failed"] for one in buckets)


def samples(text: str, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    return Counter(
        {
            tuple(one.labels[label] for label in labels): int(one.value)
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name == name
        }
    )


def bindings_in(events: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for event in events:
        for one in event["data"]["deployments"]:
            found.update({(one["gateway"], state): n for state, n in one["bindings"].items() if state != "total" and n})
    return found


def check_metrics(text: str, events: Sequence[Mapping[str, Any]]) -> None:
    told = Counter((event["data"]["outcome"], event["data"]["reason"]) for event in events)
    assert samples(text, "rotation_renewals_total", "outcome", "reason") == told
    assert samples(text, "rotation_duration_seconds_count") == {(): len(events)}
    assert samples(text, "rotation_bindings_total", "gateway", "outcome") == bindings_in(events)
    calls = samples(text, "rotation_gateway_calls_total", "gateway", "operation", "status")
    # A token is for all rotations.
    of_rotations = sum(number for (_, operation, _), number in calls.items() if operation != "obtain_token")
    assert of_rotations == sum(event["data"]["gateway_calls"] for event in events)
    rotated = [event for event in events if event["data"]["reason"] == "rotated"]
    assert samples(text, "rotation_served_seconds_count") == {(): len(rotated)}


def check_fleet(fleet: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    outcomes = Counter(event["data"]["outcome"] for event in events)
    rotated = [event for event in events if event["data"]["reason"] == "rotated"]
    for series in fleet["series"]:
        for outcome in ("succeeded", "failed", "superseded"):
            assert sum(one[outcome] for one in series["buckets"]) == outcomes[outcome], series["name"]
        assert sum(one["served"] for one in series["buckets"]) == len(rotated)
    last = {event.get("subject"): event for event in events}
    for one in fleet["certificates"]:
        told = last[one["name"]]["data"]
        assert (one["last"]["outcome"], one["last"]["reason"]) == (told["outcome"], told["reason"])
        served = [event["data"]["leaf"] for event in rotated if event.get("subject") == one["name"]][-1]
        assert one["serial_numbers"] == [served["serial_number"]]
        assert one["not_after"] == served["not_after"]
    ended = {name: event["data"]["outcome"] for name, event in last.items() if name in SHOPS}
    failed = sum(outcome == "failed" for outcome in ended.values())
    assert fleet["states"] == {name: n for name, n in {"dead": failed, "served": len(SHOPS) - failed}.items() if n}
    assert (fleet["ready"], fleet["parked_in_all"], fleet["parked"]) == (0, 0, [])
    assert [(one["renewal_id"], moment(one["at"])) for one in fleet["recent"]] == [
        (event["data"]["renewal_id"], moment(event["time"])) for event in reversed(events[-100:])
    ]


def check_page(page: Element, events: Sequence[Mapping[str, Any]]) -> None:
    outcomes = Counter(event["data"]["outcome"] for event in events)
    rows = page.one("details", id="outcomes-table").one("tbody").all("tr")
    columns = zip(*([int(cell.text) for cell in row.all("td")] for row in rows), strict=True)
    assert [sum(column) for column in columns] == [outcomes[one] for one in ("succeeded", "failed", "superseded")]
    served = page.one("details", id="served-table").one("tbody").all("tr")
    rotated = sum(event["data"]["reason"] == "rotated" for event in events)
    assert sum(int(row.all("td")[0].text) for row in served) == rotated
    told = [event for event in events if event.get("subject") in SHOPS]
    last = {event["subject"]: event["data"]["outcome"] for event in told}
    tiles = {tile.all("span")[1].text: int(tile.all("span")[0].text) for tile in page.one(id="glance").all("a")}
    failed = sum(outcome == "failed" for outcome in last.values())
    assert (tiles["All"], tiles["Given up"]) == (len(SHOPS), failed)
    assert tiles["Well"] + tiles["Near expiry"] == len(SHOPS) - failed


async def check_running(settings: Settings) -> None:
    """While a gateway has asked to be left alone, nothing moves."""
    while samples(await asked(settings, "/metrics"), "rotation_in_flight") != {(): FEW}:
        await asyncio.sleep(0.02)
    fleet, page = await asked(settings, "/status.json"), tree(await asked(settings, "/"))
    assert samples(await asked(settings, "/metrics"), "rotation_in_flight") == {(): FEW}, "it was held for too short"
    assert {one["certificate"] for one in fleet["running"]} == set(SHOPS[:FEW])
    assert fleet["states"] == {"rotating": FEW, "unknown": len(SHOPS) - FEW}
    assert page.one(id="running").text.startswith(f"Running {FEW} under way")
    assert page.one(id="glance").all("p")[0].text.startswith(f"{FEW} renewals under way")
    tiles = {tile.all("span")[1].text: tile.all("span")[0].text for tile in page.one(id="glance").all("a")}
    assert tiles["Rotating"] == str(FEW)


async def test_after_500_rotations_everything_that_is_shown_is_what_the_events_say(tmp_path: Path) -> None:
    async with scene(tmp_path) as (sandbox, settings):
        held = Fault("show_certificate", status=429, headers={"Retry-After": "12"})
        sandbox.world.faults += [held, Fault("modify_certificate", status=503, times=8)]
        async with running(settings) as worker:
            renewals = [(shop, turn) for turn in range(EACH) for shop in SHOPS]
            for shop, turn in renewals[:FEW]:
                await worker.broker.publish_renewal(sent(shop, turn))
            await check_running(settings)
            for shop, turn in renewals[FEW:]:
                await worker.broker.publish_renewal(sent(shop, turn))
            events = await worker.outcomes(EACH * len(SHOPS))
            fleet = await at_rest(settings, len(events))
            check_metrics(await asked(settings, "/metrics"), events)
            check_fleet(fleet, events)
            check_page(tree(await asked(settings, "/?span=months")), events)
            one = await asked(settings, f"/status.json?certificate={SHOPS[30]}")
            mine = [moment(event["time"]) for event in events if event.get("subject") == SHOPS[30]]
            assert [moment(told["at"]) for told in one["history"]] == mine[::-1]
            assert [it["name"] for it in one["deployments"][0]["bindings"]] == [domain(SHOPS[30])]
        async with running(settings):
            again = await at_rest(settings, len(events))
            check_fleet(again, events)
            assert {name: again[name] for name in ("certificates", "dead_in_all", "states")} == {
                name: fleet[name] for name in ("certificates", "dead_in_all", "states")
            }


async def test_who_stands_by_shows_the_same_as_who_is_at_work(tmp_path: Path) -> None:
    async with scene(tmp_path) as (_sandbox, settings), running(settings) as worker:
        await until_role(settings, "consuming")
        second = settings.model_copy(
            update={"http": settings.http.model_copy(update={"listen": f"[::1]:{free_port()}"})}
        )
        async with running(second):
            await until_role(second, "standing by")
            for turn in (0, 1, 3):
                await worker.broker.publish_renewal(sent("shop-00", turn))
            events = await worker.outcomes(3)
            active, standby = [await at_rest(one, len(events)) for one in (settings, second)]
            for name in ("states", "dead_in_all", "recent", "dead"):
                assert active[name] == standby[name], name
            [served, shown] = [one["certificates"][0] for one in (active, standby)]
            assert {**served, "days_left": 0} == {**shown, "days_left": 0}


async def test_where_it_is_stored_is_shown_and_found_as_the_event_says_it_after_bindings_have_moved(
    tmp_path: Path,
) -> None:
    async with Sandbox() as sandbox:
        world, age = sandbox.world, timedelta(days=60)
        group, listener = world.add_group(world.add_instance()), world.add_listener()
        upload = world.add_upload(AUTHORITY.issue(["shop.example.com"], not_before=NOW - age), "shop")
        world.bind_listener(upload, listener)
        blog = world.add_certificate(AUTHORITY.issue([domain("blog")], not_before=NOW - age), "blog")
        world.bind(blog, world.add_domain(group, domain("blog")))
        at_bycloud = {
            "gateway": "bycloud",
            "certificate_id": upload,
            "strategy": "replace",
            "listeners": [{"id": listener}],
        }
        at_apig = {"gateway": "apig", "name": "blog", "strategy": "blue_green", "domains": "attached"}
        more = {"http": {"listen": f"127.0.0.1:{free_port()}"}}
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {"shop": [at_bycloud], "blog": [at_apig]}, **more)
        async with running(settings) as worker:
            for name in ("shop", "blog"):
                await worker.broker.publish_renewal(renewal(AUTHORITY.issue([domain(name)]), name))
            events = await worker.outcomes(2)
            await at_rest(settings, 2)
            for event in events:
                name, [place] = event["subject"], event["data"]["deployments"]
                told = place["certificate_id"]
                assert told not in {None, upload, blog}, "the bindings have moved"
                details = await asked(settings, f"/status.json?certificate={name}")
                assert details["certificate"]["deployments"][0]["stored_as"] == told
                page = tree(await asked(settings, f"/certificates/{name}")).one(id="deployments")
                assert f"Stored as {told}" in page.text
                found = tree(await asked(settings, f"/?q={told}")).one(id="certificates").all("th", scope="row")
                assert [one.one("a").text for one in found] == [name]


async def until_role(settings: Settings, role: str) -> None:
    while (await asked(settings, "/status.json"))["role"] != role:
        await asyncio.sleep(0.1)
