"""`make pictures`: what the README shows of the status page."""

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.support.chromium import Look, chromium
from tests.support.fleets import sample_fleet
from tests.web.scenes import ROOT, Scene, seen
from worker.fleet.standing import CertificateStanding, Ended
from worker.fleet.values import Fleet

FOLDER: Final = ROOT / "docs" / "images"
SHOWN: Final = {
    "status.png": Scene(50, look=Look(width=1280, height=1440, scale=0.72)),
    "certificate-dark.png": Scene(50, "/certificates/pay-eu", Look(width=1280, height=1040, is_dark=True, scale=0.75)),
}
_WORDS: Final = ("shop", "api", "www", "mail", "pay", "login", "cdn", "docs", "status", "search")
_PLACES: Final = ("eu", "us", "br", "asia", "test")


def named(number: int) -> str:
    return f"{_WORDS[number % 10]}-{_PLACES[number // 10 % 5]}"


def dressed(fleet: Fleet) -> Fleet:
    """The same with names and serial numbers as they are in life."""
    names = {one.name: named((number + 24) % 50) for number, one in enumerate(fleet.certificates)}
    lists: Mapping[str, Any] = {
        "certificates": sorted((_certificate(one, names) for one in fleet.certificates), key=lambda one: one.name),
        "recent": [_renamed(one, names) for one in fleet.recent],
        "running": [replace(one, certificate=names[one.certificate]) for one in fleet.running],
        "parked": [replace(one, certificate=names[str(one.certificate)]) for one in fleet.parked],
        "dead": [
            replace(one, certificate=names[str(one.certificate)], id=_id(one.id)[:8], renewal_id=_id(one.id)[:8])
            for one in fleet.dead
        ],
    }
    return replace(fleet, **lists)


def _certificate(one: CertificateStanding, names: Mapping[str, str]) -> CertificateStanding:
    deployments = [
        replace(each, serial_number=_serial(one.name) if each.serial_number else None, certificate_id=_id(each.key))
        for each in one.deployments
    ]
    last = None if one.last is None else replace(_renamed(one.last, names), serial_number=_serial(one.name))
    return replace(one, name=names[one.name], deployments=deployments, last=last)


def _renamed(one: Ended, names: Mapping[str, str]) -> Ended:
    return replace(one, certificate=names[str(one.certificate)], renewal_id=_id(one.renewal_id or "")[:8])


def _serial(name: str) -> str:
    return str(int(_id(name), 16))


def _id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with chromium(Path(folder)) as browser:
            for name, scene in SHOWN.items():
                async with seen(browser, scene, dressed(sample_fleet(scene.certificates))) as (tab, _):
                    (FOLDER / name).write_bytes(await tab.picture())


if __name__ == "__main__":
    asyncio.run(main())
