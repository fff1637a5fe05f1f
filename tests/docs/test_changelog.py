"""Versions are told as they are."""

import re
import tomllib

from tests.docs.pages import ROOT, read
from worker.core import events, message

CHANGELOG = read("CHANGELOG.md")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_has_this_version_and_the_form_that_it_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert project["version"] in CHANGELOG
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= KINDS
    dated = re.findall(r"^## \[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$", CHANGELOG, re.MULTILINE)
    assert len(dated) == len(versions) - 1


def test_what_is_promised_names_the_versions_that_the_code_speaks() -> None:
    promise = read("docs/compatibility.md")
    assert f"`{message.SCHEMA}`" in promise
    assert f"`{events.SCHEMA}`" in promise
