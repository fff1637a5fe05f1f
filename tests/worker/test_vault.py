"""A renewal whose certificate and key lie in Vault."""

import json
from pathlib import Path

import pytest

from tests.support.clouds import renewal, running, settings_for
from tests.support.fake_vault import FakeVault, answering, serving
from tests.support.gateways import AUTHORITY
from tests.support.keys_made import traces_of
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault

NAME = "www.example.com"


async def test_a_renewal_waits_for_a_sealed_vault_and_its_key_goes_nowhere_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere, work = tmp_path / "elsewhere", tmp_path / "work"
    elsewhere.mkdir()
    work.mkdir()
    (elsewhere / "ca.pem").write_text(AUTHORITY.root_pem)
    (elsewhere / "secret-id").touch(mode=0o600)
    (elsewhere / "secret-id").write_text("the-secret-id-of-the-worker")
    issues = [AUTHORITY.issue([NAME]) for _ in range(2)]
    tls = AUTHORITY.issue(["127.0.0.1"])
    async with (
        Sandbox() as sandbox,
        serving(FakeVault(secret_id="the-secret-id-of-the-worker"), elsewhere, tls) as vault,
    ):
        world = sandbox.world
        world.add_domain(world.add_group(world.add_instance()), NAME)
        deployment = {"gateway": "apig", "name": "shop", "domains": (NAME,)}
        auth = {"kind": "app_role", "role_id": vault.role_id, "secret_id_file": elsewhere / "secret-id"}
        own = {"address": vault.address, "ca_file": elsewhere / "ca.pem", "auth": auth}
        trust = {"ca_bundle": str(work / "roots.pem"), "vault": own}
        settings = settings_for(sandbox, AUTHORITY, work, {"shop": (deployment,)}, trust=trust)
        for one in issues:
            vault.write("certs/shop", one)
        seen: set[str] = set()
        async with running(settings) as worker:
            vault.faults = [answering(503, json.dumps({"errors": [issues[0].private_key_pem]}))]
            first = {"kind": "vault", "path": "certs/shop", "version": 1}
            told = [await worker.outcome(renewal(issues[0], material=first))]
            seen |= set(vault.tokens)
            vault.revoke()
            # A gateway that answers with what it was sent.
            body = {"error_code": "APIG.2012", "error_msg": f"bad value: {issues[1].private_key_pem}"}
            world.faults.append(Fault("attach_domains", status=400, body=body))
            told.append(await worker.outcome(renewal(issues[1], material={"kind": "vault", "path": "certs/shop"})))
            none = {"kind": "vault", "path": "certs/../../sys"}
            told.append(await worker.outcome(renewal(issues[1], material=none)))
            dead = [repr(one) + one.message.body.decode() for one in await worker.dead(2)]
        seen |= set(vault.tokens)
        everything = json.dumps(told) + "".join(dead) + "".join(capfd.readouterr())
        everything += "".join(file.read_bytes().decode("latin-1") for file in work.iterdir())
    assert [(one["data"]["reason"], one["data"]["attempt"]) for one in told] == [
        ("rotated", 2),
        ("binding_failed", 1),
        ("malformed", 1),
    ]
    assert vault.logins == len(seen) == 2
    hidden = [*seen, vault.secret_id, *(canary for one in issues for canary in traces_of(one.private_key_pem))]
    assert [one for one in hidden if one in everything] == []
