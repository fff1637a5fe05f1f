"""Reads what workers have told, and then what they tell: a restart forgets nothing, and who stands by knows it too."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

import structlog

from worker.broker.base import Broker, BrokerError, BrokerLostError
from worker.fleet.model import FleetModel

_log = structlog.get_logger()
_LOOK_EVERY: Final = 0.5
_PAUSE: Final = 5.0
_LONG_PAUSE: Final = 60.0
"""Seconds: where there is no history, or no right to read it, that seldom changes."""


Hear = Callable[[Mapping[str, object]], None]


def _unheard(_event: Mapping[str, object]) -> None:
    """Where only the model is kept up."""


async def keep_up(model: FleetModel, broker: Broker, also: Hear = _unheard) -> None:
    """For ever; where the history cannot be read, with what this process tells itself.

    `also` hears what this broker's user has told, oldest first. So do those who stand by: what they show is no older.
    """
    position: int | None = None
    while True:
        await _connected(broker)
        try:
            async with aclosing(broker.following(position)) as batches:
                async for batch in batches:
                    position = batch.position
                    for event in batch.events:
                        also(event)
                        model.recall(event)
                    if not batch.events:
                        model.end_of_history()
        except BrokerLostError:
            await asyncio.sleep(_PAUSE)
        except BrokerError as error:
            _log.warning("history.unread", error=str(error))
            model.end_of_history(str(error))
            await asyncio.sleep(_LONG_PAUSE)
        except Exception as bug:  # noqa: BLE001 - what is shown may be wrong, what is done is not touched by it
            _log.error("fleet.crashed", exc_info=bug)
            await asyncio.sleep(_LONG_PAUSE)


async def _connected(broker: Broker) -> None:
    """Until the worker itself consumes or stands by: then what is read was declared, or is known to be missing."""
    while not (await broker.state()).is_connected:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_LOOK_EVERY)
