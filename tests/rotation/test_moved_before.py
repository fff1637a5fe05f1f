"""What an attempt has moved that nobody knows of any more, and that turns out bad."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.rotation.test_blue_green import MANY, OLD, Eyes, Stage, stage
from tests.rotation.test_going_back import Attempts
from worker.core.deployment import Binding
from worker.core.errors import Failure
from worker.core.outcome import Report
from worker.core.proof import Served, Shortfall


async def unseen_and_then_bad(one: Stage) -> Report:
    """By a worker that could see nothing, and by one that nobody told of it, and that finds the canary bad."""

    def look(wave: int, served: Served) -> Sequence[Shortfall]:
        failure = Failure("other_certificate", "at 127.0.0.1", transient=True)
        canary = next(it for it in served.bindings if it.name == MANY[0])
        return [Shortfall(failure, canary, "host:443", is_blind=wave == 1)]

    one.eyes.finds = look
    attempts = Attempts(one, one.gateway)
    await attempts.rotate()
    assert one.bound()[one.green] == 1
    attempts.notes.clear()
    attempts.begin()
    return await attempts.rotate()


async def test_what_an_attempt_moved_that_nobody_knows_of_goes_back_to_where_the_others_still_are(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as one:
        report = await unseen_and_then_bad(one)
        assert (report.reason, one.bound(), one.eyes.waves) == ("rolled_back", {"shop": 40}, [1, 1])
        assert [why.transient for why in report.failures] == [False]


async def test_what_is_bad_and_stays_where_it_is_makes_a_roll_back_none(tmp_path: Path) -> None:
    """It had moved from a certificate that nothing says to be the deployment's own."""
    async with stage(tmp_path, name="by_hand") as one:
        report = await unseen_and_then_bad(one)
        assert (report.reason, one.bound()) == ("binding_failed", {"by_hand": 39, one.green: 1})
        [why] = report.failures
        assert (why.reason, why.message.endswith("nobody knows what was there before")) == ("other_certificate", True)
        assert [it.binding.name for [told] in [report.deployments] for it in told.bindings if it.failure] == [MANY[0]]


@pytest.mark.parametrize("is_listed", [True, False])
async def test_what_came_from_a_certificate_of_another_name_is_back_where_it_is_shown_with_both(
    tmp_path: Path, *, is_listed: bool
) -> None:
    """Listed with its instance or without."""
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 3), name="by_hand") as one:
        one.world.attach_adds = True
        bindings = one.bindings if is_listed else tuple(Binding("domain", name) for name in MANY)
        told = await one.rotate(bindings=bindings)
        assert (told.reason, [why.transient for why in told.failures]) == ("rolled_back", [False])
        assert one.bound() == {"by_hand": 40}, "the new one is deleted"


async def test_where_nothing_has_come_from_another_certificate_the_way_back_costs_no_look_at_one(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 3)) as one:
        foreign = one.world.add_certificate(OLD, "by_hand")
        assert (await one.rotate()).reason == "rolled_back"
        assert [it for it in one.world.journal if foreign in str(it)] == []
