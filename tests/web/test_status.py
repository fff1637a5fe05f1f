"""The fleet as JSON."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import jsonschema
import pytest
from markupsafe import escape

from tests.support.fleets import NOW, StillFleet, sample_details, sample_fleet
from tests.support.turns import counted
from tests.support.unread import unread
from worker.broker.base import BrokerState
from worker.core.schemas import as_text
from worker.effort import Refusal
from worker.fleet.shape import details_json, fleet_json, schemas
from worker.fleet.values import GivenUp, Running, Step
from worker.settings.http import Http
from worker.telemetry import Metrics
from worker.web.certificate import certificate_page
from worker.web.rendering import certificate_parts
from worker.web.server import Health, serving
from worker.web.status import Status

PUBLISH: Final = "rotation-worker publish --chain fullchain.pem --key privkey.pem"
SCHEMAS: Final = Path(__file__).parents[2] / "docs" / "schemas"


@asynccontextmanager
async def served(fleet: StillFleet) -> AsyncIterator[str]:
    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)

    async with serving(Health(state, Metrics()), Http(listen="127.0.0.1:0"), fleet) as port:
        yield f"http://127.0.0.1:{port}/status.json"


async def told(url: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


@pytest.mark.parametrize("number", [0, 1, 50, 250])
async def test_the_whole_fleet_is_told(number: int) -> None:
    fleet = sample_fleet(number)
    async with served(StillFleet(fleet)) as url:
        status, shown = await told(url)
    assert status == 200
    assert [one["name"] for one in shown["certificates"]] == [one.name for one in fleet.certificates]
    for one, standing in zip(shown["certificates"], fleet.certificates, strict=True):
        assert (one["state"], one["level"]) == (standing.state, standing.level(fleet.at))
        assert one["serial_numbers"] == list(standing.serial_numbers)
        assert one["bindings"]["failed"] == standing.bindings.failed
    assert [(one["done"], one["total"], one["phase"]) for one in shown["running"]] == [
        (one.done, one.total, one.phase) for one in fleet.running
    ]
    assert shown["at"] == "2026-11-20T10:00:00Z"
    assert len(shown["series"][0]["buckets"]) == 60


async def test_one_certificate_is_told_with_its_bindings_and_its_past() -> None:
    fleet = sample_fleet(50)
    async with served(StillFleet(fleet)) as url:
        status, shown = await told(f"{url}?certificate=shop-00024")
        assert (await told(f"{url}?certificate=unknown"))[0] == 404
        assert (await told(f"{url}?certificate="))[0] == 404
    assert status == 200
    assert (shown["certificate"]["name"], shown["certificate"]["state"]) == ("shop-00024", "failed")
    [failed, *_rest] = shown["deployments"][0]["bindings"]
    assert (failed["state"], failed["reason"], failed["status"], failed["code"]) == (
        "failed",
        "not_found",
        404,
        "APIG.3020",
    )
    assert len(shown["history"]) == 5


async def test_others_have_their_turns_while_ten_thousand_certificates_are_told() -> None:
    fleet = sample_fleet(10_000)
    async with served(StillFleet(fleet)) as url, counted() as turns:
        _, shown = await told(url)
    assert len(shown["certificates"]) == 10_000
    assert turns.had >= 100
    assert max(len(piece) for piece in fleet_json(fleet)) < 400_000, "no piece is much work"


async def test_who_asks_and_does_not_read_is_let_go() -> None:
    async with unread(Status(StillFleet(sample_fleet(10_000)), patience=0.2).status):
        pass


@pytest.mark.parametrize(
    ("dead", "remedy", "command"),
    [
        (GivenUp("m1", "shop", "r", "not_found", NOW), "replay", "rotation-worker dead replay m1"),
        (GivenUp("-m", "shop", "r", "not_found", NOW), "replay", "rotation-worker dead replay -- -m"),
        (GivenUp("", None, None, "malformed", NOW), "find", "rotation-worker dead list"),
        (GivenUp("m1", "shop", "r", "plain_key_refused", NOW, True), "publish", PUBLISH + " shop"),
        (GivenUp("m1", "a b", "r", "plain_key_refused", NOW, True, True), "new_key", PUBLISH + " 'a b'"),
        (GivenUp("m1", None, None, "malformed", NOW, False, True), "new_key", PUBLISH + " CERTIFICATE"),
    ],
)
async def test_what_to_do_about_what_was_given_up_is_told_to_programs_and_to_people(
    dead: GivenUp, remedy: str, command: str
) -> None:
    fleet = replace(sample_fleet(3), dead=[dead], dead_in_all=1)
    [shown] = json.loads(b"".join(fleet_json(fleet)))["dead"]
    assert (shown["remedy"], shown["command"]) == (remedy, command)
    details = sample_details(replace(fleet, dead=[replace(dead, certificate="shop-00000")]), "shop-00000")
    assert details is not None
    page = await certificate_parts(certificate_page(details, is_whole=False))
    [own] = details.dead
    assert f"<code>{escape(own.command)}</code>" in page["now"]


def test_details_are_one_document() -> None:
    details = sample_details(sample_fleet(50), "shop-00000")
    assert details is not None
    assert details_json(details).startswith(b'{"at":"2026-11-20T10:00:00Z"')


def test_what_is_told_keeps_to_the_published_schemas() -> None:
    for name, schema in schemas().items():
        assert (SCHEMAS / name).read_text() == as_text(schema)
    fleet = sample_fleet(250)
    refused = Step("a/1", "a", "attaching", refusal=Refusal("attach_domains", "gateway_unavailable", None, NOW))
    fleet = replace(fleet, running=[*fleet.running, Running("shop-00024", "r", NOW, steps=[refused])])
    details = sample_details(fleet, "shop-00024")
    assert details is not None
    told = {"status.v1.json": b"".join(fleet_json(fleet)), "status-certificate.v1.json": details_json(details)}
    for name, document in told.items():
        jsonschema.validate(json.loads(document), schemas()[name])
