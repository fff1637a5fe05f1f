"""Who the worker is to Vault: tokens that end, are revoked, replaced and refused."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.fake_vault import FakeVault, refused, serving
from tests.trust.vaults import (
    CANARY,
    PATH,
    Clock,
    app_role,
    failure,
    issued,
    opened,
    secret_file,
    standing,
    text_of,
    token_in_file,
)
from worker.core.errors import PermanentError, TransientError
from worker.settings.vault import Vault as Settings
from worker.trust.vault import open_vault


async def test_a_revoked_token_is_replaced_by_one_login_for_all_who_read(tmp_path: Path) -> None:
    async with standing(tmp_path, latency=0.02) as (fake, vault):
        await asyncio.gather(*(vault.read(PATH, 1) for _ in range(20)))
        assert fake.logins == 1
        fake.revoke()
        pairs = await asyncio.gather(*(vault.read(PATH, 1) for _ in range(20)))
        assert [text_of(pair) for pair in pairs] == [fake.versions[PATH][0]] * 20
        assert fake.logins == 2


async def test_a_token_that_is_good_for_so_many_reads_is_replaced_when_it_is_used_up(tmp_path: Path) -> None:
    async with standing(tmp_path, uses=1) as (fake, vault):
        for _ in range(4):
            assert text_of(await vault.read(PATH, 1)) == fake.versions[PATH][0]
        assert fake.logins == 4


async def test_what_is_forbidden_to_a_new_token_too_is_forbidden_and_costs_no_login_each_time(tmp_path: Path) -> None:
    clock = Clock()
    async with standing(tmp_path, clock) as (fake, vault):
        fake.forbidden.add(PATH)
        told = [await failure(vault) for _ in range(5)]
        assert [(type(one), one.reason) for one in told] == [(PermanentError, "vault_forbidden")] * 5
        assert fake.logins == 2
        assert "hvs." not in "".join(map(repr, told))
        clock.at += 61
        await failure(vault)
        assert fake.logins == 3


async def test_another_token_is_got_before_the_lease_ends(tmp_path: Path) -> None:
    clock = Clock()
    async with standing(tmp_path, clock, lease=3600) as (fake, vault):
        for at, logins in [(0, 1), (3299, 1), (3301, 2), (6590, 2), (6610, 3)]:
            clock.at = at
            await vault.read(PATH, 1)
            assert fake.logins == logins, at


async def test_a_lease_of_no_seconds_never_ends(tmp_path: Path) -> None:
    clock = Clock()
    async with standing(tmp_path, clock, lease=0) as (fake, vault):
        await vault.read(PATH, 1)
        clock.at = 1e9
        await vault.read(PATH, 1)
        assert fake.logins == 1


async def test_an_old_token_serves_while_the_login_is_away(tmp_path: Path) -> None:
    clock = Clock()
    async with standing(tmp_path, clock, lease=3600) as (fake, vault):
        await vault.read(PATH, 1)
        fake.is_login_away, clock.at = True, 3400
        for _ in range(3):
            await vault.read(PATH, 1)
        assert fake.logins == 2, "it is asked again a little later"
        clock.at = 3601
        error = await failure(vault)
        assert (type(error), error.reason) == (TransientError, "vault_unavailable")
        fake.is_login_away = False
        await vault.read(PATH, 1)


async def test_a_token_that_is_replaced_in_its_file_is_used_at_once(tmp_path: Path) -> None:
    async with serving(FakeVault()) as fake:
        fake.write(PATH, issued())
        auth = token_in_file(fake, tmp_path)
        async with opened(fake, auth) as vault:
            await vault.read(PATH, 1)
            fake.tokens = {"hvs.second": 0}
            assert (await failure(vault)).reason == "vault_forbidden"
            assert fake.reads == 2, "the same token is not tried twice"

            async def meanwhile(_request: web.Request) -> web.StreamResponse:
                secret_file(tmp_path, "token", "hvs.second")
                return refused(403, "permission denied")

            fake.faults = [meanwhile]
            await vault.read(PATH, 1)
            secret_file(tmp_path, "token", "two\nlines")
            error = await failure(vault)
            assert (type(error), error.reason) == (TransientError, "vault_unavailable")
            assert str(error) == "trust.vault.auth.token_file: is not one line of text"


async def test_a_refused_login_is_not_tried_again_before_its_secret_changes(tmp_path: Path) -> None:
    clock = Clock()
    async with standing(tmp_path, clock, latency=0.02) as (fake, vault):
        secret_file(tmp_path, "secret-id", "not-the-secret-id")
        told = await asyncio.gather(*(failure(vault) for _ in range(10)))
        told.append(await failure(vault))
        assert {(type(one), one.reason) for one in told} == {(PermanentError, "vault_auth_failed")}
        assert fake.logins == 1
        assert "not-the-secret-id" not in "".join(map(repr, told)) + repr(vault)
        clock.at += 601
        await failure(vault)
        assert fake.logins == 2
        secret_file(tmp_path, "secret-id", fake.secret_id)
        await vault.read(PATH, 1)
        assert fake.logins == 3


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"client_token": "", "lease_duration": 1},
        {"client_token": f"{CANARY}\r\nX-Other: 1", "lease_duration": 1},
        {"client_token": CANARY, "lease_duration": "1"},
        {"client_token": CANARY, "lease_duration": -1},
        {"client_token": CANARY, "lease_duration": 10**400},
        {"client_token": CANARY},
    ],
)
async def test_a_login_that_brings_no_token_is_worth_another_try(tmp_path: Path, auth: dict[str, object]) -> None:
    answers: list[object] = [{"auth": auth}]

    async def ask(_method: str, _path: str, _headers: object, _body: bytes) -> tuple[int, object]:
        return 200, answers[0]

    vault = open_vault(
        Settings.model_validate({"address": "http://127.0.0.1", "auth": app_role(FakeVault(), tmp_path)}),
        ask,
        Clock().now,
    )
    error = await failure(vault)
    assert (type(error), error.reason, CANARY in repr(error)) == (TransientError, "vault_unavailable", False)


async def test_what_waits_for_a_login_is_not_harmed_by_one_that_is_cancelled(tmp_path: Path) -> None:
    async with standing(tmp_path, latency=0.05) as (fake, vault):
        first, second = (asyncio.create_task(vault.read(PATH, 1)) for _ in range(2))
        while not fake.journal:
            await asyncio.sleep(0)
        first.cancel()
        assert text_of(await second) == fake.versions[PATH][0]
