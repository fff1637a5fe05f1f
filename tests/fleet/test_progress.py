"""How far a rotation is, as it goes on."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from tests.fleet.told import NOW
from tests.support.fake_gateway import FakeGateway
from tests.support.values import certificate, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.core.errors import Failure
from worker.core.outcome import BindingResult, BindingState
from worker.effort import Effort, Refusal
from worker.fleet.progress import RunningRotations
from worker.fleet.values import Running
from worker.forecast import Work

TWO = (deployment(), deployment(gateway="other", certificate_id="c2"))


def work(bindings: int = 2, *, replaces: bool = True, goes_back: bool = False) -> Work:
    one = Work(FakeGateway(stored(), {}), 4, bindings, bindings, set(), replaces, goes_back=goes_back)
    one.beside.add(one)
    return one


def result(state: BindingState, name: str = "a.example.com") -> BindingResult:
    failure = Failure("not_found", "", transient=False) if state == "failed" else None
    return BindingResult(domain(name), state, failure)


def test_a_rotation_is_shown_step_by_step() -> None:
    heard: list[str] = []
    progress = RunningRotations({"shop": replace(certificate(), deployments=TWO)}, lambda: NOW, heard.append)
    effort, todo = Effort(urgent=True), work()

    def now() -> Running:
        [running] = progress.of("shop")
        return running

    with progress.rotating("shop", "r1", 3, effort):
        phases = [now().phase]
        assert now().renewal_id is None, "it may quote the key, which nobody has read yet"
        effort.is_compared = True
        effort.calls = 2
        phases.append(now().phase)
        assert now().total is None, "one of the two was not looked at yet"
        progress.planned(TWO[0], todo)
        progress.planned(TWO[1], work(0, replaces=False))
        phases.append(now().phase)
        assert (now().total, now().seconds_left) == (2, 2.0)
        todo.left = 1
        progress.bound(TWO[0], result("attached"))
        phases.append(now().phase)
        todo.left = 0
        progress.bound(TWO[0], result("failed", "b.example.com"))
        phases.append(now().phase)
        assert (now().done, now().failed, now().calls) == (2, 1, 2)
        progress.planned(TWO[0], work(3, goes_back=True))
        assert [(one.phase, one.done, one.total) for one in now().steps] == [
            ("rolling back", 0, 3),
            ("verifying", 0, 0),
        ]
        assert (now().attempt, now().is_urgent, now().renewal_id) == (3, True, "r1")
        assert "shop" in progress
    assert phases == ["queueing", "observing", "replacing", "attaching", "verifying"]
    assert (progress.of("shop"), "shop" in progress, set(heard)) == ([], False, {"shop"})


def test_what_is_stored_is_attached_from_then_on_and_what_is_refused_is_not_estimated() -> None:
    progress = RunningRotations({"shop": replace(certificate(), deployments=TWO)}, lambda: NOW)
    effort, todo = Effort(), work()
    with progress.rotating("shop", "r1", 1, effort):
        progress.planned(TWO[0], todo)
        progress.planned(TWO[1], work())
        todo.is_stored = lambda: True
        effort.refused("apig", "attach_domains", "gateway_unavailable", 503, NOW)
        effort.refused("apig", "attach_domains", "gateway_unavailable", None, NOW + timedelta(seconds=9))
        [running] = progress.of("shop")
        first, second = running.steps
        effort.answered("apig", "attach_domains")
        [answered] = progress.of("shop")
    assert (first.phase, second.phase) == ("attaching", "replacing")
    assert first.refusal == running.refusal == Refusal("attach_domains", "gateway_unavailable", None, NOW)
    assert (first.seconds_left, second.seconds_left, running.seconds_left) == (None, 2.0, None)
    assert (answered.refusal, answered.seconds_left) == (None, 2.0)


def test_what_is_throttled_is_estimated_for_the_limits_know_how_long_and_nothing_else_that_is_refused_is() -> None:
    progress = RunningRotations({"shop": replace(certificate(), deployments=TWO)}, lambda: NOW)
    effort = Effort()
    with progress.rotating("shop", "r1", 1, effort):
        for to in TWO:
            progress.planned(to, work())
        effort.refused("apig", "attach_domains", "throttled", 429, NOW)
        [throttled] = progress.of("shop")
        effort.refused("other", "attach_domains", "gateway_unavailable", 503, NOW)
        effort.refused("other", "list_domains", "throttled", 429, NOW)
        [unavailable] = progress.of("shop")
    assert throttled.refusal == Refusal("attach_domains", "throttled", 429, NOW)
    assert ([one.seconds_left for one in throttled.steps], throttled.seconds_left) == ([2.0, 2.0], 2.0)
    assert ([one.seconds_left for one in unavailable.steps], unavailable.seconds_left) == ([2.0, None], None)
    assert unavailable.steps[1].refusal == Refusal("attach_domains", "gateway_unavailable", 503, NOW)


def test_what_is_bound_for_nobodys_renewal_is_nobodys_progress() -> None:
    progress = RunningRotations({"shop": certificate(deployment())}, lambda: NOW)
    progress.planned(deployment(), work())
    progress.bound(deployment(certificate_id="unknown"), result("attached"))
    assert run_virtual(progress.running()) == []


async def counted(job: Awaitable[Sequence[Running]]) -> tuple[Sequence[Running], int]:
    """What it finds, and how many turns others had meanwhile."""
    found, steps = asyncio.ensure_future(job), 0
    while not found.done():
        await asyncio.sleep(0)
        steps += 1
    return await found, steps


def test_of_very_many_only_the_oldest_are_estimated_each_in_a_step_of_its_own_for_it_asks_all_the_others() -> None:
    names = [f"c{number}" for number in range(100)]
    places = {name: deployment(certificate_id=name) for name in names}
    progress = RunningRotations({name: replace(certificate(to), name=name) for name, to in places.items()}, lambda: NOW)
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(progress.rotating(name, "r1", 1, Effort()))
            progress.planned(places[name], work())
        running, steps = run_virtual(counted(progress.running()))
    assert steps >= 64
    assert [one.certificate for one in running] == names
    assert [one.seconds_left is not None for one in running] == [True] * 64 + [False] * 36
