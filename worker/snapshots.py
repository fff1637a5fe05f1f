"""Snapshots of deployments over the attempts of one renewal: in memory, and not for long.

Where a change may move what nothing else tells, they are kept with the broker too, for whoever takes over.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.note import Note
from worker.core.planning import Plan
from worker.core.proof import Shortfall
from worker.core.snapshot import Snapshot, is_at_risk
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


@dataclass(frozen=True, slots=True)
class Snapshots:
    """By deployment. Seconds of the loop's clock."""

    seconds: float = LONGEST_MEMORY
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)

    def of(self, deployment: Deployment, leaf: Leaf | None) -> Snapshot:
        """Of this renewal's earlier attempts; an empty one where there is none."""
        kept = self._of(deployment.key, leaf)
        return Snapshot() if kept is None else kept.snapshot

    async def keep(
        self,
        deployment: Deployment,
        leaf: Leaf | None,
        todo: Plan,
        answered: frozenset[str] = frozenset(),
        *,
        is_kept: bool = False,
    ) -> None:
        """Before the plan's first change. Where that puts anything at risk, returns once a note of it is kept.

        `answered`: endpoints that answer a handshake before it. `is_kept`: the material that is replaced is kept, and
        may come back.
        """
        kept, snapshot = self._of(deployment.key, leaf), self.of(deployment, leaf).with_plan(todo, answered)
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

        That it was found bad meanwhile is known nowhere else.
        """
        for key, snapshot in notes.items():
            known = self._of(key, leaf)
            if known is None:
                self._put(key, leaf, snapshot, snapshot)
            elif snapshot.bad is not None and known.snapshot.bad is None:
                self._put(key, leaf, replace(known.snapshot, bad=snapshot.bad), None)

    def _put(self, key: str, leaf: Leaf | None, snapshot: Snapshot, noted: Snapshot | None) -> None:
        self._kept[key] = _Kept(_key(leaf), _now(), snapshot, noted)
        self._kept.move_to_end(key)

    def _of(self, key: str, leaf: Leaf | None) -> _Kept | None:
        self._forget_old()
        kept = self._kept.get(key)
        return None if kept is None or kept.leaf != _key(leaf) else kept

    def forget(self, certificate: Certificate) -> None:
        """There is nothing to try again."""
        for deployment in certificate.deployments:
            self._kept.pop(deployment.key, None)

    def _forget_old(self) -> None:
        while self._kept and next(iter(self._kept.values())).at < _now() - self.seconds:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _key(leaf: Leaf | None) -> str | None:
    return None if leaf is None else leaf.fingerprint_sha256
