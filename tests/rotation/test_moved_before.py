"""What an attempt has moved that nobody knows of any more, and that turns out bad."""

from collections.abc import Sequence
from pathlib import Path

from tests.rotation.test_blue_green import MANY, Stage, stage
from tests.rotation.test_going_back import Attempts
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
