"""What the rest of the worker knows of a broker: a message, a delivery, and the promises of both engines.

Contract. A renewal is settled exactly once: acked, parked or buried. Everything that is published is stored durably by
the broker when the call returns. A delivery that was not settled comes again, its `attempt` unchanged. Only one
consumer of a queue is active; the others stand by and take over. Losing the connection ends `deliveries()` with
BrokerLostError.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol, TypedDict, Unpack

from worker.broker.facts import Told
from worker.core.note import Note
from worker.core.past import Placed
from worker.core.pieces import may_be_key
from worker.core.snapshot import Snapshot

_FEWEST_TO_SUSPECT: Final = 2
EXPOSED: Final = "the message held an open private key: treat it as exposed"
_CONTENT_TYPE: Final = re.compile(
    r"(?=.{1,80}\Z)[\w!#$&^.+-]{1,40}/[\w!#$&^.+-]{1,40}(?:; ?\w{1,20}=[\w.-]{1,40}){0,2}", re.ASCII
)
_CONTENT_ENCODING: Final = re.compile(r"[A-Za-z0-9-]{0,20}")
_MESSAGE_ID: Final = re.compile(r"(?!.*[\w+/=-]{41})[!-~]{1,128}", re.ASCII)
_UNSOUND_ENCODING: Final = "unknown"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class BrokerError(Exception):
    """The broker cannot be used; the text names the place, never a credential."""


class BrokerLostError(BrokerError):
    """The broker is not reachable, or was lost: connect again."""


class BrokerRefusedError(BrokerError):
    """The broker is there and does not take this message: too large, no right, no queue. Others may fare better."""


class TooLargeError(BrokerRefusedError):
    """Over the broker's own limit: nothing but a smaller message will be taken."""


class TopologyError(BrokerError):
    """A broker object is missing, exists with other arguments, or is open to others; the text names it and how."""


@dataclass(frozen=True, slots=True)
class Message:
    """A renewal message as it travels. `body` may hold a key: it is not printed."""

    body: bytes = field(repr=False)
    content_type: str
    user_id: str | None = None
    """Who published it, as the broker has verified: for a copy of our own, the original's producer."""
    priority: int = 0
    content_encoding: str | None = None
    traceparent: str | None = None
    attempt: int = 1
    """Which try this is, counted from 1."""
    is_copy: bool = False
    """A worker put it into a queue again: parked, put back, replayed."""
    opened_at: datetime | None = None
    """Of a copy that waits for its time: when a worker found it good first. What a signature says of times is judged by
    that: nobody is refused for having waited."""
    given_up_at: str | None = None
    """Of what was put back to be tried anew: the time, as its event has it, of the outcome that it had before."""
    redeliveries: int = 0
    """How often it was delivered before, and not settled."""
    is_suspect: bool = False
    """That was half as often as it may be, or more: it may be what kills the workers."""
    is_inherited: bool = False
    """The first that is given to this worker after another one, or after another one's death."""
    is_last_delivery: bool = False
    """The broker gives it up by itself, and tells nobody, when this delivery is not settled either."""


Exposes = Callable[[Message], bool | None]
"""None of what may be kept where it was given up, else whether a key in the open was seen in it."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A message that was given up."""

    id: str
    """Names it for `dead replay`: the message id, where that may be told."""
    message: Message
    reason: str
    certificate: str | None
    renewal_id: str | None
    since: datetime | None

    @property
    def is_withheld(self) -> bool:
        """Its body was not kept: there is nothing to put back."""
        return self.is_exposed or self.message.body == withheld(self.reason)

    @property
    def is_exposed(self) -> bool:
        """A key in the open was seen in it."""
        return self.message.body == withheld(self.reason, is_exposed=True)


def unheard(_id: str) -> None:
    """For whoever does not want to know."""


def withheld(reason: str, *, is_exposed: bool = False) -> bytes:
    """What is kept in place of a body that must not be kept, for it may hold a key, or did; JSON."""
    warning = {"warning": EXPOSED} if is_exposed else {}
    return json.dumps({"withheld": True, "reason": reason, **warning}).encode()


def sound_content_type(value: object) -> str:
    """A type of the usual form; empty for anything else, which may be anything, and is copied along."""
    text = value.strip(" ") if isinstance(value, str) else ""
    return text if _CONTENT_TYPE.fullmatch(text) else ""


def sound_content_encoding(value: object) -> str | None:
    """Of what is no encoding's name it must still be known that there was one: such a body is not read."""
    if value is None:
        return None
    return value if isinstance(value, str) and _CONTENT_ENCODING.fullmatch(value) else _UNSOUND_ENCODING


def sound_message_id(value: object) -> str | None:
    """Short, printable, without a part as long as a key, and no more of one than a renewal's id may be."""
    return value if isinstance(value, str) and _MESSAGE_ID.fullmatch(value) and not may_be_key(value) else None


