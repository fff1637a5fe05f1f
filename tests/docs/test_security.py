"""Every threat has a control, and a test that there is."""

import re
from pathlib import Path

from tests.docs.test_faults import named, written

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (?!threat )(.+ \| [STRIDE ]+ \| .+)\|$", (ROOT / "SECURITY.md").read_text("utf-8"), re.MULTILINE
)


def test_every_threat_names_tests_that_there_are() -> None:
    known = {name for name, _ in written()}
    assert len(ROWS) >= 30
    assert [row for row in ROWS if not named(row) or named(row) - known] == []
