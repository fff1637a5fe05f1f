"""What the history and the notes say of a certificate that is yet to be rotated, as the worker would take it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from worker.broker import broker_of, embedded_file
from worker.broker.base import BrokerError
from worker.core.bundle import Leaf
from worker.core.past import Placed
from worker.core.renewal import OWN_PRODUCER, Held, Renewal
from worker.core.snapshot import Snapshot
from worker.core.withdrawal import was_rolled_back
from worker.hindsight import Hindsight, Seen
from worker.settings import Settings
from worker.settings.resolve import broker_url
from worker.shielding import judge_of
from worker.wall_clock import utc_now


@dataclass(frozen=True, slots=True)
class Remembered:
    """Of one certificate, before the leaf that is planned."""

    past: Sequence[Placed] = ()
    notes: Mapping[str, Snapshot] = field(default_factory=dict)
    """By deployment, of the leaf's own rotation, which is under way."""
    unread: str | None = None
    """Why it may be more than this."""

    def objection(self, name: str, leaf: Leaf, *, tells_beginnings: bool, is_own: bool) -> str | None:
        """Why an ordinary renewal that is made now would be superseded. `is_own`: by the sweep.

        Raises RefusedError where its key must not come again. What the gateways tell is not among it.
        """
        now, seen = utc_now(), Seen(self.past)
        renewal = Renewal("", name, OWN_PRODUCER if is_own else "", Held(), time=now)
        seen.exposed_keys(renewal, leaf)
        return seen.objection(renewal, leaf, now, is_again=False, tells_beginnings=tells_beginnings)

    def was_rolled_back(self, leaf: Leaf) -> bool:
        return was_rolled_back(self.past, leaf)


async def remembered(settings: Settings, name: str, leaf: Leaf) -> Remembered:
    """By reading only: an embedded broker that has no file yet knows of nothing."""
    file = embedded_file(broker_url(settings.broker))
    if file is not None and not file.exists():
        return Remembered()
    broker = broker_of(settings, judge_of(settings))
    try:
        seen = await Hindsight(broker).seen(name)
        known = Remembered(seen.past, unread=None if seen.unread is None else str(seen.unread))
        return known if seen.unread else replace(known, notes=await broker.kept(name, leaf.fingerprint_sha256))
    except BrokerError as error:
        return Remembered(unread=str(error))
    finally:
        await broker.close()
