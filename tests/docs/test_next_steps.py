"""Whatever a command ends with, it says what to do next: with the words of docs/reasons.md, as the page does."""

import re

from tests.docs.pages import read
from worker.commands.next_steps import OWN, next_step, next_step_after
from worker.core.errors import PermanentError
from worker.reasons import meanings

ROWS = re.findall(r"^\| `([a-z_0-9]+)` \| .+? \| (.+?) \| .+? \|$", read("docs/reasons.md"), re.MULTILINE)
WELL = {"rotated", "already_current"}


def test_a_command_says_of_every_reason_what_the_document_says() -> None:
    assert len(ROWS) > 90
    assert {reason: next_step_after(reason) for reason, _ in ROWS} == dict(ROWS)
    assert next_step(PermanentError("quota", "full")) == dict(ROWS)["quota"]


def test_and_so_does_the_page_in_plain_words() -> None:
    assert {reason: meanings()[reason].advice for reason, _ in ROWS} == {
        reason: step.replace("`", "") for reason, step in ROWS
    }


def test_what_only_a_command_can_say_is_not_said_twice() -> None:
    assert OWN.keys() & dict(ROWS).keys() == set()
    assert next_step_after("no_reason_at_all"), "never empty"


def test_a_next_step_is_one_short_line() -> None:
    steps = [step for reason, step in [*ROWS, *OWN.items()] if reason not in WELL]
    assert [step for step in steps if not 10 < len(step) < 120 or "\n" in step] == []
