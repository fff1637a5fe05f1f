"""What clients are served decides: the whole worker against the sandbox's TLS listeners, with what these do wrong."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.clouds import QUICK, renewal, running, settings_for
from tests.verification.servers import resolve
from tests.worker.test_rotations import AUTHORITY, NAMES, Balancer, Shop, new, served_serial
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.flaws import Flaw, FlawKind, Key, Served
from worker.settings import Settings

HOST = "shop.test"
TWO = SandboxConfig(addresses=("127.0.0.1", "127.0.0.2"))
ONCE = {**QUICK, "attempts": 1}


def proving(
    sandbox: Sandbox, folder: Path, deployment: dict[str, Any], *, retry: dict[str, Any] = ONCE, **verify: Any
) -> Settings:
    quick = {"within_seconds": 0.3, **verify}
    return settings_for(sandbox, AUTHORITY, folder, {"shop": (deployment,)}, verify=quick, retry=retry)


async def asking_clients(sandbox: Sandbox, folder: Path) -> tuple[Shop, dict[str, Any], int]:
    """A shop that verifies its clients, its deployment, and the port at which it serves."""
    shop, ca = Shop(sandbox), folder / "ca.pem"
    ca.write_text(AUTHORITY.root_pem)
    sandbox.world.certificates[shop.certificate].trusted_root_ca = AUTHORITY.root_pem
    for domain in shop.domains:
        sandbox.world.domains[domain].client_verification = True
    sandbox.world.bind(shop.certificate, *shop.domains)
    ports = await sandbox.open_listeners()
    return shop, shop.deployment(trusted_root_ca_file=ca), ports[shop.instance]


@pytest.mark.parametrize(
    ("kind", "reason", "told"),
    [
        ("old", "still_old", "serves the certificate that was replaced"),
        ("other", "other_certificate", "serves another certificate"),
        ("leaf_only", "chain_incomplete", "serves the certificate without its whole chain"),
        ("no_client_verification", "client_verification_changed", "does not ask for client certificates"),
        ("no_handshake", "not_reachable", "no TLS handshake"),
    ],
)
async def test_one_domain_at_one_of_two_addresses_makes_the_rotation_fail_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: FlawKind, reason: str, told: str
) -> None:
    resolve(monkeypatch, HOST, *TWO.addresses)
    async with Sandbox(TWO) as sandbox:
        _, deployment, port = await asking_clients(sandbox, tmp_path)
        sandbox.world.spoil(Flaw(kind, name=NAMES[1], address=TWO.addresses[1]))
        settings = proving(sandbox, tmp_path, deployment, domains=True, domains_at=f"{HOST}:{port}")
        async with running(settings) as worker:
            event = await worker.outcome(renewal(new()))
            [dead] = await worker.dead()
    [one] = event["data"]["deployments"]
    assert (event["data"]["outcome"], event["data"]["reason"]) == (one["outcome"], one["reason"]) == ("failed", reason)
    assert one["bindings"] == {"total": 3, "attached": 2, "unchanged": 0, "failed": 1, "rolled_back": 0}
    [failure] = one["failures"]
    assert (failure["kind"], failure["name"], failure["reason"]) == ("domain", NAMES[1], reason)
    assert (
        failure["message"]
        == f"{NAMES[1]} at {TWO.addresses[1]} port {port}: {told}; nothing could be put back: nothing is kept"
    )
    assert dead.reason == reason


async def test_domains_that_serve_the_renewed_certificate_at_every_address_are_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, HOST, *TWO.addresses)
    async with Sandbox(TWO) as sandbox:
        shop, deployment, port = await asking_clients(sandbox, tmp_path)
        lag = sandbox.world.spoil(Flaw("old", name=NAMES[1], address=TWO.addresses[1], times=2))
        at: dict[str, Any] = {"domains_at": f"{HOST}:{port}", "within_seconds": 30}
        async with running(proving(sandbox, tmp_path, deployment, domains=True, **at)) as worker:
            event = await worker.outcome(renewal(new()))
    assert event["data"]["outcome"] == "succeeded", event["data"]
    assert lag.shown == 2
    assert shop.changes() == ["modify_certificate", "attach_domains"]


async def test_what_is_served_in_the_end_is_proved_in_the_next_attempt(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox)
        port = (await sandbox.open_listeners())[shop.instance]
        late = sandbox.world.spoil(Flaw("old", name=NAMES[0], times=2))  # an attempt looks twice at most
        at: dict[str, Any] = {"domains_at": f"127.0.0.1:{port}", "within_seconds": 0.01}
        settings = proving(sandbox, tmp_path, shop.deployment(), retry=QUICK, domains=True, **at)
        async with running(settings) as worker:
            event = await worker.outcome(renewal(new()))
    assert (event["data"]["outcome"], event["data"]["attempt"] > 1) == ("succeeded", True)
    assert late.shown == 2
    assert shop.changes() == ["modify_certificate", "attach_domains"]


async def test_a_listener_is_proved_where_its_setting_says(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        balancer = Balancer(sandbox)
        ports = await sandbox.open_listeners()
        _, second = balancer.listeners
        sandbox.world.spoil(Flaw("other", place=second))
        listeners = tuple(
            {"id": one, "endpoint": {"address": f"127.0.0.1:{ports[one]}", "server_name": NAMES[0]}}
            for one in balancer.listeners
        )
        deployment = balancer.deployment(strategy="replace", listeners=listeners)
        async with running(proving(sandbox, tmp_path, deployment)) as worker:
            event = await worker.outcome(renewal(new()))
    [one] = event["data"]["deployments"]
    [failure] = one["failures"]
    assert (failure["kind"], failure["name"], failure["reason"]) == ("listener", second, "other_certificate")
    assert f"{NAMES[0]} at 127.0.0.1 port {ports[second]}: serves another certificate" in failure["message"]


async def test_an_endpoint_that_belongs_to_no_binding_is_proved_for_itself(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        balancer = Balancer(sandbox)
        ports = await sandbox.open_listeners()
        first, _ = balancer.listeners
        sandbox.world.spoil(Flaw("leaf_only", place=first, name=NAMES[1]))
        endpoint = {"address": f"127.0.0.1:{ports[first]}", "server_name": NAMES[1]}
        settings = proving(sandbox, tmp_path, balancer.deployment(strategy="replace"), endpoints=(endpoint,))
        async with running(settings) as worker:
            event = await worker.outcome(renewal(new()))
    assert (event["data"]["outcome"], event["data"]["reason"]) == ("failed", "chain_incomplete"), event["data"]
    told = f"{NAMES[1]} at 127.0.0.1 port {ports[first]}: serves the certificate without its whole chain"
    assert told in event["data"]["message"]


async def test_a_wildcard_is_proved_by_the_host_that_is_named_and_without_one_log_and_event_say_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox)
        wildcard = sandbox.world.add_domain(shop.group, "*.example.com")
        sandbox.world.bind(shop.certificate, wildcard)
        port = (await sandbox.open_listeners())[shop.instance]
        sandbox.world.spoil(Flaw("other", name="www.example.com"))
        issued = AUTHORITY.issue((*NAMES, "*.example.com"))
        at: dict[str, Any] = {"domains": True, "domains_at": f"127.0.0.1:{port}"}
        for hosts, reason in (({}, "rotated"), ({"*.example.com": "www.example.com"}, "other_certificate")):
            folder = tmp_path / reason
            folder.mkdir()
            async with running(proving(sandbox, folder, shop.deployment(), hosts=hosts, **at)) as worker:
                event = await worker.outcome(renewal(issued))
            assert event["data"]["reason"] == reason, event["data"]
            skipped = [line for line in capfd.readouterr().out.splitlines() if "verification.skipped" in line]
            assert ["*.example.com" in line for line in skipped] == ([] if hosts else [True])
            assert event["data"].get("warnings", []) == ([] if hosts else ["wildcard_unproven"])
    [one] = event["data"]["deployments"]
    assert [(told["name"], told["reason"]) for told in one["failures"]] == [("*.example.com", "other_certificate")]


async def test_a_wave_that_clients_are_not_served_goes_back_and_so_clients_see(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, world = Shop(sandbox), sandbox.world
        before = {one.leaf.serial_number for one in world.certificates.values()}
        port = (await sandbox.open_listeners())[shop.instance]
        world.spoil(Flaw("leaf_only", name=NAMES[1]))
        deployment = shop.deployment(strategy="blue_green", name="shop", domains=NAMES, waves=(1, 1.0))
        del deployment["certificate_id"]
        at = f"127.0.0.1:{port}"
        async with running(proving(sandbox, tmp_path, deployment, domains=True, domains_at=at)) as worker:
            event = await worker.outcome(renewal(new()))
        world.flaws.clear()
        assert {await served_serial(sandbox, shop.instance, name) for name in NAMES} == before
    [one] = event["data"]["deployments"]
    assert (event["data"]["reason"], one["bindings"]["rolled_back"]) == ("rolled_back", 3)
    assert [(failure["name"], failure["reason"]) for failure in one["failures"]] == [(NAMES[1], "chain_incomplete")]
    assert {stored.leaf.serial_number for stored in world.certificates.values()} == before


class BreaksWhatIsNew(Flaw):
    """No handshake comes off with anything but what was served before."""

    def spoilt(self, key: Key, served: Served) -> Served | None:
        return served if served == self.held.get(key) else None


async def test_the_only_domain_that_comes_to_no_handshake_any_more_goes_back_and_so_clients_see(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, world = Shop(sandbox), sandbox.world
        port, before = (await sandbox.open_listeners())[shop.instance], world.certificates[shop.certificate].leaf
        world.spoil(BreaksWhatIsNew("no_handshake"))
        deployment = shop.deployment(strategy="blue_green", name="shop", domains=NAMES[:1])
        del deployment["certificate_id"]
        at = f"127.0.0.1:{port}"
        async with running(proving(sandbox, tmp_path, deployment, domains=True, domains_at=at)) as worker:
            event = await worker.outcome(renewal(new()))
        assert await served_serial(sandbox, shop.instance, NAMES[0]) == before.serial_number
    [one] = event["data"]["deployments"]
    assert (event["data"]["reason"], one["bindings"]["rolled_back"]) == ("rolled_back", 1)
    assert [failure["reason"] for failure in one["failures"]] == ["not_reachable"]


async def test_an_address_that_was_dead_before_takes_nothing_back_in_whichever_attempt_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, HOST, *TWO.addresses)
    async with Sandbox(TWO) as sandbox:
        shop, issued = Shop(sandbox), new()
        port = (await sandbox.open_listeners())[shop.instance]
        dead = sandbox.world.spoil(Flaw("no_handshake", name=NAMES[1], address=TWO.addresses[1]))
        deployment = shop.deployment(strategy="blue_green", name="shop", domains=NAMES, waves=(1, 1.0))
        del deployment["certificate_id"]
        at: dict[str, Any] = {"domains": True, "domains_at": f"{HOST}:{port}", "retry": {**QUICK, "attempts": 2}}
        async with running(proving(sandbox, tmp_path, deployment, **at)) as worker:
            event = await worker.outcome(renewal(issued))
        sandbox.world.flaws.clear()
        assert {await served_serial(sandbox, shop.instance, name) for name in NAMES} == {issued.serial_number}
    [one] = event["data"]["deployments"]
    assert (event["data"]["reason"], event["data"]["attempt"], one["replaced"]) == ("not_reachable", 2, True)
    assert one["bindings"] == {"total": 3, "attached": 0, "unchanged": 2, "failed": 1, "rolled_back": 0}
    assert [(told["name"], told["reason"]) for told in one["failures"]] == [(NAMES[1], "not_reachable")]
    assert dead.shown > 2


async def test_a_domain_that_is_asked_for_moves_first_and_if_it_is_bad_alone(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, world = Shop(sandbox), sandbox.world
        port = (await sandbox.open_listeners())[shop.instance]
        world.spoil(Flaw("leaf_only", name=NAMES[-1]))
        deployment = shop.deployment(strategy="blue_green", name="shop", domains=NAMES, waves=(1, 1.0))
        del deployment["certificate_id"]
        endpoint = {"address": f"127.0.0.1:{port}", "server_name": NAMES[-1]}
        async with running(proving(sandbox, tmp_path, deployment, endpoints=(endpoint,))) as worker:
            event = await worker.outcome(renewal(new()))
    [one] = event["data"]["deployments"]
    assert (one["reason"], one["bindings"]["rolled_back"], one["bindings"]["unchanged"]) == ("rolled_back", 1, 2)
    assert [told["name"] for told in one["failures"]] == [NAMES[-1]]
