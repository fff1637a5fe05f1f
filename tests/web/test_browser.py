"""The page in a real browser: how it looks, what it asks for, how it is used without a mouse, and that it is live."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.support.chromium import Chromium, Look, chromium
from tests.support.fleets import NOW, sample_fleet
from tests.web.scenes import AXE, PICTURES, SCANNED, SCENES, Scene, seen, strangers, violations
from worker.fleet.values import Fleet, Running, Step

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

WIDE = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    async with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def require_axe() -> None:
    if not AXE.exists():
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack("axe-core is not installed: .ci/services")


def keep(name: str, picture: bytes) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(picture)


@pytest.mark.parametrize("name", SCENES)
async def test_it_looks_like_this_asks_nobody_else_and_complains_of_nothing(browser: Chromium, name: str) -> None:
    scene = SCENES[name]
    async with seen(browser, scene) as (tab, _):
        picture = await tab.picture()
        width = await tab.run("document.documentElement.scrollWidth")
    keep(name, picture)
    assert len(picture) > 8000, "there is something on it"
    assert strangers(tab) == []
    assert [one for one in tab.troubles if "404" not in one or name != "missing"] == []
    assert width <= scene.look.width, "nothing sticks out at the side"


@pytest.mark.parametrize("name", SCANNED)
async def test_an_accessibility_scan_finds_nothing(browser: Chromium, name: str) -> None:
    require_axe()
    async with seen(browser, SCENES[name]) as (tab, _):
        await tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert await violations(tab) == []


def under_way(fleet: Fleet, done: int) -> Fleet:
    steps = [Step("apig-main/a", "apig-main", "attaching", done, 0, 500, (500 - done) / 10)]
    return replace(fleet, running=[Running("shop-00016", "r", NOW, steps=steps)])


async def test_a_running_rotation_is_seen_to_advance_and_the_readers_own_things_stay(browser: Chromium) -> None:
    async with seen(browser, Scene(50)) as (tab, source):
        source.show(under_way(source.now, 0))
        await tab.until("document.querySelector('#running progress')?.max === 500")
        await tab.run(
            "document.querySelector('#outcomes-table').open = true;"
            "document.querySelector('input[name=q]').value = 'half a wo';"
            "document.querySelector('#running a').focus();"
            "window.kept = document.querySelector('#running progress'); true"
        )
        seen_values = []
        for done in (125, 250, 500):
            source.show(under_way(source.now, done))
            seen_values.append(await tab.until(f"document.querySelector('#running progress').value === {done}"))
            keep(f"live-{done}", await tab.picture())
        assert seen_values == [True, True, True]
        assert await tab.run("window.kept === document.querySelector('#running progress')"), (
            "it moves, it does not jump"
        )
        assert await tab.run("document.activeElement.closest('#running') !== null"), "the focus stays"
        assert await tab.run("document.querySelector('#outcomes-table').open"), "what was opened stays open"
        assert await tab.run("document.querySelector('input[name=q]').value") == "half a wo"
        source.show(replace(source.now, running=[]))
        await tab.until("document.querySelector('#running progress') === null")
        assert tab.troubles == []


SAME = """
fetch(location.href).then((answer) => answer.text()).then((text) => {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  return [fresh, document].map((one) => [one.title, one.querySelector("main").innerHTML]);
})
"""


@pytest.mark.parametrize("path", ["/", "/?q=shop-000&state=expiring&span=hour", "/certificates/shop-00016"])
async def test_after_any_news_the_page_is_the_one_that_would_be_loaded_now(browser: Chromium, path: str) -> None:
    async with seen(browser, Scene(50, path)) as (tab, source):
        for number in (80, 20, 500, 40, 64):
            fleet = sample_fleet(number)
            moved = [replace(one, state="failed") if number % 3 else one for one in fleet.certificates[:18]]
            source.show(replace(fleet, certificates=[*moved, *fleet.certificates[18:]], dead=fleet.dead[::-1]))
            while True:
                loaded, shown = await tab.run(SAME)
                if loaded == shown:
                    break
        assert tab.troubles == []


async def test_a_screen_reader_is_told_when_the_fleet_stands_otherwise(browser: Chromium) -> None:
    async with seen(browser, Scene(50)) as (tab, source):
        assert await tab.run("document.getElementById('said').getAttribute('role')") == "status"
        assert await tab.run("document.getElementById('said').textContent") == "", "the page itself says it at first"
        source.show(sample_fleet(80))
        assert "of 80 certificates need attention" in await tab.until("document.getElementById('said').textContent")


async def test_a_page_whose_worker_went_away_says_so_and_comes_back_by_itself(browser: Chromium) -> None:
    async with seen(browser, Scene(3)) as (tab, _):
        await tab.call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        await tab.run("source.close(); follow(); true")
        await tab.until("document.querySelector('[data-live=off]') !== null")
        await tab.call(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        await tab.until("document.querySelector('[data-live=on]') !== null")


async def test_everything_can_be_reached_and_used_by_keyboard(browser: Chromium) -> None:
    async with seen(browser, Scene(50)) as (tab, _):
        await tab.press("Tab", 9)
        assert await tab.run("document.activeElement.className") == "skip"
        assert await tab.run("document.activeElement.getBoundingClientRect().top >= 0"), "it is seen where it has focus"
        reached = set()
        for _ in range(200):
            await tab.press("Tab", 9)
            style = "getComputedStyle(document.activeElement).outlineStyle"
            assert await tab.run(f"document.activeElement === document.body || {style} !== 'none'"), "focus is seen"
            reached.add(await tab.run("document.activeElement.name || document.activeElement.getAttribute('href')"))
            if await tab.run("document.activeElement === document.body"):
                break
        links = await tab.run("[...document.querySelectorAll('a')].map((one) => one.getAttribute('href'))")
        assert set(links) | {"q", "state"} <= reached | {"#content"}
        await tab.run("document.querySelector('input[name=q]').focus(); true")
        for letter in "shop-00007":
            await tab.call("Input.insertText", text=letter)
        await tab.press("Enter", 13)
        await tab.until("location.search.includes('q=shop-00007')")
        await tab.until("document.querySelectorAll('#table tbody tr').length === 1")


async def test_a_page_that_nobody_looks_at_asks_for_nothing(browser: Chromium) -> None:
    async with seen(browser, Scene(3)) as (tab, _):
        await tab.run("Object.defineProperty(document, 'hidden', {value: true, configurable: true}); look(); true")
        assert await tab.run("source === null")
        await tab.run("Object.defineProperty(document, 'hidden', {value: false}); look(); true")
        await tab.until("source?.readyState === EventSource.OPEN")


async def test_text_twice_as_large_still_fits(browser: Chromium) -> None:
    async with seen(browser, Scene(50, look=Look(width=640))) as (tab, _):
        await tab.run("document.documentElement.style.fontSize = '200%'; true")
        assert await tab.run("document.documentElement.scrollWidth") <= 640
