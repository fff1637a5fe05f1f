"""Attaching many domains: a call a chunk, and a chunk that fails halved until the bad domain stands alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from worker.core.deployment import Binding
from worker.core.errors import Failure, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.core.readback import may_be_there
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.observing import Rows
from worker.gateways.huawei_apig.wire import is_about_the_certificate
from worker.gateways.together import together

# Refusals that may be about one of the domains. All others are about the account: halving would only multiply them.
_OF_ONE: Final = frozenset({"bad_request", "not_found", "conflict", "certificate_rejected"})
# Each call that ends in 500 was repeated until its deadline. So often halved, the usual 20 domains come down to one;
# what is left of more, the next attempt goes on with.
_MOST_HALVINGS_FOR_500: Final = 5

_Chunk = Sequence[Binding]


@dataclass(slots=True)
class _Bound:
    """What is bound to one certificate, read when a refusal may be about that, and no oftener than it helps."""

    client: ApigClient
    certificate_id: str
    readings: int = 0
    """That were begun."""
    _rows: Rows = field(default_factory=Rows)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, chunk: _Chunk, readings: int) -> _Chunk:
        """Those that are bound as they shall be, in a reading after the first so many: who waits shares the next."""
        async with self._reading:
            if self.readings == readings:
                self.readings += 1
                try:
                    self._rows = Rows(await self.client.bound_domains(self.certificate_id))
                except RotationError:
                    self._rows = Rows()
            return [one for one in chunk if self._is_bound(one)]

    def _is_bound(self, wanted: Binding) -> bool:
        flags = {row.verified_client_certificate_enabled for row in self._rows.about(wanted)}
        return bool(flags) and (wanted.client_verification is None or flags <= {None, wanted.client_verification})


@dataclass(frozen=True, slots=True)
class _Reach:
    """How far chunks that fail are followed up."""

    halvings: int = _MOST_HALVINGS_FOR_500
    """How often one may still be halved for a 500."""
    is_whole: bool = True
    """None was halved yet."""
    may_read: bool = True
    """What is bound is worth a look: the last one helped, or what was refused since was refused for another reason."""


@dataclass(frozen=True, slots=True)
class Attaching:
    """To one stored certificate; chunks and halves go together, under the gateway's limits.

    A 500 that stays may come of one domain, or of a gateway that is sick. Calls made together tell which: where another
    one had an answer, the chunk is halved; where all of several ended in 500, none is.

    A gateway that applies a chunk in part may refuse what is bound when it is sent again: then it is asked what is
    bound, and only the rest is sent.
    """

    client: ApigClient
    to: Stored
    on_result: OnResult

    async def in_chunks(self, bindings: Sequence[Binding], size: int) -> Sequence[BindingResult]:
        """One result a binding, in order. `size`: most domains in a call."""
        chunks = [bindings[start : start + size] for start in range(0, len(bindings), size)]
        results = await self._each(chunks, _Reach(), _Bound(self.client, self.to.certificate_id))
        found = {result.binding: result for result in results}
        return [found[one] for one in bindings]

    async def _each(self, chunks: Sequence[_Chunk], reach: _Reach, bound: _Bound) -> Sequence[BindingResult]:
        """In any order."""
        tried = await together(self._attach(chunk) for chunk in chunks)
        is_sick = len(tried) > 1 and all(_is_broken(one) for one in tried)
        left = replace(reach, halvings=0) if is_sick else reach
        told = [result for one in tried if not isinstance(one, RotationError) for result in one]
        failed = [(chunk, one) for chunk, one in zip(chunks, tried, strict=True) if isinstance(one, RotationError)]
        known = bound.readings
        after = await together(self._after(chunk, error, left, bound, known) for chunk, error in failed)
        return [*told, *chain.from_iterable(after)]

    async def _attach(self, chunk: _Chunk) -> Sequence[BindingResult] | RotationError:
        try:
            await self.client.attach(self.to.certificate_id, chunk)
        except RotationError as error:
            return error
        return self._told(chunk, None)

    async def _after(
        self, chunk: _Chunk, error: RotationError, reach: _Reach, bound: _Bound, readings: int
    ) -> Sequence[BindingResult]:
        """What a chunk that failed came to, once it was halved as far as that may help."""
        is_read = len(chunk) > 1 and may_be_there(error.reason) and reach.may_read
        there = await bound.of(chunk, readings) if is_read else ()
        if there:
            return [*self._told(there, None), *await self._rest(chunk, there, reach, bound)]
        is_broken = _is_broken(error)
        if len(chunk) == 1 or not (_may_be_of_one(error) or (is_broken and reach.halvings)):
            return self._told(chunk, Failure.of(error))
        may_read = not may_be_there(error.reason)
        return await self._each(_halves(chunk), _Reach(reach.halvings - is_broken, False, may_read), bound)

    async def _rest(self, chunk: _Chunk, there: _Chunk, reach: _Reach, bound: _Bound) -> Sequence[BindingResult]:
        """What is not bound yet. Of what was halved before, one may be bad: it is halved on."""
        known = frozenset(there)
        left = [one for one in chunk if one not in known]
        parts = [left] if reach.is_whole or len(left) == 1 else _halves(left)
        return await self._each(parts, replace(reach, is_whole=False), bound) if left else ()

    def _told(self, chunk: _Chunk, failure: Failure | None) -> Sequence[BindingResult]:
        results = [BindingResult(one, "attached" if failure is None else "failed", failure) for one in chunk]
        for result in results:
            self.on_result(result)
        return results


def _halves(chunk: _Chunk) -> Sequence[_Chunk]:
    middle = len(chunk) // 2
    return chunk[:middle], chunk[middle:]


def _may_be_of_one(error: RotationError) -> bool:
    return isinstance(error, PermanentError) and error.reason in _OF_ONE and not is_about_the_certificate(error.code)


def _is_broken(tried: object) -> bool:
    """Ended in 500. 502 to 504, a lost connection and a throttle are no domain's doing."""
    return isinstance(tried, RotationError) and tried.reason == "gateway_unavailable" and tried.status == 500  # noqa: PLR2004 - HTTP's own
