"""Where certificates are served: what the settings say of it, as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from worker.core.schedule import Schedule

Strategy = Literal["in_place", "per_domain", "blue_green", "rebind", "replace"]
BindingKind = Literal["domain", "listener"]


@dataclass(frozen=True, slots=True)
class Binding:
    """One place where a stored certificate is, or shall be, served.

    A domain (APIG) is `name` on `instance_id` (None: every instance that has it), for `per_domain` also with its
    `group_id` and `domain_id`. A listener (Octavia) is `name` = the listener's id, with `sni` and, where known, its
    `load_balancer`.
    """

    kind: BindingKind
    name: str
    instance_id: str | None = None
    client_verification: bool | None = None
    """What the client-verification flag shall be; None: nobody said."""
    group_id: str | None = None
    domain_id: str | None = None
    sni: bool = False
    load_balancer: str | None = None

    @property
    def place(self) -> tuple[str, str | None, bool]:
        """What makes it the same binding whatever its flag: its id or its name, its instance, and whether it is SNI."""
        return self.domain_id or self.name, self.instance_id, self.sni

    def with_flag(self, flag: bool | None) -> "Binding":  # noqa: FBT001 - the one thing it is about
        """The same, with another client-verification flag. Called for every domain: `replace` takes thrice as long."""
        if flag is self.client_verification:
            return self
        place = self.group_id, self.domain_id, self.sni, self.load_balancer
        return Binding(self.kind, self.name, self.instance_id, flag, *place)

    def at(self, instance_id: str | None) -> "Binding":
        """The same, on that instance. Called for every domain, too."""
        if instance_id == self.instance_id:
            return self
        place = self.group_id, self.domain_id, self.sni, self.load_balancer
        return Binding(self.kind, self.name, instance_id, self.client_verification, *place)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stored certificate at one gateway account, with its bindings. `bindings` is None for "attached"."""

    gateway: str
    strategy: Strategy
    certificate_id: str | None
    name: str | None
    bindings: Sequence[Binding] | None
    trusted_root_ca: str | None = None
    """PEM of the client CA, sent again with every PUT when the stored certificate has one."""
    waves: Sequence[float] = (1, 0.1, 1.0)
    """How many bindings have moved after each wave: whole numbers count, fractions are shares of all."""
    retire_after_seconds: float = 0
    """For so long the old stored certificate is kept after what replaced it has succeeded."""

    @property
    def moves(self) -> bool:
        """Whether its bindings move to another stored certificate."""
        return self.strategy in ("blue_green", "replace")

    @property
    def key(self) -> str:
        """Unique among all deployments."""
        return f"{self.gateway}/{self.certificate_id or self.name}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """An entry of the settings: a certificate by name, and where it is deployed."""

    name: str
    deployments: Sequence[Deployment]
    names: Sequence[str] = ()
    """What a renewed one must be for, besides the domains that it is bound to: a listener has no name to compare."""
    schedule: Schedule = field(default_factory=Schedule)
    """When it may be rotated."""
