"""What is detached has another certificate, before and after: against a simulated APIG where attaching adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.support.apig_shop import OLD, Shop, shop
from tests.support.gateways import unheard
from worker.core.deployment import Binding
from worker.core.planning import Stored
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.detaching import Detaching
from worker.gateways.transport import Transport
from worker.sandbox import SandboxConfig


class Meddled(ApigClient):
    """Somebody takes the first domain's other certificate away while a call to detach is under way."""

    one: Shop

    async def detach(self, certificate_id: str, domains: Sequence[Binding]) -> None:
        first = self.one.world.domains[self.one.domains[0][0]]
        first.certificate_id, first.former = None, {certificate_id}
        await super().detach(certificate_id, domains)


@dataclass
class Moved:
    one: Shop
    blue: Stored
    green: Stored
    bindings: Sequence[Binding]

    @classmethod
    async def to_another(cls, one: Shop) -> "Moved":
        one.world.attach_adds = True
        bindings = [row.binding.with_flag(row.binding.name.startswith("a")) for row in (await one.observe()).bound]
        green = Stored(one.world.add_certificate(OLD, "green"), "green")
        await one.gateway.attach(one.deployment(), green, bindings, None, unheard)
        return cls(one, Stored(one.certificate_id, "shop"), green, bindings)

    async def is_retired(self, client: type[ApigClient] = ApigClient) -> bool:
        made = client(cast("Transport", self.one.gateway.account), SandboxConfig().project_id)
        if isinstance(made, Meddled):
            made.one = self.one
        moved = dict.fromkeys(self.bindings, self.green.certificate_id)
        return await Detaching(made, 2).is_retired(self.blue, moved)

    def served(self) -> set[str | None]:
        return {self.one.world.domains[each].certificate_id for each in self.one.domains[0]}


async def test_what_is_shown_with_both_is_detached_and_deleted(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved = await Moved.to_another(one)
        assert await moved.is_retired()
        assert list(one.world.certificates) == [moved.green.certificate_id]
        assert moved.served() == {moved.green.certificate_id}


async def test_what_turns_out_to_have_nothing_else_gets_it_again_with_its_flag(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved = await Moved.to_another(one)
        assert not await moved.is_retired(Meddled)
        assert one.certificate_id in one.world.certificates
        assert None not in moved.served()
        flagged = [it.name for it in one.world.domains.values() if it.client_verification]
        assert flagged == ["a.example.com"]
