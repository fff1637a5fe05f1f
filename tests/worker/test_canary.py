"""What leaves the worker: never a key; and the numbers that operators look at."""

import json
from pathlib import Path

import aiohttp
import pytest

from tests.support.clouds import renewal, running, settings_for
from tests.support.gateways import AUTHORITY
from tests.support.keys_made import traces_of
from tests.support.ports import free_port
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault

NAME = "www.example.com"


async def test_a_key_in_a_file_stays_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    keys, work = tmp_path / "keys", tmp_path / "work"
    keys.mkdir()
    work.mkdir()
    async with Sandbox() as sandbox:
        world = sandbox.world
        world.add_domain(world.add_group(world.add_instance()), NAME)
        deployment = {"gateway": "apig", "name": "shop", "domains": (NAME,)}
        trust = {"ca_bundle": str(work / "roots.pem"), "roots": {"files": (keys,)}}
        settings = settings_for(sandbox, AUTHORITY, work, {"shop": (deployment,)}, trust=trust)
        issues = [AUTHORITY.issue([NAME]), AUTHORITY.issue(["other.example.com"])]
        told = []
        async with running(settings) as worker:
            for number, issued in enumerate(issues):
                (keys / f"{number}.pem").write_text(issued.chain_pem)
                (keys / f"{number}.key").touch(mode=0o600)
                (keys / f"{number}.key").write_text(issued.private_key_pem)
                # A gateway that answers with what it was sent.
                body = {"error_code": "APIG.2012", "error_msg": f"bad value: {issued.private_key_pem}"}
                world.faults.append(Fault("attach_domains", status=400, body=body))
                material = {"kind": "file", "chain": f"{number}.pem", "private_key": f"{number}.key"}
                told.append(await worker.outcome(renewal(issued, material=material)))
            dead = [repr(one) + one.message.body.decode() for one in await worker.dead(len(issues))]
        everything = json.dumps(told) + "".join(dead) + "".join(capfd.readouterr())
        everything += "".join(file.read_bytes().decode("latin-1") for file in work.iterdir())
    assert [one["data"]["reason"] for one in told] == ["binding_failed", "name_not_covered"]
    for issued in issues:
        assert [canary for canary in traces_of(issued.private_key_pem) if canary in everything] == []
    assert sandbox.config.password not in json.dumps(told) + "".join(dead)


async def test_health_and_metrics_are_served(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        world = sandbox.world
        world.add_domain(world.add_group(world.add_instance()), NAME)
        deployment = {"gateway": "apig", "name": "shop", "domains": (NAME,)}
        port = free_port()
        settings = settings_for(
            sandbox, AUTHORITY, tmp_path, {"shop": (deployment,)}, http={"listen": f"127.0.0.1:{port}"}
        )
        async with running(settings) as worker, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await worker.outcome(renewal(AUTHORITY.issue([NAME])))
            pages = {}
            for path in ("/livez", "/readyz", "/metrics"):
                async with session.get(path) as answer:
                    pages[path] = (answer.status, await answer.text())
    assert [status for status, _ in pages.values()] == [200, 200, 200]
    assert json.loads(pages["/readyz"][1])["role"] == "consuming"
    metrics = pages["/metrics"][1]
    assert 'rotation_renewals_total{outcome="succeeded",reason="rotated"} 1.0' in metrics
    assert 'rotation_bindings_total{gateway="apig",outcome="attached"} 1.0' in metrics
    assert 'rotation_gateway_calls_total{gateway="apig",operation="create_certificate",status="200"} 1.0' in metrics
    assert 'rotation_certificate_expiry_timestamp_seconds{certificate="shop",gateway="apig"}' in metrics
    for name in ("rotation_duration_seconds", "rotation_gateway_wait_seconds", "rotation_in_flight", "rotation_parked"):
        assert name in metrics
    assert "rotation_consumer_active 1.0" in metrics
