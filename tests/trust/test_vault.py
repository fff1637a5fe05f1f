"""Chain and key in Vault: over real sockets, from a Vault that keeps, forgets and refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.fake_vault import FakeVault, Fault, answering, serving
from tests.support.gateways import AUTHORITY
from tests.trust.vaults import (
    CANARY,
    PATH,
    app_role,
    app_role_in_files,
    failure,
    issued,
    kubernetes,
    opened,
    standing,
    text_of,
    token_in_file,
)
from worker.core.errors import PermanentError, TransientError
from worker.core.renewal import InVault, Renewal
from worker.trust.keys import Recipients
from worker.trust.material import Pair, material_of
from worker.trust.vault import LONGEST_ANSWER, Vault


async def material(vault: Vault | None, version: int | None = None, path: str = PATH) -> Pair | None:
    return await material_of(Renewal("r1", "shop", "acme", InVault(path, version)), (), Recipients(), vault)


@pytest.mark.parametrize("auth", [app_role, app_role_in_files, kubernetes, token_in_file])
@pytest.mark.parametrize("namespace", [None, "acme/prod"])
async def test_a_secret_is_read_however_the_worker_proves_who_it_is(
    tmp_path: Path, auth: Callable[[FakeVault, Path], dict[str, Any]], namespace: str | None
) -> None:
    async with serving(FakeVault(namespace=namespace)) as fake:
        fake.write(PATH, issued(), note="of no interest")
        async with opened(fake, auth(fake, tmp_path), namespace=namespace) as vault:
            await vault.check()
            pair = await vault.read(PATH, None)
            assert text_of(pair).items() <= (fake.versions[PATH][0] or {}).items()
            assert [secret for secret in (*fake.tokens, fake.secret_id, fake.jwt) if secret in repr(vault)] == []


async def test_a_secret_is_read_over_verified_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(AUTHORITY.root_pem)
    async with serving(FakeVault(), tmp_path, issued("127.0.0.1")) as fake:
        fake.write(PATH, issued())
        async with opened(fake, app_role(fake, tmp_path), ca_file=tmp_path / "ca.pem") as vault:
            assert text_of(await vault.read(PATH, 1)) == fake.versions[PATH][0]


async def test_a_vault_that_does_not_verify_hears_nothing(tmp_path: Path) -> None:
    async with serving(FakeVault(), tmp_path, issued("127.0.0.1")) as fake:
        async with opened(fake, app_role(fake, tmp_path)) as vault:
            error = await failure(vault)
        assert (type(error), error.reason, fake.journal) == (PermanentError, "vault_untrusted", [])
        async with opened(fake, app_role(fake, tmp_path), ca_file=tmp_path / "none.pem") as vault:
            assert str(await failure(vault)) == "Vault: ca_file: cannot be read as certificates"


async def test_a_pinned_version_is_read_whatever_was_written_since(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, vault):
        fake.write(PATH, issued())
        assert text_of(await material(vault, 1)) == fake.versions[PATH][0]
        assert text_of(await material(vault)) == fake.versions[PATH][1]
        assert fake.journal[1:] == [f"GET /v1/secret/data/{PATH}?version=1", f"GET /v1/secret/data/{PATH}"]


async def test_a_secret_that_is_written_in_two_steps_is_waited_for(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, vault):
        whole = issued()

        async def chain_alone(_request: web.Request) -> web.StreamResponse:
            secret = {"chain_pem": whole.chain_pem}
            return web.json_response({"data": {"data": secret, "metadata": {"version": 2}}})

        async def chain_of_another_key(_request: web.Request) -> web.StreamResponse:
            secret = {"chain_pem": whole.chain_pem, "private_key_pem": issued().private_key_pem}
            return web.json_response({"data": {"data": secret, "metadata": {"version": 3}}})

        fake.faults = [chain_alone, chain_of_another_key]
        fake.write(PATH, whole)
        assert text_of(await material(vault)) == fake.versions[PATH][1]
        assert fake.reads == 3


async def test_a_version_that_a_replica_does_not_know_yet_is_waited_for(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, vault):
        fake.faults = [answering(404, '{"errors": []}')]
        assert text_of(await material(vault, 1)) == fake.versions[PATH][0]


async def test_a_pair_that_never_fits_is_left_to_the_rules_and_a_pinned_one_at_once(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, vault):
        fake.write(PATH, issued(), private_key_pem=issued().private_key_pem)
        assert text_of(await material(vault, 2)) == fake.versions[PATH][1]
        assert fake.reads == 1
        assert text_of(await material(vault)) == fake.versions[PATH][1]


async def test_a_secret_that_is_not_there_or_was_deleted_is_no_reason_to_come_again(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, vault):
        fake.versions["certs/gone"] = [None]
        told = [
            await failure(vault, "certs/none"),
            await failure(vault, version=2),
            await failure(vault, "certs/gone"),
            await failure(vault, "certs/gone", 1),
        ]
        assert {type(one) for one in told} == {PermanentError}
        assert [one.reason for one in told] == ["vault_not_found", "vault_not_found", "vault_deleted", "vault_deleted"]


@pytest.mark.parametrize(
    "path",
    ["../sys/seal", "certs/../../x", "/certs", "certs/", "a//b", "a/./b", "a..b", "a?b", "a%2e", "a\\b", "ä", ""],
)
async def test_a_path_that_leads_elsewhere_is_refused_without_a_call(tmp_path: Path, path: str) -> None:
    async with standing(tmp_path) as (fake, vault):
        error = await failure(vault, path)
        assert (type(error).__name__, error.reason, fake.journal) == ("RefusedError", "malformed", [])


async def test_without_a_vault_in_the_settings_the_material_is_refused() -> None:
    with pytest.raises(PermanentError) as caught:
        await material(None)
    assert caught.value.reason == "vault_not_configured"


async def garbled(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"no HTTP at all\r\n\r\n")
    request.transport.close()
    return web.Response()


async def compressed(request: web.Request) -> web.StreamResponse:
    assert request.headers["Accept-Encoding"] == "identity"
    answer = web.Response(text=json.dumps({"data": {"data": {}, "metadata": {"version": 1}}}))
    answer.enable_compression(web.ContentCoding.gzip)
    return answer


@pytest.mark.parametrize(
    "fault",
    [
        answering(503, f'{{"errors": ["Vault is sealed {CANARY}"]}}'),
        answering(429, CANARY),
        answering(412),
        answering(500),
        answering(307, Location="http://127.0.0.1:1/"),
        answering(204),
        answering(200, f"<html>{CANARY}</html>"),
        answering(200, ""),
        answering(200, f'{{"data": {{"data": {{"chain_pem": "{CANARY}"'),
        answering(200, f'{{"data": 1, "data": "{CANARY}"}}'),
        answering(200, f'{{"data": {{"chain_pem": "{CANARY}", "private_key_pem": ""}}}}'),
        answering(200, '{"data": {"data": {"chain_pem": "", "private_key_pem": ""}, "metadata": {"version": 2}}}'),
        answering(200, json.dumps({"data": {"padding": CANARY * LONGEST_ANSWER}})),
        garbled,
        compressed,
    ],
)
async def test_what_passes_at_vault_is_worth_another_try(tmp_path: Path, fault: Fault) -> None:
    async with standing(tmp_path) as (fake, vault):
        fake.faults = [fault]
        error = await failure(vault, version=1)
        assert (type(error), error.reason) == (TransientError, "vault_unavailable")
        assert CANARY not in repr(error)
        assert (error.__cause__, error.__suppress_context__ or error.__context__ is None) == (None, True)
        assert text_of(await vault.read(PATH, 1)) == fake.versions[PATH][0]


async def test_a_vault_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    async with (
        standing(tmp_path, latency=60) as (fake, _),
        opened(fake, app_role(fake, tmp_path), timeout_seconds=0.1) as vault,
    ):
        assert str(await failure(vault)) == "Vault: no answer in time"
    async with opened(fake, app_role(fake, tmp_path)) as vault:
        error = await failure(vault)
        assert (type(error), str(error)) == (TransientError, "Vault: no connection")


@pytest.mark.parametrize("status", [301, 302, 308])
async def test_no_redirect_of_vault_is_followed(tmp_path: Path, status: int) -> None:
    async with serving(FakeVault()) as other, standing(tmp_path) as (fake, vault):
        fake.faults = [answering(status, Location=f"{other.address}/v1/secret/data/{PATH}")]
        error = await failure(vault)
        assert (type(error), error.reason, other.journal) == (PermanentError, "unexpected_redirect", [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"private_key_pem": {"nested": CANARY}}, "vault_malformed"),
        ({"private_key_pem": None}, "vault_malformed"),
        ({"chain_pem": 1}, "vault_malformed"),
        ({"private_key_pem": CANARY * 1000}, "too_large"),
        ({"chain_pem": CANARY * 10_000}, "too_large"),
    ],
)
async def test_a_secret_of_another_form_is_refused_without_being_shown(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    async with standing(tmp_path) as (fake, vault):
        fake.write(PATH, issued(), **changes)
        error = await failure(vault, version=2)
        assert isinstance(error, PermanentError)
        assert error.reason == reason
        assert str(error).startswith(f"Vault: {next(iter(changes))}: ")
        assert CANARY not in repr(error)


async def test_an_answer_is_read_up_to_its_limit(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, vault):
        answer = json.dumps({"data": {"data": fake.versions[PATH][0], "metadata": {"version": 1}}})
        fake.faults = [answering(200, answer.ljust(length)) for length in (LONGEST_ANSWER, LONGEST_ANSWER + 1)]
        assert text_of(await vault.read(PATH, 1)) == fake.versions[PATH][0]
        assert str(await failure(vault)) == "Vault: the answer is too long"
