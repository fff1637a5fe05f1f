"""Attaching many domains: a call a chunk, and a refused chunk halved until the bad domain stands alone."""

import asyncio
from collections.abc import Sequence

from worker.core.deployment import Binding
from worker.core.errors import Failure, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import ApigClient

# Refusals that are about the account, not about one of the domains: halving would only multiply them.
_OF_THE_WHOLE = frozenset({"auth_failed", "forbidden", "unexpected_redirect", "gateway_untrusted", "quota"})


async def attach_in_chunks(
    client: ApigClient, to: Stored, bindings: Sequence[Binding], size: int, on_result: OnResult
) -> Sequence[BindingResult]:
    """One result a binding, in order. Chunks go together, under the gateway's limits."""
    chunks = [bindings[start : start + size] for start in range(0, len(bindings), size)]
    results = await asyncio.gather(*(_attach(client, to, chunk, on_result) for chunk in chunks))
    return [result for chunk in results for result in chunk]


async def _attach(
    client: ApigClient, to: Stored, chunk: Sequence[Binding], on_result: OnResult
) -> Sequence[BindingResult]:
    try:
        await client.attach(to.certificate_id, chunk)
    except RotationError as error:
        if len(chunk) > 1 and _may_be_one(error):
            middle = len(chunk) // 2
            halves = (chunk[:middle], chunk[middle:])
            return [one for half in halves for one in await _attach(client, to, half, on_result)]
        return _each(chunk, Failure.of(error), on_result)
    return _each(chunk, None, on_result)


def _may_be_one(error: RotationError) -> bool:
    return isinstance(error, PermanentError) and error.reason not in _OF_THE_WHOLE


def _each(chunk: Sequence[Binding], failure: Failure | None, on_result: OnResult) -> Sequence[BindingResult]:
    results = [BindingResult(binding, "attached" if failure is None else "failed", failure) for binding in chunk]
    for result in results:
        on_result(result)
    return results
