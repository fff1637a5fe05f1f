"""From settings to the values that the rest of the worker uses."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.settings.files import GATEWAYS, LISTENER, certificate, in_place, loaded, written
from worker.building import certificates_of
from worker.core.deployment import Binding
from worker.core.secret import Secret
from worker.sandbox.ca import Authority
from worker.settings import SettingsError
from worker.settings.resolve import (
    broker_url,
    claims_in,
    deployments_of,
    holds,
    producers_by_certificate,
    schedule_of,
    unsigned_producers,
)

WITH_CLIENT_CA = GATEWAYS + certificate(in_place(trusted_root_ca_file='"ca.pem"'))
REBIND = f'gateway = "bycloud-sp"\nstrategy = "rebind"\ncertificate_id = "c1"\n{LISTENER}'


def test_attached_leaves_the_bindings_to_the_gateway(tmp_path: Path) -> None:
    (deployment,) = deployments_of(loaded(tmp_path, GATEWAYS + certificate(in_place())), "shop")
    assert deployment.bindings is None
    assert (deployment.gateway, deployment.strategy, deployment.certificate_id) == ("apig-main", "in_place", "c1")


def test_domains_become_bindings_in_lower_case_one_an_instance(tmp_path: Path) -> None:
    domains = (
        '["A.Example.com", {domain = "B.example.com", instance_ids = ["i1", "i2"],'
        " verified_client_certificate_enabled = true}]"
    )
    (deployment,) = deployments_of(loaded(tmp_path, GATEWAYS + certificate(in_place(domains=domains))), "shop")
    assert deployment.bindings == (
        Binding("domain", "a.example.com"),
        Binding("domain", "b.example.com", "i1", client_verification=True),
        Binding("domain", "b.example.com", "i2", client_verification=True),
    )


def test_single_domains_keep_their_three_ids(tmp_path: Path) -> None:
    domains = '[{instance_id = "i1", group_id = "g1", domain_id = "d1"}]'
    text = certificate(in_place(strategy='"per_domain"', certificate_id="", name='"shop"', domains=domains))
    (deployment,) = deployments_of(loaded(tmp_path, GATEWAYS + text), "shop")
    assert deployment.bindings == (Binding("domain", "d1", "i1", group_id="g1", domain_id="d1"),)


def test_listeners_become_bindings(tmp_path: Path) -> None:
    (deployment,) = deployments_of(loaded(tmp_path, GATEWAYS + certificate(REBIND)), "shop")
    assert deployment.bindings == (Binding("listener", "6f6f1f8e-6d2c-4c4f-9a53-0d7a4f3b8c11"),)


def test_the_client_ca_is_read(tmp_path: Path) -> None:
    root = Authority.create().root_pem
    written(tmp_path, f"\n{root}\n", "ca.pem")
    assert deployments_of(loaded(tmp_path, WITH_CLIENT_CA), "shop")[0].trusted_root_ca == root


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "empty"),
        ("hunter2", "something other than PEM at block 1"),
        ("{ca}{key}", "a block that is no CERTIFICATE"),
        ("{key}{ca}", "a block that is no CERTIFICATE"),
        ("{ca}hunter2", "something other than PEM at block 2"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate 1 cannot be read"),
        ("{ca}" + "\n" * 70_000, "over 65536 bytes"),
    ],
)
def test_what_is_no_client_ca_is_sent_to_no_cloud(tmp_path: Path, content: str, problem: str) -> None:
    authority = Authority.create()
    key = authority.issue(["client.example.com"]).private_key_pem
    written(tmp_path, content.format(ca=authority.root_pem, key=key), "ca.pem")
    with pytest.raises(SettingsError) as caught:
        deployments_of(loaded(tmp_path, WITH_CLIENT_CA), "shop")
    assert caught.value.problems == (f"certificates.shop.deployments.0.trusted_root_ca_file: {problem}",)


def test_a_client_ca_that_cannot_be_read_is_named_by_its_key(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GATEWAYS + certificate(in_place(trusted_root_ca_file='"none.pem"')))
    with pytest.raises(SettingsError, match=r"certificates\.shop\.deployments\.0\.trusted_root_ca_file: cannot be"):
        deployments_of(settings, "shop")


def test_the_brokers_url_comes_from_its_file_where_there_is_one(tmp_path: Path) -> None:
    written(tmp_path, "amqps://u:p@rabbit.example.com/\n", "url")
    assert broker_url(loaded(tmp_path, '[broker]\nurl_file = "url"').broker) == Secret(
        "amqps://u:p@rabbit.example.com/"
    )


@pytest.mark.parametrize("url", ["amqp://u:hunter2@rabbit.example.com/", "amqps://u:hunter2@h/?no_verify_ssl=0", ""])
def test_a_url_in_a_file_is_checked_like_one_in_the_settings(tmp_path: Path, url: str) -> None:
    written(tmp_path, url, "url")
    with pytest.raises(SettingsError, match=r"^broker\.url_file: ") as caught:
        broker_url(loaded(tmp_path, '[broker]\nurl_file = "url"').broker)
    assert "hunter2" not in str(caught.value)


def test_the_platform_holds_what_is_only_rebound(tmp_path: Path) -> None:
    both = REBIND.replace("c1", "c2") + "\n[[certificates.both.deployments]]\n" + in_place()
    settings = loaded(tmp_path, GATEWAYS + certificate(REBIND) + certificate(both, name="both"))
    assert holds(settings) == {"shop"}
    assert producers_by_certificate(settings) == {"shop": {"acme-1"}, "both": {"acme-1"}}


def test_who_shows_a_certificate_to_the_broker_has_a_name_in_url_file_too(tmp_path: Path) -> None:
    written(tmp_path, "amqps://rabbit.example.com/", "url")
    settings = loaded(tmp_path, '[broker]\nurl_file = "url"\ncert_file = "c"\nkey_file = "k"')
    with pytest.raises(SettingsError, match=r"broker\.url_file: names no user"):
        broker_url(settings.broker)


def test_who_has_no_public_key_is_a_user_of_the_broker(tmp_path: Path) -> None:
    shop = GATEWAYS + certificate(in_place()).replace('["acme-1"]', '["zoe", "acme-1", "acme-2", "acme-3"]')
    trust = '[trust.producers.acme-1]\npublic_key = "a.jwk"\n[trust.producers.acme-3]\n'
    assert unsigned_producers(loaded(tmp_path, shop + trust)) == ["acme-2", "acme-3", "zoe"]


def test_claims_are_in_lower_case_however_the_settings_write_them(tmp_path: Path) -> None:
    shop = certificate(in_place(certificate_id='"C7-ABC"')) + certificate(
        in_place(certificate_id="", name='"Blog_Main"'), name="blog"
    )
    assert claims_in(loaded(tmp_path, GATEWAYS + shop)) == {("apig-main", "c7-abc"), ("apig-main", "blog_main")}


def test_when_a_certificate_may_be_rotated_is_what_its_settings_say(tmp_path: Path) -> None:
    more = 'window = ["Sat 22:00-04:00 UTC", "Sun 22:00-04:00 UTC"]\nspread_seconds = 600\nnear_expiry_seconds = 3600'
    text = GATEWAYS + certificate(in_place(), more=more) + certificate(in_place(certificate_id='"c2"'), name="blog")
    settings = loaded(tmp_path, "[retry]\nparking_seconds = [40, 50]\n" + text)
    schedule = schedule_of(settings, "shop")
    assert [window.days for window in schedule.windows] == [{5}, {6}]
    assert (schedule.spread, schedule.near_expiry, schedule.lateness) == tuple(
        timedelta(seconds=seconds) for seconds in (600, 3600, 80)
    )
    assert schedule_of(settings, "blog").windows == ()
    assert certificates_of(settings)["shop"].schedule == schedule
