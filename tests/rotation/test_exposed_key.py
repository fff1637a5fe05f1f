"""After a compromise nothing goes back to the key that strangers have, whatever is found of what took its place."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.rotation.test_blue_green import MANY, NEW, Eyes, seen_nothing, stage
from tests.rotation.test_put_back import BEFORE, Shelf, cloud
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, current, day, deployment, domain
from tests.support.virtual_time import run_virtual
from worker.core.bundle import Bundle
from worker.core.deployment import Certificate
from worker.core.errors import Failure
from worker.core.outcome import Report
from worker.core.proof import Served, Shortfall
from worker.core.renewal import Held, Reason, Renewal
from worker.core.snapshot import Snapshot
from worker.core.urgency import ORDINARY, Urgency
from worker.rotation import Rotator

EXPOSED = Urgency(stored_after=day(9), is_key_exposed=True)
TOLD = "nothing goes back: strangers may have the key of the certificate before"


@pytest.mark.parametrize("reason", ["renewal", "manual", "key_compromise", "ca_incident"])
def test_only_a_compromise_says_that_strangers_have_the_key(reason: Reason) -> None:
    urgency = Renewal("r1", "shop", "acme", Held(), reason).urgency
    assert urgency.is_key_exposed is (reason == "key_compromise")
    assert urgency.is_urgent is (reason in ("key_compromise", "ca_incident"))


async def test_a_bad_wave_stays_where_it_is_nothing_more_moves_and_that_is_tried_again(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave in (2, 3))) as one:
        rotator = Rotator({"apig": one.gateway}, verify=one.eyes, settle_seconds={"apig": 0})
        shop = Certificate("shop", [one.deployment()])
        for _attempt in range(2):
            report = await rotator.rotate(shop, NEW, urgency=EXPOSED)
            assert (report.outcome, one.bound()) == ("failed", {"shop": 36, one.green: 4})
            assert all(why.transient for why in report.failures)
            [bad] = [why for why in report.failures if why.reason == "other_certificate"]
            assert bad.message.endswith(TOLD)
            left = [it for it in report.deployments[0].bindings if it.failure and it.failure.reason == "binding_failed"]
            assert {it.binding.name for it in left} == set(MANY[4:]), "they are served with the exposed key"
        report = await rotator.rotate(shop, NEW, urgency=EXPOSED)
        assert (report.outcome, one.bound()) == ("succeeded", {one.green: 40})
        assert one.eyes.waves == [1, 4, 4, 4, 40]


def rotated(gateway: FakeGateway, urgency: Urgency, *, of_binding: bool = True) -> Report:
    async def verify(served: Served, /) -> Sequence[Shortfall]:
        where = served.bindings[0] if of_binding else None
        return [Shortfall(Failure("chain_incomplete", "at it", transient=True), where, "a.example.com:443")]

    rotator = Rotator({"apig": gateway}, verify, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))
    return run_virtual(rotator.rotate(certificate(deployment()), bundle(), urgency=urgency))


@pytest.mark.parametrize("of_binding", [True, False])
def test_in_its_own_place_the_exposed_material_is_not_put_back_either(*, of_binding: bool) -> None:
    gateway = cloud()
    report = rotated(gateway, EXPOSED, of_binding=of_binding)
    assert (report.outcome, report.reason) == ("failed", "chain_incomplete")
    assert [(why.message, why.transient) for why in report.failures] == [(f"at it; {TOLD}", True)]
    assert gateway.stored is not None
    assert gateway.stored.serial_number == 4660
    assert rotated(cloud(), Urgency(stored_after=day(9)), of_binding=of_binding).reason == "rolled_back"


@pytest.mark.parametrize("urgency", [ORDINARY, EXPOSED])
def test_what_another_renewal_of_the_same_certificate_found_bad_takes_nothing_back_to_an_exposed_key(
    urgency: Urgency,
) -> None:
    gateway, asked = cloud(stored=current()), list[Served]()

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        asked.append(served)
        return ()

    async def later() -> Report:
        shortfall = Shortfall(Failure("still_old", "there", transient=True), domain(), "a.example.com:443")
        known = Snapshot(previous=None, is_replaced=True).condemned((), [shortfall])
        rotator.recall(renewed.leaf, {deployment().key: known})
        return await rotator.rotate(certificate(deployment()), renewed, urgency=urgency)

    renewed: Bundle = bundle()
    rotator = Rotator({"apig": gateway}, verify, kept={"shop": Shelf(BEFORE)}, utc_now=lambda: day(10))
    report = run_virtual(later())
    assert (report.outcome, len(asked)) == (("succeeded", 1) if urgency is EXPOSED else ("failed", 0))


async def test_what_cannot_be_seen_at_all_is_tried_again_as_ever(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.eyes.finds = seen_nothing
        rotator = Rotator({"apig": one.gateway}, verify=one.eyes, settle_seconds={"apig": 0})
        report = await rotator.rotate(Certificate("shop", [one.deployment()]), NEW, urgency=EXPOSED)
        assert (report.reason, one.bound()) == ("not_reachable", {"shop": 39, one.green: 1})
