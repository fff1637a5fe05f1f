"""Where it is looked at what clients are served: what the settings may say of that."""

from pathlib import Path

import pytest

from tests.settings.files import GATEWAYS, LISTENER, certificate, in_place, problems


@pytest.mark.parametrize(
    ("verify", "problem"),
    [
        ('["a.example.com:443", "[::1]:443", {address = "10.0.0.7:443", server_name = "a.example.com"}]', None),
        ('["a.example.com"]', ".0: HOST:PORT is the form"),
        ('["a.example.com:0"]', ".0: HOST:PORT is the form"),
        ('["https://a.example.com:443"]', ".0: HOST:PORT is the form"),
        ('[{address = "10.0.0.7", server_name = "a.example.com"}]', ".0: HOST:PORT is the form"),
        ('[{address = "10.0.0.7:443", server_name = "exämple.com"}]', ".0.server_name: not a domain name"),
        ('[{address = "10.0.0.7:443"}]', ".0.server_name: is missing"),
    ],
)
def test_endpoints_to_verify_have_host_and_port(tmp_path: Path, verify: str, problem: str | None) -> None:
    text = GATEWAYS + certificate(in_place(), more=f"[certificates.shop.verify]\nendpoints = {verify}")
    expected = [] if problem is None else [f"certificates.shop.verify.endpoints{problem}"]
    assert problems(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("verify", "problem"),
    [
        ('domains = true\ndomains_at = "[::1]:443"\nhosts = {"*.Example.com" = "www.example.com"}', None),
        ('domains = true\ndomains_at = "10.0.0.7"', "domains_at: HOST:PORT is the form"),
        ('domains = true\nhosts = {"www.example.com" = "www.example.com"}', "hosts: has a key that is no wildcard"),
        (
            'domains = true\nhosts = {"*.example.com" = "a.b.example.com"}',
            "hosts.*.example.com: not a name that it covers",
        ),
        (
            'domains = true\nhosts = {"*.example.com" = "*.example.com"}',
            "hosts.*.example.com: not a name that it covers",
        ),
        ('domains_at = "10.0.0.7:443"', "domains_at: only with domains = true"),
        ('hosts = {"*.example.com" = "www.example.com"}', "hosts: only with domains = true"),
    ],
)
def test_where_domains_are_asked_for_is_somewhere(tmp_path: Path, verify: str, problem: str | None) -> None:
    text = GATEWAYS + certificate(in_place(), more=f"[certificates.shop.verify]\n{verify}")
    assert problems(tmp_path, text) == ([] if problem is None else [f"certificates.shop.verify.{problem}"])


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ('"10.0.0.7:443"', None),
        ('{address = "10.0.0.7:443", server_name = "a.example.com"}', None),
        ('"10.0.0.7"', ": HOST:PORT is the form"),
        ('{address = "10.0.0.7:443", server_name = "a"}', ".server_name: not a domain name"),
    ],
)
def test_where_a_listener_is_looked_at_has_host_and_port(tmp_path: Path, endpoint: str, problem: str | None) -> None:
    listeners = LISTENER.replace("}]", f", endpoint = {endpoint}}}]")
    deployment = f'gateway = "bycloud-sp"\nstrategy = "replace"\nname = "shop-2026"\n{listeners}'
    place = "certificates.shop.deployments.0.listeners.0.endpoint"
    assert problems(tmp_path, GATEWAYS + certificate(deployment)) == ([] if problem is None else [place + problem])


@pytest.mark.parametrize(
    ("listener", "verify", "is_refused"),
    [
        ("", 'endpoints = ["a.example.com:443"]\nwithin_seconds = 451', True),
        ("", 'endpoints = ["a.example.com:443"]\nwithin_seconds = 450', False),
        ("", "domains = true\nwithin_seconds = 900", True),
        (', endpoint = "10.0.0.7:443"', "within_seconds = 1000", True),
        ("", "within_seconds = 1000", False),
    ],
)
def test_a_proof_that_a_time_slice_might_never_let_end_is_refused_where_anything_is_asked(
    tmp_path: Path, listener: str, verify: str, *, is_refused: bool
) -> None:
    listeners = LISTENER.replace("}]", f"{listener}}}]")
    bound = f'gateway = "bycloud-sp"\nstrategy = "replace"\nname = "shop-2026"\n{listeners}'
    text = GATEWAYS + certificate(bound, more=f"[certificates.shop.verify]\n{verify}")
    told = "longer than half of retry.slice_seconds: no proof might come to its end"
    expected = [f"certificates.shop.verify.within_seconds: {told}"] if is_refused else []
    assert problems(tmp_path, text) == expected
    assert problems(tmp_path, f"[retry]\nslice_seconds = 2000\n{text}") == []
