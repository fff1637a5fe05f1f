"""Snapshots of deployments over the attempts of one renewal: in memory, and not for long."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from worker.core.bundle import Leaf
from worker.core.deployment import Certificate, Deployment
from worker.core.planning import Plan
from worker.core.snapshot import Snapshot
from worker.limits.clock import now as _now

LONGEST_MEMORY: Final = 7200.0
"""Seconds: longer than attempts are apart. What changed since then, somebody else has changed."""


@dataclass(frozen=True, slots=True)
class _Kept:
    leaf: str | None
    """Fingerprint of the renewed leaf: the next renewal begins with a snapshot of its own."""
    at: float
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Snapshots:
    """By deployment. Seconds of the loop's clock."""

    seconds: float = LONGEST_MEMORY
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)

    def of(self, deployment: Deployment, leaf: Leaf | None) -> Snapshot:
        """Of this renewal's earlier attempts; an empty one where there is none."""
        self._forget_old()
        kept = self._kept.get(deployment.key)
        return Snapshot() if kept is None or kept.leaf != _key(leaf) else kept.snapshot

    def keep(self, deployment: Deployment, leaf: Leaf | None, todo: Plan) -> None:
        """Before the plan's first change."""
        snapshot = self.of(deployment, leaf).with_plan(todo)
        self._kept[deployment.key] = _Kept(_key(leaf), _now(), snapshot)
        self._kept.move_to_end(deployment.key)

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
