"""What goes back is under way like what goes forth: its phase, its counts and its estimate are told while it does."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from tests.rotation.test_blue_green import MANY, NEW, OLD, Eyes, Stage, stage
from tests.rotation.test_put_back import BEFORE, TODAY, Shelf, cloud
from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.commands.progress import progress
from worker.commands.rotate import _Watching
from worker.core import way_back
from worker.core.bundle import Bundle
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure
from worker.core.outcome import BindingResult, Report
from worker.core.planning import Create, Modify, Observed, Plan, Stored
from worker.core.progress import Progress
from worker.core.proof import Served, Shortfall
from worker.effort import Effort, spending
from worker.fleet.progress import RunningRotations
from worker.fleet.values import Phase
from worker.forecast import Forecast, Work
from worker.gateways.base import NOWHERE, Gateway, OnResult
from worker.gateways.huawei_apig.planned import planned
from worker.rotation import Rotator

_ROWS: Final = {"a.example.com": False, "b.example.com": True}


@dataclass(frozen=True, slots=True)
class Shown:
    """While a call is made."""

    call: str
    phase: Phase
    done: int
    total: int | None
    calls_left: int
    is_estimated: bool
    """By the page, and by the metrics to the same."""


@dataclass
class Onlooker:
    """Keeps what the page shows of one deployment at each call of its gateway."""

    progress: RunningRotations
    deployment: Deployment
    forecast: Forecast = field(default_factory=Forecast)
    works: list[Work] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)
    seen: list[Shown] = field(default_factory=list)

    def planned(self, _deployment: Deployment, work: Work) -> None:
        self.works.append(work)

    def bound(self, _deployment: Deployment, result: BindingResult) -> None:
        self.heard.append((result.binding.name, result.state))

    def look(self, call: str) -> None:
        for one in self.progress.of("shop"):
            [step], left = one.steps, self.works[-1].calls_left if self.works else 0
            remaining = self.forecast.seconds_left(self.deployment.gateway)
            is_estimated = bool(remaining) and step.seconds_left == pytest.approx(remaining)
            self.seen.append(Shown(call, step.phase, step.done, step.total, left, is_estimated))

    @property
    def back(self) -> Sequence[Shown]:
        """From its first call on."""
        first = next(number for number, one in enumerate(self.seen) if one.phase == "rolling back")
        return self.seen[first:]


def looking_on(to: Deployment) -> Onlooker:
    found = Onlooker(RunningRotations({"shop": certificate(to)}, lambda: TODAY), to)
    found.progress.also = found
    return found


class InTwenties:
    """A gateway that is looked at before each of its calls; twenty bindings a call."""

    def __init__(self, gateway: Gateway, look: Callable[[str], None]) -> None:
        self.gateway, self.look = gateway, look

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)

    async def observe(self, *what: Any, **how: Any) -> Observed:
        self.look("observe")
        return await self.gateway.observe(*what, **how)

    async def attach(
        self, to: Deployment, one: Stored, bindings: Sequence[Binding], bundle: Bundle | None, on_result: OnResult
    ) -> Sequence[BindingResult]:
        found: list[BindingResult] = []
        for start in range(0, len(bindings), 20):
            self.look(f"attach to {one.name}")
            found += await self.gateway.attach(to, one, bindings[start : start + 20], bundle, on_result)
        return found

    async def retire(self, one: Stored, moved: Any = NOWHERE) -> bool:
        self.look("retire")
        return await self.gateway.retire(one, moved)


async def rotated_in_waves(one: Stage) -> Onlooker:
    on = looking_on(one.deployment())
    gateway: Any = InTwenties(one.gateway, on.look)
    rotator = Rotator({"apig": gateway}, one.eyes, {"apig": 0}, watcher=on.progress, forecast=on.forecast)
    with spending(effort := Effort()), on.progress.rotating("shop", "r1", 1, effort):
        await rotator.rotate(Certificate("shop", [on.deployment]), NEW)
    return on


async def test_what_moved_in_waves_counts_down_while_it_goes_back(tmp_path: Path) -> None:
    """At its beginning: three calls that look, two that attach, three that read back, and two that delete."""
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 3)) as one:
        on = await rotated_in_waves(one)
        told = [(it.call, it.done, it.total, it.calls_left) for it in on.back]
        assert told == [
            ("observe", 0, 40, 10),
            ("attach to shop", 0, 40, 10),
            ("attach to shop", 20, 40, 8),
            ("observe", 40, 40, 5),
            ("retire", 40, 40, 1),
        ]
        assert {(it.phase, it.is_estimated) for it in on.back} == {("rolling back", True)}
        assert [state for _, state in on.heard[40:]] == ["rolled_back"] * 40


async def test_what_was_still_to_move_is_not_waited_for_while_the_first_goes_back(tmp_path: Path) -> None:
    async with stage(tmp_path, Eyes(lambda wave, _served: wave == 1)) as one:
        on = await rotated_in_waves(one)
        assert {(it.phase, it.total, it.is_estimated) for it in on.back} == {("rolling back", 1, True)}
        assert [(work.goes_back, work.bindings) for work in on.works] == [(False, 40), (True, 1)]


async def test_what_somebody_has_taken_does_not_go_back_and_is_heard_of_as_failed(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        third = one.world.add_certificate(OLD, "third")
        [taken] = [it.id for it in one.world.domains.values() if it.name == MANY[0]]

        def is_bad(wave: int, _served: Served) -> bool:
            if wave == 2:
                one.world.bind(third, taken)
            return wave == 2

        one.eyes.is_bad = is_bad
        on = await rotated_in_waves(one)
        assert on.heard[4:] == [(MANY[0], "failed"), *((name, "rolled_back") for name in MANY[1:4])]
        assert on.works[-1].left == 0


@dataclass
class Slow(FakeGateway):
    """Of its calls the one that puts back takes its time."""

    look: Callable[[str], None] = lambda _call: None
    storing: float = 0.0

    async def observe(self, *what: Any, **how: Any) -> Observed:
        self.look("observe")
        return await FakeGateway.observe(self, *what, **how)

    async def replace(self, to: Deployment, how: Modify | Create, brought: Bundle) -> Stored:
        self.look("replace")
        await asyncio.sleep(self.storing if "replace" in self.journal else 0)
        return await FakeGateway.replace(self, to, how, brought)

    async def attach(self, *what: Any) -> Sequence[BindingResult]:
        self.look("attach")
        return await FakeGateway.attach(self, *what)

    async def detach(self, *what: Any) -> Sequence[BindingResult]:
        self.look("detach")
        return await FakeGateway.detach(self, *what)


async def bad_at_the_first(served: Served, /) -> Sequence[Shortfall]:
    return [Shortfall(Failure("still_old", "at it", transient=True), served.bindings[0], "a.example.com:443")]


def rotated_in_place(gateway: Slow, on: Onlooker) -> Report:
    """What was there before is kept, and comes back once the whole certificate has turned out bad."""

    async def scenario() -> Report:
        with spending(effort := Effort()), on.progress.rotating("shop", "r1", 1, effort):
            return await rotator.rotate(certificate(on.deployment), bundle())

    gateway.look, shelves = on.look, {"shop": Shelf(BEFORE)}
    rotator = Rotator(
        {"apig": gateway},
        bad_at_the_first,
        watcher=on.progress,
        forecast=on.forecast,
        kept=shelves,
        utc_now=lambda: TODAY,
    )
    return run_virtual(scenario())


def test_what_is_put_back_in_its_own_place_is_under_way_until_it_is_read_back() -> None:
    """At its beginning: a PUT, two that attach, and one that reads. This gateway does not count the look before."""
    on = looking_on(deployment())
    assert rotated_in_place(Slow(stored(), dict(_ROWS)), on).reason == "rolled_back"
    assert on.back == [
        Shown("replace", "rolling back", 0, 2, 4, is_estimated=True),
        Shown("observe", "rolling back", 0, 2, 4, is_estimated=True),
        Shown("attach", "rolling back", 0, 2, 4, is_estimated=True),
        Shown("observe", "rolling back", 2, 2, 1, is_estimated=True),
    ]


@pytest.mark.parametrize("is_written", [False, True])
def test_the_look_before_what_is_put_back_is_attached_is_counted(*, is_written: bool) -> None:
    """Somebody may have bound it elsewhere meanwhile."""
    forth = Plan(Modify(stored()), [domain()], (), seen=Observed(stored(), ()))
    done = Progress(forth, stored(), (BindingResult(domain(), "attached"),))
    todo, look = way_back.of_material(done, stored(), is_written=is_written), ["show_certificate", "list_domains"]
    put = [] if is_written else ["modify_certificate"]
    assert [it.operation for it in planned("p", 50, deployment(), todo)] == [*put, *look, "attach_domains", *look]


def test_what_has_nothing_again_and_what_was_somebody_elses_are_heard_of_too() -> None:
    names = ("a.example.com", "b.example.com", "c.example.com")
    on = looking_on(deployment(bindings=tuple(map(domain, names))))
    rotated_in_place(Slow(stored(), {names[0]: False}, strangers={names[2]: "s1"}), on)
    assert on.heard[3:] == [(names[0], "rolled_back"), (names[2], "failed"), (names[1], "rolled_back")]
    assert [(one.call, one.done, one.total) for one in on.back][-2:] == [("detach", 2, 3), ("observe", 3, 3)]


def test_what_takes_long_to_go_back_says_so_in_the_log() -> None:
    with capture_logs() as told:
        rotated_in_place(Slow(stored(), dict(_ROWS), storing=70.0), looking_on(deployment()))
    [line] = [line for line in told if line["event"] == "rotation.waiting"]
    assert (line["goes_back"], line["bindings"], line["seconds"]) == (True, 2, 2.0)


def test_what_goes_back_has_a_bar_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        async with progress() as shown:
            rotator = Rotator(
                {"apig": cloud()},
                bad_at_the_first,
                watcher=_Watching(shown),
                kept={"shop": Shelf(BEFORE)},
                utc_now=lambda: TODAY,
            )
            await rotator.rotate(certificate(deployment()), bundle())

    run_virtual(scenario())
    assert capsys.readouterr().err.splitlines() == [
        "apig (in_place): 0/2, about 2 s",
        "apig (in_place): 2/2, 2 attached",
        "apig (in_place), back: 0/2, about 2 s",
        "apig (in_place), back: 2/2, 2 rolled back",
    ]
