"""Chain and key in HashiCorp Vault: one secret of a KV engine, version 2. And what the worker itself keeps there.

Source: Vault's API documentation, "KV secrets engine - version 2", "Read secret version" and "Create/update secret".
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from worker.core.errors import PermanentError, RefusedError, RotationError, TransientError
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY
from worker.core.secret import Secret
from worker.settings.base import VAULT_PATH, TokenAuth
from worker.settings.vault import Vault as Settings
from worker.trust.vault.door import FORBIDDEN, NOT_FOUND, OK, Ask, Door, at, refusal
from worker.trust.vault.tokens import Login, TokenInFile, Tokens

LONGEST_ANSWER: Final = 262_144
_PATH: Final = re.compile(VAULT_PATH)


@dataclass(frozen=True, slots=True)
class Vault:
    """The KV engine at one mount. Nothing of what it holds stays in memory."""

    door: Door
    tokens: Tokens
    mount: str

    async def read(self, path: str, version: int | None) -> tuple[str, Secret]:
        """Chain and key of that version, or of the newest one.

        Reasons: `malformed`, `vault_forbidden`, `vault_not_found`, `vault_deleted`, `vault_malformed`, `too_large`,
        `vault_auth_failed`, `vault_untrusted`, `unexpected_redirect`; a transient one: `vault_unavailable`.
        """
        _check(path, "data.material.path")
        asked = "" if version is None else f"?version={version}"
        status, body = await self._read(f"/v1/{self.mount}/data/{path}{asked}")
        if status != OK:
            raise _refusal(status, body)
        return _pair_in(body, version)

    async def find(self, path: str) -> Mapping[str, object] | None:
        """The newest version of a secret; None where there is none, or it was deleted. Reasons as `read`."""
        _check(path, "Vault: path")
        status, body = await self._read(f"/v1/{self.mount}/data/{path}")
        if status == NOT_FOUND:
            return None
        if status != OK:
            raise _refusal(status, body)
        return _secret_in(body)[0]

    async def write(self, path: str, secret: Mapping[str, str]) -> None:
        """A new version of a secret, whatever was there before. Reasons as `read`."""
        _check(path, "Vault: path")
        content = Secret(json.dumps({"data": secret}))
        status, body = await self._answer(partial(self.door.post, f"/v1/{self.mount}/data/{path}", content))
        if status == NOT_FOUND:
            raise PermanentError("vault_not_found", "Vault: there is no such mount", status=status)
        if status != OK:
            raise refusal(status, "vault_forbidden", "Vault: the worker may not write that secret")
        if type(at(body, "data", "version")) is not int:
            raise TransientError("vault_unavailable", "Vault: the answer is not one of KV version 2")

    async def capabilities(self, path: str) -> frozenset[str] | None:
        """What the policies let the worker do with that secret; None where they do not let it ask.

        Source: Vault's API documentation, "/sys/capabilities-self". Reasons as `read`.
        """
        asked = Secret(json.dumps({"paths": [f"{self.mount}/data/{path}"]}))
        status, body = await self._answer(partial(self.door.post, "/v1/sys/capabilities-self", asked))
        if status == FORBIDDEN:
            return None
        told = at(body, "capabilities") or at(body, "data", "capabilities")
        if status != OK or not isinstance(told, list):
            raise refusal(status, "vault_forbidden", "Vault: does not tell the worker's rights")
        return frozenset(one for one in told if isinstance(one, str))

    async def check(self) -> None:
        """Raises RotationError when Vault does not know the worker."""
        await self.tokens.check()

    async def _read(self, path: str) -> tuple[int, object]:
        return await self._answer(partial(self.door.get, path))

    async def _answer(self, asked: Callable[[Secret], Awaitable[tuple[int, object]]]) -> tuple[int, object]:
        """A token may have been revoked, or used up: once, it is tried with another one."""
        token = await self.tokens.token()
        status, body = await asked(token)
        if status != FORBIDDEN or (other := await self.tokens.instead_of(token)) is None:
            return status, body
        return await asked(other)


def _check(path: str, place: str) -> None:
    if _PATH.fullmatch(path) is None:
        raise RefusedError("malformed", f"{place}: not a path of letters, digits, _ - and .")


def _refusal(status: int, body: object) -> RotationError:
    if status == NOT_FOUND and at(body, "data", "metadata") is not None:
        return PermanentError("vault_deleted", "Vault: that version was deleted or destroyed", status=status)
    if status == NOT_FOUND:
        return PermanentError("vault_not_found", "Vault: there is no such secret or version", status=status)
    return refusal(status, "vault_forbidden", "Vault: the worker may not read that secret")


def _secret_in(body: object) -> tuple[Mapping[str, object], object]:
    """What was kept, and as which version."""
    secret, told = at(body, "data", "data"), at(body, "data", "metadata", "version")
    if not isinstance(secret, dict) or told is None:
        raise TransientError("vault_unavailable", "Vault: the answer is not one of KV version 2")
    return secret, told


def _pair_in(body: object, version: int | None) -> tuple[str, Secret]:
    secret, told = _secret_in(body)
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
