"""The line that every delivery ends with, and once: `rotation.finished`."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass

import structlog

from worker.broker.base import BrokerLostError, Message
from worker.core.message import identify
from worker.tracing import Subject, Tracing, current_span

_log = structlog.get_logger()


@dataclass(slots=True)
class Session:
    """Why what is in hand goes back, of all that was taken in one session at the broker."""

    is_stopping: Callable[[], bool]
    has_crashed: bool = False

    def why(self, task: asyncio.Task[None]) -> str:
        error = None if task.cancelled() else task.exception()
        self.has_crashed |= error is not None and not isinstance(error, BrokerLostError)
        if self.has_crashed:
            return "internal_error"
        return "draining" if error is None and self.is_stopping() else "broker_lost"


@dataclass(slots=True, eq=False)
class Ending:
    """Of one delivery. What ends without a word is not settled: the broker gives it to somebody again."""

    message: Message
    session: Session
    _is_told: bool = False

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Tasks that are started inside the block tell it."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def told(self) -> None:
        self._is_told = True

    def over(self, task: asyncio.Task[None]) -> None:
        """For a task's end, also for one that was cancelled before it had begun."""
        if not self._is_told:
            unbegun(self.message, "returned", self.session.why(task))


_current: ContextVar[Ending] = ContextVar("ending")


@contextmanager
def worked_on(tracing: Tracing, traceparent: str | None, subject: Subject) -> Iterator[None]:
    """Inside the block every line and span says whose work it is."""
    with tracing.rotation(traceparent, subject) as span:
        traced = {} if span.trace_id is None else {"trace_id": span.trace_id}
        with structlog.contextvars.bound_contextvars(**asdict(subject), **traced):
            yield


def finished(outcome: str, **told: object) -> None:
    """To be said last of all: what goes wrong after it would be told of nowhere."""
    ending = _current.get(None)
    if ending is not None:
        ending.told()
    reason = told.get("reason")
    current_span().ended(outcome, None if reason is None else str(reason))
    say = _log.warning if outcome == "failed" else _log.info
    say("rotation.finished", outcome=outcome, **told)


def unbegun(message: Message, outcome: str, reason: str) -> None:
    """As `finished`, where nothing was said yet of whose work it is."""
    certificate, renewal_id = identify(message.body)
    finished(outcome, reason=reason, certificate=certificate, renewal_id=renewal_id, attempt=message.attempt)
