"""What is made from code agrees with it."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.docs import settings_reference
from tests.docs.generated import DOCUMENTS
from tests.docs.pages import ROOT, blocks, pages, read


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_that_is_made_from_code_agrees_with_it(path: str) -> None:
    assert read(path) == DOCUMENTS[path](), "stale: make docs"


def test_every_setting_says_what_it_means() -> None:
    tables = settings_reference.all_tables()
    assert len(tables) > 25
    assert [setting for table in tables for setting in settings_reference.untold(table)] == []


def named_settings() -> Iterator[tuple[str, str]]:
    """Page and name: `section.key`, wherever it stands."""
    sections = {table.place.partition(".")[0] for table in settings_reference.all_tables()} - {""}
    for page in pages():
        for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", page.read_text(encoding="utf-8")):
            if name.partition(".")[0] in sections:
                yield page.name, name


def test_every_setting_that_a_page_names_is_there() -> None:
    tables = settings_reference.all_tables()
    keys = {f"{table.place}.{one.alias or name}" for table in tables for name, one in table.model.model_fields.items()}
    known = keys | {table.place for table in tables}
    # Lines of the log have dots, too.
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "worker").rglob("*.py"))
    named = set(named_settings())
    assert len(named) > 40
    assert sorted(one for one in named if one[1] not in known and f'"{one[1]}"' not in code) == []


def test_every_json_of_a_page_can_be_read() -> None:
    for page in pages():
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "json":
                json.loads(block.text)
