"""Reading a list to its end, and noticing when it changes meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from worker.core.errors import TransientError
from worker.gateways.together import together

_MOST_READINGS: Final = 3
_MOST_AT_ONCE: Final = 200
Row_co = TypeVar("Row_co", covariant=True)


class _Page(Protocol[Row_co]):
    @property
    def total(self) -> int: ...

    @property
    def rows(self) -> Sequence[Row_co]: ...


PageAt = Callable[[int], Awaitable[_Page[Row_co]]]


async def all_pages(page_at: PageAt[Row_co]) -> Sequence[Row_co]:
    """Every row, each page saying the same total; the pages after the first together.

    Where something came or went between two pages a row may be missing: all is read again, now one after the other,
    because pages may have another length than the first; and TransientError(`busy`) raised when it does not come to
    rest.
    """
    rows = await _at_once(page_at)
    for _ in range(_MOST_READINGS):
        if rows is not None:
            return rows
        rows = await _in_order(page_at)
    raise TransientError("busy", "the gateway's list changes while it is read")


async def _at_once(page_at: PageAt[Row_co]) -> Sequence[Row_co] | None:
    first = await page_at(0)
    total, length = first.total, len(first.rows)
    if length >= total:
        return first.rows
    offsets = range(length, total, length or 1)
    if not length or len(offsets) > _MOST_AT_ONCE:
        return None
    others = await together(_page(page_at, offset) for offset in offsets)
    rows = [row for page in (first, *others) for row in page.rows]
    return rows if len(rows) == total and all(page.total == total for page in others) else None


async def _page(page_at: PageAt[Row_co], offset: int) -> _Page[Row_co]:
    return await page_at(offset)


async def _in_order(page_at: PageAt[Row_co]) -> Sequence[Row_co] | None:
    page = await page_at(0)
    rows, total = list(page.rows), page.total
    while page.rows and page.total == total and len(rows) < total:
        page = await page_at(len(rows))
        rows += page.rows
    return rows if page.total == total and len(rows) >= total else None
