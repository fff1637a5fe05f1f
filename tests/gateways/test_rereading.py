"""Credentials in files: what is changed there counts from the next call on, without a restart."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import apig, bycloud
from worker.core.errors import PermanentError
from worker.gateways.base import Gateway
from worker.gateways.bycloud.auth import Credentials
from worker.gateways.huawei_apig.auth import StaticToken
from worker.gateways.transport import Authenticator
from worker.sandbox import Sandbox
from worker.sandbox.server import SandboxConfig
from worker.settings.credentials import SecretFile
from worker.settings.gateways import BearerAuth

PAIR = {"kind": "ak_sk", "access_key_file": "id", "secret_key_file": "secret"}
KEY = {"kind": "api_key", "key_id_file": "id", "secret_file": "secret"}
Good = Callable[[SandboxConfig], tuple[str, str]]


def in_files(folder: Path, auth: Mapping[str, str]) -> dict[str, Any]:
    return {key: folder / value if key.endswith("_file") else value for key, value in auth.items()}


def write(folder: Path, *, identity: str, secret: str) -> None:
    for name, text in (("id", identity), ("secret", secret)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(f"{text}\n")


async def refused(gateway: Gateway) -> None:
    with pytest.raises(PermanentError) as caught:
        await gateway.check()
    assert caught.value.reason == "auth_failed"


@pytest.mark.parametrize(
    ("opened", "auth", "good"),
    [
        (apig, PAIR, lambda config: (config.access_key, config.secret_key)),
        (bycloud, KEY, lambda config: (config.key_id, config.secret)),
        (apig, {"kind": "token", "token_file": "secret"}, lambda _config: ("", "a-fresh-token")),
        (bycloud, {"kind": "bearer", "token_file": "secret"}, lambda config: ("", config.token)),
    ],
    ids=["AK/SK", "API key", "APIG token", "bearer token"],
)
async def test_a_pair_or_a_token_that_is_replaced_in_its_files_counts_from_the_next_call_on(
    opened: Any, auth: Mapping[str, str], good: Good, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox, opened(sandbox, tmp_path, auth=in_files(tmp_path, auth)) as gateway:
        sandbox.iam.tokens["a-fresh-token"] = float("inf")
        identity, secret = good(sandbox.config)
        write(tmp_path, identity="an-old-id", secret="an-old-secret")
        await refused(gateway)
        write(tmp_path, identity=identity, secret=secret)
        await gateway.check()
        write(tmp_path, identity="another-id", secret="another-secret")
        await refused(gateway)


@pytest.mark.parametrize(
    "made",
    [
        StaticToken,
        lambda file: Credentials(BearerAuth(kind="bearer", token_file=file.path), file, "eu"),
    ],
    ids=["APIG", "ByCloud"],
)
async def test_a_token_that_is_refused_is_read_again_though_its_file_looks_the_same(
    made: Callable[[SecretFile], Authenticator], tmp_path: Path
) -> None:
    write(tmp_path, identity="", secret="a-token")
    file = SecretFile(tmp_path / "secret", "auth.token_file", lambda: time.time() + 60)  # at rest
    account = made(file)
    await account.headers("GET", "/", {}, b"")
    known = file.secret()
    await account.headers("GET", "/", {}, b"")
    assert file.secret() is known
    await account.renew()
    assert file.secret() is not known


async def test_a_password_that_is_changed_with_the_account_counts_once_the_token_is_dead(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, apig(sandbox, tmp_path) as gateway:
        await gateway.check()
        sandbox.iam.password = "the-second-password"
        sandbox.iam.tokens.clear()
        await refused(gateway)
        (tmp_path / "password").write_text("the-second-password\n")
        await gateway.check()
