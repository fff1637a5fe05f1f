"""Whatever a command ends with, it says what to do next: of every reason that is no good end."""

import re
from pathlib import Path

from worker.commands.next_steps import BY_REASON

REASONS = Path(__file__).parents[2] / "docs" / "reasons.md"
WELL = {"rotated", "already_current", "withdrawn", "replayed", "downgrade", "outside_window", "spread"}
OWN = {"not_told", "internal_error"}
"""Of commands alone."""


def test_every_reason_has_its_next_step() -> None:
    documented = set(re.findall(r"^\| `([a-z_0-9]+)` \|", REASONS.read_text(encoding="utf-8"), re.MULTILINE))
    assert documented - WELL == set(BY_REASON) - (OWN - documented)


def test_a_next_step_is_one_short_line() -> None:
    assert [step for step in BY_REASON.values() if not 10 < len(step) < 120 or "\n" in step] == []
