"""A broker for commands that only read: they leave nothing behind where nothing is."""

from pathlib import Path

from worker.app import broker_of
from worker.broker.base import Broker, BrokerError
from worker.settings import Settings
from worker.settings.checks import EMBEDDED
from worker.settings.resolve import broker_url


def broker_to_read(settings: Settings) -> Broker:
    """Raises BrokerError where the embedded broker has no file yet: opening it would make one."""
    file = embedded_file(settings)
    if file is not None and not file.exists():
        raise BrokerError("the embedded broker has no file yet: nothing has run or published with these settings")
    return broker_of(settings)


def embedded_file(settings: Settings) -> Path | None:
    """Of the embedded broker; None where the URL names a server."""
    url = broker_url(settings.broker).reveal()
    return Path(url.removeprefix(EMBEDDED)) if url.startswith(EMBEDDED) else None
