"""Which endpoints answer before a change, and after it: waves against TLS listeners that serve what is bound."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.rotation.test_blue_green import NEW, OLD
from tests.support.gateways import apig
from tests.verification.servers import closed_port
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.note import Note
from worker.core.outcome import Report
from worker.core.proof import Reach, Served, Shortfall
from worker.effort import Effort, spending
from worker.gateways.base import Gateway
from worker.rotation import Rotator
from worker.sandbox import Sandbox
from worker.sandbox.flaws import Flaw, Key
from worker.sandbox.flaws import Served as Shown
from worker.sandbox.world import World
from worker.verification import Probing
from worker.verification.looking import Probe
from worker.verification.places import Places

SHOPS = tuple(f"shop-{number:02}.example.com" for number in range(25))
FRONTS = tuple(f"front-{number:02}.example.com" for number in range(25))
WAVES = (1, 0.2, 1.0)


class Breaking(Flaw):
    """Comes to no handshake once it has another certificate than the old one."""

    def spoilt(self, key: Key, served: Shown) -> Shown | None:
        return served if served.chain_pem == OLD.chain_pem else None


@dataclass
class Stage:
    """Blue and green at two instances, `shop` and `front`, each with domains of its own."""

    world: World
    gateway: Gateway
    ports: dict[str, int]
    """By instance."""
    dead_port: int
    names: dict[str, Sequence[str]]
    dead: set[str] = field(default_factory=set)
    """Names of domains whose endpoints nobody can reach."""
    order: int = 1
    """-1: the last domain's endpoint stands first in the settings."""
    longest_look: float = 60.0
    before: Sequence[Probe] = ()
    """Endpoints before all others."""
    notes: list[Note] = field(default_factory=list)
    rotator: Rotator | None = None

    def deployments(self) -> Sequence[Deployment]:
        return [
            Deployment("apig", "blue_green", None, self.stored(at), self.bindings(at), waves=WAVES) for at in self.names
        ]

    def bindings(self, instance: str) -> tuple[Binding, ...]:
        return tuple(Binding("domain", name, instance) for name in self.names[instance])

    def stored(self, instance: str) -> str:
        return self.names[instance][0].partition("-")[0]

    def probing(self) -> Probing:
        there = [(name, port) for at, port in self.ports.items() for name in self.names.get(at, ())]
        asked = [Probe("127.0.0.1", self.dead_port if name in self.dead else port, name) for name, port in there]
        endpoints = (*self.before, *asked[:: self.order])
        return Probing({"shop": Places(endpoints, within=0)}, lambda: datetime.now(UTC), longest_look=self.longest_look)

    def begin(self) -> Rotator:
        """Another process, which knows what is noted."""
        prove = self.probing()
        rotator = Rotator({"apig": self.gateway}, prove, {"apig": 0}, looks=prove.reach, asked=prove.behind)
        rotator.recall(NEW.leaf, {note.deployment: note.snapshot for note in self.notes})
        return rotator

    async def keep(self, note: Note) -> None:
        self.notes.append(note)

    async def rotate(self) -> Report:
        self.rotator = self.rotator or self.begin()
        with spending(Effort(keep=self.keep)):
            return await self.rotator.rotate(Certificate("shop", self.deployments()), NEW)

    def moved(self) -> list[int]:
        """At each instance."""
        new = {
            one.id for one in self.world.certificates.values() if one.name.endswith(NEW.leaf.fingerprint_sha256[:12])
        }
        domains = self.world.domains.values()
        return [sum(one.certificate_id in new for one in domains if one.instance_id == at) for at in self.names]


@asynccontextmanager
async def stage(folder: Path, *shops: Sequence[str]) -> AsyncIterator[Stage]:
    async with Sandbox() as sandbox, apig(sandbox, folder) as gateway:
        world, names = sandbox.world, dict[str, Sequence[str]]()
        for row in shops or (SHOPS,):
            instance = world.add_instance()
            blue = world.add_certificate(OLD, row[0].partition("-")[0])
            group = world.add_group(instance)
            world.bind(blue, *(world.add_domain(group, one) for one in row))
            names[instance] = row
        ports = dict(await sandbox.open_listeners())
        yield Stage(world, gateway, ports, await closed_port(), names)


