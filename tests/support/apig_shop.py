"""A shop at a simulated APIG, and the deployments that reach it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.gateways import AUTHORITY, apig, checked
from worker.core.deployment import Binding, Deployment
from worker.core.planning import Observed
from worker.gateways.base import Gateway
from worker.sandbox import Sandbox
from worker.sandbox.world import World

NAMES = ("a.example.com", "b.example.com", "c.example.com")
OLD = AUTHORITY.issue(NAMES, not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(days=60))
NEW_ISSUED = AUTHORITY.issue(NAMES)
NEW = checked(NEW_ISSUED)


@dataclass
class Shop:
    """Two instances that have the same three domains; those of the first serve a stored certificate."""

    gateway: Gateway
    world: World
    instances: Sequence[str]
    groups: Sequence[str]
    domains: Sequence[Sequence[str]]
    certificate_id: str

    async def observe(self, **overrides: Any) -> Observed:
        return await self.gateway.observe(self.deployment(**overrides), NEW.leaf)

    def deployment(self, **overrides: Any) -> Deployment:
        fields: dict[str, Any] = {"certificate_id": self.certificate_id, "name": None, "bindings": None}
        return Deployment(**{"gateway": "apig", "strategy": "in_place", **fields, **overrides})

    def per_domain(self, *bindings: Binding) -> Deployment:
        return self.deployment(
            strategy="per_domain", certificate_id=None, name="shop_single", bindings=bindings or self.single()
        )

    def single(self) -> tuple[Binding, ...]:
        """The first instance's domains, as settings name them."""
        return tuple(Binding("domain", one, self.instances[0], None, self.groups[0], one) for one in self.domains[0])


@asynccontextmanager
async def shop(folder: Path, **overrides: Any) -> AsyncIterator[Shop]:
    async with Sandbox() as sandbox, apig(sandbox, folder, **overrides) as gateway:
        world = sandbox.world
        instances = [world.add_instance(), world.add_instance()]
        groups = [world.add_group(one) for one in instances]
        domains = [[world.add_domain(group, name) for name in NAMES] for group in groups]
        certificate_id = world.add_certificate(OLD, "shop")
        world.bind(certificate_id, *domains[0])
        yield Shop(gateway, world, instances, groups, domains, certificate_id)
