"""Attaching many domains: a call a chunk, and a chunk that fails halved until the bad domain stands alone."""

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
# Each call that ends in 500 was repeated until its deadline. So often halved, the usual 20 domains come down to one;
# what is left of more, the next attempt goes on with.
_MOST_HALVINGS_FOR_500: Final = 5


@dataclass(frozen=True, slots=True)
class Attaching:
    """To one stored certificate; chunks and halves go together, under the gateway's limits.

    A 500 that stays may come of one domain, or of a gateway that is sick. Calls made together tell which: where another
    one had an answer, the chunk is halved; where all of several ended in 500, none is.
    """

    client: ApigClient
    to: Stored
    on_result: OnResult

    async def in_chunks(self, bindings: Sequence[Binding], size: int) -> Sequence[BindingResult]:
        """One result a binding, in order. `size`: most domains in a call."""
        chunks = [bindings[start : start + size] for start in range(0, len(bindings), size)]
        return await self._each(chunks, _MOST_HALVINGS_FOR_500)

    async def _each(self, chunks: Sequence[Sequence[Binding]], halvings: int) -> Sequence[BindingResult]:
        """`halvings`: how often a chunk may still be halved for a 500."""
        tried = await together(self._attach(chunk) for chunk in chunks)
        if not any(isinstance(one, RotationError) for one in tried):
            return [result for chunk in tried if not isinstance(chunk, RotationError) for result in chunk]
        is_sick = len(tried) > 1 and all(_is_broken(one) for one in tried)
        left = 0 if is_sick else halvings
        results = await together(self._after(one, chunk, left) for one, chunk in zip(tried, chunks, strict=True))
        return [result for chunk in results for result in chunk]

    async def _attach(self, chunk: Sequence[Binding]) -> Sequence[BindingResult] | RotationError:
        try:
            await self.client.attach(self.to.certificate_id, chunk)
        except RotationError as error:
            return error
        return self._told(chunk, None)

    async def _after(
        self, tried: Sequence[BindingResult] | RotationError, chunk: Sequence[Binding], halvings: int
    ) -> Sequence[BindingResult]:
        """What a chunk came to, where it failed after it was halved as far as that may help."""
        if not isinstance(tried, RotationError):
            return tried
        is_broken = _is_broken(tried)
        if len(chunk) == 1 or not (_may_be_of_one(tried) or (is_broken and halvings)):
            return self._told(chunk, Failure.of(tried))
        middle = len(chunk) // 2
        return await self._each((chunk[:middle], chunk[middle:]), halvings - is_broken)

    def _told(self, chunk: Sequence[Binding], failure: Failure | None) -> Sequence[BindingResult]:
        results = [BindingResult(one, "attached" if failure is None else "failed", failure) for one in chunk]
        for result in results:
            self.on_result(result)
        return results


def _may_be_of_one(error: RotationError) -> bool:
    return isinstance(error, PermanentError) and error.reason in _OF_ONE and not is_about_the_certificate(error.code)


def _is_broken(tried: object) -> bool:
    """Ended in 500. 502 to 504, a lost connection and a throttle are no domain's doing."""
    return isinstance(tried, RotationError) and tried.reason == "gateway_unavailable" and tried.status == 500  # noqa: PLR2004 - HTTP's own
