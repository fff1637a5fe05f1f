"""From `[trust.rules]` to what is asked of a certificate."""

from pathlib import Path

import pytest

from tests.settings.files import BYCLOUD, GATEWAYS, loaded, written
from worker.building import rules_of
from worker.core.case import Rules
from worker.core.rules import RULES
from worker.sandbox.ca import Authority
from worker.settings import SettingsError
from worker.settings.roots import trusted_roots

ROOTS = Authority.create().root_pem


def rules(folder: Path, text: str = "", gateways: str = BYCLOUD, bundle: str = '"ca.pem"') -> Rules:
    (folder / "ca.pem").write_text(ROOTS)
    return rules_of(loaded(folder, f"{gateways}\n[trust]\nca_bundle = {bundle}\n{text}"))


def test_where_nothing_is_said_a_bundle_of_ones_own_is_a_private_cas(tmp_path: Path) -> None:
    own = rules(tmp_path)
    assert (own.is_private_ca, own.stances["no_sct"]) == (True, "allow")
    public = rules(tmp_path, "[trust.rules]\nprivate_ca = false")
    assert (public.is_private_ca, public.stances["no_sct"]) == (False, "warn")
    assert rules(tmp_path, '[trust.rules]\nno_sct = "refuse"').stances["no_sct"] == "refuse"


def test_where_nothing_is_said_the_systems_bundle_is_of_public_cas(tmp_path: Path) -> None:
    public = rules(tmp_path, bundle='"system"')
    assert (public.is_private_ca, public.stances["no_sct"]) == (False, "warn")
    assert rules(tmp_path, "[trust.rules]\nprivate_ca = true", bundle='"system"').stances["no_sct"] == "allow"


def test_every_rule_that_may_be_switched_has_its_default_in_the_settings_too(tmp_path: Path) -> None:
    public = rules(tmp_path, "[trust.rules]\nprivate_ca = false")
    assert public.stances == {rule.reason: rule.switched for rule in RULES if rule.switched is not None}


def test_what_is_said_is_asked(tmp_path: Path) -> None:
    said = '[trust.rules]\nmust_staple = "warn"\ncn_not_in_san = "refuse"\nkey_reused = "allow"\nallow_p521 = true'
    asked = rules(tmp_path, f"allow_staging_issuers = true\nminimum_remaining_seconds = 60\n{said}")
    assert asked.stances == {
        "no_sct": "allow",
        "must_staple": "warn",
        "cn_not_in_san": "refuse",
        "key_reused": "allow",
    }
    assert (asked.allow_p521, asked.allow_staging, asked.minimum_remaining) == (True, True, 60)
    assert not rules(tmp_path).allow_p521


def test_a_gateway_that_takes_nothing_behind_2038_is_thought_of(tmp_path: Path) -> None:
    assert rules(tmp_path, gateways=GATEWAYS).expires_before_2038
    assert not rules(tmp_path).expires_before_2038


@pytest.mark.parametrize("said", ['no_sct = "never"', 'key_reused = "refuse"', "leaf_is_ca = false"])
def test_what_makes_no_sense_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(SettingsError, match=r"trust\.rules"):
        rules(tmp_path, f"[trust.rules]\n{said}")


def test_roots_that_everybody_may_write_are_refused(tmp_path: Path) -> None:
    bundle = written(tmp_path, Authority.create().root_pem, "roots.pem")
    assert len(trusted_roots(str(bundle))) == 1
    bundle.chmod(0o646)
    with pytest.raises(SettingsError, match=r"trust\.ca_bundle: the file can be written by everybody"):
        trusted_roots(str(bundle))


def test_the_bundle_may_stand_with_the_other_roots(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(ROOTS)
    below = loaded(tmp_path, f'{BYCLOUD}\n[trust.roots]\nfiles = ["live"]\nca_bundle = "ca.pem"\n')
    assert (below.trust.ca_bundle, below.trust.roots.files) == (str(tmp_path / "ca.pem"), (tmp_path / "live",))
    with pytest.raises(SettingsError) as told:
        loaded(tmp_path, f'{BYCLOUD}\n[trust]\nca_bundle = "ca.pem"\n[trust.roots]\nca_bundle = "system"\n')
    assert [problem.partition(": ")[2] for problem in told.value.problems] == ["trust.roots.ca_bundle: unknown key"]
