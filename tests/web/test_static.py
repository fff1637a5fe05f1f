"""The page's own files."""

import re
from pathlib import Path

import aiohttp

from tests.support.fleets import StillFleet, sample_fleet
from tests.support.pages import page_of


async def test_a_file_is_kept_for_as_long_as_the_page_names_that_very_version() -> None:
    async with page_of(StillFleet(sample_fleet(1))) as url, aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            named = re.findall(r'(?:href|src)="(/static/[^"]+)"', await answer.text())
        assert len(named) >= 3
        for path in named:
            async with session.get(url + path) as answer:
                assert answer.status == 200
                assert "immutable" in answer.headers["Cache-Control"]
            async with session.get(url + path[:-1]) as answer:
                assert answer.headers["Cache-Control"] == "no-store"


async def test_no_other_file_can_be_asked_for() -> None:
    async with page_of(StillFleet(sample_fleet(1))) as url, aiohttp.ClientSession() as session:
        for name in ("page.py", "..%2Fpage.py", "%2E%2E%2Ftemplates%2Fframe.html", "", "page.css%00"):
            async with session.get(f"{url}/static/{name}") as answer:
                assert answer.status == 404


def test_the_pictures_that_are_shown_are_small() -> None:
    shown = list((Path(__file__).parents[2] / "docs" / "images").glob("*.png"))
    assert len(shown) >= 2
    assert [one.name for one in shown if one.stat().st_size > 150_000] == []
