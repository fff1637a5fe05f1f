"""Who is asked after a wave: nobody whose name is still, or stays, what it was."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.values import bound, certificate, deployment, domain, observed, stored
from worker.core.deployment import Binding
from worker.core.planning import Keep, Plan
from worker.core.proof import unverified
from worker.proving import Proving
from worker.verification.looking import Probe
from worker.verification.places import Places, probes_of, unasked

WWW, ELSEWHERE = domain("www.example.com"), domain("www.example.com", instance_id="i2")
WILD, SHOP = domain("*.example.com"), domain("shop.example.org")
X = Places(endpoints=(Probe("x.example.com", 443, "x.example.com"),))
LISTED = Places(X.endpoints, listed=frozenset({"x.example.com"}))
DOMAINS = Places(domains=True)


def todo(*attach: Binding, spared: Sequence[Binding] = (), **overrides: Any) -> Plan:
    newer = stored(certificate_id="newer")
    rows = [*(bound(one) for one in attach), *(bound(one, stored=newer) for one in spared)]
    return Plan(Keep(stored()), attach, (), waves=(len(attach),), seen=observed(bound=tuple(rows)), **overrides)


def asked(places: Places, plan: Plan, *good: Binding) -> Sequence[str]:
    served = Proving(unverified, certificate(deployment()), None).served_in_wave(plan, good, is_last=True)
    found = probes_of(places, served)
    behind = {binding for bindings in found.values() for binding in bindings}
    assert unasked(places, served, behind) == (), "what waits is nothing that cannot be asked for"
    return [probe.server_name for probe in found]


@pytest.mark.parametrize("places", [DOMAINS, Places(endpoints=(Probe("www.example.com", 443, "www.example.com"),))])
def test_a_name_of_which_one_instance_has_not_moved_is_not_asked(places: Places) -> None:
    """Its turn is yet to come, or it could not be attached: what answers may be either."""
    assert asked(places, todo(WWW, ELSEWHERE), WWW) == []
    assert asked(places, todo(WWW, ELSEWHERE), WWW, ELSEWHERE) == ["www.example.com"]
    assert asked(places, todo(WWW, spared=(ELSEWHERE,)), WWW) == [], "or something newer is there"


def test_an_endpoint_below_a_wildcard_that_could_not_be_attached_is_not_taken_for_nobodys() -> None:
    assert asked(X, todo(WILD, SHOP), SHOP) == []
    assert asked(X, todo(SHOP), SHOP) == ["x.example.com"]


def test_an_endpoint_that_has_a_domain_of_its_own_does_not_wait_for_a_wildcard() -> None:
    own = domain("x.example.com")
    assert asked(X, todo(WILD, own), own) == ["x.example.com"]


@pytest.mark.parametrize("places", [X, LISTED])
@pytest.mark.parametrize("flag", [None, True])
def test_what_was_left_alone_for_something_newer_is_not_taken_for_nobodys(places: Places, *, flag: bool | None) -> None:
    newer = domain("x.example.com", client_verification=flag)
    assert asked(places, todo(SHOP, spared=(newer,)), SHOP.with_flag(False)) == []


def test_a_host_that_stands_for_a_wildcard_waits_for_its_own_domain() -> None:
    places = Places(domains=True, hosts={"*.example.com": "www.example.com"})
    assert asked(places, todo(WILD, WWW), WWW) == ["www.example.com"]
    assert asked(places, todo(WILD, WWW), WILD, WWW) == ["www.example.com"]
