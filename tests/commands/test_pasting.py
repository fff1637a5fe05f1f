"""What `discover` prints is pasted as it is, whatever somebody has called a certificate at the gateway."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.settings.files import GATEWAYS, certificate, in_place, loaded
from tests.settings.files import LISTENER as ON_LISTENER
from worker.commands.pasting import as_settings
from worker.core.deployment import Binding
from worker.core.planning import Stored
from worker.gateways.base import Discovered
from worker.settings import Settings

LISTENER = "6f6f1f8e-6d2c-4c4f-9a53-0d7a4f3b8c11"


def stored(name: str, *bindings: Binding, certificate_id: str = "c1") -> Discovered:
    return Discovered(Stored(certificate_id, name), bindings)


def pasted(folder: Path, gateway: str, *found: Discovered, already: str = "") -> tuple[str, Settings]:
    """The text, and the settings with it."""
    before = loaded(folder, GATEWAYS + already)
    text = "\n".join(as_settings(before, gateway, found))
    return text, loaded(folder, GATEWAYS + already + text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop", "shop"),
        ("www.example.com", "www.example.com"),
        ('a"]\n[broker]\nurl = "amqp://evil/"\n#', "a-broker-url-amqp-evil"),
        ("a\r[broker]", "a-broker"),
        ("a\u2028b\u0085c\x7fd\x00", "a-b-c-d"),
        ("\ud800", "certificate"),
        ("…", "certificate"),
        ("x" * 300, "x" * 80),
    ],
)
@pytest.mark.parametrize("gateway", ["apig-main", "bycloud-sp"])
def test_a_name_injects_nothing(tmp_path: Path, gateway: str, name: str, expected: str) -> None:
    binding = Binding("domain", name) if gateway == "apig-main" else Binding("listener", LISTENER, sni=True)
    text, settings = pasted(tmp_path, gateway, stored(name, binding))
    assert list(settings.certificates) == [expected]
    assert settings.certificates[expected].deployments[0].certificate_id == "c1"
    assert settings.broker == Settings().broker
    assert all(line.isprintable() for line in text.split("\n"))


def test_two_of_one_name_are_told_apart(tmp_path: Path) -> None:
    already = certificate(in_place(certificate_id='"c0"'))
    found = [stored("shop", certificate_id=f"c{number}") for number in (1, 2)]
    _, settings = pasted(tmp_path, "apig-main", *found, already=already)
    assert list(settings.certificates) == ["shop", "shop-2", "shop-3"]


@pytest.mark.parametrize(
    ("gateway", "found", "already", "why"),
    [
        ("apig-main", stored("shop", certificate_id="C1"), certificate(in_place()), "in the settings already"),
        ("bycloud-sp", stored("shop"), "", "bound to no listener"),
        ("bycloud-sp", stored("shop", Binding("listener", 'x"}]\n[http]')), "", "not usable as it is"),
        ("apig-main", stored("shop", certificate_id="../\n[broker]"), "", "not usable as it is"),
    ],
)
def test_what_cannot_be_pasted_is_a_comment(
    tmp_path: Path, gateway: str, found: Discovered, already: str, why: str
) -> None:
    text, settings = pasted(tmp_path, gateway, found, already=already)
    lines: Sequence[str] = text.strip().split("\n")
    assert lines[0].endswith(why)
    assert [line for line in lines if not line.startswith("# ")] == []
    assert len(settings.certificates) == (1 if already else 0)


@pytest.mark.parametrize(("is_uploaded", "strategy"), [(True, "replace"), (False, "rebind")])
def test_what_was_uploaded_is_replaced_and_what_the_platform_renews_is_bound(
    tmp_path: Path, *, is_uploaded: bool, strategy: str
) -> None:
    found = Discovered(Stored("c1", "shop"), [Binding("listener", LISTENER)], is_uploaded=is_uploaded)
    _, settings = pasted(tmp_path, "bycloud-sp", found)
    assert settings.certificates["shop"].deployments[0].strategy == strategy


def test_a_client_ca_is_hinted_at(tmp_path: Path) -> None:
    with_ca = Discovered(Stored("c1", "shop", has_trusted_root_ca=True), [Binding("domain", "a.example.com")])
    text, settings = pasted(tmp_path, "apig-main", with_ca, stored("blog", certificate_id="c2"))
    assert list(settings.certificates) == ["shop", "blog"]
    assert text.count('\n# trusted_root_ca_file = "client-ca.pem"') == 1


def test_what_a_deployment_owns_by_its_name_is_in_the_settings_already(tmp_path: Path) -> None:
    already = certificate(in_place(certificate_id="", name='"shop_one"'), name="listed")
    text, _ = pasted(
        tmp_path,
        "apig-main",
        stored("shop_one"),
        stored("shop_one_abcd1234_1e89ef71", certificate_id="c2"),
        already=already,
    )
    assert text.count("in the settings already") == 2


REPLACED = f'gateway = "bycloud-sp"\nstrategy = "replace"\ncertificate_id = "c1"\n{ON_LISTENER}'


def test_what_the_worker_uploaded_itself_is_in_the_settings_already(tmp_path: Path) -> None:
    found = [
        stored("shop", certificate_id="C1"),
        stored("shop-5c13032db717", Binding("listener", LISTENER), certificate_id="c2"),
        stored("shop-eu", Binding("listener", LISTENER, sni=True), certificate_id="c3"),
    ]
    text, settings = pasted(tmp_path, "bycloud-sp", *found, already=certificate(REPLACED, name="listed"))
    assert text.count("in the settings already") == 2
    assert list(settings.certificates) == ["listed", "shop-eu"]


def test_a_listener_is_offered_to_one_certificate_alone(tmp_path: Path) -> None:
    other = Binding("listener", LISTENER.replace("6f6f", "7a7a"))
    found = [
        stored("taken", Binding("listener", LISTENER.upper()), certificate_id="c2"),
        stored("first", other, certificate_id="c3"),
        stored("second", other, certificate_id="c4"),
    ]
    text, settings = pasted(tmp_path, "bycloud-sp", *found, already=certificate(REPLACED, name="listed"))
    assert text.count("its listener is another certificate's already") == 2
    assert list(settings.certificates) == ["listed", "first"]
