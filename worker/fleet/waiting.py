"""What waits for its next try, and what was given up: by certificate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from worker.broker.base import EXPOSED
from worker.broker.base import Dead as Letter
from worker.fleet.standing import CertificateStanding, Ended
from worker.fleet.values import GivenUp, Parked

_MOST: Final = 10_000
"""Of each kind: whoever may send anything at all makes as many as he likes."""
SHOWN: Final = 1000
_LATE: Final = timedelta(minutes=2)
"""After its time: another worker has it, or had it."""
_WITHHELD: Final = ("plain_key_refused",)
Key = tuple[str | None, str | None]
"""Certificate and renewal."""


@dataclass(slots=True)
class WaitingRenewals:
    """As this process parked it, and as events told it; the broker's counts tell whether that is all."""

    parked: dict[Key, Parked] = field(default_factory=dict)
    dead: dict[Key, GivenUp] = field(default_factory=dict)
    """Oldest first."""
    _of: dict[str | None, set[Key]] = field(default_factory=dict)

    def of(self, certificate: str) -> tuple[Sequence[Parked], Sequence[GivenUp]]:
        keys = self._of.get(certificate, set())
        return (
            sorted((self.parked[key] for key in keys if key in self.parked), key=lambda one: one.until),
            [one for key, one in reversed(self.dead.items()) if key in keys],
        )

    def is_parked(self, certificate: str) -> bool:
        return any(key in self.parked for key in self._of.get(certificate, ()))

    def is_dead(self, standing: CertificateStanding) -> bool:
        """Whether what was told of it last lies in the dead queue."""
        return standing.last is not None and (standing.name, standing.last.renewal_id) in self.dead

    def park(self, one: Parked, *, is_named: bool) -> None:
        """It is known again by its id when it comes, though that may not be told."""
        key = one.certificate, one.renewal_id
        self._forget_oldest(self.parked)
        self.parked[key] = one if is_named else replace(one, renewal_id=None)
        self._of.setdefault(one.certificate, set()).add(key)

    def begun(self, certificate: str, renewal_id: str) -> None:
        """It has come again: nobody has to put back what is under way."""
        self._drop(self.parked, (certificate, renewal_id))
        self._drop(self.dead, (certificate, renewal_id))

    def ended(self, one: Ended) -> None:
        """What failed was given up. What has ended otherwise was replayed, if it had been given up before."""
        key = one.certificate, one.renewal_id
        self._drop(self.parked, key)
        self._drop(self.dead, key)
        if one.outcome == "failed":
            self._forget_oldest(self.dead)
            self.dead[key] = _given_up(one)
            self._of.setdefault(one.certificate, set()).add(key)

    def found_dead(self, letters: Sequence[Letter]) -> Iterator[str]:
        """All that lie in the dead queue, oldest first; whose certificates have another one now, or one less."""
        before = set(self.dead)
        for key in before:
            self._drop(self.dead, key)
        for one in letters[-_MOST:]:
            key = one.certificate, one.renewal_id
            if one.renewal_id is None or key in self.dead:
                key = one.certificate, one.id  # of some no renewal is known, and of others there are several
            self.dead[key] = _letter(one)
            self._of.setdefault(one.certificate, set()).add(key)
        yield from {certificate for certificate, _ in before ^ set(self.dead) if certificate is not None}

    def given_up_since(self, moment: datetime) -> int:
        """How many."""
        newest = reversed(self.dead.values())
        return sum(1 for _ in takewhile(lambda one: one.since is not None and one.since > moment, newest))

    def none_dead(self, before: datetime) -> Sequence[str]:
        """Drops what was given up until then, for it has gone from the dead queue; whose that was."""
        gone = [key for key, one in self.dead.items() if one.since is None or one.since <= before]
        for key in gone:
            self._drop(self.dead, key)
        return [certificate for certificate, _ in gone if certificate is not None]

    def overdue(self, now: datetime) -> Sequence[str]:
        """Drops what should have come again long ago; whose that was."""
        late = [key for key, one in self.parked.items() if one.until + _LATE < now]
        for key in late:
            self._drop(self.parked, key)
        return [certificate for certificate, _ in late if certificate is not None]

    def _forget_oldest(self, kept: dict[Key, Parked] | dict[Key, GivenUp]) -> None:
        if len(kept) >= _MOST:
            self._drop(kept, next(iter(kept)))

    def _drop(self, kept: dict[Key, Parked] | dict[Key, GivenUp], key: Key) -> None:
        kept.pop(key, None)
        if key not in self.parked and key not in self.dead:
            keys = self._of.get(key[0], set())
            keys.discard(key)
            if not keys:
                self._of.pop(key[0], None)


def _given_up(one: Ended) -> GivenUp:
    is_exposed = (one.message or "").startswith(EXPOSED)
    is_withheld = is_exposed or one.reason in _WITHHELD
    return GivenUp(one.renewal_id or "", one.certificate, one.renewal_id, one.reason, one.at, is_withheld, is_exposed)


def _letter(one: Letter) -> GivenUp:
    return GivenUp(one.id, one.certificate, one.renewal_id, one.reason, one.since, one.is_withheld, one.is_exposed)


def by_age(kept: Mapping[Key, GivenUp]) -> Sequence[GivenUp]:
    """Newest first, as many as are shown."""
    return list(kept.values())[: -SHOWN - 1 : -1]
