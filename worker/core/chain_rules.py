"""The rules about the whole chain: the leaf and its intermediates. Each says what is wrong in words, or None."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from worker.core.case import Case
from worker.core.clock import SKEW
from worker.core.reading import UNREADABLE

_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_STAGING: Final = ("(staging)", "fake le", "pebble", "happy hacker")


def is_signed_weakly(case: Case) -> str | None:
    for number, certificate in enumerate(case.chain, 1):
        algorithm = certificate.signature_hash_algorithm
        if algorithm is None or algorithm.name not in _HASHES:
            return f"certificate {number} is not signed with SHA-256, SHA-384 or SHA-512"
    return None


def begins_later(case: Case) -> str | None:
    for number, certificate in enumerate(case.chain, 1):
        if certificate.not_valid_before_utc > case.now + SKEW:
            return f"certificate {number} is not valid yet"
    return None


def has_ended(case: Case) -> str | None:
    for number, certificate in enumerate(case.chain, 1):
        if certificate.not_valid_after_utc <= case.now:
            return f"certificate {number} has expired"
    return None


def ends_too_soon(case: Case) -> str | None:
    """A leaf is good as long as all that is above it."""
    end = min(certificate.not_valid_after_utc for certificate in case.chain)
    is_soon = end - case.now < timedelta(seconds=case.rules.minimum_remaining)
    return "the certificate expires sooner than the settings allow" if is_soon else None


def is_out_of_order(case: Case) -> str | None:
    """The issuer is there, in another place."""
    for number, issued in _unlinked(case):
        if any(issued.issuer == other.subject for other in case.chain):
            return f"certificate {number} was not issued by the one behind it"
    return None


def has_strangers(case: Case) -> str | None:
    for number, _ in _unlinked(case):
        return f"certificate {number} was not issued by the one behind it, nor by any other that is sent"
    return None


def _unlinked(case: Case) -> Iterator[tuple[int, x509.Certificate]]:
    """Those that do not name the next one as their issuer, with their numbers."""
    if not _is_verified(case):
        for number, (issued, issuer) in enumerate(zip(case.chain, case.chain[1:], strict=False), 1):
            if issued.issuer != issuer.subject:
                yield number, issued


def is_signed_wrongly(case: Case) -> str | None:
    if _is_verified(case):
        return None
    for number, (issued, issuer) in enumerate(zip(case.chain, case.chain[1:], strict=False), 1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (InvalidSignature, *UNREADABLE):
            return f"certificate {number}: its issuer's signature is wrong"
    return None


def _is_verified(case: Case) -> bool:
    """The verifier has gone that very way."""
    return tuple(case.path[: len(case.chain)]) == tuple(case.chain)


def is_for_tests(case: Case) -> str | None:
    if case.rules.allow_staging:
        return None
    # Not the leaf's own name, which says nothing of who issued it.
    names = [*(one.issuer for one in case.chain), *(one.subject for one in case.chain[1:])]
    is_staged = any(str(attribute.value).lower().startswith(_STAGING) for name in names for attribute in name)
    return "the issuer is a CA for tests" if is_staged else None


def lacks_a_link(case: Case) -> str | None:
    """Only a leaf was sent, and no root is its issuer."""
    is_alone = bool(case.rules.roots) and len(case.chain) == 1 and not _is_rooted(case)
    return _UNKNOWN_ISSUER.format(1) if is_alone else None


def leads_nowhere(case: Case) -> str | None:
    if case.rules.roots is None or case.path:
        return None
    if case.rules.roots and not _is_rooted(case):
        return _UNKNOWN_ISSUER.format(len(case.chain))
    return "the chain does not verify up to a trusted root"


_UNKNOWN_ISSUER: Final = "the issuer of certificate {} is neither sent nor trusted"


def _is_rooted(case: Case) -> bool:
    """A trusted root has the name of the last issuer."""
    return any(root.subject == case.chain[-1].issuer for root in case.rules.roots or ())
