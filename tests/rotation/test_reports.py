"""What is told of a rotation: to whoever watches, and in the report of each deployment."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, current, day, deployment, domain, stored
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Deployment
from worker.core.errors import Failure, NotAskedError, PermanentError, RotationError, TransientError
from worker.core.outcome import BindingResult, DeploymentReport
from worker.core.planning import Observed
from worker.core.proof import Served, Shortfall
from worker.proving import WILDCARD_UNPROVEN
from worker.rotation import Rotator


class Watching:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, str]] = []
        self.work: Any = None

    def planned(self, _deployment: Deployment, work: Any) -> None:
        self.work = work
        self.heard.append(("planned", work.left, ""))

    def bound(self, _deployment: Deployment, result: BindingResult) -> None:
        self.heard.append((result.state, self.work.left, result.binding.name))


def test_whoever_watches_hears_of_the_plan_and_of_each_binding() -> None:
    watching = Watching()
    cloud = FakeGateway(stored(), {"a.example.com": False, "b.example.com": False})
    run_virtual(Rotator({"apig": cloud}, watcher=watching).rotate(certificate(), bundle()))
    assert watching.heard == [("planned", 2, ""), ("attached", 1, "a.example.com"), ("attached", 0, "b.example.com")]


class Closed(FakeGateway):
    """Is not asked for a while."""

    hold = 0.0

    def refusal(self) -> NotAskedError | None:
        return NotAskedError("gateway_unavailable", hold=self.hold)


def closed(hold: float) -> Closed:
    cloud = Closed(stored(), {})
    cloud.hold = hold
    return cloud


def test_where_no_gateway_is_open_the_one_that_opens_first_is_waited_for() -> None:
    rotator = Rotator({"later": closed(60), "sooner": closed(5), "open": FakeGateway(stored(), {})})
    rotator.check_open(["later", "open"])
    with pytest.raises(NotAskedError) as caught:
        rotator.check_open(["later", "sooner"])
    assert caught.value.hold == 5


def ended(cloud: FakeGateway, **overrides: Any) -> DeploymentReport:
    target = certificate(deployment(**overrides))
    [report] = run_virtual(Rotator({"apig": cloud}).rotate(target, bundle())).deployments
    return report


def test_a_success_says_which_certificate_it_is_and_until_when() -> None:
    done = ended(FakeGateway(stored(), {"a.example.com": False}))
    assert (done.outcome, done.certificate_id, done.not_after, done.replaced) == ("succeeded", "c1", day(20), True)


def test_what_is_superseded_says_by_which_certificate() -> None:
    newer = stored(not_before=day(15), not_after=day(25))
    one = ended(FakeGateway(newer, {"a.example.com": False}))
    assert (one.outcome, one.reason, one.certificate_id) == ("superseded", "downgrade", "c1")


def test_a_failure_says_which_certificate_and_what_was_there_before() -> None:
    error: RotationError = TransientError("gateway_unavailable")
    refused = ended(FakeGateway(stored(), {}, errors={"replace": [error]}))
    assert (refused.outcome, refused.certificate_id, refused.failure) == ("failed", "c1", Failure.of(error))
    assert refused.previous is not None
    bound = ended(FakeGateway(stored(), {"a.example.com": False}, errors={"replace": [error]}))
    assert [(one.state, one.failure) for one in bound.bindings] == [("failed", Failure.of(error))]
    assert bound.failure is None
    new = ended(FakeGateway(None, {}, errors={"replace": [error]}), certificate_id=None, name="shop")
    assert (new.outcome, new.certificate_id, new.previous) == ("failed", None, None)


def test_what_cannot_be_observed_fails_at_every_binding_that_is_listed_or_as_a_whole() -> None:
    error = PermanentError("forbidden")
    listed = ended(FakeGateway(stored(), {}, errors={"observe": [error]}), bindings=(domain(),))
    assert (listed.outcome, listed.reason, listed.failure) == ("failed", "forbidden", None)
    assert [(one.state, one.failure) for one in listed.bindings] == [("failed", Failure.of(error))]
    whole = ended(FakeGateway(stored(), {}, errors={"observe": [error]}))
    assert (whole.outcome, whole.failure, whole.bindings) == ("failed", Failure.of(error), ())


def test_a_machine_without_room_is_told_as_that_and_passes() -> None:
    class Full(FakeGateway):
        async def attach(self, *_what: object) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

    [failure] = ended(Full(stored(), {"a.example.com": False})).failures
    assert (failure.reason, failure.transient) == ("worker_exhausted", True)


class Uploading(FakeGateway):
    """Serves `per_domain`, at domains that have certificates of their own."""

    async def attach(self, *what: Any) -> Sequence[BindingResult]:
        results = await super().attach(*what)
        self.stored = current()
        return results

    async def observe(self, *what: Any, **how: Any) -> Observed:
        seen = await super().observe(*what, **how)
        newer = stored(certificate_id="c5", not_before=day(15), not_after=day(25))
        rows = [replace(row, stored=newer) if row.binding.name == "c.example.com" else row for row in seen.bound]
        return Observed(None, tuple(rows))


def uploaded(*names: str, **overrides: Any) -> DeploymentReport:
    cloud = Uploading(stored(), dict.fromkeys(names, False), **overrides)
    listed = tuple(domain(name) for name in names)
    return ended(cloud, strategy="per_domain", certificate_id=None, name="shop", bindings=listed)


def test_an_upload_replaces_what_it_is_bound_over_and_nothing_where_it_failed() -> None:
    done = uploaded("a.example.com")
    assert (done.outcome, done.reason, done.replaced, done.certificate_id) == ("succeeded", "rotated", True, None)
    assert done.previous is not None
    sick = {"a.example.com": Failure("not_found", "", transient=False)}
    failed = uploaded("a.example.com", sick=sick)
    assert (failed.outcome, failed.replaced) == ("failed", False)
    some = uploaded("a.example.com", "b.example.com", sick=sick)
    assert (some.outcome, some.replaced) == ("failed", True)


def test_where_some_domains_have_a_newer_certificate_the_renewal_is_superseded_and_the_others_are_done() -> None:
    some = uploaded("b.example.com", "c.example.com", "a.example.com")
    assert (some.outcome, some.reason) == ("superseded", "downgrade")
    assert [(one.binding.name, one.state) for one in some.bindings] == [
        ("b.example.com", "attached"),
        ("a.example.com", "attached"),
    ]


@pytest.mark.parametrize("names", [(), ("*.example.com",)])
@pytest.mark.parametrize("is_bad", [False, True])
def test_what_nobody_was_asked_for_is_a_warning_of_a_rotation_that_succeeded(
    names: Sequence[str], *, is_bad: bool
) -> None:
    seen = list[Served]()

    def unasked(served: Served) -> Sequence[str]:
        seen.append(served)
        return names

    async def verify(served: Served, /) -> Sequence[Shortfall]:
        failure = Failure("still_old", "at it", transient=True)
        return [Shortfall(failure, served.bindings[0], "a.example.com:443")] if is_bad else ()

    rotator = Rotator({"apig": FakeGateway(stored(), {"a.example.com": False})}, verify=verify, unasked=unasked)
    report = run_virtual(rotator.rotate(certificate(deployment()), bundle()))
    assert report.warnings == ((WILDCARD_UNPROVEN,) if names and not is_bad else ())
    assert [[one.name for one in served.bindings] for served in seen] == ([] if is_bad else [["a.example.com"]])
