"""Which public key each certificate was rotated to last: gateways never show what they hold, so the worker remembers.

What it knows comes from outcome events, its own and those of the history. Where it knows nothing, nothing is said.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from worker.broker.base import BrokerError, BrokerLostError, BrokerState
from worker.core.bundle import UsedKey

_log = structlog.get_logger()
_MOST_EVENTS: Final = 2_000
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0


class Past(Protocol):
    """The part of a Broker that matters here."""

    async def history(self, certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]: ...

    async def state(self) -> BrokerState: ...


@dataclass(frozen=True, slots=True)
class KeyMemory:
    """By certificate; of the `most` that were rotated last."""

    most: int = 50_000
    _keys: dict[str, UsedKey] = field(default_factory=dict)

    def of(self, certificate: str) -> UsedKey | None:
        return self._keys.get(certificate)

    def learn(self, event: Mapping[str, object]) -> None:
        """From the latest event; one that did not succeed says nothing."""
        if (told := _told(event)) is None:
            return
        certificate, key = told
        self._keys.pop(certificate, None)
        self._keys[certificate] = key
        if len(self._keys) > self.most:
            del self._keys[next(iter(self._keys))]

    async def recall(self, past: Past) -> None:
        """Once, from the latest events of the history, when this worker becomes the active one.

        A standby would not hear of what is rotated after. A history that is refused is not asked for again.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                if (await past.state()).is_active:
                    return self._take(await past.history(limit=_MOST_EVENTS))
            except BrokerLostError:
                pass
            except BrokerError as error:
                _log.warning("history.unread", error=str(error))
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _take(self, events: Sequence[Mapping[str, object]]) -> None:
        """Newest first. What was learned meanwhile is newer than all of them."""
        learned = dict(self._keys)
        for event in reversed(events):
            self.learn(event)
        self._keys.update(learned)
        _log.info("keys.recalled", certificates=len(self._keys))


def _told(event: Mapping[str, object]) -> tuple[str, UsedKey] | None:
    """Others may publish events too, and older workers told no keys."""
    certificate, told = event.get("subject"), event.get("data")
    if not isinstance(certificate, str) or not isinstance(told, Mapping) or told.get("outcome") != "succeeded":
        return None
    leaf = told.get("leaf")
    facts = (
        [leaf.get(name) for name in ("fingerprint_sha256", "public_key_sha256")] if isinstance(leaf, Mapping) else []
    )
    match facts:
        case [str(fingerprint), str(key)]:
            return certificate, UsedKey(fingerprint, key)
        case _:
            return None
