"""Judges the cases of x509-limbo by our own rules, and says where the two disagree."""

import ipaddress
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.judging import judged
from worker.core.errors import RefusedError
from worker.core.names import uncovered
from worker.sandbox.ca import key_pem

Verdict = Literal["SUCCESS", "FAILURE"]
# What renewals have nothing of: revocation lists, a depth that the caller chooses.
_FEATURES: Final = frozenset({"has-crl", "max-chain-depth"})
_STRANGER: Final = key_pem(ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True, slots=True)
class Judged:
    """One case. `reason`: why it was refused; empty where it was not."""

    id: str
    expected: Verdict
    reason: str

    @property
    def category(self) -> str:
        return self.id.partition("::")[0]

    @property
    def is_false_accept(self) -> bool:
        return self.expected == "FAILURE" and not self.reason

    @property
    def is_false_refusal(self) -> bool:
        return self.expected == "SUCCESS" and bool(self.reason)

    @property
    def agrees(self) -> bool:
        return not (self.is_false_accept or self.is_false_refusal)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of all cases that are about a server's certificate as renewals bring it."""

    judged: Sequence[Judged]
    skipped: Mapping[str, int]
    """How many by why."""

    @property
    def false_accepts(self) -> frozenset[str]:
        return frozenset(one.id for one in self.judged if one.is_false_accept)

    @property
    def false_refusals(self) -> frozenset[str]:
        return frozenset(one.id for one in self.judged if one.is_false_refusal)

    @property
    def agreed(self) -> int:
        return sum(one.agrees for one in self.judged)


def read(path: Path) -> Sequence[Mapping[str, Any]]:
    cases: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["testcases"]
    return cases


def agreement(cases: Sequence[Mapping[str, Any]]) -> Agreement:
    skipped = Counter(why for case in cases if (why := _not_ours(case)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = [_judged(case) for case in cases if not _not_ours(case)]
    return Agreement(ours, skipped)


def _not_ours(case: Mapping[str, Any]) -> str:
    """Why a case is not about what renewals bring; empty where it is."""
    if case["validation_kind"] != "SERVER":
        return "about clients"
    if case["expected_peer_name"] is None:
        return "names nobody"
    features = sorted(_FEATURES & set(case["features"]))
    return features[0] if features else ""


def _judged(case: Mapping[str, Any]) -> Judged:
    return Judged(case["id"], case["expected_result"], _reason(case))


def _reason(case: Mapping[str, Any]) -> str:
    told = case["validation_time"]
    now = datetime.fromisoformat(told) if told else datetime.now(UTC)
    chain = "".join(f"{pem.strip()}\n" for pem in (case["peer_certificate"], *case["untrusted_intermediates"]))
    try:
        # A case without a key is about the certificate alone: then only the last rule can refuse the stranger's.
        own = case["peer_certificate_key"]
        bundle = judged(chain, own or _STRANGER, list(_roots(case["trusted_certs"])), now)
    except RefusedError as error:
        is_last = error.reason == "key_mismatch" and not case["peer_certificate_key"]
        return _uncovered(case, _names(case)) if is_last else error.reason
    return _uncovered(case, bundle.leaf.names)


def _uncovered(case: Mapping[str, Any], names: Sequence[str]) -> str:
    wanted = case["expected_peer_name"]
    name = str(ipaddress.ip_address(wanted["value"])) if wanted["kind"] == "IP" else wanted["value"]
    return "name_not_covered" if uncovered([name], names) else ""


def _names(case: Mapping[str, Any]) -> Sequence[str]:
    leaf = x509.load_pem_x509_certificate(case["peer_certificate"].encode())
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]


def _roots(pems: Sequence[str]) -> Iterator[x509.Certificate]:
    """Those that can be read: another one is refused with the settings."""
    for pem in pems:
        try:
            yield x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            continue
