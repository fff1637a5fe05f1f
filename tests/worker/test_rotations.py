"""Renewals through the whole worker: broker, checks, sandbox clouds over real sockets, real TLS listeners."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.support.clouds import message, renewal, running, settings_for
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Authority, Issued
from worker.sandbox.world import Fault
from worker.verification import served_chain

AUTHORITY = Authority.create()
NAMES = ("a.example.com", "b.example.com", "c.example.com")


def old() -> Issued:
    return AUTHORITY.issue(NAMES, not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(days=60))


def new(**overrides: Any) -> Issued:
    return AUTHORITY.issue(NAMES, **overrides)


class Shop:
    """One APIG instance that serves three domains with one stored certificate."""

    def __init__(self, sandbox: Sandbox) -> None:
        world = self.world = sandbox.world
        self.instance = world.add_instance()
        self.group = world.add_group(self.instance)
        self.domains = [world.add_domain(self.group, name) for name in NAMES]
        self.certificate = world.add_certificate(old(), "shop")
        world.bind(self.certificate, *self.domains)

    def deployment(self, **overrides: Any) -> dict[str, Any]:
        return {"gateway": "apig", "certificate_id": self.certificate, "domains": "attached", **overrides}

    def changes(self) -> list[str]:
        return [
            call.operation for call in self.world.journal if call.method != "GET" and call.operation != "obtain_token"
        ]


async def served_serial(sandbox: Sandbox, place: str, name: str) -> int | None:
    ports = await sandbox.open_listeners()
    chain = await served_chain("127.0.0.1", ports[place], name)
    return x509.load_der_x509_certificate(chain[0]).serial_number if chain else None


async def test_a_renewal_is_stored_attached_and_served(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, issued = Shop(sandbox), new()
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})) as worker:
            event = await worker.outcome(renewal(issued))
        assert event["type"] == "certificate.rotation.succeeded"
        assert event["data"]["leaf"]["serial_number"] == str(issued.serial_number)
        assert event["data"]["deployments"][0]["bindings"]["attached"] == 3
        assert shop.changes() == ["modify_certificate", "attach_domains"]
        for name in NAMES:
            assert await served_serial(sandbox, shop.instance, name) == issued.serial_number


async def test_a_repeated_renewal_changes_nothing(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, issued = Shop(sandbox), new()
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})) as worker:
            await worker.outcome(renewal(issued))
            before = len(shop.changes())
            event = await worker.outcome(renewal(issued))
        assert (event["data"]["outcome"], event["data"]["reason"]) == ("succeeded", "already_current")
        assert len(shop.changes()) == before


async def test_an_older_renewal_is_superseded(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, stale = Shop(sandbox), new(not_before=datetime.now(UTC) - timedelta(days=70))
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})) as worker:
            event = await worker.outcome(renewal(stale))
        assert event["type"] == "certificate.rotation.superseded"
        assert shop.changes() == []


async def test_an_urgent_renewal_that_says_so_puts_an_older_certificate_back(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, older = Shop(sandbox), new(not_before=datetime.now(UTC) - timedelta(days=70))
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})) as worker:
            quiet = await worker.outcome(renewal(older, reason="ca_incident"))
            said = await worker.outcome(renewal(older, reason="ca_incident", allow_shorter_validity=True))
        assert [one["data"]["outcome"] for one in (quiet, said)] == ["superseded", "succeeded"]
        assert await served_serial(sandbox, shop.instance, NAMES[0]) == older.serial_number


async def test_a_domain_that_does_not_exist_fails_alone(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox)
        deployment = shop.deployment(domains=(*NAMES[:2], "gone.example.com"))
        issued = AUTHORITY.issue((*NAMES, "gone.example.com"))
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})) as worker:
            event = await worker.outcome(renewal(issued))
            dead = await worker.dead()
        [told] = event["data"]["deployments"]
        assert (event["data"]["outcome"], event["data"]["reason"]) == ("failed", "binding_failed")
        assert told["bindings"] == {"total": 3, "attached": 2, "unchanged": 0, "failed": 1, "rolled_back": 0}
        assert [(one["name"], one["reason"], one["code"]) for one in told["failures"]] == [
            ("gone.example.com", "not_found", "APIG.3020")
        ]
        assert [(one.reason, one.certificate) for one in dead] == [("binding_failed", "shop")]


async def test_the_client_ca_scope_and_flags_survive_a_modification(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, world = Shop(sandbox), sandbox.world
        ca = tmp_path / "ca.pem"
        ca.write_text(AUTHORITY.root_pem)
        stored = world.certificates[shop.certificate]
        stored.trusted_root_ca, stored.type, stored.instance_id = AUTHORITY.root_pem, "instance", shop.instance
        flags = [True, False, True]
        for domain, flag in zip(shop.domains, flags, strict=True):
            world.domains[domain].client_verification = flag
        deployment = shop.deployment(trusted_root_ca_file=ca)
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})) as worker:
            event = await worker.outcome(renewal(new()))
        stored = world.certificates[shop.certificate]
        assert event["data"]["outcome"] == "succeeded"
        assert (stored.trusted_root_ca, stored.type, stored.instance_id) == (
            AUTHORITY.root_pem,
            "instance",
            shop.instance,
        )
        assert [world.domains[domain].client_verification for domain in shop.domains] == flags


async def test_a_missing_certificate_is_created_by_name_and_attached(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, issued = Shop(sandbox), new()
        deployment = {"gateway": "apig", "name": "fresh_shop", "domains": NAMES}
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})) as worker:
            event = await worker.outcome(renewal(issued))
        assert event["data"]["outcome"] == "succeeded"
        assert await served_serial(sandbox, shop.instance, NAMES[0]) == issued.serial_number


async def test_per_domain_uploads_to_each_and_deletes_what_it_replaced(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, world = Shop(sandbox), sandbox.world
        domains = tuple(
            {"instance_id": shop.instance, "group_id": shop.group, "domain_id": domain} for domain in shop.domains
        )
        deployment = {"gateway": "apig", "strategy": "per_domain", "name": "shop_single", "domains": domains}
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})) as worker:
            for issued in (new(), AUTHORITY.issue(NAMES, not_before=datetime.now(UTC).replace(microsecond=0))):
                event = await worker.outcome(renewal(issued))
                assert event["data"]["outcome"] == "succeeded", event["data"]
                assert {one.leaf.serial_number for one in world.certificates.values()} == {issued.serial_number}
                assert len(world.certificates) == 3


class Balancer:
    """One load balancer with two listeners that serve one ByCloud certificate."""

    def __init__(self, sandbox: Sandbox) -> None:
        world = self.world = sandbox.world
        first = world.add_listener()
        self.load_balancer = world.listeners[first].load_balancer
        self.listeners = [first, world.add_listener(self.load_balancer)]
        self.certificate = world.add_upload(old(), "shop")

    def deployment(self, **overrides: Any) -> dict[str, Any]:
        listeners = tuple({"id": one, "load_balancer": self.load_balancer} for one in self.listeners)
        return {"gateway": "bycloud", "certificate_id": self.certificate, "listeners": listeners, **overrides}


async def test_rebind_binds_what_the_platform_holds(tmp_path: Path) -> None:
    async with Sandbox(SandboxConfig(busy_seconds=0.2)) as sandbox:
        balancer = Balancer(sandbox)
        deployment = balancer.deployment(strategy="rebind")
        held = renewal(new(), material={"kind": "held"})
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})) as worker:
            event = await worker.outcome(held)
            again = await worker.outcome(renewal(new(), material={"kind": "held"}))
        assert event["data"]["outcome"] == "succeeded", event["data"]
        assert event["data"]["leaf"] is None
        assert event["data"]["deployments"][0]["bindings"]["attached"] == 2
        assert again["data"]["deployments"][0]["bindings"]["unchanged"] == 2


async def test_replace_uploads_waits_and_binds(tmp_path: Path) -> None:
    async with Sandbox(SandboxConfig(activation_seconds=0.1)) as sandbox:
        balancer, issued = Balancer(sandbox), new()
        deployment = balancer.deployment(strategy="replace")
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)})) as worker:
            event = await worker.outcome(renewal(issued))
        assert event["data"]["outcome"] == "succeeded", event["data"]
        for listener in balancer.listeners:
            assert await served_serial(sandbox, listener, "a.example.com") == issued.serial_number


async def test_in_place_modifies_where_the_cloud_has_a_put(tmp_path: Path) -> None:
    async with Sandbox(SandboxConfig(has_put=True)) as sandbox:
        balancer, issued = Balancer(sandbox), new()
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (balancer.deployment(),)})) as worker:
            event = await worker.outcome(renewal(issued))
        assert event["data"]["outcome"] == "succeeded", event["data"]


async def test_in_place_says_so_where_the_cloud_has_no_put(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        balancer = Balancer(sandbox)
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (balancer.deployment(),)})) as worker:
            event = await worker.outcome(renewal(new()))
        assert event["data"]["reason"] == "unsupported"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("modify_certificate", status=500, body={"error_code": "APIG.9999", "error_msg": "System error"}),
        Fault("modify_certificate", kind="reset"),
        Fault("modify_certificate", kind="reset", after_effect=True),
        Fault("modify_certificate", kind="garbage", after_effect=True),
        Fault("modify_certificate", kind="truncate", after_effect=True),
        Fault("attach_domains", status=503, body={"error_code": "APIGW.0613", "error_msg": "busy"}),
        Fault("attach_domains", status=409, body={"error_code": "APIG.3711", "error_msg": "once a minute"}),
        Fault("list_domains", kind="garbage"),
        Fault("show_certificate", status=401, body={"error_code": "APIGW.0307", "error_msg": "renew"}),
        Fault("show_certificate", status=429, body={"error_code": "APIGW.0308", "error_msg": "limit:1,time:1 second"}),
        Fault("obtain_token", status=500),
    ],
    ids=lambda fault: f"{fault.operation}-{fault.kind}-{fault.status}-{fault.after_effect}",
)
async def test_a_cloud_that_fails_in_passing_is_survived(tmp_path: Path, fault: Fault) -> None:
    async with Sandbox() as sandbox:
        shop, issued = Shop(sandbox), new()
        sandbox.world.faults.append(replace(fault))
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})) as worker:
            event = await worker.outcome(renewal(issued))
        assert event["data"]["outcome"] == "succeeded", event["data"]
        assert await served_serial(sandbox, shop.instance, NAMES[0]) == issued.serial_number


async def test_bad_input_is_told_changes_nothing_and_harms_nobody(tmp_path: Path) -> None:
    other = AUTHORITY.issue(NAMES)
    expired = AUTHORITY.issue(NAMES, not_after=datetime.now(UTC) - timedelta(minutes=1))
    mismatched = replace(new(), private_key_pem=other.private_key_pem)
    encrypted = replace(new(), private_key_pem=other.private_key_pem.replace("PRIVATE", "ENCRYPTED PRIVATE"))
    cases = {
        "malformed": message(b"\x00\xff garbage"),
        "too_large": message(b"x" * 300_000),
        "unknown_certificate": renewal(new(), "nobody"),
        "unauthorized_producer": replace(renewal(new()), user_id="mallory"),
        "key_mismatch": renewal(mismatched),
        "expired": renewal(expired),
        "key_encrypted": renewal(encrypted),
        "name_not_covered": renewal(AUTHORITY.issue(["a.example.com"])),
        "cannot_decrypt": renewal(new(), material={"kind": "sealed", "chain_pem": "x", "private_key_jwe": "y"}),
    }
    async with Sandbox() as sandbox:
        shop = Shop(sandbox)
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})) as worker:
            for reason, bad in cases.items():
                event = await worker.outcome(bad)
                assert (event["data"]["outcome"], event["data"]["reason"]) == ("failed", reason)
            assert [one.reason for one in await worker.dead(len(cases))] == list(cases)
            assert shop.changes() == []
            event = await worker.outcome(renewal(new()))
            assert event["data"]["outcome"] == "succeeded"


async def test_a_refused_plain_key_is_kept_nowhere(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, issued = Shop(sandbox), new()
        settings = settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})
        strict = settings.model_copy(update={"trust": settings.trust.model_copy(update={"allow_plain_keys": False})})
        async with running(strict) as worker:
            event = await worker.outcome(renewal(issued))
            [dead] = await worker.dead()
        assert event["data"]["reason"] == "plain_key_refused"
        assert "exposed" in event["data"]["message"]
        assert b"PRIVATE KEY" not in dead.message.body
        line = issued.private_key_pem.splitlines()[1].encode()
        assert all(line not in file.read_bytes() for file in tmp_path.glob("broker.sqlite*"))


async def test_many_renewals_of_one_certificate_are_done_one_at_a_time_and_the_newest_wins(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    issues = [new(not_before=now - timedelta(minutes=minutes)) for minutes in (3, 1, 2)]
    async with Sandbox(SandboxConfig(latency=0.01)) as sandbox:
        shop = Shop(sandbox)
        async with running(settings_for(sandbox, AUTHORITY, tmp_path, {"shop": (shop.deployment(),)})) as worker:
            await asyncio.gather(*(worker.broker.publish_renewal(renewal(issued)) for issued in issues))
            await worker.outcomes(3)
        assert await served_serial(sandbox, shop.instance, NAMES[0]) == issues[1].serial_number
