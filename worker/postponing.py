"""Renewals that wait for their time: which of them may run, and which need not even be looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from worker.core.deployment import Certificate
from worker.core.errors import NotAskedError, PostponedError
from worker.core.renewal import Renewal
from worker.core.schedule import Schedule, Wait, share_of
from worker.core.waiting import Step, held_back


@dataclass(frozen=True, slots=True)
class Appointment:
    """When one renewal may run."""

    schedule: Schedule
    share: float
    since: datetime
    now: Callable[[], datetime]

    @classmethod
    def of(
        cls, renewal: Renewal, certificate: Certificate, opened_at: datetime, now: Callable[[], datetime]
    ) -> "Appointment":
        """`opened_at`: when a worker found it good first. What was made later than that is a clock's mistake."""
        schedule = Schedule() if renewal.is_urgent else certificate.schedule
        since = opened_at if renewal.time is None else min(renewal.time, opened_at)
        return cls(schedule, share_of(renewal.certificate, renewal.id), since, now)

    def wait(self) -> Wait | None:
        """By the clock alone."""
        return self.schedule.wait(self.share, self.since, self.now())

    def check_steps(self, steps: Sequence[Step]) -> None:
        """Raises PostponedError where it is too early for them."""
        wait = held_back(self.wait(), steps, self.schedule, self.now())
        if wait is not None:
            raise PostponedError(wait)

    def check_reachable(self, check: Callable[[], None]) -> None:
        """As `check`, but where nothing would be changed anyway, nobody is asked in vain: that is no attempt either."""
        try:
            check()
        except NotAskedError:
            wait = self.wait()
            if wait is None:
                raise
            raise PostponedError(Wait(wait.until, wait.why, is_known=False)) from None


@dataclass(frozen=True, slots=True)
class Postponed:
    """What was found out of renewals that wait, by certificate and a message's digest. It saves looking again."""

    _waits: dict[str, dict[str, Wait]] = field(default_factory=dict)

    def note(self, certificate: str, digest: str, wait: Wait) -> None:
        if wait.is_known:
            self._waits.setdefault(certificate, {})[digest] = wait

    def check(self, certificate: str, digest: str, now: datetime) -> None:
        """Raises PostponedError where it waits still."""
        waits = self._waits.get(certificate, {})
        for one in [one for one, wait in waits.items() if wait.until <= now]:
            del waits[one]  # also what another worker has been given since
        if digest in waits:
            raise PostponedError(waits[digest])

    def forget(self, certificate: str) -> None:
        """What is served there may be another one by now."""
        self._waits.pop(certificate, None)
