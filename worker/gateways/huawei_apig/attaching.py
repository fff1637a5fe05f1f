"""Attaching many domains: a call a chunk, and a refused chunk halved until the bad domain stands alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from worker.core.deployment import Binding
from worker.core.errors import Failure, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.wire import is_about_the_certificate
from worker.gateways.together import together

# Refusals that may be about one of the domains. All others are about the account: halving would only multiply them.
_OF_ONE: Final = frozenset({"bad_request", "not_found", "conflict", "certificate_rejected"})


@dataclass(frozen=True, slots=True)
class Attaching:
    """To one stored certificate; chunks and halves go together, under the gateway's limits."""

    client: ApigClient
    to: Stored
    on_result: OnResult

    async def in_chunks(self, bindings: Sequence[Binding], size: int) -> Sequence[BindingResult]:
        """One result a binding, in order. `size`: most domains in a call."""
        return await self._each([bindings[start : start + size] for start in range(0, len(bindings), size)])

    async def _each(self, chunks: Sequence[Sequence[Binding]]) -> Sequence[BindingResult]:
        results = await together(self._attach(chunk) for chunk in chunks)
        return [result for chunk in results for result in chunk]

    async def _attach(self, chunk: Sequence[Binding]) -> Sequence[BindingResult]:
        try:
            await self.client.attach(self.to.certificate_id, chunk)
        except RotationError as error:
            if len(chunk) > 1 and _may_be_of_one(error):
                middle = len(chunk) // 2
                return await self._each((chunk[:middle], chunk[middle:]))
            return self._told(chunk, Failure.of(error))
        return self._told(chunk, None)

    def _told(self, chunk: Sequence[Binding], failure: Failure | None) -> Sequence[BindingResult]:
        results = [BindingResult(one, "attached" if failure is None else "failed", failure) for one in chunk]
        for result in results:
            self.on_result(result)
        return results


def _may_be_of_one(error: RotationError) -> bool:
    return isinstance(error, PermanentError) and error.reason in _OF_ONE and not is_about_the_certificate(error.code)
