"""What is kept for putting back needs a place, a key, and somewhere to be put back."""

from pathlib import Path

import pytest

from tests.settings.files import GATEWAYS, LISTENER, PREVIOUS, VAULT, certificate, in_place, loaded, problems

AT_VAULT = VAULT.replace("AUTH", '{kind = "token", token_file = "t"}')
IN_VAULT = f'{AT_VAULT}[trust.previous]\nvault = "rotation-worker/previous"\n'
KEYS = '[trust]\nrecipient_keys = ["worker.jwk"]\n'
SINGLE = in_place(
    strategy='"per_domain"',
    certificate_id="",
    name='"shop_single"',
    domains='[{instance_id = "i1", group_id = "g1", domain_id = "d1"}]',
)
HELD = f'gateway = "bycloud-sp"\nstrategy = "rebind"\ncertificate_id = "c2"\n{LISTENER}'


def kept(deployment: str, name: str = "shop") -> str:
    return GATEWAYS + certificate(deployment, name=f'"{name}"', more="keep_previous = true")


def test_nothing_is_kept_where_nobody_asks_for_it(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GATEWAYS + certificate(in_place()))
    assert (settings.certificates["shop"].keep_previous, settings.trust.previous) == (False, None)


def test_what_is_kept_lies_where_the_settings_say(tmp_path: Path) -> None:
    for text, folder, vault in (
        (PREVIOUS + kept(in_place()), tmp_path / "previous", None),
        (KEYS + IN_VAULT + kept(in_place()), None, "rotation-worker/previous"),
    ):
        previous = loaded(tmp_path, text).trust.previous
        assert previous is not None
        assert (previous.folder, previous.vault) == (folder, vault)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (KEYS, "needs trust.previous, which says where"),
        (PREVIOUS.replace(KEYS, ""), "needs trust.recipient_keys, to the newest of which it is sealed"),
    ],
)
def test_what_is_to_be_kept_needs_a_place_and_a_key(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text + kept(in_place())) == [f"certificates.shop.keep_previous: {problem}"]


@pytest.mark.parametrize("deployment", [SINGLE, HELD])
def test_what_is_to_be_kept_can_be_put_back_somewhere(tmp_path: Path, deployment: str) -> None:
    told = "no deployment is in_place, and at others nothing is put back from here"
    assert problems(tmp_path, PREVIOUS + kept(deployment)) == [f"certificates.shop.keep_previous: {told}"]
    both = kept(deployment) + f"[[certificates.shop.deployments]]\n{in_place()}\n"
    assert problems(tmp_path, PREVIOUS + both) == []


@pytest.mark.parametrize("name", ["a..b", "a."])
def test_a_name_that_can_be_no_path_in_vault_is_not_kept_there(tmp_path: Path, name: str) -> None:
    told = "the certificate's name can be no path in Vault"
    assert problems(tmp_path, KEYS + IN_VAULT + kept(in_place(), name)) == [
        f"certificates.{name}.keep_previous: {told}"
    ]
    assert problems(tmp_path, PREVIOUS + kept(in_place(), name)) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[trust.previous]", "trust.previous: needs folder or vault, and not both"),
        (f'{IN_VAULT}folder = "hunter2"', "trust.previous: needs folder or vault, and not both"),
        ('[trust.previous]\nvault = "hunter2"', "trust.previous.vault: there is no trust.vault"),
        (IN_VAULT.replace("rotation-worker/", "../"), "trust.previous.vault: String should match pattern"),
        ('[trust.previous]\nkey = "hunter2"', "trust.previous.key: unknown key"),
    ],
)
def test_a_place_is_one_that_there_is_and_one_alone(tmp_path: Path, text: str, problem: str) -> None:
    [found] = problems(tmp_path, text)
    assert found.startswith(problem)
    assert "hunter2" not in found
