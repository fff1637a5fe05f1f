"""A page that a token guards, in a real browser: it asks for the token as a password, and is live with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.chromium import Chromium, Tab, chromium
from tests.support.fleets import StillFleet, sample_fleet
from tests.web.scenes import strangers
from tests.web.test_access import TOKEN, secret
from tests.web.test_browser import under_way
from worker.broker.base import BrokerState
from worker.settings.http import Http
from worker.telemetry import Metrics
from worker.web.server import Health, serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    async with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@asynccontextmanager
async def guarded(browser: Chromium, folder: Path, *typed: str) -> AsyncIterator[tuple[Tab, StillFleet]]:
    """The page of a worker that has a token, as a reader gets it who types these, one after the other."""

    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)

    http, source = Http(listen="127.0.0.1:0", token_file=secret(folder)), StillFleet(sample_fleet(50))
    async with serving(Health(state, Metrics()), http, source) as port, browser.tab() as tab:
        await tab.with_a_reader_who_types(*typed)
        await tab.open(f"http://127.0.0.1:{port}/")
        yield tab, source


async def test_the_browser_asks_for_the_token_once_and_all_of_the_page_is_open_with_it(
    browser: Chromium, tmp_path: Path
) -> None:
    async with guarded(browser, tmp_path, TOKEN) as (tab, source):
        (asked,) = tab.asked_for
        assert (asked["scheme"], asked["realm"]) == ("basic", "rotation-worker")
        await tab.until("document.querySelector('[data-live=on]') !== null")
        assert await tab.run("document.querySelectorAll('#table tbody tr').length") == 50
        for done in (125, 500):
            source.show(under_way(source.now, done))
            await tab.until(f"document.querySelector('#running progress')?.value === {done}")
        source.show(replace(source.now, running=[]))
        await tab.until("document.querySelector('#running progress') === null")
        path = await tab.run("document.querySelector('#table a').getAttribute('href')")
        await tab.open(await tab.run(f"new URL('{path}', location.href).href"))
        await tab.until("document.querySelector('[data-live=on]') !== null")
        assert len(tab.asked_for) == 1, "what a reader has typed is typed for all of it"
        assert TOKEN not in await tab.run("document.documentElement.outerHTML + location.href")
        assert strangers(tab) == []
        assert tab.troubles == []


async def test_without_the_token_nothing_of_the_fleet_is_seen(browser: Chromium, tmp_path: Path) -> None:
    async with guarded(browser, tmp_path) as (tab, _):
        assert [one["scheme"] for one in tab.asked_for] == ["basic"]
        assert "who asks?" in await tab.run("document.documentElement.textContent")
        assert "shop-" not in await tab.run("document.documentElement.outerHTML")


async def test_a_reader_who_mistypes_it_is_asked_again(browser: Chromium, tmp_path: Path) -> None:
    async with guarded(browser, tmp_path, f"{TOKEN}-2", TOKEN) as (tab, _):
        assert len(tab.asked_for) == 2
        await tab.until("document.querySelectorAll('#table tbody tr').length === 50")
