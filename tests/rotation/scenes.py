"""Clouds as they may be before a rotation, by strategy: fresh, drifted, half way, over many pages."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.support.gateways import AUTHORITY, apig, bycloud, checked
from worker.core.deployment import Binding, Deployment
from worker.core.past import Placed
from worker.core.uploads import uploaded_name
from worker.gateways.base import Gateway
from worker.gateways.huawei_apig.per_domain import upload_name
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.world import World

OLD: Final = AUTHORITY.issue(["*.example.com"], not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(60))
RENEWED: Final = AUTHORITY.issue(["*.example.com"], not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(1))
NEWER: Final = AUTHORITY.issue(["*.example.com"])
NEW: Final = checked(RENEWED)
GREEN: Final = uploaded_name("shop", NEW.leaf, "_")
GONE: Final = "0" * 32
"""An id that nothing has any more."""


@dataclass
class Scene:
    """A cloud as it is before, and what shall be rotated there."""

    sandbox: Sandbox
    folder: Path
    is_apig: bool = True
    fields: dict[str, Any] = field(default_factory=dict)
    past: Sequence[Placed] = ()

    @property
    def world(self) -> World:
        return self.sandbox.world

    def deployment(self) -> Deployment:
        kind = {"gateway": "apig", "strategy": "in_place"} if self.is_apig else {"gateway": "bycloud"}
        return Deployment(**{**kind, "certificate_id": None, "name": None, "bindings": None, **self.fields})

    def opened(self) -> AbstractAsyncContextManager[Gateway]:
        """As another process would open it: nothing is remembered."""
        return (apig if self.is_apig else bycloud)(self.sandbox, self.folder)

    def domains(self, size: int, *, flagged: int = 0) -> Sequence[str]:
        """Ids; all on one instance and in one group."""
        group = self.world.add_group(self.world.add_instance())
        names = [f"d{number:04}.example.com" for number in range(size)]
        return [self.world.add_domain(group, one, client_verification=at < flagged) for at, one in enumerate(names)]

    def named(self, ids: Sequence[str]) -> tuple[Binding, ...]:
        found = [self.world.domains[one] for one in ids]
        return tuple(Binding("domain", one.name, one.instance_id, one.client_verification) for one in found)

    def single(self, ids: Sequence[str], *flagged: str) -> tuple[Binding, ...]:
        found = [self.world.domains[one] for one in ids]
        return tuple(
            Binding("domain", one.id, one.instance_id, one.id in flagged or None, one.group_id, one.id) for one in found
        )


def _in_place(scene: Scene) -> None:
    ids = scene.domains(3, flagged=1)
    scene.fields = {"certificate_id": scene.world.add_certificate(OLD, "shop"), "bindings": scene.named(ids)}
    scene.world.bind(scene.fields["certificate_id"], *ids)


def _in_place_of_many(scene: Scene) -> None:
    ids = scene.domains(1100)
    scene.fields = {"certificate_id": scene.world.add_certificate(OLD, "shop")}
    scene.world.bind(scene.fields["certificate_id"], *ids)


def _in_place_where_others_are_bound_too(scene: Scene) -> None:
    ids = scene.domains(520)
    scene.fields = {"certificate_id": scene.world.add_certificate(OLD, "shop"), "bindings": scene.named(ids[:7])}
    scene.world.bind(scene.fields["certificate_id"], *ids)


def _created(scene: Scene) -> None:
    scene.fields = {"name": "shop", "bindings": scene.named(scene.domains(501))}


def _created_in_the_place_of_one_that_is_gone(scene: Scene) -> None:
    scene.fields = {"certificate_id": GONE, "name": "shop", "bindings": scene.named(scene.domains(2))}


def _in_place_by_name(scene: Scene) -> None:
    ids = scene.domains(2)
    scene.world.bind(scene.world.add_certificate(OLD, "shop"), *ids)
    scene.fields = {"name": "shop", "bindings": scene.named(ids)}


def _in_place_by_a_name_that_many_begin_with(scene: Scene) -> None:
    _in_place_by_name(scene)
    for number in range(500):
        scene.world.add_certificate(OLD, f"shop_{number}")


def _drifted(scene: Scene) -> None:
    """Five hundred are bound, one of them without its flag; one is not."""
    ids = scene.domains(501, flagged=1)
    scene.fields = {"certificate_id": scene.world.add_certificate(RENEWED, "shop"), "bindings": scene.named(ids)}
    scene.world.bind(scene.fields["certificate_id"], *ids[:500])
    scene.world.domains[ids[0]].client_verification = False


def _per_domain(scene: Scene) -> None:
    ids = scene.domains(4)
    scene.world.bind(scene.world.add_certificate(OLD, "shared"), *ids[:3])
    scene.fields = {"strategy": "per_domain", "name": "shop_single", "bindings": scene.single(ids, ids[2])}


def _per_domain_again(scene: Scene) -> None:
    """Of earlier uploads one is left of a domain that is no longer listed, and still bound there."""
    _per_domain(scene)
    scene.fields["bindings"] = bindings = scene.single(scene.domains(5))
    for one in bindings:
        name = upload_name("shop_single", one, checked(OLD).leaf)
        scene.world.bind(scene.world.add_certificate(OLD, name), str(one.domain_id))
    scene.fields["bindings"] = bindings[1:]


def _per_domain_half_way(scene: Scene) -> None:
    """One is done, one uploaded and not bound, one bound without its flag, one not begun."""
    ids = scene.domains(4)
    scene.fields = {"strategy": "per_domain", "name": "shop_single", "bindings": scene.single(ids, ids[2])}
    uploads = [
        scene.world.add_certificate(RENEWED, upload_name("shop_single", one, NEW.leaf))
        for one in scene.fields["bindings"][:3]
    ]
    scene.world.bind(uploads[0], ids[0])
    scene.world.bind(uploads[2], ids[2])
    scene.world.bind(scene.world.add_certificate(OLD, "shared"), ids[1], ids[3])


def _per_domain_but_for_a_newer_one(scene: Scene) -> None:
    """In two groups; what is newer is left alone, and read all the same."""
    ids = [*scene.domains(3), *scene.domains(2)]
    scene.world.bind(scene.world.add_certificate(OLD, "shared"), *ids)
    scene.world.bind(scene.world.add_certificate(NEWER, "newer"), ids[1])
    scene.fields = {"strategy": "per_domain", "name": "shop_single", "bindings": scene.single(ids)}


def _blue_green(scene: Scene) -> None:
    ids = scene.domains(30, flagged=1)
    scene.world.bind(scene.world.add_certificate(OLD, "shop"), *ids)
    scene.fields = {"strategy": "blue_green", "name": "shop", "bindings": scene.named(ids)}


def _blue_green_over_pages(scene: Scene) -> None:
    ids = scene.domains(1010)
    scene.world.bind(scene.world.add_certificate(OLD, "shop"), *ids)
    scene.fields = {"strategy": "blue_green", "name": "shop", "bindings": scene.named(ids), "waves": (1, 0.5, 1.0)}


def _blue_green_kept(scene: Scene) -> None:
    _blue_green(scene)
    scene.fields["retire_after_seconds"] = 3600.0


def _blue_green_that_is_over(scene: Scene) -> None:
    """All has moved; what was before may go now."""
    ids = scene.domains(3)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    scene.world.add_certificate(OLD, "shop", created_at=long_ago - timedelta(days=60))
    scene.world.bind(scene.world.add_certificate(RENEWED, GREEN, created_at=long_ago), *ids)
    scene.fields = {
        "strategy": "blue_green",
        "name": "shop",
        "bindings": scene.named(ids),
        "retire_after_seconds": 60.0,
    }
    leaf = NEW.leaf
    ends = leaf.not_before, leaf.not_after
    scene.past = [Placed("r1", leaf.fingerprint_sha256, *ends, serial_number=str(leaf.serial_number), at=long_ago)]


def _blue_green_half_way(scene: Scene) -> None:
    """Others are bound to the old one, too, so that it stays."""
    ids = scene.domains(12)
    scene.world.bind(scene.world.add_certificate(OLD, "shop"), *ids[4:])
    scene.world.bind(scene.world.add_certificate(RENEWED, GREEN), *ids[:4])
    scene.fields = {"strategy": "blue_green", "name": "shop", "bindings": scene.named(ids[:11])}


def _blue_green_but_for_a_newer_one(scene: Scene) -> None:
    _blue_green(scene)
    scene.world.bind(scene.world.add_certificate(NEWER, "other"), next(iter(scene.world.domains)))


def _listeners(scene: Scene, size: int) -> tuple[Binding, ...]:
    return tuple(Binding("listener", scene.world.add_listener()) for _ in range(size))


def _rebound(scene: Scene) -> None:
    scene.is_apig = False
    wanted = _listeners(scene, 3)
    stored = scene.world.add_upload(RENEWED, "managed")
    scene.world.bind_listener(stored, wanted[0].name)
    scene.fields = {"strategy": "rebind", "certificate_id": stored, "bindings": wanted}


def _replaced(scene: Scene) -> None:
    scene.is_apig = False
    wanted = _listeners(scene, 10)
    stored = scene.world.add_upload(OLD, "shop")
    for one in wanted:
        scene.world.bind_listener(stored, one.name)
    scene.fields = {"strategy": "replace", "certificate_id": stored, "bindings": wanted}


def _replaced_at_once(scene: Scene) -> None:
    _replaced(scene)
    scene.fields["waves"] = (1.0,)


def _replaced_among_many(scene: Scene) -> None:
    _replaced(scene)
    for number in range(99):
        scene.world.add_upload(OLD, f"other{number}")
    scene.fields |= {"name": "shop", "certificate_id": None}


def _replaced_half_way(scene: Scene) -> None:
    _replaced(scene)
    done = scene.world.add_upload(RENEWED, uploaded_name("shop", NEW.leaf))
    for one in scene.fields["bindings"][:4]:
        scene.world.bind_listener(done, one.name)


def _put(scene: Scene) -> None:
    """One listener: of many that are bound already, how many are looked at together is a matter of time."""
    scene.is_apig = False
    stored, wanted = scene.world.add_upload(OLD, "shop"), _listeners(scene, 1)
    scene.world.bind_listener(stored, wanted[0].name)
    scene.fields = {"strategy": "in_place", "certificate_id": stored, "bindings": wanted}


def _put_by_name(scene: Scene) -> None:
    _put(scene)
    scene.fields |= {"certificate_id": None, "name": "shop"}


def _first_of_its_name(scene: Scene) -> None:
    scene.is_apig = False
    scene.fields = {"strategy": "in_place", "name": "shop", "bindings": _listeners(scene, 2)}


SCENES: Final[Mapping[str, Callable[[Scene], None]]] = {
    one.__name__.removeprefix("_"): one
    for one in (
        _in_place,
        _in_place_of_many,
        _in_place_where_others_are_bound_too,
        _created,
        _created_in_the_place_of_one_that_is_gone,
        _in_place_by_name,
        _in_place_by_a_name_that_many_begin_with,
        _drifted,
        _per_domain,
        _per_domain_again,
        _per_domain_half_way,
        _per_domain_but_for_a_newer_one,
        _blue_green,
        _blue_green_over_pages,
        _blue_green_kept,
        _blue_green_that_is_over,
        _blue_green_half_way,
        _blue_green_but_for_a_newer_one,
        _rebound,
        _replaced,
        _replaced_at_once,
        _replaced_among_many,
        _replaced_half_way,
        _put,
        _put_by_name,
        _first_of_its_name,
    )
}


@asynccontextmanager
async def laid_out(name: str, folder: Path) -> AsyncIterator[Scene]:
    async with Sandbox(SandboxConfig(has_put=True)) as sandbox:
        scene = Scene(sandbox, folder)
        SCENES[name](scene)
        yield scene
