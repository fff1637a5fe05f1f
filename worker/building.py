"""What the settings make: certificates, rules, gateways, and what rotates with them."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from worker.core.certificate import Rules
from worker.core.deployment import Certificate
from worker.core.names import is_address, is_domain
from worker.intake import Intake
from worker.settings import Settings, SettingsError
from worker.settings.model import Certificate as Entry
from worker.settings.resolve import (
    deployments_of,
    holds,
    lineages,
    producers_by_certificate,
    schedule_of,
)
from worker.settings.roots import trusted_roots
from worker.trust.kept import KeptSealed, open_kept
from worker.trust.keys import Recipients, Signers, problem_of
from worker.trust.opening import TrustPolicy
from worker.trust.vault import Vault
from worker.verification import asked_names
from worker.wall_clock import utc_now

chance: Final[Callable[[], float]] = random.SystemRandom().random


def certificates_of(settings: Settings) -> Mapping[str, Certificate]:
    """Every certificate of the settings with its deployments."""
    return {
        name: Certificate(name, deployments_of(settings, name), _names_of(one), schedule_of(settings, name))
        for name, one in settings.certificates.items()
    }


def _names_of(certificate: Entry) -> Sequence[str]:
    """What must be covered wherever it is bound. An endpoint may be asked without a domain name."""
    asked = asked_names(certificate)
    return *certificate.names, *(name for name in asked if is_domain(name.lower()) and not is_address(name))


def intake_of(settings: Settings, vault: Vault | None = None) -> Intake:
    """Who may renew what, and what a certificate must be like."""
    named = settings.certificates.items()
    trust = TrustPolicy(
        producers=producers_by_certificate(settings),
        allow_plain_keys=settings.trust.allow_plain_keys,
        require_signature=settings.trust.require_signature,
        holds=holds(settings),
        signers=Signers.at(
            {name: one.public_key for name, one in settings.trust.producers.items() if one.public_key is not None}
        ),
        audience=settings.trust.audience,
        replay_window=settings.trust.replay_window_seconds,
        lineages=lineages(settings),
        files_below={name: one.files_below for name, one in named if one.files_below is not None},
        vault_below={name: one.vault_below for name, one in named if one.vault_below is not None},
    )
    recipients = Recipients.at(settings.trust.recipient_keys)
    return Intake(trust, rules_of(settings), settings.trust.roots.files, utc_now, recipients, vault=vault)


def rules_of(settings: Settings) -> Rules:
    """What is asked of a certificate beyond what is asked of all."""
    trust, told = settings.trust, settings.trust.rules
    is_private = trust.ca_bundle != "system" if told.private_ca is None else told.private_ca
    return Rules(
        roots=trusted_roots(trust.ca_bundle),
        allow_staging=trust.allow_staging_issuers,
        allow_p521=told.allow_p521,
        is_private_ca=is_private,
        minimum_remaining=trust.minimum_remaining_seconds,
        expires_before_2038=any(gateway.kind == "huawei_apig" for gateway in settings.gateways.values()),
        stances={
            "no_sct": told.no_sct or ("allow" if is_private else "warn"),
            "must_staple": told.must_staple,
            "cn_not_in_san": told.cn_not_in_san,
            "key_reused": told.key_reused,
        },
    )


def kept_of(settings: Settings, vault: Vault | None) -> Mapping[str, KeptSealed]:
    """By certificate, for those whose last good chain and key are kept."""
    names = [name for name, one in settings.certificates.items() if one.keep_previous]
    if not names:
        return {}
    previous = settings.trust.previous
    if previous is None:
        raise SettingsError(["trust.previous: is missing"])
    intake = intake_of(settings)
    # What is put back was good a moment ago, and is near its end by nature.
    rules = replace(intake.rules, minimum_remaining=0.0)
    return dict.fromkeys(names, open_kept(previous, vault, intake.recipients, replace(intake, rules=rules).checked))


def check_keys(settings: Settings) -> None:
    """Raises SettingsError for every JWK file that holds no key of its kind."""
    trust, publish = settings.trust, settings.publish
    named = [
        *((f"trust.recipient_keys.{number}", path, True, False) for number, path in enumerate(trust.recipient_keys)),
        *((f"trust.producers.{name}.public_key", one.public_key, False, True) for name, one in trust.producers.items()),
        ("publish.recipient_key", publish.recipient_key, False, False),
        ("publish.producer_key", publish.producer_key, True, True),
    ]
    found = [
        (place, problem_of(path, is_private=is_private, signs=signs))
        for place, path, is_private, signs in named
        if path is not None
    ]
    problems = [f"{place}: {problem}" for place, problem in found if problem is not None]
    if problems:
        raise SettingsError(problems)
