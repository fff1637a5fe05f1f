"""What a reader of the page asked for, as its address says it: anything else in there is as good as nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, get_args
from urllib.parse import urlencode

from worker.fleet.grouping import GROUPS, Group
from worker.fleet.values import SeriesName

SPANS: Final[tuple[SeriesName, ...]] = get_args(SeriesName)
_LONGEST_TEXT: Final = 200
_LONGEST_NUMBER: Final = 6


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A search, a group, a page, and how far back the plots go."""

    text: str = ""
    group: Group | None = None
    page: int = 1
    span: SeriesName | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "PageQuery":
        """Never raises: strangers type addresses, too."""
        group = next((one for one in GROUPS if one == query.get("state")), None)
        span = next((one for one in SPANS if one == query.get("span")), None)
        # What is no text at all could not be put into an address again.
        text = query.get("q", "").encode(errors="ignore").decode().strip()[:_LONGEST_TEXT]
        return cls(text, group, _number(query.get("page", "")), span)

    @property
    def query(self) -> str:
        """With its question mark; empty for what is asked for when nothing is said."""
        said = {
            "q": self.text,
            "state": self.group or "",
            "page": str(self.page) if self.page > 1 else "",
            "span": self.span or "",
        }
        words = urlencode({name: value for name, value in said.items() if value})
        return f"?{words}" if words else ""

    def in_group(self, group: Group | None) -> "PageQuery":
        return replace(self, group=group, page=1)

    def on_page(self, page: int) -> "PageQuery":
        return replace(self, page=page)

    def over(self, span: SeriesName) -> "PageQuery":
        return replace(self, span=span)


def _number(text: str) -> int:
    return max(int(text), 1) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else 1
