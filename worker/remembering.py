"""What workers before this one have told, for the metrics: an end that nears must be seen after a restart, too."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

import structlog

from worker.broker.base import Broker, BrokerError, BrokerLostError
from worker.telemetry import Metrics

_log = structlog.get_logger()
_LATEST: Final = 20_000
_AGAIN: Final = 30.0


async def remember(broker: Broker, metrics: Metrics, gateways: Mapping[str, Collection[str]]) -> None:
    """Returns once the history is read, however long it is away. `gateways`: each certificate's, by its name.

    Only what the settings have is remembered: others may publish to the events' exchange, too.
    """
    while True:
        try:
            events = await broker.history(limit=_LATEST)
        except BrokerLostError:
            await asyncio.sleep(_AGAIN)
        except BrokerError as error:
            _log.warning("history.unread", error=str(error))
            return
        else:
            for event in events:
                metrics.remember(event, gateways)
            return
