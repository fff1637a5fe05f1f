"""How every certificate stands: changed outcome by outcome, so that nobody ever has to go through all of them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from worker.core.deployment import Certificate, Deployment
from worker.core.events import shown
from worker.core.outcome import DeploymentReport, Report
from worker.fleet.latest import Bindings, Listings
from worker.fleet.standing import CertificateStanding, DeploymentStanding, State
from worker.fleet.told import WHOLE, Facts, OutcomeEvent, counts_in, failed_in, matched, stands_after, went_back
from worker.fleet.values import BindingStanding, BindingState


@dataclass(slots=True, eq=False)
class Standings:
    """By the certificates of the settings, in the order of their names."""

    certificates: Mapping[str, Certificate]
    state_of: Callable[[CertificateStanding], State]
    """What follows from what runs and waits just now."""
    states: Counter[State] = field(default_factory=Counter)
    listings: Listings = field(default_factory=Listings)
    _kept: dict[str, CertificateStanding] = field(default_factory=dict)
    _all: Sequence[CertificateStanding] | None = None

    def __post_init__(self) -> None:
        self.keep_to(self.certificates)

    def keep_to(self, certificates: Mapping[str, Certificate]) -> None:
        """These are the settings' from now on; what is known of those that stay is known still."""
        before, self.certificates, self._kept = self._kept, certificates, {}
        for name in sorted(certificates):
            known = before.get(name, CertificateStanding(name))
            told = {one.key: one for one in known.deployments}
            places = [told.get(one.key, _nothing_told(one)) for one in certificates[name].deployments]
            self._kept[name] = replace(known, deployments=places)
        self.states, self._all = Counter(one.state for one in self._kept.values()), None

    def all(self) -> Sequence[CertificateStanding]:
        """The very same as before while nothing was put: by that others know that nothing has changed."""
        if self._all is None:
            self._all = tuple(self._kept.values())
        return self._all

    def of(self, certificate: str | None) -> CertificateStanding | None:
        return self._kept.get(certificate or "")

    def look_again(self, certificate: str | None) -> None:
        """What runs or waits there is not what it was."""
        known = self.of(certificate)
        if known is not None and known.state != self.state_of(known):
            self._put(known)

    def forget(self, certificate: str) -> None:
        """What was told of it: it is told again from the beginning."""
        if certificate in self._kept:
            places = [_nothing_told(one) for one in self.certificates[certificate].deployments]
            self._put(CertificateStanding(certificate, places))

    def take_in(self, told: OutcomeEvent) -> None:
        """What was told before what is known already changes nothing."""
        known = self.of(told.ended.certificate)
        if known is None or (known.last is not None and known.last.at > told.ended.at):
            return
        found = matched(known.deployments, told.deployments)
        places = [stands_after(one, told, facts) for one, facts in zip(known.deployments, found, strict=True)]
        self._list(known, found)
        self._put(replace(known, deployments=places, last=told.ended))

    def _put(self, standing: CertificateStanding) -> None:
        self.states[self._kept[standing.name].state] -= 1
        self._kept[standing.name] = replace(standing, state=self.state_of(standing))
        self._all = None
        self.states[self._kept[standing.name].state] += 1

    def _list(self, known: CertificateStanding, found: Sequence[Facts | None]) -> None:
        """As far as an event names bindings, and the settings."""
        listed = self.certificates[known.name].deployments
        before = self.listings.of(known.name)
        told = {
            one.key: _as_told(one, facts, before.get(one.key))
            for one, facts in zip(listed, found, strict=True)
            if _is_telling(facts)
        }
        if told:
            self.listings.put(known.name, {**before, **told})

    def list_all(self, certificate: str, report: Report) -> None:
        """All bindings by name: whoever has rotated them knows them."""
        if certificate in self._kept and report.deployments:
            told = {one.deployment.key: _as_reported(one) for one in report.deployments if one.bindings}
            self.listings.put(certificate, {**self.listings.of(certificate), **told})


def _nothing_told(deployment: Deployment) -> DeploymentStanding:
    return DeploymentStanding(deployment.key, deployment.gateway, deployment.strategy, deployment.certificate_id)


def _is_telling(facts: Facts | None) -> TypeGuard[Facts]:
    """Whether anything is said of bindings, or of what failed before it came to them."""
    return facts is not None and bool(counts_in(facts).total or facts.get("failures"))


def _as_told(deployment: Deployment, facts: Facts, known: Bindings | None) -> Bindings:
    """What failed is named in the event; what else there is, in the settings, or by an earlier report."""
    failed, counts = failed_in(facts), counts_in(facts)
    if not counts.total and known is not None:
        return Bindings((*failed, *(one for one in known.listed if one.kind != WHOLE)), known.is_complete)
    if deployment.bindings is None:
        return Bindings(failed, is_complete=False)
    bad = {(one.name, one.instance_id) for one in failed}
    state: BindingState = "unknown" if facts.get("truncated") else _state_of_the_others(facts)
    rest = [
        BindingStanding(one.kind, one.name, one.instance_id, state)
        for one in deployment.bindings
        if (one.name, one.instance_id) not in bad
    ]
    return Bindings((*failed, *rest), is_complete=True)


def _state_of_the_others(facts: Facts) -> BindingState:
    if went_back(facts):
        return "rolled_back"
    counts = counts_in(facts)
    return "attached" if counts.attached or not counts.unchanged else "unchanged"


def _as_reported(report: DeploymentReport) -> Bindings:
    listed = [
        BindingStanding(one.binding.kind, one.binding.name, one.binding.instance_id, one.state)
        if one.failure is None
        else BindingStanding(
            one.binding.kind,
            one.binding.name,
            one.binding.instance_id,
            one.state,
            one.failure.reason,
            one.failure.status,
            one.failure.code,
            shown(one.failure.message),
            one.failure.attempts,
        )
        for one in report.bindings
    ]
    return Bindings(sorted(listed, key=lambda one: one.reason is None), is_complete=True)
