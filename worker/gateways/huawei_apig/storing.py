"""Storing a certificate, in the place of an old one or as a new one; where an answer is lost, reading decides."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

from worker.core.backoff import jittered
from worker.core.bundle import Bundle, Leaf
from worker.core.errors import PermanentError, RotationError
from worker.core.planning import Stored, age_of
from worker.core.readback import FLAG_MOVED, is_written
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.detaching import Detaching
from worker.gateways.huawei_apig.observing import find_certificate
from worker.gateways.huawei_apig.wire import NAME_EXISTS, Certificate
from worker.gateways.transport import AmbiguousError

_MOST_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Storing:
    """Writes, and after a write whose effect is unknown reads before it writes again."""

    client: ApigClient
    chance: Callable[[], float]

    async def modify(self, stored: Stored, trusted_root_ca: str | None, bundle: Bundle) -> Stored:
        """A full replacement: name, scope and client CA are sent again, so that they stay."""
        ca = trusted_root_ca if stored.has_trusted_root_ca else None

        async def put() -> Certificate:
            answer = await self.client.modify(stored, ca, bundle)
            if answer.id != stored.certificate_id:
                raise PermanentError("provider_mismatch", "the gateway modified another certificate")
            return answer

        async def look() -> Certificate | None:
            return await self.client.show(stored.certificate_id)

        written = await self._written(put, look, stored, bundle.leaf)
        return await self._with_ca(written, stored.name) if stored.has_trusted_root_ca else written.stored()

    async def create(self, name: str, trusted_root_ca: str | None, bundle: Bundle) -> Stored:
        """A global certificate. One of that name that holds the leaf already is taken as it is."""

        async def post() -> Certificate:
            return await self.client.create(name, bundle, trusted_root_ca)

        async def look() -> Certificate | None:
            return await find_certificate(self.client, None, name)

        written = await self._written(post, look, None, bundle.leaf)
        if trusted_root_ca is None:
            return written.stored()
        try:
            return await self._with_ca(written, name)
        except PermanentError as error:
            if error.reason == FLAG_MOVED:
                await self._taken_away(written.stored())
            raise

    async def _taken_away(self, stored: Stored) -> None:
        """Nothing is bound to what is new: nobody shall find it, and take it for what was to be stored."""
        # Where it stays, the next attempt sees that it has no client CA.
        with suppress(RotationError):
            await Detaching(self.client, 1).is_retired(stored, {})

    async def _written(
        self,
        write: Callable[[], Awaitable[Certificate]],
        look: Callable[[], Awaitable[Certificate | None]],
        before: Stored | None,
        leaf: Leaf,
    ) -> Certificate:
        for tries in count(1):
            try:
                answer = await write()
                _check_is(answer, leaf)
            except RotationError as error:
                if not leaves_doubt(error):
                    raise
                if (found := await _seen(look, before, leaf)) is not None:
                    return found
                await pause_or_raise(error, tries, self.chance)
                # Once more: it may have been long, and others may have written meanwhile.
                if (found := await _seen(look, before, leaf)) is not None:
                    return found
            else:
                return answer
        raise AssertionError("unreachable")

    async def _with_ca(self, written: Certificate, name: str) -> Stored:
        """Where the client CA is gone the gateway asks clients for no certificate any more: that must be told.

        An answer that does not say is asked for by reading; what reading does not say either is not known to be wrong.
        """
        is_silent = written.is_has_trusted_root_ca is None
        shown = await self.client.show(written.id) if is_silent else written
        if shown.is_has_trusted_root_ca is False:
            raise PermanentError(FLAG_MOVED, f"the stored certificate {name} has lost its client CA")
        return shown.stored()


async def _seen(
    look: Callable[[], Awaitable[Certificate | None]], before: Stored | None, leaf: Leaf
) -> Certificate | None:
    """What was to be written, if it is there. Raises TransientError where something newer is.

    What was to be written with a client CA and has none may be what was there before: the same, written again for that.
    """
    found = await look()
    if found is None or not is_written(found.stored(), before, leaf):
        return None
    has_ca = before is not None and before.has_trusted_root_ca
    return None if has_ca and found.is_has_trusted_root_ca is False else found


def _check_is(answer: Certificate, leaf: Leaf) -> None:
    """An answer that shows another certificate than was sent is no proof: what is stored decides."""
    if age_of(answer.stored(), leaf) != "same":
        raise AmbiguousError("still_old", "the answer shows another certificate than the one that was sent")


def leaves_doubt(error: RotationError) -> bool:
    """Whether the write may have had its effect, now or by an earlier try."""
    return isinstance(error, AmbiguousError) or error.code == NAME_EXISTS


async def pause_or_raise(error: RotationError, tries: int, chance: Callable[[], float]) -> None:
    """Waits before the next try of a write that had no effect; raises the error when there shall be none."""
    if not isinstance(error, AmbiguousError) or tries >= _MOST_TRIES:
        raise error
    await asyncio.sleep(max(error.hold, jittered(tries, chance())))
