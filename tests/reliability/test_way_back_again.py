"""A way back that the cloud refused goes on when its dead letter is put back, by another worker. Over both engines."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.reliability.test_nothing_goes_back import broker
from tests.support.clouds import QUICK, renewal, running, settings_for
from tests.support.gateways import AUTHORITY
from tests.support.judging import kept_by_all
from worker.broker import broker_of
from worker.broker.base import Message
from worker.sandbox import Sandbox
from worker.sandbox.flaws import Flaw
from worker.sandbox.world import Fault
from worker.trust.keys import made, read_key
from worker.trust.signing import Signing, sign

__all__ = ["broker"]
NAMES = ("a.example.com", "b.example.com", "c.example.com")


async def test_what_the_cloud_refused_to_take_back_goes_back_when_it_is_put_back_after_a_restart(
    tmp_path: Path, broker: Mapping[str, Any]
) -> None:
    """To a certificate that nothing but the note names; it does not go forth, although it would be served well now."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=60)
    async with Sandbox() as sandbox:
        world = sandbox.world
        instance = world.add_instance()
        group = world.add_group(instance)
        blue = world.add_certificate(AUTHORITY.issue(NAMES, not_before=began), "by_hand")
        world.bind(blue, *(world.add_domain(group, name) for name in NAMES))
        port = (await sandbox.open_listeners())[instance]
        target = {"gateway": "apig", "strategy": "blue_green", "name": "shop", "domains": NAMES}
        verify = {"domains": True, "domains_at": f"127.0.0.1:{port}", "within_seconds": 1}
        shop, retry = {"shop": ({**target, "waves": (1, 1.0)},)}, {**QUICK, "attempts": 1}
        made(tmp_path, "acme", signs=True)
        trust = {
            "allow_plain_keys": True,
            "ca_bundle": str(tmp_path / "roots.pem"),
            "producers": {"acme": {"public_key": tmp_path / "acme.pub.jwk"}},
        }
        settings = settings_for(
            sandbox, AUTHORITY, tmp_path, shop, verify=verify, broker=broker, retry=retry, trust=trust
        )
        door = broker_of(settings, kept_by_all)
        await door.declare()
        await door.close()
        world.spoil(Flaw("leaf_only", name=NAMES[0]))
        world.faults.append(Fault("attach_domains", status=403, times=None, match=blue))
        async with running(settings) as worker:
            key = read_key(tmp_path / "acme.jwk", is_private=True, signs=True)
            signing = Signing("acme", key, "rotation-worker", 7200)
            body = sign(renewal(AUTHORITY.issue(NAMES)).body, signing, datetime.now(UTC))
            event = await worker.outcome(Message(body, "application/jose"))
            assert (event["data"]["outcome"], event["data"]["reason"]) == ("failed", "binding_failed"), event["data"]
            assert len(world.bound_to(blue)) == 2
            [dead] = await worker.dead()
        world.flaws.clear()
        world.faults.clear()
        async with running(settings) as worker:
            assert await worker.broker.replay([dead.id]) == [dead.id]
            told = (await worker.outcomes(2))[-1]["data"]
            assert (told["outcome"], told["reason"]) == ("failed", "rolled_back"), told
        assert (len(world.bound_to(blue)), list(world.certificates)) == (3, [blue])
