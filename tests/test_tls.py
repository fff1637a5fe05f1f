"""Files of TLS: OpenSSL would wait for a FIFO, and read a device without end."""

import os
from pathlib import Path

import pytest

from tests.support.gateways import AUTHORITY
from tests.support.judging import kept_by_all
from worker.broker import open_broker
from worker.broker.base import BrokerError
from worker.core.secret import Secret
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry
from worker.tls import verifying


@pytest.fixture(params=["fifo", "device"])
def endless(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    os.mkfifo(tmp_path / "fifo", 0o600)
    return tmp_path / "fifo" if request.param == "fifo" else Path("/dev/zero")


def test_cas_in_what_is_no_file_are_none(endless: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        verifying(endless)


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
async def test_a_broker_is_not_connected_to_with_what_is_no_file(tmp_path: Path, endless: Path, key: str) -> None:
    (tmp_path / "root.pem").write_text(AUTHORITY.root_pem)
    files = {"ca_file": tmp_path / "root.pem", "cert_file": tmp_path / "root.pem", key: endless}
    url = "amqps://worker@127.0.0.1:1/"
    broker = open_broker(Settings.model_validate({"url": url, **files}), Secret(url), Retry(), exposes=kept_by_all)
    with pytest.raises(BrokerError, match="cannot be used"):
        await broker.declare()
