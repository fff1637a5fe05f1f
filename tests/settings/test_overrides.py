"""Settings from the environment."""

from pathlib import Path

import pytest

from tests.settings.files import APIG, GATEWAYS, certificate, in_place, loaded, problems, written
from worker.settings import SettingsError
from worker.settings.loading import load, load_for_publishing
from worker.settings.resolve import broker_url


def test_values_are_read_as_the_fields_type(tmp_path: Path) -> None:
    environ = {
        "ROTATION_BROKER__PREFETCH": "7",
        "ROTATION_BROKER__DECLARE": "false",
        "ROTATION_RETRY__DEADLINE_SECONDS": "2.5",
        "ROTATION_TRUST__AUDIENCE": "12",
        "ROTATION_PUBLISH__SPOOL": "spool",
    }
    settings = loaded(tmp_path, "", environ)
    assert (settings.broker.prefetch, settings.broker.declare_, settings.retry.deadline_seconds) == (7, False, 2.5)
    assert (settings.trust.audience, settings.publish.spool) == ("12", tmp_path / "spool")


@pytest.mark.parametrize("name", ["APIG_MAIN", "apig-main", "Apig_Main"])
def test_a_section_is_found_whatever_its_case_and_hyphens(tmp_path: Path, name: str) -> None:
    settings = loaded(tmp_path, APIG, {f"ROTATION_GATEWAYS__{name}__CONCURRENCY": "3"})
    assert settings.gateways["apig-main"].concurrency == 3


def test_of_two_sections_that_are_spelled_alike_the_exact_one_is_meant(tmp_path: Path) -> None:
    text = APIG + APIG.replace("apig-main", "apig_main")
    settings = loaded(tmp_path, text, {"ROTATION_GATEWAYS__APIG_MAIN__CONCURRENCY": "3"})
    assert settings.gateways["apig_main"].concurrency == 3
    assert settings.gateways["apig-main"].concurrency == 8


def test_digits_number_the_entries_of_lists(tmp_path: Path) -> None:
    environ = {
        "ROTATION_CERTIFICATES__SHOP__DEPLOYMENTS__0__CERTIFICATE_ID": "c9",
        "ROTATION_RETRY__PARKING_SECONDS__1": "60",
    }
    text = "[retry]\nparking_seconds = [1, 2]\n" + GATEWAYS + certificate(in_place())
    settings = loaded(tmp_path, text, environ)
    assert settings.certificates["shop"].deployments[0].certificate_id == "c9"
    assert settings.retry.parking_seconds == (1, 60)


def test_certificates_of_other_files_can_be_overridden_and_so_can_their_folder(tmp_path: Path) -> None:
    written(tmp_path, certificate(in_place()), "d/shop.toml")
    environ = {
        "ROTATION_CERTIFICATES_DIR": "d",
        "ROTATION_CERTIFICATES__SHOP__DEPLOYMENTS__0__CERTIFICATE_ID": "c9",
    }
    settings = loaded(tmp_path, GATEWAYS, environ)
    assert settings.certificates["shop"].deployments[0].certificate_id == "c9"


@pytest.mark.parametrize("variable", ["ROTATION_BROKER__URL", "ROTATION_broker__Url"])
def test_a_url_takes_the_place_of_the_files_url_file(tmp_path: Path, variable: str) -> None:
    written(tmp_path, "amqps://worker@file.example.com/", "url")
    other = "amqps://admin@variable.example.com/"
    text = '[broker]\nurl_file = "url"\n' + GATEWAYS + certificate(in_place())
    every = loaded(tmp_path, text, {variable: other})
    for_publishing, problems_of_it = load_for_publishing(tmp_path / "worker.toml", {variable: other})
    for settings in (every, for_publishing):
        assert (broker_url(settings.broker).reveal(), settings.broker.url_file) == (other, None)
    assert problems_of_it == ()


def test_a_section_that_is_spelled_otherwise_is_told_as_unknown_beside_a_url_too(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, '[Broker]\nurl_file = "url"', {"ROTATION_BROKER__URL": "amqps://u@example.com/"})
    assert "Broker: unknown key" in problem


def test_a_url_file_of_the_environment_counts_before_any_url(tmp_path: Path) -> None:
    written(tmp_path, "amqps://worker@file.example.com/", "url")
    both = {"ROTATION_BROKER__URL_FILE": "url", "ROTATION_BROKER__URL": "amqps://u@variable.example.com/"}
    for environ in (both, {"ROTATION_BROKER__URL_FILE": "url"}):
        settings = loaded(tmp_path, '[broker]\nurl = "amqps://u@toml.example.com/"', environ)
        assert broker_url(settings.broker).reveal() == "amqps://worker@file.example.com/"


def test_a_url_file_of_the_environment_hides_no_password_that_everybody_can_read(tmp_path: Path) -> None:
    settings = written(tmp_path, '[broker]\nurl = "amqps://u:hunter2@toml.example.com/"')
    settings.chmod(0o644)
    with pytest.raises(SettingsError, match=r"broker\.url: has a password, and everybody can read this file"):
        load(settings, {"ROTATION_BROKER__URL_FILE": "url"})


@pytest.mark.parametrize("variable", ["ROTATION_CONFIG", "ROTATION_TEST_AMQP_URL", "HOME", "rotation_broker__queue"])
def test_other_variables_are_no_overrides(tmp_path: Path, variable: str) -> None:
    assert loaded(tmp_path, "", {variable: "hunter2"}) == loaded(tmp_path, "")


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("ROTATION_FOO", "foo: unknown key"),
        ("ROTATION_BROKER__FOO", "broker.foo: unknown key"),
        ("ROTATION_BROKER__FOO__BAR", "broker.foo: unknown key"),
        ("ROTATION_BROKER__QUEUE__BAR", "broker.queue: Input should be a valid string"),
        ("ROTATION_BROKER", "broker: Input should be a valid dictionary"),
        ("ROTATION_BROKER__PREFETCH", "broker.prefetch: Input should be a valid integer"),
        ("ROTATION_RETRY__SLICE_SECONDS", "retry.slice_seconds: Input should be a valid number"),
        ("ROTATION_BROKER__URL", "broker.url: not an amqp://"),
        ("ROTATION_RETRY__PARKING_SECONDS__7", "names no setting"),
        ("ROTATION_CONFIGURATION", "configuration: unknown key"),
        ("ROTATION_", "names no setting"),
        ("ROTATION_BROKER__", "names no setting"),
        ("ROTATION_BROKER__URL__", "names no setting"),
    ],
)
def test_a_wrong_one_is_named_by_its_variable_without_its_value(tmp_path: Path, variable: str, what: str) -> None:
    found = problems(tmp_path, "[retry]\nparking_seconds = [1]", {variable: "hunter2"})
    assert len(found) == 1
    assert found[0].startswith(f"{variable}: {what}"), found
    assert "hunter2" not in found[0]


def test_not_a_number_is_refused_from_the_environment_too(tmp_path: Path) -> None:
    assert problems(tmp_path, "", {"ROTATION_RETRY__DEADLINE_SECONDS": "nan"}) == [
        "ROTATION_RETRY__DEADLINE_SECONDS: retry.deadline_seconds: Input should be a finite number"
    ]
