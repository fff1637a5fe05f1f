"""docs/bad-inputs.md, made of the table."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.bad_inputs import configurations, elsewhere
from tests.bad_inputs.table import Bad
from tests.bad_inputs.test_messages import GROUPS

THROUGH_THE_WORKER: Final = "test_each_bad_input_ends_as_the_table_says_and_harms_no_other"
AT_START: Final = "test_the_service_does_not_start_and_says_why_in_one_line"
INTRODUCTION: Final = f"""# Bad inputs

What may come in that should not, and what becomes of it. This file is made of the table that the tests themselves go
through: `python -m tests.bad_inputs > docs/bad-inputs.md`. Reasons are those of [reasons](reasons.md).

The first four tables are sent, one after the other, through a whole worker (embedded broker, simulated cloud) by
`{THROUGH_THE_WORKER}`. Each ends in exactly one event with that
reason and, where it failed, in one dead letter; *untouched*: no call of any kind reached the cloud. No key of any of
them is in an event, a dead letter, a log or the broker's file, and a good renewal is carried out afterwards.

Beyond the tables:

- Crafted keys are refused before anything slow is begun: `test_no_crafted_key_is_loaded_slowly`. What that takes, and
  that the loop goes on turning, `make bench BENCH_ARGS=hostile` measures.
- No byte of a sealed key or a signed renewal can be changed, left out, doubled or put in:
  `test_a_sealed_key_with_any_byte_changed_is_refused`, `test_a_signed_renewal_with_any_byte_changed_is_refused`.
- PEM, messages, envelopes, settings and the clouds' answers that are nearly right are taken, or refused in the worker's
  own words: `tests/bad_inputs/test_fuzz_*.py`. More are tried where `CI` is set.
- JSON at its edges: `test_a_renewal_that_holds_anything_else_is_refused_as_a_whole`.
- Test vectors and x509-limbo: [conformance](conformance.md).
"""


def document() -> str:
    sections = [_of_worker(name.capitalize(), rows) for name, rows in GROUPS.items()]
    return "\n".join([INTRODUCTION, *sections, _of_settings(), _of_others()])


def _of_worker(title: str, rows: Sequence[Bad]) -> str:
    lines = [f"| {row.number} | {row.what} | {row.outcome} | `{row.reason}` | {row.cloud} |" for row in rows]
    return _table(title, "number | input | outcome | reason | cloud", lines)


def _of_settings() -> str:
    lines = [f"| {row.number} | {row.what} | `{row.place.strip()}` |" for row in configurations.ROWS]
    about = f"Each ends `run` with status 78 and one line: the place, never the value (`{AT_START}`)."
    return _table("Settings", "number | settings | the line begins", lines, about)


def _of_others() -> str:
    lines = [f"| {row.number} | {row.what} | {row.outcome} | {_named(row.tests)} |" for row in elsewhere.ROWS]
    return _table("The broker and the clouds", "number | input | outcome | test", lines)


def _named(tests: Sequence[str]) -> str:
    return ", ".join(f"`{test}`" for test in tests)


def _table(title: str, head: str, lines: Sequence[str], about: str = "") -> str:
    rule = "|".join("---" for _ in head.split("|"))
    return "\n".join([f"## {title}", "", *([about, ""] if about else []), f"| {head} |", f"|{rule}|", *lines, ""])


def numbers() -> Iterator[str]:
    for rows in GROUPS.values():
        yield from (row.number for row in rows)
    yield from (row.number for row in configurations.ROWS)
    yield from (row.number for row in elsewhere.ROWS)
