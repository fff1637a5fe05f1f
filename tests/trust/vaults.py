"""A worker's view of a Vault that stands on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_vault import FakeVault, serving
from tests.support.gateways import AUTHORITY
from worker.core.errors import RotationError
from worker.gateways.asking import Asking
from worker.sandbox.ca import Issued
from worker.settings.vault import Vault as Settings
from worker.trust.material import Pair
from worker.trust.vault import LONGEST_ANSWER, Vault, open_vault

CANARY = "quoted-by-vault"
PATH = "certs/shop"


@dataclass
class Clock:
    """Goes when it is told to. Seconds."""

    at: float = 0.0

    def now(self) -> float:
        return self.at


def issued(name: str = "shop.example.com") -> Issued:
    return AUTHORITY.issue([name])


def secret_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
    return path


def app_role(vault: FakeVault, folder: Path) -> dict[str, Any]:
    secret_id = secret_file(folder, "secret-id", vault.secret_id)
    return {"kind": "app_role", "role_id": vault.role_id, "secret_id_file": secret_id}


def app_role_in_files(vault: FakeVault, folder: Path) -> dict[str, Any]:
    files = {"role_id_file": secret_file(folder, "role-id", vault.role_id)}
    return {"kind": "app_role", "secret_id_file": secret_file(folder, "secret-id", vault.secret_id), **files}


def kubernetes(vault: FakeVault, folder: Path) -> dict[str, Any]:
    jwt = secret_file(folder, "jwt", vault.jwt)
    return {"kind": "kubernetes", "role": vault.role, "jwt_file": jwt, "mount": "pods"}


def token_in_file(vault: FakeVault, folder: Path) -> dict[str, Any]:
    vault.tokens["hvs.kept-by-somebody-else"] = 0
    return {"kind": "token", "token_file": secret_file(folder, "token", "hvs.kept-by-somebody-else")}


@asynccontextmanager
async def opened(
    fake: FakeVault, auth: dict[str, Any], clock: Clock | None = None, **overrides: Any
) -> AsyncIterator[Vault]:
    own = Settings.model_validate({"address": fake.address, "auth": auth, **overrides})
    asking = Asking(own.address, own.ca_file, own.timeout_seconds, longest=LONGEST_ANSWER)
    try:
        yield open_vault(own, asking, (clock or Clock()).now)
    finally:
        await asking.close()


@asynccontextmanager
async def standing(folder: Path, clock: Clock | None = None, **state: Any) -> AsyncIterator[tuple[FakeVault, Vault]]:
    """A Vault that holds one secret, and a worker that logs in there by AppRole."""
    async with serving(FakeVault(**state)) as fake:
        fake.write(PATH, issued())
        async with opened(fake, app_role(fake, folder), clock) as vault:
            yield fake, vault


def text_of(pair: Pair | None) -> dict[str, str]:
    assert pair is not None
    return {"chain_pem": pair[0], "private_key_pem": pair[1].reveal()}


async def failure(vault: Vault, path: str = PATH, version: int | None = None) -> RotationError:
    with pytest.raises(RotationError) as caught:
        await vault.read(path, version)
    return caught.value
