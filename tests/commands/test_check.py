"""`rotation-worker check`: what it finds, each thing by its name, and that it leaves everything as it was."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.broker.places import event, renewal, retry
from tests.commands.processes import run
from tests.settings.files import APIG, certificate, in_place, written
from tests.support.fake_vault import FakeVault, serving
from tests.support.judging import kept_by_all
from tests.support.rabbit import broker_settings, running
from tests.support.service import toml, write_settings
from worker.broker import open_broker
from worker.broker.topology import definitions
from worker.core.secret import Secret
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority
from worker.sandbox.rabbit_node import RabbitNode
from worker.sandbox.world import Fault
from worker.settings.model import Broker as Settings
from worker.trust.keys import made

PASSWORD = "least-privilege"


async def checked(path: Path) -> tuple[int, dict[str, str]]:
    """Exit status, and the findings: what is wrong with each, or nothing."""
    status, said, _ = await run("check", "--json", "--config", path)
    found: Sequence[dict[str, Any]] = json.loads(said)
    return status, {one["what"]: "" if one["is_good"] else one["message"] for one in found}


def least(settings: Settings) -> dict[str, str]:
    permissions = definitions(settings, retry().parking_seconds)["permissions"]
    assert isinstance(permissions, list)
    (mine,) = (one for one in permissions if one["user"] == "rotation-worker")
    return {right: mine[right] for right in ("configure", "write", "read")}


def worker(folder: Path, node: RabbitNode, settings: Settings, user: str, **rights: str) -> Path:
    """A user with such rights, and the settings of a worker that is this user."""
    node.ctl("add_user", user, PASSWORD)
    node.ctl("set_permissions", user, rights["configure"], rights["write"], rights["read"])
    own = settings.model_copy(
        update={"declare_": False, "url": f"amqp://{user}:{PASSWORD}@127.0.0.1:{node.port}/"}
    ).model_dump(mode="json", by_alias=True, exclude_none=True)
    text = f"broker = {toml(own)}\n[retry]\nparking_seconds = {list(retry().parking_seconds)}\n"
    return written(folder, text, f"{user}.toml")


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit")
async def test_every_right_at_the_broker_is_tried_and_nothing_comes_of_it(tmp_path: Path) -> None:
    with running(tmp_path / "node") as node:
        settings = broker_settings(url=node.url, timeout_seconds=10)
        broker = open_broker(settings, Secret(node.url), retry(), exposes=kept_by_all)
        await broker.declare()
        await broker.publish_event(event())
        await broker.publish_renewal(renewal())
        good = least(settings)
        names = [
            "settings",
            "broker: connect",
            "broker: topology",
            f"broker: write {settings.events_exchange}",
            f"broker: write {settings.parking_exchange}",
            f"broker: read {settings.queue}",
            f"broker: read {settings.dead_queue}",
            f"broker: read {settings.history_stream}",
        ]
        lacks = {
            "no-events": {"write": f"^{settings.parking_exchange}$"},
            "no-copies": {"write": f"^{settings.events_exchange}$"},
            "no-queue": {"read": good["read"].replace(settings.queue.replace(".", r"\.") + "|", "")},
        }

        async def made(user: str, rights: dict[str, str]) -> Path:
            # In a thread: the consumer here has to go on answering.
            return await asyncio.to_thread(worker, tmp_path, node, settings, user, **rights)

        async with broker.deliveries() as deliveries:
            first = await anext(deliveries)
            assert await checked(await made("good", good)) == (0, dict.fromkeys(names, ""))
            for (user, lack), missing in zip(lacks.items(), (names[3], names[4], names[5]), strict=True):
                status, found = await checked(await made(user, {**good, **lack}))
                bad = {what for what, problem in found.items() if problem}
                assert (status, bad - {"broker: topology"}) == (78, {missing})
                assert "refused for user" in found[missing]
            await broker.publish_renewal(renewal(b"2"))
            second = await anext(deliveries)
            assert [(one.message.body, one.message.attempt) for one in (first, second)] == [(b"{}", 1), (b"2", 1)]
            assert (await broker.state()).is_active
        assert len(await broker.history()) == 1
        assert list(await broker.dead()) == []
        await broker.close()


async def test_a_broker_that_is_away_is_found_under_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, '[broker]\nurl = "amqp://guest:hunter2@127.0.0.1:1/"\n')
    status, found = await checked(path)
    assert (status, list(found)) == (78, ["settings", "broker: connect", "broker: topology and rights"])
    assert found["broker: connect"].startswith("connecting to 127.0.0.1:")


async def test_a_check_makes_no_file_and_tells_whether_it_could_be_made(tmp_path: Path) -> None:
    path = written(tmp_path, '[broker]\nurl = "sqlite:///var/queue.db"\n')
    assert await checked(path) == (0, {"settings": "", "broker: connect": ""})
    assert [one.name for one in tmp_path.iterdir()] == ["worker.toml"]
    path = written(tmp_path, '[broker]\nurl = "sqlite:///worker.toml/queue.db"\n')
    status, found = await checked(path)
    assert (status, found["broker: connect"]) == (78, "there is no file yet, and it cannot be made")


async def test_the_embedded_brokers_file_is_tried_where_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, '[broker]\nurl = "sqlite:///queue.db"\n')
    (tmp_path / "queue.db").touch(mode=0o600)
    names = ("settings", "broker: connect", "broker: topology", "broker: read and write queue.db")
    assert await checked(path) == (0, dict.fromkeys(names, ""))
    (tmp_path / "queue.db").write_text("no database" * 100)
    status, found = await checked(path)
    assert (status, list(found)) == (78, ["settings", "broker: connect", "broker: topology and rights"])


async def test_a_mistake_in_the_settings_is_told_once(tmp_path: Path) -> None:
    status, said, complaints = await run("check", "--config", written(tmp_path, "foo = 1"))
    assert (status, complaints) == (78, "")
    assert said.count("foo: unknown key") == 1


async def test_a_vault_is_found_that_lets_the_worker_in_or_does_not(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(mode=0o600)
    names = ("settings", "broker: connect", "vault", "vault: read secret/data")
    async with serving(FakeVault(tokens={"hvs.good": 0})) as vault:
        app_role = {"kind": "app_role", "role_id": vault.role_id, "secret_id_file": "secret"}
        for auth, good in ((app_role, vault.secret_id), ({"kind": "token", "token_file": "secret"}, "hvs.good")):
            trust = {"vault": {"address": vault.address, "auth": auth}}
            text = f'broker = {{url = "sqlite:///queue.db"}}\ntrust = {toml(trust)}\n'
            (tmp_path / "secret").write_text(good)
            assert await checked(written(tmp_path, text)) == (0, dict.fromkeys(names, ""))
            (tmp_path / "secret").write_text("hunter2")
            status, found = await checked(written(tmp_path, text))
            assert (status, list(found)) == (78, [*names[:3], "vault: rights"])
            assert found["vault"].startswith("vault_auth_failed: Vault refuses the ")
            assert "hunter2" not in found["vault"]


async def test_the_place_of_what_is_kept_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    made(tmp_path, "worker", signs=False)
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("hvs.good")
    async with serving(FakeVault(tokens={"hvs.good": 0})) as vault, Sandbox() as sandbox:
        own = {"address": vault.address, "auth": {"kind": "token", "token_file": "token"}}
        shop = {"gateway": "apig", "certificate_id": "c1", "domains": "attached"}
        certificates = {"shop": {"producers": ["acme"], "deployments": [shop], "keep_previous": True}}

        async def told(**previous: str) -> str:
            trust = {"vault": own, "previous": previous, "recipient_keys": ["worker.jwk"]}
            broker = {"url": "sqlite:///queue.db"}
            path = write_settings(sandbox, tmp_path, tmp_path, broker, certificates, trust=trust)
            return (await checked(path))[1]["trust.previous"]

        assert await told(folder="previous") == ""
        assert not (tmp_path / "previous").exists()
        (tmp_path / "previous").mkdir()
        (tmp_path / "previous").chmod(0o777)
        assert (await told(folder="previous")).startswith("previous_permissions: ")
        assert await told(vault="kept") == ""
        vault.capabilities = ["read", "update"]
        assert (await told(vault="kept")).endswith("below trust.previous.vault the policy lacks: create")
        vault.capabilities = ["create", "read", "update"]
        assert await told(vault="kept") == ""
        assert vault.versions == {}


async def read_rights(folder: Path, vault: FakeVault, *below: str) -> tuple[int, list[str]]:
    """Exit status, and the lines about Vault, of certificates whose secrets lie there."""
    auth = {"kind": "app_role", "role_id": vault.role_id, "secret_id_file": "secret"}
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text(vault.secret_id)
    trust = {"vault": {"address": vault.address, "auth": auth}}
    certificates = [
        certificate(in_place(certificate_id=f'"c{number}"'), name=f"c{number}", more=f'vault_below = "{path}"')
        for number, path in enumerate(below)
    ]
    (folder / "token").touch(mode=0o600)
    apig = APIG.replace("https://apig.example.com", "http://127.0.0.1:1")
    text = f'broker = {{url = "sqlite:///queue.db"}}\ntrust = {toml(trust)}\n{apig if below else ""}'
    status, said, _ = await run("check", "--config", written(folder, text + "\n".join(certificates)))
    return status, [line for line in said.splitlines() if "vault" in line and "next: " not in line]


async def test_what_may_not_be_read_in_vault_is_named_and_nothing_is_read(tmp_path: Path) -> None:
    other = "secret/data/certs/other"
    async with serving(FakeVault(policy=("secret/data/certs/shop", "secret/data/blog/*"))) as vault:
        assert await read_rights(tmp_path, vault, "certs/shop", "blog", "certs/other") == (
            78,
            [
                "ok      vault",
                "ok      vault: read secret/data/blog",
                f'FAILED  vault: read {other}: the policy lacks the capability "read" for {other}',
                "ok      vault: read secret/data/certs/shop",
            ],
        )
        assert vault.reads == 0


async def test_what_vault_does_not_tell_is_not_known_and_no_failure(tmp_path: Path) -> None:
    async with serving(FakeVault(policy=("secret/data/certs/*",))) as vault:
        status, (_, line) = await read_rights(tmp_path, vault)
        assert (status, line.split(": ")[:3]) == (0, ["skipped vault", "read secret/data", "not known"])
        assert "no certificate says in vault_below" in line
        vault.policy = None
        _, (login, line) = await read_rights(tmp_path, vault, "certs/shop")
        assert login == "ok      vault"
        assert line.startswith(
            "skipped vault: read secret/data/certs/shop: not known: Vault does not let the worker ask"
        )
        assert "hvs." not in line


AT_APIG = {
    "show": "show certificates (GET /v2/{project}/apigw/certificates/{id})",
    "bound": "list bound domains (GET /v2/{project}/apigw/certificates/{id}/attached-domains)",
    "modify": "modify certificates (PUT /v2/{project}/apigw/certificates/{id})",
    "attach": "attach certificates (POST /v2/{project}/apigw/certificates/{id}/domains/attach)",
}
AT_BYCLOUD = {
    "show": "show certificates (GET /v1/certificates/{id})",
    "bind": "bind certificates (POST /v1/certificates/{id}/bindings)",
}
NAMES = [
    "settings",
    "publish.producer",
    "publish.spool",
    "broker: connect",
    "gateway apig",
    *(f"gateway apig: {right}" for right in AT_APIG.values()),
    "gateway apig: stored certificates",
    "gateway bycloud",
    *(f"gateway bycloud: {right}" for right in AT_BYCLOUD.values()),
    "gateway bycloud: stored certificates",
]


def deployed(sandbox: Sandbox, folder: Path, domains: object = "attached", **entry: object) -> Path:
    """Settings of a certificate that is deployed at both clouds."""
    authority = Authority.create()
    issued, world = authority.issue(("shop.example.com",)), sandbox.world
    (folder / "roots.pem").write_text(authority.root_pem)
    at_apig = {"gateway": "apig", "certificate_id": world.add_certificate(issued, "shop"), "domains": domains}
    at_bycloud = {
        "gateway": "bycloud",
        "strategy": "rebind",
        "certificate_id": world.add_upload(issued, "shop"),
        "listeners": [{"id": world.add_listener()}],
    }
    certificates = {"shop": {"producers": ["acme"], "deployments": [at_apig, at_bycloud], **entry}}
    return write_settings(sandbox, folder, folder / "roots.pem", {"url": f"sqlite:///{folder}/q.db"}, certificates)


async def test_every_right_that_deployments_need_at_a_cloud_is_tried_and_what_is_missing_is_named(
    tmp_path: Path,
) -> None:
    async with Sandbox() as sandbox:
        path = deployed(sandbox, tmp_path)
        assert await checked(path) == (0, dict.fromkeys(NAMES, ""))
        sandbox.world.faults += [
            Fault("modify_certificate", status=403, body={"error_code": "APIG.1005", "error_msg": "No permissions"}),
            Fault("create_binding", status=403, body={"error": {"code": 403, "message": "Insufficient permissions"}}),
        ]
        status, found = await checked(path)
        assert (status, {what: problem for what, problem in found.items() if problem}) == (
            78,
            {
                f"gateway apig: {AT_APIG['modify']}": (
                    "it is not allowed; allow apig:certificate:update (the gateway says: No permissions)"
                ),
                f"gateway bycloud: {AT_BYCLOUD['bind']}": (
                    "it is not allowed (the gateway says: Insufficient permissions)"
                ),
            },
        )
        assert not sandbox.world.changes


async def test_a_certificate_that_is_not_stored_is_told_with_its_place_in_the_settings(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        path = deployed(sandbox, tmp_path)
        sandbox.world.certificates.clear()
        status, said, _ = await run("check", "--config", path)
        assert not sandbox.world.changes
    lines = said.splitlines()
    told = "certificates.shop.deployments.0.certificate_id: not_found: no certificate with this id is stored at apig"
    at = lines.index(f"FAILED  {told}")
    assert (status, [line for line in lines if "FAILED" in line]) == (78, [lines[at]])
    assert "next: " in lines[at + 1]
    assert "`rotation-worker discover apig`" in lines[at + 1]
    assert "ok      gateway bycloud: stored certificates" in lines


async def test_a_wildcard_that_nobody_can_ask_for_is_told_and_is_no_failure(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        proof = {"domains": True, "hosts": {"*.example.net": "www.example.net"}}
        path = deployed(sandbox, tmp_path, ["*.example.com", "*.example.net"], verify=proof)
        status, said, _ = await run("check", "--config", path)
    told = "skipped certificate shop: verify: nobody can ask for *.example.com: name a host in verify.hosts"
    assert (status, [line for line in said.splitlines() if "verify" in line]) == (0, [told])


async def test_who_may_not_list_is_not_asked_to_where_no_deployment_lists(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        path = deployed(sandbox, tmp_path)
        sandbox.world.faults += [Fault(one, status=403, times=9) for one in ("list_certificates", "list_uploads")]
        assert await checked(path) == (0, dict.fromkeys(NAMES, ""))


async def test_a_right_that_cannot_be_found_out_is_told_and_is_no_failure(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        path = deployed(sandbox, tmp_path)
        sandbox.world.faults.append(Fault("attach_domains", status=500, body={"error_msg": "oops"}))
        status, said, _ = await run("check", "--config", path)
    lines = said.splitlines()
    assert status == 0
    assert f"ok      gateway apig: {AT_APIG['modify']}" in lines
    assert f"skipped gateway apig: {AT_APIG['attach']}: not known: gateway_unavailable: oops" in lines


async def test_no_right_is_tried_with_credentials_that_are_refused(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        path = deployed(sandbox, tmp_path)
        (tmp_path / "password").write_text("hunter2")
        status, found = await checked(path)
        assert (status, [what for what in found if what.startswith("gateway apig")]) == (
            78,
            ["gateway apig", "gateway apig: rights"],
        )
        assert found["gateway apig"].startswith("auth_failed: IAM gives no token")
        assert "hunter2" not in str(found)
        assert len(sandbox.world.calls("obtain_token")) == 1
