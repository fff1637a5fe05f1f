"""What a Markdown page has: its headings, its links, and its blocks with what is to be done with them.

The words behind a block's language say it: where there is none it is run; `file=PATH` is written, `append=PATH` is
written behind what is there, `service` stays up, and `host` is for the reader's own machine alone.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^ *```")
_HEADING = re.compile(r"^(#+) (.+)$")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """`heading`: the last one above it. `words`: those behind the language."""

    heading: str
    language: str
    words: Sequence[str]
    text: str

    def told(self, name: str) -> str | None:
        """What `name=…` says of it."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)


def pages() -> Sequence[Path]:
    """Every Markdown file of the project."""
    own = (path for folder in ("docs", "deploy", "benchmarks") for path in (ROOT / folder).rglob("*.md"))
    return sorted((*ROOT.glob("*.md"), *own))


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[Block]:
    heading, language, words, inside = "", "", [""], list[str]()
    is_open = False
    for line in text.splitlines():
        if _FENCE.match(line):
            if is_open:
                yield Block(heading, language, words, dedent("".join(inside)))
            else:
                language, *words = shlex.split(line.strip().removeprefix("```")) or [""]
            is_open, inside = not is_open, []
        elif is_open:
            inside.append(f"{line}\n")
        elif found := _HEADING.match(line):
            heading = found[2]


def section(page: str, heading: str) -> Sequence[Block]:
    """The blocks right below a heading, in order."""
    found = [block for block in blocks(read(page)) if block.heading == heading]
    assert found, f"{page} has no block below {heading!r}"
    return found


def prose(text: str) -> Iterator[str]:
    """The lines outside of blocks."""
    is_open = False
    for line in text.splitlines():
        if _FENCE.match(line):
            is_open = not is_open
        elif not is_open:
            yield line


def anchors(text: str) -> Iterator[str]:
    """As GitHub names headings: in lower case, without signs, hyphens for spaces; the second of a name is numbered."""
    known: dict[str, int] = {}
    for line in prose(text):
        if found := _HEADING.match(line):
            kept = (one for one in found[2].lower() if one in " -_" or unicodedata.category(one)[0] in "LN")
            name = "".join(kept).replace(" ", "-")
            known[name] = known.get(name, -1) + 1
            yield f"{name}-{known[name]}" if known[name] else name


def links(text: str) -> Iterator[str]:
    """Where they lead; what stands in code is none."""
    for line in prose(text):
        yield from _LINK.findall(_CODE.sub("`", line))
