"""Reads what workers have told, and then what they tell: a restart forgets nothing, and who stands by knows it too."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from worker.broker.base import Batch, Broker, BrokerError, BrokerLostError
from worker.core.past import moment
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
    reading = _Reading(model, broker, also)
    while True:
        await _connected(broker)
        try:
            await reading.go_on()
        except BrokerLostError:
            await asyncio.sleep(_PAUSE)
        except BrokerError as error:
            _log.warning("history.unread", error=str(error))
            model.end_of_history(str(error))
            await asyncio.sleep(_LONG_PAUSE)
        except Exception as bug:  # noqa: BLE001 - what is shown may be wrong, what is done is not touched by it
            _log.error("fleet.crashed", exc_info=bug)
            await asyncio.sleep(_LONG_PAUSE)


async def keep_letters(model: FleetModel) -> None:
    """For ever, beside `keep_up`: reading them takes its time, which nobody's page has to wait for."""
    while True:
        try:
            await model.read_letters()
        except BrokerError as error:
            _log.warning("dead_letters.unread", error=str(error))
        except Exception as bug:  # noqa: BLE001 - likewise
            _log.error("fleet.crashed", exc_info=bug)
            await asyncio.sleep(_LONG_PAUSE)


@dataclass(slots=True)
class _Reading:
    """How far the history is read, and was read before it was begun anew."""

    model: FleetModel
    broker: Broker
    also: Hear
    position: int | None = None
    heard_to: int = -1

    async def go_on(self) -> None:
        """From where it was; from the beginning again once a certificate has come that did not hear what was told."""
        began = self.model.inputs.now()
        async with aclosing(self.broker.following(self.position)) as batches:
            async for batch in batches:
                self._take(batch, began)
                if self.model.begin_again():
                    self.heard_to, self.position = max(self.heard_to, _number(self.position)), None
                    return

    def _take(self, batch: Batch, began: datetime) -> None:
        """A batch that ends beyond what was heard may begin before it: what is in there, the model knows.

        The history has ended when it says nothing more. Where something is told all the time it never does: then it
        has when it comes to what was told since it is read.
        """
        is_heard = _number(batch.position) <= self.heard_to
        for event in batch.events:
            self.also(event)
            self.model.recall(event, is_heard=is_heard)
        # What came may all have been others'.
        is_end, self.position = not batch.events and batch.position == self.position, batch.position
        is_new = self.model.is_reading_history and not is_heard and any(_is_since(began, one) for one in batch.events)
        if is_end or is_new:
            self.heard_to = -1
            self.model.end_of_history()


def _is_since(began: datetime, event: Mapping[str, object]) -> bool:
    at = moment(event.get("time"))
    return at is not None and at > began


def _number(position: int | None) -> int:
    return -1 if position is None else position


async def _connected(broker: Broker) -> None:
    """Until the worker itself consumes or stands by: then what is read was declared, or is known to be missing."""
    while not (await broker.state()).is_connected:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_LOOK_EVERY)
