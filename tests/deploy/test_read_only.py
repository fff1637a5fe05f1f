"""The service where nothing may be written but its state, as an image or a unit has it."""

import asyncio
import signal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.test_crash import NAME, publish, shop
from tests.reliability.test_process_spool import may_mount
from tests.support.acme import SCRIPT
from tests.support.clouds import renewal
from tests.support.service import outcomes, up

READ_ONLY = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,bind,ro / || exit 99
touch "$2" 2>/dev/null && exit 98
shift 2; exec "$@"
"""


@pytest.mark.skipif(not may_mount(), reason="mounting needs root")
async def test_all_is_done_on_a_file_system_that_takes_nothing_but_the_state(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    broker = {"url": f"sqlite:///{state}/broker.sqlite"}
    async with shop(tmp_path, broker, "acme") as (sandbox, settings, authority):
        issued = authority.issue([NAME], key=rsa.generate_private_key(65537, 2048))
        (tmp_path / "chain.pem").write_text(issued.chain_pem)
        (tmp_path / "key.pem").touch(mode=0o600)
        (tmp_path / "key.pem").write_text(issued.private_key_pem)
        words = ("unshare", "-m", "sh", "-c", READ_ONLY, "sh", state, tmp_path / "other", SCRIPT, "run")
        child = await asyncio.create_subprocess_exec(*words, "--config", settings)
        try:
            await up(settings)
            material = {"kind": "file", "chain": "chain.pem", "private_key": "key.pem"}
            await publish(settings, renewal(issued, material=material))
            [event] = await outcomes(settings, 1)
        finally:
            child.send_signal(signal.SIGTERM)
            status = await child.wait()
    assert (event["data"]["outcome"], status) == ("succeeded", 0)
    assert len(sandbox.world.calls("modify_certificate")) == 1
