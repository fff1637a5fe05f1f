"""The way to RabbitMQ by TLS: only to whom the CA vouches for, and by certificate instead of a password."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.broker.places import event, renewal, retry
from tests.support.judging import kept_by_all
from tests.support.ports import free_port
from tests.support.rabbit import broker_settings
from worker.broker import open_broker
from worker.broker.base import Broker, BrokerError, BrokerLostError
from worker.sandbox.ca import Authority
from worker.sandbox.rabbit_node import RabbitNode
from worker.settings.resolve import broker_url

pytestmark = [pytest.mark.rabbitmq, pytest.mark.usefixtures("rabbit")]
AUTHORITY = Authority.create()
TLS = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = EXTERNAL
auth_mechanisms.2 = PLAIN
"""


def written(folder: Path, name: str, *names: str, authority: Authority = AUTHORITY, **how: Any) -> None:
    issued = authority.issue(names, **how)
    (folder / f"{name}.pem").write_text(issued.chain_pem)
    (folder / f"{name}.key").touch(mode=0o600)
    (folder / f"{name}.key").write_text(issued.private_key_pem)


@dataclass(frozen=True, slots=True)
class Place:
    """A node that takes TLS at this port, and client certificates in place of passwords."""

    node: RabbitNode
    folder: Path
    port: int

    def opened(self, url: str, **files: str) -> Broker:
        settings = broker_settings(
            url=url.format(port=self.port),
            timeout_seconds=10,
            **{name: self.folder / file for name, file in files.items()},
        )
        return open_broker(settings, broker_url(settings), retry(), exposes=kept_by_all)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls")
    written(folder, "server", "127.0.0.1")
    written(folder, "client", "rotation-worker", usage=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    (folder / "ca.pem").write_text(AUTHORITY.root_pem)
    (folder / "other.pem").write_text(Authority.create().root_pem)
    node, port = RabbitNode.below(folder / "node"), free_port()
    with (node.home / "rabbitmq.conf").open("a") as conf:
        conf.write(TLS.format(port=port, folder=folder))
    (node.home / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
    node.start()
    try:
        node.ctl("add_user", "rotation-worker", "first")
        node.ctl("set_permissions", "rotation-worker", ".*", ".*", ".*")
        yield Place(node, folder, port)
    finally:
        node.stop()


async def test_a_client_certificate_stands_for_the_password(place: Place) -> None:
    files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    broker = place.opened("amqps://rotation-worker@127.0.0.1:{port}/", **files)
    await broker.declare()
    await broker.publish_renewal(renewal(b"news"))
    async with broker.deliveries() as deliveries:
        delivery = await anext(deliveries)
        assert delivery.message.user_id == "rotation-worker"
        await broker.publish_event(event())
        await delivery.park(0, attempt=2)
        back = await anext(deliveries)
        assert (back.message.attempt, back.message.user_id) == (2, "rotation-worker")
        await back.ack()
    await broker.close()


async def test_whose_certificate_it_is_decides_and_not_what_the_url_says(place: Place) -> None:
    files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    broker = place.opened("amqps://guest@127.0.0.1:{port}/", **files)
    await broker.declare()
    with pytest.raises(BrokerError):
        await broker.publish_renewal(renewal(b"forged"))
    await broker.close()


async def test_a_client_without_a_certificate_is_nobody(place: Place) -> None:
    broker = place.opened("amqps://rotation-worker@127.0.0.1:{port}/", ca_file="ca.pem")
    with pytest.raises(BrokerLostError, match="credentials"):
        await broker.declare()


@pytest.mark.parametrize(
    ("url", "ca_file"),
    [("amqps://guest:guest@127.0.0.1:{port}/", "other.pem"), ("amqps://guest:guest@localhost:{port}/", "ca.pem")],
    ids=["another CA", "another host's certificate"],
)
async def test_only_a_broker_that_the_ca_vouches_for_is_spoken_to(place: Place, url: str, ca_file: str) -> None:
    with pytest.raises(BrokerLostError, match="its certificate does not verify"):
        await place.opened(url, ca_file=ca_file).declare()


async def test_a_password_that_is_changed_in_its_file_needs_no_restart(place: Place) -> None:
    file = place.folder / "url"
    file.touch(mode=0o600)
    url = "amqps://rotation-worker:{}@127.0.0.1:{}/"
    file.write_text(url.format("first", place.port))
    broker = place.opened("amqp://not-used/", url_file="url", ca_file="ca.pem")
    await broker.declare()
    place.node.ctl("change_password", "rotation-worker", "second")
    with pytest.raises(BrokerLostError, match="credentials"):
        await broker.declare()
    file.write_text("not a URL")
    with pytest.raises(BrokerLostError, match="url_file: not an amqp"):
        await broker.declare()
    file.write_text(url.format("second", place.port))
    await broker.declare()
    await broker.close()


async def test_a_client_certificate_that_is_replaced_in_its_files_needs_no_restart(place: Place) -> None:
    files = {"ca_file": "current-ca.pem", "cert_file": "current.pem", "key_file": "current.key"}
    client: dict[str, Any] = {"usage": (ExtendedKeyUsageOID.CLIENT_AUTH,)}
    written(place.folder, "current", "rotation-worker", **client)
    (place.folder / "current-ca.pem").write_text(AUTHORITY.root_pem)
    broker = place.opened("amqps://rotation-worker@127.0.0.1:{port}/", **files)
    await broker.declare()
    await broker.close()
    written(place.folder, "current", "rotation-worker", authority=Authority.create(), **client)
    with pytest.raises(BrokerLostError):
        await broker.declare()
    written(place.folder, "current", "rotation-worker", **client)
    (place.folder / "current-ca.pem").write_text(Authority.create().root_pem)
    with pytest.raises(BrokerLostError, match="its certificate does not verify"):
        await broker.declare()
    (place.folder / "current-ca.pem").write_text(AUTHORITY.root_pem)
    await broker.declare()
    await broker.close()
