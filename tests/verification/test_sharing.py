"""Where another certificate is served for the same name, too, it is not taken for a bad one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rotation.test_blue_green import MANY, NEW, OLD, Stage, stage
from tests.support.clouds import settings_for
from tests.support.fake_gateway import FakeGateway
from tests.support.gateways import AUTHORITY, checked
from tests.support.values import bundle, certificate, deployment, stored
from tests.verification.servers import Server, serving
from tests.verification.test_places import settings
from worker.core.deployment import Binding, Certificate
from worker.core.errors import Failure
from worker.core.outcome import Report
from worker.core.proof import Served, Shortfall
from worker.rotation import Rotator
from worker.sandbox import Sandbox
from worker.sandbox.ca import Issued
from worker.verification import Probing
from worker.verification.places import Places, all_places, probes_of

NOW = datetime.now(UTC).replace(microsecond=0)
NAME = "a.example.com"


def issued(days: float, name: str = NAME) -> Issued:
    return AUTHORITY.issue([name], not_before=NOW - timedelta(days=days))


OURS, BEFORE, ANOTHERS = issued(1), issued(60), issued(40)


async def told(
    folder: Path, shows: Issued, *, is_shared: bool = True, previous: Issued | None = BEFORE, ours: Issued = OURS
) -> str | None:
    """The verdict on what an endpoint shows, that another certificate of the settings may have, too."""
    serials = () if previous is None else (str(previous.serial_number),)
    async with serving(Server(folder, shows)) as server:
        said = settings(endpoints=({"address": f"127.0.0.1:{server.port}", "server_name": NAME},), within_seconds=0.1)
        places = all_places({"shop": said, "other": said} if is_shared else {"shop": said})
        served = Served("shop", checked(ours), (), serials, is_previous_known=previous is not None)
        shortfalls = await Probing(places, lambda: NOW)(served)
    return next((one.failure.reason for one in shortfalls), None)


@pytest.mark.parametrize(
    ("shows", "reason"),
    [
        (OURS, None),
        (ANOTHERS, None),
        (BEFORE, "still_old"),
        (issued(100), "still_old"),
        (issued(1, "b.example.com"), "other_certificate"),
    ],
    ids=["ours", "the other's", "what was replaced", "expired", "of another name"],
)
async def test_an_endpoint_of_two_certificates_of_the_settings_may_serve_either(
    tmp_path: Path, shows: Issued, reason: str | None
) -> None:
    assert await told(tmp_path, shows) == reason


@pytest.mark.parametrize(
    ("shows", "reason"),
    [
        (OURS, None),
        (BEFORE, "still_old"),
        (AUTHORITY.issue([NAME, "b.example.com"], not_before=NOW - timedelta(days=40)), "still_old"),
        (issued(0.5), None),
    ],
    ids=["ours", "what was replaced", "the same with another name", "newer"],
)
async def test_where_nobody_knows_what_was_replaced_an_older_one_of_the_same_names_is_no_proof(
    tmp_path: Path, shows: Issued, reason: str | None
) -> None:
    assert await told(tmp_path, shows, previous=None) == reason


async def test_where_nobody_knows_what_was_replaced_a_certificate_of_other_names_is_still_anothers(
    tmp_path: Path,
) -> None:
    ours = AUTHORITY.issue([NAME, "b.example.com"], not_before=NOW - timedelta(days=1))
    shows = AUTHORITY.issue([NAME, "c.example.com"], not_before=NOW - timedelta(days=40))
    assert await told(tmp_path, shows, previous=None, ours=ours) is None


async def test_an_attempt_that_finds_the_new_one_stored_says_that_it_does_not_know_what_was_replaced() -> None:
    known = []

    async def look(served: Served, /) -> Sequence[Shortfall]:
        known.append(served.is_previous_known)
        return ()

    gateway = FakeGateway(stored(), {"a.example.com": False})
    for _ in range(2):
        rotator = Rotator({"apig": gateway}, verify=look, settle_seconds={"apig": 0})
        await rotator.rotate(certificate(deployment()), bundle())
    assert known == [True, False]


async def test_an_endpoint_of_one_certificate_has_to_serve_that(tmp_path: Path) -> None:
    assert await told(tmp_path, ANOTHERS, is_shared=False) == "still_old"


def listing(*domains: str, **verify: object) -> Any:
    return settings({"gateway": "apig", "certificate_id": "c1", "domains": domains}, **verify)


AT = {"address": "10.0.0.7:443", "server_name": "www.example.com"}


@pytest.mark.parametrize(
    ("shop", "other", "is_shared"),
    [
        (listing("www.example.com", domains=True), listing("www.example.com"), True),
        (listing("www.example.com", domains=True), listing("WWW.example.com", domains=True), True),
        (listing("www.example.com", endpoints=("www.example.com:443",)), listing("www.example.com"), True),
        (listing("www.example.com", endpoints=(AT,)), listing("b.example.com", endpoints=(AT,)), True),
        # Another one's place is not this one's.
        (listing("www.example.com", endpoints=(AT,)), listing("www.example.com"), False),
        (listing("www.example.com", domains=True, domains_at="10.0.0.7:443"), listing("www.example.com"), False),
        (listing("www.example.com", domains=True), listing("b.example.com", domains=True), False),
        (listing("www.example.com", domains=True), listing("*.example.com", domains=True), False),
    ],
)
def test_what_two_certificates_share_is_known_by_the_settings(shop: Any, other: Any, *, is_shared: bool) -> None:
    places = all_places({"shop": shop, "other": other})["shop"]
    flagged = Binding("domain", "www.example.com", client_verification=True)
    [asked] = probes_of(places, Served("shop", None, (flagged,)))
    assert (asked.is_shared, asked.client_verification) == (is_shared, None if is_shared else True)


async def test_certificates_of_the_settings_know_what_they_share(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        listed = {one: ({"gateway": "apig", "certificate_id": one * 32, "domains": (NAME,)},) for one in "ab"}
        said = settings_for(sandbox, AUTHORITY, tmp_path, listed, verify={"domains": True})
    assert Probing.of(said, lambda: NOW).places["a"].shared == {f"{NAME} at {NAME}:443"}


@dataclass
class Twins:
    """One certificate at two deployments, each an instance of its own; both have the same domains."""

    one: Stage
    second: str
    asked: list[Sequence[str]] = field(default_factory=list)

    async def rotate(self) -> Report:
        there = tuple(Binding("domain", name, self.second) for name in MANY)
        deployments = [self.one.deployment(), self.one.deployment(name="twin", bindings=there)]
        rotator = Rotator({"apig": self.one.gateway}, verify=self.look, settle_seconds={"apig": 0})
        return await rotator.rotate(Certificate("shop", deployments), NEW)

    async def look(self, served: Served, /) -> Sequence[Shortfall]:
        """As a handshake sees it, that meets either instance."""
        world = self.one.world
        new = {at for at, it in world.certificates.items() if it.leaf.serial_number == NEW.leaf.serial_number}
        others = {domain.name for domain in world.domains.values() if domain.certificate_id not in new}
        found = probes_of(Places(domains=True), served)
        self.asked.append([probe.server_name for probe in found])
        failure = Failure("other_certificate", "at 127.0.0.1", transient=True)
        return [Shortfall(failure, one, "") for probe, them in found.items() for one in them if one.name in others]


def twins(one: Stage, stored: Issued) -> Twins:
    group = one.world.add_group(second := one.world.add_instance())
    one.world.bind(one.world.add_certificate(stored, "twin"), *(one.world.add_domain(group, name) for name in MANY))
    return Twins(one, second)


async def test_a_name_that_two_deployments_serve_is_proven_once_both_have_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        both = twins(one, OLD)
        report = await both.rotate()
        assert report.outcome == "succeeded"
        assert one.bound() == {one.green: 40, one.green.replace("shop", "twin"): 40}
        *waves, end = both.asked
        assert (end, [names for names in waves if names]) == (list(MANY), [])


async def test_a_good_one_does_not_go_back_for_something_newer_at_another_deployment_of_the_name(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as one:
        report = await twins(one, AUTHORITY.issue(["*.example.com"], not_before=NOW)).rotate()
        assert [it.reason for it in report.deployments] == ["rotated", "downgrade"]
        assert one.bound()[one.green] == 40
