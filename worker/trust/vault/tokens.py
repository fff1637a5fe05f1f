"""Who the worker is to Vault: a token that somebody else keeps in a file, or one that it gets by logging in.

Tokens are in memory only. Files are read whenever they are needed, so that a changed one needs no restart.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from worker.core.errors import RotationError, TransientError
from worker.core.secret import Secret
from worker.lockout import AskedOnce, Refusals
from worker.settings.base import TokenAuth
from worker.settings.credentials import MODE_IS_OTHERS, read_secret
from worker.settings.vault import VaultAppRole, VaultKubernetes
from worker.trust.vault.door import OK, Door, at, refusal

_log = structlog.get_logger()
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")
_RENEW_BEFORE: Final = 300.0
_ASK_AGAIN_AFTER: Final = 30.0
# Where a token that was got because of a refusal is refused too, others would be: each is a lease that Vault keeps.
_NO_OTHER_WITHIN: Final = 60.0
_LONGEST_LEASE: Final = 10**10
_FOR_EVER: Final = float("inf")


class Tokens(Protocol):
    """The token to read with."""

    async def token(self) -> Secret: ...

    async def instead_of(self, refused: Secret) -> Secret | None:
        """Another one than the one that Vault refused; None where there is none to be had."""
        ...

    async def check(self) -> None:
        """Raises RotationError when Vault does not know the worker."""
        ...


@dataclass(frozen=True, slots=True)
class TokenInFile:
    """Such as Vault Agent's sink."""

    settings: TokenAuth
    door: Door

    async def token(self) -> Secret:
        return _in_file(self.settings.token_file, "token_file")

    async def instead_of(self, refused: Secret) -> Secret | None:
        token = await self.token()
        return None if token == refused else token

    async def check(self) -> None:
        status, _body = await self.door.get("/v1/auth/token/lookup-self", await self.token())
        if status != OK:
            raise refusal(status, "vault_auth_failed", "Vault refuses the token")


@dataclass(frozen=True, slots=True)
class _Lease:
    """A token with its times, in seconds of the clock."""

    token: Secret
    renew_at: float
    ends_at: float
    is_counted: bool
    """Good for so many calls only."""
    stands_until: float = 0.0
    """Until then it is not replaced for being refused."""


@dataclass(slots=True)
class Login:
    """A token by AppRole or Kubernetes; another one before its lease ends, by one login at a time.

    Source: Vault's API documentation, "AppRole auth method" and "Kubernetes auth method".
    """

    settings: VaultAppRole | VaultKubernetes
    door: Door
    clock: Callable[[], float]
    _lease: _Lease | None = None
    _asking: AskedOnce[_Lease] = field(default_factory=AskedOnce)
    _refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        self._refusals = Refusals(self.clock)

    async def token(self) -> Secret:
        held = self._lease
        if held is None or self.clock() >= held.renew_at:
            held = await self._renewed(held)
        return held.token

    async def instead_of(self, refused: Secret) -> Secret | None:
        held = self._lease
        if held is None or held.token != refused:
            return await self.token()
        if self.clock() < held.stands_until:
            return None
        other = await self._renewed(None)
        if other.token == refused:
            raise TransientError("vault_unavailable", "Vault gives no other token just now")
        stands_until = 0.0 if other.is_counted else self.clock() + _NO_OTHER_WITHIN
        self._lease = replace(other, stands_until=stands_until)
        return other.token

    async def check(self) -> None:
        await self.token()

    async def _renewed(self, old: _Lease | None) -> _Lease:
        """While Vault is away, an old token serves as long as it lives."""
        try:
            self._lease = await self._asking(self._granted)
        except RotationError as error:
            self._lease = None
            if not isinstance(error, TransientError) or old is None or self.clock() >= old.ends_at:
                raise
            self._lease = replace(old, renew_at=self.clock() + _ASK_AGAIN_AFTER)
        return self._lease

    async def _granted(self) -> _Lease:
        credentials = _credentials(self.settings)
        self._refusals.check(credentials)
        status, body = await self.door.post(f"/v1/auth/{self.settings.mount}/login", credentials)
        if status != OK:
            error = refusal(status, "vault_auth_failed", "Vault refuses the login")
            self._refusals.note(credentials, error)
            raise error
        lease = _lease_in(body, self.clock())
        _log.info("vault.logged_in", lease_seconds=at(body, "auth", "lease_duration"))
        return lease


def _credentials(settings: VaultAppRole | VaultKubernetes) -> Secret:
    """The body of a login."""
    if isinstance(settings, VaultKubernetes):
        return Secret(json.dumps({"role": settings.role, "jwt": _in_file(settings.jwt_file, "jwt_file").reveal()}))
    role_id = settings.role_id or _in_file(settings.role_id_file or Path(), "role_id_file").reveal()
    secret_id = _in_file(settings.secret_id_file, "secret_id_file")
    return Secret(json.dumps({"role_id": role_id, "secret_id": secret_id.reveal()}))


def _in_file(path: Path, key: str) -> Secret:
    """One that cannot be read may be in the middle of being replaced."""
    try:
        return read_secret(path, f"trust.vault.auth.{key}", may_be_open=key in MODE_IS_OTHERS)
    except RotationError as error:
        raise TransientError("vault_unavailable", error.message) from None


def _lease_in(body: object, now: float) -> _Lease:
    """Seconds of the lease; 0 is a token without an end. Raises TransientError where there is no token."""
    token, seconds = at(body, "auth", "client_token"), at(body, "auth", "lease_duration")
    is_token = isinstance(token, str) and _TOKEN.fullmatch(token) is not None
    if not is_token or type(seconds) is not int or not 0 <= seconds <= _LONGEST_LEASE:
        raise TransientError("vault_unavailable", "Vault: a login's answer is not of the documented form")
    renew_after = max(seconds - _RENEW_BEFORE, seconds * 0.9) if seconds else _FOR_EVER
    is_counted = at(body, "auth", "num_uses") not in (None, 0)
    return _Lease(Secret(str(token)), now + renew_after, now + (seconds or _FOR_EVER), is_counted)
