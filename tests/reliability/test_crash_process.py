"""A real process killed while its change is under way: before the change took effect, and after it."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.integration.test_crash import NAME, publish, shop
from tests.reliability.books import Books, Heard, Sent
from tests.reliability.oracle import broken_promises
from tests.support.clouds import renewal
from tests.support.service import outcomes, service
from worker.core.message import identify
from worker.sandbox.world import Fault


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
async def test_a_worker_killed_while_its_put_is_under_way_is_made_up_for(after_effect: bool, tmp_path: Path) -> None:
    async with shop(tmp_path, {"url": f"sqlite:///{tmp_path}/broker.sqlite"}, "acme") as (sandbox, settings, authority):
        issued, world = authority.issue([NAME]), sandbox.world
        (tmp_path / "chain.pem").write_text(issued.chain_pem)
        (tmp_path / "key.pem").touch(mode=0o600)
        (tmp_path / "key.pem").write_text(issued.private_key_pem)
        sent = renewal(issued, material={"kind": "file", "chain": "chain.pem", "private_key": "key.pem"})
        world.faults.append(Fault("modify_certificate", kind="hang", after_effect=after_effect))
        async with service(settings) as first:
            await publish(settings, sent)
            while not world.calls("modify_certificate"):
                await asyncio.sleep(0.02)
            first.send_signal(signal.SIGKILL)
            await first.wait()
        async with service(settings):
            events = await outcomes(settings, 1)
    assert len(world.calls("modify_certificate")) == (1 if after_effect else 2)
    renewal_id = str(identify(sent.body)[1])
    accepted = [Sent(renewal_id, "shop", issued.serial_number, issued.certificate.not_valid_before_utc)]
    places = {"shop": {f"{world.instances[0]}/{NAME}"}}
    assert broken_promises(Books(accepted, [Heard(one) for one in events], world.changes, places)) == []
