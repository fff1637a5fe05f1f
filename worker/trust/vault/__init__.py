"""Chain and key in HashiCorp Vault: one secret of a KV engine, version 2.

Source: Vault's API documentation, "KV secrets engine - version 2", "Read secret version".
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from worker.core.errors import PermanentError, RefusedError, RotationError, TransientError
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY
from worker.core.secret import Secret
from worker.settings.model import VAULT_PATH, TokenAuth
from worker.settings.model import Vault as Settings
from worker.trust.vault.door import FORBIDDEN, NOT_FOUND, OK, Ask, Door, at, refusal
from worker.trust.vault.tokens import Login, TokenInFile, Tokens

LONGEST_ANSWER: Final = 262_144
_PATH: Final = re.compile(VAULT_PATH)


@dataclass(frozen=True, slots=True)
class Vault:
    """The KV engine at one mount. Nothing of what it holds is kept."""

    door: Door
    tokens: Tokens
    mount: str

    async def read(self, path: str, version: int | None) -> tuple[str, Secret]:
        """Chain and key of that version, or of the newest one.

        Reasons: `malformed`, `vault_forbidden`, `vault_not_found`, `vault_deleted`, `vault_malformed`, `too_large`,
        `vault_auth_failed`, `vault_untrusted`, `unexpected_redirect`; a transient one: `vault_unavailable`.
        """
        if _PATH.fullmatch(path) is None:
            raise RefusedError("malformed", "data.material.path: not a path of letters, digits, _ - and .")
        asked = "" if version is None else f"?version={version}"
        status, body = await self._answer(f"/v1/{self.mount}/data/{path}{asked}")
        if status != OK:
            raise _refusal(status, body)
        return _pair_in(body, version)

    async def check(self) -> None:
        """Raises RotationError when Vault does not know the worker."""
        await self.tokens.check()

    async def _answer(self, path: str) -> tuple[int, object]:
        """A token may have been revoked, or used up: once, it is tried with another one."""
        token = await self.tokens.token()
        status, body = await self.door.get(path, token)
        if status != FORBIDDEN or (other := await self.tokens.instead_of(token)) is None:
            return status, body
        return await self.door.get(path, other)


def _refusal(status: int, body: object) -> RotationError:
    if status == NOT_FOUND and at(body, "data", "metadata") is not None:
        return PermanentError("vault_deleted", "Vault: that version was deleted or destroyed", status=status)
    if status == NOT_FOUND:
        return PermanentError("vault_not_found", "Vault: there is no such secret or version", status=status)
    return refusal(status, "vault_forbidden", "Vault: the worker may not read that secret")


def _pair_in(body: object, version: int | None) -> tuple[str, Secret]:
    secret, told = at(body, "data", "data"), at(body, "data", "metadata", "version")
    if not isinstance(secret, dict) or told is None:
        raise TransientError("vault_unavailable", "Vault: the answer is not one of KV version 2")
    if version is not None and told != version:
        raise TransientError("vault_unavailable", "Vault: the answer is about another version than was asked for")
    return (
        _text(secret.get("chain_pem"), "chain_pem", LONGEST_CHAIN),
        Secret(_text(secret.get("private_key_pem"), "private_key_pem", LONGEST_KEY)),
    )


def _text(value: object, field: str, longest: int) -> str:
    if not isinstance(value, str):
        raise PermanentError("vault_malformed", f"Vault: {field}: the secret has no such text")
    if len(value) > longest:
        raise RefusedError("too_large", f"Vault: {field}: over {longest} bytes")
    return value


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def open_vault(settings: Settings, ask: Ask, clock: Callable[[], float] = _loop_time) -> Vault:
    """`clock` in seconds."""
    door, auth = Door(ask, settings.namespace), settings.auth
    tokens = TokenInFile(auth, door) if isinstance(auth, TokenAuth) else Login(auth, door, clock)
    return Vault(door, tokens, settings.mount)
