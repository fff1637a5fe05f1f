"""Every reason that the worker can tell is documented, with what to do about it; and no other."""

import re
from typing import get_args, get_type_hints

from tests.docs.emitted import Code
from tests.docs.pages import ROOT, read
from worker.broker import copies
from worker.core.schedule import Wait

ROWS = re.findall(r"^\| `([a-z_0-9]+)` \| (.+?) \| (.+?) \| (.+?) \|$", read("docs/reasons.md"), re.MULTILINE)
"""Reason, tried again, what to do, what it means."""
WAITING = set(get_args(get_type_hints(Wait)["why"]))
OF_THE_BROKER = {*copies._OF_THE_BROKER, "unknown"}


def test_every_reason_that_the_code_can_tell_has_its_row_and_no_other_has_one() -> None:
    code = Code(ROOT / "worker")
    told = code.reasons()
    assert code.unknown == [], "a reason that cannot be followed to its words"
    assert len(told) > 90
    documented = [reason for reason, *_ in ROWS]
    assert sorted(documented) == sorted(told | WAITING | OF_THE_BROKER), "each once"


def test_every_reason_says_what_to_do_about_it() -> None:
    assert [reason for reason, *cells in ROWS if not all(cell.strip() for cell in cells)] == []
