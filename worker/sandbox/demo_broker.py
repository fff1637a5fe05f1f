"""The demo's broker: the one that the environment names, a private RabbitMQ where it is installed, else embedded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from worker.sandbox.rabbit_node import SERVER, RabbitNode


@dataclass(frozen=True, slots=True)
class DemoBroker:
    url: str
    about: str
    producer: str
    """Who publishes, as the broker sees it."""


@contextmanager
def demo_broker(folder: Path) -> Iterator[DemoBroker]:
    """Stopped at the end, if it was started here."""
    named = os.environ.get("ROTATION_TEST_AMQP_URL")
    if named:
        yield DemoBroker(named, "the RabbitMQ of ROTATION_TEST_AMQP_URL", URL(named).user or "guest")
    elif SERVER.exists():
        node = RabbitNode.below(folder / "rabbitmq")
        node.start()
        try:
            yield DemoBroker(node.url, "a private RabbitMQ node", "guest")
        finally:
            node.stop()
    else:
        about = "the embedded one, for no rabbitmq-server is installed"
        yield DemoBroker(f"sqlite:///{folder}/broker.sqlite", about, "demo")
