"""The broker: RabbitMQ, or an embedded engine in one SQLite file."""

from pathlib import Path
from typing import Final

from worker.broker.base import Broker, Exposes
from worker.core.secret import Secret
from worker.settings.model import Broker as BrokerSettings
from worker.settings.model import Retry, Settings
from worker.settings.resolve import broker_url

_EMBEDDED: Final = "sqlite:///"


def embedded_file(url: Secret) -> Path | None:
    """Of the embedded engine; None where the URL names a server."""
    told = url.reveal()
    return Path(told.removeprefix(_EMBEDDED)) if told.startswith(_EMBEDDED) else None


def broker_of(settings: Settings, exposes: Exposes) -> Broker:
    """The one that the settings name, as the worker uses it."""
    return open_broker(settings.broker, broker_url(settings.broker), settings.retry, exposes=exposes)


def open_broker(
    settings: BrokerSettings, url: Secret, retry: Retry, *, exposes: Exposes, producer: str | None = None
) -> Broker:
    """The engine that the URL names; nothing is connected yet, and only that engine's library is loaded.

    `producer` names who publishes with the embedded engine; RabbitMQ knows it from the connection. `exposes` is asked
    by it of what it gives up by itself; RabbitMQ does so before anybody can be asked.
    """
    file = embedded_file(url)
    if file is not None:
        from worker.broker.sqlite import SqliteBroker  # noqa: PLC0415

        return SqliteBroker(file, settings, retry, producer, exposes=exposes)
    from worker.broker.rabbitmq import RabbitBroker  # noqa: PLC0415

    return RabbitBroker(settings, url, retry)
