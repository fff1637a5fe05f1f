"""The document of bad inputs is that of the table, and the table is whole."""

import re
from pathlib import Path

from tests.bad_inputs.document import document, numbers
from tests.bad_inputs.elsewhere import ROWS
from tests.bad_inputs.test_messages import GROUPS
from tests.docs.test_faults import written

ROOT = Path(__file__).parents[2]


def test_the_document_is_made_of_the_table() -> None:
    told = (ROOT / "docs" / "bad-inputs.md").read_text(encoding="utf-8")
    assert told == document(), "python -m tests.bad_inputs > docs/bad-inputs.md"


def test_every_number_has_its_row() -> None:
    assert sorted(set(numbers())) == [f"B{number:02}" for number in range(1, 87)]


def test_the_tests_that_it_names_are_there() -> None:
    known = {name for name, is_expected_to_fail in written() if not is_expected_to_fail}
    named = {name for row in ROWS for name in row.tests} | set(re.findall(r"`(test_[a-z0-9_]+)`", document()))
    assert named - known == set()


def test_every_reason_is_documented() -> None:
    documented = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    assert [row for rows in GROUPS.values() for row in rows if f"| `{row.reason}` |" not in documented] == []
