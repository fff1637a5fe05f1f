"""What each reason means and what is to be done, as docs/reasons.md says it: it is written there alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

GIVEN_UP: Final = (
    "It was given up: this renewal is not tried again by itself. Where the certificate has a lineage, the sweep may"
    " bring another one within a day."
)
"""Of what failed last, while nothing of it waits or runs."""
_ROW: Final = re.compile(r"^\| `([a-z_0-9]+)` \| .+? \| (.+?) \| (.+?) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one reason, for people."""

    step: str
    """What to do, with commands between backticks."""
    text: str

    @property
    def advice(self) -> str:
        """The same, for a page."""
        return _plain(self.step)

    @property
    def gist(self) -> str:
        """The first sentence."""
        return self.text.partition(". ")[0].rstrip(".") + "."


@cache
def meanings() -> Mapping[str, Meaning]:
    """By reason."""
    return dict(_read(_document().read_text("utf-8")))


def _document() -> Path:
    """A package carries it along; a checkout has it where it is written."""
    here = Path(__file__)
    return next(one for one in (here.with_name("reasons.md"), here.parents[1] / "docs" / "reasons.md") if one.exists())


def _read(text: str) -> Iterator[tuple[str, Meaning]]:
    for reason, step, told in _ROW.findall(text):
        yield reason, Meaning(step.strip(), _plain(told))


def _plain(text: str) -> str:
    """Without the marks of Markdown."""
    return text.replace("`", "").replace("*", "").strip()
