"""What a certificate's own page shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from worker.fleet.standing import LEFT_FAILED
from worker.fleet.values import BindingStanding, BindingState, CertificateDetails, DeploymentDetails
from worker.web.formatting import counted
from worker.web.ranking import Graded, graded

MOST_BINDINGS: Final = 100
MOST_HISTORY: Final = 100
QUIET: Final[Sequence[BindingState]] = ("attached", "unchanged", "unknown")


@dataclass(frozen=True, slots=True)
class Place:
    """A deployment, and those of its bindings that are listed."""

    details: DeploymentDetails
    listed: Sequence[BindingStanding]

    @property
    def wrong(self) -> Sequence[BindingStanding]:
        """Of those that are listed, those of which there is something to tell."""
        return [one for one in self.listed if one.state not in QUIET]

    @property
    def quiet(self) -> Sequence[tuple[BindingState, Sequence[BindingStanding]]]:
        """The others, by state."""
        found = [(state, [one for one in self.listed if one.state == state]) for state in QUIET]
        return [(state, bindings) for state, bindings in found if bindings]

    @property
    def left_out(self) -> int:
        return len(self.details.bindings) - len(self.listed)

    @property
    def reasons(self) -> Sequence[str]:
        """Why bindings failed, each once."""
        return tuple(dict.fromkeys(one.reason for one in self.details.bindings if one.reason is not None))


@dataclass(frozen=True, slots=True)
class CertificatePage:
    """The whole page. Its parts are templates, which read this."""

    details: CertificateDetails
    graded: Graded
    places: Sequence[Place]

    @property
    def now(self) -> datetime:
        return self.details.at

    @property
    def is_still(self) -> bool:
        """Whether a list is so long that it does not follow what goes on: all of it would be sent at each step."""
        return any(len(one.listed) > MOST_BINDINGS for one in self.places)

    @property
    def name(self) -> str:
        return self.details.standing.name

    @property
    def explained(self) -> str | None:
        """The reason that the head of the page explains; below it that need not be said again."""
        last = self.details.standing.last
        return last.reason if last is not None and last.outcome == "failed" else None

    @property
    def is_over(self) -> bool:
        """Whether what failed last is left as it is: nothing waits or runs."""
        return self.details.standing.state in LEFT_FAILED

    @property
    def said(self) -> str:
        """The whole in one sentence, for those who hear the page."""
        counts = self.graded.bindings
        failed = f", {counts.failed:,} failed" if counts.failed else ""
        return f"{self.name}: {counts.served:,} of {counted(counts.total, 'binding')} attached{failed}."


def certificate_page(details: CertificateDetails, *, is_whole: bool) -> CertificatePage:
    """`is_whole`: with every binding, however many there are."""
    places = [Place(one, one.bindings if is_whole else one.bindings[:MOST_BINDINGS]) for one in details.deployments]
    return CertificatePage(details, graded(details.standing, details.at), places)
