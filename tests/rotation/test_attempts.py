"""What is told of a rotation is what it did, over all of its attempts; and nothing that it did not."""

from pathlib import Path

import pytest

from tests.rotation.scenes import NEW, OLD, laid_out
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Certificate
from worker.core.errors import Failure, PermanentError, TransientError
from worker.core.outcome import DeploymentReport
from worker.rotation import Rotator


async def told_of(scene_name: str, folder: Path) -> DeploymentReport:
    """By a process that nobody has told of an earlier one."""
    async with laid_out(scene_name, folder) as scene, scene.opened() as gateway:
        rotator = Rotator({gateway.name: gateway}, settle_seconds={gateway.name: 0})
        [report] = (await rotator.rotate(Certificate("shop", [scene.deployment()]), NEW)).deployments
        return report


@pytest.mark.parametrize("scene", ["replaced", "replaced_half_way", "blue_green", "blue_green_half_way"])
async def test_what_moves_has_replaced_what_was_there_whoever_stored_it(scene: str, tmp_path: Path) -> None:
    report = await told_of(scene, tmp_path)
    assert (report.outcome, report.reason, report.replaced) == ("succeeded", "rotated", True)
    assert report.previous is not None
    assert report.previous.not_after == OLD.certificate.not_valid_after_utc


async def test_a_flag_that_is_put_right_has_replaced_nothing(tmp_path: Path) -> None:
    report = await told_of("drifted", tmp_path)
    assert (report.reason, report.replaced, report.previous) == ("rotated", False, None)


def test_a_last_attempt_that_sees_nothing_any_more_tells_what_those_before_have_replaced() -> None:
    cloud = FakeGateway(
        stored(), {"a.example.com": False}, sick={"a.example.com": Failure("throttled", "", transient=True)}
    )
    rotator, shop = Rotator({"apig": cloud}, settle_seconds={"apig": 0}), certificate(deployment())
    run_virtual(rotator.rotate(shop, bundle()))
    cloud.errors["observe"] = [PermanentError("forbidden")]
    [report] = run_virtual(rotator.rotate(shop, bundle())).deployments
    assert (report.outcome, report.reason, report.replaced) == ("failed", "forbidden", True)
    assert report.previous is not None
    assert report.previous.serial_number == "1"


def test_what_could_not_be_replaced_is_not_told_as_replaced_by_a_later_attempt_that_sees_nothing() -> None:
    cloud = FakeGateway(stored(), {"a.example.com": False}, errors={"replace": [TransientError("throttled")]})
    rotator, shop = Rotator({"apig": cloud}, settle_seconds={"apig": 0}), certificate(deployment())
    run_virtual(rotator.rotate(shop, bundle()))
    cloud.errors["observe"] = [PermanentError("forbidden")]
    [report] = run_virtual(rotator.rotate(shop, bundle())).deployments
    assert (report.replaced, report.previous) == (False, None)
