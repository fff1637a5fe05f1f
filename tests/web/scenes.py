"""What pictures are taken of, and what every look at the page must be like."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.support.chromium import Chromium, Look, Tab
from tests.support.fleets import StillFleet, sample_fleet
from tests.support.pages import page_of
from worker.fleet.values import Fleet

ROOT: Final = Path(__file__).parents[2]
PICTURES: Final = ROOT / "build" / "pictures"
AXE: Final = ROOT / ".ci" / "npm" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture."""

    certificates: int
    path: str = "/"
    look: Look = field(default_factory=Look)


PHONE: Final = Look(width=390, height=844, is_phone=True)
SCENES: Final[Mapping[str, Scene]] = {
    "empty": Scene(0),
    "fifty": Scene(50),
    "fifty-dark": Scene(50, look=Look(is_dark=True)),
    "fifty-phone": Scene(50, look=PHONE),
    "fifty-phone-dark": Scene(50, look=Look(width=320, height=640, is_phone=True, is_dark=True)),
    "without-scripts": Scene(50, look=Look(has_scripts=False)),
    "ten-thousand": Scene(10_000),
    "ten-thousand-found": Scene(10_000, "/?q=shop-01&state=failed"),
    "failure": Scene(50, "/certificates/shop-00024"),
    "failure-dark": Scene(50, "/certificates/shop-00024", Look(is_dark=True)),
    "failure-phone": Scene(50, "/certificates/shop-00024", PHONE),
    "given-up": Scene(50, "/certificates/shop-00030"),
    "missing": Scene(50, "/certificates/nothing"),
}
SCANNED: Final = (
    *("empty", "fifty", "fifty-dark", "fifty-phone-dark", "ten-thousand-found"),
    *("failure", "failure-dark", "failure-phone", "given-up", "missing"),
)
"""By axe-core, which looks at each element for seconds."""


@asynccontextmanager
async def seen(browser: Chromium, scene: Scene, fleet: Fleet | None = None) -> AsyncIterator[tuple[Tab, StillFleet]]:
    """The page as it is once its first news are in."""
    source = StillFleet(fleet or sample_fleet(scene.certificates))
    async with page_of(source) as url, browser.tab(scene.look) as tab:
        await tab.open(url + scene.path)
        if scene.look.has_scripts and scene.path != "/certificates/nothing":
            await tab.until("document.querySelector('[data-live=on]') !== null")
            await asyncio.sleep(0.2)
        yield tab, source


def strangers(tab: Tab) -> list[str]:
    """Who else was asked for something."""
    home = urlsplit(tab.requests[0]).netloc
    return [one for one in tab.requests if urlsplit(one).netloc != home]


async def violations(tab: Tab) -> list[str]:
    """What axe-core finds, by any of its rules: which, and where."""
    await tab.run(AXE.read_text("utf-8") + "; true")
    told: dict[str, Any] = json.loads(
        await tab.run("axe.run(document, {resultTypes: ['violations']}).then((found) => JSON.stringify(found))")
    )
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in told["violations"]
    ]