def sizes(logs: Sequence[object]) -> list[int]:
    """Of waves."""
    return [one["bindings"] for one in logs if isinstance(one, dict) and one["event"] == "wave.finished"]


async def test_a_dead_endpoint_is_no_canary_and_keeps_no_other_domain_from_being_renewed(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.dead.add(SHOPS[0])
        with capture_logs() as logs:
            report = await one.rotate()
        told = {it.binding.name: it.failure.reason for it in report.deployments[0].bindings if it.failure}
        assert (report.reason, told, one.moved()) == ("not_reachable", {SHOPS[0]: "not_reachable"}, [25])
        assert (sizes(logs), [why.transient for why in report.failures]) == ([1, 4, 20], [True])


async def test_beside_a_dead_endpoint_what_is_bad_moves_one_binding_alone_and_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.dead.add(SHOPS[0])
        one.world.spoil(Flaw("leaf_only"))
        report = await one.rotate()
        states = [it.state for it in report.deployments[0].bindings]
        assert (report.reason, one.moved()) == ("rolled_back", [0])
        assert (states.count("rolled_back"), states.count("unchanged")) == (1, 24)


async def test_where_nothing_at_all_answers_nothing_more_moves_until_something_does(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.dead.update(SHOPS)
        for _ in range(2):
            assert ((await one.rotate()).reason, one.moved()) == ("not_reachable", [1])
        one.dead.clear()
        one.rotator = None
        assert ((await one.rotate()).outcome, one.moved()) == ("succeeded", [25])


async def test_a_deployment_of_which_nothing_answers_moves_where_another_one_does(tmp_path: Path) -> None:
    async with stage(tmp_path, SHOPS, FRONTS) as one:
        one.dead.update(FRONTS)
        with capture_logs() as logs:
            report = await one.rotate()
        assert ([it.reason for it in report.deployments], one.moved()) == (["rotated", "not_reachable"], [25, 25])
        assert "canary.unproven" in [line["event"] for line in logs]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("longest_look", [60.0, -1.0])
async def test_a_canary_that_breaks_goes_back_wherever_its_endpoint_stands(
    tmp_path: Path, order: int, longest_look: float
) -> None:
    async with stage(tmp_path) as one:
        one.order, one.longest_look = order, longest_look
        one.before = [Probe("127.0.0.1", one.dead_port, f"dead-{at}.test") for at in range(256)]
        one.world.spoil(Breaking("no_handshake", name=SHOPS[0]))
        report = await one.rotate()
        assert (report.reason, one.moved()) == ("rolled_back", [0])
        assert [why.reason for why in report.failures] == ["not_reachable"]


@pytest.mark.parametrize("is_another", [False, True])
async def test_the_second_deployments_canary_that_breaks_goes_back(tmp_path: Path, *, is_another: bool) -> None:
    """Also where another process takes over before it was proven: the note has room for few of them."""
    async with stage(tmp_path, SHOPS, FRONTS) as one:
        one.world.spoil(Breaking("no_handshake", name=FRONTS[0]))
        if is_another:

            async def dies(_served: Served, /) -> Sequence[Shortfall]:
                raise asyncio.CancelledError

            one.rotator = replace(one.begin(), verify=dies)
            with pytest.raises(asyncio.CancelledError):
                await one.rotate()
            assert one.moved() == [1, 1]
            one.rotator = None
        report = await one.rotate()
        assert ([it.reason for it in report.deployments], one.moved()) == (["rotated", "rolled_back"], [25, 0])
        assert all(len(note.snapshot.reach.answered) <= 20 for note in one.notes)


def test_a_note_has_room_for_some_of_what_was_reached_and_for_what_is_its_own_first() -> None:
    many = [f"host-{at:04} at host:443" for at in range(3000)]
    dead = frozenset(f"{one} {address}" for one in many for address in ("", "10.0.0.1"))
    noted = Reach(frozenset(many), dead).noted(many[-5:])
    assert (len(noted.answered), noted.answered > set(many[-5:])) == (20, True)
    assert (len(noted.unreached), noted.unreached > {f"{one} " for one in many[-5:]}) == (1000, True)
    assert not any(one.endswith("10.0.0.1") for one in noted.unreached), "that none answered says all of it"
    half = Reach(frozenset(many[:1]), frozenset({f"{many[0]} 10.0.0.2"}))
    assert half.noted(()) == half
