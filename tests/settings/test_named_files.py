"""Files that the settings name: of secrets not for everybody to read, of CAs not for everybody to write."""

import os
from pathlib import Path

import pytest

from tests.settings.files import APIG, VAULT, certificate, in_place, loaded, written
from worker.settings import SettingsError
from worker.settings.loading import check_named_files, problems_of_files


def test_a_secret_file_that_everybody_can_read_is_named_by_its_key(tmp_path: Path) -> None:
    token, url = written(tmp_path, "t", "token"), written(tmp_path, "amqp://127.0.0.1/", "url")
    settings = loaded(tmp_path, '[broker]\nurl_file = "url"\n' + APIG)
    token.chmod(0o640)
    url.chmod(0o644)
    with pytest.raises(SettingsError) as caught:
        check_named_files(settings)
    assert caught.value.problems == ("broker.url_file: the file can be read by everybody",)
    url.chmod(0o600)
    check_named_files(settings)


def test_a_certificate_in_whose_file_its_key_stands_is_a_secret_and_one_with_a_key_file_is_none(tmp_path: Path) -> None:
    written(tmp_path, "both", "client.pem").chmod(0o644)
    written(tmp_path, "key", "client.key")
    with_key_file = loaded(tmp_path, '[broker]\ncert_file = "client.pem"\nkey_file = "client.key"')
    check_named_files(with_key_file)
    alone = loaded(tmp_path, '[broker]\ncert_file = "client.pem"')
    assert problems_of_files(alone) == ["broker.cert_file: the file can be read by everybody"]
    (tmp_path / "client.pem").chmod(0o640)
    check_named_files(alone)


def test_a_file_of_cas_that_everybody_may_write_is_named_by_its_key(tmp_path: Path) -> None:
    """Whoever writes there says whom the worker trusts, and a gateway which clients."""
    vault = VAULT.replace("AUTH", '{kind = "token", token_file = "token"}') + 'ca_file = "ca.pem"\n'
    shop = certificate(in_place(trusted_root_ca_file='"ca.pem"'))
    settings = loaded(tmp_path, f'[broker]\nca_file = "ca.pem"\n{APIG}ca_file = "ca.pem"\n{vault}{shop}')
    written(tmp_path, "t", "token")
    ca = written(tmp_path, "", "ca.pem")
    ca.chmod(0o664)
    check_named_files(settings)
    ca.chmod(0o646)
    with pytest.raises(SettingsError) as caught:
        check_named_files(settings)
    places = ["broker", "trust.vault", "gateways.apig-main", "certificates.shop.deployments.0.trusted_root"]
    problem = "the file can be written by everybody"
    assert list(caught.value.problems) == [
        *(f"{place}.ca_file: {problem}" for place in places[:3]),
        f"{places[3]}_ca_file: {problem}",
    ]
    ca.unlink()
    assert problems_of_files(settings, "broker") == ["broker.ca_file: No such file or directory"]


@pytest.mark.parametrize("kind", ["token", "ca"])
def test_what_is_named_for_a_file_is_one(tmp_path: Path, kind: str) -> None:
    settings = loaded(tmp_path, f'{APIG}ca_file = "ca"')
    for name in {"token", "ca"} - {kind}:
        written(tmp_path, "", name)
    os.mkfifo(tmp_path / kind, 0o600)
    [problem] = problems_of_files(settings)
    assert problem.endswith("_file: not a regular file")


def test_the_token_of_a_pod_has_the_mode_that_kubernetes_gives_it(tmp_path: Path) -> None:
    written(tmp_path, "jwt", "jwt").chmod(0o644)
    settings = loaded(tmp_path, VAULT.replace("AUTH", '{kind = "kubernetes", role = "r", jwt_file = "jwt"}'))
    check_named_files(settings)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[broker]\nkey_file = "none"', "broker.key_file"),
        ('[trust]\nrecipient_keys = ["none"]', "trust.recipient_keys.0"),
        ('[publish]\nproducer = "acme"\nproducer_key = "none"', "publish.producer_key"),
        (APIG, "gateways.apig-main.auth.token_file"),
        (
            APIG.replace(
                '{kind = "token", token_file = "token"}',
                '{kind = "password", iam_endpoint = "https://iam.example.com", account = "a", user = "u",'
                ' password_file = "none", project = "p"}',
            ),
            "gateways.apig-main.auth.password_file",
        ),
        (
            APIG.replace(
                '{kind = "token", token_file = "token"}', '{kind = "ak_sk", access_key = "a", secret_key_file = "n"}'
            ),
            "gateways.apig-main.auth.secret_key_file",
        ),
        (VAULT.replace("AUTH", '{kind = "token", token_file = "none"}'), "trust.vault.auth.token_file"),
        (
            VAULT.replace("AUTH", '{kind = "app_role", role_id = "r", secret_id_file = "none"}'),
            "trust.vault.auth.secret_id_file",
        ),
    ],
)
def test_a_missing_secret_file_is_named_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_named_files(loaded(tmp_path, text))
    assert caught.value.problems == (f"{key}: No such file or directory",)


def test_both_files_of_a_pair_are_looked_for(tmp_path: Path) -> None:
    pair = '{kind = "ak_sk", access_key_file = "none", secret_key_file = "none"}'
    settings = loaded(tmp_path, APIG.replace('{kind = "token", token_file = "token"}', pair))
    places = [
        f"gateways.apig-main.auth.{key}: No such file or directory" for key in ("access_key_file", "secret_key_file")
    ]
    assert problems_of_files(settings) == places


def test_only_the_named_sections_secret_files_are_asked_for(tmp_path: Path) -> None:
    settings = loaded(tmp_path, APIG + '[broker]\nkey_file = "none"')
    assert problems_of_files(settings, "trust", "publish") == []
    assert problems_of_files(settings, "broker", "publish") == ["broker.key_file: No such file or directory"]
