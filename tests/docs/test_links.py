"""Every link within the project leads somewhere, and nothing is told twice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, links, pages, prose


def broken(page: Path, link: str) -> bool:
    if link.startswith(("https://", "http://")):
        return False
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return True
    return bool(anchor) and anchor not in anchors(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page.read_text(encoding="utf-8")) if broken(page, link)] == []


def reachable(page: Path, known: set[Path]) -> set[Path]:
    """All that can be come to from there."""
    known.add(page)
    if page.suffix == ".md":
        for link in links(page.read_text(encoding="utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.is_file() and target not in known:
                reachable(target, known)
    return known


def test_every_document_can_be_found_from_the_readme() -> None:
    found = reachable(ROOT / "README.md", set())
    documents = {path for path in (ROOT / "docs").rglob("*") if path.is_file()}
    assert len(documents) > 20
    assert sorted(str(path.relative_to(ROOT)) for path in documents - found) == []


def test_a_link_to_a_heading_or_file_that_is_not_there_is_found() -> None:
    page = ROOT / "README.md"
    assert [broken(page, link) for link in ("docs/none.md", "#none", "docs/reasons.md#none", "../outside.md")] == [
        True
    ] * 4
    assert not any(broken(page, link) for link in ("docs/reasons.md#the-gateway", "#the-code", "docs"))


def sentences(page: Path) -> Iterator[str]:
    """Long ones, and cells of tables; not lists of tests and of links."""
    text = " ".join(prose(page.read_text(encoding="utf-8")))
    for one in re.split(r"(?<=[.!?:]) +| \| ", text):
        if len(one) >= 50 and not one.startswith(("`test_", "[")):
            yield one.strip()


def test_no_sentence_stands_in_two_documents() -> None:
    where: dict[str, set[str]] = {}
    for page in pages():
        for one in sentences(page):
            where.setdefault(one, set()).add(str(page.relative_to(ROOT)))
    assert len(where) > 1000
    assert {one: found for one, found in where.items() if len(found) > 1} == {}
