"""What the gateway shows decides, not what it answered: late, never, or in part."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, current, deployment, domain, listener, stored
from tests.support.virtual_time import run_virtual
from worker.carrying import Carrying
from worker.core.deployment import Deployment
from worker.core.errors import Failure, TransientError
from worker.core.outcome import BindingResult, Report
from worker.core.planning import Keep, Observed, Plan, Stored, UploadEach
from worker.core.progress import Progress
from worker.core.proof import unverified
from worker.effort import Effort, spending
from worker.going_back import WayBack
from worker.proving import Proving
from worker.rotation import Rotator
from worker.settling import Settling, unheard


class Late(FakeGateway):
    """Shows a PUT only `lag` seconds after it."""

    lag = 10.0

    def begin(self) -> None:
        self.before, self.changed_at, self.looked_at = self.stored, float("-inf"), list[float]()
        self.elsewhere = list[bool]()

    async def replace(self, *what: Any) -> Stored:
        self.changed_at = asyncio.get_running_loop().time()
        return await super().replace(*what)

    async def observe(self, *what: Any, **how: Any) -> Observed:
        now = asyncio.get_running_loop().time()
        self.looked_at.append(now)
        self.elsewhere.append(how.get("elsewhere", True))
        seen = await super().observe(*what, **how)
        if now - self.changed_at >= self.lag:
            return seen
        return Observed(self.before, tuple(replace(row, stored=self.before) for row in seen.bound))


def late(*, lag: float, settle: dict[str, float] | None = None) -> tuple[Report, list[float]]:
    cloud = Late(stored(), {"a.example.com": False})
    cloud.begin()
    cloud.lag = lag
    report = run_virtual(Rotator({"apig": cloud}, settle_seconds=settle or {}).rotate(certificate(), bundle()))
    assert cloud.elsewhere == [True] + [False] * (len(cloud.looked_at) - 1), "other certificates are looked at once"
    return report, cloud.looked_at[1:]


def test_where_every_binding_is_in_doubt_what_is_shown_decides_at_once() -> None:
    async def scenario() -> tuple[Report, float]:
        busy = {"a.example.com": Failure("busy", "", transient=True)}
        cloud = FakeGateway(stored(), {"a.example.com": False}, sick=busy)
        report = await Rotator({"apig": cloud}).rotate(certificate(), bundle())
        return report, asyncio.get_running_loop().time()

    report, took = run_virtual(scenario())
    assert (report.outcome, took) == ("succeeded", 0)


def test_what_a_gateway_shows_late_is_waited_for_and_not_for_ever() -> None:
    report, looks = late(lag=10)
    assert (report.outcome, looks) == ("succeeded", [0, 1, 3, 7, 15])
    report, looks = late(lag=60)
    assert (report.outcome, looks) == ("failed", [0, 1, 3, 7, 15])
    assert [(one.reason, one.transient) for one in report.failures] == [("still_old", True)]


def test_each_gateway_has_as_long_as_its_settings_say() -> None:
    assert late(lag=60, settle={"apig": 4.5, "other": 99})[1] == [0, 1, 3, 4.5]


def rotated(cloud: FakeGateway, target: Deployment | None = None) -> Report:
    return run_virtual(Rotator({"apig": cloud}).rotate(certificate(target or deployment()), bundle()))


def test_an_accepted_attach_without_effect_is_never_a_success() -> None:
    class Deaf(FakeGateway):
        async def attach(self, *what: Any) -> Sequence[BindingResult]:
            self.rows, before = {}, dict(self.rows)
            results = await super().attach(*what)
            self.rows = before
            return results

    target = deployment(bindings=(domain(), domain("b.example.com")))
    report = rotated(Deaf(stored(), {"b.example.com": False}), target)
    assert (report.outcome, report.reason) == ("failed", "binding_failed")
    [failed] = [one for one in report.deployments[0].bindings if one.failure is not None]
    assert (failed.binding.name, failed.state) == ("a.example.com", "failed")
    assert [(one.reason, one.transient) for one in report.failures] == [("binding_failed", True)]


def test_a_binding_that_is_not_shown_any_more_is_never_a_success() -> None:
    class Forgetful(FakeGateway):
        async def attach(self, *what: Any) -> Sequence[BindingResult]:
            results = await super().attach(*what)
            del self.rows["b.example.com"]
            return results

    report = rotated(Forgetful(stored(), {"a.example.com": False, "b.example.com": False}))
    assert {one.binding.name: one.state for one in report.deployments[0].bindings} == {
        "a.example.com": "attached",
        "b.example.com": "failed",
    }


def test_what_cannot_be_read_back_is_not_known_to_be_done() -> None:
    class Mute(FakeGateway):
        async def observe(self, *what: Any, **how: Any) -> Observed:
            if "attach" in self.journal:
                raise TransientError("gateway_unavailable")
            return await super().observe(*what, **how)

    sick = Failure("not_found", "", transient=False)
    report = rotated(Mute(stored(), {"a.example.com": False, "b.example.com": False}, sick={"b.example.com": sick}))
    [one] = report.deployments
    assert [(one.state, one.failure and one.failure.reason) for one in one.bindings] == [
        ("failed", "gateway_unavailable"),
        ("failed", "not_found"),
    ]


@pytest.mark.parametrize(("replacement", "retired"), [(Keep(current()), []), (UploadEach(), ["c8"])])
def test_nothing_is_retired_while_a_binding_may_still_need_it(replacement: Any, retired: list[str]) -> None:
    """Of uploads each serves one domain alone, so those of the others can go."""
    failed = BindingResult(domain(), "failed", Failure("not_found", "", transient=False))
    attached = BindingResult(domain("b.example.com"), "attached")
    todo = Plan(replacement, (), (), retire=(stored(certificate_id="c8"),))
    for results, gone in ([failed, attached], retired), ([failed], retired), ([attached], ["c8"]):
        cloud = FakeGateway(current(), {})
        settling, proving = Settling(cloud, deployment(), None, 0), Proving(unverified, certificate(), None)
        progress = Progress(todo, results=tuple(results))
        carrying = Carrying(settling, None, proving, WayBack(settling), unheard, progress)
        run_virtual(carrying.retire())
        assert cloud.retired == gone


def test_what_the_platform_renewed_is_not_compared_with_what_the_message_brought() -> None:
    cloud = FakeGateway(stored(), {})
    report = rotated(cloud, deployment(strategy="rebind", bindings=(listener(),)))
    assert (report.outcome, report.reason, cloud.rows) == ("succeeded", "rotated", {"l1": None})


def test_what_was_reached_is_booked_as_it_is_reached() -> None:
    sick = Failure("not_found", "", transient=False)
    rows: dict[str, bool | None] = dict.fromkeys(("a.example.com", "b.example.com", "c.example.com"), False)
    cloud = FakeGateway(stored(), rows, sick={"b.example.com": sick})
    effort = Effort()
    with spending(effort):
        rotated(cloud)
    assert effort.changes == 3, "a PUT and two domains"
