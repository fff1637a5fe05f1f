"""What is traced: a rotation, and each call to a cloud that is made for it. Where nobody traces, it costs nothing.

What spans tell is named here, one by one: no token, id of a key, path, header or body is among it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose rotation it is, as far as its message tells."""

    certificate: str | None
    renewal_id: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to a cloud, or to whoever lets us in there."""

    operation: str
    method: str
    host: str
    port: int | None
    gateway: str | None = None
    resends: int = 0
    """How often it was sent before."""
    waited: float = 0.0
    """Seconds under the gateway's limits."""


class Span(Protocol):
    """Something under way that is traced, or not."""

    @property
    def traceparent(self) -> str | None:
        """For whoever goes on from here; None where nothing is traced."""
        ...

    @property
    def trace_id(self) -> str | None: ...

    def call(self, call: Call) -> "AbstractContextManager[CallSpan]":
        """Make the call inside the block, as a part of this."""
        ...

    def named(self, renewal_id: str | None) -> None:
        """Whose renewal it is, once that may be told: an id may quote its key, which is not known at the start."""
        ...

    def ended(self, outcome: str, reason: str | None) -> None:
        """What came of the rotation."""
        ...


class CallSpan(Protocol):
    def answered(self, status: int) -> None: ...


class Tracing(Protocol):
    """Where spans go."""

    def rotation(self, traceparent: str | None, subject: Subject) -> AbstractContextManager[Span]:
        """Work on the delivery inside the block, which goes on in its producer's trace."""
        ...

    def close(self) -> None:
        """Sends what has not been sent. May take seconds, and blocks."""
        ...


class _Nothing:
    """Nobody traces."""

    traceparent = trace_id = None

    def rotation(self, traceparent: str | None, subject: Subject) -> AbstractContextManager[Span]:  # noqa: ARG002 - as above
        return _NO_SPAN

    def call(self, call: Call) -> AbstractContextManager[CallSpan]:  # noqa: ARG002 - as above
        return _NO_CALL

    def named(self, renewal_id: str | None) -> None: ...

    def ended(self, outcome: str, reason: str | None) -> None: ...

    def answered(self, status: int) -> None: ...

    def close(self) -> None: ...


_NOTHING: Final = _Nothing()
_NO_SPAN: Final[AbstractContextManager[Span]] = nullcontext(_NOTHING)
_NO_CALL: Final[AbstractContextManager[CallSpan]] = nullcontext(_NOTHING)
UNTRACED: Final[Tracing] = _NOTHING
_current: Final[ContextVar[Span]] = ContextVar("span")


def current_span() -> Span:
    """Of the rotation on whose behalf this task works."""
    return _current.get(_NOTHING)


@contextmanager
def within(span: Span) -> Iterator[None]:
    """What is called inside the block, in tasks that it starts too, is a part of `span`."""
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)
