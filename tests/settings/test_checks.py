"""What no single setting shows: addresses that would leak, names that lead nowhere, one thing configured twice."""

import re
from pathlib import Path

import pytest

from tests.settings.files import APIG, BYCLOUD, GATEWAYS, LISTENER, VAULT, certificate, in_place, loaded, problems

LINEAGE = '[certificates.shop.lineage]\nchain = "{0}/chain.pem"\nprivate_key = "{0}/key.pem"'
SINGLE = '{instance_id = "i1", group_id = "g1", domain_id = "d1"}'
PASSWORD = '{kind = "password", iam_endpoint = "IAM", account = "a", user = "u", password_file = "p", project = "eu"}'


MOVING = 'gateway = "apig-main"\nstrategy = "blue_green"\nname = "shop"\ndomains = "attached"\nwaves = {}'


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:guest@127.0.0.1:5672/",
        "amqp://localhost",
        "amqp://[::1]:5672/%2F",
        "amqps://user:pass@rabbit.example.com/vhost?heartbeat=10&name=worker",
        "sqlite:////var/lib/rotation-worker/queue.db",
    ],
)
def test_a_broker_url_is_taken(tmp_path: Path, url: str) -> None:
    assert problems(tmp_path, f'[broker]\nurl = "{url}"') == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("amqp://u:hunter2@rabbit.example.com/", "amqp:// to a host that is not loopback"),
        ("amqp://u:hunter2@127.0.0.1.example.com/", "amqp:// to a host that is not loopback"),
        ("amqps://u:hunter2@rabbit.example.com/?no_verify_ssl=false", "1 query keys that are not allowed"),
        ("amqps://u:hunter2@rabbit.example.com/?cafile=/x&auth=EXTERNAL", "2 query keys that are not allowed"),
        ("https://u:hunter2@rabbit.example.com/", "not an amqp://"),
        ("amqps://", "not an amqp://"),
        ("amqps://u:hunter2@rabbit.example.com:99999/", "not an amqp://"),
        ("amqps://u:hunter2@[::1/", "not an amqp://"),
        ("amqps://u:hunter2@rabbit.example.com/#x", "not an amqp://"),
        ("amqps://u:hunter2@rabbit.exa\\nmple.com/", "not an amqp://"),
        ("hunter2", "not an amqp://"),
        ("sqlite://hunter2", "sqlite:///PATH is the form"),
        ("sqlite:///", "sqlite:///PATH is the form"),
    ],
)
def test_a_broker_url_is_refused_without_being_shown(tmp_path: Path, url: str, problem: str) -> None:
    (found,) = problems(tmp_path, f'[broker]\nurl = "{url}"')
    assert found.startswith(f"broker.url: {problem}"), found
    assert "hunter2" not in found


def test_a_plain_connection_to_another_host_has_to_be_asked_for(tmp_path: Path) -> None:
    assert problems(tmp_path, '[broker]\nurl = "amqp://rabbit.example.com/"\ninsecure = true') == []


@pytest.mark.parametrize(
    "endpoint", ["https://apig.example.com", "https://apig.example.com:8443/v2", "http://127.0.0.1:8080"]
)
def test_an_endpoint_is_taken(tmp_path: Path, endpoint: str) -> None:
    assert problems(tmp_path, APIG.replace("https://apig.example.com", endpoint)) == []


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("http://apig.example.com", "http:// to a host that is not loopback"),
        ("ftp://apig.example.com", "not an https:// address"),
        ("apig.example.com", "not an https:// address"),
        ("https://", "not an https:// address"),
        ("https://user:hunter2@apig.example.com", "not an https:// address"),
        ("https://apig.example.com?token=hunter2", "not an https:// address"),
        ("https://apig.example.com/#x", "not an https:// address"),
        ("https://apig.example.com:0", "not an https:// address"),
        ("https://apig.exa\\tmple.com", "not an https:// address"),
    ],
)
@pytest.mark.parametrize("key", ["endpoint", "auth.iam_endpoint"])
def test_an_endpoint_is_refused_without_being_shown(tmp_path: Path, key: str, endpoint: str, problem: str) -> None:
    text = APIG.replace('{kind = "token", token_file = "token"}', PASSWORD)
    is_iam = key == "auth.iam_endpoint"
    text = text.replace("IAM", endpoint if is_iam else "https://iam.example.com")
    (found,) = problems(tmp_path, text if is_iam else text.replace("https://apig.example.com", endpoint))
    assert found.startswith(f"gateways.apig-main.{key}: {problem}"), found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("gateway", "kind", "identity", "secret"),
    [
        (APIG, "ak_sk", "access_key", "secret_key_file"),
        (BYCLOUD, "api_key", "key_id", "secret_file"),
    ],
)
def test_what_goes_with_a_secret_stands_in_the_settings_or_in_a_file(
    tmp_path: Path, gateway: str, kind: str, identity: str, secret: str
) -> None:
    def found(**more: str) -> list[str]:
        fields = {"kind": kind, secret: "s", **more}
        auth = ", ".join(f'{key} = "{value}"' for key, value in fields.items())
        return list(problems(tmp_path, re.sub(r"auth = .*", f"auth = {{{auth}}}", gateway)))

    assert found(**{identity: "a"}) == found(**{f"{identity}_file": "a"}) == []
    for wrong in (found(), found(**{identity: "hunter2", f"{identity}_file": "a"})):
        (told,) = wrong
        assert told.endswith(f".auth: needs {identity} or {identity}_file, and not both")
        assert "hunter2" not in told


def test_a_plain_endpoint_elsewhere_has_to_be_asked_for(tmp_path: Path) -> None:
    text = APIG.replace("https://apig.example.com", "http://apig.example.com")
    assert problems(tmp_path, text + "insecure = true") == []


@pytest.mark.parametrize(
    ("proxy", "problem"),
    [
        ("http://proxy.example.com:3128", None),
        ("https://proxy.example.com:3128", "not http://HOST:PORT"),
        ("http://u:hunter2@proxy.example.com:3128", "not http://HOST:PORT"),
        ("proxy.example.com", "not http://HOST:PORT"),
    ],
)
def test_a_proxy_is_a_host_and_a_port(tmp_path: Path, proxy: str, problem: str | None) -> None:
    told = list(problems(tmp_path, f'{APIG}proxy = "{proxy}"'))
    assert [one.rpartition(": ")[2] for one in told] == ([] if problem is None else [problem])
    assert "hunter2" not in "".join(told)


def test_what_goes_through_a_proxy_is_tls(tmp_path: Path) -> None:
    text = APIG.replace("https://apig.example.com", "http://apig.example.com")
    [told] = problems(tmp_path, f'{text}insecure = true\nproxy = "http://proxy.example.com:3128"')
    assert "proxy: only for an endpoint with https://" in told


@pytest.mark.parametrize("iam", ["http://127.0.0.1:5000", "http://iam.example.com"])
def test_no_password_goes_through_a_proxy_in_the_open(tmp_path: Path, iam: str) -> None:
    text = (
        APIG.replace('{kind = "token", token_file = "token"}', PASSWORD) + 'proxy = "http://proxy.example.com:3128"\n'
    )
    assert problems(tmp_path, text.replace("IAM", "https://iam.example.com")) == []
    [told] = problems(tmp_path, f"{text}insecure = true".replace("IAM", iam))
    assert told.startswith("gateways.apig-main.proxy: only for an auth.iam_endpoint with https://")


@pytest.mark.parametrize("steps", ["[120, 30]", "[30, 30]"])
def test_parking_steps_must_grow(tmp_path: Path, steps: str) -> None:
    assert problems(tmp_path, f"[retry]\nparking_seconds = {steps}") == [
        "retry.parking_seconds: must grow from step to step"
    ]


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "a b:80"])
def test_an_address_to_listen_at_has_host_and_port(tmp_path: Path, listen: str) -> None:
    assert problems(tmp_path, f'[http]\nlisten = "{listen}"') == ["http.listen: HOST:PORT is the form"]


@pytest.mark.parametrize(
    "deployment",
    [
        in_place(),
        in_place(certificate_id="", name='"cert_demo"'),
        in_place(domains='["a.example.com", "*.Example.com", {domain = "b.example.com", instance_ids = ["i1"]}]'),
        in_place(
            domains='[{domain = "a.example.com", instance_ids = ["i1"]},'
            ' {domain = "a.example.com", instance_ids = ["i2"]}]'
        ),
        in_place(strategy='"per_domain"', certificate_id="", name='"shop"', domains=f"[{SINGLE}]"),
        f'gateway = "bycloud-sp"\nstrategy = "rebind"\ncertificate_id = "c1"\n{LISTENER}',
        f'gateway = "bycloud-sp"\nstrategy = "replace"\nname = "shop-2026"\n{LISTENER}',
        f'gateway = "bycloud-sp"\nstrategy = "in_place"\ncertificate_id = "c1"\n{LISTENER}',
    ],
)
def test_a_deployment_is_taken(tmp_path: Path, deployment: str) -> None:
    assert problems(tmp_path, GATEWAYS + certificate(deployment)) == []


@pytest.mark.parametrize(
    ("deployment", "problem"),
    [
        (in_place(gateway='"none"'), ".gateway: there is no gateway of that name"),
        (in_place(strategy='"blue_green"'), ".name: blue_green needs it"),
        (in_place(strategy='"blue_green"', name='"shop"'), ".certificate_id: blue_green finds its stored"),
        (in_place(strategy='"blue_green"', name='"' + "s" * 38 + '"'), ".name: 37 characters at most"),
        (in_place(waves="[1]"), ".waves: in_place has none"),
        (in_place(retire_after_seconds="5"), ".retire_after_seconds: in_place keeps no old certificate"),
        (MOVING.format("[0.5, 0.1]"), ".waves.1: moves nothing"),
        (MOVING.format("[1.0, 1]"), ".waves.1: moves nothing"),
        (MOVING.format("[3, 0.1, 3]"), ".waves.2: moves nothing"),
        (in_place(waves="[2.0]"), ".waves.0: Value error, a share is 1.0 at most"),
        (in_place(waves="[]"), ".waves: Tuple should have at least 1 item"),
        (in_place(strategy='"rebind"'), ".strategy: not one of a huawei_apig gateway's"),
        (in_place(strategy='"replace"'), ".strategy: not one of a huawei_apig gateway's"),
        (in_place(strategy='"other"'), ".strategy: Input should be 'in_place'"),
        (
            f'gateway = "bycloud-sp"\nstrategy = "per_domain"\ncertificate_id = "c1"\n{LISTENER}',
            ".strategy: not one of a bycloud gateway's",
        ),
        (in_place(certificate_id=""), ": needs certificate_id or name"),
        (in_place(certificate_id='"../x"'), ".certificate_id: String should match pattern"),
        (in_place(name='"abc"'), ".name: 4 to 50 letters"),
        (in_place(name='"shop-2026"'), ".name: 4 to 50 letters"),
        (in_place(domains=""), '.domains: needs names, or "attached"'),
        (in_place(domains="[]"), '.domains: needs names, or "attached"'),
        (in_place(domains='"all"'), ".domains: Input should be"),
        (in_place(domains='["exämple.com"]'), ".domains.0: not in ASCII"),
        (in_place(domains='["l1.example.com", "b.example.com", "L1.example.com"]'), ".domains.2: stands there twice"),
        (
            in_place(
                domains='[{domain = "a.example.com", instance_ids = ["i1", "i2"]},'
                ' {domain = "A.example.com", instance_ids = ["i2"]}]'
            ),
            ".domains.1: stands there twice",
        ),
        (
            in_place(strategy='"per_domain"', certificate_id="", name='"shop"', domains=f"[{SINGLE}, {SINGLE}]"),
            ".domains.1: stands there twice",
        ),
        (
            'gateway = "bycloud-sp"\nstrategy = "replace"\nname = "shop-2026"\n'
            + LISTENER.replace("}]", "}, " + LISTENER.partition("[")[2].replace("6f6f", "6F6F")),
            ".listeners.1: stands there twice",
        ),
        (in_place(domains='["a.example.com", "a b.example.com"]'), ".domains.1: not a domain name"),
        (in_place(domains='["example"]'), ".domains.0: not a domain name"),
        (in_place(domains="[{}]"), ".domains.0.domain: is missing"),
        (in_place(domains=f"[{SINGLE}]"), ".domains.0: ids are for per_domain"),
        (in_place(listeners='[{id = "6f6f1f8e-6d2c-4c4f-9a53-0d7a4f3b8c11"}]'), ".listeners: an APIG deployment"),
        (in_place(strategy='"per_domain"', name='"shop"'), ".domains: per_domain needs instance_id"),
        (in_place(strategy='"per_domain"', domains=f"[{SINGLE}]"), ".name: per_domain needs it"),
        (
            in_place(strategy='"per_domain"', name='"shop"', domains='[{instance_id = "i1", group_id = "g1"}]'),
            ".domains.0: needs instance_id, group_id and domain_id",
        ),
        (
            in_place(strategy='"per_domain"', name='"shop"', domains='["a.example.com"]'),
            ".domains.0: needs instance_id, group_id and domain_id",
        ),
        ('gateway = "bycloud-sp"\ncertificate_id = "c1"', ".listeners: names no listener"),
        (f'gateway = "bycloud-sp"\nstrategy = "rebind"\nname = "shop"\n{LISTENER}', ".certificate_id: rebind needs it"),
        (f'gateway = "bycloud-sp"\nname = "shop"\n{LISTENER}', ".certificate_id: in_place needs it"),
        (
            f'gateway = "bycloud-sp"\ncertificate_id = "c1"\ndomains = "attached"\n{LISTENER}',
            ".domains: a ByCloud deployment has listeners",
        ),
        (
            'gateway = "bycloud-sp"\ncertificate_id = "c1"\nlisteners = [{id = "../x"}]',
            ".listeners.0.id: String should match pattern",
        ),
    ],
)
def test_a_deployment_is_refused(tmp_path: Path, deployment: str, problem: str) -> None:
    found = problems(tmp_path, GATEWAYS + certificate(deployment))
    assert any(one.startswith(f"certificates.shop.deployments.0{problem}") for one in found), found


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        (in_place(), in_place(), "certificate_id"),
        (in_place(certificate_id='"abcd"'), in_place(certificate_id='"ABCD"'), "certificate_id"),
        (in_place(certificate_id="", name='"shop"'), in_place(name='"shop"', certificate_id='"c2"'), "name"),
        # Uploads of `per_domain` are found by the beginning of the name.
        (
            in_place(strategy='"per_domain"', certificate_id="", name=f'"{"a" * 24}_1"', domains=f"[{SINGLE}]"),
            in_place(strategy='"per_domain"', certificate_id="", name=f'"{"a" * 24}_2"', domains=f"[{SINGLE}]"),
            "name",
        ),
    ],
)
def test_a_stored_certificate_belongs_to_one_deployment(tmp_path: Path, first: str, second: str, key: str) -> None:
    text = GATEWAYS + certificate(first) + certificate(second, name="blog")
    assert problems(tmp_path, text) == [
        f"certificates.blog.deployments.0.{key}: certificates.shop.deployments.0 has the same stored certificate"
    ]


def rebound(certificate_id: str, *, sni: str = "false") -> str:
    listener = LISTENER.replace('"}', f'", sni = {sni}}}')
    return f'gateway = "bycloud-sp"\nstrategy = "rebind"\ncertificate_id = "{certificate_id}"\n{listener}'


def test_a_listener_has_one_default_certificate_and_as_many_by_name_as_there_are(tmp_path: Path) -> None:
    upper = rebound("c2").replace("6f6f1f8e", "6F6F1F8E")
    assert problems(tmp_path, GATEWAYS + certificate(rebound("c1")) + certificate(upper, name="blog")) == [
        (
            "certificates.blog.deployments.0.listeners: certificates.shop.deployments.0 has the same listener,"
            " which has one default certificate: the others need sni = true"
        )
    ]
    for first, second in (("false", "true"), ("true", "true")):
        by_name = certificate(rebound("c1", sni=first)) + certificate(rebound("c2", sni=second), name="blog")
        assert problems(tmp_path, GATEWAYS + by_name) == []


def test_one_id_at_two_gateways_is_two_stored_certificates(tmp_path: Path) -> None:
    other = f'gateway = "bycloud-sp"\ncertificate_id = "c1"\n{LISTENER}'
    assert problems(tmp_path, GATEWAYS + certificate(in_place()) + certificate(other, name="blog")) == []


def test_a_certificate_that_nobody_may_renew_is_refused(tmp_path: Path) -> None:
    text = GATEWAYS + certificate(in_place()).replace('["acme-1"]', "[]")
    assert problems(tmp_path, text) == [
        "certificates.shop.producers: Tuple should have at least 1 item after validation, not 0"
    ]


def test_a_producer_that_the_settings_do_not_know_is_an_amqp_user(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GATEWAYS + certificate(in_place()))
    assert settings.certificates["shop"].producers == ("acme-1",)


def test_a_certificates_name_may_not_lead_anywhere(tmp_path: Path) -> None:
    found = problems(tmp_path, GATEWAYS + certificate(in_place(), name='"../shop"'))
    assert len(found) == 1
    assert found[0].startswith("certificates.../shop")


@pytest.mark.parametrize(
    ("root", "chain", "problem"),
    [
        ('["live"]', "shop/chain.pem", None),
        ("[]", "shop/chain.pem", ": trust.roots.files names no root that it could be below"),
        (
            '["live"]',
            "/etc/chain.pem",
            ".chain: not a path below a root: write it relative to one of trust.roots.files",
        ),
        ('["live"]', "../chain.pem", ".chain: not a path below a root: write it relative to one of trust.roots.files"),
    ],
)
def test_a_lineage_lies_below_a_root(tmp_path: Path, root: str, chain: str, problem: str | None) -> None:
    lineage = f'[certificates.shop.lineage]\nchain = "{chain}"\nprivate_key = "shop/key.pem"'
    text = f"[trust.roots]\nfiles = {root}\n" + GATEWAYS + certificate(in_place(), more=lineage)
    expected = [] if problem is None else [f"certificates.shop.lineage{problem}"]
    assert problems(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('names = ["shop.example.com", "*.example.com"]', None),
        ('names = ["a.example.com", "exämple.com"]', "names.1: not a domain name"),
        ('files_below = "live/shop"\nvault_below = "certs/shop"', None),
        (
            'files_below = "../shop"',
            "files_below: not a path below a root: write it relative to one of trust.roots.files",
        ),
        (
            'files_below = "/live/shop"',
            "files_below: not a path below a root: write it relative to one of trust.roots.files",
        ),
        ('files_below = "."', "files_below: not a path below a root: write it relative to one of trust.roots.files"),
        ('vault_below = "certs/../shop"', "vault_below: String should match pattern"),
        (f'files_below = "live/shop"\n{LINEAGE.format("live/shop")}', None),
        (f'files_below = "live/shop"\n{LINEAGE.format("live/shop2")}', "lineage: not below files_below"),
    ],
)
def test_what_a_certificate_may_be_for_and_be_made_of_is_bounded_in_words_that_bound(
    tmp_path: Path, more: str, problem: str | None
) -> None:
    found = problems(tmp_path, '[trust.roots]\nfiles = ["le"]\n' + GATEWAYS + certificate(in_place(), more=more))
    assert [one.startswith(f"certificates.shop.{problem}") for one in found] == ([] if problem is None else [True])


TOKEN = '{kind = "token", token_file = "t"}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (VAULT.replace("AUTH", TOKEN) + 'mount = "kv/certs"\nnamespace = "acme/prod"', None),
        (VAULT.replace("AUTH", '{kind = "app_role", role_id_file = "r", secret_id_file = "s"}'), None),
        (VAULT.replace("AUTH", '{kind = "kubernetes", role = "r"}'), None),
        (VAULT.replace("AUTH", TOKEN).replace("https", "http") + "insecure = true", None),
        (VAULT.replace("AUTH", TOKEN).replace("https", "http"), ".address: http:// to a host that is not loopback"),
        (VAULT.replace("AUTH", TOKEN).replace("https://", "https://u:hunter2@"), ".address: not an https:// address"),
        (VAULT.replace("AUTH", TOKEN).replace("8200", "8200?x=hunter2"), ".address: not an https:// address"),
        (VAULT.replace("AUTH", TOKEN) + 'mount = "../hunter2"', ".mount: String should match pattern"),
        (VAULT.replace("AUTH", TOKEN) + 'namespace = "a//hunter2"', ".namespace: String should match pattern"),
        (VAULT.replace("AUTH", '{kind = "kubernetes", role = "r", mount = "a/../hunter2"}'), ".auth.mount: String"),
        (VAULT.replace("AUTH", '{kind = "app_role", secret_id_file = "s"}'), ".auth: needs role_id or role_id_file"),
        (
            VAULT.replace("AUTH", '{kind = "app_role", role_id = "hunter2", role_id_file = "r", secret_id_file = "s"}'),
            ".auth: needs role_id or role_id_file",
        ),
        (VAULT.replace("AUTH", '{kind = "token", token = "hunter2"}'), ".auth.token: unknown key"),
        (VAULT.replace("AUTH", TOKEN) + "timeout_seconds = 0", ".timeout_seconds: Input should be greater than 0"),
    ],
)
def test_vault_is_reached_safely_or_not_at_all(tmp_path: Path, text: str, problem: str | None) -> None:
    found = problems(tmp_path, text)
    assert any(one.startswith(f"trust.vault{problem}") for one in found) if problem else found == [], found
    assert "hunter2" not in "".join(found)


def timed(**settings: str) -> str:
    """A certificate with these settings of its time, as TOML."""
    more = "\n".join(f"{key} = {value}" for key, value in settings.items())
    return GATEWAYS + certificate(in_place(), more=more)


@pytest.mark.parametrize(
    "window",
    ['"Mon-Fri 09:00-17:00 Europe/Berlin"', '["Sat 22:00-04:00 UTC", "02:00-24:00 Asia/Kathmandu"]', "[]"],
)
def test_a_window_is_taken(tmp_path: Path, window: str) -> None:
    assert problems(tmp_path, timed(window=window, spread_seconds="600", near_expiry_seconds="3601")) == []


@pytest.mark.parametrize(("window", "is_good"), [('"Mon 09:00-17:00 UTC"', False), ("[]", True)])
def test_what_expires_beside_a_window_is_not_slept_through(tmp_path: Path, window: str, *, is_good: bool) -> None:
    for near in ("0", "3600"):
        found = problems(tmp_path, timed(window=window, near_expiry_seconds=near))
        told = "certificates.shop.near_expiry_seconds: not longer than the last of retry.parking_seconds: "
        assert [one.startswith(told) for one in found] == ([] if is_good else [True]), found


@pytest.mark.parametrize(
    ("window", "place", "problem"),
    [
        ('"weekdays"', "", '"Mon-Fri 09:00-17:00 Europe/Berlin" is the form'),
        ('""', "", '"Mon-Fri 09:00-17:00 Europe/Berlin" is the form'),
        ('["Mon 09:00-17:00 UTC", "Mon 09:00-17:00 Mars/Hellas"]', ".1", "no time zone of that name"),
        ('["Mon 09:00-17:00 UTC", "Mo 09:00-17:00 UTC"]', ".1", "days are Mon"),
        ('"Mon 09:00-09:00 UTC"', "", "begins when it ends"),
        ('"Mon 23:59-00:00 UTC"', "", "shorter than twice the first of retry.parking_seconds"),
    ],
)
def test_a_bad_window_is_named_with_what_is_expected(tmp_path: Path, window: str, place: str, problem: str) -> None:
    parking = "[retry]\nparking_seconds = [31, 120]\n"
    (found,) = problems(tmp_path, parking + timed(window=window))
    assert found.startswith(f"certificates.shop.window{place}: {problem}"), found


@pytest.mark.parametrize(
    ("key", "value"), [("spread_seconds", "86401"), ("spread_seconds", "-1"), ("near_expiry_seconds", "inf")]
)
def test_a_spread_and_a_nearness_have_their_bounds(tmp_path: Path, key: str, value: str) -> None:
    (found,) = problems(tmp_path, timed(**{key: value}))
    assert found.startswith(f"certificates.shop.{key}: "), found


@pytest.mark.parametrize("window", ["9", "[9]", "true"])
def test_a_window_is_text(tmp_path: Path, window: str) -> None:
    found = problems(tmp_path, timed(window=window))
    assert found
    assert all(one.startswith("certificates.shop.window") for one in found), found
