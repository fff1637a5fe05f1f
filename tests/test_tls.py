"""Files of TLS: OpenSSL would wait for a FIFO or for a passphrase, and read a device without end."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.support.gateways import AUTHORITY
from tests.support.judging import kept_by_all
from worker.broker import open_broker
from worker.broker.base import BrokerError, BrokerLostError
from worker.core.secret import Secret
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry
from worker.tls import verifying

PASSPHRASE: Final = b"a passphrase"
CONNECTING: Final = """
import sys
from yarl import URL
from worker.broker.base import BrokerError
from worker.broker.connection import Connector
from worker.core.secret import Secret
from worker.settings.model import Broker
url = "amqps://worker@127.0.0.1:1/"
settings = Broker.model_validate({"url": url, "cert_file": sys.argv[1], "key_file": sys.argv[2]})
try:
    Connector(settings, Secret(url))._tls(URL(url))
except BrokerError as error:
    print(error)
"""


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


async def test_a_key_that_everybody_can_read_is_told_as_that_when_the_broker_is_connected_to_again(
    tmp_path: Path,
) -> None:
    files = {"cert_file": tmp_path / "client.pem", "key_file": tmp_path / "client.key"}
    issued = AUTHORITY.issue(("worker",))
    for path, pem in zip(files.values(), (issued.chain_pem, issued.private_key_pem), strict=True):
        path.touch(mode=0o600)
        path.write_text(pem)
    url = "amqps://worker@127.0.0.1:1/"
    broker = open_broker(Settings.model_validate({"url": url, **files}), Secret(url), Retry(), exposes=kept_by_all)
    with pytest.raises(BrokerLostError):
        await broker.declare()
    files["cert_file"].chmod(0o644)
    with pytest.raises(BrokerLostError):
        await broker.declare()
    files["key_file"].chmod(0o644)
    with pytest.raises(BrokerError, match=r"key_file: cannot be used \(the file can be read by everybody\)$"):
        await broker.declare()


def test_nobody_is_asked_for_the_passphrase_of_the_brokers_key(tmp_path: Path) -> None:
    """The passphrase is there to be read, and is not: where it is not there, the worker would wait for it."""
    key, issued = ec.generate_private_key(ec.SECP256R1()), tmp_path / "client.pem"
    issued.write_text(AUTHORITY.issue(("worker",), key=key).chain_pem)
    encrypted = tmp_path / "client.key"
    encrypted.touch(mode=0o600)
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)))
    ended = subprocess.run(
        [sys.executable, "-c", CONNECTING, issued, encrypted],
        input=PASSPHRASE + b"\n",
        capture_output=True,
        check=True,
        start_new_session=True,  # without a terminal OpenSSL reads it from where the terminal would be
    )
    assert ended.stdout == b"broker.ca_file, cert_file, key_file: cannot be used (SSLError)\n"
