"""What there is to renew: certificates of several kinds, their places at the clouds, and the settings for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority

PRODUCER: Final = "acme"
STRANGER: Final = "stranger"
"""A certificate that the producer may not renew."""
KINDS: Final = ("one", "many", "listed", "single", "both", "one", "many", "one", "gone", "both")
"""Of one domain; of several with flags; of named ones; bound one by one; at both clouds; with a domain that is none."""
APIG_LIMITS: Final = ((25, 1.0), (1200, 60.0))
BYCLOUD_LIMITS: Final = ((15, 1.0), (500, 60.0))
_OLD: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Item:
    """One certificate. `places`, `stored` and `deployments` as the cloud laid them out."""

    name: str
    kind: str
    names: Sequence[str]
    places: Sequence[str] = ()
    """Its bindings, as the cloud's changes name them."""
    stored: Sequence[str] = ()
    """Ids under which it was stored in the beginning."""
    deployments: Sequence[Mapping[str, Any]] = ()

    @property
    def must_fail(self) -> bool:
        return self.kind == "gone"


def planned(count: int) -> Sequence[Item]:
    """So many, and one that is a stranger's."""
    return [*(_item(f"shop{number}", KINDS[number % len(KINDS)]) for number in range(count)), _item(STRANGER, "one")]


def _item(name: str, kind: str) -> Item:
    hosts = {"many": ("www", "api", "img"), "listed": ("www", "api"), "gone": ("www", "gone")}.get(kind, ("www",))
    return Item(name, kind, [f"{host}.{name}.example.com" for host in hosts])


@dataclass(slots=True)
class Layout:
    """Lays items out at a sandbox, each bound since long ago."""

    sandbox: Sandbox
    authority: Authority = field(default_factory=lambda: Authority.create("Past"))
    instance: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        self.instance = self.sandbox.world.add_instance()
        self.group = self.sandbox.world.add_group(self.instance)

    def laid_out(self, items: Sequence[Item]) -> Sequence[Item]:
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Item:
        world, begins = self.sandbox.world, datetime.now(UTC).replace(microsecond=0) - _OLD
        issued = self.authority.issue(item.names, not_before=begins)
        stored = world.add_certificate(issued, f"{item.name}_apig")
        domains = [name for name in item.names if not name.startswith("gone.")]
        ids = [
            world.add_domain(self.group, name, client_verification=number % 2 == 1)
            for number, name in enumerate(domains)
        ]
        world.bind(stored, *ids)
        deployments, places = [self._at_apig(item, stored, ids)], [f"{self.instance}/{name}" for name in domains]
        if item.kind == "both":
            listener, upload = world.add_listener(), world.add_upload(issued, f"{item.name}_past", updated_at=begins)
            world.bind_listener(upload, listener)
            places.append(f"{listener}/sni=False")
            deployments.append(
                {
                    "gateway": "bycloud",
                    "strategy": "replace",
                    "certificate_id": upload,
                    "listeners": [{"id": listener}],
                }
            )
        return Item(item.name, item.kind, item.names, places, [stored], deployments)

    def _at_apig(self, item: Item, stored: str, domains: Sequence[str]) -> dict[str, Any]:
        match item.kind:
            case "single":
                named = [{"instance_id": self.instance, "group_id": self.group, "domain_id": one} for one in domains]
                return {"gateway": "apig", "strategy": "per_domain", "name": f"{item.name}_apig", "domains": named}
            case "listed" | "gone":
                return {"gateway": "apig", "certificate_id": stored, "domains": list(item.names)}
            case _:
                return {"gateway": "apig", "certificate_id": stored, "domains": "attached"}


def described(items: Sequence[Item]) -> Sequence[Mapping[str, Any]]:
    return [asdict(item) for item in items]


def windows(limits: Sequence[tuple[int, float]]) -> Sequence[Mapping[str, float]]:
    """As settings have them."""
    return [{"calls": calls, "seconds": seconds} for calls, seconds in limits]
