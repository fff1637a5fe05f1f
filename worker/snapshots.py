"""Snapshots of deployments over the attempts of one renewal: in memory, and not for long.

Where a change may move what nothing else tells, they are kept with the broker too, for whoever takes over.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.note import Note
from worker.core.outcome import DeploymentReport, Report, conclude
from worker.core.planning import Create, Modify, Plan
from worker.core.progress import Progress
from worker.core.proof import Reach, Shortfall
from worker.core.reporting import ROLLED_BACK, STANDSTILL, left_off
from worker.core.snapshot import Snapshot, is_at_risk, is_with_client_ca
from worker.effort import current_effort
from worker.limits.clock import now as _now

LONGEST_MEMORY: Final = 7200.0
"""Seconds: longer than attempts are apart. What changed since then, somebody else has changed."""


@dataclass(frozen=True, slots=True)
class _Kept:
    leaf: str | None
    """Fingerprint of the renewed leaf: the next renewal begins with a snapshot of its own."""
    at: float
    snapshot: Snapshot
    noted: Snapshot | None = None
    """What a note tells of it already."""
    replaced: DeploymentReport | None = None
    """The last attempt of this process that left another certificate there than had been before."""
    proven: frozenset[Binding] = frozenset()
    """What attempts of this process have seen served as it shall be."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """By deployment. Seconds of the loop's clock."""

    seconds: float = LONGEST_MEMORY
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    _short: dict[str, str | None] = field(default_factory=dict)
    """Leaves, by their fingerprints, that were there already and are served without their whole chain."""

    def of(self, deployment: Deployment, leaf: Leaf | None) -> Snapshot:
        """Of this renewal's earlier attempts; an empty one where there is none."""
        kept = self._of(deployment.key, leaf)
        return Snapshot() if kept is None else kept.snapshot

    async def keep(
        self,
        deployment: Deployment,
        leaf: Leaf | None,
        todo: Plan,
        reach: Reach | None = None,
        *,
        is_kept: bool = False,
    ) -> None:
        """Before the plan's first change. Where that puts anything at risk, returns once a note of it is kept.

        `reach`: of endpoints, before it. `is_kept`: the material that is replaced is kept, and may come back.
        """
        kept, has_ca = self._of(deployment.key, leaf), is_with_client_ca(deployment, todo)
        snapshot = self.of(deployment, leaf).with_plan(todo, reach, has_client_ca=has_ca)
        noted = None if kept is None else kept.noted
        self._put(deployment.key, leaf, snapshot, noted)
        if leaf is not None and snapshot != noted and is_at_risk(snapshot, deployment, todo, is_kept=is_kept):
            await current_effort().keep(Note(deployment.key, leaf.fingerprint_sha256, snapshot))
            self._put(deployment.key, leaf, snapshot, snapshot)

    async def condemn(
        self, deployment: Deployment, leaf: Leaf | None, moved: Sequence[Binding], shortfalls: Sequence[Shortfall]
    ) -> None:
        """Before anything goes back. Returns once a note of it is kept: whoever goes on shall not go forth again."""
        snapshot = self.of(deployment, leaf).condemned(moved, shortfalls)
        self._put(deployment.key, leaf, snapshot, None)
        if leaf is not None:
            await current_effort().keep(Note(deployment.key, leaf.fingerprint_sha256, snapshot))
            self._put(deployment.key, leaf, snapshot, snapshot)

    def recall(self, leaf: Leaf, notes: Mapping[str, Snapshot]) -> None:
        """By deployment, what another process kept of the leaf's earlier attempts. What is known here goes before.

        That it was found bad meanwhile, or that a renewal before had a client CA there, is known nowhere else.
        """
        for key, snapshot in notes.items():
            known = self._of(key, leaf)
            if known is None:
                self._put(key, leaf, snapshot, snapshot)
                continue
            has_ca = known.snapshot.has_client_ca or snapshot.has_client_ca
            both = replace(known.snapshot, bad=known.snapshot.bad or snapshot.bad, has_client_ca=has_ca)
            if both != known.snapshot:
                self._put(key, leaf, both, None)

    def learn(
        self,
        leaf: Leaf | None,
        reports: Iterable[DeploymentReport],
        proven: Iterable[tuple[Deployment, frozenset[Binding]]] = (),
    ) -> None:
        """What an attempt has replaced: a later one may not come as far as to see it. And what was `proven` of it."""
        for one in reports:
            kept = self._of(one.deployment.key, leaf)
            if kept is not None and (one.replaced or one.reason == ROLLED_BACK):
                self._kept[one.deployment.key] = replace(kept, replaced=one if one.replaced else None)
        for deployment, bindings in proven:
            kept = self._of(deployment.key, leaf)
            if kept is not None:
                self._kept[deployment.key] = replace(kept, proven=bindings)

    @contextmanager
    def so_far(self, deployment: Deployment, leaf: Leaf | None, progress: Callable[[], Progress]) -> Iterator[None]:
        """However the block ends, what was reached in it is known."""
        try:
            yield
        finally:
            if (told := progress().so_far(deployment)) is not None:
                self.learn(leaf, [told])

    def left(self, certificate: Certificate, leaf: Leaf | None) -> Report | None:
        """Of a rotation that does not come to its end; None where it has replaced nothing, as far as is known."""
        known = [(one, self.replaced(one, leaf)) for one in certificate.deployments]
        if all(before is None for _, before in known):
            return None
        return conclude(leaf, [left_off(one, STANDSTILL, before) for one, before in known])

    def learn_short(self, leaf: Leaf | None, report: Report) -> None:
        """Whether clients miss a part of the chain of what was there already: it may have been stored so."""
        for one in report.deployments:
            failures = (*one.failures, *(() if report.failure is None else (report.failure,)))
            if one.replaced:
                self._short.pop(one.deployment.key, None)
            elif any(each.reason == "chain_incomplete" for each in failures):
                self._short[one.deployment.key] = _key(leaf)

    def is_short(self, deployment: Deployment, leaf: Leaf | None) -> bool:
        """As an attempt before has found it."""
        return leaf is not None and self._short.get(deployment.key) == _key(leaf)

    def replaced(self, deployment: Deployment, leaf: Leaf | None) -> DeploymentReport | None:
        """As the last attempt has told that replaced anything."""
        kept = self._of(deployment.key, leaf)
        return None if kept is None else kept.replaced

    def proven(self, deployment: Deployment, leaf: Leaf | None, todo: Plan) -> frozenset[Binding]:
        """By earlier attempts, of what the plan does not change again."""
        kept = self._of(deployment.key, leaf)
        if kept is None or isinstance(todo.replacement, Create | Modify):
            return frozenset()
        return kept.proven.difference(todo.attach)

    def _put(self, key: str, leaf: Leaf | None, snapshot: Snapshot, noted: Snapshot | None) -> None:
        known = self._of(key, leaf) or _Kept(_key(leaf), _now(), snapshot)
        self._kept[key] = replace(known, at=_now(), snapshot=snapshot, noted=noted)
        self._kept.move_to_end(key)

    def _of(self, key: str, leaf: Leaf | None) -> _Kept | None:
        self._forget_old()
        kept = self._kept.get(key)
        return None if kept is None or kept.leaf != _key(leaf) else kept

    def forget(self, certificate: Certificate) -> None:
        """There is nothing to try again."""
        for deployment in certificate.deployments:
            self._kept.pop(deployment.key, None)
            self._short.pop(deployment.key, None)

    def _forget_old(self) -> None:
        while self._kept and next(iter(self._kept.values())).at < _now() - self.seconds:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _key(leaf: Leaf | None) -> str | None:
    return None if leaf is None else leaf.fingerprint_sha256
