"""The page explains each reason with the words of docs/reasons.md, also where only the package is."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from worker.reasons import meanings

ROOT = Path(__file__).parents[2]


def test_every_reason_of_the_document_has_its_meaning() -> None:
    text = (ROOT / "docs" / "reasons.md").read_text("utf-8")
    assert set(meanings()) == set(re.findall(r"^\| `([a-z_0-9]+)` \|", text, re.MULTILINE))
    assert all(one.text and one.advice for one in meanings().values())
    assert "`" not in "".join(one.text + one.advice for one in meanings().values())


def test_a_package_brings_the_page_with_all_that_it_needs(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    says = (
        "import asyncio, worker.web.page as p; from datetime import datetime, UTC; now = datetime.now(UTC);"
        "from worker.fleet.values import Fleet, GivenUp; from worker.web.overview import overview;"
        "from worker.web.query import PageQuery; from worker.web.ranking import Found, Ranked;"
        "fleet = Fleet(now, dead=[GivenUp('1', None, None, 'throttled', now)]);"
        "view = overview(fleet, Ranked.of(()), Found((), 0, 1, 1), PageQuery());"
        "print(p.__file__, asyncio.run(p.overview_html(view)));"
        "print([len(p.static_file(name)) for name in p.STATIC])"
    )
    done = subprocess.run(
        [sys.executable, "-c", says],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(tmp_path / "installed") in done.stdout
    assert "Refused for too many calls" in done.stdout
