"""The broker: RabbitMQ, or an embedded engine in one SQLite file."""

from pathlib import Path
from typing import Final

from worker.broker.base import Broker
from worker.core.secret import Secret
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

_EMBEDDED: Final = "sqlite:///"


def open_broker(settings: Settings, url: Secret, retry: Retry, *, producer: str | None = None) -> Broker:
    """The engine that the URL names; nothing is connected yet, and only that engine's library is loaded.

    `producer` names who publishes with the embedded engine; RabbitMQ knows it from the connection.
    """
    if url.reveal().startswith(_EMBEDDED):
        from worker.broker.sqlite import SqliteBroker  # noqa: PLC0415

        return SqliteBroker(Path(url.reveal().removeprefix(_EMBEDDED)), settings, retry, producer)
    from worker.broker.rabbitmq import RabbitBroker  # noqa: PLC0415

    return RabbitBroker(settings, url, retry)
