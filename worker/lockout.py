"""What keeps an account from being locked: credentials are tried by one at a time, and refused ones are left alone."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from worker.core.errors import PermanentError, RotationError
from worker.core.secret import Secret

_REFUSAL_STANDS: Final = 600.0

T = TypeVar("T")


@dataclass(slots=True)
class AskedOnce(Generic[T]):
    """One asks for all who want it at the time: who waited meanwhile shares what came of it, be it an error."""

    _told: T | RotationError | None = None
    _asked: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` tells, or has told another; its RotationErrors too. A cancelled asker leaves it to the next."""
        known = self._asked
        async with self._turn:
            if self._told is None or self._asked == known:
                self._told = await _outcome(ask)
                self._asked += 1
            told = self._told
        if isinstance(told, RotationError):
            raise copy(told)
        return told


async def _outcome(ask: Callable[[], Awaitable[T]]) -> T | RotationError:
    try:
        return await ask()
    except RotationError as error:
        return copy(error)  # without the frames, in which credentials may be


@dataclass(frozen=True, slots=True)
class _Refused:
    error: PermanentError
    credentials: Secret
    at: float


@dataclass(slots=True)
class Refusals:
    """Credentials that were refused for good are not tried again before there are others or ten minutes have passed.

    Every rotation would try them, and who fails too often is locked out. `clock` in seconds.
    """

    clock: Callable[[], float]
    _last: _Refused | None = None

    def check(self, credentials: Secret) -> None:
        """Raises what was said to these, while that stands."""
        last = self._last
        # A clock that is put back shall not make it stand for hours.
        if last is not None and last.credentials == credentials and abs(self.clock() - last.at) < _REFUSAL_STANDS:
            raise copy(last.error)

    def note(self, credentials: Secret, error: RotationError) -> None:
        """Only what was refused for good is kept."""
        if isinstance(error, PermanentError):
            self._last = _Refused(copy(error), credentials, self.clock())
