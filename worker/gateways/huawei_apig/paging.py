"""Reading a list to its end, and noticing when it changes meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from worker.core.errors import TransientError

_MOST_READINGS: Final = 3
Row_co = TypeVar("Row_co", covariant=True)


class _Page(Protocol[Row_co]):
    @property
    def total(self) -> int: ...

    @property
    def rows(self) -> Sequence[Row_co]: ...


async def all_pages(page_at: Callable[[int], Awaitable[_Page[Row_co]]]) -> Sequence[Row_co]:
    """Every row, each page saying the same total.

    Where something came or went between two pages a row may be missing: all is read again, and TransientError(`busy`)
    raised when it does not come to rest.
    """
    for _ in range(_MOST_READINGS):
        page = await page_at(0)
        rows, total = list(page.rows), page.total
        while page.rows and page.total == total and len(rows) < total:
            page = await page_at(len(rows))
            rows += page.rows
        if page.total == total and len(rows) >= total:
            return rows
    raise TransientError("busy", "the gateway's list changes while it is read")
