"""The broker: RabbitMQ, or an embedded engine in one SQLite file."""

from pathlib import Path
from typing import Final

from worker.broker.base import Broker
from worker.core.secret import Secret
from worker.settings.model import Broker as Settings
from worker.settings.model import Retry

_EMBEDDED: Final = "sqlite:///"


def embedded_file(url: Secret) -> Path | None:
    """Of the embedded engine; None where the URL names a server."""
    told = url.reveal()
    return Path(told.removeprefix(_EMBEDDED)) if told.startswith(_EMBEDDED) else None


def open_broker(settings: Settings, url: Secret, retry: Retry, *, producer: str | None = None) -> Broker:
    """The engine that the URL names; nothing is connected yet, and only that engine's library is loaded.

    `producer` names who publishes with the embedded engine; RabbitMQ knows it from the connection.
    """
    file = embedded_file(url)
    if file is not None:
        from worker.broker.sqlite import SqliteBroker  # noqa: PLC0415

        return SqliteBroker(file, settings, retry, producer)
    from worker.broker.rabbitmq import RabbitBroker  # noqa: PLC0415

    return RabbitBroker(settings, url, retry)
