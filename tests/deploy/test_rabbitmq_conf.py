"""The configuration for the broker: it takes what the worker has to say, and nothing that is huge."""

from pathlib import Path

import pytest

from tests.broker.places import renewal, retry
from tests.deploy.test_hardening import kubernetes
from tests.support.judging import kept_by_all
from tests.support.rabbit import broker_settings
from worker.broker import open_broker
from worker.broker.base import TooLargeError
from worker.core.message import LONGEST_BODY
from worker.core.secret import Secret
from worker.sandbox.rabbit_node import RabbitNode
from worker.settings import Settings

CONF = Path(__file__).parents[2] / "deploy" / "rabbitmq" / "rabbitmq.conf"


def test_what_a_worker_may_hold_at_once_leaves_half_of_its_pods_memory() -> None:
    [most] = [int(line.partition("=")[2]) for line in CONF.read_text("ascii").splitlines() if line.startswith("max_")]
    assert most > LONGEST_BODY
    [container] = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    memory = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 2**20
    assert Settings().broker.in_hand * most <= memory / 2


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit")
async def test_the_broker_takes_the_longest_renewal_and_nothing_huge(tmp_path: Path) -> None:
    node = RabbitNode.below(tmp_path / "node")
    with (node.home / "rabbitmq.conf").open("a") as conf:
        conf.write(CONF.read_text("ascii"))
    node.start()
    try:
        broker = open_broker(broker_settings(url=node.url), Secret(node.url), retry(), exposes=kept_by_all)
        await broker.declare()
        await broker.publish_renewal(renewal(b"x" * LONGEST_BODY))
        with pytest.raises(TooLargeError):
            await broker.publish_renewal(renewal(b"x" * 2_000_000))
        await broker.close()
    finally:
        node.stop()
