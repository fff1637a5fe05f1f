"""What is asked for the bindings of a wave: from what the settings say, without a socket."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.support.values import domain, listener
from worker.core.deployment import Binding
from worker.core.proof import Served
from worker.settings.model import Certificate
from worker.settings.verify import Endpoint
from worker.verification.looking import Probe
from worker.verification.places import Places, hostless, parse_endpoint, probes_of, unasked

L1, L2 = "6f6f1f8e-6d2c-4c4f-9a53-0d7a4f3b8c11", "6f6f1f8e-6d2c-4c4f-9a53-0d7a4f3b8c12"
SHOP = domain("shop.example.com", client_verification=True)
WILD = domain("*.example.com", client_verification=False)


def settings(deployment: Mapping[str, object] | None = None, **verify: object) -> Certificate:
    at = {"gateway": "apig", "certificate_id": "c1", "domains": "attached"} if deployment is None else deployment
    return Certificate.model_validate({"producers": ("acme",), "deployments": (at,), "verify": verify})


def asked(certificate: Certificate, *bindings: Binding, is_whole: bool = True) -> dict[str, tuple[Any, ...]]:
    """By `server name@endpoint`: whether it shall ask for client certificates, and the names of what is behind it."""
    found = probes_of(Places.of(certificate), Served("shop", None, bindings, is_whole=is_whole))
    return {
        f"{probe.server_name}@{probe.endpoint}": (probe.client_verification, *(one.name for one in behind))
        for probe, behind in found.items()
    }


def test_an_endpoint_belongs_to_the_domain_of_its_name_and_shall_ask_as_that_does() -> None:
    certificate = settings(
        endpoints=("shop.example.com:443", {"address": "[::1]:8443", "server_name": "b.example.com"})
    )
    assert asked(certificate, SHOP, WILD) == {
        "shop.example.com@shop.example.com:443": (True, "shop.example.com"),
        "b.example.com@[::1]:8443": (False, "*.example.com"),
    }


def test_endpoints_of_no_binding_are_asked_at_the_end_alone() -> None:
    certificate = settings(endpoints=("other.example.net:443", "Shop.example.com:443"))
    assert asked(certificate, SHOP, is_whole=False) == {"Shop.example.com@Shop.example.com:443": (True, SHOP.name)}
    assert asked(certificate, WILD)["other.example.net@other.example.net:443"] == (None,)


def test_a_wildcard_in_a_wave_has_no_endpoint_of_a_domain_that_the_settings_list() -> None:
    certificate = settings(
        {"gateway": "apig", "certificate_id": "c1", "domains": ("*.example.com", {"domain": "Shop.example.com"})},
        endpoints=("shop.example.com:443",),
    )
    assert asked(certificate, WILD, is_whole=False) == {}


def test_domains_are_asked_for_themselves_where_the_settings_say_so() -> None:
    assert asked(settings(), SHOP) == {}
    assert asked(settings(domains=True), SHOP) == {"shop.example.com@shop.example.com:443": (True, SHOP.name)}
    elsewhere = settings(domains=True, domains_at="10.0.0.7:8443")
    assert asked(elsewhere, SHOP) == {"shop.example.com@10.0.0.7:8443": (True, SHOP.name)}


def test_a_domain_and_an_endpoint_at_one_place_are_asked_once() -> None:
    certificate = settings(domains=True, endpoints=("shop.example.com:443",))
    assert asked(certificate, SHOP) == {"shop.example.com@shop.example.com:443": (True, SHOP.name)}


def test_a_wildcard_is_asked_for_by_a_name_that_it_covers() -> None:
    certificate = settings(domains=True, hosts={"*.Example.com": "WWW.example.com"})
    assert asked(certificate, WILD) == {"www.example.com@www.example.com:443": (False, WILD.name)}


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"domains": True}, ("*.example.com", "d1")),
        ({"domains": True, "endpoints": ("b.example.com:443",)}, ("d1",)),
        ({"domains": True, "hosts": {"*.example.com": "b.example.com"}}, ("d1",)),
        ({"endpoints": ("shop.example.com:443",)}, ()),
    ],
)
def test_what_nobody_can_ask_for_is_told(said: Mapping[str, Any], names: Sequence[str]) -> None:
    unknown = domain("d1", domain_id="d1")
    places, served = Places.of(settings(**said)), Served("shop", None, (SHOP, WILD, WILD, unknown))
    behind = {one for bindings in probes_of(places, served).values() for one in bindings}
    assert unasked(places, served, behind) == names


def test_wildcards_that_the_settings_list_without_a_host_are_known_before() -> None:
    listed = {"gateway": "apig", "certificate_id": "c1", "domains": ("*.Example.com", "*.example.net", "a.example.org")}
    assert hostless(settings(listed, domains=True, hosts={"*.example.net": "www.example.net"})) == ("*.example.com",)
    assert hostless(settings(listed)) == ()


def test_a_name_at_two_instances_is_one_endpoint_of_both_and_asks_as_both_do() -> None:
    twice = [domain("shop.example.com", instance_id=one, client_verification=True) for one in ("i1", "i2")]
    assert asked(settings(domains=True), *twice) == {
        "shop.example.com@shop.example.com:443": (True, "shop.example.com", "shop.example.com")
    }
    either = domain("shop.example.com", instance_id="i3", client_verification=False)
    assert asked(settings(domains=True), *twice, either)["shop.example.com@shop.example.com:443"][0] is None


def test_an_endpoint_of_a_domain_that_has_not_moved_yet_is_nobody_elses() -> None:
    places = Places.of(settings(endpoints=("shop.example.com:443", "b.example.com:443")))
    served = Served("shop", None, (WILD,), waiting=frozenset({"shop.example.com"}))
    assert [probe.server_name for probe in probes_of(places, served)] == ["b.example.com"]


def test_a_listener_is_asked_where_its_own_setting_says() -> None:
    listeners = (
        {"id": L1.upper(), "endpoint": "10.0.0.7:443"},
        {"id": L1, "sni": True, "endpoint": {"address": "10.0.0.7:443", "server_name": "shop.example.com"}},
        {"id": L2},
    )
    certificate = settings({"gateway": "bycloud", "certificate_id": "c1", "listeners": listeners})
    bindings = listener(L1), listener(L1, sni=True), listener(L2)
    assert asked(certificate, *bindings, is_whole=False) == {
        "10.0.0.7@10.0.0.7:443": (None, L1),
        "shop.example.com@10.0.0.7:443": (None, L1),
    }


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("shop.example.com:443", Probe("shop.example.com", 443, "shop.example.com")),
        ("[2001:db8::7]:8443", Probe("2001:db8::7", 8443, "2001:db8::7")),
        (Endpoint(address="10.0.0.7:443", server_name="a.example.com"), Probe("10.0.0.7", 443, "a.example.com")),
        (Endpoint(address="[::1]:443", server_name="a.example.com"), Probe("::1", 443, "a.example.com")),
    ],
)
def test_endpoints_are_read_as_the_settings_write_them(endpoint: str | Endpoint, expected: Probe) -> None:
    assert parse_endpoint(endpoint) == expected


@pytest.mark.parametrize(("proven", "number"), [((), 1), ((SHOP,), 0), ((WILD,), 0), ((domain("a.example.org"),), 1)])
def test_what_waves_have_proven_is_no_endpoint_of_no_binding(proven: Sequence[Binding], number: int) -> None:
    places = Places(endpoints=(Probe("shop.example.com", 443, "Shop.example.com"),))
    assert len(probes_of(places, Served("shop", None, (), proven=proven))) == number
    assert len(probes_of(places, Served("shop", None, (SHOP,), proven=proven))) == 1, "it is to be proven now"