def sound_traceparent(value: object) -> str | None:
    """As W3C has it; anything else may be anything, and goes into events."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


def redelivered(message: Message, before: int, limit: int) -> Message:
    """The message, delivered `before` times already where `limit` more deliveries than the first are given."""
    is_suspect = before >= max(_FEWEST_TO_SUSPECT, limit // 2)
    return replace(message, redeliveries=before, is_suspect=is_suspect, is_last_delivery=before >= limit)


class About(TypedDict, total=False):
    """What is known of a message that is given up."""

    certificate: str | None
    renewal_id: str | None
    told_at: str | None
    """The time of its outcome, as the event has it."""
    is_exposed: bool
    """A key in the open was seen in it."""


class Delivery(Protocol):
    """One message in hand. Exactly one of `ack`, `park` and `bury` is called, once."""

    @property
    def message(self) -> Message: ...

    async def fence(self) -> None:
        """Returns while nobody else can have been given it, and not at all any more once somebody may have been.

        Whoever waits here then is cancelled with all that was in hand. To be awaited right before every change.
        """
        ...

    async def ack(self) -> None:
        """Done with it."""
        ...

    async def park(self, delay: float, *, attempt: int, opened_at: datetime | None = None) -> None:
        """Comes back as `attempt` after the parking step that is not shorter than `delay` seconds.

        It comes with `opened_at`, from now on; where that is not said, with the one it had.
        The copy is confirmed before the original is acked.
        """
        ...

    async def bury(self, reason: str, *, keep_body: bool, **about: Unpack[About]) -> None:
        """Moves it to the dead queue with its reason; without `keep_body` what is kept is a note in its place."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerState:
    """For readiness and metrics."""

    is_connected: bool
    is_active: bool
    """False for a standby."""
    is_taking: bool = True
    """Whether what was published last was taken: not while an alarm blocks publishers."""
    is_remembering: bool = True
    """Whether the history could be read when somebody asked for it last."""
    is_counted: bool = True
    """Whether `dead` is what there is: not while the broker does not answer, or somebody else reads them.

    While it does not answer, or is away, `parked`, `dead` and `buried` are those of the last count.
    """
    parked: int = 0
    dead: int = 0
    buried: int = 0
    """How many this very process has put among the dead: those it has judged. Not told where looking costs nothing."""
    ready: int = 0
    """Given to nobody yet; 0 where that could not be counted: of before, it would show a worker that takes nothing."""
    room: int = 0
    """How many more would be taken now."""


@dataclass(frozen=True, slots=True)
class Right:
    """Something that a worker must be allowed to do."""

    what: str
    refusal: str = ""
    """Why it may not, in the broker's words; empty where it may."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Outcome events, oldest first; none: there are no more for now."""

    position: int | None
    """Of the last of all that was had so far."""
    events: Sequence[Mapping[str, object]] = ()


class Broker(Protocol):
    """One queue of renewals with its parking steps, its dead letters, its events and its history."""

    def deliveries(self) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Connects, checks or declares the topology, consumes.

        Leaving the block stops taking; what is unsettled comes again.

        Raises BrokerLostError (also out of the iteration) and TopologyError.
        """
        ...

    async def publish_event(self, event: Mapping[str, object]) -> None:
        """An outcome event (CloudEvents JSON object); its `type` is the routing key. Returns when confirmed."""
        ...

    async def publish_renewal(self, message: Message) -> None:
        """A renewal, as a producer sends it. Returns when confirmed; BrokerError when nothing took it.

        BrokerRefusedError where that is about this message, and the broker can be used.
        """
        ...

    async def publish_own(self, message: Message) -> None:
        """A renewal of the worker's own making, which it vouches for itself. Returns when confirmed."""
        ...

    async def declare(self) -> None:
        """Declares the whole topology, or with `declare = false` checks it."""
        ...

    async def dead(self) -> Sequence[Dead]:
        """Everything in the dead queue, oldest first; nothing is taken out."""
        ...

    async def shield(self, exposes: Exposes, /) -> Sequence[Dead]:
        """Puts a note in the place of what the broker itself has given up and must not be kept; those notes.

        Not of all at once where there are many: there are no more when it returns none.
        """
        ...

    async def replay(self, ids: Sequence[str], heard: Callable[[str], None] = unheard) -> Sequence[str]:
        """Puts the named dead letters back into the queue as first attempts; the ids that were found.

        Each is put back and confirmed before it is taken out; `heard` is told its id then.
        """
        ...

    async def drop(self, ids: Sequence[str]) -> Sequence[str]:
        """Takes the named dead letters out, for good; the ids that were found."""
        ...

    async def told(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str
    ) -> Told | None:
        """What a worker has published of late about this certificate under one of these event ids.

        Whoever was given a message again asks whether its outcome was told already; `but` that of this very time does
        not count, with which it was given up before it was put back. Nor does that of a message with another `digest`
        (SHA-256 of its body in hex): producers may use an id again.
        """
        ...

    async def keep(self, certificate: str, note: Note) -> None:
        """For whoever is given the same renewal after this worker. No event, and in no history.

        Returns when confirmed.
        """
        ...

    async def kept(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        """By deployment, what workers have noted of late about a leaf (its fingerprint).

        A note lasts until an outcome of the same leaf is told. Of several about one deployment, what the first knows
        stands. That there was a client CA is known of whichever leaf, until one has succeeded.
        """
        ...

    async def past(self, certificate: str) -> Sequence[Placed]:
        """What workers have told of certificates that were put there, oldest first, as far as the history goes.

        The latest 50 of it, however much else was told of the certificate since; nobody else's events count.
        """
        ...

    async def told_by_others_at(self) -> datetime | None:
        """When the latest outcome was told, if this very process has not told it."""
        ...

    async def history(self, certificate: str | None = None, *, limit: int = 100) -> Sequence[Mapping[str, object]]:
        """Past outcome events, newest first."""
        ...

    def following(self, after: int | None = None) -> AsyncGenerator[Batch]:
        """What workers have told, oldest first, and then what they tell: for ever. Nobody else's events count.

        `after`: the position of a batch that was had before. Raises BrokerLostError, and TopologyError where there is
        no history, or no right to read it.
        """
        ...

    async def is_served(self) -> bool:
        """Whether a worker consumes, be it another process. BrokerError where that cannot be known."""
        ...

    async def state(self) -> BrokerState:
        """Never raises."""
        ...

    async def rights(self) -> Sequence[Right]:
        """Every right that a worker needs, tried so that nothing is left behind and nobody is disturbed."""
        ...

    async def close(self) -> None: ...
