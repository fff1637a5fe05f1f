"""What another reading of the settings has changed: named by keys alone, and what has to wait for a restart."""

import os
from pathlib import Path

import pytest

from tests.settings.files import APIG, GATEWAYS, certificate, in_place, loaded, written
from worker.settings.changes import changed_files, differences, in_force, stamps_of

SHOP = GATEWAYS + certificate(in_place())


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        (SHOP, []),
        (SHOP + certificate(in_place(certificate_id='"c2"'), name="blog"), ["certificates.blog"]),
        (GATEWAYS, ["certificates.shop"]),
        (SHOP.replace('"c1"', '"c2"'), ["certificates.shop.deployments.0.certificate_id"]),
        (SHOP.replace('["acme-1"]', '["acme-1", "acme-2"]'), ["certificates.shop.producers"]),
        (SHOP.replace('project_id = "p1"', 'project_id = "p1"\nconcurrency = 3'), ["gateways.apig-main.concurrency"]),
        (
            SHOP.replace(
                'auth = {kind = "token", token_file = "token"}',
                'auth = {kind = "ak_sk", access_key = "hunter2", secret_key_file = "sk"}',
            ),
            ["gateways.apig-main.auth"],
        ),
        ("[trust]\nrequire_signature = true\n" + SHOP, ["trust.require_signature"]),
        ("[retry]\nattempts = 3\nslice_seconds = 7\n" + SHOP, ["retry.slice_seconds", "retry.attempts"]),
        ('certificates_dir = "."\n' + SHOP, ["certificates_dir"]),
    ],
)
def test_what_is_another_is_named_by_its_key(tmp_path: Path, changed: str, keys: list[str]) -> None:
    if "certificates_dir" in changed:
        tmp_path.chmod(0o700)
        changed = changed.replace('"."', '"more"')
        (tmp_path / "more").mkdir()
    before = loaded(tmp_path, SHOP)
    settings, waits = in_force(before, loaded(tmp_path, changed))
    assert list(differences(before, settings)) == keys
    assert waits == []


def test_what_was_made_at_the_start_waits_for_a_restart_and_the_rest_does_not_wait_for_it(tmp_path: Path) -> None:
    before = loaded(tmp_path, SHOP)
    more = (
        '[broker]\nurl = "amqps://user:hunter2@rabbit.example.com"\nprefetch = 3\n'
        '[http]\nlisten = "127.0.0.1:9"\n[retry]\nattempts = 3\nparking_seconds = [1, 2]\n'
    )
    after = loaded(tmp_path, more + SHOP)
    settings, waits = in_force(before, after)
    assert waits == ["broker.url", "broker.prefetch", "retry.parking_seconds", "http.listen"]
    assert list(differences(before, settings)) == ["retry.attempts"]
    assert (settings.broker, settings.http) == (before.broker, before.http)
    assert in_force(settings, after)[1] == waits, "they are named again as long as they wait"


def test_another_file_behind_the_same_key_is_a_change(tmp_path: Path) -> None:
    settings = loaded(tmp_path, APIG.replace("project_id", 'ca_file = "ca.pem"\nproject_id'))
    written(tmp_path, "secret", "token")
    written(tmp_path, "CA", "ca.pem")
    before = stamps_of(settings)
    assert list(changed_files(before, stamps_of(settings))) == []
    written(tmp_path, "another", "new")
    os.replace(tmp_path / "new", tmp_path / "ca.pem")  # noqa: PTH105 - as it is done by hand
    (tmp_path / "token").unlink()
    assert sorted(changed_files(before, stamps_of(settings))) == [
        "gateways.apig-main.auth.token_file",
        "gateways.apig-main.ca_file",
    ]
