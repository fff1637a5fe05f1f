"""ByCloud's `replace` among many uploads that went back, and that no call deletes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_blue_green import Eyes
from tests.support.bycloud_cloud import Cloud, opened
from tests.support.gateways import AUTHORITY, bycloud, checked
from tests.support.values import bundle, deployment, leaf, listener
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure
from worker.core.planning import Observed
from worker.core.proof import Served, Shortfall
from worker.core.uploads import uploaded_name
from worker.gateways.transport import Answer, Request
from worker.rotation import Rotator
from worker.sandbox import Sandbox
from worker.sandbox.ca import Issued
from worker.sandbox.world import World

NOW = datetime.now(UTC).replace(microsecond=0)
BAD = 8


def issued(days_ago: int) -> Issued:
    return AUTHORITY.issue(["*.example.com"], not_before=NOW - timedelta(days_ago))


def uploaded(world: World, days_ago: int) -> str:
    one = issued(days_ago)
    name = uploaded_name("front", checked(one).leaf)
    return world.add_upload(one, name, created_at=NOW - timedelta(days_ago))


async def test_after_many_bad_uploads_listeners_go_back_to_where_they_were_all_the_same(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, bycloud(sandbox, tmp_path) as gateway:
        world = sandbox.world
        old, listeners = uploaded(world, 60), [world.add_listener() for _ in range(3)]
        for one in listeners:
            world.bind_listener(old, one)
        for number in range(BAD):
            uploaded(world, 30 - number)
        rotator = Rotator({"by": gateway}, verify=Eyes(lambda wave, _: wave == 2), settle_seconds={"by": 0})
        bindings = tuple(Binding("listener", one) for one in listeners)
        target = Deployment("by", "replace", None, "front", bindings)
        report = await rotator.rotate(Certificate("shop", [target]), checked(issued(1)))
        assert report.reason == "rolled_back"
        assert {one for it in world.listeners.values() for one in it.bindings.values()} == {old}
        [told] = report.deployments
        assert told.previous is not None
        assert told.previous.not_after == world.uploads[old].leaf.not_valid_after_utc


class Terse(Cloud):
    """Its list leaves the bindings out; a listener has one certificate."""

    def _shown(self, path: Sequence[str]) -> dict[str, Any]:
        told = super()._shown(path)
        if not path:
            told["certificates"] = [{**one, "bindings": None} for one in told["certificates"]]
        return told

    def _bind(self, request: Request, body: dict[str, Any]) -> Answer:
        for one in self.certificates.values():
            one["bindings"] = [row for row in one["bindings"] if row["resource_id"] != body["resource_id"]]
        return super()._bind(request, body)


@pytest.mark.parametrize("name", ["shop", "by_hand"])
def test_where_the_list_tells_no_bindings_what_is_known_from_before_is_asked_too(name: str) -> None:
    at = [_row("l1")]
    cloud = Terse()
    cloud.add(id="old", name=name, bindings=at, created_at="2025-01-01T00:00:00Z")
    for number in range(BAD):
        cloud.add(id=f"bad{number}", name=f"shop-{number:012x}", created_at=f"2026-01-0{number + 1}T00:00:00Z")
    target = deployment(strategy="replace", certificate_id=None, name="shop", bindings=(listener(),))

    def seen(*known: str) -> Observed:
        return run_virtual(opened(cloud).observe(target, leaf(), known=known))

    [bound] = seen("old").bound
    assert bound.stored is not None
    assert bound.stored.certificate_id == "old"
    cloud.calls_made.clear()
    assert [one.stored for one in seen().bound] == [None]
    assert cloud.count("show_certificate") < BAD, "not all of them are asked"


def test_the_way_back_asks_for_what_it_leads_to() -> None:
    """Also where the list tells no bindings, and much was uploaded meanwhile."""
    cloud = Terse()
    cloud.add(id="old", name="shop", created_at="2025-01-01T00:00:00Z", bindings=[_row("l1"), _row("l2")])
    wanted = (listener("l1"), listener("l2"))
    target = deployment(strategy="replace", certificate_id=None, name="shop", bindings=wanted, waves=(1, 1.0))

    def finds(_wave: int, _served: Served) -> Sequence[Shortfall]:
        for number in range(BAD):
            cloud.add(id=f"bad{number}", name=f"shop-{number:012x}", created_at=f"2026-01-0{number + 1}T00:00:00Z")
        return [Shortfall(Failure("other_certificate", "at its place", transient=True), wanted[0], "l1:443")]

    gateways, then = {"apig": opened(cloud)}, datetime(2026, 1, 5, tzinfo=UTC)
    rotator = Rotator(gateways, verify=Eyes(finds=finds), settle_seconds={"apig": 0}, utc_now=lambda: then)
    report = run_virtual(rotator.rotate(Certificate("shop", [target]), bundle()))
    assert report.reason == "rolled_back"


def _row(name: str) -> dict[str, Any]:
    return {"resource_id": name, "options": {"sni": False}, "status": "active"}
