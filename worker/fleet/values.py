"""What a page about the fleet shows, as plain values. Times are aware UTC datetimes, durations seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from shlex import quote
from typing import Final, Literal, Protocol, assert_never

from worker.effort import Refusal
from worker.fleet.standing import CertificateStanding, DeploymentStanding, Ended, State
from worker.limits import Source

Role = Literal["consuming", "standing by", "not connected", "draining"]
Phase = Literal["queueing", "observing", "replacing", "attaching", "verifying", "rolling back"]
"""What a rotation is at; "queueing" until it has its turn."""
PHASES: Final[Sequence[Phase]] = (
    "queueing",
    "observing",
    "replacing",
    "attaching",
    "verifying",
    "rolling back",
)
BindingState = Literal["attached", "unchanged", "failed", "rolled_back", "unknown"]
Remedy = Literal["replay", "find", "publish", "new_key"]
"""What is to be done about a renewal that was given up: put it back; look for its id; publish it anew, or its like."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a running rotation does at one deployment."""

    deployment: str
    """Its key."""
    gateway: str
    phase: Phase
    done: int = 0
    """Bindings that have ended, well or not."""
    failed: int = 0
    total: int | None = None
    """Bindings to be attached; None until it was looked."""
    seconds_left: float | None = None
    """Estimate by limits and latency; None where there is none yet, and while a call is refused, but for throttling."""
    refusal: Refusal | None = None
    """What its gateway has refused this rotation last, while that operation was not answered otherwise since."""


@dataclass(frozen=True, slots=True)
class Running:
    """A rotation under way in this process."""

    certificate: str
    renewal_id: str | None
    since: datetime
    attempt: int = 1
    is_urgent: bool = False
    calls: int = 0
    """Gateway calls sent."""
    steps: Sequence[Step] = ()

    @property
    def phase(self) -> Phase:
        """Of the deployment that is furthest behind."""
        return min((one.phase for one in self.steps), key=PHASES.index, default="queueing")

    @property
    def done(self) -> int:
        return sum(one.done for one in self.steps)

    @property
    def failed(self) -> int:
        return sum(one.failed for one in self.steps)

    @property
    def total(self) -> int | None:
        """None until every deployment was looked at."""
        totals = [one.total for one in self.steps]
        return None if None in totals or not totals else sum(one for one in totals if one is not None)

    @property
    def refusal(self) -> Refusal | None:
        """The one that lasts longest."""
        found = [one.refusal for one in self.steps if one.refusal is not None]
        return min(found, key=lambda one: one.since, default=None)

    @property
    def seconds_left(self) -> float | None:
        """Of the deployment that takes longest; None while anything is refused of which nobody knows for how long."""
        if any(one.refusal is not None and not one.refusal.is_throttling for one in self.steps):
            return None
        return max((one.seconds_left for one in self.steps if one.seconds_left is not None), default=None)


@dataclass(frozen=True, slots=True)
class Parked:
    """A renewal that comes again later."""

    certificate: str | None
    renewal_id: str | None
    reason: str
    since: datetime
    until: datetime
    """When it comes again, about."""
    attempt: int = 1
    message: str | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A renewal that was given up."""

    id: str
    """For `replay_command`; empty where it is not known."""
    certificate: str | None
    renewal_id: str | None
    reason: str
    since: datetime | None
    is_withheld: bool = False
    """Its body was not kept, for it may hold a key: there is nothing to replay, publish the renewal anew."""
    is_exposed: bool = False
    """A key in the open was seen in it: issue a new one."""
    is_certain: bool = True
    """It lies in the dead queue, as far as is known; else it may have been put back or dropped meanwhile."""

    @property
    def remedy(self) -> Remedy:
        """Once what was wrong is mended."""
        if self.is_exposed:
            return "new_key"
        return "publish" if self.is_withheld else "replay" if self.id and self.is_certain else "find"

    @property
    def command(self) -> str:
        """What to type for that."""
        match self.remedy:
            case "replay":
                return replay_command(self.id)
            case "find":
                return "rotation-worker dead list"
            case "publish" | "new_key":
                return f"rotation-worker publish --chain fullchain.pem --key privkey.pem {_word(self.certificate)}"
            case _:
                assert_never(self.remedy)


def _word(text: str | None) -> str:
    """To be pasted into a shell, where nothing but words follow."""
    return "CERTIFICATE" if text is None else f"{'-- ' if text.startswith('-') else ''}{quote(text)}"


def replay_command(dead_id: str) -> str:
    """To be pasted into a shell: whoever publishes chooses the id."""
    return f"rotation-worker dead replay {_word(dead_id)}"


@dataclass(frozen=True, slots=True)
class Budget:
    """One of a gateway's windows: at most `limit` calls in any `seconds`; or what stands for one.

    A pace that is `guessed`, where calls are refused and no window is named, and what the gateway itself has `told` to
    be left, count by the minute or by the hour.
    """

    seconds: float
    limit: int
    used: int
    """Calls of the last `seconds`, those under way included; never more than the limit."""
    source: Source = "window"


@dataclass(frozen=True, slots=True)
class GatewayStanding:
    """One cloud account, as it is now."""

    name: str
    kind: str
    is_up: bool = True
    """False while the breaker is open: nothing was answered, and only a probe now and then is sent, where something
    needs it. Where nothing did for two hours, it is not known to be down.
    """
    down_since: datetime | None = None
    probe_in: float | None = None
    """Seconds until the next probe may be sent, while it is down; 0 where it is sent once a renewal needs it."""
    held_for: float = 0.0
    """Seconds until anything is sent there again: it has asked to be left alone."""
    budgets: Sequence[Budget] = ()
    under_way: int = 0
    """Calls."""
    concurrency: int = 0
    """Calls that may be under way at once, as learned."""
    most_concurrency: int = 0
    """As set."""
    waiting: int = 0
    """Calls that wait for their turn."""
    seconds_left: float = 0.0
    """Estimate until all rotations under way there have ended."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What ended in one span of time."""

    begins: datetime
    succeeded: int = 0
    failed: int = 0
    superseded: int = 0
    served: int = 0
    """Renewals whose time until they were served is known; it is about these:"""
    median: float | None = None
    """Seconds from renewal to served, exact to a twentieth."""
    p95: float | None = None
    slowest: float | None = None

    @property
    def total(self) -> int:
        return self.succeeded + self.failed + self.superseded


