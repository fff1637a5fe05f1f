"""Taking stored certificates away from domains, and deleting them: no domain is left with none by that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from worker.core.deployment import Binding
from worker.core.errors import Failure, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.wire import BoundDomain

T = TypeVar("T")
_Place = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Detaching:
    """`size`: most domains in a call."""

    client: ApigClient
    size: int

    async def is_retired(self, stored: Stored, moved: Mapping[Binding, str]) -> bool:
        """As the gateway's `retire`."""
        rows = await self._rows(stored.certificate_id)
        if rows and not await self._is_free(stored, rows, moved):
            return False
        if rows is not None:
            await self._delete(stored)
        return True

    async def detached(self, stored: Stored, bindings: Sequence[Binding]) -> Sequence[BindingResult]:
        """As the gateway's `detach`."""
        failure, of_binding = None, {(one.name, one.instance_id) for one in bindings}
        try:
            rows = await self._rows(stored.certificate_id)
            there = [_place(row) for row in rows or ()]
            for chunk in _chunks([one for one in there if not of_binding.isdisjoint(_ways(one))], self.size):
                await self.client.detach(stored.certificate_id, [Binding("domain", *one) for one in chunk])
        except RotationError as error:
            failure = Failure.of(error)
        return [BindingResult(one, "failed" if failure else "attached", failure) for one in bindings]

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
        """Whether all could be detached: each is shown with what it has moved to, too, right before that and after it.

        Somebody may have put a domain back meanwhile. One that has nothing else after all gets this one again.
        """
        other = {(one.name, one.instance_id): to for one, to in moved.items() if to != stored.certificate_id}
        of_place = {_place(row): row for row in rows}
        if not of_place.keys() <= other.keys():
            return False
        places, done = list(of_place), list[_Place]()
        for chunk in _chunks(places, self.size):
            if await self._bare(chunk, other):
                return False
            await self.client.detach(stored.certificate_id, [Binding("domain", *one) for one in chunk])
            done += chunk
        bare = [of_place[one] for one in await self._bare(done, other)]
        await self._attach_again(stored, bare)
        return not bare

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
