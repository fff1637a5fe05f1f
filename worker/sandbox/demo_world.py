"""The demo's world: certificates, domains and listeners at the simulated clouds, and the settings for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Final
from uuid import uuid4

from worker.sandbox.ca import Authority, Issued
from worker.sandbox.flaws import Flaw
from worker.sandbox.server import Sandbox
from worker.settings import Settings
from worker.settings.loading import load

_BAD: Final = 3
"""Of the second wave."""
_CERTIFICATES, _DOMAINS, _LISTENER_CERTIFICATES, _LISTENERS = 20, 10, 2, 5
STAGED: Final = (
    f"Three renewals are made to end otherwise: shop-{_CERTIFICATES:02} names a domain that is not there and fails,"
    " what bad-wave-01 brings is served without its chain and goes back, stale-01 is older than what is stored."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate of the demo: where it is served, and its renewed material."""

    name: str
    place: str
    """The instance or listener to shake hands with."""
    server_name: str
    issued: Issued = field(repr=False)
    bindings: int
    expected: str
    is_kept: bool = False
    """The old certificate is served at the end."""


@dataclass(frozen=True, slots=True)
class DemoWorld:
    """20 certificates on 200 domains, 2 on 10 listeners; one names a missing domain, and one renewal is stale.

    Two more move in waves to a new stored certificate. Of one, a domain is served without its whole chain.
    """

    sandbox: Sandbox
    folder: Path
    producer: str
    authority: Authority = field(default_factory=lambda: Authority.create("Demo"))

    async def build(self) -> Sequence[Entry]:
        """With its TLS listeners."""
        (self.folder / "certificates.d").mkdir()
        instance = self.sandbox.world.add_instance()
        await self.sandbox.open_listeners()
        group = self.sandbox.world.add_group(instance)
        entries = [self._on_domains(number, instance, group) for number in range(1, _CERTIFICATES + 1)]
        entries += [self._on_listeners(number) for number in range(1, _LISTENER_CERTIFICATES + 1)]
        entries += [self._in_waves("waves-01", instance, group), self._in_waves("bad-wave-01", instance, group)]
        self.sandbox.world.spoil(Flaw("leaf_only", name=f"www{_BAD}.bad-wave-01.example.com"))
        entries.append(self._stale(instance, group))
        await self.sandbox.open_listeners()
        return entries

    def _old(self, names: Sequence[str]) -> Issued:
        return self.authority.issue(names, not_before=_days_ago(60))

    def _on_domains(self, number: int, instance: str, group: str) -> Entry:
        name, world = f"shop-{number:02}", self.sandbox.world
        names = [f"www{one}.{name}.example.com" for one in range(1, _DOMAINS + 1)]
        stored = world.add_certificate(self._old(names), f"shop_{number:02}")
        world.bind(stored, *(world.add_domain(group, one) for one in names))
        missing = [f"gone.{name}.example.com"] if number == _CERTIFICATES else []
        self._configure(
            name, f'gateway = "apig-demo"\ncertificate_id = "{stored}"\ndomains = {_listed(names + missing)}'
        )
        issued = self._renewed(name, self.authority.issue([*names, *missing]))
        return Entry(name, instance, names[0], issued, len(names + missing), "failed" if missing else "succeeded")

    def _in_waves(self, name: str, instance: str, group: str) -> Entry:
        """One domain, three, all ten; what each of them serves is looked at after each wave."""
        is_bad, world = name.startswith("bad"), self.sandbox.world
        names = [f"www{one}.{name}.example.com" for one in range(1, _DOMAINS + 1)]
        base = name.replace("-", "_")
        world.bind(world.add_certificate(self._old(names), base), *(world.add_domain(group, one) for one in names))
        deployment = f'gateway = "apig-demo"\nstrategy = "blue_green"\nname = "{base}"\nwaves = [1, 0.3, 1.0]'
        at = f"127.0.0.1:{self.sandbox.listeners.ports[instance]}"
        verify = f'[certificates.{name}.verify]\ndomains = true\ndomains_at = "{at}"\nwithin_seconds = 4'
        self._configure(name, f"{deployment}\ndomains = {_listed(names)}\n{verify}")
        expected = "failed" if is_bad else "succeeded"
        issued = self._renewed(name, self.authority.issue(names))
        return Entry(name, instance, names[0], issued, len(names), expected, is_kept=is_bad)

    def _on_listeners(self, number: int) -> Entry:
        name, world = f"balancer-{number:02}", self.sandbox.world
        names = [f"{name}.example.com"]
        stored = world.add_upload(self._old(names), name)
        first = world.add_listener()
        load_balancer = world.listeners[first].load_balancer
        listeners = [first, *(world.add_listener(load_balancer) for _ in range(_LISTENERS - 1))]
        for listener in listeners:
            world.bind_listener(stored, listener)
        told = ", ".join(f'{{id = "{one}", load_balancer = "{load_balancer}"}}' for one in listeners)
        deployment = (
            f'gateway = "bycloud-demo"\nstrategy = "replace"\ncertificate_id = "{stored}"\nlisteners = [{told}]'
        )
        self._configure(name, deployment)
        return Entry(
            name, first, names[0], self._renewed(name, self.authority.issue(names)), len(listeners), "succeeded"
        )

    def _stale(self, instance: str, group: str) -> Entry:
        """Its renewal is older than what is stored."""
        name, world = "stale-01", self.sandbox.world
        names = [f"www.{name}.example.com"]
        stored = world.add_certificate(self.authority.issue(names), "stale_01")
        world.bind(stored, world.add_domain(group, names[0]))
        self._configure(name, f'gateway = "apig-demo"\ncertificate_id = "{stored}"\ndomains = "attached"')
        issued = self._renewed(name, self.authority.issue(names, not_before=_days_ago(30)))
        return Entry(name, instance, names[0], issued, 1, "superseded", is_kept=True)

    def _configure(self, name: str, deployment: str) -> None:
        head = f'[certificates.{name}]\nproducers = ["{self.producer}"]\n'
        text = f"{head}[[certificates.{name}.deployments]]\n{deployment}\n"
        (self.folder / "certificates.d" / f"{name}.toml").write_text(text)

    def _renewed(self, name: str, issued: Issued) -> Issued:
        """As an ACME client leaves it on disk."""
        (self.folder / f"{name}.pem").write_text(issued.chain_pem)
        key = self.folder / f"{name}.key"
        key.touch(mode=0o600)
        key.write_text(issued.private_key_pem)
        return issued

    def settings(self, broker_url: str) -> Settings:
        """config/demo.toml with this world's places filled in."""
        own = self.sandbox.config
        for name, secret in (("password", own.password), ("secret", own.secret)):
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_text(secret)
        (self.folder / "roots.pem").write_text(self.authority.root_pem)
        places: Mapping[str, str] = {
            "folder": str(self.folder),
            "broker_url": broker_url,
            "prefix": f"demo.{uuid4().hex[:8]}",
            "apig_endpoint": self.sandbox.apig_endpoint,
            "iam_endpoint": self.sandbox.iam_endpoint,
            "bycloud_endpoint": self.sandbox.bycloud_endpoint,
            "project_id": own.project_id,
        }
        path = self.folder / "worker.toml"
        path.write_text(Template(_template().read_text()).substitute(places))
        return load(path, {})


def _template() -> Path:
    """Beside the package in a checkout, inside it once installed."""
    here = Path(__file__)
    return next(one for one in (here.parents[2] / "config" / "demo.toml", here.with_name("demo.toml")) if one.exists())


def _days_ago(days: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)


def _listed(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
