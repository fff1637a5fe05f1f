"""Taking stored certificates away from domains, and deleting them: no domain is left with none by that."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeVar

import structlog

from worker.core.deployment import Binding
from worker.core.errors import Failure, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import PAGE, ApigClient
from worker.gateways.huawei_apig.wire import BoundDomain

T = TypeVar("T")
_MOST_BATCHES: Final = 4
_Place = tuple[str, str | None]
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Detaching:
    """`size`: most domains in a call."""

    client: ApigClient
    size: int
    brief: float = 5.0
    """Seconds, at most, for which a cancellation waits: no longer than a drain may be held up by."""

    async def is_retired(self, stored: Stored, moved: Mapping[Binding, str]) -> bool:
        """As the gateway's `retire`."""
        rows = await self._rows(stored.certificate_id)
        if rows and not await self._is_free(stored, rows, moved):
            return False
        if rows is not None:
            await self._delete(stored)
        return True

    async def detached(
        self, stored: Stored, bindings: Sequence[Binding], on_result: OnResult
    ) -> Sequence[BindingResult]:
        """As the gateway's `detach`: each is told once the last of its places is free."""
        results = dict[Binding, BindingResult]()

        def tell(those: Iterable[Binding], failure: Failure | None = None) -> None:
            for one in those:
                results[one] = BindingResult(one, "failed" if failure else "attached", failure)
                on_result(results[one])

        try:
            rows = await self._rows(stored.certificate_id)
            for chunk, freed in self._freeing([_place(row) for row in rows or ()], bindings):
                if chunk:
                    await self.client.detach(stored.certificate_id, [Binding("domain", *one) for one in chunk])
                tell(freed)
        except RotationError as error:
            tell([one for one in bindings if one not in results], Failure.of(error))
        return [results[one] for one in bindings]

    def _freeing(
        self, there: Sequence[_Place], bindings: Sequence[Binding]
    ) -> Iterator[tuple[Sequence[_Place], Sequence[Binding]]]:
        """What a call frees, and which bindings have nothing there after it; first those that had nothing before."""
        wanted = {(one.name, one.instance_id) for one in bindings}
        places = [one for one in there if not wanted.isdisjoint(_ways(one))]
        chunks: list[Sequence[_Place]] = [(), *_chunks(places, self.size)]
        last = {way: number for number, chunk in enumerate(chunks) for place in chunk for way in _ways(place)}
        freed = defaultdict[int, list[Binding]](list)
        for one in bindings:
            freed[last.get((one.name, one.instance_id), 0)].append(one)
        return ((chunk, freed[number]) for number, chunk in enumerate(chunks))

    async def _delete(self, stored: Stored) -> None:
        try:
            await self.client.delete(stored.certificate_id)
        except PermanentError as error:
            if error.reason != "not_found":
                raise

    async def _rows(self, certificate_id: str) -> Sequence[BoundDomain] | None:
        """None where it is gone."""
        try:
            return await self.client.bound_domains(certificate_id)
        except PermanentError as error:
            if error.reason != "not_found":
                raise
            return None

    async def _is_free(self, stored: Stored, rows: Sequence[BoundDomain], moved: Mapping[Binding, str]) -> bool:
        """Whether all could be detached: each is shown with what it has moved to, too, before that and after it.

        A look is a whole list: there are few of them, however many domains there are. Somebody may have put a domain
        back meanwhile. One that has nothing else after all gets this one again, also where this is cancelled.
        """
        other = {(one.name, one.instance_id): to for one, to in moved.items() if to != stored.certificate_id}
        of_place = {_place(row): row for row in rows}
        if not of_place.keys() <= other.keys():
            return False
        done = list[_Place]()

        async def is_any_bare(coming: Sequence[_Place] = ()) -> bool:
            bare = frozenset(await self._bare([*done, *coming], other))
            await self._attach_again(stored, [of_place[one] for one in done if one in bare])
            return bool(bare)

        try:
            for batch in self._batches(list(of_place)):
                if await is_any_bare(batch):
                    return False
                for chunk in _chunks(batch, self.size):
                    done += chunk
                    await self.client.detach(stored.certificate_id, [Binding("domain", *one) for one in chunk])
            return not await is_any_bare()
        except RotationError:
            await is_any_bare()  # the next attempt would not know of them
            raise
        except asyncio.CancelledError:
            await self._briefly(is_any_bare(), stored, len(done))
            raise

    async def _briefly(self, look: Awaitable[object], stored: Stored, detached: int) -> None:
        """In spite of a cancellation. Who may change nothing any more waits for its fence until this is over."""
        try:
            async with asyncio.timeout(self.brief):
                await look
        except (RotationError, TimeoutError):
            _log.warning("detaching.not_looked_back", certificate_id=stored.certificate_id, domains=detached)

    def _batches(self, places: Sequence[_Place]) -> Iterator[Sequence[_Place]]:
        """What one look is for: whole chunks."""
        length = max(PAGE, ceil(len(places) / _MOST_BATCHES))
        return _chunks(places, ceil(length / self.size) * self.size)

    async def _bare(self, places: Sequence[_Place], other: Mapping[_Place, str]) -> Sequence[_Place]:
        """Those that are not shown with the other one."""
        ids = dict.fromkeys(other[one] for one in places)
        shown = {to: {_place(row) for row in await self._rows(to) or ()} for to in ids}
        return [one for one in places if one not in shown[other[one]]]

    async def _attach_again(self, stored: Stored, rows: Sequence[BoundDomain]) -> None:
        for chunk in _chunks(rows, self.size):
            await self.client.attach(stored.certificate_id, [_with_flag(row) for row in chunk])


def _chunks(many: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (many[start : start + size] for start in range(0, len(many), size))


def _ways(place: _Place) -> Sequence[_Place]:
    """How a binding may say it: one without an instance is every instance's."""
    return place, (place[0], None)


def _place(row: BoundDomain) -> _Place:
    return row.url_domain.lower(), row.instance_id


def _with_flag(row: BoundDomain) -> Binding:
    return Binding("domain", *_place(row), row.verified_client_certificate_enabled)
