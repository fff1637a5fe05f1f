"""Whose limits are whose: an account keeps its own, whatever its gateway is called, for as long as they may matter."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from worker.limits import Limits
from worker.settings.gateways import Gateway as Settings

_AT_LEAST: Final = 3600.0
"""Seconds for which the limits of an account that no gateway has any more are kept."""
_MOST: Final = 1000
"""Such accounts, at one time: what was left longest ago is forgotten."""
_PORTS: Final = {"http": 80, "https": 443}

_OWN: Final = {"kind", "project_id", "region"}
"""Of a gateway's settings, what tells whose limits they are, beside its endpoint and whatever it is called."""

Account = tuple[object, ...]


def account_of(settings: Settings) -> Account:
    """The same for the same account, however its endpoint is spelled."""
    parts = urlsplit(settings.endpoint)  # its scheme and hostname are in lower case
    address = parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path.rstrip("/")
    return *address, *sorted(settings.model_dump(include=_OWN).items())


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    account: Account
    name: str
    """Of the gateway that had them last."""
    limits: Limits


@dataclass(slots=True)
class Accounts:
    """Limits that are in use, and those that were a while ago: what was sent then may still count at the cloud."""

    _kept: tuple[_Kept, ...] = ()
    """What was used last comes first. Replaced as a whole, because it is read in a thread."""
    _leaving: dict[Limits, asyncio.TimerHandle] = field(default_factory=dict)

    def limits_for(self, gateways: Mapping[str, Settings]) -> Mapping[str, Limits]:
        """By name, for those whose account has some. Where several have the same account, each has its own."""
        free, found = list(self._kept), dict[str, Limits]()
        for same_name in (True, False):
            for name, settings in gateways.items():
                account = account_of(settings)
                fitting = (one for one in free if one.account == account and (one.name == name or not same_name))
                if name not in found and (kept := next(fitting, None)) is not None:
                    found[name] = kept.limits
                    free.remove(kept)
        return found

    def use(self, name: str, settings: Settings, limits: Limits) -> None:
        """They are that gateway's from now on."""
        if (leaving := self._leaving.pop(limits, None)) is not None:
            leaving.cancel()
        self._kept = (_Kept(account_of(settings), name, limits), *self._without(limits))

    def leave(self, limits: Limits) -> None:
        """Nobody uses them any more. They are forgotten once nothing of them counts: neither calls nor a hold."""
        seconds = max(_AT_LEAST, limits.held_for, *(window.seconds for window in limits.windows))
        self._leaving[limits] = asyncio.get_running_loop().call_later(seconds, self._forget, limits)
        if len(self._leaving) > _MOST:
            self._forget(next(iter(self._leaving)))

    def _forget(self, limits: Limits) -> None:
        self._leaving.pop(limits).cancel()
        self._kept = self._without(limits)

    def _without(self, limits: Limits) -> tuple[_Kept, ...]:
        return tuple(one for one in self._kept if one.limits is not limits)
