"""The first wave is one that has moved: nothing more moves before something is where it shall be, and proven there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.rotation.test_arranged import endpoints
from tests.rotation.test_blue_green import MANY, NEW, Eyes, Stage, stage
from tests.rotation.test_going_back import AWAY, Attempts, Slices
from tests.support.values import domain, stored
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.moving import next_wave
from worker.core.outcome import BindingResult
from worker.core.planning import Keep, Plan, Stored
from worker.core.proof import Reach, Served, place_at
from worker.gateways.base import Gateway, OnResult
from worker.rotation import Rotator
from worker.sandbox.world import Fault
from worker.verification import Probing


def gone(one: Stage, number: int) -> Sequence[Binding]:
    """Domains that do not exist."""
    return tuple(Binding("domain", f"gone-{at:02}.example.com", one.instance) for at in range(number))


async def test_a_canary_that_cannot_be_moved_gives_its_place_to_the_next_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        report = await one.rotate(bindings=(*gone(one, 2), *one.bindings))
        assert one.eyes.waves == [1, 3, 40], "one of 42, and with it a tenth of them but for the two, and all"
        assert [it.binding.name for it in report.bindings if it.failure] == [it.name for it in gone(one, 2)]


async def test_what_takes_the_place_of_a_first_one_that_is_gone_is_what_an_endpoint_proves(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda _wave, served: MANY[0] in {it.name for it in served.bindings})) as one:
        bindings = (*gone(one, 1), *one.bindings)
        probing = Probing({"shop": endpoints(bindings[0].name, MANY[0])}, lambda: datetime.now(UTC))
        gateways, settle = {"apig": one.gateway}, {"apig": 0.0}
        rotator = Rotator(gateways, one.eyes, settle, asked=probing.behind, chance=lambda: 0.99)
        certificate = Certificate("shop", [one.deployment(bindings=bindings, waves=(1, 0.5, 1.0))])
        [report] = (await rotator.rotate(certificate, NEW)).deployments
        assert [it.binding.name for it in report.bindings if it.state == "rolled_back"] == [MANY[0]]
        assert set(one.eyes.waves) == {1}


async def test_what_is_bad_moves_one_binding_alone_although_the_first_ones_could_not_be_moved(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda _wave, _served: True)) as one:
        report = await one.rotate(bindings=(*gone(one, 3), *one.bindings))
        states = [it.state for it in report.bindings]
        assert (states.count("failed"), states.count("rolled_back"), states.count("unchanged")) == (3, 1, 39)
        assert (one.eyes.waves, one.bound()) == ([1], {"shop": 40})


async def test_however_many_are_gone_before_them_the_others_move(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        report = await one.rotate(bindings=(*gone(one, 12), *one.bindings))
        assert (one.eyes.waves[0], one.eyes.waves[-1], one.bound()[one.green]) == (1, 40, 40)
        assert [it.binding.name for it in report.bindings if it.failure] == [it.name for it in gone(one, 12)]


async def test_what_is_bad_moves_one_binding_alone_however_many_are_gone_before_it(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda _wave, _served: True)) as one:
        await one.rotate(bindings=(*gone(one, 12), *one.bindings))
        assert (one.eyes.waves, one.bound()) == ([1], {"shop": 40})


async def test_where_all_are_gone_each_is_tried_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        report = await one.rotate(bindings=gone(one, 15))
        assert (len(one.world.calls("attach_domains")), one.eyes.waves) == (15, [])
        assert one.bound() == {"shop": 40, one.green: 0}
        assert {why.reason for why in report.failures} == {"not_found"}
        assert not any(why.transient for why in report.failures)


async def test_a_canary_that_cannot_be_moved_for_now_is_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.world.faults.append(Fault("attach_domains", status=503, body={}))
        report = await one.rotate()
        assert (one.bound(), one.eyes.waves) == ({"shop": 40, one.green: 0}, [])
        assert all(why.transient for why in report.failures)


def plan(names: str, *waves: int) -> Plan:
    attach = tuple(domain(name, instance_id=str(at)) for at, name in enumerate(names))
    return Plan(Keep(stored()), attach, (), waves=waves)


@pytest.mark.parametrize(
    ("names", "waves", "at", "has_canary", "expected"),
    [
        ("abcdef", (1, 2, 3), 0, False, "1 a"),
        ("abcdef", (1, 2, 3), 1, True, "2 bc"),
        ("abcdef", (1, 2, 3), 3, True, "3 def last"),
        ("abcdef", (1, 2, 3), 6, True, None),
        # Those before could not be moved.
        ("abcdef", (1, 2, 3), 1, False, "1 b"),
        ("abcdef", (1, 2, 3), 2, True, "2 c"),
        ("abcdef", (1, 2, 3), 4, False, "1 e"),
        ("abcdef", (1, 2, 3), 5, False, "1 f last"),
        ("abcdef", (1, 2, 3), 6, False, None),
        ("abbcde", (1, 2, 3), 1, False, "1 bb"),
        ("abcdef", (2, 4), 5, False, "1 f last"),
        ("abcdef", (6,), 0, False, "1 abcdef last"),
        ("", (), 0, False, None),
    ],
)
def test_the_next_wave_is_as_planned_once_something_has_moved_and_another_first_one_until_then(
    names: str, waves: Sequence[int], at: int, has_canary: bool, expected: str | None
) -> None:
    wave = next_wave(plan(names, *waves), at, has_canary=has_canary)
    if wave is None:
        assert expected is None
        return
    told = [str(wave.number), "".join(it.name for it in wave.bindings)]
    assert " ".join([*told, *["last"] * wave.is_last]) == expected


async def test_the_log_says_what_went_back_and_to_what_and_why_in_one_line(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 3)) as one:
        with capture_logs() as told:
            await one.rotate()
        [line] = [line for line in told if line["event"] == "deployment.rolled_back"]
        assert (line["gateway"], line["bindings"], line["left"]) == ("apig", 40, 0)
        assert (line["names"], line["to"]) == (list(MANY[:20]), [one.blue])
        assert (line["reason"], line["why"]) == ("other_certificate", "at 127.0.0.1")


class AwayOnce(Slices):
    """The first call moves nothing."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.tried: list[str] = []

    async def attach(
        self,
        deployment: Deployment,
        to: Stored,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        self.tried.append(bindings[0].name)
        if len(self.tried) == 1:
            return [BindingResult(one, "failed", AWAY) for one in bindings]
        return await super().attach(deployment, to, bindings, bundle, on_result)


@pytest.mark.parametrize("is_another_life", [False, True])
async def test_a_later_attempt_knows_what_did_not_answer_before_the_first_change(
    tmp_path: Path, *, is_another_life: bool
) -> None:
    """The first one moved nothing: the next begins with what answered then, too."""
    dead, alive = MANY[0], MANY[5]

    def asked(served: Served) -> Mapping[str, Sequence[Binding]]:
        return {one.name: [one] for one in served.bindings if one.name in (dead, alive)}

    async def look(_served: Served) -> Reach:
        return Reach(frozenset({alive}), frozenset({place_at(dead)}))

    async with stage(tmp_path) as one:
        attempts = Attempts(one, away := AwayOnce(one.gateway))
        for wanted in ("failed", "succeeded"):
            attempts.rotator = replace(attempts.rotator, asked=asked, looks=look)
            assert (await attempts.rotate()).outcome == wanted
            if is_another_life:
                attempts.begin()
        assert away.tried[:2] == [alive, alive]
