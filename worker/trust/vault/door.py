"""Vault's HTTP API as far as it is used: its headers, and what its statuses mean. No word of its answers is told on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.secret import Secret

OK: Final = 200
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = range(400, 500)
# A standby that cannot reach the active node sends its callers there with 307; 412 is a replica that lags behind.
_PASSING: Final = frozenset({307, 408, 412, 425, 429, 472, 473})


class Ask(Protocol):
    """One HTTP exchange: verified TLS, no redirects, nothing inflated, a bounded answer, in a bounded time."""

    async def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes, /) -> tuple[int, object]:
        """Status and JSON. TransientError without an answer, PermanentError where the server is another one."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """Calls to one Vault, in one namespace. Raises `vault_unavailable` and `vault_untrusted`."""

    ask: Ask
    namespace: str | None = None

    async def get(self, path: str, token: Secret) -> tuple[int, object]:
        return await self._told("GET", path, {"X-Vault-Token": token.reveal()}, b"")

    async def post(self, path: str, body: Secret, token: Secret | None = None) -> tuple[int, object]:
        """Without a token to log in, and with one for all else."""
        known = {} if token is None else {"X-Vault-Token": token.reveal()}
        return await self._told("POST", path, {"Content-Type": "application/json", **known}, body.reveal().encode())

    async def _told(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, object]:
        own = {"X-Vault-Request": "true"} | ({} if self.namespace is None else {"X-Vault-Namespace": self.namespace})
        try:
            return await self.ask(method, path, {**own, **headers}, body)
        except TransientError as error:
            raise TransientError("vault_unavailable", f"Vault: {error.message}", status=error.status) from None
        except PermanentError as error:
            raise PermanentError("vault_untrusted", f"Vault: {error.message}") from None


def refusal(status: int, reason: str, message: str) -> RotationError:
    """What a status means that is not 200; `reason` and `message` where Vault refuses for good."""
    if status in _REDIRECTS and status not in _PASSING:
        return PermanentError("unexpected_redirect", "Vault answers with a redirect", status=status)
    if status in _REFUSALS and status not in _PASSING:
        return PermanentError(reason, message, status=status)
    return TransientError("vault_unavailable", "Vault is sealed, busy or away", status=status)


def at(body: object, *keys: str) -> object:
    """What stands there in an answer; None where nothing does."""
    for key in keys:
        body = body.get(key) if isinstance(body, dict) else None
    return body
