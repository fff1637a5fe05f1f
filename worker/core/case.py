"""What the rules look at: a chain, its leaf's facts, and what the settings ask of it."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from worker.core.bundle import UsedKey
from worker.core.clock import SKEW
from worker.core.names import is_address
from worker.core.reading import UNREADABLE
from worker.core.stance import Stance

MUST_STAPLE: Final = "must_staple"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings ask. `roots` None: no path to a root is asked for. Seconds."""

    roots: Sequence[x509.Certificate] | None = field(default=None, repr=False)
    allow_staging: bool = False
    allow_p521: bool = False
    is_private_ca: bool = False
    """Its certificates may lack what only public CAs must give: authority key identifiers, and key usages of CAs."""
    minimum_remaining: float = 0.0
    expires_before_2038: bool = False
    stances: Mapping[str, Stance] = field(default_factory=dict)
    """By reason, for the rules that may be switched; the others keep their own."""
    policy: PolicyBuilder | None = field(init=False, repr=False, compare=False)
    """The roots as the verifier takes them, made once: there may be hundreds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", _policy(self, self.roots) if self.roots else None)


@dataclass(frozen=True, slots=True)
class Case:
    """One certificate before its rules. `chain` is the leaf and its intermediates, without roots and repeats."""

    chain: Sequence[x509.Certificate]
    names: Sequence[str]
    """Of the leaf, as its facts have them."""
    key: CertificatePublicKeyTypes
    used: UsedKey
    """The leaf's."""
    before: Sequence[UsedKey]
    """Those of the certificates that were rotated under the same name, as far as they are known; oldest first."""
    now: datetime
    rules: Rules
    is_key_exposed: bool = False
    """Of what is in use: a stranger may have it."""
    path: Sequence[x509.Certificate] = ()
    """From the leaf up to a trusted root, every signature in it verified; empty where there is none."""

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]


def verified(
    chain: Sequence[x509.Certificate], names: Sequence[str], now: datetime, rules: Rules
) -> Sequence[x509.Certificate]:
    """The path that the library's verifier finds; why there is none, the rules tell in our own words."""
    if rules.policy is None or not names:
        return ()
    try:
        # Clocks differ: what begins within the skew that the rules allow has begun.
        begun = max(now, *(min(one.not_valid_before_utc, now + SKEW) for one in chain))
        verifier = rules.policy.time(begun).build_server_verifier(_verifiable_name(names))
        return verifier.verify(chain[0], list(chain[1:]))
    except (VerificationError, *UNREADABLE):
        return ()


def _verifiable_name(names: Sequence[str]) -> x509.DNSName | x509.IPAddress:
    """Any of the leaf's own names that the verifier can take: it knows no wildcard and no underscore."""
    name = next((name for name in names if "_" not in name), names[0])
    if is_address(name):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name.replace("*.", "any.", 1))


def _policy(rules: Rules, roots: Sequence[x509.Certificate]) -> PolicyBuilder:
    builder = PolicyBuilder().store(Store(list(roots))).max_chain_depth(4)
    leafs, authorities = ExtensionPolicy.webpki_defaults_ee(), ExtensionPolicy.webpki_defaults_ca()
    if rules.stances.get(MUST_STAPLE, "refuse") != "refuse":
        # The verifier knows no such extension, and refuses what is critical and unknown.
        leafs = leafs.may_be_present(x509.TLSFeature, Criticality.AGNOSTIC, None)
    if rules.is_private_ca:
        leafs = leafs.may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
        authorities = authorities.may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
        authorities = authorities.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
    return builder.extension_policies(ee_policy=leafs, ca_policy=authorities)


def _signs_certificates(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError
