"""What ACME clients hand to a hook."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from worker.hooks import HookRenewal, NotOurs, read_hook


@pytest.mark.parametrize(
    ("argv", "environ", "expected"),
    [
        pytest.param(
            [],
            {"RENEWED_LINEAGE": "/etc/letsencrypt/live/shop", "RENEWED_DOMAINS": "shop.example.com www.example.com"},
            HookRenewal(
                "shop",
                ("shop.example.com", "www.example.com"),
                Path("/etc/letsencrypt/live/shop/fullchain.pem"),
                Path("/etc/letsencrypt/live/shop/privkey.pem"),
            ),
            id="certbot",
        ),
        pytest.param(
            [],
            {
                "LEGO_CERT_PATH": "/lego/certificates/_.example.com.crt",
                "LEGO_CERT_KEY_PATH": "/lego/certificates/_.example.com.key",
                "LEGO_CERT_DOMAIN": "*.example.com",
            },
            HookRenewal(
                "*.example.com",
                ("*.example.com",),
                Path("/lego/certificates/_.example.com.crt"),
                Path("/lego/certificates/_.example.com.key"),
            ),
            id="lego 4",
        ),
        pytest.param(
            [],
            {
                "LEGO_HOOK_CERT_PATH": "/lego/shop.crt",
                "LEGO_HOOK_CERT_KEY_PATH": "/lego/shop.key",
                "LEGO_HOOK_CERT_NAME": "shop",
                "LEGO_HOOK_CERT_DOMAINS": "a.example.com,b.example.com",
            },
            HookRenewal("shop", ("a.example.com", "b.example.com"), Path("/lego/shop.crt"), Path("/lego/shop.key")),
            id="lego 5",
        ),
        pytest.param(
            [],
            {
                "LEGO_HOOK_CERT_PATH": "/lego/a.crt",
                "LEGO_HOOK_CERT_KEY_PATH": "/lego/a.key",
                "LEGO_HOOK_CERT_DOMAINS": "a.example.com, b.example.com",
            },
            HookRenewal("a.example.com", ("a.example.com", "b.example.com"), Path("/lego/a.crt"), Path("/lego/a.key")),
            id="lego 5 without a name",
        ),
        pytest.param(
            ["shop.example.com", "/acme/shop.key", "/acme/shop.cer", "/acme/ca.cer", "/acme/fullchain.cer"],
            {},
            HookRenewal("shop.example.com", ("shop.example.com",), Path("/acme/fullchain.cer"), Path("/acme/shop.key")),
            id="acme.sh",
        ),
        pytest.param(
            ["localhost", "/k", "/c", "/ca", "/f"],
            {},
            HookRenewal("localhost", ("localhost",), Path("/f"), Path("/k")),
            id="acme.sh with a name of one label",
        ),
        pytest.param(
            [
                "deploy_cert",
                "shop.example.com",
                "/d/privkey.pem",
                "/d/cert.pem",
                "/d/fullchain.pem",
                "/d/chain.pem",
                "1",
            ],
            {},
            HookRenewal("shop.example.com", ("shop.example.com",), Path("/d/fullchain.pem"), Path("/d/privkey.pem")),
            id="dehydrated",
        ),
        pytest.param(
            ["deploy_cert", "shop.example.com", "/d/privkey.pem", "/d/cert.pem", "/d/fullchain.pem", "/d/chain.pem"],
            {},
            HookRenewal("shop.example.com", ("shop.example.com",), Path("/d/fullchain.pem"), Path("/d/privkey.pem")),
            id="dehydrated before it had timestamps",
        ),
    ],
)
def test_a_renewal_is_read(argv: Sequence[str], environ: Mapping[str, str], expected: HookRenewal) -> None:
    assert read_hook(argv, environ) == expected


@pytest.mark.parametrize(
    "words",
    [
        "deploy_challenge shop.example.com -token- key",
        "deploy_challenge a.example.com t1 k1 b.example.com t2 k2",
        "clean_challenge shop.example.com token key",
        "sync_cert /key /cert /fullchain /chain /request",
        "deploy_ocsp shop.example.com /ocsp 1",
        "unchanged_cert shop.example.com /key /cert /fullchain /chain",
        "invalid_challenge shop.example.com response",
        "request_failure 500 reason post headers",
        "generate_csr shop.example.com /certs a",
        "startup_hook",
        "exit_hook error",
        "this_hookscript_is_broken__dehydrated_is_working_fine__please_ignore_unknown_hooks_in_your_script",
        "a_verb_of_tomorrow with four more words",
    ],
)
def test_dehydrateds_other_verbs_are_passed_over(words: str) -> None:
    argv = words.split()
    assert read_hook(argv, {"RENEWED_LINEAGE": "/live/other"}) == NotOurs(argv[0])


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        ([], {}),
        ([], {"RENEWED_DOMAINS": "shop.example.com"}),
        ([], {"RENEWED_LINEAGE": ""}),
        ([], {"LEGO_CERT_PATH": "/c", "LEGO_CERT_DOMAIN": "shop.example.com"}),
        ([], {"LEGO_HOOK_CERT_PATH": "/c", "LEGO_HOOK_CERT_KEY_PATH": "/k", "LEGO_HOOK_CERT_DOMAINS": " , "}),
        (["shop"], {}),
        (["shop.example.com", "/key", "/cert", "/ca"], {}),
        (["deploy_cert", "shop.example.com"], {}),
    ],
)
def test_anything_else_is_not_recognised(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    assert read_hook(argv, environ) is None


def test_the_words_win_over_the_environment() -> None:
    found = read_hook(["a.example.com", "/k", "/c", "/ca", "/f"], {"RENEWED_LINEAGE": "/live/other"})
    assert found == HookRenewal("a.example.com", ("a.example.com",), Path("/f"), Path("/k"))


def test_the_clients_own_name_comes_first_and_each_once() -> None:
    hook = HookRenewal("a.example.com", ("b.example.com", "a.example.com"), Path("/c"), Path("/k"))
    assert hook.names == ("a.example.com", "b.example.com")
