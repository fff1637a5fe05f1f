"""Reading settings: which file, what is refused, and how it is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.settings.files import APIG, GATEWAYS, certificate, in_place, loaded, problems, written
from worker.settings import Settings, SettingsError
from worker.settings.loading import load, load_for_publishing
from worker.settings.sources import LARGEST


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").retry.attempts == 12


def test_the_named_file_wins_over_the_environments(tmp_path: Path) -> None:
    named = written(tmp_path, "[retry]\nattempts = 3", "named.toml")
    other = written(tmp_path, "[retry]\nattempts = 5", "other.toml")
    assert load(named, {"ROTATION_CONFIG": str(other)}).retry.attempts == 3
    assert load(None, {"ROTATION_CONFIG": str(other)}).retry.attempts == 5


def test_without_a_name_the_default_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "[retry]\nattempts = 7", "config/worker.toml")
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).retry.attempts == 7


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: No such file"):
        load(tmp_path / "none.toml", {})


def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    path.chmod(0o666)
    with pytest.raises(SettingsError, match="can be written by everybody"):
        load(path, {})


def test_a_file_of_a_mebibyte_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    assert problems(tmp_path, "#" * LARGEST) == []
    assert problems(tmp_path, "#" * (LARGEST + 1)) == [f"over {LARGEST} bytes"]


def test_what_tells_no_size_is_read_up_to_the_bound_too() -> None:
    with pytest.raises(SettingsError, match="over 1048576 bytes"):
        load(Path("/proc/self/pagemap"), {})


def test_a_file_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_bytes(b'[broker]\nurl = "\xff"')
    with pytest.raises(SettingsError, match="not in UTF-8"):
        load(path, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[broker]\nqueue = "a"\nqueue = "b"', "line 3: queue stands twice"),
        ("[broker]\n[broker]", "line 2: [broker] stands twice"),
        ('[trust]\naudience = hunter2 # "', "line 2: audience is not valid TOML"),
        ("[trust]\nhunter2", "line 2: what stands there is not valid TOML"),
        ('[trust]\naudience = "hunter2', "line 2: audience is not valid TOML"),
        ('a = """\nhunter2 = 1\n"""\na = 1', "line 4: what stands there stands twice"),
    ],
)
def test_broken_toml_is_told_by_line_and_key_without_the_value(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


@pytest.mark.parametrize("text", ["a = " + "[" * 10_000 + "]" * 10_000, "a = " + "{b = " * 10_000 + "1" + "}" * 10_000])
def test_deep_nesting_is_an_error_and_no_crash(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == ["nested too deeply"]


def test_a_number_of_five_thousand_digits_is_an_error_and_no_crash(tmp_path: Path) -> None:
    assert len(problems(tmp_path, f"[retry]\nattempts = {'9' * 5000}")) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("foo = 1", "foo: unknown key"),
        ("[broker]\nno_verify_ssl = true", "broker.no_verify_ssl: unknown key"),
        (APIG + "foo = 1", "gateways.apig-main.foo: unknown key"),
        (APIG.replace('token_file = "token"', 'token = "hunter2"'), "gateways.apig-main.auth.token: unknown key"),
        (GATEWAYS + certificate(in_place(foo="1")), "certificates.shop.deployments.0.foo: unknown key"),
        (
            GATEWAYS + certificate(in_place(domains='[{domain = "a.example.com", foo = 1}]')),
            "certificates.shop.deployments.0.domains.0.foo: unknown key",
        ),
        ("[retry]\ndeadline_seconds = nan", "retry.deadline_seconds: Input should be a finite number"),
        ("[retry]\nparking_seconds = [1, inf]", "retry.parking_seconds.1: Input should be a finite number"),
        ('[broker]\nprefetch = "hunter2"', "broker.prefetch: Input should be a valid integer, unable to parse string"),
        (APIG.replace('"huawei_apig"', '"hunter2"'), "gateways.apig-main: kind: must be 'huawei_apig' or 'bycloud'"),
        (
            "[certificates]\nshop = 1",
            "certificates.shop: Input should be a valid dictionary or instance of Certificate",
        ),
        ("certificates = 1", "certificates: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_setting_is_told_by_its_full_path(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(tmp_path, text)
    assert any(one.startswith(problem) for one in found), found
    assert "hunter2" not in "".join(found)
    assert not any("\n" in one for one in found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[broker]\nprefetch = "32"', "broker.prefetch: a whole number belongs here, and text stands there"),
        ("[broker]\nprefetch = true", "broker.prefetch: a whole number belongs here, and true or false stands there"),
        ("[broker]\nprefetch = 32.0", "broker.prefetch: a whole number belongs here, and a number stands there"),
        ('[broker]\ndeclare = "yes"', "broker.declare: true or false belongs here, and text stands there"),
        ("[trust]\nallow_plain_keys = 1", "trust.allow_plain_keys: true or false belongs here, and a whole number"),
        ('[trust]\nallow_plain_keys = "on"', "trust.allow_plain_keys: true or false belongs here, and text"),
        (
            '[retry]\nparking_seconds = [1, "2"]',
            "retry.parking_seconds.1: a number belongs here, and text stands there",
        ),
        (APIG + 'concurrency = "3"', "gateways.apig-main.concurrency: a whole number belongs here, and text"),
        (APIG + 'limits = [{calls = "1", seconds = 1}]', "gateways.apig-main.limits.0.calls: a whole number belongs"),
        (
            GATEWAYS + certificate(in_place(domains='[{domain = "a.x", verified_client_certificate_enabled = "yes"}]')),
            "certificates.shop.deployments.0.domains.0.verified_client_certificate_enabled: true or false belongs here",
        ),
    ],
)
def test_a_value_of_another_type_is_not_guessed_at(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(problem)


def test_a_whole_number_is_a_number_too(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[retry]\ndeadline_seconds = 5").retry.deadline_seconds == 5.0


def test_a_wrong_type_in_a_file_of_the_certificates_dir_names_that_file(tmp_path: Path) -> None:
    text = certificate(
        in_place(strategy='"blue_green"', certificate_id="", name='"shop"', waves='[1, "0.5"]'), name="blog"
    )
    written(tmp_path, text, "d/blog.toml")
    (found,) = problems(tmp_path, 'certificates_dir = "d"\n' + GATEWAYS)
    assert found.startswith(f"{tmp_path}/d/blog.toml: certificates.blog.deployments.0.waves.1: a number belongs here")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    assert problems(tmp_path, "foo = 1\n[retry]\nattempts = 0\n[http]\nbar = 2")[::2] == [
        "retry.attempts: Input should be greater than or equal to 1",
        "foo: unknown key",
    ]


def test_a_key_that_would_steer_a_terminal_is_shown_harmlessly(tmp_path: Path) -> None:
    assert problems(tmp_path, '"a\\u001b[2J\\nb" = 1') == ["a?[2J?b: unknown key"]


def test_relative_paths_are_meant_from_the_files_folder(tmp_path: Path) -> None:
    text = '[broker]\nurl = "sqlite:///queue.db"\nca_file = "ca.pem"\n[trust]\nca_bundle = "roots.pem"\n'
    settings = loaded(tmp_path, text + '[trust.roots]\nfiles = ["live", "/etc/letsencrypt"]\n' + APIG)
    assert settings.broker.url == f"sqlite:///{tmp_path}/queue.db"
    assert settings.broker.ca_file == tmp_path / "ca.pem"
    assert settings.trust.ca_bundle == f"{tmp_path}/roots.pem"
    assert settings.trust.roots.files == (tmp_path / "live", Path("/etc/letsencrypt"))
    assert getattr(settings.gateways["apig-main"].auth, "token_file", None) == tmp_path / "token"


def test_the_systems_roots_are_no_path(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").trust.ca_bundle == "system"


def test_files_of_the_certificates_dir_add_certificates(tmp_path: Path) -> None:
    written(tmp_path, certificate(in_place(certificate_id='"c2"'), name="blog"), "certificates.d/blog.toml")
    written(tmp_path, "not read", "certificates.d/README")
    text = 'certificates_dir = "certificates.d"\n' + GATEWAYS + certificate(in_place())
    assert set(loaded(tmp_path, text).certificates) == {"shop", "blog"}


def test_a_name_that_stands_twice_names_both_files(tmp_path: Path) -> None:
    for number in (1, 2):
        written(tmp_path, certificate(in_place(certificate_id=f'"d{number}"'), name="blog"), f"d/{number}.toml")
    (problem,) = problems(tmp_path, 'certificates_dir = "d"\n' + GATEWAYS)
    assert problem == f"{tmp_path}/d/2.toml: certificates.blog stands in {tmp_path}/d/1.toml too"


def test_a_name_that_the_main_file_has_too_names_both_files(tmp_path: Path) -> None:
    written(tmp_path, certificate(in_place()), "d/shop.toml")
    (problem,) = problems(tmp_path, 'certificates_dir = "d"\n' + GATEWAYS + certificate(in_place()))
    assert problem == f"{tmp_path}/d/shop.toml: certificates.shop stands in {tmp_path}/worker.toml too"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[broker]\nprefetch = 1", "broker: only [certificates.NAME] belongs here"),
        ("certificates = 1", "certificates: [certificates.NAME] is the form"),
        ("[certificates.blog]\nfoo = 1", "certificates.blog.foo: unknown key"),
        (certificate(in_place(gateway='"none"'), name="blog"), "certificates.blog.deployments.0.gateway: there is no"),
    ],
)
def test_what_is_wrong_in_such_a_file_is_told_with_its_name(tmp_path: Path, content: str, problem: str) -> None:
    written(tmp_path, content, "d/blog.toml")
    found = problems(tmp_path, 'certificates_dir = "d"\n' + GATEWAYS)
    assert any(one.startswith(f"{tmp_path}/d/blog.toml: {problem}") for one in found), found


def test_a_certificates_dir_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert problems(tmp_path, 'certificates_dir = "d"') == ["certificates_dir: no such folder"]


def test_a_certificates_dir_to_which_everybody_may_add_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for mode in (0o777, 0o1777):
        (tmp_path / "d").chmod(mode)
        assert problems(tmp_path, 'certificates_dir = "d"') == ["certificates_dir: can be written by everybody"]
    (tmp_path / "d").chmod(0o775)
    assert problems(tmp_path, 'certificates_dir = "d"') == []


def publishing(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[Settings, Sequence[str]]:
    path = written(folder, text)
    settings, mistakes = load_for_publishing(path, environ or {})
    return settings, [mistake.removeprefix(f"{path}: ") for mistake in mistakes]


PUBLISHER = '[publish]\nspool = "spool"\nnames = {www = "shop"}\n[trust.roots]\nfiles = ["live"]\n'


def test_a_publisher_reads_what_it_uses_and_nothing_else(tmp_path: Path) -> None:
    text = PUBLISHER + '[trust]\naudience = 1\n[broker]\nurl = "sqlite:///queue.db"\n[retry]\nattempts = 0\nfoo = 1'
    settings, mistakes = publishing(tmp_path, text, {"ROTATION_PUBLISH__PLAIN": "true", "ROTATION_HTTP__A__B": "1"})
    assert mistakes == []
    assert (settings.publish.spool, settings.publish.plain) == (tmp_path / "spool", True)
    assert settings.broker.url == f"sqlite:///{tmp_path}/queue.db"
    assert settings.trust.roots.files == (tmp_path / "live",)


@pytest.mark.parametrize(
    ("text", "environ", "problem"),
    [
        ("[broker]\nfoo = 1", {}, "broker.foo: unknown key"),
        ("[broker]\nurl = 1", {}, "broker.url: Input should be a valid string"),
        ('[broker]\nurl = "amqp://rabbit.example.com/"', {}, "broker.url: amqp:// to a host that is not loopback"),
        ("", {"ROTATION_BROKER__URL__X": "1"}, "ROTATION_BROKER__URL__X: names no setting"),
        ("", {"ROTATION_PUBLISH__FOO": "1"}, "ROTATION_PUBLISH__FOO: publish.foo: unknown key"),
    ],
)
def test_a_publishers_mistakes_leave_what_the_spool_needs(
    tmp_path: Path, text: str, environ: Mapping[str, str], problem: str
) -> None:
    before = '[broker]\nurl = "sqlite:///q"\n' if "URL__X" in str(environ) else ""
    settings, mistakes = publishing(tmp_path, before + PUBLISHER + text, environ)
    assert len(mistakes) == 1
    assert mistakes[0].startswith(problem)
    assert (settings.publish.spool, settings.publish.names) == (tmp_path / "spool", {"www": "shop"})
    assert settings.broker == Settings().broker


@pytest.mark.parametrize("text", ["publish = 1", "trust = 1", "[publish]\nspool = 1", "[publish]\nnames = 1"])
def test_a_publisher_that_cannot_write_down_is_told_every_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        publishing(tmp_path, f"{text}\n[broker]\nfoo = 1")
    assert len(caught.value.problems) == 2