SeriesName = Literal["hour", "days", "months"]


@dataclass(frozen=True, slots=True)
class Series:
    """Buckets without gaps, oldest first; the last one is the one that is filled now."""

    name: SeriesName
    """Of "hour" there are 60 minutes, of "days" 48 hours, of "months" 90 days."""
    seconds: float
    """How long each bucket is."""
    buckets: Sequence[Bucket] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet at one moment. While none has changed, `certificates` is the very one of the fleet before."""

    at: datetime
    version: int = 0
    """Higher whenever something was told or has moved."""
    worker_version: str = ""
    started_at: datetime | None = None
    role: Role = "consuming"
    certificates: Sequence[CertificateStanding] = ()
    """By name."""
    states: Mapping[State, int] = field(default_factory=dict)
    """How many certificates are in which."""
    running: Sequence[Running] = ()
    """Oldest first; of this process."""
    parked: Sequence[Parked] = ()
    """Those that this process has parked; soonest first."""
    parked_in_all: int = 0
    """As the broker counts them: others may have parked more."""
    dead: Sequence[GivenUp] = ()
    """Newest first."""
    dead_in_all: int = 0
    """As the broker counts them: only the first are listed above."""
    ready: int = 0
    """Renewals in the queue that nobody has in hand yet."""
    gateways: Sequence[GatewayStanding] = ()
    """By name."""
    series: Sequence[Series] = ()
    recent: Sequence[Ended] = ()
    """The latest outcomes, newest first."""
    history_problem: str | None = None
    """Why outcomes from before this process are missing, where they are."""
    is_reading_history: bool = False
    """Not all that was told before is known yet."""


@dataclass(frozen=True, slots=True)
class BindingStanding:
    """One place where a certificate is served."""

    kind: str
    """What it is: "domain", "listener", or "deployment" for what failed as a whole."""
    name: str
    instance_id: str | None = None
    state: BindingState = "unknown"
    reason: str | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class DeploymentDetails:
    """A deployment with its bindings by name."""

    standing: DeploymentStanding
    bindings: Sequence[BindingStanding] = ()
    """Those that failed first."""
    is_complete: bool = False
    """All are listed. Events name only what failed: after a restart the others are not known by name."""


@dataclass(frozen=True, slots=True)
class CertificateDetails:
    """A certificate's own page."""

    at: datetime
    version: int
    standing: CertificateStanding
    deployments: Sequence[DeploymentDetails] = ()
    history: Sequence[Ended] = ()
    """Newest first."""
    running: Sequence[Running] = ()
    parked: Sequence[Parked] = ()
    dead: Sequence[GivenUp] = ()


class FleetSource(Protocol):
    """Where pages get their values from."""

    async def fleet(self) -> Fleet:
        """As it is now. Never raises."""
        ...

    async def certificate(self, name: str) -> CertificateDetails | None:
        """None for a name that is not in the settings. Never raises."""
        ...

    async def changed(self, since: int) -> int:
        """Returns once the version is another than `since`: the version that it is then.

        A rotation's progress counts, at most some times a second.
        """
        ...
